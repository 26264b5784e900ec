"""Measures of agreement against published worked examples, scipy, and definitions written out."""

import math

import numpy as np
import pytest
from scipy import stats

from sciqag_lib.metrics.reliability import (
    MEASURES,
    Agreement,
    agree,
    alpha,
    explain_undefined,
    measure_agreement,
    rank,
    resample_papers,
)

NONE = math.nan
ONES = np.ones((1, 12))
# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), the reliability data of examples C and following:
# 4 observers, 12 units, missing values. It prints alpha .743 nominal, .815 ordinal, .849 interval.
FOUR_OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
        [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
    ]
).T
# The same, example A: 2 observers, 10 units, binary data, alpha .095. With two values all differences are the same.
MEG_AND_OWEN = np.array([[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]], float).T


@pytest.mark.parametrize("metric, published", [("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_that_of_krippendorffs_example_with_missing_values(metric, published):
    assert alpha(FOUR_OBSERVERS, ONES, metric)[0] == pytest.approx(published, abs=0.0005)
    result = measure_agreement(f"alpha_{metric}", FOUR_OBSERVERS, np.arange(12))
    assert result.value == pytest.approx(published, abs=0.0005)
    assert result.pairs == 11  # the last unit has one value, which can't be paired


@pytest.mark.parametrize("metric", ["ordinal", "interval"])
def test_alpha_is_that_of_krippendorffs_binary_example(metric):
    assert alpha(MEG_AND_OWEN, ONES[:, :10], metric)[0] == pytest.approx(0.095, abs=0.0005)


def alpha_written_out(units: list[list[float]], metric: str) -> float:
    """From the definition: coincidences, their margins, and the metric's difference of each two values."""
    units = [values for values in units if len(values) > 1]
    every = sorted(value for values in units for value in values)
    margin = {value: every.count(value) for value in every}

    def difference(c: float, k: float) -> float:
        c, k = min(c, k), max(c, k)
        if metric == "interval":
            return (c - k) ** 2
        return (sum(margin[g] for g in margin if c <= g <= k) - (margin[c] + margin[k]) / 2) ** 2

    observed = sum(
        difference(values[i], values[j]) / (len(values) - 1)
        for values in units
        for i in range(len(values))
        for j in range(len(values))
        if i != j
    ) / len(every)
    expected = sum(margin[c] * margin[k] * difference(c, k) for c in margin for k in margin)
    return 1 - observed / (expected / len(every) / (len(every) - 1))


def random_ratings(seed: int, pairs: int = 40, raters: int = 3, missing: float = 0.2) -> np.ndarray:
    chance = np.random.default_rng(seed)
    quality = chance.normal(size=(pairs, 1))
    ratings = np.clip(np.round(2 + quality + chance.normal(0, 0.7, (pairs, raters))), 1, 3)
    return np.where(chance.random(ratings.shape) < missing, NONE, ratings)


@pytest.mark.parametrize("metric", ["ordinal", "interval"])
@pytest.mark.parametrize("seed", range(5))
def test_alpha_of_a_resample_is_that_of_its_units_written_out(metric, seed):
    ratings = random_ratings(seed)
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(ratings))).astype(float)
    for row, found in zip(weights, alpha(ratings, weights, metric)):
        drawn = np.repeat(ratings, row.astype(int), axis=0)
        units = [[value for value in unit if value == value] for unit in drawn]
        assert found == pytest.approx(alpha_written_out(units, metric), abs=1e-12)


@pytest.mark.parametrize("measure, reference", [("spearman", stats.spearmanr), ("pearson", stats.pearsonr)])
@pytest.mark.parametrize("seed", range(5))
def test_a_correlation_of_a_resample_is_scipys_of_its_rows(measure, reference, seed):
    ratings = random_ratings(seed, raters=2, missing=0) + np.array([0, 0.25])
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(ratings))).astype(float)
    for row, found in zip(weights, agree(measure, ratings, weights)):
        drawn = np.repeat(ratings, row.astype(int), axis=0)
        assert found == pytest.approx(reference(*drawn.T).statistic, abs=1e-12)


def test_ranks_are_scipys_midranks():
    values = np.array([2.0, 1.0, 2.0, 3.0, 2.5])
    assert rank(values, np.ones((1, 5)))[0] == pytest.approx(stats.rankdata(values))
    # 1, 2, 2, 2, 2, 3: the first 2 counts twice; 2.5 counts nothing
    assert rank(values, np.array([[2.0, 1, 2, 1, 0]]))[0][:4] == pytest.approx([3.5, 1, 3.5, 6])


