"""Evidence spans, support scores and the numbers of an answer."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciqag_lib.checks.grounding import PaperIndex, check_numbers, find_evidence, find_extract, ground_pair, list_terms
from sciqag_lib.records.papers import QAPair
from sciqag_lib.text.quantities import find_quantities

PAPER = (
    "Rats were fed a high-fat diet for twelve weeks. Metformin was given at 250 mg/kg per day.\n"
    "Hepatic triglycerides fell from 48.2 ± 5.1 to 31.7 mg/g. Body weight was not affected by the treatment. "
    "The donor density was 3.6 × 10^18 cm−3. Films kept 91% of it after 1,000 min at −5 °C. "
    "Recovery took 5–10 months. IL-6 and PM2.5 were measured with a 4.4 µm filter."
)


def texts(answer: str) -> list[str]:
    return [PAPER[start:end] for start, end in find_evidence(answer, PAPER)[0]]


def found(answer: str) -> list[tuple[str, bool]]:
    return [(number["number"], number["found"]) for number in check_numbers(answer, PAPER)]


def test_evidence_is_the_sentence_that_says_it() -> None:
    assert texts("Triglycerides in the liver fell to 31.7 mg/g.") == [
        "Hepatic triglycerides fell from 48.2 ± 5.1 to 31.7 mg/g."
    ]
    evidence, support = find_evidence("Hepatic triglycerides dropped to 31.7 mg/g. Metformin was given daily.", PAPER)
    assert len(evidence) == 2 and len(support) == 2 and support[0] == 1.0 and 0 < support[1] < 1


def test_two_neighbours_support_one_sentence_together() -> None:
    answer = "Metformin at 250 mg/kg was given to rats fed a high-fat diet."
    assert texts(answer) == [
        "Rats were fed a high-fat diet for twelve weeks.",
        "Metformin was given at 250 mg/kg per day.",
    ]


def test_support_by_hand() -> None:
    txt = "Alpha beta. Gamma delta."
    # df 1 of 2 sentences: log(1 + 3/1.5); absent: log(1 + 3/0.5)
    held, absent = 1.0986122886681098, 1.9459101490553132
    assert find_evidence("Alpha omega", txt) == ([(0, 11)], [round(held / (held + absent), 4)])


@pytest.mark.parametrize(
    "true, altered",
    [
        ("Hepatic triglycerides fell to 31.7 mg/g.", "Hepatic triglycerides fell to 37.1 mg/g."),
        ("Hepatic triglycerides fell to 31.7 mg/g.", "Hepatic triglycerides rose to 31.7 mg/g."),
        ("Body weight was not affected.", "Body weight was affected."),
        ("Metformin was given.", "Insulin was given."),
    ],
)
def test_altered_answers_score_lower(true: str, altered: str) -> None:
    assert find_evidence(true, PAPER)[1][0] > find_evidence(altered, PAPER)[1][0] + 0.1


def test_synonyms_for_rise_and_fall_agree() -> None:
    assert list_terms("It declined.") == list_terms("It dropped.") != list_terms("It rose.")
    assert find_evidence("Hepatic triglycerides were reduced.", PAPER)[1] == [1.0]


def test_the_opposite_scores_below_the_unrelated() -> None:
    txt = "The rate of hydrolysis rose in acid."
    (opposite,) = find_evidence("The rate of hydrolysis fell in acid.", txt)[1]
    (unrelated,) = find_evidence("The rate of hydrolysis oscillated in acid.", txt)[1]
    assert opposite == pytest.approx(0.6 * unrelated, abs=1e-4)


def test_nothing_is_supported_by_nothing() -> None:
    assert find_evidence("", PAPER) == ([], [])
    assert find_evidence("Yes.", PAPER) == ([], [0.0])
    assert find_evidence("Photosynthesis needs chlorophyll.", PAPER) == ([], [0.0])
    assert find_evidence("Metformin was given.", "") == ([], [0.0])


def test_given_sentence_spans_are_used() -> None:
    assert find_evidence("Metformin.", "Metformin here. Other there.", [(0, 28)])[0] == [(0, 28)]


@pytest.mark.parametrize(
    "answer, expected",
    [
        ("12 weeks", [("12", True)]),
        ("12-week diet", [("12", True)]),
        ("eight weeks", [("eight", False)]),
        ("1000 min", [("1000", True)]),
        ("1 000 min", [("1 000", True)]),
        ("100 min", [("100", False)]),
        ("91 percent and 91 per cent", [("91", True), ("91", True)]),
        ("9 %", [("9", False)]),
        ("-5 °C", [("5", True)]),
        ("5 °C", [("5", False)]),  # the paper has −5 °C and 5 months
        ("3.6×10¹⁸ cm⁻³", [("3.6×10¹⁸", True)]),
        ("3.6e18 cm-3", [("3.6e18", True)]),
        ("3.6 x 10^17 cm-3", [("3.6 x 10^17", False)]),
        ("4.40 μm", [("4.40", True)]),
        ("4.4 um", [("4.4", True)]),
        ("4.4 nm", [("4.4", False)]),
        ("4 µm", [("4", False)]),
        ("5 to 10 months", [("5", True), ("10", True)]),
        ("10 months", [("10", True)]),
        ("31.7 mg/L", [("31.7", False)]),
        ("31.7 mg g−1", [("31.7", True)]),
        ("31.7", [("31.7", True)]),
        ("48.2 mg/g", [("48.2", True)]),  # the unit stands after the last number of the range
        ("25 mg/kg", [("25", False)]),
        (".91", [(".91", False)]),
    ],
)
def test_numbers_are_looked_up_whole(answer: str, expected: list[tuple[str, bool]]) -> None:
    assert found(f"It was {answer}.") == expected


def test_number_with_another_unit_says_so() -> None:
    (record,) = check_numbers("It took 250 min.", PAPER)
    assert record == {
        "number": "250", "unit": "min", "found": False, "unit_found": False,
        "reason": "other unit: mg kg-1 d-1", "start": 8, "end": 11,
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["PM2.5", "IL-6", "H2O2", "Cas9", "2-propanol", "2,4-D", "cm−2 h−1", "3rd", "3D", "M23C6", "Fig. 2A", "SARS-CoV-2",
     "three-dimensional", "5'-end", "v1.2.3", "Pro119Ala", "25-hydroxyvitamin", "vitamin D3"],
)  # fmt: skip
def test_digits_of_names_are_no_numbers(name: str) -> None:
    assert find_quantities(f"the {name} of it") == []


def test_number_words_and_exponents_have_one_value() -> None:
    assert {q.values[0] for q in find_quantities("ten, 10, 10.0, 1e1")} == {"1E+1"}
    assert "1E+5" in find_quantities("10⁵")[0].values and "1E+5" in find_quantities("10^5")[0].values
    assert find_quantities("2.5×105 cells")[0].values[0] == "2.5E+5"  # a superscript lost by the publisher's XML
    assert [q.unit for q in find_quantities("0.1, 0.5 and 1.2 V")] == [("V",)] * 3
    assert find_quantities("in the 1990s")[0].unit == ()


def test_verbatim_sentences_are_extracted() -> None:
    second = "Metformin was given at 250 mg/kg per day."
    pair = ground_pair(QAPair("How was it given?", second), PAPER)
    assert (pair.origin, pair.support) == ("extracted", [])
    assert [PAPER[a:b] for a, b in pair.evidence] == [second]
    assert find_extract("given at 250 mg/kg per day.", PAPER) == []  # only part of a sentence
    assert find_extract("", PAPER) == []


def test_generated_answers_are_grounded() -> None:
    pair = ground_pair(QAPair("How long?", "The diet lasted 12 weeks.", origin="extracted"), PAPER)
    assert pair.origin == "generated" and len(pair.support) == 1 and pair.numbers[0]["found"]
    assert PAPER[slice(*pair.evidence[0])].startswith("Rats were fed")


@given(st.text(max_size=200), st.text(max_size=400))
@settings(deadline=None)
def test_any_text_is_grounded(answer: str, txt: str) -> None:
    evidence, support = find_evidence(answer, txt)
    assert all(0 <= a < b <= len(txt) for a, b in evidence) and evidence == sorted(set(evidence))
    assert all(0 <= score <= 1 for score in support)
    for number in check_numbers(answer, txt):
        assert answer[number["start"] : number["end"]] == number["number"]


@given(st.text(alphabet="0123456789.,-−+eE^×x 10⁵µm%g/\n", max_size=200))
@settings(deadline=None)
def test_numbers_of_a_text_are_found_in_it(txt: str) -> None:
    assert all(number["found"] for number in check_numbers(txt, txt))


@pytest.mark.parametrize("piece", ["1,", "1 ", "10^", "5 mg ", "1 x 10", "1-", "not a. ", "a1 b2. "])
def test_hostile_text_is_quick(piece: str) -> None:
    txt = piece * (50_000 // len(piece))
    start = time.perf_counter()
    find_evidence(txt[:10_000], PaperIndex(txt))
    check_numbers(txt[:10_000], txt)
    assert time.perf_counter() - start < 15  # seconds; well under one on an idle machine
