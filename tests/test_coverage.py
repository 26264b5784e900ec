"""The three definitions of sentence coverage, by hand with their arithmetic, and random scores against exact odds."""

import math
import time
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciqag_lib.analysis.coverage import (
    NUM_DRAWS,
    assign_chunks,
    count_top,
    find_untouched,
    measure_coverage,
    measure_random,
    rank_sentences,
    share_touched,
    touch_sentences,
)


def measure(scores, **more) -> tuple[float, float, float]:
    found = measure_coverage(np.array(scores, float), **more)
    return tuple(found.values())


def missing(values) -> bool:
    return all(math.isnan(value) for value in values)


# k and chunks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sentences, share, expected",
    [
        (164, 0.15, 24),  # 24.6
        (6, 0.15, 0),
        (7, 0.15, 1),  # 0.9, 1.05
        (20, 0.15, 3),
        (60, 0.15, 9),
        (0, 0.15, 0),
        (100, 0.29, 29),  # 0.29 * 100 is 28.999999999999996 in floating point
        (10, 0.7, 7),
        (3, 1.0, 3),
        (20_000, 0.15, 3000),
    ],
)
def test_k_is_the_share_rounded_down(sentences, share, expected):
    assert count_top(sentences, share) == expected


@given(st.integers(1, 500), st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_sentence_i_lies_in_chunk_floor_of_c_times_i_over_n(sentences, chunks):
    expected = [Fraction(chunks * place, sentences).__floor__() for place in range(sentences)]
    assert assign_chunks(sentences, chunks).tolist() == expected and max(expected) < chunks


def test_chunks_by_hand():
    """25 sentences: 10 * 2 / 25 = 0.8, 10 * 3 / 25 = 1.2: chunks of 3 and 2 by turns. 4: 0, 2.5, 5, 7.5. 164: the last
    sentence is 10 * 163 / 164 = 9.94, in chunk 9 and no other."""
    assert assign_chunks(25).tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5, 6, 6, 6, 7, 7, 8, 8, 8, 9, 9]
    assert assign_chunks(4).tolist() == [0, 2, 5, 7] and assign_chunks(164)[-1] == 9 and assign_chunks(0).tolist() == []


# Definitions by hand -------------------------------------------------------------------------------------------------


def test_two_pairs_on_twenty_sentences():
    """n = 20, k = 3, sentence i in chunk floor(i / 2), 10 chunks.
    Pair 1 is best at sentences 0 (.9), 1 (.8), 6 (.7): chunks 0, 0, 3: 2 of 10.
    Pair 2 is best at sentences 19 (.95), 6 (.6), 4 (.5): chunks 9, 3, 2: 3 of 10.
    individual (.2 + .3) / 2 = .25; union {0, 2, 3, 9} = .4.
    pooled: .95 (19), .9 (0), .8 (1): chunks 9, 0, 0: .2."""
    scores = np.zeros((2, 20))
    scores[0, [0, 1, 6]] = 0.9, 0.8, 0.7
    scores[1, [19, 6, 4]] = 0.95, 0.6, 0.5
    assert measure(scores) == pytest.approx((0.2, 0.25, 0.4))


def test_pooled_takes_unique_sentences():
    """Both pairs are best at sentence 0: of the ranked scores .9 (0), .85 (0), .8 (0 again? no: 5), .7 (10), the first
    k = 3 unique sentences are 0, 5, 10: chunks 0, 2, 5: .3. The first 3 scores as they stand would give .2."""
    scores = np.zeros((2, 20))
    scores[0, [0, 5]] = 0.9, 0.8
    scores[1, [0, 10]] = 0.85, 0.7
    assert measure(scores)[0] == pytest.approx(0.3)


def test_a_paper_of_fewer_than_10_sentences_counts_only_the_chunks_it_has():
    """n = 4, share .5: k = 2. Chunks 0, 2, 5, 7: 4 of them hold a sentence.
    Pair 1: sentences 0 and 2: 2 / 4. Pair 2: 2 and 3: 2 / 4. individual .5; union {0, 2, 3} = 3 / 4.
    pooled: .9 (0) and .8 (2): 2 / 4."""
    scores = [[0.9, 0.1, 0.8, 0.2], [0.1, 0.2, 0.75, 0.7]]
    assert measure(scores, share=0.5) == pytest.approx((0.5, 0.5, 0.75))


def test_seven_sentences_with_the_published_share():
    """k = int(1.05) = 1; chunks 0, 1, 2, 4, 5, 7, 8. Pair 1 hits one of 7, pair 2 another: 1/7, 1/7, 2/7."""
    scores = np.zeros((2, 7))
    scores[0, 6], scores[1, 2] = 0.5, 0.6
    assert measure(scores) == pytest.approx((1 / 7, 1 / 7, 2 / 7))