def test_more_than_two_raters_correlate_by_the_mean_over_each_two_on_shared_pairs():
    ratings = random_ratings(1)
    found = measure_agreement("spearman", ratings, np.arange(40)).value
    shared = [ratings[np.isfinite(ratings[:, couple]).all(1)][:, couple] for couple in ([0, 1], [0, 2], [1, 2])]
    assert found == pytest.approx(np.mean([stats.spearmanr(*two.T).statistic for two in shared]))


# Intervals -----------------------------------------------------------------------------------------------------------


def test_papers_are_resampled_with_all_their_pairs():
    """Each paper holds one pair ten times: the interval is that of ten papers, not of a hundred pairs."""
    once = random_ratings(3, pairs=10, raters=2, missing=0)
    papers = np.arange(10)
    one = measure_agreement("pearson", once, papers)
    ten = measure_agreement("pearson", np.repeat(once, 10, axis=0), np.repeat(papers, 10))
    alone = measure_agreement("pearson", np.repeat(once, 10, axis=0), np.arange(100))
    assert (ten.low, ten.high) == (pytest.approx(one.low), pytest.approx(one.high)) and ten.papers == 10
    assert alone.high - alone.low < 0.6 * (ten.high - ten.low)


def test_the_interval_is_that_of_a_bootstrap_written_out():
    ratings, papers = random_ratings(4, pairs=60, raters=2, missing=0), np.repeat(np.arange(20), 3)
    result = measure_agreement("spearman", ratings, papers)
    chance, found = np.random.default_rng(99), []
    for _ in range(2000):
        drawn = np.concatenate([np.flatnonzero(papers == paper) for paper in chance.integers(0, 20, 20)])
        found.append(stats.spearmanr(*ratings[drawn].T).statistic)
    assert [result.low, result.high] == pytest.approx(np.quantile(found, [0.025, 0.975]), abs=0.03)
    assert result.high - result.low > 0.15  # and 0.03 tells something


def test_the_same_seed_gives_the_same_interval_and_batches_do_not_matter(monkeypatch):
    ratings, papers = random_ratings(5, raters=2, missing=0), np.repeat(np.arange(8), 5)
    first = measure_agreement("alpha_ordinal", ratings, papers, seed=1, shuffle=True)
    assert first == measure_agreement("alpha_ordinal", ratings, papers, seed=1, shuffle=True)
    assert first.low != measure_agreement("alpha_ordinal", ratings, papers, seed=2).low
    monkeypatch.setattr("sciqag_lib.metrics.reliability.BATCH_VALUES", 5000)
    small = measure_agreement("alpha_ordinal", ratings, papers, seed=1, shuffle=True)
    assert (small.low, small.high, small.null_high) == pytest.approx((first.low, first.high, first.null_high))


def test_one_paper_has_a_value_and_no_interval():
    result = measure_agreement("pearson", random_ratings(6, raters=2, missing=0), np.zeros(40))
    assert math.isfinite(result.value) and math.isnan(result.low) and result.reason == "no interval from one paper"
    assert not result.above_chance


def test_resamples_without_a_value_are_not_passed_over():
    """Paper 0 alone varies: a resample without it has no correlation, and there are (5/6)^6 = 33% of those."""
    ratings = np.full((18, 2), 3.0)
    ratings[:3] = [[1, 1], [2, 1], [3, 3]]
    result = measure_agreement("pearson", ratings, np.repeat(np.arange(6), 3))
    assert math.isfinite(result.value) and math.isnan(result.low)
    assert result.reason.startswith("no interval: in 3") and "do not differ" in result.reason
    low, high, why = resample_papers(lambda weights: weights[:, 0] * 0 + 0.5, np.arange(4), 4, 0)
    assert (low, high, why) == (0.5, 0.5, "")


