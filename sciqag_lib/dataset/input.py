"""The records of a file as a build takes them: read_qa_records, and what else the record says of its paper.

Beside `doi`, `title` and "Q&A" a record may hold `category`, `journal` and `licence` (or `license`). The evidence of
its pairs, and the journal where the record has none, are taken from the evidence.json that 02_inference writes beside a
processed output:

    {"doi": "10.1/x", "journal": "PLOS ONE", "pairs": [{"Q": "How ...?", "A": "...", "evidence": [{"text": "..."}]}]}
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sciqag_lib.checks.duplicates import digest_question
from sciqag_lib.errors import BadRecord
from sciqag_lib.records.categories import CategoryFinder
from sciqag_lib.records.papers import normalize_doi, read_records
from sciqag_lib.records.qa_records import QARecord, read_qa_records


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
    pairs: list[tuple[str, str]]
    evidence: dict[tuple[str, str], str]  # of a question and its answer: the sentences, a space between them
    problem: str = ""  # why the record is not used: its paper stands in the file before

    @property
    def name(self) -> str:
        return self.doi or self.where


def read_input(path: Path, finder: CategoryFinder, evidence: "EvidenceFile") -> Iterator[InputRecord | BadRecord]:
    """The records in order, streamed; the second of two records with one DOI has a `problem`, and its pairs.
    InputError: the file cannot be read."""
    seen: set[str] = set()
    raw_records = enumerate(read_records(path))
    number, (where, raw) = -1, ("", None)
    for item in read_qa_records(path):
        wanted = item.record if isinstance(item, BadRecord) else item.where
        while where != wanted:  # a record whose pair is bad comes twice
            number, (where, raw) = next(raw_records)
        if isinstance(item, QARecord):
            if item.doi and "Q&A" in raw:
                seen.add(normalize_doi(item.doi))
            yield _make_record(number, item, raw, finder, evidence.find(item.doi))
        elif item.field == "doi" and isinstance(raw, dict) and normalize_doi(str(raw.get("doi") or "")) in seen:
            pairs = [(_mend(entry["Q"]), _mend(entry["A"])) for entry in raw.get("Q&A", [raw]) if _is_pair(entry)]
            record = QARecord(raw["doi"], "", _mend(str(raw.get("title") or "")), pairs, where)
            yield replace(_make_record(number, record, raw, finder, {}), problem=name_file(item))
        else:
            yield item


def _make_record(
    number: int, item: QARecord, raw: dict[str, Any], finder: CategoryFinder, beside: dict[str, Any]
) -> InputRecord:
    """`beside`: the paper's record in evidence.json, {} where it has none."""
    paper = normalize_doi(item.doi)
    if not paper:
        paper = "question:" + digest_question(item.questions[0] if item.pairs else item.where).hex()
    licences = [
        _mend(found)
        for found in (raw.get("licence"), raw.get("license"), beside.get("license"))
        if isinstance(found, str) and found
    ]
    named = {key: raw.get(key) or beside.get(key) for key in ("category", "journal")}
    named = {key: _mend(value) if isinstance(value, str) else value for key, value in named.items()}
    journal = named["journal"] if isinstance(named["journal"], str) else ""
    return InputRecord(
        number,
        item.where,
        item.doi,
        paper,
        item.title,
        journal,
        finder.find(named),
        licences[0] if licences else None,
        item.pairs,
        dict(_list_evidence(beside)),
    )


def name_file(bad: BadRecord) -> str:
    """The message with the file's name alone: reports and cards are read on other machines."""
    return str(replace(bad, file=Path(bad.file).name))


def _mend(text: str) -> str:
    """Half a surrogate pair, which no file can store, as "?"."""
    return text.encode("utf-8", "replace").decode()


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, dict) and all(isinstance(entry.get(key), str) and entry[key].strip() for key in "QA")


class EvidenceFile:
    """The evidence.json beside a processed output, which has its papers in the same order; read once, forwards."""

    def __init__(self, path: Path) -> None:
        self._records = (record for _, record in read_records(path)) if path.exists() else iter(())
        known = (record for _, record in read_records(path)) if path.exists() else iter(())
        self._ahead = {normalize_doi(str(record.get("doi"))) for record in known if isinstance(record, dict)}
        self._passed: set[str] = set()
        self.num_late = 0  # papers that were asked for after their turn, so that their evidence was not found

    def find(self, doi: str) -> dict[str, Any]:
        """The paper's record, {} where there is none."""
        wanted = normalize_doi(doi)
        while wanted and wanted in self._ahead:
            record = next(self._records)
            if not isinstance(record, dict):
                continue
            found = normalize_doi(str(record.get("doi")))
            self._ahead.discard(found)
            if found == wanted:
                return record
            self._passed.add(found)
        self.num_late += wanted in self._passed
        return {}


def _list_evidence(record: dict[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    for pair in record.get("pairs") or []:
        if _is_pair(pair):
            spans = [span for span in pair.get("evidence") or [] if isinstance(span, dict)]
            texts = [str(span["text"]) for span in spans if span.get("text")]
            if texts:
                yield (pair["Q"], pair["A"]), _mend(" ".join(texts))