def test_one_pair_has_one_value():
    """n = 20, k = 3: sentences 3, 8, 9 are chunks 1, 4, 4: .2 in all three definitions."""
    scores = np.zeros((1, 20))
    scores[0, [3, 8, 9]] = 0.3, 0.2, 0.1
    assert measure(scores) == pytest.approx((0.2, 0.2, 0.2))


def test_ties_go_to_the_lower_sentence():
    """All scores equal: k = 3 of 20 are sentences 0, 1, 2: chunks 0, 0, 1: .2. With .5 at 19, it comes first and the
    tie gives 0 and 1: chunks 9, 0: .2. With .5 at 4, 9, 14 and 19, the first three: chunks 2, 4, 7: .3."""
    equal = np.full((3, 20), 0.25)
    assert measure(equal) == pytest.approx((0.2, 0.2, 0.2))
    equal[:, 19] = 0.5
    assert rank_sentences(equal, 3).tolist() == [[19, 0, 1]] * 3 and measure(equal) == pytest.approx((0.2, 0.2, 0.2))
    equal[:, [4, 9, 14]] = 0.5
    assert rank_sentences(equal, 4).tolist() == [[4, 9, 14, 19]] * 3
    assert measure(equal) == pytest.approx((0.3, 0.3, 0.3))


def test_ties_between_pairs_go_to_the_lower_sentence_too():
    """n = 10, share .2: k = 2. Pair 1 has .9 at 8, pair 2 .9 at 3 and at 5: pooled takes 3 and 5, whichever pair comes
    first: .2; individual: pair 1 8 and 0, pair 2 3 and 5: .2; union .4."""
    scores = np.zeros((2, 10))
    scores[0, 8] = scores[1, 3] = scores[1, 5] = 0.9
    for order in ([0, 1], [1, 0]):
        assert measure(scores[order], share=0.2) == pytest.approx((0.2, 0.2, 0.4))
    union = touch_sentences(scores, 0.2)
    assert np.flatnonzero(union).tolist() == [0, 3, 5, 8]


@pytest.mark.parametrize("scores", [np.ones((2, 6)), np.ones((3, 0)), np.ones((0, 40))])
def test_k_of_0_or_no_pair_is_a_missing_value(scores):
    """int(.15 * 6) = int(.9) = 0."""
    assert missing(measure(scores))
    random = measure_random(*scores.shape, "10.1/a", 0)
    assert missing(tuple(random.values()))


def test_chunks_and_share_are_parameters():
    """n = 20, 4 chunks of 5, share .1: k = 2, sentences 0 and 7: chunks 0 and 1: .5. All sentences hit all chunks."""
    scores = np.zeros((1, 20))
    scores[0, [0, 7]] = 1
    assert measure(scores, num_chunks=4, share=0.1) == pytest.approx((0.5, 0.5, 0.5))
    assert measure(scores, share=1) == (1, 1, 1) and measure(scores, num_chunks=1) == (1, 1, 1)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_scores_that_are_no_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match="finite"):
        measure([[0.1, wrong, 0.2] * 5])


