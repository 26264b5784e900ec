"""Two kinds of task whose replies are one class or one number, after examples from their train rows.

Read, as a JSON list or JSON Lines, in the form in which DARWIN (arXiv 2308.13565) wrote its tables as questions; the
output opens with its class, or holds one number:

    {"instruction": "Is the given element a metal?", "input": "zinc", "output": "Yes, zinc is a metal."}
    {"instruction": "What is its band gap in eV?", "input": "AgBr", "output": "2.52", "split": "train"}

"split" is "train" or "test"; without one, a hash of the input and the seed puts one row in five into test, rows of one
input together.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sciqag_lib.errors import BadRecord
from sciqag_lib.inference.replies import read_answer
from sciqag_lib.inference.seeds import derive_seed
from sciqag_lib.tasks.task import Guesses, Kind, Measure, Readings, Row, Task, read_rows

REPLY_TOKENS = 24  # one line
KEYS = ("instruction", "input", "output")
TEST_SHARE = 5  # one row in so many
MAX_CLASS_CHARACTERS = 40
CLASS_EXPECTED = f"an answer that opens with its class, of at most {MAX_CLASS_CHARACTERS} letters before the first mark"
NUM_DRAWS = 1000  # of classes as frequent as in train
CLASS_END = re.compile(r"[,.;:!?\n]")
# A number that is no part of a formula or of a longer token with digits: 1,538 and -39 and 2.5e-3 eV, not Al2O3 or 2H2.
NUMBER = re.compile(r"(?<![\w.,])[-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+\u2212]?\d+)?(?![.,]?\w*\d)")


# Rows ----------------------------------------------------------------------------------------------------------------


def read_table(
    path: Path, seed: int, read_output: Callable[[str], str | float | None], expected: str
) -> Iterator[Row | BadRecord]:
    """The rows of a file; `read_output` returns an output's class or number, or neither."""

    def make_row(where: str, record: dict[str, Any]) -> Row | tuple[str, str]:
        instruction, question, output = (record[key].strip() for key in KEYS)
        split = record.get("split", "train" if derive_seed(seed, "split", question) % TEST_SHARE else "test")
        found = read_output(output)
        if split not in ("train", "test"):
            return "split", f"expected train or test, found {split!r:.60}"
        if found is None or found == "":
            return "output", f"expected {expected}, found {output!r:.60}"
        answer, value = (found, math.nan) if isinstance(found, str) else (output, found)
        return Row(where, question, answer, instruction, group=where, value=value, shown=output, split=split)

    return read_rows(path, KEYS, make_row)


# Replies -------------------------------------------------------------------------------------------------------------


def read_line(reply: str) -> str:
    """The part of a reply that is read: its first line, without reasoning and without "Answer:" before it."""
    return next((line.strip() for line in read_answer(reply).splitlines() if line.strip()), "")


def read_label(text: str) -> str:
    """The text before the first mark, case and spaces folded; "" where that is too long for a class.

    >>> read_label("Yes, zinc is a metal.")
    'yes'
    """
    label = " ".join(CLASS_END.split(text.strip(), maxsplit=1)[0].casefold().split())
    return label if len(label) <= MAX_CLASS_CHARACTERS else ""


def read_class(reply: str, classes: Sequence[str]) -> str | None:
    """The class that a reply opens with, as a whole word; None where it opens with none, or where the text before the
    first mark names a second one ("yes or no")."""
    opening = " ".join(CLASS_END.split(read_line(reply), maxsplit=1)[0].casefold().strip("*\"' ").split())
    found = max((name for name in classes if re.match(rf"{re.escape(name)}(?!\w)", opening)), key=len, default=None)
    if found is None:
        return None
    rest, others = opening[len(found) :], [name for name in classes if name != found]
    return None if any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", rest) for name in others) else found


def read_number(reply: str) -> float | None:
    """The number in a reply's first line, with or without a unit; None where there is none, or more than one.

    >>> read_number("About 1,538 degrees"), read_number("Al2O3"), read_number("between 1 and 2")
    (1538.0, None, None)
    """
    found = NUMBER.findall(read_line(reply))
    value = float(found[0].replace(",", "").replace("\u2212", "-")) if len(found) == 1 else math.nan
    return value if math.isfinite(value) else None


# Classes: macro F1 ---------------------------------------------------------------------------------------------------


def score_classes(task: Task, labels: Readings) -> np.ndarray:
    """Whether each row's class is right; an unreadable reply is wrong."""
    return np.array([float(label == row.answer) for row, label in zip(task.test, labels)])


def count_f1(task: Task, labels: Readings) -> np.ndarray:
    """(2, classes, rows): F1 = 2 TP / (labeled + true), for each class of the test rows."""
    truth, given = np.array([row.answer for row in task.test]), np.array([label or "" for label in labels])
    pairs = [(truth == name, given == name) for name in sorted(set(truth))]
    return np.array([[2.0 * (true & named) for true, named in pairs], [1.0 * true + named for true, named in pairs]])


def guess_classes(task: Task, sides: Mapping[str, Readings]) -> Guesses:
    """Train's most frequent class, and classes drawn as often as they are there."""
    names, counts = zip(*count_classes(task.train))
    size, shares = (NUM_DRAWS, len(task.test)), np.array(counts) / sum(counts)
    return {
        f'always "{names[0]}"': [[names[0]] * len(task.test)],
        "classes drawn as in train": list(np.random.default_rng(0).choice(names, size, p=shares)),
    }


def count_classes(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """Classes and how many rows have them, the most frequent first, those of equal number by name."""
    return sorted(Counter(row.answer for row in rows).items(), key=lambda item: (-item[1], item[0]))


# Numbers: mean absolute error ----------------------------------------------------------------------------------------


def score_numbers(task: Task, numbers: Readings) -> np.ndarray:
    """Absolute errors; an unreadable reply counts as the median of train, the answer of one who knows nothing."""
    median = float(np.median([row.value for row in task.train]))
    read = np.array([median if number is None else number for number in numbers])
    return np.abs(read - [row.value for row in task.test])


def guess_numbers(task: Task, sides: Mapping[str, Readings]) -> Guesses:
    known = [row.value for row in task.train]
    constants = {"the mean of train": np.mean(known), "the median of train": np.median(known)}
    return {name: [[float(constant)] * len(task.test)] for name, constant in constants.items()}


CLASSIFICATION = Kind(
    "classification",
    partial(read_table, read_output=read_label, expected=CLASS_EXPECTED),
    (Measure("macro F1", score_classes, guess_classes, row_name="correct", count=count_f1),),
    read_reply=lambda text, row, task: read_class(text, task.classes),
    reply_tokens=REPLY_TOKENS,
    stop=("\n",),
    needs_train=True,
    has_classes=True,
)
REGRESSION = Kind(
    "regression",
    partial(read_table, read_output=read_number, expected="an answer with one number"),
    (Measure("mean absolute error", score_numbers, guess_numbers, higher_is_better=False, row_name="absolute error"),),
    read_reply=lambda text, row, task: read_number(text),
    reply_tokens=REPLY_TOKENS,
    stop=("\n",),
    needs_train=True,
)
