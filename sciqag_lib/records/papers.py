"""Papers and their question-answer pairs, and the published JSON files that hold them.

The format is SciQAG's (arXiv 2405.09939). One record of an inference input file:

    {"source": "plos.xml", "doi": "10.1371/journal.pone.0000217", "abstract": "...",
     "keywords": ["gene flow"], "txt": "Full text ...", "title": "..."}

`doi`, `txt` and `keywords` are required, `keywords` is a string or a list of strings. Two more keys are
written where they are known and ignored by readers of the published format: `journal`, `license`, and `sections`
(a list of {"title", "start", "end"}, character offsets into `txt`).
"""

import json
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ijson

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.records.dois import normalize_doi

PAPER_KEYS = ("source", "doi", "abstract", "keywords", "txt", "title")  # published order


@dataclass
class Section:
    title: str
    start: int  # offset in Paper.txt of the section's first character, its heading included
    end: int  # offset one past its last character


@dataclass
class QAPair:
    question: str
    answer: str
    origin: str = "generated"  # "extracted": the answer is the paper's own sentence
    evidence: list[tuple[int, int]] = field(default_factory=list)  # spans of Paper.txt, start and end
    support: list[float] = field(default_factory=list)  # 0-1, one per sentence of a generated answer
    numbers: list[dict[str, Any]] = field(default_factory=list)  # each number of the answer, found or not


@dataclass
class Paper:
    doi: str  # as written; "" for a pair of a benchmark file
    txt: str  # every character offset in this project refers to this text
    keywords: str | list[str]
    source: str = ""  # the file it came from
    abstract: str = ""
    title: str = ""
    journal: str = ""
    license: str = ""  # "CC BY", "public domain" or the first words of what the paper says
    sections: list[Section] = field(default_factory=list)
    category: str = ""
    pairs: list[QAPair] = field(default_factory=list)
    where: str = field(default="", compare=False)  # "record 17" or "line 3" of the file it was read from
    key: str = field(init=False, compare=False)  # the normalized DOI, by which papers are told apart

    def __post_init__(self) -> None:
        self.key = normalize_doi(self.doi)

    @property
    def name(self) -> str:
        """What to call the paper in a message."""
        return self.doi or self.where

    @property
    def questions(self) -> list[str]:
        return [pair.question for pair in self.pairs]


# Reading the published JSON: a list of records or JSON Lines, streamed, so that 22,743 papers take no more memory
# than the longest of them.

CHUNK_BYTES = 1 << 16
MAX_DEPTH = 50  # real records nest three levels; a file of "[[[[..." must not fill the memory
OPTIONAL_TEXT = ("source", "abstract", "title", "journal", "license")


def read_records(path: str | Path) -> Iterator[tuple[str, dict[str, Any] | BadRecord]]:
    """The records of a JSON list or a JSON Lines file, each with its name ("record 17" or "line 3"), in flat memory.

    A record that is no object becomes a BadRecord. A broken list ends with one BadRecord that names the record and the
    lines in which it breaks; a broken line of JSON Lines is one BadRecord and the next line goes on. InputError: the
    file can't be opened, or holds neither form.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(CHUNK_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the path of a JSON file") from error
    start = head.removeprefix(BOM_UTF8).lstrip()[:1]
    if start == b"[":
        yield from _read_list(path)
    elif start == b"{":
        yield from _read_lines(path) if _is_json_lines(path) else _read_list(path)
    else:
        found = f"it starts with {start.decode('latin-1')!r}" if start else "it is empty"
        raise InputError(f"{path}: expected a JSON list of records, or one JSON object a line, but {found}")


def read_papers_json(
    path: str | Path, required: Iterable[str] = ("doi", "txt", "keywords")
) -> Iterator[Paper | BadRecord]:
    """The papers of a published JSON file, streamed; a record with a missing or mistyped key becomes a BadRecord.

    Unknown keys are ignored, `doi` is kept as written. A key that is not in `required` may be absent or null
    and is then empty. InputError as `read_records`.
    """
    required = tuple(required)
    for where, record in read_records(path):
        yield record if isinstance(record, BadRecord) else _check_paper(record, str(path), where, required)


def paper_record(paper: Paper) -> dict[str, Any]:
    """The published record: its six keys in order, absent ones empty; journal, license and sections where known."""
    record: dict[str, Any] = {key: getattr(paper, key) for key in PAPER_KEYS}
    for key in ("journal", "license"):
        if getattr(paper, key):
            record[key] = getattr(paper, key)
    if paper.sections:
        record["sections"] = [asdict(section) for section in paper.sections]
    return record


def _check_paper(record: dict[str, Any], file: str, where: str, required: tuple[str, ...]) -> Paper | BadRecord:
    for key in ("doi", "txt", *OPTIONAL_TEXT):
        problem = find_text_problem(record.get(key), key in required)
        if problem:
            return BadRecord(file, where, key, problem)
    keywords = record.get("keywords")
    problem = _keywords_problem(keywords, "keywords" in required)
    if problem:
        return BadRecord(file, where, "keywords", problem)
    sections = read_sections(record.get("sections"), len(record.get("txt") or ""))
    if sections is None:
        expected = 'expected a list of {"title", "start", "end"} with offsets inside txt; correct or remove the key'
        return BadRecord(file, where, "sections", f"{expected}, found {str(record['sections'])[:80]}")
    texts = {key: record.get(key) or "" for key in ("doi", "txt", *OPTIONAL_TEXT)}
    return Paper(keywords=[] if keywords is None else keywords, sections=sections, where=where, **texts)


def find_text_problem(value: Any, required: bool) -> str:
    """What is wrong with a text value, or ""; None is a missing one."""
    if value is None:
        return "the key is missing; expected a non-empty string" if required else ""
    if not isinstance(value, str):
        return f"expected a string, found {type(value).__name__} {str(value)[:40]!r}"
    if required and not value.strip():
        return "it is empty; expected a non-empty string"
    if has_surrogate(value):
        return "it holds a lone surrogate, which UTF-8 cannot encode; remove that character"
    return ""


def has_surrogate(text: str) -> bool:
    """Whether it holds a lone surrogate, which no UTF-8 file can store; many times as fast as a regular expression."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _keywords_problem(value: Any, required: bool) -> str:
    if value is None:
        return "the key is missing; expected a string or a list of strings" if required else ""
    values = value if isinstance(value, list) else [value]
    problems = [find_text_problem(item, False) or ("null" if item is None else "") for item in values]
    wrong = next((number for number, problem in enumerate(problems) if problem), None)
    if wrong is None:
        return ""
    place = f"item {wrong + 1}: " if isinstance(value, list) else ""
    return f"expected a string or a list of strings, found {place}{type(values[wrong]).__name__} {values[wrong]!r:.40}"


