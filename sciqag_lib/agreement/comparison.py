"""Two judges on the same pairs, or two sets of pairs from the same papers: the difference, its interval, a verdict.

Prompt A against prompt B, or model against model. Both are resampled together, so that what makes a paper easy or hard
for both does not widen the interval. A verdict is taken from the 95% interval of the difference alone:

    low > 0: the first agrees more; high < 0: the second; else nothing can be told from this many pairs

Each verdict is on its own: of twenty comparisons of equals one is expected to seem to differ.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sciqag_lib.agreement.score_table import DIMENSIONS, ScoreTable
from sciqag_lib.errors import InputError
from sciqag_lib.metrics.intervals import bootstrap_mean
from sciqag_lib.metrics.reliability import MEASURES, MIN_PAIRS, agree, explain_undefined, resample_papers
from sciqag_lib.records.dois import normalize_doi

if TYPE_CHECKING:
    import pandas

MEAN = "mean_score"
UNDEFINED = (math.nan,) * 5  # the values of what is not compared


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
    size, results = (len(papers), len(np.unique(papers))), []
    for measure in measures:
        reasons = [explain_undefined(measure, side, (name, "experts' mean")) for name, side in zip(names, sides)]
        if any(reasons):
            verdict = f"not compared ({reasons[0] or reasons[1]})"
            results.append(Comparison(*names, dimension, measure, *UNDEFINED, *size, verdict))
            continue
        ones = np.ones((1, len(papers)))
        values = [float(agree(measure, side, ones)[0]) for side in sides]

        def difference(weights: np.ndarray, measure: str = measure) -> np.ndarray:
            return agree(measure, sides[0], weights) - agree(measure, sides[1], weights)

        interval = resample_papers(difference, papers, 2 * ratings.size, seed)
        verdict = _judge(names, *interval, size, "agrees more with the experts")
        values += [values[0] - values[1], *interval[:2]]
        results.append(Comparison(*names, dimension, measure, *values, *size, verdict))
    return results


def _compare_means(
    names: tuple[str, str], dimension: str, ratings: np.ndarray, papers: np.ndarray, seed: int
) -> Comparison:
    shared = np.isfinite(ratings).all(1)
    ratings, papers = ratings[shared], papers[shared]
    size = len(papers), len(np.unique(papers))
    if len(papers) < MIN_PAIRS:
        verdict = f"not compared ({len(papers)} pairs scored by both, at least {MIN_PAIRS} are needed)"
        return Comparison(*names, dimension, MEAN, *UNDEFINED, *size, verdict)
    found = bootstrap_mean(ratings[:, 0] - ratings[:, 1], papers, seed)
    reason = "no interval from one paper" if math.isnan(found.low) else ""
    verdict = _judge(names, found.low, found.high, reason, size, "scores higher")
    values = (*map(float, ratings.mean(0)), found.mean, found.low, found.high)
    return Comparison(*names, dimension, MEAN, *values, *size, verdict)


def compare_sets(first: ScoreTable, second: ScoreTable, names: tuple[str, str], seed: int = 0) -> list[Comparison]:
    """Two sets of pairs written about the same papers, by two models or prompts: the difference of the experts' mean
    scores.

    The pairs of a paper are other ones in each set, so papers are what is paired; `pairs` counts those of both sets.
    InputError: the scales differ, or experts scored only one set, or neither.
    """
    if first.scale != second.scale:
        raise InputError(f"scale: expected the same for both sets, found 1 to {first.scale} and 1 to {second.scale}")
    results = []
    for dimension in DIMENSIONS:
        sides = [_sum_by_paper(table, dimension) for table in (first, second)]
        if all(map(len, sides)):
            shared = sides[0].index.intersection(sides[1].index)
            sums, counts = (np.array([side.loc[shared, part] for side in sides], float) for part in ("sum", "count"))
            results.append(_compare_sums(names, dimension, sums, counts, seed))
    if not results:
        raise InputError(
            f"expected scores by experts on the same dimension in both sets, found none; the "
            f"sets' raters are {', '.join(sorted({*first.raters, *second.raters}))}"
        )
    return results


def _sum_by_paper(table: ScoreTable, dimension: str) -> "pandas.DataFrame":
    """Sum and count of the experts' mean scores of each paper that has any."""
    import pandas

    scores = pandas.Series(table.experts_mean(dimension), [normalize_doi(paper) for paper, _ in table.pairs])
    return scores.dropna().groupby(level=0).agg(["sum", "count"])


def _compare_sums(
    names: tuple[str, str], dimension: str, sums: np.ndarray, counts: np.ndarray, seed: int
) -> Comparison:
    """sums, counts: (2, papers)."""
    papers = np.arange(sums.shape[1])
    size = int(counts.sum()), len(papers)
    if not len(papers):
        return Comparison(*names, dimension, MEAN, *UNDEFINED, *size, "not compared (no paper is in both sets)")

    def means(weights: np.ndarray) -> np.ndarray:
        return (weights @ sums.T) / (weights @ counts.T)

    first, second = map(float, means(np.ones((1, len(papers))))[0])
    interval = resample_papers(lambda weights: -np.diff(means(weights))[:, 0], papers, 4 * len(papers), seed)
    verdict = _judge(names, *interval, size, "is scored higher")
    return Comparison(*names, dimension, MEAN, first, second, first - second, *interval[:2], *size, verdict)


def _judge(names: tuple[str, str], low: float, high: float, reason: str, size: tuple[int, int], what: str) -> str:
    """`reason`: why there is no interval; size: pairs, papers."""
    if reason:
        return f"not told ({reason})"
    if low > 0 or high < 0:
        return f"{names[0] if low > 0 else names[1]} {what}"
    return f"no difference can be told from this many pairs ({size[0]:,} of {size[1]:,} papers)"
