"""The numbers of a benchmark run: means with intervals, null baselines, samples, from one row of scores per question.

    frame = DataFrame([{"group": "10.1/a", "category": "Energy & Fuels", "own.accuracy": 4, "empty.accuracy": 1}, ...])
    measure_dimension(frame, "accuracy", {}, seed=0).nulls["empty"].verdict

A judge is called useless on a dimension where the 95% interval of its scores of the answers less those of a baseline
holds 0, unless it tells the reference answers from that baseline: then it is the answers that are no better.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sciqag_lib.benchmark import judging as benchmark_judging
from sciqag_lib.benchmark.judging import DIMENSIONS, TOP
from sciqag_lib.metrics import text_overlap
from sciqag_lib.metrics.controls import judge_control, judge_measure
from sciqag_lib.metrics.intervals import Estimate, bootstrap_mean
from sciqag_lib.metrics.text_overlap import MEASURES

if TYPE_CHECKING:  # pandas takes a second to import
    from pandas import DataFrame, Series

NULLS = {**dict.fromkeys(DIMENSIONS, benchmark_judging.NULLS), **dict.fromkeys(MEASURES, text_overlap.NULLS)}
LISTED = 10  # samples kept of each kind


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

    def list_arms(self) -> dict[str, Estimate]:
        """The scores of each arm that has some."""
        arms = {"own": self.score, "reference": self.reference}
        arms |= {arm: null.score for arm, null in self.nulls.items()}
        return {arm: score for arm, score in arms.items() if score.papers}


def measure_dimension(frame: "DataFrame", dimension: str, missing: dict[str, int], seed: int) -> DimensionResult:
    """A dimension's numbers. `frame`: one row per question, with its "group" (its paper, or itself), "category", and a
    column "arm.dimension" of each score; those of a group are drawn together. `missing`: as in DimensionResult."""

    def estimate(values: np.ndarray) -> Estimate:
        return bootstrap_mean(values, frame["group"], seed)

    judged, blank = dimension in DIMENSIONS, np.full(len(frame), math.nan)
    arms = {
        arm: np.asarray(frame.get(f"{arm}.{dimension}", blank), float)
        for arm in ("own", "reference", *NULLS[dimension])
    }
    known = {arm: int(np.isfinite(values).sum()) for arm, values in arms.items()}
    own, nulls = arms["own"], {}
    for arm in NULLS[dimension]:
        if known[arm]:
            difference, other = estimate(own - arms[arm]), estimate(arms["reference"] - arms[arm])
            verdict = judge_control(difference, other) if judged else judge_measure(difference)
            nulls[arm] = NullResult(estimate(arms[arm]), difference, other, verdict)
    categories = {
        name: estimate(np.where(frame["category"] == name, own, math.nan)) for name in sorted(set(frame["category"]))
    }
    return DimensionResult(
        scale=f"1-{TOP}" if judged else "0-1",
        score=estimate(own),
        reference=estimate(arms["reference"]),
        questions={arm: count for arm, count in known.items() if count},
        counts=[int((own == level).sum()) for level in range(1, TOP + 1)] if judged else [],
        missing=missing,
        nulls=nulls,
        categories={name: found for name, found in categories.items() if name and found.papers},
    )


def pick_samples(values: "Series", samples: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The samples with the highest and the lowest values, nan left out; of two alike the first in the file is first."""
    best, worst = values.nlargest(LISTED), values.nsmallest(LISTED)
    return {name: [samples[place] for place in found.index] for name, found in (("best", best), ("worst", worst))}
