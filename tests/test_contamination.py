"""Questions that stand twice: who goes, what is listed, and that planted ones are all found."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from fake_encoder import make_embedder

from sciqag_lib.dataset import contamination
from sciqag_lib.dataset.contamination import COLUMNS, Comparison, VectorStore, embed_questions
from sciqag_lib.errors import InputError


def compare(benchmark: Sequence[str] = (), test: Sequence[str] = (), train: Sequence[str] = ()) -> Comparison:
    """Exactly; rows count through train, test, benchmark, as a file has its pairs before the benchmark's."""
    texts = [*train, *test, *benchmark]
    ends = len(train), len(train) + len(test), len(texts)
    comparison = Comparison({"train": range(ends[0]), "test": range(ends[0], ends[1]), "benchmark": range(*ends[1:])})
    comparison.compare_exact([text.encode() for text in texts])
    return comparison


def compare_near(
    tmp_path: Any, rows: dict[str, list[int]], vectors: list[list[float]], threshold: float = 0.9
) -> Comparison:
    comparison = Comparison(rows)
    digests = [bytes([number]) for number in range(len(vectors))]
    order = [row for found in comparison.list_left().values() for row in found]
    with VectorStore(tmp_path) as store:
        store.add(np.array([vectors[row] for row in order], np.float32))
        comparison.compare_near(order, store.vectors(), threshold, digests)
    return comparison


def at(degrees: float) -> list[float]:
    return [float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))]


def test_train_goes_before_test_and_the_benchmark():
    comparison = compare(benchmark=["a"], test=["b", "a"], train=["a", "b", "c"])
    assert comparison.reasons == {0: "in_benchmark", 1: "in_test"}
    assert comparison.count_matches() == {"in_benchmark": {"test": 1, "train": 1}, "in_test": {"train": 2}}
    assert comparison.list_left() == {"benchmark": [5], "test": [3, 4], "train": [2]}


def test_within_a_split_the_first_stays():
    comparison = compare(test=["a", "a", "a"], train=["b", "c", "b"])
    assert comparison.reasons == {2: "duplicate", 4: "duplicate", 5: "duplicate"}
    assert comparison.count_matches() == {"duplicate": {"test": 2, "train": 1}}


def test_the_benchmark_is_not_compared_with_itself():
    assert compare(benchmark=["a", "a"]).count_matches() == {}


def test_every_planted_copy_is_found():
    train = [f"question {number}" for number in range(500)]
    planted = train[::7]
    comparison = compare(test=planted, train=train)
    assert sorted(comparison.reasons) == list(range(0, 500, 7))
    assert comparison.count_matches() == {"in_test": {"train": len(planted)}}


def test_near_questions_across_and_within(tmp_path):
    # cos 10 degrees = 0.985, cos 25 = 0.906, cos 30 = 0.866
    vectors = [at(0), at(10), at(100), at(110), at(200), at(210)]
    rows = {"benchmark": [4], "test": [0, 5], "train": [1, 2, 3]}
    comparison = compare_near(tmp_path, rows, vectors)
    assert comparison.reasons == {1: "near_test", 3: "near_duplicate"}
    assert comparison.count_matches() == {
        "near_benchmark": {"test": 1},
        "near_test": {"train": 1},
        "near_duplicate": {"train": 1},
    }


def test_what_is_near_a_dropped_question_alone_stays(tmp_path):
    """0 and 20 degrees are near, so are 20 and 40, but 0 and 40 are not."""
    comparison = compare_near(tmp_path, {"train": [0, 1, 2]}, [at(0), at(20), at(40)])
    assert comparison.reasons == {1: "near_duplicate"}


def test_blocks_are_settled_in_order(tmp_path, monkeypatch):
    """The same, with every question in a block of its own."""
    from sciqag_lib.checks import duplicates

    monkeypatch.setattr(duplicates, "BLOCK_ROWS", 1)
    monkeypatch.setattr(duplicates, "BLOCK_COLUMNS", 2)
    degrees = [20 * number for number in range(9)]
    comparison = compare_near(tmp_path, {"train": list(range(9))}, [at(angle) for angle in degrees])
    assert sorted(comparison.reasons) == [1, 3, 5, 7]


def test_the_threshold_counts_as_near(tmp_path):
    drawn = np.random.default_rng(0).standard_normal((40, 384))
    drawn = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)  # of length 1 to seven digits
    twice = compare_near(tmp_path, {"train": list(range(80))}, [*drawn, *drawn], 1.0)
    assert sorted(twice.reasons) == list(range(40, 80))
    assert compare_near(tmp_path, {"train": [0, 1]}, [at(0), at(30)], 0.9).reasons == {}
    with pytest.raises(InputError, match="near_duplicate"):
        compare_near(tmp_path, {"train": [0, 1]}, [at(0), at(30)], 95)


def test_a_question_that_matches_several_of_the_other_side_has_a_row_for_each(tmp_path):
    comparison = compare_near(tmp_path, {"test": [0, 1], "train": [2]}, [at(0), at(40), at(20)])
    assert comparison.count_matches() == {"near_test": {"train": 2}}
    texts = {number: (f"10.1/{number}", number, f"question {number}") for number in range(3)}
    rows = list(comparison.show_matches(texts))
    assert [(row["doi_a"], row["doi_b"], row["dropped"]) for row in rows] == [
        ("10.1/0", "10.1/2", True),
        ("10.1/1", "10.1/2", True),
    ]
    assert set(rows[0]) == set(COLUMNS) and rows[0]["score"] == pytest.approx(0.9397, abs=1e-4)
    assert (rows[0]["side_a"], rows[0]["side_b"], rows[0]["question_b"]) == ("test", "train", "question 2")


def test_a_match_of_benchmark_and_test_is_listed_and_stays():
    comparison = compare(benchmark=["a"], test=["a"])
    assert comparison.reasons == {}
    [row] = comparison.show_matches({0: ("10.1/a", 0, "a"), 1: ("record 1", 0, "a")})
    assert (row["reason"], row["dropped"], row["side_a"], row["side_b"]) == ("in_benchmark", False, "benchmark", "test")


def test_what_is_too_much_to_list_is_counted(monkeypatch):
    monkeypatch.setattr(contamination, "MAX_LISTED", 3)
    comparison = compare(test=["a"], train=["a"] * 5 + ["b"] * 5)
    assert comparison.count_matches() == {"in_test": {"train": 5}, "duplicate": {"train": 4}}
    assert comparison.num_unlisted == 3 and len(comparison.list_rows()) == 8


def test_vectors_are_taken_by_their_places_and_nan_matches_nothing(tmp_path):
    vectors = {"a": at(0), "b": at(90), "c": [np.nan, 1.0]}
    with VectorStore(tmp_path) as store:
        embed_questions([([1], ["a", "b"]), ([0, 1], ["c", "a"])], make_embedder(vectors), store)
        found = store.vectors()[0:9]
        assert store.num_bad == 1
    assert np.allclose(found, [at(90), [0, 0], at(0)], atol=1e-3)
