"""How many answers hold numbers, and how many of those numbers stand in the paper: beside what chance alone gives.

The published figures are 27.29% of answers with a number and 99.15% of the numbers found in the source. Both depend
on what a number is, which was not published. Here it is a quantity written in digits, as `quantities.find_quantities`
reads them: "7,500", "2.87 eV", "3 × 10^5"; not "seven", and not the digits of a name (IL-6, 2-propanol, 13C). It is
found where the paper has the same value as a whole number, and with the same unit where the answer gives one: a bare
"5" in the paper, or "5 g", is no "5 mg". Units are not converted. The published 27.29% fits a looser count, a digit at
the start of any word (27.4% of 4,000 released test answers, names included; 22.6% hold a number in our sense); that
one stands beside ours as `answers_with_digits`.

Small numbers are found nearly everywhere, so every rate has its null baseline: the same answers against the text of
another paper, the record before in the file. One row per paper, over which the caller may bootstrap:

    {"doi": "10.1016-j.ab.2008.07.041.json", "answers": 10, "answers_with_digits": 2, "answers_with_numbers": 2,
     "answers_found": 2, "numbers": 3, "numbers_found": 3, "null_answers": 2, "null_answers_found": 0,
     "null_numbers": 3, "null_found": 1}
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sciqag_lib.checks.grounding import PaperIndex
from sciqag_lib.metrics.intervals import estimate_mean
from sciqag_lib.records.papers import Paper
from sciqag_lib.tables import write_table
from sciqag_lib.text.quantities import Quantity, find_quantities, same_unit

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")
_DIGIT = re.compile(r"\b\d")
NULL_KEYS = ("null_answers", "null_answers_found", "null_numbers", "null_found")
PAPER_KEYS = (
    "doi", "answers", "answers_with_digits", "answers_with_numbers", "answers_found", "numbers", "numbers_found",
    *NULL_KEYS,
)  # fmt: skip
MISS_COLUMNS = {"doi": "text", "pair": "whole"} | dict.fromkeys(
    ("question", "answer", "number", "unit", "reason"), "text"
)


@dataclass
class NumberCounts:
    papers: list[dict[str, Any]] = field(default_factory=list)  # PAPER_KEYS, in the order of the file
    # doi, pair (from 0), question, answer, number, unit, reason
    misses: list[dict[str, Any]] = field(default_factory=list)

    def to_frame(self) -> "pandas.DataFrame":
        """Shares of answers and of numbers with their intervals over papers, beside the published ones."""
        import pandas

        papers = pandas.DataFrame(self.papers, columns=PAPER_KEYS)
        shares = {
            "answers with a number": ("answers_with_numbers", "answers", ""),
            "answers with a digit that begins a word": ("answers_with_digits", "answers", "0.273"),
            "numbers found in the answer's own paper": ("numbers_found", "numbers", "0.992"),
            "the same numbers found in another paper": ("null_found", "null_numbers", ""),
        }
        rows = {
            name: (str(estimate_mean(papers[part], papers[whole])), published)
            for name, (part, whole, published) in shares.items()
        }
        return pandas.DataFrame.from_dict(rows, orient="index", columns=["share", "published"])


def count_numbers(papers: Iterable[Paper]) -> NumberCounts:
    """Counts the numbers of the answers of each paper and looks them up.

    The null baseline of a paper is the text of the record before it, the first's that of the last. Where that text is
    the paper's own (a file of one paper, or a copy under another doi) its null_ counts are 0: missing, not zero found.
    Memory: three papers' numbers at a time, beside the rows. ValueError: a record without text, which the caller skips.
    """
    counts = NumberCounts()
    counted = (_count_paper(paper, counts) for paper in papers)
    for (row, numbers, index), (_, _, other) in pair_with_previous(counted):
        if other.txt != index.txt:
            row |= zip(NULL_KEYS, _count_found(_explain_misses(numbers, other)))
    return counts


def pair_with_previous(entries: Iterable[T]) -> Iterator[tuple[T, T]]:
    """Each entry with the one before it, and at the end the first with the last; none where there is only one."""
    first, previous = None, None
    for entry in entries:
        if previous is not None:
            yield entry, previous
        first, previous = first or entry, entry
    if first is not previous:
        yield first, previous


def write_numbers(counts: NumberCounts, output_dir: Path) -> None:
    """numbers (a row a paper) and number_misses (a row a number that is not in its paper), .parquet and .csv."""
    with write_table(output_dir, "numbers", {key: "text" if key == "doi" else "whole" for key in PAPER_KEYS}) as table:
        table.add(counts.papers)
    with write_table(output_dir, "number_misses", MISS_COLUMNS) as table:
        table.add(counts.misses)


def list_numbers(answer: str) -> list[Quantity]:
    """The numbers of an answer that are written in digits and are no part of a name, in order."""
    return [quantity for quantity in find_quantities(answer) if not quantity.is_word]


def explain_miss(number: Quantity, index: PaperIndex) -> str:
    """Why a number is not in the paper, or "" where it is: its value is absent, or has no or another unit there."""
    places = [place for value in number.values for place in index.quantities.get(value, ())]
    if not places:
        return "value not in the paper"
    if not number.unit or any(place.unit and same_unit(number.unit, place.unit) for place in places):
        return ""
    units = sorted({" ".join(place.unit) for place in places if place.unit})
    return "in the paper with another unit: " + ", ".join(units) if units else "in the paper without a unit"


def _explain_misses(numbers: list[list[Quantity]], index: PaperIndex) -> list[list[str]]:
    return [[explain_miss(number, index) for number in found] for found in numbers]


def _count_found(reasons: list[list[str]]) -> tuple[int, int, int, int]:
    """Answers with numbers, those of which all are found, numbers, those found; `reasons` are each answer's misses."""
    known = [found for found in reasons if found]
    return (
        len(known),
        sum(not any(found) for found in known),
        sum(map(len, known)),
        sum(found.count("") for found in known),
    )


def _count_paper(paper: Paper, counts: NumberCounts) -> tuple[dict[str, Any], list[list[Quantity]], PaperIndex]:
    """Adds the row of a paper, its baseline still 0, and what is not found in it; with the numbers of each answer."""
    if not paper.txt.strip():
        raise ValueError(f"{paper.doi}: expected the paper's text, found none; skip the record")
    index = PaperIndex(paper.txt, [])  # its numbers alone: no sentences
    numbers = [list_numbers(pair.answer) for pair in paper.pairs]
    reasons = _explain_misses(numbers, index)
    digits = sum(_DIGIT.search(pair.answer) is not None for pair in paper.pairs)
    values = (paper.doi, len(paper.pairs), digits, *_count_found(reasons), 0, 0, 0, 0)
    counts.papers.append(dict(zip(PAPER_KEYS, values)))
    for place, pair in enumerate(paper.pairs):
        for number, reason in zip(numbers[place], reasons[place]):
            if reason:
                miss = paper.doi, place, pair.question, pair.answer, number.text, " ".join(number.unit), reason
                counts.misses.append(dict(zip(MISS_COLUMNS, miss)))
    return counts.papers[-1], numbers, index
