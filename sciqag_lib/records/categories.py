"""The categories that a dataset is divided into: SciQAG-24D's 24 names in 4 fields, or those of a file of your own.

data/sciqag_24d_categories.csv; the numbers may be left out, lines that begin with "#" are comments:

    field,category,papers,train,test
    Chemistry,"Chemistry, Analytical",1020,8075,375

A paper's category is its record's `category`, or its `journal` where that is one of the names, as in the released
files, or what a table says of its journal (journal,category). Case and white space do not count. Any other name is
reported with the nearest one, and never guessed: the paper then has no category.
"""

import csv
import difflib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.paths import REPO_ROOT

PUBLISHED = REPO_ROOT / "data" / "sciqag_24d_categories.csv"
MIN_LIKENESS = 0.6  # of a name that is worth suggesting
LISTED = 20


@dataclass(frozen=True)
class Category:
    """A category with the sizes of its splits; those of a file of names alone are 0."""

    name: str
    field: str
    papers: int = 0
    train: int = 0  # pairs
    test: int = 0


def read_categories(path: str | Path | None = None) -> dict[str, Category]:
    """By name, in the file's order; None is SciQAG-24D with the published numbers.

    InputError: it cannot be read, has no columns `field` and `category`, a name stands twice, a number is none.
    """
    path = Path(path or PUBLISHED)
    found: dict[str, Category] = {}
    for line, row in _read_csv(path, ("field", "category")):
        name, field = row["category"], row["field"]
        if not name or not field or fold_name(name) in map(fold_name, found):
            raise InputError(
                f"{path}, line {line}: expected a field and a category that has not been named before, "
                f"found {field!r} and {name!r}"
            )
        numbers = [row.get(key) or "0" for key in ("papers", "train", "test")]
        if not all(number.isdecimal() for number in numbers):
            raise InputError(f"{path}, line {line}: expected whole numbers, found {', '.join(numbers)}")
        found[name] = Category(name, field, *map(int, numbers))
    if not found:
        raise InputError(f"{path}: holds no category; expected lines of field,category")
    return found


def read_journals(path: str | Path, names: Iterable[str]) -> tuple[dict[str, str], list[BadRecord]]:
    """The category of each journal, by its folded name, and the lines that cannot be used, each with what is wrong."""
    path, known = Path(path), {fold_name(name): name for name in names}
    journals: dict[str, str] = {}
    bad = []
    for line, row in _read_csv(path, ("journal", "category")):
        journal, name = fold_name(row["journal"]), known.get(fold_name(row["category"]))
        if not journal:
            bad.append(BadRecord(str(path), f"line {line}", "journal", "expected a name, found an empty cell"))
        elif name is None:
            bad.append(
                BadRecord(
                    str(path), f"line {line}", "category", "unknown" + suggest_name(row["category"], known.values())
                )
            )
        elif journals.setdefault(journal, name) != name:
            bad.append(
                BadRecord(
                    str(path),
                    f"line {line}",
                    "category",
                    f"the journal {row['journal']!r} has "
                    f"{journals[journal]!r} in a line above, which is used; leave one",
                )
            )
    return journals, bad


def fold_name(name: str) -> str:
    return " ".join(name.casefold().split())


def suggest_name(name: str, names: Iterable[str]) -> str:
    """ " 'Chemistry, Analitical' (did you mean 'Chemistry, Analytical'?)", for the end of a message."""
    best = max(((_measure_likeness(name, other), other) for other in names), default=(0.0, ""))
    return f" {name!r}" + (f" (did you mean {best[1]!r}?)" if best[0] >= MIN_LIKENESS else "")


def _measure_likeness(one: str, other: str) -> float:
    """0-1, whatever the order of the words: "Analytical Chemistry" is like "Chemistry, Analytical"."""
    texts = [fold_name(text) for text in (one, other)]
    ordered = [" ".join(sorted(text.replace(",", " ").split())) for text in texts]
    return max(difflib.SequenceMatcher(None, *texts).ratio(), difflib.SequenceMatcher(None, *ordered).ratio())


def _read_csv(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells, stripped; a missing cell is empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(file)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a CSV file in UTF-8: {error}") from error
    numbers = [number for number, line in enumerate(lines, start=1) if line.strip() and not line.startswith("#")]
    reader = csv.reader(lines[number - 1] for number in numbers)
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in needed if name not in header]
    if missing:
        raise InputError(
            f"{path}: expected the columns {', '.join(needed)}, missing {', '.join(missing)}, found "
            f"{', '.join(header) or 'an empty file'}"
        )
    for cells in reader:
        padded = [cell.strip() for cell in cells] + [""] * len(header)
        yield numbers[reader.line_num - 1], dict(zip(header, padded))


class CategoryFinder:
    """The category of each record; what it does not know is counted, to be reported."""

    def __init__(self, categories: Iterable[str], journals: dict[str, str] | None = None) -> None:
        self.names = list(categories)
        self._known = {fold_name(name): name for name in self.names}
        self._journals = journals or {}
        self._unknown: Counter[tuple[str, str]] = Counter()  # key and value: records
        self.num_without = 0  # records that have neither key

    def find(self, record: dict[str, Any]) -> str | None:
        """None where it is not known. A `category` that is not one of the names is not made good by the journal."""
        key = next((key for key in ("category", "journal") if _has_text(record.get(key))), "")
        if not key:
            self.num_without += 1
            return None
        value = record[key] if isinstance(record[key], str) else f"{type(record[key]).__name__} {record[key]!r:.40}"
        found = self._known.get(fold_name(value))
        if found is None and key == "journal":
            found = self._journals.get(fold_name(value))
        if found is None:
            self._unknown[key, value] += 1
        return found

    def describe_unknown(self) -> list[str]:
        """A line for each unknown name, the most frequent first, and for the records that name none."""
        lines = [
            f"{key}{self._suggest(key, value)}: unknown, {count:,} record{'s' * (count > 1)} without a category"
            for (key, value), count in self._unknown.most_common(LISTED)
        ]
        rest = len(self._unknown) - LISTED
        if rest > 0:
            lines.append(f"... and {rest:,} more unknown names")
        if self.num_without:
            lines.append(f"records with neither `category` nor `journal`: {self.num_without:,}, without a category")
        return lines

    def _suggest(self, key: str, value: str) -> str:
        return suggest_name(value, [*self.names, *(self._journals if key == "journal" else ())])


def _has_text(value: Any) -> bool:
    return value is not None and (not isinstance(value, str) or bool(value.strip()))
