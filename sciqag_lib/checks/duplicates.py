"""Near-duplicate questions of a whole file: every pair is compared, exactly, block by block.

A row of near_duplicates.csv, `question` from 0 within its record:

    doi_a,question_a,doi_b,question_b,score,text_a,text_b
    10.1/x,3,10.1/y,0,0.9871,Why does ...?,Why do ...?

A few directions hold most of what questions have in common. Of two unit vectors, p and q are their parts in these
directions, r and s what is left of them:

    a . b  =  p . q + r . s  <=  p . q + |r| |s|

The right side is one product of two short vectors, p with |r| and q with |s| as one number more. Only where it reaches
the threshold the whole vectors are multiplied, so that none is missed. Of 4,000 released questions, 384 numbers each,
48 directions leave 15 of a million pairs to be multiplied, of which 2.6 are near (cosine 0.95).
"""

import unicodedata
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np

from sciqag_lib.errors import InputError
from sciqag_lib.records.papers import Paper
from sciqag_lib.tables import write_table

ROUNDING = 1e-6  # a text's cosine with itself is 1 only up to float32's last digits
BLOCK_ROWS, BLOCK_COLUMNS = 1024, 4096  # 16 MB of scores at a time
MIN_VECTORS = 10_000  # fewer are compared whole as fast as directions are found
SAMPLE = 2000
NUMS_DIRECTIONS = (32, 48, 64, 96, 128)
MAX_RATE = 3e-5  # of pairs that have to be multiplied whole, each of which takes some microseconds
SLACK = 1e-4  # for the last digits of float32: a bound must not be too low
CHUNK = 4096  # whole vectors at a time
COLUMNS = {
    "doi_a": "text",
    "question_a": "whole",
    "doi_b": "text",
    "question_b": "whole",
    "score": "real",
    "text_a": "text",
    "text_b": "text",
}


Matches = Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]


class QuestionStore:
    """The questions of a file and their vectors; rows count from 0."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, str]] = []  # name of the record, number within it, text
        self._vectors: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, record: Paper, vectors: np.ndarray) -> None:
        """`vectors` float32 (questions, width)"""
        self.rows += [(record.name, number, question) for number, question in enumerate(record.questions)]
        self._vectors.append(np.asarray(vectors, np.float32))

    def vectors(self) -> np.ndarray:
        """float32 (rows, width); at least one record was added."""
        self._vectors = [np.concatenate(self._vectors)]
        return self._vectors[0]


def check_threshold(threshold: float) -> None:
    if not -1 <= threshold <= 1:
        raise InputError(f"near_duplicate: expected a cosine, -1 to 1, found {threshold!r}")


def find_near_duplicates(vectors: np.ndarray, threshold: float) -> Matches:
    """Rows a, rows b and scores of all pairs a < b of unit `vectors` (n, width) whose dot product is `threshold` or
    more: one tuple per block, by a and then b."""
    basis = choose_directions(vectors, threshold)
    short, bound = (vectors, threshold) if basis is None else (shorten_vectors(vectors, basis), threshold - SLACK)
    for top in range(0, len(short), BLOCK_ROWS):
        rows = short[top : top + BLOCK_ROWS]
        for left in range(top, len(short), BLOCK_COLUMNS):
            scores = rows @ short[left : left + BLOCK_COLUMNS].T
            # nonzero is many times as fast in one dimension as in two
            a, b = np.divmod(np.flatnonzero(scores.ravel() >= bound), scores.shape[1])
            scores, a, b = scores[a, b], a + top, b + left
            if basis is not None:
                parts = [slice(start, start + CHUNK) for start in range(0, len(a), CHUNK)]
                whole = [np.einsum("ij,ij->i", vectors[a[part]], vectors[b[part]]) for part in parts]
                scores = np.concatenate([scores[:0], *whole])
            near = (scores >= threshold) & (a < b)
            if near.any():
                yield a[near], b[near], scores[near]


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


def write_near_duplicates(store: QuestionStore, output_dir: Path, threshold: float) -> int:
    """Write near_duplicates.parquet and .csv, every pair with both texts, and return how many pairs there are."""
    check_threshold(threshold)
    with write_table(output_dir, "near_duplicates", COLUMNS) as table:
        for rows_a, rows_b, scores in find_near_duplicates(store.vectors(), threshold - ROUNDING):
            for a, b, score in zip(rows_a.tolist(), rows_b.tolist(), scores.tolist()):
                (doi_a, number_a, text_a), (doi_b, number_b, text_b) = store.rows[a], store.rows[b]
                values = (doi_a, number_a, doi_b, number_b, round(score, 4), text_a, text_b)
                table.add([dict(zip(COLUMNS, values))])
    return table.num_rows


def digest_question(question: str) -> bytes:
    """Equal for questions that differ in case, white space and closing marks alone."""
    text = " ".join(unicodedata.normalize("NFC", question).casefold().split())
    return blake2b((text.rstrip(" ?.!？。．！؟") or text).encode(), digest_size=12).digest()
