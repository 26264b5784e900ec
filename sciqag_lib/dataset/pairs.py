"""Every pair of a build, kept or dropped, in one table: pairs.parquet, written and read in row groups.

Rows stand in the order of the file (an absent value is null); `split` is that of the pair's paper, also of a pair that
was dropped, and a pair is kept where `dropped_by` is null:

    record,doi,pair,title,journal,category,licence,question,answer,evidence,score_relevance,...,split,dropped_by
    0,10.1016-j.ab.2008.07.041.json,3,,,"Chemistry, Analytical",,How did ...?,It ...,,3.0,...,test,

- `record`: its place in the file, from 0; `pair`: the pair's place in the record, from 0, as 05_evaluation counts.
- `doi`: as written; "" for a pair that names no paper. `category`: one of categories.py, or null.
- `evidence`: the paper's sentences that the answer rests on, where an evidence.json beside the file has them.
- `score_*`: the mean over a judge's repeats, on the judge's scale.
- `dropped_by`: one of filters.REASONS, the first that applies.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sciqag_lib.errors import InputError
from sciqag_lib.paths import write_atomic
from sciqag_lib.racar.judging import DIMENSIONS

FILE = "pairs.parquet"
SPLITS = ("train", "test")
ROW_GROUP = 10_000  # rows: some 10 MB of text at a time
COLUMNS = {
    "record": "whole",
    "doi": "text",
    "pair": "whole",
    "title": "text",
    "journal": "text",
    "category": "text",
    "licence": "text",
    "question": "text",
    "answer": "text",
    "evidence": "text",
    **{f"score_{dimension}": "real" for dimension in DIMENSIONS},
    "split": "text",
    "dropped_by": "text",
}


@dataclass
class DatasetPair:
    """One row of COLUMNS."""

    record: int
    doi: str
    pair: int
    title: str
    journal: str
    category: str | None
    licence: str | None
    question: str
    answer: str
    evidence: str | None
    score_relevance: float | None
    score_agnosticism: float | None
    score_completeness: float | None
    score_accuracy: float | None
    score_reasonableness: float | None
    split: str | None = None  # "train" or "test", of the paper; None where its record was not used
    dropped_by: str | None = None  # None: the pair is kept

    @property
    def scores(self) -> dict[str, float]:
        """By dimension, those that were given."""
        found = {dimension: getattr(self, f"score_{dimension}") for dimension in DIMENSIONS}
        return {dimension: score for dimension, score in found.items() if score is not None}


class PairWriter:
    """Columns of COLUMNS in a Parquet file, a row group at a time."""

    def __init__(self, file: Any, columns: tuple[str, ...] = tuple(COLUMNS)) -> None:
        import pyarrow
        import pyarrow.parquet

        types = {"text": pyarrow.string(), "whole": pyarrow.int64(), "real": pyarrow.float64()}
        self._schema = pyarrow.schema([(name, types[COLUMNS[name]]) for name in columns])
        self._table = pyarrow.Table
        self.parquet = pyarrow.parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= ROW_GROUP:
            self._flush()

    def add_columns(self, columns: list[Any]) -> None:
        """A row group as pyarrow.Arrays, in the order of the columns."""
        self._flush()
        self.parquet.write_table(self._table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._flush()
        self.parquet.close()

    def _flush(self) -> None:
        if self._rows:
            self.parquet.write_table(self._table.from_pylist(self._rows, schema=self._schema))
            self._rows = []


@contextmanager
def write_pairs(path: str | Path) -> Iterator[PairWriter]:
    """The table under `path`, whole or, where the block raises, not at all; its rows are dictionaries of COLUMNS."""
    with ExitStack() as stack:
        writer = PairWriter(stack.enter_context(write_atomic(path, binary=True)))
        stack.callback(writer.parquet.close)
        yield writer
        writer.close()


def read_pairs(path: str | Path, split: str | None = None) -> Iterator[DatasetPair]:
    """The kept pairs of a split, "train" or "test"; None: all rows, the dropped ones too. Streamed.

    InputError: the file cannot be read, is not such a table, or `split` is another word.
    """
    if split not in (None, *SPLITS):
        raise InputError(f'split: expected "train", "test" or None, found {split!r}')
    for batch in read_batches(Path(path)):
        for row in batch.select(list(COLUMNS)).to_pylist():
            pair = DatasetPair(**row)
            if split is None or (pair.split == split and pair.dropped_by is None):
                yield pair


def read_batches(path: Path, columns: list[str] | None = None) -> Iterator[Any]:
    """The table in pyarrow.RecordBatches of ROW_GROUP rows or fewer."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
            if missing:
                raise InputError(
                    f"{path}: expected the pairs of a build, missing the columns {', '.join(missing)}; "
                    f"give the {FILE} that 06_build_dataset wrote"
                )
            yield from file.iter_batches(batch_size=ROW_GROUP, columns=columns)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); give the {FILE} that 06_build_dataset wrote"
        ) from error
    except pyarrow.ArrowException as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error}); build it again") from error


assert list(COLUMNS) == [field.name for field in fields(DatasetPair)]
