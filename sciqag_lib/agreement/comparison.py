"""Two judges on the same pairs, or two sets of pairs from the same papers: the difference, its interval, a verdict.

Prompt A against prompt B, or model against model. Both are resampled together, so that what makes a paper easy or hard
for both does not widen the interval. A verdict is taken from the 95% interval of the difference alone:

    low > 0: the first agrees more; high < 0: the second; else nothing can be told from this many pairs

Each verdict is on its own: of twenty comparisons of equals one is expected to seem to differ.
"""

import math
from dataclasses import dataclass

import numpy as np

from sciqag_lib.agreement.score_table import DIMENSIONS, ScoreTable
from sciqag_lib.errors import InputError
from sciqag_lib.metrics.intervals import estimate_mean
from sciqag_lib.metrics.reliability import MEASURES, MIN_PAIRS, agree, explain_undefined, resample_papers
from sciqag_lib.records.papers import normalize_doi

MEAN = "mean_score"


@dataclass(frozen=True)
class Comparison:
    """first minus second; nan where it is not defined, and then the verdict says why."""

    first: str
    second: str
    dimension: str
    measure: str  # one of MEASURES, agreement with the experts' mean, or "mean_score"
    value_first: float
    value_second: float
    difference: float
    low: float  # 95% interval, papers resampled
    high: float
    pairs: int  # scored by both, and, for agreement, by the experts
    papers: int
    verdict: str


def compare_judges(table: ScoreTable, first: str, second: str, seed: int = 0) -> list[Comparison]:
    """Two judges, or two prompts of one: which agrees more with the experts' mean, and which scores higher.

    For each dimension that both scored, on the pairs both scored. Without experts only the mean scores are compared.
    """
    names, results = (first, second), []
    for dimension in DIMENSIONS:
        if (dimension, first) in table.scores and (dimension, second) in table.scores:
            ratings = table.ratings(dimension, [first, second])
            if table.of_kind("expert"):
                mean = table.experts_mean(dimension)
                results += compare_agreement(names, dimension, ratings, mean, table.papers, tuple(MEASURES), seed)
            results.append(_compare_means(names, dimension, ratings, table.papers, seed))
    return results


def compare_agreement(
    names: tuple[str, str],
    dimension: str,
    ratings: np.ndarray,
    experts: np.ndarray,
    papers: np.ndarray,
    measures: tuple[str, ...],
    seed: int,
) -> list[Comparison]:
    """ratings: (pairs, 2), the two to compare; experts: (pairs,), what either is compared with; nan is missing."""
    shared = np.isfinite(ratings).all(1) & np.isfinite(experts)
    ratings, experts, papers = ratings[shared], experts[shared], papers[shared]
    sides = [np.stack([column, experts], axis=1) for column in ratings.T]
    results = []
    for measure in measures:
        reasons = [
            reason
            for name, side in zip(names, sides)
            if (reason := explain_undefined(measure, side, (name, "experts' mean")))
        ]
        if reasons:
            results.append(_make(names, dimension, measure, (math.nan,) * 5, papers, f"not compared ({reasons[0]})"))
            continue
        ones = np.ones((1, len(papers)))
        values = [float(agree(measure, side, ones)[0]) for side in sides]

        def difference(weights: np.ndarray, measure: str = measure) -> np.ndarray:
            return agree(measure, sides[0], weights) - agree(measure, sides[1], weights)

        low, high, reason = resample_papers(difference, papers, 2 * ratings.size, seed)
        verdict = f"not told ({reason})" if reason else _judge(names, low, high, papers, "agrees more with the experts")
        results.append(_make(names, dimension, measure, (*values, values[0] - values[1], low, high), papers, verdict))
    return results


def _compare_means(
    names: tuple[str, str], dimension: str, ratings: np.ndarray, papers: np.ndarray, seed: int
) -> Comparison:
    shared = np.isfinite(ratings).all(1)
    ratings, papers = ratings[shared], papers[shared]
    if len(papers) < MIN_PAIRS:
        verdict = f"not compared ({len(papers)} pairs scored by both, at least {MIN_PAIRS} are needed)"
        return _make(names, dimension, MEAN, (math.nan,) * 5, papers, verdict)
    _, inverse = np.unique(papers, return_inverse=True)
    estimate = estimate_mean(np.bincount(inverse, ratings[:, 0] - ratings[:, 1]), np.bincount(inverse), seed)
    values = (*map(float, ratings.mean(0)), estimate.mean, estimate.low, estimate.high)
    verdict = _judge(names, estimate.low, estimate.high, papers, "scores higher")
    return _make(names, dimension, MEAN, values, papers, verdict)


