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
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sciqag_lib.checks.duplicates import digest_question
from sciqag_lib.errors import BadRecord, InputError, check_parameters
from sciqag_lib.inference.seeds import derive_seed, digest_of
from sciqag_lib.records.categories import fold_name, read_categories, suggest_name
from sciqag_lib.records.dois import normalize_doi
from sciqag_lib.records.papers import has_surrogate, read_records

KEPT_KEYS = ("index", "journal", "doi")  # of a record, carried over to the answers
FORMS = (("input", "output"), ("question", "answer"))  # of train.json, of test.jsonl of an lm_eval export
EXPECTED = """expected a test file's {"Q", "A"}, a processed output's "Q&A", or {"instruction", "input", "output"}"""
MAX_SHOT_CHARACTERS = 2000  # the published pairs have some 300; a training input that holds a paper has 40,000
LISTED = 200
STOP = ("\nQuestion:",)  # where a model without a chat template continues with a question of its own


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
        elif isinstance(record.get("Q&A"), list):
            for place, pair in enumerate(record["Q&A"]):
                found = pair if isinstance(pair, dict) else f"{type(pair).__name__} {pair!r:.60}"
                yield from _read_pair(str(path), f"{where}, Q&A[{place}]", record, found)
        else:
            yield from _read_pair(str(path), where, record, _find_pair(record))


def _find_pair(record: dict[str, Any]) -> dict[str, Any] | str:
    """The question and answer of a record that holds no list of them, or what is found instead."""
    if "Q" in record:
        return record
    for question, answer in FORMS:
        if question in record and answer in record:
            return {"Q": record[question], "A": record[answer]}
    return f"Q&A: {record['Q&A']!r:.60}" if "Q&A" in record else f"the keys {', '.join(map(repr, record)):.120}"


def _read_pair(
    path: str, where: str, record: dict[str, Any], pair: dict[str, Any] | str
) -> Iterator[Question | BadRecord]:
    if isinstance(pair, str):
        yield BadRecord(path, where, "Q", f"{EXPECTED}, found {pair}")
        return
    if problem := _find_problem(pair.get("Q")):
        yield BadRecord(path, where, "Q", f"{problem}; this question is left out")
        return
    texts: dict[str, str | None] = {key: pair.get(key) for key in ("A", "answer")}
    for key, text in texts.items():
        empty = text is None or isinstance(text, str) and not text.strip()
        if not empty and (problem := _find_problem(text)):
            yield BadRecord(path, where, key, f"{problem}; the question is used without it")
            texts[key] = None
    categories = [record[key] for key in ("category", "journal") if not _find_problem(record.get(key))]
    kept = {key: record[key] for key in KEPT_KEYS if isinstance(record.get(key), (str, int))}
    yield Question(
        identify(pair["Q"]),
        pair["Q"].strip(),
        (texts["A"] or "").strip(),
        " ".join(categories[0].split()) if categories else "",
        normalize_doi(record["doi"]) if isinstance(record.get("doi"), str) else "",
        texts["answer"],
        {key: value for key, value in kept.items() if not has_surrogate(str(value))},
        where,
    )


