"""The checks of a whole file: columns by hand, the published counts, the null baseline, and that nothing is lost."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow.parquet
import pytest
from fake_encoder import make_embedder

from sciqag_lib.checks import pair_checks
from sciqag_lib.checks.grounding import PaperIndex
from sciqag_lib.checks.pair_checks import (
    COLUMNS,
    SHARES,
    estimate_columns,
    find_context_phrase,
    measure_support,
    name_form,
    write_pair_checks,
)
from sciqag_lib.checks.rules import REASONS, check_pair
from sciqag_lib.errors import InputError
from sciqag_lib.metrics import intervals
from sciqag_lib.records.papers import QAPair

DATA = Path(__file__).parents[1] / "data"
SHARED = Path(__file__).parents[2] / "shared" / "data"

ZIRCONIA = (
    "Zirconia films were annealed at 550 °C for 12 h. Annealing lowered the band gap of zirconia to 2.87 eV "
    "because oxygen vacancies formed. Copper doping raised the conductivity to 40 S/cm."
)
POOLS = (
    "Mussels in tidal pools died at 41 °C during low tide. Barnacles survived because their shells reflect "
    "sunlight. Pools on the northern shore stayed 6 °C cooler."
)
FIRST = {
    "doi": "10.1/a",
    "txt": ZIRCONIA,
    "title": "",
    "Q&A": [
        {
            "Q": "Why did annealing lower the band gap of zirconia?",
            "A": "Annealing lowered the band gap of zirconia to 2.87 eV because oxygen vacancies formed.",
        },
        {
            "Q": "How hot was the furnace for zirconia films?",
            "A": "The study found that zirconia films were annealed at 750 °C for 12 h.",
        },
    ],
}
SECOND = {
    "doi": "10.1/b",
    "txt": POOLS,
    "title": "",
    "Q&A": [
        {"Q": "Why did  annealing LOWER the band gap of zirconia", "A": "Because barnacles survived at 6 °C."},
    ],
}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Intervals have their own tests; a report holds twenty."""
    monkeypatch.setattr(intervals, "NUM_RESAMPLES", 200)


def write(path: Path, records: list[dict[str, Any]], lines: bool = False) -> Path:
    texts = [json.dumps(record, ensure_ascii=False) for record in records]
    path.write_text("\n".join(texts) if lines else "[" + ",".join(texts) + "]", encoding="utf-8")
    return path


