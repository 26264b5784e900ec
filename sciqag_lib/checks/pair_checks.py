"""What can be said of every pair of a file without a model: a row a pair, streamed in flat memory.

Rows of checks.parquet (also .csv; rows count from 0, an absent value is null):

    doi,pair,question,answer,context_bound_strict,context_bound_loose,context_phrase,numbers_total,numbers_found,
    support,duplicate_of,near_duplicate_of,question_form,question_words,answer_words,rejected_by
    10.1/x,3,How did it ...?,The study found ...,True,True,The study,2,2,0.81,,,How,9,31,not_self_contained

- `context_bound_loose`: LOOSE_PHRASE, the expression that SciQAG's released pairs were measured with, is in question or
  answer. `context_bound_strict`: one of these phrases does speak of a paper, as "the study of films", "the work
  function" and "the paper machine" do not. A pair may lean on its paper in other words ("the authors", "Figure 2", "in
  this method"): that is "not_self_contained", a wider rule, which errs more often.
- `numbers_total`, `numbers_found`: as answer_numbers counts them. `support`: grounding's scores of the answer's
  sentences, weighed by their length. Without a paper, or where the answer claims nothing, both are null.
- `duplicate_of`: the row of the first pair of the file with the same question, but for case, white space and closing
  marks. `near_duplicate_of`: the first row before it whose question has a cosine of `near_duplicate` or more.
- `rejected_by`: all of checks.REASONS that apply. "duplicate" compares with the earlier questions of the same paper.
"""

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from sciqag_lib.checks import rules as checks
from sciqag_lib.checks.answer_numbers import explain_miss, list_numbers
from sciqag_lib.checks.duplicates import ROUNDING, QuestionStore, check_threshold, digest_question, find_near_duplicates
from sciqag_lib.checks.grounding import PaperIndex, find_evidence, list_terms
from sciqag_lib.checks.questions import AUXILIARY, is_not_question, is_not_self_contained
from sciqag_lib.engines.embeddings import Embedder
from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.metrics.intervals import Estimate, estimate_mean
from sciqag_lib.records.papers import Paper, QAPair
from sciqag_lib.records.qa_records import read_qa_records
from sciqag_lib.tables import write_report, write_table
from sciqag_lib.text.sentences import split_sentences

if TYPE_CHECKING:
    import pandas

VERSION = 2
MAX_COMPARED = 200  # earlier questions of a paper that a question is compared with: thousands would take hours
NULL_ANSWERS = 5  # of each paper, set against another: a thousand papers need no more
MAX_UNITS = 4000  # of the bootstrap: beyond it, neighbouring records are drawn together
COLUMNS = (
    {"doi": "text", "pair": "whole", "question": "text", "answer": "text"}
    | {"context_bound_strict": "bool", "context_bound_loose": "bool", "context_phrase": "text"}
    | {"numbers_total": "whole", "numbers_found": "whole", "support": "real"}
    | {"duplicate_of": "whole", "near_duplicate_of": "whole"}
    | {"question_form": "text", "question_words": "whole", "answer_words": "whole", "rejected_by": "text"}
)
NEEDS_PAPER = ("wrong_number", "unsupported")  # of checks.REASONS
SHARES = {  # name in the report -> how it is printed
    "context_bound_strict": "context-bound, strict form",
    "context_bound_loose": "context-bound, loose form",
    "duplicate": "question asked before in the file",
    "near_duplicate": "question nearly asked before",
    "with_numbers": "answers with a number",
    "numbers_found": "numbers found in the paper",
    "support": "support of the answer, 0-1",
    **{f"rejected_{reason}": f"rejected: {reason}" for reason in checks.REASONS},
    "rejected": "rejected by any check",
}

# Of 100 loose hits read, of the 430 in 4,250 released pairs, 87 lean on their paper, and the strict form finds just
# these; but its exceptions were written with the other hits in sight.
LOOSE_PHRASE = re.compile(r"\b(this|the|present|current) (paper|study|article|work|research)\b", re.I)
# What follows "the paper" where it is a sheet, and "the work" and "the research" where they are parts of another name.
_SHEET = "machine|industry|mill|making|sheet|web|pulp|surface|strip|fib(?:er|re)|matrix|substrate|electrode"
_WORK = "function|hardening|piece|material|load|force|place"
_RESEARCH = "and|focus|project|effort|interest|communit|field|area|group|cent(?:er|re)|institut"
STRICT_PHRASE = re.compile(
    r"\b(?:(?:this|present|current) (?:paper|study|article|work|research)|the (?:article"
    rf"|study(?! (?:of|on|into)\b)|paper(?! (?:{_SHEET})s?\b)|work(?! (?:of|on|into|(?:{_WORK})s?)\b)"
    rf"|research(?! (?:(?:of|on|in|into)\b|{_RESEARCH}))))\b(?!-)",
    re.I,
)


