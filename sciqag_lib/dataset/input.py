"""The pairs of a file as a build takes them, in one frame: read_qa_records with what evidence.json says beside them.

One row per pair, in the order of the file: the columns of pairs.py that are known by now, and

- `where`: "record 17", as 05_evaluation's tables call the record; `key`: the normalized DOI, "" where there is none
- `paper`: the key, or a hash of the question where a pair names no paper
- `same_doi`: the paper is in the file before, so the record is not used
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from sciqag_lib.checks.duplicates import digest_question
from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.records.categories import CategoryFinder
from sciqag_lib.records.evidence import EvidenceFile
from sciqag_lib.records.papers import Paper
from sciqag_lib.records.qa_records import RepeatedPaper, read_qa_records

if TYPE_CHECKING:
    import pandas as pd

MAX_NOTES = 1000  # a file may be bad from end to end


@dataclass
class Messages:
    """What a build has to say: warnings, and the first notes."""

    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def note(self, message: str) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append(message)


@dataclass
class BuildInput:
    pairs: "pd.DataFrame"
    papers: "pd.DataFrame"  # paper, doi, title, journal, category; each once, in the order of the file
    num_records: int  # that could be read
    num_bad: int  # records and pairs that could not


def read_input(path: Path, finder: CategoryFinder, messages: Messages) -> BuildInput:
    """Read a file. InputError: it cannot be read, or holds no pair."""
    import pandas as pd

    evidence, num_bad = EvidenceFile(path.parent / "evidence.json"), 0
    records, pairs = [], []
    for number, item in tqdm(number_records(path), unit="record", desc="reading"):
        paper = item.paper if isinstance(item, RepeatedPaper) else item
        if isinstance(paper, BadRecord):
            num_bad += 1
            messages.note(name_file(paper))
            continue
        if paper is not item:
            messages.note(f"{name_file(item)}; its {len(paper.pairs)} pairs are dropped")
        found = evidence.find(paper if paper is item else Paper("", "", []))
        journal = paper.journal or found.journal
        records.append(
            {
                "record": number,
                "where": paper.where,
                "doi": paper.doi,
                "key": paper.key,
                "paper": paper.key or "question:" + digest_question((paper.questions or [paper.where])[0]).hex(),
                "title": paper.title,
                "journal": journal,
                "category": finder.find({"category": paper.category, "journal": journal}),
                "licence": paper.license or found.license or None,
                "same_doi": paper is not item,
            }
        )
        pairs += [
            (number, place, pair.question, pair.answer, found.texts.get((pair.question, pair.answer)))
            for place, pair in enumerate(paper.pairs)
        ]
    if not pairs:
        raise InputError("; ".join([f"{path}: holds no pair to build from", *messages.notes[:1]]))
    of_records = pd.DataFrame(records).astype({"category": "str", "licence": "str"})
    papers = of_records.drop_duplicates("paper")[["paper", "doi", "title", "journal", "category"]]
    of_records["category"] = of_records["paper"].map(papers.set_index("paper")["category"])
    of_pairs = pd.DataFrame(pairs, columns=["record", "pair", "question", "answer", "evidence"])
    return BuildInput(
        of_pairs.astype({"evidence": "str"}).merge(of_records, on="record", how="left"),
        papers.reset_index(drop=True),
        len(records),
        num_bad,
    )


def number_records(path: Path) -> Iterator[tuple[int, Paper | BadRecord]]:
    """The items of read_qa_records, each with the place of its record in the file, from 0."""
    number, last = -1, ""
    for item in read_qa_records(path):
        where = item.record if isinstance(item, BadRecord) else item.where
        number, last = number + (where != last), where  # a record whose pair is bad comes twice
        yield number, item


def name_file(bad: BadRecord) -> str:
    """The message with the file's name alone: reports and cards are read on other machines."""
    return str(replace(bad, file=Path(bad.file).name))
