"""Papers with their question-answer pairs, as a processed inference output holds them, ours or published.

    {"doi": "10.1016-j.ab.2008.07.041.json", "txt": "...", "title": "...", "num_Q&A": 10,
     "Q&A": [{"Q": "...", "A": "..."}]}

A benchmark file, a list of {"Q", "A"} without papers, is read as well: each pair is then a paper without text.
`keywords`, `journal`, `license` (or `licence`), `category` and `sections` are optional.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciqag_lib.errors import BadRecord
from sciqag_lib.records.papers import Paper, QAPair, find_text_problem, has_surrogate, read_records, read_sections


@dataclass
class RepeatedPaper(BadRecord):
    """A second record of one DOI."""

    paper: Paper


def read_qa_records(path: str | Path) -> Iterator[Paper | BadRecord]:
    """The papers of a file, streamed. A record that cannot be used becomes a BadRecord; so does a single pair, and
    its paper follows without it. A second record of one DOI is a RepeatedPaper: its pairs would count twice.
    InputError where the file cannot be read."""
    seen: dict[str, str] = {}
    for where, record in read_records(path):
        if isinstance(record, BadRecord):
            yield record
            continue
        entries = [record] if "Q&A" not in record and "Q" in record else record.get("Q&A")
        problem = _find_problem(record, entries)
        if problem:
            yield BadRecord(str(path), where, *problem)
            continue
        paper = _read_paper(record, where)
        if paper.key in seen:
            paper.pairs = [QAPair(encode(entry["Q"]), encode(entry["A"])) for entry in entries if _is_pair(entry)]
            message = f"the same doi as {seen[paper.key]}; remove one of the two"
            yield RepeatedPaper(str(path), where, "doi", message, paper)
            continue
        if paper.key and "Q&A" in record:  # the pairs of a benchmark file may name the paper they come from
            seen[paper.key] = where
        for number, entry in enumerate(entries):
            pair = read_pair(entry)
            if isinstance(pair, str):
                yield BadRecord(str(path), where, f"Q&A[{number}]", pair)
            else:
                paper.pairs.append(pair)
        yield paper


def read_usable(path: str | Path, notes: list[str]) -> Iterator[Paper]:
    """The papers of read_qa_records; `notes` takes what cannot be used."""
    for item in read_qa_records(path):
        if isinstance(item, BadRecord):
            notes.append(str(item))
        else:
            yield item


def _read_paper(record: dict[str, Any], where: str) -> Paper:
    """Without its pairs. An optional value of a wrong type is left out."""
    keywords, txt = record.get("keywords"), record.get("txt") or ""
    values = {key: record.get(key) for key in ("journal", "category", "license")}
    values["license"] = next(filter(_is_text, (record.get("licence"), values["license"])), "")
    return Paper(
        record.get("doi") or "",
        txt,
        keywords if isinstance(keywords, str) else [word for word in as_list(keywords) if isinstance(word, str)],
        title=record.get("title") or "",
        sections=read_sections(record.get("sections"), len(txt)) or [],
        where=where,
        **{key: encode(value) for key, value in values.items() if _is_text(value)},
    )


def _find_problem(record: dict[str, Any], entries: Any) -> tuple[str, str] | None:
    """Field and message, or None."""
    if entries is None:
        return "Q&A", 'the key is missing; expected a list of {"Q", "A"}, as 02_inference writes it'
    if not isinstance(entries, list):
        return "Q&A", f'expected a list of {{"Q", "A"}}, found {type(entries).__name__} {entries!r:.60}'
    if "Q&A" in record and not str(record.get("doi") or "").strip():
        return "doi", "the key is missing or empty; expected a non-empty string"
    problems = ((key, find_text_problem(record.get(key) or None, False)) for key in ("doi", "txt", "title"))
    return next(((key, problem) for key, problem in problems if problem), None)


def read_pair(entry: Any) -> QAPair | str:
    """A pair, or what is wrong."""
    if not isinstance(entry, dict):
        return f'expected {{"Q", "A"}}, found {type(entry).__name__} {entry!r:.60}; this pair is left out'
    for key in ("Q", "A"):
        value = entry.get(key)
        if not isinstance(value, str) or not value.strip():
            return f"{key}: expected a non-empty string, found {value!r:.60}; this pair is left out"
        if has_surrogate(value):
            return f"{key}: it holds a lone surrogate, which no file can store; this pair is left out"
    return QAPair(entry["Q"], entry["A"])


def encode(text: str) -> str:
    """The text with "?" for a lone surrogate, which no file can store."""
    return text.encode("utf-8", "replace").decode()


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, dict) and all(_is_text(entry.get(key)) and entry[key].strip() for key in "QA")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
