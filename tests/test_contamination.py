"""Questions that stand twice: who goes, what is listed, and that planted ones are all found."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_encoder import make_embedder

from sciqag_lib.dataset import contamination
from sciqag_lib.dataset.contamination import COLUMNS, SIDES, Comparison, embed_questions
from sciqag_lib.errors import InputError


def list_questions(digests: Sequence[Any] = (), **sides: Sequence[Any]) -> pd.DataFrame:
    """A frame as a build makes it: DOIs and pairs count from 0 over the benchmark, test and train."""
    rows = [(side, text) for side in SIDES for text in sides.get(side, ())]
    frame = pd.DataFrame(rows, columns=["side", "question"])
    frame["doi"], frame["pair"] = [f"10.1/{place}" for place in frame.index], frame.index
    return frame.assign(digest=digests or frame["question"].astype(str).str.encode("utf-8"))


def compare(**sides: Sequence[str]) -> Comparison:
    comparison = Comparison(list_questions(**sides))
    comparison.compare_exact()
    return comparison


def compare_near(threshold: float = 0.9, **sides: Sequence[list[float]]) -> Comparison:
    """The sides are lists of vectors."""
    vectors = [vector for side in SIDES for vector in sides.get(side, ())]
    comparison = Comparison(list_questions(range(len(vectors)), **sides))
    comparison.compare_near(comparison.list_left(), np.array(vectors, np.float32), threshold)
    return comparison


def at(degrees: float) -> list[float]:
    return [float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))]


def test_train_goes_before_test_and_the_benchmark():
    comparison = compare(benchmark=["a"], test=["b", "a"], train=["a", "b", "c"])
    assert comparison.reasons == {3: "in_benchmark", 4: "in_test"}
    assert comparison.count_matches() == {"in_benchmark": {"test": 1, "train": 1}, "in_test": {"train": 2}}
    assert comparison.list_left() == [0, 1, 2, 5]


def test_within_a_split_the_first_stays():
    comparison = compare(test=["a", "a", "a"], train=["b", "c", "b"])
    assert comparison.reasons == {1: "duplicate", 2: "duplicate", 5: "duplicate"}
    assert comparison.count_matches() == {"duplicate": {"test": 2, "train": 1}}


def test_the_benchmark_is_not_compared_with_itself():
    assert compare(benchmark=["a", "a"]).count_matches() == {}


def test_every_planted_copy_is_found():
    train = [f"question {number}" for number in range(500)]
    planted = train[::7]
    comparison = compare(test=planted, train=train)
    assert sorted(comparison.reasons) == [len(planted) + number for number in range(0, 500, 7)]
    assert comparison.count_matches() == {"in_test": {"train": len(planted)}}


def test_near_questions_across_and_within():
    # cos 10 degrees = 0.985, cos 25 = 0.906, cos 30 = 0.866
    comparison = compare_near(benchmark=[at(200)], test=[at(0), at(210)], train=[at(10), at(100), at(110)])
    assert comparison.reasons == {3: "near_test", 5: "near_duplicate"}
    assert comparison.count_matches() == {
        "near_benchmark": {"test": 1},
        "near_test": {"train": 1},
        "near_duplicate": {"train": 1},
    }


def test_what_is_near_a_dropped_question_alone_stays():
    """0 and 20 degrees are near, so are 20 and 40, but 0 and 40 are not."""
    assert compare_near(train=[at(0), at(20), at(40)]).reasons == {1: "near_duplicate"}


def test_blocks_are_settled_in_order(monkeypatch):
    """The same, with every question in a block of its own."""
    from sciqag_lib.checks import duplicates

    monkeypatch.setattr(duplicates, "BLOCK_ROWS", 1)
    monkeypatch.setattr(duplicates, "BLOCK_COLUMNS", 2)
    comparison = compare_near(train=[at(20 * number) for number in range(9)])
    assert sorted(comparison.reasons) == [1, 3, 5, 7]


def test_the_threshold_counts_as_near():
    drawn = np.random.default_rng(0).standard_normal((40, 384))
    drawn = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)  # of length 1 to seven digits
    twice = compare_near(1.0, train=[*drawn, *drawn])
    assert sorted(twice.reasons) == list(range(40, 80))
    assert compare_near(0.9, train=[at(0), at(30)]).reasons == {}
    with pytest.raises(InputError, match="near_duplicate"):
        compare_near(95, train=[at(0), at(30)])


def test_a_question_that_matches_several_of_the_other_side_has_a_row_for_each():
    comparison = compare_near(test=[at(0), at(40)], train=[at(20)])
    assert comparison.count_matches() == {"near_test": {"train": 2}}
    rows = comparison.to_frame().to_dict("records")
    assert [(row["doi_a"], row["doi_b"], row["dropped"]) for row in rows] == [
        ("10.1/0", "10.1/2", True),
        ("10.1/1", "10.1/2", True),
    ]
    assert set(rows[0]) == set(COLUMNS) and rows[0]["score"] == pytest.approx(0.9397, abs=1e-4)
    assert (rows[0]["side_a"], rows[0]["side_b"], rows[0]["question_b"]) == ("test", "train", at(20))


def test_a_match_of_benchmark_and_test_is_listed_and_stays():
    comparison = compare(benchmark=["a"], test=["a"])
    assert comparison.reasons == {}
    [row] = comparison.to_frame().to_dict("records")
    assert (row["reason"], row["dropped"], row["side_a"], row["side_b"]) == ("in_benchmark", False, "benchmark", "test")


def test_what_is_too_much_to_list_is_counted(monkeypatch):
    monkeypatch.setattr(contamination, "MAX_LISTED", 3)
    comparison = compare(test=["a"], train=["a"] * 5 + ["b"] * 5)
    assert comparison.count_matches() == {"in_test": {"train": 5}, "duplicate": {"train": 4}}
    assert comparison.num_unlisted == 3 and len(comparison.to_frame()) == 6


def test_vectors_are_taken_by_their_places_and_nan_matches_nothing():
    vectors = {"a": at(0), "b": at(90), "c": [np.nan, 1.0]}
    groups = [([1], ["a", "b"]), ([0, 1], ["c", "a"])]
    found, num_bad = embed_questions(groups, 3, make_embedder(vectors))
    assert num_bad == 1 and np.allclose(found, [at(90), [0, 0], at(0)], atol=1e-3)
