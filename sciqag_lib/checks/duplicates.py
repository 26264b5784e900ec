"""Near-duplicate questions of a whole file: every pair is compared, exactly, block by block.

A row of near_duplicates.csv, `question` from 0 within its record:

    doi_a,question_a,doi_b,question_b,score,text_a,text_b
    10.1/x,3,10.1/y,0,0.9871,Why does ...?,Why do ...?
"""

import tempfile
import unicodedata
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import IO

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
    """Questions and their vectors, kept in files without a name, so that memory stays flat. Rows count from 0."""

    def __init__(self, folder: Path) -> None:
        self._texts = tempfile.TemporaryFile(dir=folder)
        self._vectors = tempfile.TemporaryFile(dir=folder)
        self._ends, self._records = array("Q"), array("L")  # of each row: where its text ends, its record's number
        self._names: list[str] = []
        self._starts = array("Q")  # the first row of each record
        self._width = 0

    def __enter__(self) -> "QuestionStore":
        return self

    def __exit__(self, *exc: object) -> None:
        self._texts.close()
        self._vectors.close()

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, record: Paper, vectors: np.ndarray) -> None:
        """`vectors` float32 (questions, width)"""
        self._starts.append(len(self))
        self._names.append(record.name)
        self._width = vectors.shape[1]
        for question in record.questions:
            self._texts.write(question.encode())
            self._ends.append(self._texts.tell())
            self._records.append(len(self._names) - 1)
        self._vectors.write(np.ascontiguousarray(vectors, np.float32).tobytes())

    def read(self, row: int) -> tuple[str, int, str]:
        """Name of its record, number within it, text."""
        start = self._ends[row - 1] if row else 0
        self._texts.seek(start)
        text = self._texts.read(self._ends[row] - start).decode()
        number = self._records[row]
        return self._names[number], row - self._starts[number], text

    def vectors(self) -> "StoredVectors":
        self._vectors.flush()
        return StoredVectors(self._vectors, len(self), self._width)


class StoredVectors:
    """Rows of float32 in a file, read a slice at a time: mapped into memory they would count as memory used."""

    def __init__(self, file: IO[bytes], num_rows: int, width: int) -> None:
        self._file, self._num_rows, self._width = file, num_rows, width

    def __len__(self) -> int:
        return self._num_rows

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self._num_rows)
        self._file.seek(4 * self._width * start)
        data = self._file.read(4 * self._width * max(0, stop - start))
        return np.frombuffer(data, np.float32).reshape(-1, self._width)


def check_threshold(threshold: float) -> None:
    if not -1 <= threshold <= 1:
        raise InputError(f"near_duplicate: expected a cosine, -1 to 1, found {threshold!r}")


def find_near_duplicates(
    vectors: np.ndarray | StoredVectors, threshold: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
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
                (doi_a, number_a, text_a), (doi_b, number_b, text_b) = store.read(a), store.read(b)
                table.add(
                    [
                        {
                            "doi_a": doi_a,
                            "question_a": number_a,
                            "doi_b": doi_b,
                            "question_b": number_b,
                            "score": round(score, 4),
                            "text_a": text_a,
                            "text_b": text_b,
                        }
                    ]
                )
    return table.num_rows


def digest_question(question: str) -> bytes:
    """Equal for questions that differ in case, white space and closing marks alone."""
    text = " ".join(unicodedata.normalize("NFC", question).casefold().split())
    return blake2b((text.rstrip(" ?.!") or text).encode(), digest_size=12).digest()
