"""Papers with their question-answer pairs, as a processed inference output holds them, ours or published.

    {"doi": "10.1016-j.ab.2008.07.041.json", "txt": "...", "title": "...", "num_Q&A": 10,
     "Q&A": [{"Q": "...", "A": "..."}]}

A benchmark file, a list of {"Q", "A"} without papers, is read as well: each pair is then a record of its own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciqag_lib.errors import BadRecord
from sciqag_lib.records.papers import Section, normalize_doi, read_records, read_sections

SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass
class QARecord:
    doi: str  # as written; "" for a pair of a benchmark file
    txt: str  # "" where the file holds no papers
    title: str
    pairs: list[tuple[str, str]] = field(default_factory=list)  # question, answer
    where: str = ""  # "record 17" or "line 3"
    sections: list[Section] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What to call the record in a message."""
        return self.doi or self.where

    @property
    def questions(self) -> list[str]:
        return [question for question, _ in self.pairs]


def read_qa_records(path: str | Path) -> Iterator[QARecord | BadRecord]:
    """The records of a file, streamed. A record that cannot be used becomes a BadRecord; so does a single pair, and
    its record follows without it. A second record of one doi is named as a BadRecord too: its pairs would count twice.
    InputError where the file cannot be read."""
    seen: dict[str, str] = {}
    for where, record in read_records(path):
        if isinstance(record, BadRecord):
            yield record
            continue
        entries = [record] if "Q&A" not in record and "Q" in record else record.get("Q&A")
        problem = _find_problem(record, entries)
        doi = "" if problem else normalize_doi(record.get("doi") or "")
        if doi in seen:
            problem = ("doi", f"the same doi as {seen[doi]}; remove one of the two")
        if problem:
            yield BadRecord(str(path), where, *problem)
            continue
        if doi and "Q&A" in record:  # the pairs of a benchmark file may name the paper they come from
            seen[doi] = where
        pairs = []
        for number, entry in enumerate(entries):
            pair = read_pair(entry)
            if isinstance(pair, str):
                yield BadRecord(str(path), where, f"Q&A[{number}]", pair)
            else:
                pairs.append(pair)
        txt = record.get("txt") or ""
        sections = read_sections(record.get("sections"), len(txt)) or []
        yield QARecord(record.get("doi") or "", txt, record.get("title") or "", pairs, where, sections)


class SectionFile:
    """The sections in an evidence.json, which mostly has its records in the order of the processed output beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = {record.get("doi") for record in self._read()}  # names only: sections of all papers fill memory
        self._records = self._read()

    def find(self, doi: str, length: int) -> list[Section]:
        """Those of the paper; [] where the file has none. `length` is that of the paper's text."""
        if doi not in self._known:
            return []
        found = next((record for record in self._records if record.get("doi") == doi), None)
        if found is None:  # it stands before the last one found
            self._records = self._read()
            found = next((record for record in self._records if record.get("doi") == doi), {})
        return read_sections(found.get("sections"), length) or []

    def _read(self) -> Iterator[dict[str, Any]]:
        records = (record for _, record in read_records(self._path)) if self._path.exists() else iter(())
        return (record for record in records if isinstance(record, dict) and isinstance(record.get("doi"), str))


def _find_problem(record: dict[str, Any], entries: Any) -> tuple[str, str] | None:
    """Field and message, or None."""
    if entries is None:
        return "Q&A", 'the key is missing; expected a list of {"Q", "A"}, as 02_inference writes it'
    if not isinstance(entries, list):
        return "Q&A", f'expected a list of {{"Q", "A"}}, found {type(entries).__name__} {entries!r:.60}'
    if "Q&A" in record and not str(record.get("doi") or "").strip():
        return "doi", "the key is missing or empty; expected a non-empty string"
    for key in ("doi", "txt", "title"):
        if not isinstance(record.get(key) or "", str):
            return key, f"expected a string, found {type(record[key]).__name__} {record[key]!r:.60}"
        if SURROGATE.search(record.get(key) or ""):
            return key, "it holds half a surrogate pair, which no UTF-8 file can store; remove that character"
    return None


def read_pair(entry: Any) -> tuple[str, str] | str:
    """Question and answer, or what is wrong."""
    if not isinstance(entry, dict):
        return f'expected {{"Q", "A"}}, found {type(entry).__name__} {entry!r:.60}; this pair is left out'
    for key in ("Q", "A"):
        value = entry.get(key)
        if not isinstance(value, str) or not value.strip():
            return f"{key}: expected a non-empty string, found {value!r:.60}; this pair is left out"
        if SURROGATE.search(value):
            return f"{key}: it holds half a surrogate pair, which no file can store; this pair is left out"
    return entry["Q"], entry["A"]
