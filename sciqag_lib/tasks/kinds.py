"""The files of the downstream comparison: each to a task with its rows, and everything unusable named and counted.

Four kinds of task, one file each, a JSON list or JSON Lines:

    questions       held-out questions, as in the test.json of a build
                    {"Q": "Why ...?", "A": "Because ..."}
    choice          SciQ's form, `support` may be empty
                    {"question": "Which gas ...?", "distractor1": "oxygen", "distractor2": "neon",
                     "distractor3": "argon", "correct_answer": "nitrogen", "support": ""}
    classification  the answer opens with its class
                    {"instruction": "Is the given element a metal?", "input": "zinc", "output": "Yes, zinc is a metal."}
    regression      the answer holds one number
                    {"instruction": "What is its band gap in eV?", "input": "AgBr", "output": "2.52"}

The last two have the form in which DARWIN (arXiv 2308.13565) put its tables as questions. A row's "split" is "train" or
"test"; without one, a hash of the input and the seed puts one row in five into test, rows of one input together.
"""

import heapq
import math
import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.inference.replies import read_answer
from sciqag_lib.inference.seeds import derive_seed, digest_of
from sciqag_lib.paths import resolve_path
from sciqag_lib.records.papers import read_records
from sciqag_lib.tasks.questions import Question, identify, rank, read_questions

VERSION = 1  # of what reads a row or a reply here
KINDS = ("questions", "choice", "classification", "regression")
CHOICE_KEYS = ("distractor1", "distractor2", "distractor3", "correct_answer")
TEST_SHARE = 5  # one row in so many
MAX_CLASSES, MAX_CLASS_CHARACTERS = 20, 40
CLASS_END = re.compile(r"[,.;:!?\n]")
# A number that is no part of a formula or of a longer token with digits: 1,538 and -39 and 2.5e-3 eV, not Al2O3 or 2H2.
NUMBER = re.compile(r"(?<![\w.,])[-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+\u2212]?\d+)?(?![.,]?\w*\d)")


@dataclass(frozen=True)
class Row:
    """One item of a task."""

    row_id: str  # "record 17", unique in its file
    question: str  # the question; of classification and regression what it is asked about
    answer: str  # the reference: text, correct choice, class or number
    instruction: str = ""  # of classification and regression
    choices: tuple[str, ...] = ()  # of choice: the three distractors, then the answer
    support: str = ""  # of choice
    group: str = ""  # rows that are resampled together: a paper's, else the row alone
    value: float = math.nan  # of regression: the answer as a number
    shown: str = ""  # of classification and regression: the answer as it stands in the file


@dataclass
class Task:
    name: str
    kind: str
    path: Path
    test: list[Row]
    train: list[Row] = field(default_factory=list)  # of classification and regression
    bad: list[BadRecord] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        return sorted({row.answer for row in (*self.train, *self.test)}) if self.kind == "classification" else []

    @property
    def digest(self) -> str:
        return digest_of([self.kind, *(repr(row) for row in (*self.train, *self.test))])


