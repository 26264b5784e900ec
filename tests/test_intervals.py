"""Means with intervals, against arithmetic by hand and a bootstrap written out, and the tables of the analyses."""

import csv
import math
import random

import numpy as np
import pyarrow.parquet
import pytest

from sciqag_lib import tables
from sciqag_lib.metrics.intervals import Estimate, bootstrap_mean, estimate_between, estimate_mean
from sciqag_lib.tables import write_table


def resample_slowly(sums, counts, draws: int = 4000) -> tuple[float, float]:
    """Papers drawn with replacement, the mean of all their values, its 2.5% and 97.5% points."""
    chance, means = random.Random(7), []
    for _ in range(draws):
        drawn = [chance.randrange(len(sums)) for _ in sums]
        means.append(sum(sums[paper] for paper in drawn) / sum(counts[paper] for paper in drawn))
    means.sort()
    return means[round(0.025 * draws)], means[round(0.975 * draws)]


def test_the_mean_is_over_values_and_not_over_papers():
    """Paper 1 has scores 0.2 and 0.4, paper 2 has 0.9: (0.2 + 0.4 + 0.9) / 3 = 0.5, not (0.3 + 0.9) / 2 = 0.6."""
    estimate = estimate_mean([0.2 + 0.4, 0.9], [2, 1])
    assert estimate.mean == pytest.approx(0.5) and estimate.papers == 2
    # Resampled: twice the first 0.3 (1/4), twice the second 0.9 (1/4), both 0.5: the ends are those of the first two.
    assert (estimate.low, estimate.high) == (pytest.approx(0.3), pytest.approx(0.9))


def test_the_interval_is_that_of_a_bootstrap_written_out():
    chance = np.random.default_rng(3)
    counts = chance.integers(1, 60, 40)
    sums = counts * chance.beta(2, 5, 40)
    estimate = estimate_mean(sums, counts)
    low, high = resample_slowly(list(sums), list(counts))
    assert estimate.mean == pytest.approx(sums.sum() / counts.sum())
    assert (estimate.low, estimate.high) == (pytest.approx(low, abs=0.005), pytest.approx(high, abs=0.005))
    assert high - low > 0.05  # and 0.005 tells something


def test_the_same_seed_gives_the_same_interval_in_any_order_of_papers():
    sums, counts = [3.0, 1.0, 2.5, 0.2, 4.0], [10, 4, 5, 2, 6]
    turned = [4, 2, 0, 3, 1]
    assert estimate_mean(sums, counts, 5) == estimate_mean([sums[p] for p in turned], [counts[p] for p in turned], 5)
    assert estimate_mean(sums, counts, 5) != estimate_mean(sums, counts, 6)


def test_one_paper_has_no_interval_and_none_no_value():
    one = estimate_mean([3.0], [4])
    assert one.mean == 0.75 and math.isnan(one.low) and math.isnan(one.high) and "no interval: 1 paper)" in str(one)
    none = estimate_mean([], [])
    assert math.isnan(none.mean) and none.papers == 0 and str(none) == "no value"
    assert str(Estimate(0.5, 0.25, 0.75, 9)) == "0.500 (0.250 to 0.750)"


def test_papers_without_a_value_are_left_out():
    estimate = estimate_mean([1.0, math.nan, 0.0, 3.0], [2, 5, 0, 2])
    assert estimate.mean == 1.0 and estimate.papers == 2  # (1 + 3) / (2 + 2)
    assert bootstrap_mean([0.5, math.nan, 0.7], range(3)).mean == pytest.approx(0.6)
    assert bootstrap_mean([0.5, math.nan, 0.7], range(3)).papers == 2 and bootstrap_mean([math.nan], ["a"]).papers == 0


def test_two_papers_between_them_have_a_mean_and_no_interval():
    """Sum 3 of 6 pairs of questions, seen from either paper."""
    estimate = estimate_between(np.array([[9, 3], [3, 9]]), np.array([[4, 6], [6, 9]]))
    assert estimate.mean == 0.5 and math.isnan(estimate.low) and estimate.papers == 2
    assert math.isnan(estimate_between(np.array([[9.0]]), np.array([[4]])).mean)  # one paper has no other
    assert math.isnan(estimate_between(np.zeros((0, 0)), np.zeros((0, 0))).mean)


def test_the_mean_between_papers_counts_each_value_once():
    """Means of the pairs of papers 0.1 (2 values), 0.2 (4), 0.6 (2): (0.2 + 0.8 + 1.2) / 8 = 0.275."""
    sums = np.array([[5, 0.2, 0.8], [0.2, 5, 1.2], [0.8, 1.2, 5]])
    counts = np.array([[1, 2, 4], [2, 1, 2], [4, 2, 1]])
    estimate = estimate_between(sums, counts)
    assert estimate.mean == pytest.approx(0.275) and 0.1 <= estimate.low < 0.275 < estimate.high <= 0.6
    assert sums[0, 0] == 5  # what was handed in is not written to


def test_the_interval_between_papers_holds_the_truth_as_often_as_it_says():
    """The value of papers p and q is the mean of their levels, uniform from 0 to 1: the truth is 0.5. Resampling rows
    would hold it in about 65 of 100 files."""
    chance, held = np.random.default_rng(11), 0
    for number in range(100):
        levels = chance.random(25)
        sums = (levels[:, None] + levels[None]) / 2
        estimate = estimate_between(sums, np.ones_like(sums), number)
        held += estimate.low <= 0.5 <= estimate.high
    assert 87 <= held <= 100


# Tables --------------------------------------------------------------------------------------------------------------

COLUMNS = {"doi": "text", "i": "whole", "score": "real", "found": "bool"}
ROWS = [
    {"doi": '10.1/ä, "b"', "i": 1, "score": 0.25, "found": True},
    {"doi": "10.1/c", "i": 0, "score": math.nan, "found": False},
    {"doi": "=1+1", "i": 2, "score": None, "found": False},
]


def read_both(folder, name: str = "scores") -> tuple[list, list]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return pyarrow.parquet.read_table(folder / f"{name}.parquet").to_pylist(), list(csv.reader(file))


@pytest.mark.parametrize("buffered", [1, 2, 20_000])
def test_a_table_has_the_same_rows_in_both_files_and_missing_values_are_empty(tmp_path, monkeypatch, buffered):
    monkeypatch.setattr(tables, "BUFFERED_ROWS", buffered)
    with write_table(tmp_path / "new", "scores", COLUMNS) as table:
        table.add(ROWS[:1])
        table.add(iter(ROWS[1:]))
    parquet, comma = read_both(tmp_path / "new")
    assert parquet == [ROWS[0], {**ROWS[1], "score": None}, ROWS[2]] and table.num_rows == 3
    assert comma == [
        list(COLUMNS),
        ['10.1/ä, "b"', "1", "0.25", "True"],
        ["10.1/c", "0", "", "False"],
        ["=1+1", "2", "", "False"],
    ]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["scores.csv", "scores.parquet"]


def test_a_table_without_rows_has_its_columns(tmp_path):
    with write_table(tmp_path, "scores", COLUMNS):
        pass
    assert read_both(tmp_path) == ([], [list(COLUMNS)])
    assert pyarrow.parquet.read_table(tmp_path / "scores.parquet").column_names == list(COLUMNS)


def test_a_block_that_raises_leaves_the_files_of_before(tmp_path):
    with write_table(tmp_path, "scores", COLUMNS) as table:
        table.add(ROWS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(KeyError), write_table(tmp_path, "scores", COLUMNS) as table:
        table.add([{"doi": "10.1/d"}] * tables.BUFFERED_ROWS)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
