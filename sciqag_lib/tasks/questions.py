"""The questions of a benchmark: test files in the published forms, a sample drawn from them, and examples to show.

SciQAG-24D's test file (arXiv 2405.09939), with or without its category, called `journal` there:

    {"Q": "How does ...?", "A": "It ...", "category": "Chemistry, Analytical", "index": 17}

Also read: a processed output ({"doi", "Q&A": [{"Q", "A"}]}), the QA-only training form ({"instruction", "input",
"output"}), whose input is the question, and the test.jsonl of a build's lm_eval export ({"question", "answer", "doi",
"category"}), which unlike the published form knows papers and categories. A question is known by a digest of its text,
case, spaces and closing marks folded, so that a result stays that question's when the file is sorted or grows.
"""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciqag_lib.checks.duplicates import digest_question
from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.inference.seeds import derive_seed, digest_of
from sciqag_lib.records.categories import fold_name, read_categories, suggest_name
from sciqag_lib.records.papers import has_surrogate, normalize_doi, read_records

KEPT_KEYS = ("index", "journal", "doi")  # of a record, carried over to the answers
MAX_SHOT_CHARACTERS = 2000  # the published pairs have some 300; a training input that holds a paper has 40,000
LISTED = 200


@dataclass(frozen=True)
class Question:
    question_id: str  # 16 hex digits
    question: str
    reference: str  # "" where the file has none
    category: str  # "" where the file has none
    doi: str  # normalised, "" where the file has none
    answer: str | None  # that was given elsewhere; None where the file has none
    kept: dict[str, Any]  # the record's own KEPT_KEYS
    where: str  # "record 17", or "record 17, Q&A[3]"

    @property
    def group(self) -> str:
        """Questions about one paper go together when means are resampled."""
        return self.doi or self.question_id


def identify(question: str) -> str:
    """The id of a question's text; case, white space and closing marks do not count, as in a build's comparison."""
    return digest_question(question).hex()[:16]


def rank(seed: int, purpose: str, question_id: str) -> tuple[int, str]:
    """What a drawing sorts by. The first 100 by rank are among the first 200, so that a sample can grow."""
    return derive_seed(seed, purpose, question_id), question_id


# Reading -------------------------------------------------------------------------------------------------------------


def read_questions(path: str | Path) -> Iterator[Question | BadRecord]:
    """The questions of a file, streamed; what cannot be used is a BadRecord. A question with an unusable reference is
    a BadRecord followed by the question without it. InputError: the file cannot be read."""
    for where, record in read_records(path):
        if isinstance(record, BadRecord):
            yield record
            continue
        for place, entry in _list_entries(record):
            here = where if place is None else f"{where}, Q&A[{place}]"
            if isinstance(entry, str):
                yield BadRecord(str(path), here, "Q", entry)
            else:
                yield from _read_entry(str(path), here, record, entry)


def _list_entries(record: dict[str, Any]) -> list[tuple[int | None, dict[str, Any] | str]]:
    """The question-answer objects of a record and their places, or what is wrong."""
    if "Q&A" in record:
        pairs = record["Q&A"]
        if not isinstance(pairs, list):
            return [(None, f'Q&A: expected a list of {{"Q", "A"}}, found {type(pairs).__name__} {pairs!r:.60}')]
        wrong = 'expected {{"Q", "A"}}, found {} {:.60}'
        return [
            (place, pair if isinstance(pair, dict) else wrong.format(type(pair).__name__, repr(pair)))
            for place, pair in enumerate(pairs)
        ]
    if "Q" in record:
        return [(None, record)]
    for question, answer in (
        ("input", "output"),
        ("question", "answer"),
    ):  # train.json; test.jsonl of an lm_eval export
        if question in record and answer in record:
            return [(None, {"Q": record[question], "A": record[answer]})]
    keys = ", ".join(map(repr, record)) or "none"
    return [
        (
            None,
            'expected a test file\'s {"Q", "A"}, a processed output\'s "Q&A", or {"instruction", "input", '
            f'"output"}}, found the keys {keys:.120}',
        )
    ]


def _read_entry(path: str, where: str, record: dict[str, Any], entry: dict[str, Any]) -> Iterator[Question | BadRecord]:
    problem = _find_problem(entry.get("Q"))
    if problem:
        yield BadRecord(path, where, "Q", f"{problem}; this question is left out")
        return
    texts: dict[str, str | None] = {}
    for key in ("A", "answer"):
        value = entry.get(key)
        empty = value is None or isinstance(value, str) and not value.strip()
        problem = "" if empty else _find_problem(value)
        if problem:
            yield BadRecord(path, where, key, f"{problem}; the question is used without it")
        texts[key] = None if value is None or problem else value
    category = next(
        (
            value
            for key in ("category", "journal")
            if isinstance(value := record.get(key), str) and value.strip() and not has_surrogate(value)
        ),
        "",
    )
    doi = record.get("doi") if isinstance(record.get("doi"), str) else ""
    kept = {key: record[key] for key in KEPT_KEYS if isinstance(record.get(key), (str, int))}
    kept = {key: value for key, value in kept.items() if not has_surrogate(str(value))}
    yield Question(
        identify(entry["Q"]),
        entry["Q"].strip(),
        (texts["A"] or "").strip(),
        " ".join(category.split()),
        normalize_doi(doi or ""),
        texts["answer"],
        kept,
        where,
    )