def read_tasks(
    specs: Sequence[Any], train_path: str | Path, seed: int = 0, limit: int | None = None
) -> tuple[list[Task], list[str]]:
    """The tasks of a list of {"name", "kind", "path"}, and a note for each that cannot be used: the others go on.

    Questions that are also in `train_path`, the training data, are left out of test as bad records. `limit` rows of
    each test are drawn by seed, None is all. InputError: `train_path` cannot be read, or no task is left.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit: expected at least 1 row, or None for all, found {limit}")
    trained = {entry.question_id for entry in read_questions(train_path) if isinstance(entry, Question)}
    tasks: list[Task] = []
    notes: list[str] = []
    for number, spec in enumerate(specs, start=1):
        try:
            task = read_task(*_check_spec(spec, [task.name for task in tasks]), trained, seed)
        except InputError as error:
            notes.append(f"task {number} is left out: {error}")
            continue
        if limit is not None:
            kept = set(heapq.nsmallest(limit, task.test, key=lambda row: rank(seed, "row", row.row_id)))
            task.test = [row for row in task.test if row in kept]
        tasks.append(task)
    if not tasks:
        raise InputError("tasks: expected at least one that can be used, found none\n" + "\n".join(notes))
    return tasks, notes


def _check_spec(spec: Any, taken: list[str]) -> tuple[str, str, Path]:
    if (
        not isinstance(spec, dict)
        or set(spec) != {"name", "kind", "path"}
        or not all(isinstance(value, str) and value for value in spec.values())
    ):
        raise InputError(f'expected {{"name", "kind", "path"}} with a text each, found {spec!r:.120}')
    if spec["kind"] not in KINDS:
        raise InputError(f"{spec['name']}: kind: expected one of {', '.join(KINDS)}, found {spec['kind']!r}")
    if spec["name"] in taken:
        raise InputError(f"{spec['name']}: the name is taken by an earlier task")
    return spec["name"], spec["kind"], resolve_path(spec["path"])


def read_task(name: str, kind: str, path: Path, trained: Container[str] = (), seed: int = 0) -> Task:
    """One task; `trained` are the ids of the training data's questions. InputError: the file cannot be read, holds no
    row of this kind, or its test or, of classification and regression, its train is empty."""
    task = Task(name, kind, path, [])
    seen: dict[str, str] = {}
    for entry in {"questions": _read_questions, "choice": _read_choices}.get(kind, _read_tables)(path, kind, seed):
        split, row = entry if isinstance(entry, tuple) else ("", entry)
        if isinstance(row, BadRecord):
            task.bad.append(row)
            continue
        # Formulas differ by case: CO is not Co.
        key = identify(row.question) if kind == "questions" else digest_of([row.instruction, row.question, row.choices])
        if kind in ("questions", "choice") and identify(row.question) in trained:
            task.bad.append(BadRecord(str(path), row.row_id, "", "its question is also in the training data; left out"))
        elif key in seen:
            task.bad.append(BadRecord(str(path), row.row_id, "", f"the question of {seen[key]} again; left out"))
        else:
            seen[key] = row.row_id
            (task.train if split == "train" else task.test).append(row)
    _drop_trained(task)
    _check_task(task)
    return task


def _drop_trained(task: Task) -> None:
    """Take rows out of test whose input stands in train, under another instruction perhaps."""
    known = {row.question: row.row_id for row in task.train}
    task.bad += [
        BadRecord(
            str(task.path),
            row.row_id,
            "input",
            f"it is also that of {known[row.question]}, which is in train; left out of test",
        )
        for row in task.test
        if row.question in known
    ]
    task.test = [row for row in task.test if row.question not in known]


def _check_task(task: Task) -> None:
    counts = f"{len(task.train)} train and {len(task.test)} test rows"
    first = f"; the first of {len(task.bad):,} that are not usable: {task.bad[0]}" if task.bad else ""
    needs_train = task.kind in ("classification", "regression")
    if not task.test or needs_train and not task.train:
        raise InputError(
            f"{task.name}: {task.path}: expected rows of the kind {task.kind}"
            + (", some of them train and some test" if needs_train else "")
            + f", found {counts}{first}"
        )
    if task.kind == "classification" and not 2 <= len(task.classes) <= MAX_CLASSES:
        raise InputError(
            f"{task.name}: {task.path}: expected 2 to {MAX_CLASSES} classes, found {len(task.classes)}: "
            f"{', '.join(task.classes)[:200]}; is it a regression?"
        )


# Reading -------------------------------------------------------------------------------------------------------------


def _read_questions(path: Path, kind: str, seed: int) -> Iterator[Row | BadRecord]:
    named = ""  # the question whose reference was found unusable, and which then comes without it
    for entry in read_questions(path):
        if isinstance(entry, BadRecord):
            named = entry.record if entry.field == "A" else ""
            yield entry
        elif entry.reference:
            yield Row(entry.where, entry.question, entry.reference, group=entry.group)
        elif entry.where != named:
            yield BadRecord(str(path), entry.where, "A", "expected the reference answer, found none; left out")


def _read_choices(path: Path, kind: str, seed: int) -> Iterator[Row | BadRecord]:
    for where, record in read_records(path):
        keys = ("question", *CHOICE_KEYS)
        fault = record if isinstance(record, BadRecord) else _find_fault(path, where, record, keys)
        if fault is not None:
            yield fault
            continue
        choices = tuple(record[key].strip() for key in CHOICE_KEYS)
        support = record.get("support")
        if len({choice.casefold() for choice in choices}) < len(choices):
            yield BadRecord(str(path), where, "", f"expected four different choices, found {', '.join(choices):.120}")
        elif support is not None and not isinstance(support, str):
            yield BadRecord(str(path), where, "support", f"expected a text, which may be empty, found {support!r:.60}")
        else:
            yield Row(
                where,
                record["question"].strip(),
                choices[-1],
                choices=choices,
                support=(support or "").strip(),
                group=where,
            )


def _read_tables(path: Path, kind: str, seed: int) -> Iterator[tuple[str, Row] | BadRecord]:
    for where, record in read_records(path):
        keys = ("instruction", "input", "output")
        fault = record if isinstance(record, BadRecord) else _find_fault(path, where, record, keys)
        if fault is not None:
            yield fault
            continue
        instruction, question, output = (record[key].strip() for key in keys)
        split = record.get("split", "train" if derive_seed(seed, "split", question) % TEST_SHARE else "test")
        number, label = read_number(output), read_label(output)
        if split not in ("train", "test"):
            yield BadRecord(str(path), where, "split", f"expected train or test, found {split!r:.60}")
        elif kind == "regression" and number is None:
            yield BadRecord(str(path), where, "output", f"expected an answer with one number, found {output!r:.60}")
        elif kind == "classification" and not label:
            yield BadRecord(
                str(path),
                where,
                "output",
                "expected an answer that opens with its class, of at most "
                f"{MAX_CLASS_CHARACTERS} letters before the first mark, found {output!r:.60}",
            )
        else:
            answer, value = (label, math.nan) if kind == "classification" else (output, number)
            assert answer is not None and value is not None
            yield split, Row(where, question, answer, instruction, group=where, value=value, shown=output)


def _find_fault(path: Path, where: str, record: dict[str, Any], keys: Sequence[str]) -> BadRecord | None:
    for key in keys:
        value = record.get(key)
        if not isinstance(value, str) or not value.strip():
            found = "nothing" if value is None else repr(value)[:60]
            return BadRecord(str(path), where, key, f"expected a non-empty text, found {found}; left out")
    return None


# Replies -------------------------------------------------------------------------------------------------------------


def read_line(reply: str) -> str:
    """What is read of a reply: its first line, without reasoning and without "Answer:" before it."""
    return next((line.strip() for line in read_answer(reply).splitlines() if line.strip()), "")


def read_label(text: str) -> str:
    """What stands before the first mark, case and spaces folded; "" where that is too long for a class.

    >>> read_label("Yes, zinc is a metal.")
    'yes'
    """
    label = " ".join(CLASS_END.split(text.strip(), maxsplit=1)[0].casefold().split())
    return label if len(label) <= MAX_CLASS_CHARACTERS else ""


def read_class(reply: str, classes: Sequence[str]) -> str | None:
    """The class that a reply opens with, as a whole word; None where it opens with none, or where a second class stands
    beside it before the first mark ("yes or no")."""
    opening = " ".join(CLASS_END.split(read_line(reply), maxsplit=1)[0].casefold().strip("*\"' ").split())
    found = max((name for name in classes if re.match(rf"{re.escape(name)}(?!\w)", opening)), key=len, default=None)
    if found is None:
        return None
    rest, others = opening[len(found) :], [name for name in classes if name != found]
    return None if any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", rest) for name in others) else found


def read_number(reply: str) -> float | None:
    """The number of a reply's first line, a unit beside it or not; None where there is none, or more than one.

    >>> read_number("About 1,538 degrees"), read_number("Al2O3"), read_number("between 1 and 2")
    (1538.0, None, None)
    """
    found = NUMBER.findall(read_line(reply))
    value = float(found[0].replace(",", "").replace("\u2212", "-")) if len(found) == 1 else math.nan
    return value if math.isfinite(value) else None


def count_classes(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """Classes and how many rows have them, the most frequent first, those of equal number by name."""
    return sorted(Counter(row.answer for row in rows).items(), key=lambda item: (-item[1], item[0]))