def _find_problem(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        return f"expected a non-empty text, found {'nothing' if value is None else f'{value!r:.60}'}"
    return "it holds a lone surrogate, which UTF-8 cannot encode" if has_surrogate(value) else ""


# A test file, counted ------------------------------------------------------------------------------------------------


@dataclass
class QuestionFile:
    """Contents of a test file, and which of its questions are asked: made by scan_questions."""

    every: dict[str, tuple[int, Question]]  # all its questions by id, each with its place in the file
    ids: list[str]  # of the questions that are asked, in the order of the file
    counts: dict[str, Any]  # name and digest of the file, questions, duplicates, not_usable, without_reference
    notes: list[str]  # what is left out, and why

    def read(self) -> Iterator[tuple[int, str, Question]]:
        """Place in the file, id and question of those that are asked."""
        return ((self.every[name][0], name, self.every[name][1]) for name in self.ids)

    @cached_property
    def dois(self) -> set[str]:
        return {question.doi for _, question in self.every.values()} - {""}

    @cached_property
    def _names(self) -> dict[str, str]:
        return {fold_name(name): name for name in read_categories()}

    def category_of(self, question: Question) -> str:
        """By its published name where it has one, else as the file calls it."""
        return self._names.get(fold_name(question.category), question.category)

    def list_unknown(self) -> list[str]:
        """A note for each category that is not a published one."""
        names = Counter(self.category_of(question) for _, question in self.every.values() if question.category)
        return [
            f"category{suggest_name(name, self._names.values())}: none of the published ones, "
            f"{count:,} question{'s' * (count > 1)}, kept under that name"
            for name, count in names.most_common()
            if fold_name(name) not in self._names
        ][:LISTED]


def scan_questions(path: str | Path, seed: int = 0, limit: int | None = None) -> QuestionFile:
    """Read a test file once: its contents, and which questions are asked: all, or `limit` of them, drawn by seed over
    the whole file, since test files are sorted by category. InputError: it cannot be read, or holds no question."""
    check_parameters(("limit", limit, limit is None or limit >= 1, "at least 1 question, or None for all"))
    every: dict[str, tuple[int, Question]] = {}
    notes: list[str] = []
    repeated = 0
    for place, entry in enumerate(read_questions(path)):
        if isinstance(entry, BadRecord):
            notes.append(str(entry))
        elif entry.question_id in every:
            first = every[entry.question_id][1].where
            notes.append(f"{entry.where}: the question of {first} again; it is asked once")
            repeated += 1
        else:
            every[entry.question_id] = place, entry
    if not every:
        raise InputError(
            f"{path}: holds no question{f'; the first of {len(notes)} faults: {notes[0]}' if notes else ''}"
        )
    chosen = set(heapq.nsmallest(limit or len(every), every, key=lambda name: rank(seed, "question", name)))
    ids = [name for name in every if name in chosen]
    references = {name: question.reference for name, (_, question) in every.items()}
    counts = {
        "name": Path(path).name,
        "digest": digest_of(sorted(map(digest_of, references.items()))),  # whatever their order
        "questions": len(every),
        "duplicates": repeated,
        "not_usable": len(notes) - repeated,
        "without_reference": sum(not reference for reference in references.values()),
    }
    file = QuestionFile(every, ids, counts, notes[:LISTED])
    file.notes += file.list_unknown()
    return file


# Examples ------------------------------------------------------------------------------------------------------------


def draw_shots(path: str | Path, number: int, seed: int, file: QuestionFile) -> list[tuple[str, str]]:
    """`number` question-answer pairs of a train file, drawn by seed: none whose question is in the test file, asked or
    not, none of a paper that has questions there, none without an answer, none too long for an example. InputError:
    fewer are left than are wanted."""
    found: dict[str, tuple[str, str]] = {}
    passed_over: Counter[str] = Counter()
    for entry in read_questions(path):
        if reason := _refuse_shot(entry, file):
            passed_over[reason] += 1
        elif isinstance(entry, Question):
            found.setdefault(entry.question_id, (entry.question, entry.reference))
    if len(found) < number:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in passed_over.items()) or "none was passed over"
        raise InputError(
            f"{path}: expected at least {number} pairs to be shown as examples, found {len(found)}; "
            f"passed over: {reasons}. Lower shots or give a larger shots_path"
        )
    return [found[name] for name in heapq.nsmallest(number, found, key=lambda name: rank(seed, "shot", name))]


def _refuse_shot(entry: Question | BadRecord, file: QuestionFile) -> str:
    if isinstance(entry, BadRecord):
        return "not usable"
    if entry.question_id in file.every:
        return "in the test file"
    if entry.doi and entry.doi in file.dois:
        return "of a paper of the test file"
    if not entry.reference:
        return "without an answer"
    return "too long" if len(entry.question) + len(entry.reference) > MAX_SHOT_CHARACTERS else ""