def _find_problem(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        return f"expected a non-empty text, found {'nothing' if value is None else f'{value!r:.60}'}"
    return "half a surrogate pair is in it, which no file can store" if has_surrogate(value) else ""


# A test file, counted ------------------------------------------------------------------------------------------------


@dataclass
class QuestionFile:
    """What a test file holds, and which of its questions are asked: made by scan_questions."""

    path: Path
    digest: str = ""  # of all questions and references, whatever their order
    ids: list[str] = field(default_factory=list)  # of the questions that are asked, in the order of the file
    every_id: set[str] = field(default_factory=set)  # of all questions of the file
    dois: set[str] = field(default_factory=set)
    num_usable: int = 0
    num_duplicates: int = 0
    num_bad: int = 0
    num_without_reference: int = 0  # of all usable ones
    categories: dict[str, int] = field(default_factory=dict)  # questions by canonical name, of all usable ones
    notes: list[str] = field(default_factory=list)  # what is left out, and why: LISTED at most
    _names: dict[str, str] = field(default_factory=dict)  # canonical category names by folded ones

    @property
    def name(self) -> str:
        return self.path.name

    def read(self) -> Iterator[tuple[int, str, Question]]:
        """Place in the file, id and question of those that are asked."""
        left = set(self.ids)
        for place, entry in enumerate(read_questions(self.path)):
            if isinstance(entry, Question) and entry.question_id in left:
                left.discard(entry.question_id)
                yield place, entry.question_id, entry

    def category_of(self, question: Question) -> str:
        """By its published name where it has one, else as the file calls it."""
        return self._names.get(fold_name(question.category), question.category)


def scan_questions(path: str | Path, seed: int = 0, limit: int | None = None) -> QuestionFile:
    """Read a test file once: what it holds, and which questions are asked: all, or `limit` of them, drawn by seed over
    the whole file, since test files are sorted by category. InputError: it cannot be read, or holds no question."""
    if limit is not None and limit < 1:
        raise InputError(f"limit: expected at least 1 question, or None for all, found {limit}")
    file = QuestionFile(Path(path), _names={fold_name(name): name for name in read_categories()})
    seen: dict[str, str] = {}
    unknown: Counter[str] = Counter()
    digests = []
    for entry in read_questions(path):
        if isinstance(entry, BadRecord):
            file.num_bad += 1
            _note(file, str(entry))
        elif entry.question_id in seen:
            file.num_duplicates += 1
            _note(file, f"{entry.where}: the question of {seen[entry.question_id]} again; it is asked once")
        else:
            seen[entry.question_id] = entry.where
            digests.append(digest_of([entry.question_id, entry.reference]))
            _count(file, entry, unknown)
    if not seen:
        first = f"; the first of {file.num_bad} faults: {file.notes[0]}" if file.notes else ""
        raise InputError(f"{path}: holds no question{first}")
    for name, count in unknown.most_common(LISTED):
        file.notes.append(
            f"category{suggest_name(name, file._names.values())}: none of the published ones, "
            f"{count:,} question{'s' * (count > 1)}, kept under that name"
        )
    file.every_id, file.digest = set(seen), digest_of(sorted(digests))
    chosen = set(heapq.nsmallest(limit, seen, key=lambda name: rank(seed, "question", name))) if limit else set(seen)
    file.ids = [question_id for question_id in seen if question_id in chosen]
    return file


def _note(file: QuestionFile, text: str) -> None:
    if len(file.notes) < LISTED:
        file.notes.append(text)


def _count(file: QuestionFile, question: Question, unknown: Counter[str]) -> None:
    file.num_usable += 1
    file.num_without_reference += not question.reference
    if question.doi:
        file.dois.add(question.doi)
    if question.category:
        name = file.category_of(question)
        file.categories[name] = file.categories.get(name, 0) + 1
        if fold_name(name) not in file._names:
            unknown[name] += 1


# Examples ------------------------------------------------------------------------------------------------------------


def draw_shots(path: str | Path, number: int, seed: int, file: QuestionFile) -> list[tuple[str, str]]:
    """`number` question-answer pairs of a train file, drawn by seed: none whose question is in the test file, asked or
    not, none of a paper that has questions there, none without an answer, none too long for an example. InputError:
    fewer are left than are wanted."""
    found: dict[str, tuple[str, str]] = {}
    passed_over: Counter[str] = Counter()
    for entry in read_questions(path):
        reason = _refuse_shot(entry, file)
        if reason:
            passed_over[reason] += 1
        else:
            assert isinstance(entry, Question)
            found.setdefault(entry.question_id, (entry.question, entry.reference))
            if len(found) > 50 * number + 1000:  # only the best placed can still be drawn
                found = _first_by_rank(found, number, seed)
    if len(found) < number:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in passed_over.items()) or "none was passed over"
        raise InputError(
            f"{path}: expected at least {number} pairs to be shown as examples, found {len(found)}; "
            f"passed over: {reasons}. Lower shots or give a larger shots_path"
        )
    return list(_first_by_rank(found, number, seed).values())


def _refuse_shot(entry: Question | BadRecord, file: QuestionFile) -> str:
    if isinstance(entry, BadRecord):
        return "not usable"
    if entry.question_id in file.every_id:
        return "in the test file"
    if entry.doi and entry.doi in file.dois:
        return "of a paper of the test file"
    if not entry.reference:
        return "without an answer"
    return "too long" if len(entry.question) + len(entry.reference) > MAX_SHOT_CHARACTERS else ""


def _first_by_rank(found: dict[str, tuple[str, str]], number: int, seed: int) -> dict[str, tuple[str, str]]:
    return {name: found[name] for name in heapq.nsmallest(number, found, key=lambda name: rank(seed, "shot", name))}
