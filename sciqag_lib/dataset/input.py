"""The records of a file as a build takes them: read_qa_records, and what else the record says of its paper.

Beside `doi`, `title` and "Q&A" a record may hold `category`, `journal` and `licence` (or `license`). The evidence of
its pairs, and the journal where the record has none, are taken from the evidence.json that 02_inference writes beside a
processed output:

    {"doi": "10.1/x", "journal": "PLOS ONE", "pairs": [{"Q": "How ...?", "A": "...", "evidence": [{"text": "..."}]}]}
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sciqag_lib.checks.duplicates import digest_question
from sciqag_lib.errors import BadRecord
from sciqag_lib.records.categories import CategoryFinder
from sciqag_lib.records.evidence import Evidence, EvidenceFile
from sciqag_lib.records.papers import Paper, QAPair
from sciqag_lib.records.qa_records import RepeatedPaper, read_qa_records


@dataclass
class InputRecord:
    number: int  # its place in the file, from 0
    where: str  # "record 17", as messages and 05_evaluation's tables call it
    doi: str  # as written
    paper: str  # key of its paper: the normalised doi; of a pair that names none, a hash of its question
    title: str
    journal: str
    category: str | None
    licence: str | None
    pairs: list[QAPair]
    evidence: dict[tuple[str, str], str]  # of a question and its answer: the sentences, a space between them
    problem: str = ""  # why the record is not used: its paper stands in the file before

    @property
    def name(self) -> str:
        return self.doi or self.where


def read_input(path: Path, finder: CategoryFinder, evidence: EvidenceFile) -> Iterator[InputRecord | BadRecord]:
    """The records in order, streamed; the second of two records with one DOI has a `problem`, and its pairs.
    InputError: the file cannot be read."""
    number, last = -1, ""
    for item in read_qa_records(path):
        where = item.record if isinstance(item, BadRecord) else item.where
        number, last = number + (where != last), where  # a record whose pair is bad comes twice
        if isinstance(item, Paper):
            yield _make_record(number, item, finder, evidence.find(item))
        elif isinstance(item, RepeatedPaper):
            yield replace(_make_record(number, item.paper, finder, Evidence()), problem=name_file(item))
        else:
            yield item


def _make_record(number: int, paper: Paper, finder: CategoryFinder, evidence: Evidence) -> InputRecord:
    journal = paper.journal or evidence.journal
    key = paper.key or "question:" + digest_question(paper.questions[0] if paper.pairs else paper.where).hex()
    return InputRecord(
        number,
        paper.where,
        paper.doi,
        key,
        paper.title,
        journal,
        finder.find({"category": paper.category, "journal": journal}),
        paper.license or evidence.license or None,
        paper.pairs,
        evidence.texts,
    )


def name_file(bad: BadRecord) -> str:
    """The message with the file's name alone: reports and cards are read on other machines."""
    return str(replace(bad, file=Path(bad.file).name))
