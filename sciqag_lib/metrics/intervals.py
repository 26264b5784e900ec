"""Means over a corpus with confidence intervals: bootstrap over papers, since the pairs of one paper go together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NUM_RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    mean: float  # nan where there is nothing to average
    low: float  # of the 95% interval; nan with fewer papers than it needs, two (three for pairs of papers)
    high: float
    papers: int

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "no value"
        if math.isnan(self.low):
            return f"{self.mean:.3f} (no interval: {self.papers} paper{'s' * (self.papers > 1)})"
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


NOTHING = Estimate(math.nan, math.nan, math.nan, 0)


def bootstrap_mean(values: Sequence[float], groups: Sequence[Any], seed: int = 0) -> Estimate:
    """The mean of one value per row, those of a group (a paper, by any name) drawn together; nan is left out."""
    values = np.asarray(values, float)
    usable = np.isfinite(values)
    _, places = np.unique(np.asarray(groups)[usable], return_inverse=True)
    return estimate_mean(np.bincount(places, values[usable]), np.bincount(places), seed)


def estimate_mean(sums: Sequence[float], counts: Sequence[float], seed: int = 0) -> Estimate:
    """The mean of all values, given their sum and number in each paper; percentile bootstrap over papers (95%).

    A paper without values (count 0, or a sum of nan) is left out.
    """
    from scipy.stats import bootstrap

    totals, numbers = np.asarray(sums, float), np.asarray(counts, float)
    usable = (numbers > 0) & np.isfinite(totals)
    totals, numbers = totals[usable], numbers[usable]
    order = np.lexsort((numbers, totals))  # so that the order of the file changes no digit of the interval
    totals, numbers = totals[order], numbers[order]
    if not len(totals):
        return NOTHING
    mean = float(totals.sum() / numbers.sum())
    if len(totals) == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    result = bootstrap(
        (totals, numbers),
        _ratio,
        n_resamples=NUM_RESAMPLES,
        batch=max(1, 400_000 // len(totals)),
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=LEVEL,
        rng=np.random.default_rng(seed),
    )
    return Estimate(mean, float(result.confidence_interval.low), float(result.confidence_interval.high), len(totals))


def estimate_between(sums: np.ndarray, counts: np.ndarray, seed: int = 0) -> Estimate:
    """The mean of all values of two different papers, given their sum and number for each two: (papers, papers),
    symmetric, the diagonal not counted.

    Papers are drawn again, and a pair of them counts as often as both were drawn: resampling the papers' own means
    would take each value, which stands in two of them, for two, and the interval would be half as wide as it is.
    """
    sums, counts = np.array(sums, float), np.array(counts, float)
    np.fill_diagonal(sums, 0)
    np.fill_diagonal(counts, 0)
    papers = len(sums)
    if not counts.sum():
        return Estimate(math.nan, math.nan, math.nan, papers)
    mean = float(sums.sum() / counts.sum())
    if papers < 3:
        return Estimate(mean, math.nan, math.nan, papers)
    drawn = np.random.default_rng(seed).multinomial(papers, np.full(papers, 1 / papers), NUM_RESAMPLES).astype(float)
    totals, numbers = (((drawn @ matrix) * drawn).sum(1) for matrix in (sums, counts))
    low, high = np.quantile(totals[numbers > 0] / numbers[numbers > 0], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(mean, float(low), float(high), papers)


def _ratio(totals: np.ndarray, numbers: np.ndarray, axis: int = -1) -> np.ndarray:
    return totals.sum(axis=axis) / numbers.sum(axis=axis)
