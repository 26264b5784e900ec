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

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sciqag_lib.checks.duplicates import ROUNDING, check_threshold, find_near_duplicates
from sciqag_lib.dataset.filters import SET_REASONS
from sciqag_lib.engines.embeddings import Embedder

if TYPE_CHECKING:
    import pandas as pd

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
    """Finds matches and decides who goes. Questions are known by their place in the frame."""

    def __init__(self, questions: "pd.DataFrame") -> None:
        """`questions`: side, doi, pair, question, digest; in the order of SIDES, and within a side of the file."""
        self.questions = questions
        self._sides, self._digests = questions["side"].tolist(), questions["digest"].tolist()
        self.reasons: dict[int, str] = {}  # place: why it is dropped
        self.counts: Counter[tuple[str, str]] = Counter()  # reason and side of b: matches found
        # reason, score, dropped, places a and b, of two sides and of one
        self._across: list[tuple[str, float, bool, int, int]] = []
        self._within: list[tuple[str, float, bool, int, int]] = []

    def compare_exact(self) -> None:
        first: dict[tuple[str, bytes], int] = {}  # of each side, the first place with this digest
        for place, (side, digest) in enumerate(zip(self._sides, self._digests)):
            for other in [first[name, digest] for name in SIDES if (name, digest) in first]:
                self._match(other, place, 1.0, exact=True)
            first.setdefault((side, digest), place)

    def list_left(self) -> list[int]:
        """The places that no match has dropped."""
        return [place for place in range(len(self._sides)) if place not in self.reasons]

    def compare_near(self, places: Sequence[int], vectors: np.ndarray, threshold: float) -> None:
        """`vectors`, float32 (places, width), are those of `places`, as list_left gives them.

        Blocks come in the order of their rows, so that whether an earlier question is dropped is settled before it
        drops a later one.
        """
        check_threshold(threshold)
        for rows_a, rows_b, scores in find_near_duplicates(vectors, threshold - ROUNDING):
            for a, b, score in zip(rows_a.tolist(), rows_b.tolist(), scores.tolist()):
                if self._digests[places[a]] != self._digests[places[b]]:
                    self._match(places[a], places[b], score, exact=False)

    def _match(self, a: int, b: int, score: float, exact: bool) -> None:
        sides = self._sides[a], self._sides[b]
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

    def to_frame(self) -> "pd.DataFrame":
        """The listed matches, a row of COLUMNS each; what crosses the splits first."""
        import pandas as pd

        found = pd.DataFrame([*self._across, *self._within], columns=["reason", "score", "dropped", "a", "b"])
        sides = [self.questions.iloc[found[name]].add_suffix(f"_{name}").reset_index(drop=True) for name in ("a", "b")]
        return pd.concat([found, *sides], axis=1)[list(COLUMNS)]


def embed_questions(
    groups: Iterable[tuple[list[int], list[str]]], num_questions: int, embedder: Embedder
) -> tuple[np.ndarray, int]:
    """Vectors, float32 (num_questions, width), of some of the questions of each group, by their places in it, and how
    many hold a nan: these are 0, so that they match nothing.

    A group is a record's questions, all of them, since vectors are cached by such lists.
    """
    found, start, num_bad = np.zeros((num_questions, 1), np.float32), 0, 0
    for places, vectors in embedder.embed_groups(groups, "similarity"):
        if not start:
            found = np.zeros((num_questions, vectors.shape[1]), np.float32)
        finite = np.isfinite(vectors[places]).all(axis=1, keepdims=True)
        found[start : start + len(places)] = np.where(finite, vectors[places], 0)
        start, num_bad = start + len(places), num_bad + int((~finite).sum())
    return found, num_bad
