"""The numbers of a benchmark run: each question's scores taken as they come, means with intervals, null baselines.

    tally = BenchmarkTally()
    tally.add(question, "Energy & Fuels", {"own": {"accuracy": 4.0}, "empty": {"accuracy": 1.0}})
    tally.result("accuracy", seed=0).nulls["empty"].verdict

A judge is called useless on a dimension where the 95% interval of its scores of the answers less those of a baseline
holds 0, unless it tells the reference answers from that baseline: then it is the answers that are no better.
"""

import heapq
import math
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciqag_lib.benchmark import judging as benchmark_judging
from sciqag_lib.benchmark.judging import DIMENSIONS, TOP
from sciqag_lib.metrics import text_overlap
from sciqag_lib.metrics.intervals import Estimate, estimate_mean
from sciqag_lib.metrics.text_overlap import MEASURES
from sciqag_lib.tasks.questions import Question

NULLS = {**dict.fromkeys(DIMENSIONS, benchmark_judging.NULLS), **dict.fromkeys(MEASURES, text_overlap.NULLS)}
LISTED = 10  # samples kept of each kind

Scores = dict[str, dict[str, float]]  # by arm and dimension, nan where one is missing


@dataclass
class NullResult:
    """One null baseline of a dimension."""

    score: Estimate
    difference: Estimate  # own less this one, question by question
    reference_difference: Estimate  # the judge's scores of the reference answers less this one; nan for the measures
    verdict: str


@dataclass
class DimensionResult:
    scale: str  # "1-5", judged; "0-1", measured against the reference
    score: Estimate  # of the answers
    reference: Estimate  # of the reference answers, judged; nan for the measures
    questions: dict[str, int]  # with a score, by arm
    counts: list[int]  # of scores 1 to 5; [] for the measures
    missing: dict[str, int]  # own scores without a value, by reason
    nulls: dict[str, NullResult]
    categories: dict[str, Estimate]


class BenchmarkTally:
    """Takes each question's scores as they come; of a question only numbers are kept."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], array] = {}  # by dimension and arm: one number a question, nan for none
        self.groups: dict[str, int] = {}
        self.group_numbers, self.category_numbers = array("L"), array("L")
        self.categories: dict[str, int] = {}
        self.missing: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, question: Question, category: str, scores: Scores) -> None:
        number = len(self.group_numbers)
        self.group_numbers.append(self.groups.setdefault(question.group, len(self.groups)))
        self.category_numbers.append(self.categories.setdefault(category, len(self.categories)))
        for arm, found in scores.items():
            for dimension, value in found.items():
                column = self.values.setdefault((dimension, arm), array("d"))
                column.extend([math.nan] * (number - len(column)))
                column.append(value)

    def count_missing(self, judged: dict[str, dict[str, Any]]) -> None:
        """Count the own scores of a question that could not be read, by dimension and reason."""
        for dimension, score in judged.items():
            if score["missing"]:
                self.missing[dimension][score["missing"]] += 1

    def column(self, dimension: str, arm: str) -> np.ndarray:
        """(questions,), nan where there is no score."""
        found = np.full(len(self.group_numbers), math.nan)
        known = self.values.get((dimension, arm), ())
        found[: len(known)] = known
        return found

    def estimate(self, values: np.ndarray, seed: int) -> Estimate:
        """Mean with its interval over questions, those about one paper together."""
        usable = np.isfinite(values)
        groups = np.asarray(self.group_numbers)[usable]
        if not len(groups):
            return Estimate(math.nan, math.nan, math.nan, 0)
        _, groups = np.unique(groups, return_inverse=True)
        return estimate_mean(np.bincount(groups, values[usable]), np.bincount(groups), seed)

    def result(self, dimension: str, seed: int) -> DimensionResult:
        own, reference = self.column(dimension, "own"), self.column(dimension, "reference")
        judged = dimension in DIMENSIONS
        scored = own[np.isfinite(own)]
        questions = {
            arm: int(np.isfinite(self.column(dimension, arm)).sum()) for arm in ("own", "reference", *NULLS[dimension])
        }
        nulls = {}
        for arm in NULLS[dimension]:
            null = self.column(dimension, arm)
            if np.isfinite(null).any():
                difference, other = self.estimate(own - null, seed), self.estimate(reference - null, seed)
                nulls[arm] = NullResult(
                    self.estimate(null, seed),
                    difference,
                    other,
                    judge_null(difference, other) if judged else compare_null(difference),
                )
        numbers = np.asarray(self.category_numbers)
        categories = {
            name: self.estimate(np.where(numbers == number, own, math.nan), seed)
            for name, number in sorted(self.categories.items())
            if name
        }
        counts = [int((scored == level).sum()) for level in range(1, TOP + 1)] if judged else []
        return DimensionResult(
            f"1-{TOP}" if judged else "0-1",
            self.estimate(own, seed),
            self.estimate(reference, seed),
            {arm: count for arm, count in questions.items() if count},
            counts,
            dict(self.missing[dimension]),
            nulls,
            {name: found for name, found in categories.items() if found.papers},
        )


def judge_null(difference: Estimate, reference: Estimate) -> str:
    """What a judge's scores of a null baseline say of it: the 95% intervals of own and of reference less baseline."""
    if difference.low > 0:
        return "told apart"
    if reference.low > 0:
        return "no better: the judge tells the reference answers apart from it, but not these"
    if math.isnan(difference.low):
        return "undecided"
    return "useless: the worse ones get more" if difference.high < 0 else "useless: not told apart"


def compare_null(difference: Estimate) -> str:
    if math.isnan(difference.low):
        return "undecided"
    return "above it" if difference.low > 0 else "not above it"


class Samples:
    """The questions with the highest and the lowest value; of two alike the one that comes first in the file."""

    def __init__(self) -> None:
        self._best: list[tuple[float, int, dict[str, Any]]] = []
        self._worst: list[tuple[float, int, dict[str, Any]]] = []
        self._seen = 0

    def add(self, value: float, sample: dict[str, Any]) -> None:
        self._seen += 1
        if math.isnan(value):
            return
        for heap, key in ((self._best, value), (self._worst, -value)):
            full = len(heap) == LISTED
            if not full or key > heap[0][0]:
                (heapq.heappushpop if full else heapq.heappush)(heap, (key, -self._seen, sample))

    def list(self) -> dict[str, list[dict[str, Any]]]:
        return {
            name: [sample for _, _, sample in sorted(heap, key=lambda entry: entry[:2], reverse=True)]
            for name, heap in (("best", self._best), ("worst", self._worst))
        }