# Null baseline -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", MEASURES)
def test_shuffled_scores_are_those_of_scores_shuffled_by_hand(measure):
    ratings = random_ratings(4, raters=2, missing=0) + np.array([0.0, 0.5])  # with a bias alpha's shuffles lie below 0
    result = measure_agreement(measure, ratings, np.arange(40), shuffle=True)
    chance, found = np.random.default_rng(8), []
    for _ in range(2000):
        shuffled = np.column_stack([chance.permutation(ratings[:, 0]), ratings[:, 1]])
        found.append(agree(measure, shuffled, np.ones((1, 40)))[0])
    assert result.null == pytest.approx(np.mean(found), abs=0.02)
    assert [result.null_low, result.null_high] == pytest.approx(np.quantile(found, [0.025, 0.975]), abs=0.04)
    assert result.above_chance


def test_ranks_are_shuffled_where_the_measure_is_one_of_ranks():
    """An outlier, which decides Pearson and interval alpha, is one rank like another."""
    chance = np.random.default_rng(10)
    ratings, papers = np.column_stack([chance.permutation(20), chance.permutation(20)]).astype(float), np.arange(20)
    ratings[ratings == 19] = 1000
    by_column = np.stack([stats.rankdata(column) for column in ratings.T], axis=1)
    for measure, plain, ranks in (
        ("spearman", "pearson", by_column),
        ("alpha_ordinal", "alpha_interval", stats.rankdata(ratings).reshape(20, 2)),
    ):
        found = measure_agreement(measure, ratings, papers, shuffle=True)
        expected = measure_agreement(plain, ranks, papers, shuffle=True)
        raw = measure_agreement(plain, ratings, papers, shuffle=True)
        assert (found.null, found.null_low, found.null_high) == pytest.approx(
            (expected.null, expected.null_low, expected.null_high)
        )
        assert abs(found.null_high - raw.null_high) > 0.1


def test_a_judge_that_throws_dice_is_not_above_chance():
    chance = np.random.default_rng(9)
    ratings = chance.integers(1, 4, (100, 2)).astype(float)
    result = measure_agreement("spearman", ratings, np.repeat(np.arange(20), 5), shuffle=True)
    assert result.null_low < result.value < result.null_high and not result.above_chance


# What is not defined, in words ---------------------------------------------------------------------------------------


def test_a_constant_rater_is_said_in_words_and_alpha_is_still_there():
    ratings = np.array([[3, 1.0], [3, 2], [3, 3], [3, 3]])
    result = measure_agreement("pearson", ratings, np.arange(4), shuffle=True, names=("judge", "experts' mean"))
    assert math.isnan(result.value) and math.isnan(result.null) and str(result) == "undefined"
    assert result.reason == "judge is always 3: a correlation with scores that never differ is not defined"
    assert explain_undefined("spearman", ratings[:, ::-1]).startswith("rater 2 is always 3")
    assert measure_agreement("alpha_interval", ratings, np.arange(4)).value < 0
    same = np.full((4, 2), 2.0)
    assert "all scores are the same" in measure_agreement("alpha_ordinal", same, np.arange(4)).reason


def test_a_constant_that_is_no_binary_fraction_is_constant():
    """A mean of thirds leaves a rounding error, which must not pass for a variance."""
    for value in (7 / 3, 2.2, 1.1):
        for number in range(3, 60):
            ratings, papers = np.column_stack([np.full(number, value), 1 + np.arange(number) % 3]), np.arange(number)
            for measure in ("spearman", "pearson"):
                assert math.isnan(measure_agreement(measure, ratings, papers).value), (value, number)
            assert math.isnan(alpha(np.full((number, 2), value), np.ones((1, number)), "interval")[0]), (value, number)


@pytest.mark.parametrize("measure", MEASURES)
def test_fewer_than_three_shared_pairs_have_no_value(measure):
    ratings = np.array([[1, 1], [2, 3], [NONE, 2], [3, NONE]])
    result = measure_agreement(measure, ratings, np.arange(4))
    assert math.isnan(result.value) and result.pairs == 2
    assert result.reason == "2 shared pairs, at least 3 are needed"
    assert measure_agreement(measure, ratings[2:], np.arange(2)).reason.startswith("no shared pairs")


def test_an_unknown_measure_is_refused():
    with pytest.raises(ValueError, match="expected one of spearman, pearson, .*found 'kappa'"):
        measure_agreement("kappa", np.ones((4, 2)), np.arange(4))


def test_numbers_are_printed_with_their_interval():
    assert str(Agreement(0.5, 0.25, 0.75, 9, 3)) == "0.50 (0.25 to 0.75)"
    assert str(Agreement(0.5, NONE, NONE, 9, 1)) == "0.50"
