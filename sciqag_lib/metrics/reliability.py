"""How far raters agree: Spearman, Pearson and Krippendorff's alpha, with intervals over papers and shuffled baselines.

Krippendorff's alpha after "Computing Krippendorff's Alpha-Reliability" (2011), ordinal and interval, any number of
raters, missing scores allowed. Written here because no maintained package under a permissive licence has its ordinal
form at the speed of a bootstrap, and because scipy's correlations take no weights: a resample of papers is a weight
for each pair, so that all resamples are computed at once. Tests hold each value against scipy's or the published one.

    ratings = np.array([[3, 2.5], [1, 1.0], [2, 3.0]])  # (pairs, raters), nan where a rater gave no score
    measure_agreement("spearman", ratings, papers=np.array([0, 0, 1])).value
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sciqag_lib.metrics.intervals import LEVEL, NUM_RESAMPLES

MEASURES = {
    "spearman": "Spearman",
    "pearson": "Pearson",
    "alpha_ordinal": "alpha (ordinal)",
    "alpha_interval": "alpha (interval)",
}
MIN_PAIRS = 3  # two points always lie on a line
MAX_UNDEFINED = 0.05  # of the resamples; an interval from those that happen to vary would be too good
BATCH_VALUES = 2_000_000  # numbers in an array at once
CONSTANT = 1e-18  # of the squared size: under it a variance is what rounding leaves of 0


@dataclass(frozen=True)
class Agreement:
    """One measure on one set of pairs; nan where it is not defined, and then `reason` says why."""

    value: float
    low: float  # 95% interval, papers resampled
    high: float
    pairs: int
    papers: int
    null: float = math.nan  # mean over shuffles of the first rater's scores, and where 95% of them lie
    null_low: float = math.nan
    null_high: float = math.nan
    reason: str = ""  # why there is no value, or no interval

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "undefined"
        return f"{self.value:.2f}" + ("" if math.isnan(self.low) else f" ({self.low:.2f} to {self.high:.2f})")

    @property
    def above_chance(self) -> bool:
        """Over nearly all shuffles, and by more than the choice of papers explains."""
        return self.value > self.null_high + 1e-9 and self.low > self.null  # 1e-9: equal but for rounding


def measure_agreement(
    measure: str,
    ratings: np.ndarray,
    papers: np.ndarray,
    seed: int = 0,
    shuffle: bool = False,
    names: Sequence[str] = (),
) -> Agreement:
    """Agreement of the columns of `ratings` (pairs, raters; nan is missing) with its 95% interval over papers.

    papers: (pairs,), the number of each pair's paper. Correlations of more than two raters are means over each two of
    them, on the pairs both scored. `shuffle` adds the null baseline, the first rater's scores shuffled over the pairs;
    it needs two raters. `names` are the raters' in a reason. ValueError: an unknown measure.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure: expected one of {', '.join(MEASURES)}, found {measure!r}")
    usable = np.isfinite(ratings).sum(1) > 1  # what only one rater scored says nothing about agreement
    ratings, papers = ratings[usable], papers[usable]
    pairs, num_papers = len(ratings), len(np.unique(papers))
    reason = explain_undefined(measure, ratings, names)
    if reason:
        return Agreement(math.nan, math.nan, math.nan, pairs, num_papers, reason=reason)
    value = float(agree(measure, ratings, np.ones((1, pairs)))[0])
    low, high, reason = resample_papers(lambda weights: agree(measure, ratings, weights), papers, ratings.size, seed)
    null = _shuffle(measure, ratings, seed) if shuffle else (math.nan,) * 3
    return Agreement(value, low, high, pairs, num_papers, *null, reason)


def explain_undefined(measure: str, ratings: np.ndarray, names: Sequence[str] = ()) -> str:
    """Why a measure has no value on these ratings, in words; "" where it has one."""
    if len(ratings) < MIN_PAIRS:
        found = f"{len(ratings) or 'no'} shared pair{'s' * (len(ratings) != 1)}"
        return f"{found}, at least {MIN_PAIRS} are needed"
    if np.isfinite(agree(measure, ratings, np.ones((1, len(ratings))))[0]):
        return ""
    if measure.startswith("alpha"):
        return "all scores are the same, so alpha, which compares with chance, is not defined"
    constant = []
    for number, column in enumerate(ratings.T):
        known = column[np.isfinite(column)]
        if len(known) and np.ptp(known) == 0:
            constant.append(f"{names[number] if names else f'rater {number + 1}'} is always {known[0]:g}")
    if not constant:  # more than two raters, and each two of them share too few pairs, or constant ones
        return f"no two raters share {MIN_PAIRS} pairs on which the scores of both differ"
    return f"{', '.join(constant)}: a correlation with scores that never differ is not defined"