def find_context_phrase(question: str, answer: str, strict: bool = True) -> str:
    """The first phrase of the pair that speaks of its paper, as written, the question's first; "" where none does.

    >>> find_context_phrase("What allows the study of films?", "Light, in this study.")
    'this study'
    """
    rule = STRICT_PHRASE if strict else LOOSE_PHRASE
    match = rule.search(question) or rule.search(answer)
    return match.group() if match else ""


_FORMS = re.compile(rf"\W*(?:(what|how|why|which|when|where)|(who)(?:m|se)?|({AUXILIARY}))\b", re.I)


def name_form(question: str) -> str:
    """ "What", "How", "Why", "Which", "When", "Where", "Who", "Yes or no" or "Other", by its first word."""
    match = _FORMS.match(question)
    if not match:
        return "Other"
    return "Yes or no" if match[3] else (match[1] or match[2]).capitalize()


def measure_support(answer: str, index: PaperIndex) -> tuple[float | None, list[float]]:
    """The support of an answer by a paper, 0-1, None where it claims nothing, and that of each of its sentences."""
    scores = find_evidence(answer, index)[1]
    sizes = [len(list_terms(answer[start:end])) for start, end in split_sentences(answer)]
    total = sum(size * score for size, score in zip(sizes, scores))
    return (round(total / sum(sizes), 4) if sum(sizes) else None), scores


def check_against(answer: str, index: PaperIndex | None) -> dict[str, Any]:
    """What of a pair depends on a paper: numbers_total, numbers_found, support, and `rejected`, a list of reasons."""
    numbers = list_numbers(answer)
    row: dict[str, Any] = {"numbers_total": len(numbers), "numbers_found": None, "support": None, "rejected": []}
    if index is None:
        return row
    row["numbers_found"] = sum(not explain_miss(number, index) for number in numbers)
    row["support"], scores = measure_support(answer, index)
    if checks.has_wrong_number(answer, index):
        row["rejected"].append("wrong_number")
    if checks.is_unsupported(answer, index, scores):
        row["rejected"].append("unsupported")
    return row


def check_words(question: str, answer: str, earlier: Sequence[str]) -> list[str]:
    """The reasons of checks.REASONS that need no paper. `earlier` are the paper's questions before this one."""
    verdicts = {
        "not_a_question": is_not_question(question),
        "not_self_contained": is_not_self_contained(question, answer),
        "copies_answer": checks.copies_answer(question, answer),
        "empty_talk": checks.is_empty_talk(question, answer),
        "duplicate": checks.is_duplicate(question, earlier),
    }
    return [reason for reason, applies in verdicts.items() if applies]


def check_one_pair(pair: QAPair, earlier: Sequence[str], index: PaperIndex | None) -> dict[str, Any]:
    """A row of COLUMNS but for doi, pair and duplicates. `index` None: there is no paper."""
    question, answer = pair.question, pair.answer
    strict, loose = find_context_phrase(question, answer), find_context_phrase(question, answer, strict=False)
    row = check_against(answer, index)
    rejected = check_words(question, answer, earlier) + row.pop("rejected")
    return {
        "question": question,
        "answer": answer,
        "context_bound_strict": bool(strict),
        "context_bound_loose": bool(loose),
        "context_phrase": strict or loose,
        **row,
        "question_form": name_form(question),
        "question_words": len(question.split()),
        "answer_words": len(answer.split()),
        "rejected_by": " ".join(rejected),
    }


@dataclass
class PairCheckReport:
    """Contents of checks.json."""

    num_records: int
    num_papers: int  # records with text
    num_pairs: int
    num_bad: int  # records and pairs that could not be read; each is named in notes
    shares: dict[str, Estimate]  # of SHARES, 95% interval over records; those that need a paper over papers alone
    null: dict[str, Estimate]  # answers of each paper against another paper: what chance alone gives
    forms: dict[str, int]  # pairs of each question form, most frequent first
    question_words: Estimate  # split at white space
    answer_words: Estimate
    encoder: str  # "" where near-duplicates were not looked for
    near_duplicate: float | None
    notes: list[str] = field(default_factory=list)  # what was left out, and why
    version: int = VERSION

    def to_frame(self) -> "pandas.DataFrame":
        """Shares and means with their intervals; what depends on a paper beside the same against another paper."""
        import pandas

        rows = {SHARES[name]: (self.shares.get(name, "not looked up"), self.null.get(name, "")) for name in SHARES}
        rows |= {"words of a question": (self.question_words, ""), "words of an answer": (self.answer_words, "")}
        rows |= {f"questions: {form}": (f"{count / self.num_pairs:.3f}", "") for form, count in self.forms.items()}
        return pandas.DataFrame.from_dict(rows, orient="index", columns=["pairs", "against another paper"]).map(str)