def read_sections(value: Any, length: int) -> list[Section] | None:
    """The sections of a record; None where they are not what this module writes."""
    try:
        sections = [Section(str(item["title"]), item["start"], item["end"]) for item in value or []]
        fits = all(type(s.start) is int and type(s.end) is int and 0 <= s.start <= s.end <= length
                   and not find_text_problem(s.title, False) for s in sections)  # fmt: skip
    except (TypeError, KeyError):
        return None
    return sections if fits else None


def _is_json_lines(path: Path) -> bool:
    """Whether a file that starts with "{" holds one record a line, and not one record over several lines."""
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return True
    with path.open("rb") as file:
        first = next((line for line in file if line.strip()), b"")
    try:
        json.loads(first.decode("utf-8-sig"))
        return True
    except (ValueError, RecursionError):
        # '{' alone, or '{"doi": "...",': the record goes on in the next line.
        return not first.rstrip().endswith((b"{", b",", b"[", b":"))


def _read_lines(path: Path) -> Iterator[tuple[str, dict[str, Any] | BadRecord]]:
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            where, offset = f"line {number}", offset + len(line)
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode("utf-8-sig"))
            except UnicodeDecodeError as error:
                place = offset - len(line) + error.start
                yield where, BadRecord(str(path), where, "", f"not valid UTF-8 at byte {place}: save the file as UTF-8")
            except json.JSONDecodeError as error:
                yield where, BadRecord(str(path), where, "", f"broken JSON at column {error.colno}: {error.msg}")
            except (ValueError, RecursionError) as error:
                yield where, BadRecord(str(path), where, "", f"JSON that cannot be read: {error}")
            else:
                yield where, record if isinstance(record, dict) else _not_a_record(path, where, record)


def _not_a_record(path: Path, where: str, value: Any) -> BadRecord:
    return BadRecord(str(path), where, "", f"expected a JSON object, found {type(value).__name__} {value!r:.60}")


def _read_list(path: Path) -> Iterator[tuple[str, dict[str, Any] | BadRecord]]:
    """The records of a list, or of objects one after the other, read in chunks.

    ijson only parses here, its `items` is not used: it yields nothing of a chunk that breaks at its end, and its
    memory grows with the square of the depth.
    """
    number, line, error = 0, 1, ""
    builder, parser = _RecordBuilder(), _Parser()
    with path.open("rb") as file:
        if file.read(len(BOM_UTF8)) != BOM_UTF8:
            file.seek(0)
        while not error:
            offset = file.tell()
            chunk = file.read(CHUNK_BYTES)
            error = parser.feed(chunk)
            first, line = line, line + chunk.count(b"\n")
            if error:
                error = f"broken JSON in lines {first} to {line} (after byte {offset}): {error}"
            for record in builder.take(parser.events):
                number += 1
                where = f"record {number}"
                yield where, record if isinstance(record, dict) else _not_a_record(path, where, record)
            error = builder.error or error
            if not chunk:
                break
    if error:
        where = f"record {number + 1}"
        yield where, BadRecord(str(path), where, "", f"{error}; nothing from here on was read, correct it there")


class _Parser:
    """ijson fed with chunks; the events of all that parsed so far lie in `events`, also where a chunk breaks."""

    def __init__(self) -> None:
        self.events = ijson.sendable_list()
        self._coroutine = ijson.basic_parse_coro(self.events, use_float=True, multiple_values=True)

    def feed(self, data: bytes) -> str:
        """What is wrong with the data, or ""; no data at all is the end of the file."""
        try:
            if data:
                self._coroutine.send(data)
            else:
                self._coroutine.close()
        except (ijson.JSONError, ValueError) as error:
            detail = error.args[0] if error.args else ""
            detail = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
            return detail.splitlines()[0].strip(" .") if detail else "not JSON"
        return ""


class _RecordBuilder:
    """Puts the parser's events together to the items of a top-level list, or to top-level values."""

    def __init__(self) -> None:
        self.error = ""
        self._in_list = False
        self._depth = 0  # inside the record being built
        self._builder: ijson.ObjectBuilder | None = None

    def take(self, events: list[tuple[str, Any]]) -> Iterator[Any]:
        """The records that these events complete; the list of events is emptied."""
        for event, value in events:
            if self._builder is None:
                if event == ("end_array" if self._in_list else "start_array"):
                    self._in_list = not self._in_list
                    continue
                self._builder = ijson.ObjectBuilder()
            self._builder.event(event, value)
            self._depth += event.startswith("start_") - event.startswith("end_")
            if self._depth > MAX_DEPTH:
                self.error = f"JSON nested more than {MAX_DEPTH} deep"
                return
            if self._depth == 0:
                yield self._builder.value
                self._builder = None
        events.clear()