def measure_slowly(scores: np.ndarray, chunks: int, share: Fraction) -> tuple[Fraction, Fraction, Fraction]:
    """The definitions word by word, in whole numbers."""
    num_pairs, num_sentences = scores.shape
    top = int(share * num_sentences)
    chunk = [chunks * place // num_sentences for place in range(num_sentences)]
    ranked = sorted((-scores[pair, place], place) for pair in range(num_pairs) for place in range(num_sentences))
    pooled: list[int] = []
    for _, place in ranked:
        if place not in pooled and len(pooled) < top:
            pooled.append(place)
    own = [sorted(range(num_sentences), key=lambda place: (-row[place], place))[:top] for row in scores]
    existing = len(set(chunk))
    individual = sum(Fraction(len({chunk[place] for place in best}), existing) for best in own) / num_pairs
    union = {chunk[place] for best in own for place in best}
    return Fraction(len({chunk[place] for place in pooled}), existing), individual, Fraction(len(union), existing)


@given(st.integers(1, 6), st.integers(1, 45), st.integers(1, 12), st.integers(1, 100), st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_the_definitions_are_those_written_out(pairs, sentences, chunks, percent, seed):
    scores = np.random.default_rng(seed).integers(0, 8, (pairs, sentences)) / 8  # full of ties
    found = measure(scores, num_chunks=chunks, share=percent / 100)
    if percent * sentences < 100:
        assert missing(found)
    else:
        slow = measure_slowly(scores, chunks, Fraction(percent, 100))
        assert found == pytest.approx([float(value) for value in slow])


# Random scores -------------------------------------------------------------------------------------------------------


def exact_odds(num_pairs: int, num_sentences: int, num_chunks: int, top: int) -> tuple[float, float, float]:
    """The mean over random scores: k sentences are drawn without order, so a chunk of m of the n sentences is missed
    with C(n - m, k) / C(n, k); by all pairs with that to the power of their number."""
    sizes = np.bincount(num_chunks * np.arange(num_sentences) // num_sentences)
    miss = [comb(num_sentences - int(size), top) / comb(num_sentences, top) for size in sizes if size]
    hit = 1 - sum(miss) / len(miss)
    return hit, hit, 1 - sum(odds**num_pairs for odds in miss) / len(miss)


@pytest.mark.parametrize(
    "pairs, sentences, chunks, share",
    [(3, 20, 10, 0.15), (10, 164, 10, 0.15), (2, 7, 10, 0.3), (1, 25, 10, 0.15), (5, 30, 4, 0.1)],
)
def test_the_baseline_has_the_exact_odds_of_random_scores(pairs, sentences, chunks, share):
    draws = 3000
    found = measure_random(pairs, sentences, "10.1/a", 0, chunks, share, draws)
    exact = exact_odds(pairs, sentences, chunks, int(share * sentences))
    # A draw's value lies between 0 and 1, its standard deviation is 0.15 at most here: 4 of the mean's are 0.011.
    assert tuple(found.values()) == pytest.approx(exact, abs=0.011)


def test_the_baseline_is_the_mean_of_random_matrices_measured_one_by_one():
    slow = np.random.default_rng(4)
    values = np.array([measure_slowly(slow.random((4, 24)), 10, Fraction(15, 100)) for _ in range(600)], float).mean(0)
    found = measure_random(4, 24, "10.1/a", 0, num_draws=600)
    assert tuple(found.values()) == pytest.approx(values, abs=0.025)


def test_the_baseline_hangs_on_seed_and_doi_alone():
    first = measure_random(10, 100, "10.1/a", 0)
    measure_random(3, 50, "10.1/b", 0)  # another paper before it
    assert measure_random(10, 100, "10.1/a", 0) == first
    assert measure_random(10, 100, "10.1/b", 0) != first != measure_random(10, 100, "10.1/a", 1)


def test_the_published_rates_lie_below_random_scores():
    """10 pairs, 100 to 300 sentences: individual .82 to .995, pooled .81 to .996, union 1 at random; published .6423,
    .68 and .786."""
    for sentences in (100, 200, 300):
        found = measure_random(10, sentences, "10.1/a", 0)
        assert 0.81 < found["pooled"] < 0.996 and 0.82 < found["individual"] < 0.995 and found["union"] > 0.995


def test_a_hundred_draws_are_enough():
    """The standard error of the mean is below 0.01, as NUM_DRAWS says."""
    values = [measure_random(10, 164, "10.1/a", seed) for seed in range(30)]
    assert NUM_DRAWS == 100
    for name in ("pooled", "individual", "union"):
        assert np.std([value[name] for value in values]) < 0.01


def test_twenty_thousand_sentences_take_seconds():
    started = time.monotonic()
    found = measure_random(10, 20_000, "10.1/a", 0, num_draws=10)
    scores = np.random.default_rng(0).random((10, 20_000), np.float32)
    assert measure(scores) == (1, 1, 1) and found["union"] == 1
    assert time.monotonic() - started < 10


# Places --------------------------------------------------------------------------------------------------------------


def test_untouched_runs_come_longest_first_and_the_earlier_of_equals():
    touched = np.array([False, True, False, False, True, True, False, False])
    assert find_untouched(touched) == [(2, 4), (6, 8), (0, 1)] and find_untouched(touched, 2) == [(2, 4), (6, 8)]
    assert find_untouched(np.ones(3, bool)) == [] and find_untouched(np.zeros(3, bool)) == [(0, 3)]
    assert find_untouched(np.zeros(0, bool)) == []


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_every_untouched_sentence_is_in_one_run(touched, shortest):
    runs = find_untouched(np.array(touched, bool))
    assert sorted(place for first, end in runs for place in range(first, end)) == [
        place for place, hit in enumerate(touched) if not hit
    ]
    assert find_untouched(np.array(touched, bool), shortest) == [run for run in runs if run[1] - run[0] >= shortest]


def test_sentences_belong_to_the_section_they_begin_in():
    """Characters 0 to 10, 11 to 20, 21 to 30, 31 to 40; the section from 11 to 31 has the second and the third."""
    spans, touched = [(0, 10), (11, 20), (21, 30), (31, 40)], np.array([True, True, False, True])
    assert share_touched(spans, touched, 11, 31) == (1, 2) and share_touched(spans, touched, 0, 40) == (3, 4)
    assert share_touched(spans, touched, 12, 20) == (0, 0)
    assert not touch_sentences(np.ones((2, 6))).any()  # k = 0 touches nothing
