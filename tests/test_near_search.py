"""Sorting out by a bound: the same pairs, scores and order as when all vectors are multiplied whole."""

import numpy as np
import pytest

from sciqag_lib.checks import duplicates
from sciqag_lib.checks.duplicates import choose_directions, find_near_duplicates, shorten_vectors
from sciqag_lib.engines.embeddings import normalize_rows

WIDTH = 96


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    sizes = {"MIN_VECTORS": 100, "SAMPLE": 300, "BLOCK_ROWS": 128, "BLOCK_COLUMNS": 256, "CHUNK": 50}
    for name, value in sizes.items():
        monkeypatch.setattr(duplicates, name, value)


def make_vectors(count: int = 1000, common: float = 4.0) -> np.ndarray:
    """`common`: how much of a vector lies in ten directions, as that of questions does; every tenth is nearly the one
    before it, by a cosine of 0.9 to 1."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((count, WIDTH))
    vectors[:, :10] *= common
    for row in range(10, count, 10):
        vectors[row] = vectors[row - 1] + rng.uniform(0, 0.4) * rng.standard_normal(WIDTH)
    return normalize_rows(vectors).astype(np.float32)


def list_matches(found):
    return [(int(a), int(b), float(score)) for rows in found for a, b, score in zip(*rows)]


def compare_all(vectors: np.ndarray, threshold: float) -> list[tuple[int, int, float]]:
    scores = vectors @ vectors.T
    return [(a, b, float(scores[a, b])) for a, b in np.argwhere(np.triu(scores >= threshold, 1)).tolist()]


@pytest.mark.parametrize("threshold", [0.9, 0.95, 0.99])
def test_the_same_as_all_whole(threshold):
    vectors = make_vectors()
    assert choose_directions(vectors, threshold) is not None
    found = list_matches(find_near_duplicates(vectors, threshold))
    expected = compare_all(vectors, threshold)
    assert [match[:2] for match in found] == sorted(match[:2] for match in expected) and 10 < len(found) < 200
    assert dict((match[:2], match[2]) for match in found) == pytest.approx(
        {match[:2]: match[2] for match in expected}, abs=1e-6
    )


def test_the_order_is_by_blocks():
    """Whether an earlier question is dropped must be settled before it drops a later one."""
    vectors = np.tile(make_vectors(200), (3, 1))
    last = -1
    for a, b, _ in find_near_duplicates(vectors, 0.95):
        assert (a < b).all() and a.min() // 128 >= last
        last = a.min() // 128


def test_a_bound_is_never_too_low():
    vectors = make_vectors()
    short = shorten_vectors(vectors, choose_directions(vectors, 0.9))
    assert short.shape[1] in (33, 49)
    assert (short @ short.T - vectors @ vectors.T).min() > -1e-5


def test_a_vector_within_the_directions_matches_itself():
    vectors = make_vectors()
    vectors[:, 30:] = 0
    vectors = normalize_rows(vectors)
    vectors[500] = vectors[3]
    assert (3, 500) in [match[:2] for match in list_matches(find_near_duplicates(vectors, 1 - 1e-6))]


@pytest.mark.parametrize(
    "vectors, threshold",
    [
        (make_vectors(60), 0.9),  # too few
        (make_vectors(1000), -1.0),  # nothing would be sorted out
        (make_vectors(1000)[:, :40].copy(), 0.3),  # as wide as the directions are many
    ],
)
def test_where_sorting_out_saves_nothing_all_are_compared(vectors, threshold):
    vectors = normalize_rows(vectors)
    assert choose_directions(vectors, threshold) is None
    found, expected = list_matches(find_near_duplicates(vectors, threshold)), compare_all(vectors, threshold)
    assert sorted(match[:2] for match in found) == [match[:2] for match in expected]