class Tally:
    """Sums and numbers of values a record, for means whose interval is taken over records."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[array, array]] = defaultdict(lambda: (array("d"), array("d")))
        self.forms: Counter[str] = Counter()
        self.num_records = self.num_papers = self.num_pairs = 0

    def add(self, name: str, total: float, count: int) -> None:
        sums, counts = self._values[name]
        sums.append(total)
        counts.append(count)

    def add_record(self, rows: Sequence[dict[str, Any]], has_paper: bool, encoded: bool) -> None:
        self.num_records, self.num_papers = self.num_records + 1, self.num_papers + has_paper
        self.num_pairs += len(rows)
        self.forms.update(row["question_form"] for row in rows)
        for name in ("context_bound_strict", "context_bound_loose", "question_words", "answer_words"):
            self.add(name, sum(row[name] for row in rows), len(rows))
        for name in ("duplicate", "near_duplicate") if encoded else ("duplicate",):
            self.add(name, sum(row[name + "_of"] is not None for row in rows), len(rows))
        self.add("with_numbers", sum(row["numbers_total"] > 0 for row in rows), len(rows))
        self.add("rejected", sum(bool(row["rejected_by"]) for row in rows), len(rows))
        rejected = [row["rejected_by"].split() for row in rows]
        for reason in checks.REASONS:
            if has_paper or reason not in NEEDS_PAPER:
                self.add(f"rejected_{reason}", sum(reason in reasons for reasons in rejected), len(rows))
        if has_paper:
            self._add_grounding("", rows)

    def add_null(self, answers: Sequence[str], other: PaperIndex) -> None:
        """The answers of one paper against another."""
        rows = [check_against(answer, other) for answer in answers]
        for reason in NEEDS_PAPER:
            self.add(f"null_rejected_{reason}", sum(reason in row["rejected"] for row in rows), len(rows))
        self._add_grounding("null_", rows)

    def _add_grounding(self, prefix: str, rows: Sequence[dict[str, Any]]) -> None:
        self.add(prefix + "numbers_found", sum(r["numbers_found"] for r in rows), sum(r["numbers_total"] for r in rows))
        known = [row["support"] for row in rows if row["support"] is not None]
        self.add(prefix + "support", sum(known), len(known))

    def estimate_mean(self, name: str, seed: int) -> Estimate:
        sums, counts = (np.frombuffer(values, float) for values in self._values[name])
        if len(sums) <= MAX_UNITS:
            return estimate_mean(sums, counts, seed)
        starts = np.linspace(0, len(sums), MAX_UNITS, endpoint=False).astype(int)
        found = estimate_mean(np.add.reduceat(sums, starts), np.add.reduceat(counts, starts), seed)
        return replace(found, papers=int((counts > 0).sum()))

    def estimate_shares(self, prefix: str, seed: int) -> dict[str, Estimate]:
        """Those of SHARES that were added under `prefix`."""
        known = [name for name in SHARES if prefix + name in self._values]
        return {name: _widen(self.estimate_mean(prefix + name, seed)) for name in known}


def _widen(share: Estimate) -> Estimate:
    """A bootstrap of none, or of all, has no width: there it is Wilson's interval of as many records."""
    if share.mean not in (0, 1) or share.papers < 2:
        return share
    from scipy.stats import binomtest

    interval = binomtest(int(share.mean) * share.papers, share.papers).proportion_ci(0.95, "wilson")
    return replace(share, low=interval.low, high=interval.high)


