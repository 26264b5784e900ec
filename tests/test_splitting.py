"""The split: by paper and category, the same for the same seed, and nobody moves when papers are added."""

import math
from collections import Counter

import pytest

from sciqag_lib.dataset.splitting import draw_number, read_earlier, split_papers
from sciqag_lib.errors import InputError

PAPERS = [f"10.1/{number}" for number in range(2000)]
CATEGORIES = [f"category {number % 4}" for number in range(2000)]


def split(papers=PAPERS, test_size=0.1, seed=0, earlier=None, categories=CATEGORIES):
    return dict(zip(papers, split_papers(papers, categories[: len(papers)], test_size, seed, earlier)))


def test_the_number_is_that_of_the_hash():
    """First 53 bits of BLAKE2b (8 bytes) of "0\\0" and the DOI: another number would be another split for everyone."""
    assert draw_number("10.1371/journal.pone.0000217", 0) == pytest.approx(0.567082009, abs=1e-9)


def test_a_share_of_each_category_goes_to_test():
    counts = Counter(category for category, side in zip(CATEGORIES, split().values()) if side == "test")
    assert len(counts) == 4
    for count in counts.values():  # of 500: four standard deviations of a binomial draw
        assert abs(count - 50) < 4 * math.sqrt(500 * 0.1 * 0.9)


def test_of_a_share_nobody_moves_whatever_is_added_removed_or_sorted():
    whole = split()
    assert {paper: whole[paper] for paper in PAPERS[:700]} == split(PAPERS[:700])
    backwards = dict(zip(PAPERS[::-1], split_papers(PAPERS[::-1], CATEGORIES[::-1], 0.1, 0)))
    assert backwards == whole


def test_another_seed_is_another_split():
    assert split(seed=1) != split() and split(seed=1) == split(seed=1)


def test_a_number_of_papers_is_exact_and_moves_papers_to_train_alone():
    few, whole = split(PAPERS[:700], 50), split(PAPERS, 50)
    for found, size in ((few, 700), (whole, 2000)):
        assert Counter(CATEGORIES[place] for place in range(size) if found[PAPERS[place]] == "test") == Counter(
            {f"category {number}": 50 for number in range(4)}
        )
    moved = [(few[paper], whole[paper]) for paper in few if few[paper] != whole[paper]]
    assert moved and set(moved) == {("test", "train")}


@pytest.mark.parametrize("test_size", [0.1, 50])
def test_papers_of_an_earlier_build_stay(test_size):
    earlier = split(PAPERS[:700], test_size, seed=5)
    found = split(PAPERS, test_size, earlier=earlier)
    assert {paper: found[paper] for paper in earlier} == earlier
    assert test_size < 1 or Counter(found.values())["test"] == 200


def test_small_categories_have_both_sides_and_a_single_paper_is_train():
    papers = [f"10.2/{number}" for number in range(300)]
    categories = [f"category {number // 3}" for number in range(300)]
    found = split_papers(papers, categories, 0.01, 0)
    sides = [Counter(found[start : start + 3]) for start in range(0, 300, 3)]
    assert all(side["test"] == 1 for side in sides)
    found = split_papers(papers, categories, 0.99, 0)
    assert all(side == 1 for side in (found[start : start + 3].count("train") for start in range(0, 300, 3)))
    for test_size in (0.99, 50):
        assert split_papers(["10.1/a"], ["alone"], test_size, 0) == ["train"]
    assert Counter(split_papers(papers[:7], [None] * 7, 50, 0)) == {"train": 4, "test": 3}  # at most half


def test_a_category_whose_papers_all_were_test_stays_so():
    earlier = {"10.1/0": "test", "10.1/4": "test"}
    assert split_papers(["10.1/0", "10.1/4"], ["a", "a"], 0.1, 0, earlier) == ["test", "test"]


def test_no_test_set():
    assert set(split(test_size=0).values()) == {"train"}


@pytest.mark.parametrize("test_size", [-0.1, 1.5, True, math.nan, "0.1", math.inf])
def test_a_size_that_cannot_be_meant(test_size):
    with pytest.raises(InputError, match="test_size"):
        split(test_size=test_size)


def test_earlier_places_are_read_and_checked(tmp_path):
    path = tmp_path / "papers.csv"
    path.write_text("paper,doi,split\n10.1/a,10.1/A,test\n10.1/b,x,train\n", encoding="utf-8")
    assert read_earlier(path) == {"10.1/a": "test", "10.1/b": "train"}
    path.write_text("paper,split\n10.1/a,test\n10.1/b,dev\n", encoding="utf-8")
    with pytest.raises(InputError, match="papers.csv, line 3: .*found '10.1/b' and 'dev'"):
        read_earlier(path)
    with pytest.raises(InputError, match="no.csv"):
        read_earlier(tmp_path / "no.csv")
