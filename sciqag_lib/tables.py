"""Tables of an analysis, written row by row as Parquet and CSV, and its report; each file whole or not at all."""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TextIO

from sciqag_lib.errors import InputError
from sciqag_lib.paths import write_atomic

BUFFERED_ROWS = 20_000


class TableWriter:
    """`columns` maps each name to "text", "whole", "real" or "bool"; a real may be None or nan: a missing value."""

    def __init__(self, columns: Mapping[str, str], parquet: Any, comma: Any) -> None:
        import pyarrow
        import pyarrow.parquet

        self._schema = make_schema(columns)
        self._columns, self._table = list(columns), pyarrow.Table
        self._parquet = pyarrow.parquet.ParquetWriter(parquet, self._schema)
        self._csv = csv.writer(comma, lineterminator="\n")
        self._csv.writerow(self._columns)
        self._rows: list[dict[str, Any]] = []
        self.num_rows = 0

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        for row in rows:
            self._rows.append(row)
            if len(self._rows) >= BUFFERED_ROWS:
                self._flush()

    def add_row(self, *values: Any) -> None:
        """One row, its values in the order of the columns."""
        self.add([dict(zip(self._columns, values, strict=True))])

    def close(self) -> None:
        self._flush()
        self._parquet.close()

    def _flush(self) -> None:
        rows = [{name: None if row[name] != row[name] else row[name] for name in self._columns} for row in self._rows]
        self._parquet.write_table(self._table.from_pylist(rows, schema=self._schema))
        self._csv.writerows(row.values() for row in rows)
        self.num_rows += len(rows)
        self._rows = []


def make_schema(columns: Mapping[str, str]) -> Any:
    """The pyarrow.Schema of columns as TableWriter names them."""
    import pyarrow

    types = {"text": pyarrow.string(), "whole": pyarrow.int64(), "real": pyarrow.float64(), "bool": pyarrow.bool_()}
    return pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])


def read_published(path: str | Path, columns: Mapping[str, type]) -> list[dict[str, Any]]:
    """The rows of a CSV file of published numbers; lines that begin with "#" are comments. InputError: a column, a
    number or the content of a cell is missing."""
    import pandas

    expected = f"{path}: expected the columns {', '.join(columns)} with numbers in their place"
    try:
        frame = pandas.read_csv(path, comment="#", usecols=list(columns), dtype=dict(columns))
    except ValueError as error:
        raise InputError(f"{expected}: {error}") from error
    if frame.isna().any(axis=None):
        raise InputError(f"{expected}; found an empty cell")
    return frame.to_dict("records")


def write_report(path: Path, report: Any) -> None:
    """A dataclass, or a dict, as JSON; what is nan becomes null: JSON has no nan, and other readers than Python's
    refuse it."""
    content = _blank_missing(asdict(report) if is_dataclass(report) else report)
    with write_atomic(path) as file:
        json.dump(content, file, ensure_ascii=False, indent=1, allow_nan=False)
        file.write("\n")


def show_notes(notes: Sequence[str], listed: int, file: str, title: str = "note") -> None:
    """Print the first `listed` notes, and how many more stand in `file`."""
    for note in notes[:listed]:
        print(f"{title}: {note}")
    if len(notes) > listed:
        print(f"... {len(notes) - listed:,} more in {file}")


def _blank_missing(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _blank_missing(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_blank_missing(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


@contextmanager
def write_table(folder: Path, name: str, columns: Mapping[str, str]) -> Iterator[TableWriter]:
    """`name`.parquet and `name`.csv in `folder`, with the rows added in the block; where it raises, neither."""
    with ExitStack() as stack:
        parquet = stack.enter_context(write_atomic(folder / f"{name}.parquet", binary=True))
        writer = TableWriter(columns, parquet, stack.enter_context(write_atomic(folder / f"{name}.csv")))
        stack.callback(writer._parquet.close)  # where the block raises: or it complains when it is collected
        yield writer
        writer.close()


@contextmanager
def write_tables(folder: Path, columns: Mapping[str, Mapping[str, str]]) -> Iterator[dict[str, TableWriter]]:
    """Several tables by name, each as write_table has it."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(write_table(folder, name, kinds)) for name, kinds in columns.items()}


class JsonList:
    """Writes a JSON list record by record: unescaped UTF-8, one record after the other in memory."""

    def __init__(self, file: TextIO):
        self._file, self._opened = file, False

    def add(self, record: dict[str, Any]) -> None:
        self._file.write(",\n" if self._opened else "[\n")
        self._file.write(json.dumps(record, ensure_ascii=False, indent=1))
        self._opened = True

    def end(self) -> None:
        self._file.write("\n]\n" if self._opened else "[]\n")
