"""A task as data: its rows, how a reply is read, what is measured of it, and the baselines beside it.

    Task("melting point", REGRESSION, [Row("record 11", "copper", "1085", "What is its ...?", value=1085.0)])

A kind of task is one Kind with its functions, in one file (short_answers.py), and one entry in kinds.KINDS. What a
model is asked for a row leaves a line, such as {"reply": "It is 1085."} or {"tokens": 31, "nll": 70.2}. A row's reading
is what the kind's `read_reply` makes of the reply or, in a kind that is scored by likelihood, the line itself.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sciqag_lib.errors import BadRecord
from sciqag_lib.inference.seeds import digest_of
from sciqag_lib.records.papers import read_records

Found = Mapping[str, Mapping[str, Any]]  # the lines of one task and one model, by row id
Readings = Sequence[Any]  # one per test row
Guesses = dict[str, list[Readings]]  # of baselines, by name: one or more sets of readings, whose scores are averaged


@dataclass(frozen=True)
class Row:
    """One item of a task. Fingerprints are made of its repr: a new field needs repr=False, or old ledgers are lost."""

    row_id: str  # "record 17", unique in its file
    question: str  # the input: the question, or what the instruction asks about
    answer: str  # the reference: text, correct choice, class or number
    instruction: str = ""  # "": that of the task's prompt file
    choices: tuple[str, ...] = ()
    support: str = ""  # a text that goes before the question
    group: str = ""  # rows that are resampled together: a paper's, else the row alone
    value: float = math.nan  # the answer as a number
    shown: str = ""  # the answer as written in the file, where `answer` is a part of it
    category: str = field(default="", repr=False)
    split: str = field(default="test", repr=False)  # or "train"


@dataclass(frozen=True)
class Measure:
    """One number of a task: a value per row, and the readings of baselines, to compare with."""

    name: str
    score: Callable[["Task", Readings], np.ndarray]  # (test rows,), nan where nothing was measured
    baselines: Callable[["Task", Mapping[str, Readings]], Guesses]  # also given: the models' readings, by side
    higher_is_better: bool = True
    row_name: str = ""  # of a row's value, where it has another name
    # Of a number that is a mean of ratios of sums, as macro F1: both terms of each row, (2, ratios, test rows).
    count: Callable[["Task", Readings], np.ndarray] | None = None
    compared: bool = True  # with the best baseline


@dataclass(frozen=True)
class Kind:
    """What is done with the rows of a task."""

    name: str
    read_rows: Callable[[Path, int], Iterator[Row | BadRecord]]  # the seed draws the split where a file has none
    measures: tuple[Measure, ...]
    probes: tuple[str, ...] = ("replies",)  # what a model is asked: see downstream.evaluation.PROBES
    settings: tuple[str, ...] = ("context_size", "shots", "dtype", "seed")  # those that change what is measured
    read_reply: Callable[[str, Row, "Task"], Any] | None = None  # returns None where a reply is unreadable
    reply_tokens: int = 0  # new tokens at most; 0: max_new_tokens
    stop: tuple[str, ...] = ()
    needs_train: bool = False  # for examples and baselines
    has_classes: bool = False  # the answers are a few classes


@dataclass(frozen=True)
class Task:
    name: str
    kind: Kind
    test: Sequence[Row]
    train: Sequence[Row] = ()
    bad: Sequence[BadRecord] = ()
    prompt: str = "qa_only"  # the prompt file with the instruction of rows that have none

    @cached_property
    def classes(self) -> list[str]:
        return sorted({row.answer for row in (*self.train, *self.test)}) if self.kind.has_classes else []

    @cached_property
    def digest(self) -> str:
        return digest_of([self.kind.name, *(repr(row) for row in (*self.train, *self.test))])


def read_rows(
    path: Path, keys: Sequence[str], make_row: Callable[[str, dict[str, Any]], Row | tuple[str, str]]
) -> Iterator[Row | BadRecord]:
    """Rows made of a file's records, all of whose `keys` hold a text; `make_row` gets the record's name and the record,
    and returns its row, or the field at fault and the message. InputError: the file cannot be read."""
    for where, record in read_records(path):
        if isinstance(record, BadRecord):
            yield record
            continue
        key = next((key for key in keys if not isinstance(record.get(key), str) or not record[key].strip()), None)
        found = "nothing" if record.get(key) is None else f"{record[key]!r:.60}"
        made = make_row(where, record) if key is None else (key, f"expected a non-empty text, found {found}; left out")
        yield made if isinstance(made, Row) else BadRecord(str(path), where, *made)