def write_pair_checks(
    file_path: str | Path,
    output_dir: str | Path,
    embedder: Embedder | None = None,
    near_duplicate: float = 0.95,
    limit: int | None = None,
    seed: int = 0,
) -> PairCheckReport:
    """Check every pair of a processed output, released file or list of {"Q", "A"}; write checks.parquet, checks.csv
    and checks.json into `output_dir`.

    Near-duplicates are looked for where an `embedder` is given; the file is then read twice. `near_duplicate` is a
    cosine, `limit` a number of records. InputError: the file cannot be read, or holds no pair.
    """
    check_threshold(near_duplicate)
    output_dir, bad, notes = Path(output_dir), [], []
    tally, first_rows = Tally(), {}  # the latter by digest: texts would fill the memory
    near = find_near_rows(file_path, embedder, near_duplicate, limit, notes) if embedder else None
    with write_table(output_dir, "checks", COLUMNS) as table:
        records = tqdm(read_usable(file_path, limit, bad, notes), unit="paper", desc="checking")
        for record, rows in check_records(records, tally):
            for pair, row in enumerate(rows):
                number = tally.num_pairs + pair
                first = first_rows.setdefault(digest_question(row["question"]), number)
                row |= {
                    "doi": record.name,
                    "pair": pair,
                    "duplicate_of": None if first == number else first,
                    "near_duplicate_of": None if near is None or near[number] < 0 else near[number],
                }
            tally.add_record(rows, bool(record.txt.strip()), near is not None)
            table.add({name: row[name] for name in COLUMNS} for row in rows)
        if not tally.num_pairs:
            raise InputError("; ".join([f"{file_path}: holds no pair that can be checked", *(bad + notes)[:1]]))
    report = PairCheckReport(
        tally.num_records,
        tally.num_papers,
        tally.num_pairs,
        len(bad),
        tally.estimate_shares("", seed),
        tally.estimate_shares("null_", seed),
        dict(tally.forms.most_common()),
        tally.estimate_mean("question_words", seed),
        tally.estimate_mean("answer_words", seed),
        embedder.model_id if embedder else "",
        near_duplicate if embedder else None,
        bad + notes,
    )
    write_report(output_dir / "checks.json", report)
    return report


def read_usable(file: str | Path, limit: int | None, bad: list[str], notes: list[str]) -> Iterator[Paper]:
    """The records with pairs; `bad` takes what cannot be read, `notes` the records without a pair."""
    number = 0
    for record in read_qa_records(file):
        if isinstance(record, BadRecord):
            bad.append(str(record))
        elif not record.pairs:
            notes.append(f"{record.name}: no question-answer pair, so there is nothing to check")
        elif limit is not None and number >= limit:
            return
        else:
            number += 1
            yield record


def check_records(records: Iterable[Paper], tally: Tally) -> Iterator[tuple[Paper, list[dict[str, Any]]]]:
    """Each record with the rows of its pairs; a paper is read once for all of them, and two are held at a time.

    The null baseline goes into `tally`: NULL_ANSWERS of a paper's answers against the paper before it in the file, the
    first's against the last; none where that is the same text.
    """
    first: tuple[str, list[str]] | None = None
    previous: PaperIndex | None = None
    for record in records:
        index = PaperIndex(record.txt) if record.txt.strip() else None
        questions = record.questions
        yield (
            record,
            [
                check_one_pair(pair, questions[max(0, number - MAX_COMPARED) : number], index)
                for number, pair in enumerate(record.pairs)
            ],
        )
        if index is None:
            continue
        step = -(-len(record.pairs) // NULL_ANSWERS) or 1
        answers = [pair.answer for pair in record.pairs[::step]]
        if previous is None:
            first = (index.txt, answers)
        elif previous.txt != index.txt:
            tally.add_null(answers, previous)
        previous = index
    if first is not None and previous is not None and previous.txt != first[0]:
        tally.add_null(first[1], previous)


def find_near_rows(
    file_path: str | Path, embedder: Embedder, threshold: float, limit: int | None, notes: list[str]
) -> list[int]:
    """For each pair of the file the first row before it whose question is as near as `threshold`, or -1."""
    store = QuestionStore()
    records = (replace(record, txt="") for record in read_usable(file_path, limit, [], []))
    groups = ((record, record.questions) for record in records)
    for record, vectors in tqdm(embedder.embed_groups(groups, "similarity"), unit="paper", desc="embedding"):
        finite = np.isfinite(vectors).all(axis=1, keepdims=True)
        if not finite.all():
            notes.append(f"{record.name}: no near-duplicates of {(~finite).sum()} questions: the model gives nan")
        store.add(record, np.where(finite, vectors, 0))
    near = [-1] * len(store)
    for earlier, later, _ in find_near_duplicates(store.vectors(), threshold - ROUNDING) if near else ():
        for a, b in zip(earlier.tolist(), later.tolist()):
            near[b] = a if near[b] < 0 else min(near[b], a)
    return near
