"""The table of a build's pairs: rows go in and come out as they were, in row groups."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from sciqag_lib.dataset import pairs as dataset_pairs
from sciqag_lib.dataset.pairs import COLUMNS, FILE, read_pairs, write_pairs
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


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    with (folder / FILE).open("wb") as file:
        write_pairs(pd.DataFrame([{**ROW, **row} for row in rows]), file)
    return folder / FILE


def test_rows_come_back_as_they_were(tmp_path):
    known = {"score_accuracy": 2.5, "category": "Energy & Fuels", "evidence": "E"}
    first, second = read_pairs(write(tmp_path, known, {"pair": 1})).to_dict("records")
    assert {name: value for name, value in first.items() if value == value} == {
        name: value for name, value in {**ROW, **known}.items() if value is not None
    }
    assert second["pair"] == 1 and pd.isna(second["category"]) and pd.isna(second["score_accuracy"])


def test_rows_are_written_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_pairs, "ROW_GROUP", 2)
    path = write(tmp_path, *({"pair": number} for number in range(5)))
    file = pyarrow.parquet.ParquetFile(path)
    assert file.num_row_groups == 3 and file.schema_arrow.metadata is None
    assert read_pairs(path)["pair"].tolist() == [0, 1, 2, 3, 4]


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match="no/pairs.parquet: cannot be read"):
        read_pairs(tmp_path / "no" / FILE)
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(InputError, match="text.parquet: cannot be read as Parquet"):
        read_pairs(tmp_path / "text.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"doi": ["10.1/a"]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="missing the columns record, pair"):
        read_pairs(tmp_path / "other.parquet")
