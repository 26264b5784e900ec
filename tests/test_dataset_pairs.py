"""The table of a build's pairs: rows go in and come out as they were, in row groups, whole or not at all."""

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from sciqag_lib.dataset import pairs as dataset_pairs
from sciqag_lib.dataset.pairs import COLUMNS, FILE, DatasetPair, read_pairs, write_pairs
from sciqag_lib.errors import InputError

ROW = {
    **dict.fromkeys(COLUMNS),
    "record": 0,
    "doi": "10.1/a",
    "pair": 0,
    "title": "T",
    "journal": "",
    "question": "Why?",
    "answer": "Because.",
    "split": "train",
}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    with write_pairs(path / FILE) as table:
        for row in rows:
            table.add({**ROW, **row})
    return path / FILE


def test_rows_come_back_as_they_were(tmp_path):
    path = write(tmp_path, {"score_accuracy": 2.5, "category": "Energy & Fuels", "evidence": "E"}, {"pair": 1})
    first, second = read_pairs(path)
    assert first == DatasetPair(**{**ROW, "score_accuracy": 2.5, "category": "Energy & Fuels", "evidence": "E"})
    assert first.scores == {"accuracy": 2.5}
    assert (second.pair, second.category, second.scores) == (1, None, {})


def test_a_split_is_its_kept_pairs(tmp_path):
    path = write(
        tmp_path,
        {"pair": 0},
        {"pair": 1, "dropped_by": "duplicate"},
        {"pair": 2, "split": "test"},
        {"pair": 3, "split": None, "dropped_by": "same_doi"},
    )
    assert [pair.pair for pair in read_pairs(path, "train")] == [0]
    assert [pair.pair for pair in read_pairs(path, "test")] == [2]
    assert [pair.pair for pair in read_pairs(path)] == [0, 1, 2, 3]


def test_rows_are_written_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_pairs, "ROW_GROUP", 2)
    path = write(tmp_path, *({"pair": number} for number in range(5)))
    assert pyarrow.parquet.ParquetFile(path).num_row_groups == 3
    assert [pair.pair for pair in read_pairs(path)] == [0, 1, 2, 3, 4]


def test_a_table_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with write_pairs(tmp_path / FILE) as table:
            table.add(ROW)
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match="no/pairs.parquet: cannot be read"):
        next(read_pairs(tmp_path / "no" / FILE))
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(InputError, match="text.parquet: cannot be read as Parquet"):
        next(read_pairs(tmp_path / "text.parquet"))
    pyarrow.parquet.write_table(pyarrow.table({"doi": ["10.1/a"]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="missing the columns record, pair"):
        next(read_pairs(tmp_path / "other.parquet"))
    with pytest.raises(InputError, match="found 'dev'"):
        next(read_pairs(tmp_path / "text.parquet", "dev"))
