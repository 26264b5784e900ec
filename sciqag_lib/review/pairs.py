"""The pairs that people review, and in which order: the same for every rater of the same file and seed.

A review reads a processed output, ours or published, and the evidence.json beside it where there is one (outputs.py);
evidence that it lacks, or that does not fit the paper's text, is looked for in the paper (grounding.py).

    review = open_review("data/qas.json", seed=0, num_pairs=100, pairs_per_paper=5)

What a person sees grows with each score, since RACAR's dimensions have contexts of their own: the question
alone until agnosticism is scored, then the paper too, and the answer with its evidence once relevance is scored.
Other than a judge, a person who scores reasonableness has read the question.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciqag_lib.checks.grounding import find_evidence, index_paper
from sciqag_lib.errors import InputError, check_parameters
from sciqag_lib.inference.seeds import digest_of
from sciqag_lib.racar.judging import Judging, make_judging
from sciqag_lib.records.evidence import EvidenceFile
from sciqag_lib.records.papers import Paper
from sciqag_lib.records.qa_records import read_usable
from sciqag_lib.text.sentences import Span

DIMENSIONS = ("agnosticism", "relevance", "completeness", "accuracy", "reasonableness")  # in the order of scoring
SHOWN = {"agnosticism": "question", "relevance": "question, paper"}  # of the others: question, paper, answer


@dataclass(frozen=True)
class ReviewPair:
    paper: Paper
    number: int  # of the pair within its paper, from 0, as in scores.parquet of 05_evaluation
    digest: str  # of question, answer and paper: what was scored before a change of these is no score of the new text
    spans: list[Span] | None = None  # its evidence as stored; None: it is looked for in the paper

    @property
    def key(self) -> tuple[str, int]:
        return self.paper.key, self.number

    @property
    def doi(self) -> str:
        return self.paper.doi

    @property
    def question(self) -> str:
        return self.paper.pairs[self.number].question

    @property
    def answer(self) -> str:
        return self.paper.pairs[self.number].answer


@dataclass
class Review:
    """What is reviewed, in its order; made by open_review."""

    file_path: Path
    judging: Judging  # the scale, and the prompt file with the dimensions' descriptions
    pairs: list[ReviewPair]
    papers: dict[str, Paper]  # by key
    bad: list[str]  # records and pairs that could not be used
    notes: list[str]
    _evidence: dict[str, "Future[dict[int, list[Span]]]"] = field(default_factory=dict, repr=False)
    _worker: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1), repr=False)

    def find_evidence(self, place: int) -> list[Span]:
        """Spans of the paper's text that the answer of the pair at `place` rests on; may wait, see begin."""
        return self.begin_evidence(place).result()[self.pairs[place].number]

    def begin_evidence(self, place: int) -> "Future[dict[int, list[Span]]]":
        """Have the evidence of all pairs of this one's paper looked for in the background: in a paper of 200,000
        characters that takes seconds, and its reader must not wait for them."""
        paper = self.pairs[place].paper
        if paper.key not in self._evidence:
            pairs = [pair for pair in self.pairs if pair.paper is paper]
            self._evidence[paper.key] = self._worker.submit(_find_all, pairs)
        return self._evidence[paper.key]

    def describe_dimension(self, name: str) -> dict[str, Any]:
        """{"name", "asks", "shown", "levels": [{"score", "label"}, the highest first]}."""
        asks = self.judging.prompt.texts["dimensions"][name]["asks"]
        levels = [{"score": score, "label": label} for score, label in self.judging.label_levels(name)]
        return {"name": name, "asks": asks, "shown": SHOWN.get(name, "question, paper, answer"), "levels": levels}