def agree(measure: str, ratings: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The measure for each row of `weights` (resamples, pairs): how often each pair counts; nan where undefined."""
    if measure.startswith("alpha"):
        return alpha(ratings, weights, measure.removeprefix("alpha_"))
    results = []
    for i, j in combinations(range(ratings.shape[1]), 2):
        shared = np.isfinite(ratings[:, i]) & np.isfinite(ratings[:, j])
        if shared.sum() >= MIN_PAIRS:
            x, y, counts = ratings[shared, i], ratings[shared, j], weights[:, shared]
            if measure == "spearman":
                x, y = rank(x, counts), rank(y, counts)
            results.append(correlate(x, y, counts))
    if not results:
        return np.full(len(weights), math.nan)
    found = np.array(results)
    known = np.isfinite(found)
    with np.errstate(invalid="ignore"):  # 0 / 0: no two raters have a value
        return np.where(known, found, 0).sum(0) / known.sum(0)


def correlate(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation for each row of weights (resamples, pairs); x, y: (pairs,) or (resamples, pairs)."""
    total = weights.sum(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        x, y = (values - (weights * values).sum(1, keepdims=True) / total for values in (x, y))
        squares = [(weights * values * values).sum(1) for values in (x, y)]
        result = (weights * x * y).sum(1) / np.sqrt(squares[0] * squares[1])
    return np.where(_varies(squares[0], x, total) & _varies(squares[1], y, total), np.clip(result, -1, 1), math.nan)


def _varies(squares: np.ndarray, values: np.ndarray, total: np.ndarray) -> np.ndarray:
    size = np.max(values * values, axis=1, initial=0)
    return squares > CONSTANT * np.maximum(size, 1) * total[:, 0]


def rank(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Ranks from 1 of values (n,) of which each counts `weights` (resamples, n) times; ties share their mean rank."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    return (np.cumsum(counts, axis=1) - (counts - 1) / 2)[:, group]


def alpha(ratings: np.ndarray, weights: np.ndarray, metric: str) -> np.ndarray:
    """Krippendorff's alpha for each row of weights (resamples, pairs); metric "ordinal" or "interval".

    Krippendorff's ordinal difference of c and k, the number of values from c to k less half of those at either end,
    squared, is the squared difference of their mean ranks: so ordinal alpha is interval alpha of ranks.
    """
    known = np.isfinite(ratings)
    pairable = known.sum(1) > 1
    ratings, known, weights = ratings[pairable], known[pairable], weights[:, pairable]
    rows, _ = np.nonzero(known)
    values = ratings[known][None]
    if metric == "ordinal":
        values = rank(values[0], weights[:, rows])
    positions = np.zeros((len(values), *ratings.shape))
    positions[:, known] = values - values.mean(1, keepdims=True)
    return _alpha_of(positions, known.sum(1), weights)


def _alpha_of(positions: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """1 - observed / expected; positions: (resamples or 1, pairs, raters), 0 where missing; counts: scores a pair."""
    sums, squares = positions.sum(2), (positions * positions).sum(2)
    observed = (weights * (counts * squares - sums * sums) / (counts - 1)).sum(1)
    total = (weights * counts).sum(1)
    expected = total * (weights * squares).sum(1) - (weights * sums).sum(1) ** 2
    varies = expected > CONSTANT * total * total * np.maximum(np.max(squares, axis=1, initial=0), 1)
    return np.where(varies, 1 - (total - 1) * observed / np.where(varies, expected, 1), math.nan)


def resample_papers(
    statistic: Callable[[np.ndarray], np.ndarray], papers: np.ndarray, width: int, seed: int
) -> tuple[float, float, str]:
    """The 95% percentile interval of `statistic(weights)` over resamples of papers, or nan, nan and why not.

    width: numbers that one resample takes, so that memory stays bounded.
    """
    if len(np.unique(papers)) < 2:
        return math.nan, math.nan, "no interval from one paper"
    samples = np.concatenate([statistic(weights) for weights in _draw_weights(papers, width, seed)])
    undefined = float(np.mean(~np.isfinite(samples)))
    if undefined > MAX_UNDEFINED:
        return math.nan, math.nan, f"no interval: in {undefined:.0%} of the resamples scores do not differ"
    low, high = np.quantile(samples[np.isfinite(samples)], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high), ""


def _draw_weights(papers: np.ndarray, width: int, seed: int) -> Iterator[np.ndarray]:
    """How often each pair counts when as many papers as there are are drawn with replacement."""
    _, inverse = np.unique(papers, return_inverse=True)
    number = inverse.max() + 1
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), NUM_RESAMPLES)
    batch = max(1, BATCH_VALUES // max(1, width))
    for start in range(0, NUM_RESAMPLES, batch):
        yield drawn[start : start + batch][:, inverse].astype(float)


def _shuffle(measure: str, ratings: np.ndarray, seed: int) -> tuple[float, float, float]:
    """Mean and the middle 95% of the measure, the first column shuffled; ranks move along with their scores."""
    metric: str | None = measure.removeprefix("alpha_") if measure.startswith("alpha") else None
    ones, generator = np.ones((1, len(ratings))), np.random.default_rng(seed)
    values = ratings.copy()
    if metric == "ordinal":
        values = rank(ratings.ravel(), np.ones((1, ratings.size))).reshape(ratings.shape)
    elif measure == "spearman":
        values = np.stack([rank(column, ones)[0] for column in ratings.T], axis=1)
    values -= values.mean()
    found, batch = [], max(1, BATCH_VALUES // ratings.size)
    for start in range(0, NUM_RESAMPLES, batch):
        number = min(batch, NUM_RESAMPLES - start)
        first = generator.permuted(np.tile(values[:, 0], (number, 1)), axis=1)
        if metric:
            second = np.broadcast_to(values[:, 1], first.shape)
            found.append(_alpha_of(np.stack([first, second], axis=2), np.full(len(ratings), 2), ones))
        else:
            found.append(correlate(first, values[:, 1], np.broadcast_to(ones, first.shape)))
    samples = np.concatenate(found)
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(samples.mean()), float(low), float(high)