def compare_sets(
    first: ScoreTable, second: ScoreTable, names: tuple[str, str], rater: str | None = None, seed: int = 0
) -> list[Comparison]:
    """Two sets of pairs written about the same papers, by two models or prompts: the difference of their mean scores.

    The pairs of a paper are other ones in each set, so papers are what is paired; `pairs` counts those of both sets. A
    rater of None is the experts' mean. InputError: the scales differ, or the rater scored only one set, or neither.
    """
    if first.scale != second.scale:
        raise InputError(f"scale: expected the same for both sets, found 1 to {first.scale} and 1 to {second.scale}")
    results = []
    for dimension in DIMENSIONS:
        sides = [_mean_by_paper(table, dimension, rater) for table in (first, second)]
        shared = sorted(set(sides[0]) & set(sides[1]))
        if not sides[0] or not sides[1]:
            continue
        sums, counts = (
            np.array([[side[paper][part] for paper in shared] for side in sides], float).reshape(2, -1)
            for part in (0, 1)
        )
        results.append(_compare_sums(names, dimension, sums, counts, seed))
    if not results:
        raise InputError(
            f"expected scores by {rater or 'experts'} on the same dimension in both sets, found none; the "
            f"sets' raters are {', '.join(sorted({*first.raters, *second.raters}))}"
        )
    return results


def _mean_by_paper(table: ScoreTable, dimension: str, rater: str | None) -> dict[str, tuple[float, int]]:
    """Sum and number of the scores of each paper that has any."""
    scores = table.experts_mean(dimension) if rater is None else table.ratings(dimension, [rater])[:, 0]
    found: dict[str, tuple[float, int]] = {}
    for (paper, _), score in zip(table.pairs, scores):
        if np.isfinite(score):
            total, number = found.get(normalize_doi(paper), (0.0, 0))
            found[normalize_doi(paper)] = (total + float(score), number + 1)
    return found


def _compare_sums(
    names: tuple[str, str], dimension: str, sums: np.ndarray, counts: np.ndarray, seed: int
) -> Comparison:
    """sums, counts: (2, papers)."""
    papers = np.arange(sums.shape[1])
    pairs = int(counts.sum())
    if not len(papers):
        return _make(names, dimension, MEAN, (math.nan,) * 5, papers, "not compared (no paper is in both sets)", pairs)

    def means(weights: np.ndarray) -> np.ndarray:
        return (weights @ sums.T) / (weights @ counts.T)

    first, second = map(float, means(np.ones((1, len(papers))))[0])
    low, high, reason = resample_papers(lambda weights: -np.diff(means(weights))[:, 0], papers, 4 * len(papers), seed)
    verdict = f"not told ({reason})" if reason else _judge(names, low, high, papers, "is scored higher", pairs)
    return _make(names, dimension, MEAN, (first, second, first - second, low, high), papers, verdict, pairs)


def _judge(
    names: tuple[str, str], low: float, high: float, papers: np.ndarray, what: str, pairs: int | None = None
) -> str:
    if math.isnan(low):
        return "not told (no interval from one paper)"
    if low > 0 or high < 0:
        return f"{names[0] if low > 0 else names[1]} {what}"
    number, of = len(papers) if pairs is None else pairs, len(np.unique(papers))
    return f"no difference can be told from this many pairs ({number:,} of {of:,} papers)"


def _make(
    names: tuple[str, str],
    dimension: str,
    measure: str,
    values: tuple[float, ...],
    papers: np.ndarray,
    verdict: str,
    pairs: int | None = None,
) -> Comparison:
    return Comparison(
        *names, dimension, measure, *values, len(papers) if pairs is None else pairs, len(np.unique(papers)), verdict
    )
