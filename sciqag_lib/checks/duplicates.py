"""Near-duplicate questions of a whole file: every pair is compared, exactly, block by block.

A row of near_duplicates.csv, `question` from 0 within its record:

    doi_a,question_a,doi_b,question_b,score,text_a,text_b
    10.1/x,3,10.1/y,0,0.9871,Why does ...?,Why do ...?
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
COLUMNS = {
    "doi_a": "text",
    "question_a": "whole",
    "doi_b": "text",
    "question_b": "whole",
    "score": "real",
    "text_a": "text",
    "text_b": "text",
}


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


def find_near_duplicates(vectors: np.ndarray, threshold: float) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rows a, rows b and scores of all pairs a < b of unit `vectors` (n, width) whose dot product is `threshold` or
    more: one tuple a block. Each pair is multiplied once."""
    for top in range(0, len(vectors), BLOCK_ROWS):
        rows = vectors[top : top + BLOCK_ROWS]
        for left in range(top, len(vectors), BLOCK_COLUMNS):
            scores = rows @ vectors[left : left + BLOCK_COLUMNS].T
            if scores.max() < threshold:
                continue
            a, b = np.nonzero(scores >= threshold)
            above = a + top < b + left
            a, b = a[above], b[above]
            if len(a):
                yield a + top, b + left, scores[a, b]


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
    return blake2b((text.rstrip(" ?.!") or text).encode(), digest_size=12).digest()