def open_review(
    file_path: str | Path,
    scale: str = "1-3",
    seed: int = 0,
    num_pairs: int | None = None,
    pairs_per_paper: int | None = None,
    prompt: str = "racar",
) -> Review:
    """The first `num_pairs` pairs of a file in an order drawn from `seed`, at most `pairs_per_paper` of each paper.

    The pairs of a paper follow each other, so that it is read once. A paper's and a pair's place depend on the seed
    and its own name alone: a file that has grown keeps the order of what it had, and more pairs come after fewer.
    Pairs without a paper are left out. InputError: the file can't be read or holds no pair with a paper, or a
    parameter is out of range.
    """
    for name, value in (("num_pairs", num_pairs), ("pairs_per_paper", pairs_per_paper)):
        check_parameters((name, value, value is None or value >= 1, "1 or more, or None for all"))
    judging = make_judging(scale=scale, prompt=prompt, seed=seed)
    path = Path(file_path)
    counts, bad, loose = _count_pairs(path)
    chosen = _choose_pairs(counts, seed, num_pairs, pairs_per_paper)
    if not chosen:
        first = f"; the first of {len(bad)} records at fault: {bad[0]}" if bad else ""
        raise InputError(f"{path}: expected papers with pairs to review, found none{first}")
    notes = [f"{loose:,} pairs without their paper's text are left out: nothing to read them against"] if loose else []
    evidence = EvidenceFile(path.parent / "evidence.json")
    papers, pairs = _read_chosen(path, set(chosen), evidence, notes)
    notes += [f"{record}; evidence is looked for in the paper instead" for record in evidence.bad]
    return Review(path, judging, [pairs[key] for key in chosen], papers, bad, notes)


def _count_pairs(path: Path) -> tuple[dict[str, int], list[str], int]:
    """Pairs of each paper, what is not usable, and the number of pairs without a paper. The texts are read later and
    only where they were drawn: those of 20,000 papers would fill the memory."""
    counts: dict[str, int] = {}
    bad: list[str] = []
    loose = 0
    for record in read_usable(path, bad):
        if record.txt.strip() and record.key and record.key not in counts:
            counts[record.key] = len(record.pairs)
        else:
            loose += len(record.pairs)
    return counts, bad, loose


def _choose_pairs(
    counts: dict[str, int], seed: int, num_pairs: int | None, pairs_per_paper: int | None
) -> list[tuple[str, int]]:
    chosen: list[tuple[str, int]] = []
    for key in sorted(counts, key=lambda key: digest_of([seed, key])):
        numbers = sorted(range(counts[key]), key=lambda number: digest_of([seed, key, number]))
        chosen += [(key, number) for number in numbers[:pairs_per_paper]]
        if num_pairs is not None and len(chosen) >= num_pairs:
            break
    return chosen[:num_pairs]


def _read_chosen(
    path: Path, chosen: set[tuple[str, int]], evidence: EvidenceFile, notes: list[str]
) -> tuple[dict[str, Paper], dict[tuple[str, int], ReviewPair]]:
    """The papers of these pairs by key, and the pairs by key and number; `notes` takes evidence that does not fit."""
    papers, pairs, wanted = {}, {}, {key for key, _ in chosen}
    for paper in read_usable(path, []):
        if paper.key not in wanted or paper.key in papers:
            continue
        papers[paper.key] = paper
        text, stored = digest_of(paper.txt), evidence.find(paper)
        if stored.num_unfit:
            notes.append(
                f"{evidence.path}, {stored.where}: the evidence of {stored.num_unfit} pairs is not that of {paper.doi} "
                "as the reviewed file has it; it is looked for in the paper instead"
            )
        for number, pair in enumerate(paper.pairs):
            if (paper.key, number) in chosen:
                digest = digest_of([text, pair.question, pair.answer])
                spans = stored.spans.get((pair.question, pair.answer))
                pairs[paper.key, number] = ReviewPair(paper, number, digest, spans)
    return papers, pairs


def _find_all(pairs: list[ReviewPair]) -> dict[int, list[Span]]:
    """The evidence of pairs of one paper, by their numbers."""
    found = {}
    for pair in pairs:
        spans = pair.spans if pair.spans is not None else find_evidence(pair.answer, index_paper(pair.paper.txt))[0]
        found[pair.number] = merge_spans(spans)
    return found


def merge_spans(spans: list[Span]) -> list[Span]:
    """The same places in order, without overlaps, so that a text can be cut at them."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def cut_text(txt: str, spans: list[Span]) -> Iterator[tuple[str, bool]]:
    """The pieces of a text in order, and whether each is evidence; `spans` as merge_spans gives them."""
    at = 0
    for start, end in spans:
        if start > at:
            yield txt[at:start], False
        yield txt[start:end], True
        at = end
    if at < len(txt):
        yield txt[at:], False
