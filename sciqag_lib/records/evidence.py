"""What an evidence.json says of a paper: the file that 02_inference writes beside a processed output.

{"doi": "10.1/x", "journal": "PLOS ONE", "license": "CC BY", "sections": [{"title": "...", "start": 0, "end": 90}],
 "pairs": [{"Q": "How ...?", "A": "...", "evidence": [{"start": 12, "end": 40, "text": "..."}]}]}
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciqag_lib.errors import BadRecord
from sciqag_lib.records.dois import normalize_doi
from sciqag_lib.records.papers import Paper, QAPair, Section, read_records, read_sections
from sciqag_lib.records.qa_records import as_list, encode, read_pair

Key = tuple[str, str]  # question and answer


@dataclass
class Evidence:
    """Of one paper; all empty where the file has no such paper."""

    where: str = ""  # "record 17" of the file
    journal: str = ""
    license: str = ""
    sections: list[Section] = field(default_factory=list)
    spans: dict[Key, list[tuple[int, int]]] = field(default_factory=dict)  # offsets into Paper.txt
    texts: dict[Key, str] = field(default_factory=dict)  # the sentences, a space between them
    num_unfit: int = 0  # pairs whose spans are not where they say in the paper's text


class EvidenceFile:
    """An evidence.json, read once and forwards: it mostly has its papers in the order of the processed output. Records
    that are passed over wait in a temporary file, since those of 20,000 papers would fill the memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bad: list[BadRecord] = []  # records met that cannot be used
        self._records = self._read()
        self._passed: dict[str, int] = {}  # offset in the temporary file by the paper's key
        self._file = tempfile.TemporaryFile()

    def find(self, paper: Paper) -> Evidence:
        """What the file says of the paper, checked against its text."""
        return _check_evidence(*self._find_record(paper.key), paper)

    def _find_record(self, key: str) -> tuple[str, dict[str, Any]]:
        if key in self._passed:
            self._file.seek(self._passed[key])
            return tuple(json.loads(self._file.readline()))
        for where, record in self._records if key else ():
            found = normalize_doi(str(record.get("doi")))
            if found == key:
                return where, record
            self._passed.setdefault(found, self._file.seek(0, 2))
            self._file.write(json.dumps([where, record]).encode() + b"\n")
        return "", {}

    def _read(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for where, record in read_records(self.path) if self.path.exists() else ():
            if isinstance(record, BadRecord):
                self.bad.append(record)
            else:
                yield where, record


def _check_evidence(where: str, record: dict[str, Any], paper: Paper) -> Evidence:
    named = {key: encode(record[key]) for key in ("journal", "license") if isinstance(record.get(key), str)}
    evidence = Evidence(where, sections=read_sections(record.get("sections"), len(paper.txt)) or [], **named)
    for entry in as_list(record.get("pairs")):
        places = _read_places(entry, paper.txt)
        evidence.num_unfit += places is None
        if not isinstance(read_pair(entry), QAPair):
            continue
        key = (entry["Q"], entry["A"])
        if places is not None:
            evidence.spans[key] = places
        texts = [span.get("text") for span in as_list(entry.get("evidence")) if isinstance(span, dict)]
        if any(texts):
            evidence.texts[key] = encode(" ".join(str(text) for text in texts if text))
    return evidence


def _read_places(entry: Any, txt: str) -> list[tuple[int, int]] | None:
    """The spans of a pair; None where they are not where they say in the text."""
    try:
        spans = [(span["start"], span["end"], span["text"]) for span in entry["evidence"]]
    except (KeyError, TypeError):
        return None
    fits = all(type(start) is int and type(end) is int and 0 <= start < end and txt[start:end] == text
               for start, end, text in spans)  # fmt: skip
    return [span[:2] for span in spans] if fits and isinstance(entry.get("Q"), str) else None
