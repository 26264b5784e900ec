"""The count of an answer's numbers in its own paper and in another one, worked out by hand."""

import random
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from sciqag_lib.checks.answer_numbers import NO_BASELINE, PAPER_KEYS, count_numbers, summarize_counts
from sciqag_lib.records.papers import Paper, QAPair


def paper(doi: str, txt: str, pairs: list[tuple[str, str]]) -> Paper:
    return Paper(doi, txt, [], pairs=[QAPair(*pair) for pair in pairs])


FIRST = paper(
    "10.1/a",
    "Rats got 250 mg of it for 12 weeks. IL-6 fell by 40%.",
    [("How much?", "They got 250 mg for 12 weeks."), ("Which?", "IL-6 and seven others."), ("Rise?", "By 40 mg.")],
)
SECOND = paper(
    "10.1/b",
    "Cells got 250 mg for 3 h at 12 places.",
    [("When?", "After 3 h, 4 h and 12 weeks."), ("Who?", "We.")],
)


def rows(records: list[Paper]) -> list[tuple[int, ...]]:
    return [tuple(row[key] for key in PAPER_KEYS[1:]) for row in count_numbers(records).papers]


def test_counts_by_hand() -> None:
    # First: 250 mg, 12 week | no number, but the digit of IL-6 | 40 mg, which the paper has as 40%.
    #   Own: 250 and 12 found, 40 not. In the second: 250 mg found; 12 without "week" and 40 not.
    # Second: 3 h, 4 h, 12 week. Own: 3 h alone, 12 stands without a unit. In the first: 12 weeks alone.
    #        answers digits numbers all-found | numbers found | null answers, all-found, numbers, found
    assert rows([FIRST, SECOND]) == [(3, 3, 2, 1, 3, 2, 2, 0, 3, 1), (2, 1, 1, 0, 3, 1, 1, 0, 3, 1)]


def test_misses_by_hand() -> None:
    misses = count_numbers([FIRST, SECOND]).misses
    assert misses[0] == {
        "doi": "10.1/a", "pair": 2, "question": "Rise?", "answer": "By 40 mg.", "number": "40", "unit": "mg",
        "reason": "in the paper with another unit: %",
    }  # fmt: skip
    assert [(miss["doi"], miss["pair"], miss["number"], miss["unit"], miss["reason"]) for miss in misses[1:]] == [
        ("10.1/b", 0, "4", "h", "value not in the paper"),
        ("10.1/b", 0, "12", "week", "in the paper without a unit"),
    ]


def test_shares_by_hand() -> None:
    summary = summarize_counts(count_numbers([FIRST, SECOND]).papers)
    assert summary["answers_with_digits_share"] == 4 / 5
    assert summary["answers_with_numbers_share"] == 3 / 5
    assert summary["numbers_found_share"] == 3 / 6
    assert summary["null_found_share"] == 2 / 6
    assert summary["answers_found_share"] == 1 / 3
    assert summary["null_answers_found_share"] == 0
    assert (summary["papers"], summary["note"]) == (2, "")


def test_numbers_are_whole_and_in_digits() -> None:
    txt = "It held 1,250 cells, 0.35 parts, and seven or 3 × 10^5 of them; twelve died."
    answers = ("About 250 cells.", "Some 1250 of 300000.", "35 parts.", "Seven.", "12")
    counts = count_numbers([paper("d", txt, [("q", answer) for answer in answers])])
    assert [(miss["pair"], miss["number"]) for miss in counts.misses] == [(0, "250"), (2, "35")]
    assert counts.papers[0]["numbers"] == 5  # 250, 1250, 300000, 35, and 12, which the paper has as a word


def test_the_baseline_is_the_record_before_and_the_first_has_the_last() -> None:
    records = [paper(f"d{i}", f"It was {i} here.", [("q", f"It was {(i - 1) % 4}.")]) for i in range(4)]
    assert [row["null_found"] for row in count_numbers(records).papers] == [1, 1, 1, 1]
    records = [paper(f"d{i}", f"It was {i} here.", [("q", f"It was {(i + 1) % 4}.")]) for i in range(4)]
    assert [row["null_found"] for row in count_numbers(records).papers] == [0, 0, 0, 0]


def test_one_paper_has_no_baseline() -> None:
    summary = summarize_counts(count_numbers([FIRST]).papers)
    assert summary["null_found_share"] is None and summary["null_answers_found_share"] is None
    assert summary["note"] == NO_BASELINE
    assert summary["numbers_found_share"] == 2 / 3
    copy = replace(FIRST, doi="10.1/copy")
    assert summarize_counts(count_numbers([FIRST, copy]).papers)["null_numbers"] == 0  # its own text is no other paper


def test_nothing_to_count() -> None:
    summary = summarize_counts(count_numbers([]).papers)
    assert summary["numbers_found_share"] is None and summary["note"] == "" and summary["papers"] == 0
    assert rows([paper("d", "Text 5.", [])]) == [(0,) * 10]


def test_a_record_without_text_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="10.1/empty.*skip"):
        count_numbers([FIRST, replace(FIRST, doi="10.1/empty", txt=" ")])


def test_memory_does_not_grow_with_the_texts() -> None:
    def stream(num_papers: int) -> Iterator[Paper]:
        for number in range(num_papers):
            rng = random.Random(number)
            txt = " ".join(f"{rng.random():.5f} mg" for _ in range(600))
            yield paper(f"d{number}", txt, [("q", f"It was {number}.")])

    def peak(num_papers: int) -> int:
        tracemalloc.start()
        count_numbers(stream(num_papers))
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    count_numbers(stream(2))
    assert peak(40) < 1.25 * peak(4)
