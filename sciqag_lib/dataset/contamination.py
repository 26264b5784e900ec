"""Questions that stand in a dataset twice: within a split, in both splits, or in a benchmark that is used elsewhere.

Every question is compared with every other: exactly, but for case, white space and closing marks, and, with an
embedder, by the cosine of two questions. Each two that are found are a row of matches.parquet (also .csv):

    reason,score,dropped,side_a,doi_a,pair_a,question_a,side_b,doi_b,pair_b,question_b
    near_test,0.9714,True,test,10.1/x,3,How does ...?,train,10.1/y,0,How do ...?

The rule: the benchmark goes before test, test before train, and within a split the earlier pair before the later; of
two that match, the one behind is dropped (`b`, where `dropped`), and what matches only dropped pairs stays. Of a
benchmark and test both stay, and the match is listed: nobody is trained on it. A pair that is dropped by an exact match
is not compared further; one that matches several questions has a row for each, but within its split only for the first.
"""

import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from sciqag_lib.checks.duplicates import ROUNDING, StoredVectors, check_threshold
from sciqag_lib.checks.near_search import find_near
from sciqag_lib.dataset.filters import SET_REASONS
from sciqag_lib.engines.embeddings import Embedder

SIDES = ("benchmark", "test", "train")  # the first goes before the others
MAX_LISTED = 100_000  # matches of two sides, and of one, with their texts; all are counted
COLUMNS = {
    "reason": "text",
    "score": "real",
    "dropped": "bool",
    "side_a": "text",
    "doi_a": "text",
    "pair_a": "whole",
    "question_a": "text",
    "side_b": "text",
    "doi_b": "text",
    "pair_b": "whole",
    "question_b": "text",
}
RELATIONS = {  # sides of a and b -> reason of an exact match, of a near one
    ("benchmark", "test"): ("in_benchmark", "near_benchmark"),
    ("benchmark", "train"): ("in_benchmark", "near_benchmark"),
    ("test", "train"): ("in_test", "near_test"),
    ("test", "test"): ("duplicate", "near_duplicate"),
    ("train", "train"): ("duplicate", "near_duplicate"),
}


class Comparison:
    """Finds matches and decides who goes. Questions are known by the caller's row numbers, digests and sides."""

    def __init__(self, rows: Mapping[str, Sequence[int]]) -> None:
        """`rows` of each of SIDES, in order."""
        self.order = array("q", (row for side in SIDES for row in rows.get(side, ())))
        sizes = [len(rows.get(side, ())) for side in SIDES]
        self._side = np.repeat(np.arange(len(SIDES), dtype=np.uint8), sizes)  # of each place in the order
        self.reasons: dict[int, str] = {}  # row: why it is dropped
        self.counts: Counter[tuple[str, str]] = Counter()  # reason and side of b: matches found
        # reason, score, dropped, rows a and b, of two sides and of one
        self._across: list[tuple[str, float, bool, int, int]] = []
        self._within: list[tuple[str, float, bool, int, int]] = []
        self._sides = bytearray(max(self.order, default=-1) + 1)  # of each row
        for row, side in zip(self.order, self._side.tolist()):
            self._sides[row] = side

    def side(self, row: int) -> str:
        return SIDES[self._sides[row]]

    def compare_exact(self, digests: Sequence[bytes]) -> None:
        first: dict[tuple[int, bytes], int] = {}  # of each side, the first row with this digest
        for row, number in zip(self.order, self._side.tolist()):
            digest = digests[row]
            found = [first[side, digest] for side in range(number + 1) if (side, digest) in first]
            for other in found:
                self._match(other, row, 1.0, exact=True)
            first.setdefault((number, digest), row)

    def list_left(self) -> dict[str, list[int]]:
        """The rows of each side that no match has dropped."""
        left: dict[str, list[int]] = {side: [] for side in SIDES}
        for row in self.order:
            if row not in self.reasons:
                left[self.side(row)].append(row)
        return left

    def compare_near(
        self, rows: Sequence[int], vectors: StoredVectors, threshold: float, digests: Sequence[bytes]
    ) -> None:
        """`vectors` are those of `rows`, which stand in the order of the sides, as list_left gives them.

        Blocks come in the order of their rows, so that whether an earlier question is dropped is settled before it
        drops a later one.
        """
        check_threshold(threshold)
        for places_a, places_b, scores in find_near(vectors, threshold - ROUNDING):
            for a, b, score in zip(places_a.tolist(), places_b.tolist(), scores.tolist()):
                if digests[rows[a]] != digests[rows[b]]:
                    self._match(rows[a], rows[b], score, exact=False)

    def _match(self, a: int, b: int, score: float, exact: bool) -> None:
        sides = self.side(a), self.side(b)
        within = sides[0] == sides[1]
        if sides not in RELATIONS or a in self.reasons or (within and b in self.reasons):
            return
        reason = RELATIONS[sides][0 if exact else 1]
        drops = sides != ("benchmark", "test")
        if drops:
            self.reasons.setdefault(b, reason)
        self.counts[reason, sides[1]] += 1
        listed = self._within if within else self._across
        if len(listed) < MAX_LISTED:
            listed.append((reason, min(1.0, round(score, 4)), drops, a, b))

    def list_rows(self) -> set[int]:
        """Those whose texts are wanted to show the matches."""
        return {row for *_, a, b in (*self._across, *self._within) for row in (a, b)}

    def count_matches(self) -> dict[str, dict[str, int]]:
        """Reason -> side of the later question -> matches, in the order of filters.SET_REASONS."""
        found = {
            reason: {side: self.counts[reason, side] for side in SIDES if self.counts[reason, side]}
            for reason in SET_REASONS
        }
        return {reason: counts for reason, counts in found.items() if counts}

    @property
    def num_unlisted(self) -> int:
        return sum(self.counts.values()) - len(self._across) - len(self._within)

    def show_matches(self, texts: Mapping[int, tuple[str, int, str]]) -> Iterator[dict[str, Any]]:
        """Rows of COLUMNS, what crosses the splits first; `texts`: paper, number of the pair, question."""
        for reason, score, drops, a, b in (*self._across, *self._within):
            row: dict[str, Any] = {"reason": reason, "score": score, "dropped": drops}
            for name, number in (("a", a), ("b", b)):
                doi, pair, question = texts[number]
                row |= {
                    f"side_{name}": self.side(number),
                    f"doi_{name}": doi,
                    f"pair_{name}": pair,
                    f"question_{name}": question,
                }
            yield row


class VectorStore:
    """Vectors in a file without a name, in the order in which they come."""

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)
        self._num_rows, self._width = 0, 1
        self.num_bad = 0  # vectors with a nan: they match nothing

    def __enter__(self) -> "VectorStore":
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def add(self, vectors: np.ndarray) -> None:
        """float32 (questions, width)"""
        finite = np.isfinite(vectors).all(axis=1, keepdims=True)
        self.num_bad += int((~finite).sum())
        self._file.write(np.ascontiguousarray(np.where(finite, vectors, 0), np.float32).tobytes())
        self._num_rows, self._width = self._num_rows + len(vectors), vectors.shape[1]

    def vectors(self) -> StoredVectors:
        self._file.flush()
        return StoredVectors(self._file, self._num_rows, self._width)


def embed_questions(groups: Iterable[tuple[list[int], list[str]]], embedder: Embedder, store: VectorStore) -> None:
    """Put the vectors of some of the questions of each group into the store, by their places in it.

    A group is a record's questions, all of them, since vectors are cached by such lists.
    """
    for places, vectors in embedder.embed_groups(groups, "similarity"):
        store.add(vectors[places])
