"""Sentence coverage of a whole file: every paper's sentences and pairs embedded, measured, and put into tables.

Rows of coverage.parquet (also .csv; `d_random` is the definition's value for random scores on the same paper):

    doi,questions,sentences,top,pooled,pooled_random,pooled_difference,individual,...,union,...
    10.1371/journal.pone.0000217,10,164,24,0.8,0.9280,-0.1280,...

sections: how many sentences of each section, its heading not among them, some pair touches (is among the pair's k
best); stretches: runs of sentences that none touches, the longest of each paper; top_sentences: the ten best
sentences of each pair.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from sciqag_lib.analysis.coverage import (
    DEFINITIONS,
    NUM_CHUNKS,
    TOP_SHARE,
    count_top,
    find_untouched,
    measure_coverage,
    measure_random,
    rank_sentences,
    share_touched,
    touch_sentences,
)
from sciqag_lib.checks.answer_numbers import NumberCounts, count_numbers
from sciqag_lib.engines.embeddings import Embedder
from sciqag_lib.errors import InputError, first_note
from sciqag_lib.metrics.intervals import Estimate, bootstrap_mean
from sciqag_lib.records.evidence import EvidenceFile
from sciqag_lib.records.papers import Paper, Section
from sciqag_lib.records.qa_records import read_usable
from sciqag_lib.tables import TableWriter, write_report, write_tables
from sciqag_lib.text.sentences import split_sentences

if TYPE_CHECKING:
    import pandas

VERSION = 2
PUBLISHED = {"pooled": 0.68, "individual": 0.6423, "union": 0.786}
TOP_LISTED = 10  # sentences of each pair, as in the published scatter
MIN_STRETCH, STRETCHES = 5, 3  # sentences; stretches listed of each paper
ENDS = ("", "_random", "_difference")  # of the columns of a definition
COLUMNS = {
    "coverage": {"doi": "text", "questions": "whole", "sentences": "whole", "top": "whole"}
    | {name + end: "real" for name in DEFINITIONS for end in ENDS},
    "top_sentences": {"doi": "text"}
    | dict.fromkeys(("question", "rank", "sentence", "start", "end"), "whole")
    | {"score": "real"},
    "sections": dict.fromkeys(("doi", "section"), "text")
    | dict.fromkeys(("start", "end", "sentences", "touched"), "whole"),
    "stretches": {"doi": "text"}
    | dict.fromkeys(("first", "last", "start", "end", "sentences"), "whole")
    | {"begins": "text"},
}


@dataclass
class ScoredPaper:
    """One paper's cosine scores: what the figures are drawn from."""

    record: Paper
    spans: list[tuple[int, int]]  # of its sentences, in txt
    scores: np.ndarray  # float32 (pairs, sentences)


@dataclass
class CoverageReport:
    """Contents of coverage.json."""

    model: str
    num_chunks: int
    top_share: float
    num_papers: int
    num_pairs: int
    values: dict[str, Estimate]  # each definition's mean over papers, 95% interval
    random: dict[str, Estimate]  # the same of random scores
    difference: dict[str, Estimate]  # value less random, paper by paper
    sections_untouched: int  # sections with sentences that no pair touches
    sections: int
    notes: list[str] = field(default_factory=list)  # what was left out, and why
    version: int = VERSION

    def to_frame(self) -> "pandas.DataFrame":
        """Each definition beside random scores on the same papers; the definitions are not comparable."""
        import pandas

        kinds = {"mean": self.values, "random scores": self.random, "difference": self.difference}
        return pandas.DataFrame(kinds | {"published": PUBLISHED}).map(str)


def score_papers(records: Iterator[Paper], embedder: Embedder, notes: list[str]) -> Iterator[ScoredPaper]:
    """The cosine of every pair (its question and answer, after the model's retrieval instruction where it has one) to
    every sentence of its paper. A record without text, pairs or finite scores becomes a note."""
    groups = (
        ((record, spans), [record.txt[start:end] for start, end in spans])
        for record in records
        if (spans := _find_sentences(record, notes))
    )
    for (record, spans), sentences in embedder.embed_groups(groups, "document"):
        pairs = embedder.embed([f"{pair.question} {pair.answer}" for pair in record.pairs], "query")
        scores = pairs @ sentences.T
        if np.isfinite(scores).all():
            yield ScoredPaper(record, spans, scores)
        else:
            notes.append(f"{record.name}: the model gives no numbers (nan) for its text; left out")


def _find_sentences(record: Paper, notes: list[str]) -> list[tuple[int, int]]:
    spans = split_sentences(record.txt) if record.pairs else []
    if not record.pairs:
        notes.append(f"{record.name}: no question-answer pair, so there is nothing to measure")
    elif not spans:
        notes.append(f"{record.name}: its text is empty, so there is nothing to cover")
    return spans


def read_papers_with_qas(
    file_path: str | Path, notes: list[str], limit: int | None = None, evidence_path: Path | None = None
) -> Iterator[Paper]:
    """The usable records, with the sections of an evidence.json where they have none of their own."""
    evidence = EvidenceFile(evidence_path or Path(file_path).parent / "evidence.json")
    for record in islice(read_usable(file_path, notes), limit):
        record.sections = record.sections or evidence.find(record).sections
        yield record


