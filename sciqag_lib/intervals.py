"""Means over a corpus with confidence intervals: bootstrap over papers, since the pairs of one paper go together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NUM_RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    mean: float  # nan where there is nothing to average
    low: float  # of the 95% interval; nan with fewer than two papers
    high: float
    papers: int

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "no value"
        if math.isnan(self.low):
            return f"{self.mean:.3f} (no interval: {self.papers} paper)"
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


def estimate_mean(sums: Sequence[float], counts: Sequence[float], seed: int = 0) -> Estimate:
    """The mean of all values, given their sum and number in each paper; percentile bootstrap over papers (95%).

    A paper without values (count 0, or a sum of nan) is left out.
    """
    from scipy.stats import bootstrap

    totals, numbers = np.asarray(sums, float), np.asarray(counts, float)
    usable = (numbers > 0) & np.isfinite(totals)
    totals, numbers = totals[usable], numbers[usable]
    if not len(totals):
        return Estimate(math.nan, math.nan, math.nan, 0)
    mean = float(totals.sum() / numbers.sum())
    if len(totals) == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    result = bootstrap((totals, numbers), _ratio, n_resamples=NUM_RESAMPLES, batch=max(1, 2_000_000 // len(totals)),
                       paired=True, vectorized=True, method="percentile", confidence_level=LEVEL,
                       rng=np.random.default_rng(seed))
    return Estimate(mean, float(result.confidence_interval.low), float(result.confidence_interval.high), len(totals))


def estimate_values(values: Sequence[float], seed: int = 0) -> Estimate:
    """The mean of one value a paper."""
    return estimate_mean(values, np.isfinite(np.asarray(values, float)), seed)


def _ratio(totals: np.ndarray, numbers: np.ndarray, axis: int = -1) -> np.ndarray:
    return totals.sum(axis=axis) / numbers.sum(axis=axis)