def check(tmp_path: Path, records: list[dict[str, Any]], **more: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The report and the rows."""
    report = write_pair_checks(write(tmp_path / "qas.json", records), tmp_path / "out", **more)
    return report, pyarrow.parquet.read_table(tmp_path / "out" / "checks.parquet").to_pylist()


# Context independence


@pytest.mark.parametrize(
    "name, num_pairs, loose, strict", [("test_qas_4000.json", 4000, 370, 344), ("select_25.json", 250, 60, 51)]
)
def test_the_published_expression_gives_the_published_counts(name, num_pairs, loose, strict):
    if not (SHARED / name).exists():
        pytest.skip(f"needs ../shared/data/{name}")
    records = json.loads((SHARED / name).read_text(encoding="utf-8"))
    pairs = [(entry["Q"], entry["A"]) for record in records for entry in record.get("Q&A", [record])]
    assert len(pairs) == num_pairs
    assert sum(bool(find_context_phrase(*pair, strict=False)) for pair in pairs) == loose
    assert sum(bool(find_context_phrase(*pair)) for pair in pairs) == strict


@pytest.mark.parametrize("text, phrase", [
    ("What did this paper find about zinc?", "this paper"),
    ("In THE STUDY, how did zinc grow?", "THE STUDY"),
    ("What is the aim of the present work?", "present work"),
    ("Which steel was used in current research?", "current research"),
    ("What does the article say of zinc?", "the article"),
    ("The paper found that zinc grows.", "The paper"),
    ("What is the aim of the research?", "the research"),
    ("What was the objective of the work done on zinc mines?", "the work"),
    ("Where is the study area?", "the study"),
])  # fmt: skip
def test_phrases_that_speak_of_a_paper(text, phrase):
    for pair in ((text, "Zinc."), ("Why?", text)):
        assert find_context_phrase(*pair) == find_context_phrase(*pair, strict=False) == phrase


@pytest.mark.parametrize("text, phrase", [
    ("What allows the study of thin films?", "the study"),
    ("How does zinc change the work function?", "the work"),
    ("What limits the work of formation of a nucleus?", "the work"),
    ("What speeds up the paper machine?", "the paper"),
    ("How wet is the paper sheet?", "the paper"),
    ("How many grams does the paper sheets' coating weigh?", "the paper"),
    ("What is the focus of the research projects at the facility?", "the research"),
    ("How did the research on alloys begin?", "the research"),
    ("Why does the work-hardening of steel stop?", "the work"),
])  # fmt: skip
def test_innocent_phrases_are_loose_alone(text, phrase):
    for pair in ((text, "Zinc."), ("Why?", text)):
        assert find_context_phrase(*pair, strict=False) == phrase and find_context_phrase(*pair) == ""


@pytest.mark.parametrize(
    "text",
    ["What is a study of zinc?", "These papers are wet.", "The studying ended.", "the  study", "Is this a paper?"],
)
def test_what_the_published_expression_does_not_match(text):
    assert find_context_phrase(text, text, strict=False) == find_context_phrase(text, text) == ""


def test_an_innocent_phrase_does_not_hide_another(tmp_path):
    _, [row, innocent] = check(
        tmp_path,
        [
            {"Q": "What allows the study of films?", "A": "Light does, as this study showed."},
            {"Q": "What allows the study of films?", "A": "Light does."},
        ],
    )
    assert row["context_bound_strict"] and row["context_bound_loose"] and row["context_phrase"] == "this study"
    assert (innocent["context_bound_strict"], innocent["context_bound_loose"]) == (False, True)
    assert innocent["context_phrase"] == "the study"


# Columns


def test_rows_by_hand(tmp_path):
    report, [good, bad, repeated] = check(tmp_path, [FIRST, SECOND])
    assert list(good) == list(COLUMNS)
    assert good == {
        "doi": "10.1/a", "pair": 0, "question": FIRST["Q&A"][0]["Q"], "answer": FIRST["Q&A"][0]["A"],
        "context_bound_strict": False, "context_bound_loose": False, "context_phrase": "", "numbers_total": 1,
        "numbers_found": 1, "support": 1.0, "duplicate_of": None, "near_duplicate_of": None, "question_form": "Why",
        "question_words": 9, "answer_words": 14, "rejected_by": "",
    }  # fmt: skip
    assert (bad["pair"], bad["context_phrase"], bad["numbers_total"], bad["numbers_found"]) == (1, "The study", 2, 1)
    assert bad["rejected_by"] == "not_self_contained wrong_number" and 0.4 < bad["support"] < 1
    assert (repeated["doi"], repeated["duplicate_of"], repeated["question_form"]) == ("10.1/b", 0, "Why")
    assert "not_a_question" in repeated["rejected_by"].split()  # it lacks its question mark
    assert (report.num_records, report.num_papers, report.num_pairs, report.num_bad) == (2, 2, 3, 0)
    assert report.forms == {"Why": 2, "How": 1}


def test_shares_and_null_by_hand(tmp_path):
    report, rows = check(tmp_path, [FIRST, SECOND])
    shares, null = report.shares, report.null
    assert set(shares) == set(SHARES) - {"near_duplicate"}
    assert shares["context_bound_strict"].mean == pytest.approx(1 / 3)
    assert shares["duplicate"].mean == pytest.approx(1 / 3)
    # Numbers: 2.87 eV found; 750 not, 12 h found | 6 °C found. Crosswise: 6 °C is not in the first, none in the second.
    assert shares["numbers_found"].mean == pytest.approx(3 / 4) and null["numbers_found"].mean == 0
    assert shares["with_numbers"].mean == 1 and shares["rejected_wrong_number"].mean == pytest.approx(1 / 3)
    assert shares["support"].mean == pytest.approx(sum(row["support"] for row in rows) / 3, abs=1e-4)
    crosswise = [
        measure_support(pair["A"], PaperIndex(txt))[0]
        for record, txt in ((FIRST, POOLS), (SECOND, ZIRCONIA))
        for pair in record["Q&A"]
    ]
    assert null["support"].mean == pytest.approx(sum(crosswise) / 3)
    assert null["rejected_unsupported"].mean == null["rejected_wrong_number"].mean == 1
    assert set(null) == {"numbers_found", "support", "rejected_wrong_number", "rejected_unsupported"}
    assert report.question_words.mean == pytest.approx((9 + 8 + 9) / 3)


def test_the_null_baseline_is_the_paper_before_and_the_first_has_the_last(tmp_path):
    for step, found in ((-1, 4), (1, 0)):
        records = [
            {"doi": f"d{n}", "txt": f"Zinc held {n} % tin.", "Q&A": [{"Q": "How much?", "A": f"{(n + step) % 4} %."}]}
            for n in range(4)
        ]
        assert check(tmp_path, records)[0].null["numbers_found"].mean == found / 4


def test_the_null_takes_some_answers_from_all_over_a_paper(tmp_path, monkeypatch):
    monkeypatch.setattr(pair_checks, "NULL_ANSWERS", 2)
    pairs = [{"Q": "How much?", "A": f"Zinc held {number} % tin."} for number in range(4)]
    other = {"doi": "b", "txt": "It held 2 % tin.", "Q&A": [{"Q": "How much?", "A": "None."}]}
    report, _ = check(tmp_path, [{"doi": "a", "txt": "It held 9 % tin.", "Q&A": pairs}, other])
    assert report.null["numbers_found"].mean == 1 / 2  # the answers 0 and 2


def test_records_without_a_paper_neither_have_nor_serve_as_null(tmp_path):
    lone = {"doi": "10.1/c", "Q&A": [{"Q": "How warm was it on the shore?", "A": "It was 41 °C."}]}
    report, rows = check(tmp_path, [FIRST, lone, SECOND])
    row = rows[2]
    assert (row["doi"], row["numbers_total"], row["numbers_found"], row["support"]) == ("10.1/c", 1, None, None)
    assert not set(row["rejected_by"].split()) & {"wrong_number", "unsupported"}
    assert report.null == check(tmp_path, [FIRST, SECOND])[0].null
    assert report.shares["rejected_unsupported"].papers == 2 and report.shares["rejected"].papers == 3


def test_one_text_under_two_dois_is_no_null_baseline(tmp_path):
    report, _ = check(tmp_path, [FIRST, {**SECOND, "txt": ZIRCONIA}])
    assert report.null == {} and report.shares["numbers_found"].mean == pytest.approx(2 / 4)
    assert set(report.to_frame()["against another paper"]) == {""}


def test_an_answer_that_claims_nothing_has_no_support(tmp_path):
    record = {**FIRST, "Q&A": [{"Q": "Is zirconia annealed at 550 °C?", "A": "Yes."}]}
    report, [row] = check(tmp_path, [record])
    assert (row["support"], row["numbers_found"], row["rejected_by"]) == (None, 0, "empty_talk")
    assert math.isnan(report.shares["support"].mean)


def test_support_weighs_sentences_by_their_length():
    index = PaperIndex(ZIRCONIA)
    answer = "Annealing lowered the band gap of zirconia because oxygen vacancies formed. Penguins swim."
    support, scores = measure_support(answer, index)
    assert scores == [1.0, 0.0]
    assert support == pytest.approx(8 / 10, abs=1e-4)  # anneal low band gap zirconia oxygen vacancy form | penguin swim


@pytest.mark.parametrize("question, form", [
    ("What is it?", "What"), ("what's it?", "What"), ("How?", "How"), ("'Why' so?", "Why"), ("Which?", "Which"),
    ("When?", "When"), ("Where?", "Where"), ("Whose?", "Who"), ("Whom?", "Who"), ("Is it?", "Yes or no"),
    ("Doesn't it?", "Yes or no"), ("In what way?", "Other"), ("Whatever?", "Other"), ("Iseult?", "Other"),
    ("?", "Other"),
])  # fmt: skip
def test_question_forms(question, form):
    assert name_form(question) == form


def test_rejected_by_holds_every_reason_and_the_first_is_that_of_check_pair():
    rows = [
        json.loads(line)
        for name in (
            "wrong_number",
            "unsupported",
            "not_self_contained",
            "copies_answer",
            "empty_talk",
            "duplicate",
            "not_a_question",
        )
        for line in (DATA / "checks" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    several = 0
    for row in rows:
        accepted, txt = row.get("accepted", []), row.get("txt", "")
        index, pair = PaperIndex(txt) if txt else None, QAPair(row["question"], row["answer"])
        if not (pair.question and pair.answer):
            continue
        reasons = pair_checks.check_one_pair(pair, accepted, index)["rejected_by"].split()
        assert reasons == sorted(reasons, key=REASONS.index)
        if index is not None:
            first = check_pair(pair, index, [QAPair(question, "") for question in accepted])
            assert (reasons or [""])[0] == first
        several += len(reasons) > 1
    assert several > 3


def test_only_earlier_questions_of_the_same_paper_count_as_duplicate_of_the_checks(tmp_path, monkeypatch):
    twice = [
        {"Q": "Why did zirconia lose oxygen?", "A": "Heat drove it out of the lattice."},
        {"Q": "How hot was copper in the furnace?", "A": "Copper was heated to 900 °C."},
        {"Q": "Why did the zirconia lose oxygen?", "A": "Heat drove it out of the lattice."},
    ]
    _, rows = check(tmp_path, [{"doi": "10.1/a", "Q&A": twice}, {"doi": "10.1/b", "Q&A": twice[:1]}])
    assert [row["rejected_by"] for row in rows] == ["", "", "duplicate", ""]
    assert [row["duplicate_of"] for row in rows] == [None, None, None, 0]
    monkeypatch.setattr(pair_checks, "MAX_COMPARED", 1)
    assert [row["rejected_by"] for row in check(tmp_path, [{"doi": "10.1/a", "Q&A": twice}])[1]] == ["", "", ""]


def test_a_repeat_is_the_same_but_for_case_white_space_and_closing_marks(tmp_path):
    questions = [
        "Is x > 5 in água?",
        "is X > 5 \u00a0in a\u0301gua",
        "Is x < 5 in água?",
        "Is x > 5 in água ?",
        "?",
        ".",
    ]
    _, rows = check(tmp_path, [{"Q": question, "A": "Yes."} for question in questions])
    assert [row["duplicate_of"] for row in rows] == [None, 0, None, 0, None, None]


# Near-duplicates


def test_near_duplicates_are_found_over_the_whole_file(tmp_path):
    vectors = {"Why A?": [1, 0, 0], "Why B?": [0, 1, 0], "Why near A?": [1, 0.1, 0], "Why C?": [0, 0, 1]}
    questions = [["Why A?", "Why B?"], ["Why near A?"], ["Why C?", "Why A?"]]
    records = [
        {"doi": f"10.1/{number}", "Q&A": [{"Q": question, "A": "Since."} for question in some]}
        for number, some in enumerate(questions)
    ]
    records.insert(1, {"doi": "10.1/none", "Q&A": []})
    report, rows = check(tmp_path, records, embedder=make_embedder(vectors, model_id="fake 1"))
    assert [row["near_duplicate_of"] for row in rows] == [None, None, 0, None, 0]
    assert [row["duplicate_of"] for row in rows] == [None, None, None, None, 0]
    assert report.shares["near_duplicate"].mean == 2 / 5
    assert (report.encoder, report.near_duplicate) == ("fake 1", 0.95)
    strict = check(tmp_path, records, embedder=make_embedder(vectors), near_duplicate=0.999)[1]
    assert [row["near_duplicate_of"] for row in strict] == [None, None, None, None, 0]
    assert not list((tmp_path / "out").glob(".*"))  # no temporary file is left


def test_vectors_that_are_no_numbers_are_named(tmp_path):
    vectors = {"Why A?": [1, 0], "Why B?": [np.nan, 1], "Why C?": [1, 0]}
    report, rows = check(
        tmp_path,
        [{"doi": "10.1/a", "Q&A": [{"Q": question, "A": "Since."} for question in vectors]}],
        embedder=make_embedder(vectors),
    )
    assert [row["near_duplicate_of"] for row in rows] == [None, None, 0]
    assert "10.1/a: no near-duplicates of 1 questions" in report.notes[0]


def test_a_threshold_that_is_no_cosine_is_refused(tmp_path):
    with pytest.raises(InputError, match="near_duplicate"):
        check(tmp_path, [FIRST], near_duplicate=2)


# Files


def test_the_sample_file_and_its_three_files(tmp_path):
    report = write_pair_checks(DATA / "qas.json", tmp_path / "new" / "out")
    rows = pyarrow.parquet.read_table(tmp_path / "new" / "out" / "checks.parquet").to_pylist()
    stored = [
        (record["doi"], pair["Q"], pair["A"])
        for record in json.loads((DATA / "qas.json").read_text("utf-8"))
        for pair in record["Q&A"]
    ]
    assert [(row["doi"], row["question"], row["answer"]) for row in rows] == stored and len(rows) == report.num_pairs
    with (tmp_path / "new" / "out" / "checks.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["question"] for row in found] == [row["question"] for row in rows]
    assert {row["duplicate_of"] for row in found} == {""}
    written = json.loads((tmp_path / "new" / "out" / "checks.json").read_text(encoding="utf-8"))
    assert written["num_pairs"] == len(rows) and written["version"] == pair_checks.VERSION
    assert written["null"]["support"]["mean"] == report.null["support"].mean < report.shares["support"].mean
    shown = report.to_frame().loc["support of the answer, 0-1"].tolist()
    assert shown == [str(report.shares["support"]), str(report.null["support"])]


def test_bad_records_are_named_and_counted_and_the_rest_is_checked(tmp_path):
    records = [
        FIRST,
        {"doi": "10.1/x"},
        {"doi": "10.1/y", "Q&A": [{"Q": "Why?"}, SECOND["Q&A"][0]]},
        {"doi": "10.1/z", "Q&A": []},
        SECOND,
    ]
    path = write(tmp_path / "qas.jsonl", records, lines=True)
    with path.open("a") as file:
        file.write('\n{"doi": \n[1]\n')
    report = write_pair_checks(path, tmp_path / "out")
    assert (report.num_bad, report.num_records, report.num_pairs) == (4, 3, 4)
    notes = "\n".join(report.notes)
    for part in ("line 2, field 'Q&A'", "line 3, field 'Q&A[0]'", "line 6", "line 7", "10.1/z: no question"):
        assert part in notes


def test_limit_counts_records_with_pairs(tmp_path):
    records = [{"doi": "10.1/none", "Q&A": []}, FIRST, SECOND]
    for limit, num_pairs in ((1, 2), (2, 3), (None, 3)):
        vectors = make_embedder()
        assert check(tmp_path, records, limit=limit, embedder=vectors)[0].num_pairs == num_pairs


def test_a_file_without_a_pair_is_refused_and_an_older_table_stays(tmp_path):
    check(tmp_path, [FIRST])
    before = (tmp_path / "out" / "checks.parquet").read_bytes()
    with pytest.raises(InputError, match=r"holds no pair.*record 1, field 'Q&A'"):
        check(tmp_path, [{"doi": "10.1/x"}])
    assert (tmp_path / "out" / "checks.parquet").read_bytes() == before


def test_a_benchmark_file_is_checked_without_papers(tmp_path):
    report, rows = check(tmp_path, [{"Q": "What is zinc made of?", "A": "Zinc has 30 protons."}] * 3)
    assert [row["doi"] for row in rows] == ["record 1", "record 2", "record 3"]
    assert [row["duplicate_of"] for row in rows] == [None, 0, 0] and {row["numbers_found"] for row in rows} == {None}
    assert not set(report.shares) & {"numbers_found", "support", "rejected_wrong_number", "rejected_unsupported"}
    assert report.to_frame().loc["numbers found in the paper"].tolist() == ["not looked up", ""]


# Intervals


def test_a_share_of_none_or_all_has_an_interval_of_some_width(tmp_path):
    report, _ = check(tmp_path, [{"Q": f"What is element {number} made of?", "A": "Protons."} for number in range(10)])
    none = report.shares["context_bound_loose"]
    # Wilson, 0 of 10: high = z² / (n + z²) = 3.8415 / 13.8415
    assert (none.mean, none.low) == (0, 0) and none.high == pytest.approx(0.27753, abs=1e-4)


def test_many_records_are_drawn_in_blocks_with_the_same_mean(monkeypatch):
    pairs = pandas.DataFrame({"record": range(1001), "duplicate": [number % 4 == 0 for number in range(1001)]})

    def estimate(max_units: int):
        monkeypatch.setattr(pair_checks, "MAX_UNITS", max_units)
        return estimate_columns(pairs, ["duplicate"], 0)["duplicate"]

    one_by_one, blocks = estimate(2000), estimate(100)
    assert one_by_one.mean == blocks.mean == 251 / 1001 and one_by_one.papers == blocks.papers == 1001
    assert blocks.high - blocks.low < one_by_one.high - one_by_one.low  # every block of ten holds two or three of them
