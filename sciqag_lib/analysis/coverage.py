"""How much of a paper its question-answer pairs cover: SciQAG's sentence coverage, in all three published definitions.

A paper's n sentences are cut into equal chunks: sentence i (from 0) lies in chunk floor(num_chunks * i / n), and only
chunks that hold a sentence count. With k = int(share * n) and the cosine of every pair to every sentence:

    pooled      the share of chunks hit by the k sentences that come first when all scores of all pairs are ranked
    individual  for each pair the share of chunks hit by its own k best sentences; the mean over pairs
    union       the share of chunks hit by the k best sentences of any pair

Ties go to the lower sentence; with k = 0 there is no value. The definitions answer different questions and are never
compared with each other (arXiv 2405.09939; published: pooled 0.68, individual 0.6423, union 0.786). Random scores
mostly reach more than real pairs do, whose evidence lies together: every value is shown beside that of random scores on
the same paper, and a higher one is not better in itself.
"""

from collections.abc import Sequence

import numpy as np

from sciqag_lib.inference.seeds import derive_seed

DEFINITIONS = ("pooled", "individual", "union")
NUM_CHUNKS, TOP_SHARE = 10, 0.15  # as published
NUM_DRAWS = 100  # random score matrices a paper: the mean's standard error is then below 0.01


def count_top(num_sentences: int, share: float = TOP_SHARE) -> int:
    """k, rounded down; a product that is a whole number but for its last bit counts as one (0.15 * 20 is 3).

    >>> count_top(20), count_top(6)
    (3, 0)
    """
    return int(share * num_sentences + 1e-9)


def assign_chunks(num_sentences: int, num_chunks: int = NUM_CHUNKS) -> np.ndarray:
    """int (num_sentences,): the chunk of each sentence.

    >>> assign_chunks(4, 10).tolist()
    [0, 2, 5, 7]
    """
    return num_chunks * np.arange(num_sentences) // max(1, num_sentences)


def rank_sentences(scores: np.ndarray, number: int) -> np.ndarray:
    """int (..., number): the best sentences of the last axis, best first, the lower index first where scores tie."""
    return np.argsort(-scores, axis=-1, kind="stable")[..., :number]


def measure_coverage(scores: np.ndarray, num_chunks: int = NUM_CHUNKS, share: float = TOP_SHARE) -> dict[str, float]:
    """The share of chunks, 0-1, by definition, for `scores` (pairs, sentences), higher for sentences closer to a pair;
    nan where k is 0 or there is no pair.

    Raises ValueError where a score is no number.
    """
    if not np.isfinite(scores).all():
        raise ValueError("expected finite scores, found nan or infinity")
    return {name: float(value) for name, [value] in _measure_all(scores[None], num_chunks, share).items()}


def measure_random(
    num_pairs: int,
    num_sentences: int,
    doi: str,
    seed: int,
    num_chunks: int = NUM_CHUNKS,
    share: float = TOP_SHARE,
    num_draws: int = NUM_DRAWS,
) -> dict[str, float]:
    """The mean over `num_draws` matrices of random scores; the seed is derived from (seed, doi), so that the order of
    papers does not matter."""
    random = np.random.default_rng(derive_seed(seed, doi))
    at_once = max(1, 2_000_000 // max(1, num_pairs * num_sentences))
    sums = dict.fromkeys(DEFINITIONS, 0.0)
    for drawn in range(0, num_draws, at_once):
        scores = random.random((min(at_once, num_draws - drawn), num_pairs, num_sentences), np.float32)
        for name, values in _measure_all(scores, num_chunks, share).items():
            sums[name] += float(values.sum())
    return {name: total / num_draws for name, total in sums.items()}


def _measure_all(scores: np.ndarray, num_chunks: int, share: float) -> dict[str, np.ndarray]:
    """The definitions for `scores` (draws, pairs, sentences): each (draws,)."""
    num_draws, num_pairs, num_sentences = scores.shape
    top = count_top(num_sentences, share)
    if not top or not num_pairs:
        return dict.fromkeys(DEFINITIONS, np.full(num_draws, np.nan))
    chunks = assign_chunks(num_sentences, num_chunks)
    existing = len(np.unique(chunks))
    # Ranking all scores and taking sentences as they first appear is ranking each sentence by its best score.
    pooled = _hit_chunks(chunks[rank_sentences(scores.max(axis=1), top)], num_chunks)
    own = _hit_chunks(chunks[rank_sentences(scores, top)], num_chunks)  # (draws, pairs, chunks)
    hits = pooled.sum(-1), own.sum(-1).mean(-1), own.any(1).sum(-1)
    return {name: number / existing for name, number in zip(DEFINITIONS, hits)}


def _hit_chunks(chunks: np.ndarray, num_chunks: int) -> np.ndarray:
    """bool (..., num_chunks): which chunks are in the last axis of `chunks` (..., k)."""
    hit = np.zeros((*chunks.shape[:-1], num_chunks), bool)
    np.put_along_axis(hit, chunks, True, axis=-1)
    return hit


def find_untouched(touched: np.ndarray, min_length: int = 1) -> list[tuple[int, int]]:
    """Runs of sentences that no pair touches, as (first, one past the last), longest first; `touched` bool (n,).

    >>> find_untouched(np.array([True, False, False, True, False]))
    [(1, 3), (4, 5)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[True], touched, [True]]).astype(np.int8)))
    runs = [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2]) if last - first >= min_length]
    return sorted(runs, key=lambda run: (run[0] - run[1], run[0]))


def touch_sentences(scores: np.ndarray, share: float = TOP_SHARE) -> np.ndarray:
    """bool (sentences,): among the k best of at least one pair."""
    touched = np.zeros(scores.shape[1], bool)
    touched[rank_sentences(scores, count_top(scores.shape[1], share)).ravel()] = True
    return touched


def share_touched(spans: Sequence[tuple[int, int]], touched: np.ndarray, start: int, end: int) -> tuple[int, int]:
    """Touched sentences, and all sentences, that begin inside characters `start` to `end`."""
    inside = np.array([start <= first < end for first, _ in spans], bool)
    return int((touched & inside).sum()), int(inside.sum())
