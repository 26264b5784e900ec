"""The near-duplicates of duplicates.py, the same ones, with a fraction of the multiplications.

A few directions hold most of what questions have in common. Of two unit vectors, p and q are their parts in these
directions, r and s what is left of them:

    a . b  =  p . q + r . s  <=  p . q + |r| |s|

The right side is one product of two short vectors, p with |r| and q with |s| as one number more. Only where it reaches
the threshold the whole vectors are multiplied, so that none is missed. Of 4,000 released questions, 384 numbers each,
48 directions leave 15 of a million pairs to be multiplied, of which 2.6 are near (cosine 0.95).
"""

from collections.abc import Iterator

import numpy as np

from sciqag_lib.checks.duplicates import BLOCK_COLUMNS, BLOCK_ROWS, find_near_duplicates

Matches = Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]

MIN_VECTORS = 10_000  # fewer are compared whole as fast as directions are found
SAMPLE = 2000
NUMS_DIRECTIONS = (32, 48, 64, 96, 128)
MAX_RATE = 3e-5  # of pairs that have to be multiplied whole, each of which takes some microseconds
SLACK = 1e-4  # for the last digits of float32: a bound must not be too low
CHUNK = 4096  # whole vectors at a time


def find_near(vectors: np.ndarray, threshold: float) -> Matches:
    """As find_near_duplicates, in the same order: rows a, rows b and scores of all pairs a < b whose dot product is
    `threshold` or more."""
    basis = choose_directions(vectors, threshold)
    if basis is None:
        yield from find_near_duplicates(vectors, threshold)
        return
    for a, b in _find_candidates(shorten_vectors(vectors, basis), threshold - SLACK):
        parts = [slice(start, start + CHUNK) for start in range(0, len(a), CHUNK)]
        scores = np.concatenate([np.einsum("ij,ij->i", vectors[a[part]], vectors[b[part]]) for part in parts])
        near = scores >= threshold
        if near.any():
            yield a[near], b[near], scores[near]


def _find_candidates(short: np.ndarray, threshold: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows a < b of short vectors whose product reaches the threshold, a block at a time, by a and then b."""
    for top in range(0, len(short), BLOCK_ROWS):
        rows = short[top : top + BLOCK_ROWS]
        for left in range(top, len(short), BLOCK_COLUMNS):
            bounds = rows @ short[left : left + BLOCK_COLUMNS].T
            # nonzero is many times as fast in one dimension as in two
            a, b = np.divmod(np.flatnonzero(bounds.ravel() >= threshold), bounds.shape[1])
            a, b = a + top, b + left
            if (a < b).any():
                yield a[a < b], b[a < b]


def choose_directions(vectors: np.ndarray, threshold: float) -> np.ndarray | None:
    """float32 (width, directions), orthonormal; the fewest that sort out enough. None: comparing all is no slower."""
    if len(vectors) < MIN_VECTORS:
        return None
    sample = vectors[np.linspace(0, len(vectors) - 1, SAMPLE).astype(int)]
    _, directions = np.linalg.eigh(sample.T.astype(float) @ sample)  # by ascending share of what is in them
    above = np.triu_indices(SAMPLE, 1)
    for number in NUMS_DIRECTIONS:
        if 2 * number > sample.shape[1]:
            return None
        basis = np.ascontiguousarray(directions[:, -number:], np.float32)
        short = shorten_vectors(sample, basis)
        if ((short @ short.T)[above] >= threshold - SLACK).mean() <= MAX_RATE:
            return basis
    return None


def shorten_vectors(vectors: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """float32 (vectors, directions + 1): the part in the directions, and the length of the rest."""
    short = np.empty((len(vectors), basis.shape[1] + 1), np.float32)
    for start in range(0, len(vectors), CHUNK):
        rows = vectors[start : start + CHUNK]
        inside = rows @ basis
        short[start : start + CHUNK, :-1] = inside
        short[start : start + CHUNK, -1] = np.linalg.norm(rows - inside @ basis.T, axis=1)
    return short