def analyse_coverage(
    file_path: str | Path,
    output_dir: str | Path,
    embedder: Embedder,
    num_chunks: int = NUM_CHUNKS,
    top_share: float = TOP_SHARE,
    limit: int | None = None,
    seed: int = 0,
    evidence_path: Path | None = None,
) -> CoverageReport:
    """Measure every paper of `file_path` and write the tables of COLUMNS (.parquet and .csv) and coverage.json.

    Raises InputError where a parameter is off, or no paper can be measured.
    """
    if num_chunks < 1 or not 0 < top_share <= 1:
        raise InputError(
            f"expected num_chunks of at least 1 and top_share over 0, at most 1; found {num_chunks!r} and {top_share!r}"
        )
    import pandas

    output_dir, notes, rows, places = Path(output_dir), [], [], []
    records = read_papers_with_qas(file_path, notes, limit, evidence_path)
    with write_tables(output_dir, COLUMNS) as tables:
        for paper in tqdm(score_papers(records, embedder, notes), unit="paper", desc="covering"):
            rows.append(measure_paper(paper, num_chunks, top_share, seed))
            if not rows[-1]["top"]:
                notes.append(
                    f"{paper.record.name}: {len(paper.spans)} sentences, of which {top_share:.0%} is less than "
                    "one, so it has no value"
                )
            _add_top_sentences(tables["top_sentences"], paper)
            places += _add_places(tables, paper, top_share) if rows[-1]["top"] else []
        if not rows:
            raise InputError(f"{file_path}: holds no paper with text and pairs{first_note(notes)}")
        tables["coverage"].add(rows)
    table = pandas.DataFrame(rows)
    report = CoverageReport(
        embedder.model_id,
        num_chunks,
        top_share,
        len(table),
        int(table["questions"].sum()),
        *({name: bootstrap_mean(table[name + end], table.index, seed) for name in DEFINITIONS} for end in ENDS),
        sections_untouched=sum(not touched for sentences, touched in places if sentences),
        sections=sum(sentences > 0 for sentences, _ in places),
        notes=notes,
    )
    write_report(output_dir / "coverage.json", report)
    return report


def measure_paper(paper: ScoredPaper, num_chunks: int, top_share: float, seed: int) -> dict[str, Any]:
    """A row of coverage.parquet."""
    num_pairs, num_sentences = paper.scores.shape
    found = measure_coverage(paper.scores, num_chunks, top_share)
    random = measure_random(num_pairs, num_sentences, paper.record.doi, seed, num_chunks, top_share)
    top = count_top(num_sentences, top_share)
    row = {"doi": paper.record.doi, "questions": num_pairs, "sentences": num_sentences, "top": top}
    for name in DEFINITIONS:
        values = found[name], random[name], found[name] - random[name]
        row |= {name + end: round(value, 4) for end, value in zip(ENDS, values)}
    return row


def _add_top_sentences(table: TableWriter, paper: ScoredPaper) -> None:
    for question, places in enumerate(rank_sentences(paper.scores, TOP_LISTED).tolist()):
        for rank, place in enumerate(places, start=1):
            score = round(float(paper.scores[question, place]), 4)
            table.add_row(paper.record.doi, question, rank, place, *paper.spans[place], score)


def _add_places(tables: dict[str, TableWriter], paper: ScoredPaper, top_share: float) -> list[tuple[int, int]]:
    """Adds the sections and stretches of a paper; how many sentences each section has, and how many are touched."""
    record, spans, touched = paper.record, paper.spans, touch_sentences(paper.scores, top_share)
    counts = []
    for section in record.sections:
        hit, sentences = share_touched(spans, touched, _skip_heading(section, record.txt), section.end)
        counts.append((sentences, hit))
        tables["sections"].add_row(record.doi, section.title, section.start, section.end, sentences, hit)
    for first, end in find_untouched(touched, MIN_STRETCH)[:STRETCHES]:
        start, stop = spans[first][0], spans[end - 1][1]
        begins = record.txt[start : start + 80]
        tables["stretches"].add_row(record.doi, first, end - 1, start, stop, end - first, begins)
    return counts


def _skip_heading(section: Section, txt: str) -> int:
    """Where the section's text begins: a heading alone is nothing that a question could be about."""
    line_end = txt.find("\n", section.start, section.end)
    first_line = txt[section.start : section.end if line_end < 0 else line_end].strip()
    return section.start + len(first_line) if section.title.endswith(first_line) else section.start


def count_answer_numbers(file_path: str | Path, limit: int | None = None) -> NumberCounts:
    """The numbers of the answers of every paper with text, looked up in it and in another paper."""
    records = read_papers_with_qas(file_path, [], limit)
    return count_numbers(record for record in records if record.txt.strip())


def score_one_paper(
    file_path: str | Path, embedder: Embedder, doi: str | None = None, evidence_path: Path | None = None
) -> ScoredPaper:
    """The scores of one paper, of the first that can be measured where `doi` is None. InputError: there is none."""
    notes: list[str] = []
    for record in read_papers_with_qas(file_path, notes, None, evidence_path):
        if doi in (None, record.doi):  # one at a time: read ahead, the papers after it would be encoded too
            paper = next(score_papers(iter([record]), embedder, notes), None)
            if paper is not None:
                return paper
    raise InputError(f"{file_path}: holds no paper {doi or 'with text and pairs'}" + (f": {notes[0]}" if notes else ""))
