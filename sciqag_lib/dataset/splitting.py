"""Train and test, paper by paper: all pairs of a paper go to the same side, and each category has both.

A paper's place is decided by a number in 0-1, a hash of the seed and its normalised DOI. Neither the file's order nor
the other papers have a part in that number.

- `test_size` below 1, a share: the papers whose number is below it are test. No paper's place depends on another's, so
  papers can be added and removed and nobody moves; a category has its share as a draw has it, about, not to the
  paper. Only where all of a category would go to one side, the nearest paper changes it; it may go back when more come.
- `test_size` from 1, papers a category (SciQAG-24D: 50): those with the smallest numbers, at most half of a category. A
  paper that is added with a smaller number takes a place, and the paper that had it goes to train.

A category with one paper stays in train. With `earlier`, the places of an earlier build, its papers stay where
they were under both rules, and only new ones are placed.
"""

import csv
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

from sciqag_lib.dataset.pairs import SPLITS
from sciqag_lib.errors import InputError

RULE_VERSION = 1  # written into build.json: another rule is another split


def check_test_size(test_size: float) -> None:
    is_number = isinstance(test_size, (int, float)) and not isinstance(test_size, bool)
    if not is_number or not (0 <= test_size < 1 or test_size >= 1 and float(test_size).is_integer()):
        raise InputError(
            f"test_size: expected a share from 0 to below 1, or a whole number of papers a category, "
            f"found {test_size!r}"
        )


def draw_number(paper: str, seed: int) -> float:
    """In [0, 1), of the paper's key and the seed alone.

    >>> round(draw_number("10.1371/journal.pone.0000217", 0), 4)
    0.5671
    """
    digest = blake2b(f"{seed}\0{paper}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def split_papers(
    papers: Sequence[str],
    categories: Sequence[str | None],
    test_size: float,
    seed: int,
    earlier: Mapping[str, str] | None = None,
) -> list[str]:
    """ "train" or "test" of each paper. `papers` are keys, each once (normalised DOIs); papers without a category
    are one category together. InputError: `test_size`."""
    check_test_size(test_size)
    earlier = earlier or {}
    members: dict[str | None, list[int]] = {}
    for place, category in enumerate(categories):
        members.setdefault(category, []).append(place)
    found = ["train"] * len(papers)
    for places in members.values():
        for place in places:
            found[place] = earlier.get(papers[place], "train")
        new = sorted(
            (draw_number(papers[place], seed), papers[place], place) for place in places if papers[place] not in earlier
        )
        num_test = sum(found[place] == "test" for place in places)
        for _, _, place in new[: _count_test([number for number, *_ in new], len(places), num_test, test_size)]:
            found[place] = "test"
    return found


def _count_test(numbers: Sequence[float], size: int, num_test: int, test_size: float) -> int:
    """How many of a category's new papers, by ascending `numbers`, go to test; it has `size` papers in all, and of
    those placed earlier `num_test` are test."""
    if size < 2 or test_size == 0:
        return 0
    if test_size >= 1:
        return max(0, min(int(test_size), size // 2) - num_test)
    below = sum(number < test_size for number in numbers)
    return max(0, min(max(below, 1 - num_test), size - 1 - num_test))  # both sides have at least one


def read_earlier(path: str | Path) -> dict[str, str]:
    """Paper and split, from the papers.csv of an earlier build. InputError: it is not such a file."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected the papers.csv of an earlier build: {error}") from error
    for line, row in enumerate(rows, start=2):
        if not row.get("paper") or row.get("split") not in SPLITS:
            raise InputError(
                f"{path}, line {line}: expected the columns paper and split (train or test), as in the "
                f"papers.csv of an earlier build, found {row.get('paper')!r} and {row.get('split')!r}"
            )
    return {row["paper"]: row["split"] for row in rows}
