"""The review: which pairs, in which order, with what evidence, and the still page of one."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sciqag_lib.errors import InputError
from sciqag_lib.review.page import make_page
from sciqag_lib.review.pairs import DIMENSIONS, cut_text, merge_spans, open_review
from sciqag_lib.review.session import to_utf16
from tests.review_pairs import keys, paper, source, write_papers  # noqa: F401 (a fixture)

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> **bold** $x$"


def test_the_order_is_drawn_from_the_seed_and_from_nothing_else(tmp_path: Path) -> None:
    papers = [paper(letter, 3) for letter in "abcdef"]
    orders = [keys(open_review(write_papers(tmp_path, papers), seed=seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == [(f"10.1/{letter}", n) for letter in "abcdef" for n in range(3)]
    assert keys(open_review(write_papers(tmp_path, papers[::-1]))) == orders[0]
    grown = keys(open_review(write_papers(tmp_path, [*papers, paper("g", 3)])))
    assert [key for key in grown if key[0] != "10.1/g"] == orders[0]


def test_the_pairs_of_a_paper_follow_each_other(tmp_path: Path) -> None:
    order = keys(open_review(write_papers(tmp_path, [paper(letter, 4) for letter in "abcdef"])))
    papers = [doi for doi, _ in order]
    assert [papers[place] for place in range(0, 24, 4)] == list(dict.fromkeys(papers))
    assert len({tuple(number for doi, number in order if doi == name) for name in papers}) > 2, "each drawn for itself"


def test_fewer_pairs_are_the_first_of_more(tmp_path: Path) -> None:
    path = write_papers(tmp_path, [paper(letter, 4) for letter in "abcd"])
    two_each = keys(open_review(path, pairs_per_paper=2))
    assert len(two_each) == 8 and all(sum(doi == name for doi, _ in two_each) == 2 for name, _ in two_each)
    assert keys(open_review(path, num_pairs=5, pairs_per_paper=2)) == two_each[:5]


@pytest.mark.parametrize(("changes", "message"), [
    ({"num_pairs": 0}, "num_pairs: expected 1 or more, or None for all, found 0"),
    ({"pairs_per_paper": -1}, "pairs_per_paper: expected 1 or more"),
    ({"scale": "1-4"}, "scale: expected one of 1-3, 1-5, found '1-4'"),
])  # fmt: skip
def test_parameters_out_of_range_are_named(source: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_review(source, **changes)


def test_pairs_without_a_paper_are_left_out_and_named(tmp_path: Path) -> None:
    review = open_review(write_papers(tmp_path, [paper("a"), paper("b", txt=""), {"Q": "q", "A": "a"}, {"doi": "x"}]))
    assert {doi for doi, _ in keys(review)} == {"10.1/a"}
    assert review.notes == ["3 pairs without their paper's text are left out: nothing to read them against"]
    assert "record 4" in str(review.bad[0]) and "Q&A" in str(review.bad[0])
    with pytest.raises(InputError, match="expected papers with pairs to review, found none"):
        open_review(write_papers(tmp_path, [{"Q": "q", "A": "a"}]))


def test_levels_are_those_of_the_prompt(source: Path) -> None:
    three = open_review(source).describe_dimension("agnosticism")
    assert [level["score"] for level in three["levels"]] == [3, 2, 1]
    assert three["levels"][0]["label"] == "it names everything it is about and stands on its own"
    five = open_review(source, scale="1-5").describe_dimension("accuracy")
    assert [level["score"] for level in five["levels"]] == [5, 4, 3, 2, 1]
    assert five["levels"][1]["label"] == five["levels"][3]["label"] == "lies between the two levels next to it"
    assert [open_review(source).describe_dimension(name)["shown"] for name in DIMENSIONS[:3]] == [
        "question",
        "question, paper",
        "question, paper, answer",
    ]


# Evidence ------------------------------------------------------------------------------------------------------------


def write_evidence(folder: Path, **changes: Any) -> None:
    record = paper("a")
    entry = {"Q": record["Q&A"][0]["Q"], "A": record["Q&A"][0]["A"],
             "evidence": [{"start": 0, "end": 8, "text": "About a."}]} | changes  # fmt: skip
    (folder / "evidence.json").write_text(json.dumps([{"doi": "10.1/z"}, {"doi": "10.1/a", "pairs": [entry]}]))


def place_of(review: Any, doi: str, number: int) -> int:
    return keys(review).index((doi, number))


def test_evidence_is_taken_from_the_file_or_found(source: Path, tmp_path: Path) -> None:
    write_evidence(tmp_path)
    review = open_review(source)
    assert review.find_evidence(place_of(review, "10.1/a", 0)) == [(0, 8)]
    assert review.notes == []
    span = review.find_evidence(place_of(review, "10.1/a", 1))
    assert [review.papers["10.1/a"].txt[start:end] for start, end in span] == ["Sample a1 melts at 101 K."]


@pytest.mark.parametrize("changes", [
    {"evidence": [{"start": 1, "end": 8, "text": "About a."}]},
    {"evidence": [{"start": 0, "end": 10**6, "text": "About a."}]},
    {"evidence": [{"start": 3, "end": 3, "text": ""}]}, {"evidence": [{"start": -1, "end": 10**6, "text": "."}]},
    {"evidence": [{"start": "0", "end": 8, "text": "About a."}]},
    {"evidence": None}, {"evidence": [None]}, {"evidence": 3}, {"Q": ["no", "text"]},
])  # fmt: skip
def test_evidence_that_does_not_fit_is_named_and_found_again(source: Path, tmp_path: Path, changes: dict) -> None:
    write_evidence(tmp_path, **changes)
    review = open_review(source)
    assert "the evidence of 1 pairs is not that of 10.1/a" in review.notes[0]
    span = review.find_evidence(place_of(review, "10.1/a", 0))
    assert [review.papers["10.1/a"].txt[start:end] for start, end in span] == ["Sample a0 melts at 100 K."]


def test_a_text_is_cut_at_its_evidence() -> None:
    assert merge_spans([(4, 6), (0, 2), (1, 3)]) == [(0, 3), (4, 6)]
    assert list(cut_text("abcdefgh", [(0, 3), (4, 6)])) == [("abc", True), ("d", False), ("ef", True), ("gh", False)]
    assert list(cut_text("ab", [])) == [("ab", False)]


def test_offsets_are_counted_as_a_browser_counts() -> None:
    txt = "𝛼𝛽 = 2 é"
    units = txt.encode("utf-16-le")
    for span in [(0, 2), (1, 6), (6, 8)]:
        [(start, end)] = to_utf16(txt, [span])
        assert units[2 * start : 2 * end].decode("utf-16-le") == txt[slice(*span)]


# The still page ------------------------------------------------------------------------------------------------------


def hostile_review(tmp_path: Path) -> Any:
    record = paper("a", 1, title=HOSTILE)
    record["txt"] = f"{HOSTILE}\n{record['txt']} {HOSTILE}"
    record["Q&A"][0] = {"Q": f"When? {HOSTILE}", "A": f"Sample a0 melts at 100 K. {HOSTILE}"}
    return open_review(write_papers(tmp_path, [record]))


def test_the_still_page_is_inert_and_marks_the_evidence(tmp_path: Path) -> None:
    page = make_page(hostile_review(tmp_path))
    assert "<script" not in page.data and "<img" not in page.data
    assert page.data.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3
    assert re.search(r"<mark [^<>]*>Sample a0 melts at 100 K[.]", page.data)
    assert "mathjax_ignore" in page.data


def test_the_still_page_holds_the_lines_with_evidence(tmp_path: Path) -> None:
    record = paper("a", 3)
    record["txt"] = "First.\n\nSecond.\n" + record["txt"] + "\nLast."
    review = open_review(write_papers(tmp_path, [record]))
    page = make_page(review, place_of(review, "10.1/a", 1)).data
    assert re.search(
        r"<p>\[\.{3}]</p>\n<p><mark [^<>]*>Sample a1 melts at 101 K.</mark></p>\n<p>\[\.{3}]</p>\n</div>", page
    )
