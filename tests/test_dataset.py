"""A build as a whole: every pair is kept or dropped for a reason, whatever the file holds."""

import csv
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet
import pytest
from fake_encoder import make_embedder

from sciqag_lib.dataset.build import build_dataset
from sciqag_lib.dataset.splitting import split_papers
from sciqag_lib.errors import InputError
from sciqag_lib.racar.judging import DIMENSIONS

DATA = Path(__file__).parents[1] / "data"
SAMPLE = DATA / "build_sample"
SHARED = Path(__file__).parents[2] / "shared" / "data"
FIELDS = ("Chemistry, Analytical", "Energy & Fuels")


def make_record(number: int, *questions: str, **more: Any) -> dict[str, Any]:
    return {
        "doi": f"10.1/{number}",
        "title": f"T{number}",
        "txt": "",
        "category": FIELDS[number % 2],
        "Q&A": [{"Q": question, "A": f"Answer {number}."} for question in questions],
        **more,
    }


def make_records(count: int) -> list[dict[str, Any]]:
    return [make_record(number, f"Why {number}?", f"How {number}?") for number in range(count)]


def write(path: Path, records: Any) -> Path:
    path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[SimpleNamespace]:
    """The rows of a pairs.parquet, None where a value is absent, with `scores` by dimension."""
    found = [SimpleNamespace(**row) for row in pyarrow.parquet.read_table(path).to_pylist()]
    for row in found:
        scores = {name: getattr(row, f"score_{name}") for name in DIMENSIONS}
        row.scores = {name: score for name, score in scores.items() if score is not None}
    return found


def build(tmp_path: Path, records: list[dict[str, Any]], **more: Any) -> Any:
    more = {"test_size": 0.3, **more}
    report = build_dataset(write(tmp_path / "qas.json", records), tmp_path / "out", **more)
    rows = read_rows(tmp_path / "out" / "pairs.parquet")
    assert report.asked == len(rows) == report.kept + sum(report.dropped.values())
    assert report.kept == sum(row.dropped_by is None for row in rows)
    return report, rows


def write_scores(folder: Path, scores: dict[tuple[str, int], dict[str, Any]]) -> Path:
    lines = ["record,doi,pair,arm,dimension,scale,score"]
    lines += [
        f"record x,{doi},{pair},own,{dimension},1-3,{score}"
        for (doi, pair), found in scores.items()
        for dimension, score in found.items()
    ]
    (folder / "scores.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def sides(records: list[dict[str, Any]], test_size: float = 0.3, seed: int = 0) -> dict[str, str]:
    dois = [record["doi"] for record in records]
    return dict(zip(dois, split_papers(dois, [record.get("category") for record in records], test_size, seed)))


# The whole way


def test_the_sample_with_its_planted_faults(tmp_path):
    vectors = {
        "How can crazing of a glaze from window glass be stopped?": [1, 0.1, *[0] * 14],
        "How can the crazing of a glaze made from window glass be stopped?": [1, 0.2, *[0] * 14],
    }
    report = build_dataset(
        SAMPLE / "qas.json",
        tmp_path,
        train_filter={"context_bound": "strict", "checks": ["wrong_number"]},
        test_filter={"min_score": 3},
        test_size=0.25,
        evaluation_dir=SAMPLE,
        journals=SAMPLE / "journals.csv",
        benchmark=SAMPLE / "benchmark.json",
        embedder=make_embedder(vectors),
    )
    assert (report.asked, report.kept, report.papers, report.num_records) == (42, 30, 12, 13)
    assert report.splits["train"].dropped == {
        "context_bound": 1,
        "check_wrong_number": 1,
        "in_benchmark": 1,
        "in_test": 1,
        "duplicate": 1,
        "near_test": 1,
    }
    assert report.splits["test"].dropped == {
        "unscored": 1,
        "score_relevance": 1,
        "score_completeness": 1,
        "score_reasonableness": 1,
    }
    assert report.splits["test"].hits == {
        "unscored": 1,
        "score_relevance": 1,
        "score_agnosticism": 1,
        "score_completeness": 1,
        "score_accuracy": 1,
        "score_reasonableness": 1,
    }
    assert report.dropped["same_doi"] == 2
    assert report.licences == {"CC0-1.0": 30}
    dropped = {(row.doi, row.pair): row.dropped_by for row in read_rows(tmp_path / "pairs.parquet") if row.dropped_by}
    assert dropped["10.5555/sciqag.build.1", 3] == "context_bound"
    assert dropped["10.5555/sciqag.build.2", 2] == "check_wrong_number"
    assert dropped["10.5555/sciqag.build.9", 3] == "near_test"
    assert dropped["https://doi.org/10.5555/SCIQAG.BUILD.5", 1] == "same_doi"
    assert json.loads((tmp_path / "build.json").read_text())["kept"] == 30


def test_rows_carry_what_the_file_and_the_judge_say(tmp_path):
    records = [make_record(1, "Why?", licence="cc-by", journal="Talanta"), make_record(3, "How?", license="cc0")]
    write(
        tmp_path / "evidence.json",
        [
            {
                "doi": "10.1/1",
                "pairs": [{"Q": "Why?", "A": "Answer 1.", "evidence": [{"text": "It is."}, {"text": "So it is."}]}],
            }
        ],
    )
    _, rows = build(tmp_path, records, evaluation_dir=write_scores(tmp_path, {("10.1/1", 0): {"accuracy": 2}}))
    first, second = rows
    assert (first.record, first.doi, first.pair, first.title, first.journal) == (0, "10.1/1", 0, "T1", "Talanta")
    assert (first.category, first.licence, first.evidence) == ("Energy & Fuels", "cc-by", "It is. So it is.")
    assert (first.question, first.answer, first.scores) == ("Why?", "Answer 1.", {"accuracy": 2})
    assert (second.record, second.licence, second.evidence, second.scores) == (1, "cc0", None, {})


def test_the_journal_of_our_own_output_stands_in_its_evidence(tmp_path):
    records = [make_record(1, "Why?", category=None), make_record(3, "How?", category=None, journal="Talanta")]
    write(tmp_path / "evidence.json", [{"doi": f"10.1/{number}", "journal": "Fuel", "pairs": []} for number in (1, 3)])
    (tmp_path / "journals.csv").write_text('journal,category\nFuel,Energy & Fuels\nTalanta,"Chemistry, Analytical"\n')
    _, rows = build(tmp_path, records, journals=tmp_path / "journals.csv")
    assert [(row.journal, row.category) for row in rows] == [
        ("Fuel", "Energy & Fuels"),
        ("Talanta", "Chemistry, Analytical"),
    ]


def test_the_licence_of_our_own_output_stands_in_its_evidence(tmp_path):
    records = [make_record(1, "Why?"), make_record(3, "How?", license="cc0"), make_record(5, "Who?")]
    write(tmp_path / "evidence.json", [{"doi": f"10.1/{number}", "license": "CC BY", "pairs": []} for number in (1, 3)])
    report, rows = build(tmp_path, records)
    assert [row.licence for row in rows] == ["CC BY", "cc0", None]
    assert report.licences == {"CC BY": 1, "cc0": 1, "unknown": 1}


def test_all_pairs_of_a_paper_are_on_one_side(tmp_path):
    records = make_records(40)
    report, rows = build(tmp_path, records)
    assert {row.doi: row.split for row in rows} == sides(records)
    assert len({(row.doi, row.split) for row in rows}) == 40
    assert report.splits["test"].papers == sum(side == "test" for side in sides(records).values())
    with (tmp_path / "out" / "papers.csv").open(encoding="utf-8") as file:
        assert {row["paper"]: row["split"] for row in csv.DictReader(file)} == sides(records)


def test_a_build_twice_is_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        build_dataset(write(tmp_path / "qas.json", make_records(10)), tmp_path / name, test_size=0.3)
    for name in ("pairs.parquet", "papers.csv", "matches.csv", "build.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert not [path for path in (tmp_path / "one").iterdir() if path.name.startswith(".")]


def test_papers_that_are_added_move_nobody(tmp_path):
    _, few = build(tmp_path, make_records(20))
    _, many = build(tmp_path, make_records(60)[::-1])
    known = {row.doi: row.split for row in many}
    assert all(known[row.doi] == row.split for row in few)


def test_an_earlier_build_is_kept_to(tmp_path):
    _, few = build(tmp_path, make_records(20), seed=3)
    (tmp_path / "out" / "papers.csv").rename(tmp_path / "earlier.csv")
    report, many = build(tmp_path, make_records(30)[1:], seed=4, test_size=8, earlier_papers=tmp_path / "earlier.csv")
    known = {row.doi: row.split for row in many}
    assert all(known[row.doi] == row.split for row in few if row.doi != "10.1/0")
    assert "papers of the earlier build that are not in this file: 1" in report.notes


# Filters


def test_each_split_has_its_own_filter(tmp_path):
    records = make_records(40)
    for record in records:
        record["Q&A"][0]["A"] = "As this study shows."
    report, rows = build(tmp_path, records, train_filter={"context_bound": "strict"})
    assert report.splits["train"].dropped == {"context_bound": report.splits["train"].papers}
    assert report.splits["test"].dropped == {}
    assert all((row.dropped_by == "context_bound") == (row.split == "train" and row.pair == 0) for row in rows)


@pytest.mark.parametrize(
    "missing, dropped", [("drop", {"unscored": 20, "score_accuracy": 1}), ("keep", {"score_accuracy": 1})]
)
def test_half_of_the_scores_are_missing(tmp_path, missing, dropped):
    records = make_records(20)
    scores = {(record["doi"], 0): {"accuracy": 3} for record in records} | {("10.1/4", 0): {"accuracy": 1}}
    rule = {"min_score": {"accuracy": 2}, "missing": missing}
    report, _ = build(
        tmp_path, records, train_filter=rule, test_filter=rule, evaluation_dir=write_scores(tmp_path, scores)
    )
    assert report.dropped == dropped
    assert report.scored == 20 and "pairs without a score of each judged dimension: 20 of 40" in report.notes


def test_a_filter_that_empties_a_split_or_a_category_is_named_before_it_is_written(tmp_path, caplog, monkeypatch):
    from sciqag_lib.dataset import build as dataset

    said = []
    written = dataset._write_files
    monkeypatch.setattr(dataset, "_write_files", lambda *some: said.extend(caplog.messages) or written(*some))
    records = make_records(20)
    scores = {
        (record["doi"], pair): {"accuracy": 1 if number % 2 else 3}
        for number, record in enumerate(records)
        for pair in (0, 1)
    }
    with caplog.at_level(logging.WARNING):
        report, _ = build(
            tmp_path,
            records,
            train_filter={"min_score": {"accuracy": 2}},
            test_filter={"min_score": {"accuracy": 3.0}, "context_bound": "strict"},
            evaluation_dir=write_scores(tmp_path, scores),
        )
    energy = report.splits["train"].dropped["score_accuracy"]
    assert f'train: the filter "accuracy below the threshold" leaves no pair of Energy & Fuels ({energy})' in said
    test = next(line for line in report.warnings if line.startswith('test: the filter "accuracy'))
    assert "of Energy & Fuels" in test
    for record in records:
        record["Q&A"] = [{"Q": "Why this study?", "A": "Because."}]
    report, _ = build(
        tmp_path,
        records,
        test_filter={"context_bound": "strict"},
        benchmark=write(tmp_path / "bench.json", [{"Q": "why this study", "A": "x"}]),
    )
    assert report.kept == 0
    assert any(line.startswith('test: the filter "speaks of its paper" leaves no pair; ') for line in report.warnings)
    assert any(
        line.startswith('train: the filter "question of the benchmark" leaves no pair; ') for line in report.warnings
    )


@pytest.mark.parametrize(
    "rule, message",
    [
        ({"min_score": 3}, "test_filter.min_score: asks for relevance, .*there are accuracy"),
        ({"checks": "all"}, "test_filter: asks for checks"),
    ],
)
def test_a_filter_asks_for_what_nobody_judged(tmp_path, rule, message):
    folder = write_scores(tmp_path, {("10.1/0", 0): {"accuracy": 3}})
    with pytest.raises(InputError, match=message):
        build(tmp_path, make_records(4), test_filter=rule, evaluation_dir=folder)
    assert not (tmp_path / "out").exists()


def test_a_useless_judge_is_named(tmp_path):
    folder = write_scores(tmp_path, {("10.1/0", 0): {"accuracy": 3}})
    write(
        folder / "racar.json", {"model": "m", "prompt": "p", "scale": "1-3", "dimensions": {}, "useless": ["accuracy"]}
    )
    report, _ = build(tmp_path, make_records(4), evaluation_dir=folder, train_filter={"min_score": {"accuracy": 2}})
    assert any(line.startswith("accuracy: its judge does not tell") for line in report.warnings)
    assert report.make_card_facts().judge.model == "m"


def test_scores_of_an_older_file_are_not_used(tmp_path):
    records = make_records(4)
    folder = write_scores(tmp_path, {("10.1/0", 0): {"accuracy": 3}, ("10.1/1", 0): {"accuracy": 3}})
    (folder / "checks.csv").write_text(
        "doi,pair,question,answer,support,rejected_by\n10.1/0,0,Why 0?,Answer 0.,,\n10.1/1,0,Another?,Answer 1.,,\n",
        encoding="utf-8",
    )
    report, rows = build(tmp_path, records, evaluation_dir=folder)
    assert [row.scores for row in rows if row.pair == 0][:2] == [{"accuracy": 3}, {}]
    assert any("the scores of 1 pairs are those of other words" in line for line in report.warnings)


# What stands twice


def test_a_test_question_that_is_also_in_train(tmp_path):
    records = make_records(40)
    found = sides(records)
    test = next(record for record in records if found[record["doi"]] == "test")
    trains = [record for record in records if found[record["doi"]] == "train"][:3]
    for record in trains:
        record["Q&A"].append({"Q": test["Q&A"][0]["Q"].upper().replace("?", " ?"), "A": "Nobody knows."})
    report, rows = build(tmp_path, records)
    assert {row.doi for row in rows if row.dropped_by == "in_test"} == {record["doi"] for record in trains}
    assert report.matches == {"in_test": {"train": 3}} and report.dropped == {"in_test": 3}
    with (tmp_path / "out" / "matches.csv").open(encoding="utf-8") as file:
        matches = list(csv.DictReader(file))
    assert [(row["doi_a"], row["side_a"], row["doi_b"], row["dropped"]) for row in matches] == [
        (test["doi"], "test", record["doi"], "True") for record in trains
    ]


def test_what_a_filter_dropped_is_compared_with_nothing(tmp_path):
    records = [make_record(1, "Why?"), make_record(3, "Why?")]
    records[0]["Q&A"][0]["A"] = "As this study shows."
    report, _ = build(tmp_path, records, test_size=0, train_filter={"context_bound": "strict"})
    assert report.dropped == {"context_bound": 1} and report.kept == 1


def test_near_questions_and_those_of_a_benchmark(tmp_path):
    records = make_records(40)
    found = sides(records)
    test = next(record for record in records if found[record["doi"]] == "test")["Q&A"][0]["Q"]
    train = [record["Q&A"][0]["Q"] for record in records if found[record["doi"]] == "train"]
    near = {test: 1.0, train[0]: 1.01, train[1]: 2.0, "Benchmark?": 2.01, train[2]: 3.0, train[3]: 3.01}
    axes = {1: 0, 2: 4, 3: 8}
    vectors = {}
    for question, value in near.items():
        vectors[question] = [0.0] * 16
        vectors[question][axes[int(value)]] = 1.0
        vectors[question][axes[int(value)] + 1] = value % 1
    bench = write(tmp_path / "bench.json", [{"Q": "Benchmark?", "A": "x"}, {"Q": train[4].lower(), "A": "x"}])
    report, rows = build(tmp_path, records, benchmark=bench, embedder=make_embedder(vectors), near_duplicate=0.99)
    assert report.matches == {
        "in_benchmark": {"train": 1},
        "near_benchmark": {"train": 1},
        "near_test": {"train": 1},
        "near_duplicate": {"train": 1},
    }
    dropped = {row.question: row.dropped_by for row in rows if row.dropped_by}
    assert dropped == {
        train[0]: "near_test",
        train[1]: "near_benchmark",
        train[3]: "near_duplicate",
        train[4]: "in_benchmark",
    }
    assert report.benchmark == {"file": "bench.json", "questions": 2, "bad": 0}


def test_an_exact_match_is_not_listed_as_a_near_one_again(tmp_path):
    records = make_records(10)
    bench = write(tmp_path / "bench.json", [{"Q": record["Q&A"][0]["Q"], "A": "x"} for record in records])
    report, _ = build(tmp_path, records, benchmark=bench, embedder=make_embedder())
    counts = report.splits
    assert report.matches == {"in_benchmark": {"test": counts["test"].papers, "train": counts["train"].papers}}


@pytest.mark.parametrize("text", ['[{"prompt": "Why?", "reply": "x"}]', "Q,A\nWhy?,x\n", "[]"])
def test_a_benchmark_in_another_format(tmp_path, text):
    (tmp_path / "bench.csv").write_text(text, encoding="utf-8")
    report, _ = build(tmp_path, make_records(4), benchmark=tmp_path / "bench.csv")
    assert report.kept == 8 and report.benchmark["questions"] == 0
    [warning] = [line for line in report.warnings if line.startswith("benchmark")]
    assert "no question could be read" in warning and str(tmp_path) not in warning


def test_every_question_of_a_benchmark_is_compared(tmp_path):
    """Those without an answer, and those of a paper that stands there twice, as well; the broken ones are counted."""
    bench = write(
        tmp_path / "bench.json",
        [
            {"Q": "Why 0?"},
            {"doi": "10.2/a", "Q&A": [{"Q": "How 1?", "A": "x"}]},
            {"doi": "10.2/a", "Q&A": [{"Q": "Why 2?", "A": "x"}, {"A": "x"}]},
            {"instruction": "Answer.", "input": "Why 3?", "output": "x"},
            {"question": "How 3?", "answer": "x"},
        ],
    )
    report, rows = build(tmp_path, make_records(4), benchmark=bench, test_size=0)
    assert report.benchmark == {"file": "bench.json", "questions": 5, "bad": 1}
    assert {row.question for row in rows if row.dropped_by == "in_benchmark"} == {
        "Why 0?",
        "How 1?",
        "Why 2?",
        "Why 3?",
        "How 3?",
    }
    assert any("bench.json, record 3: expected a question" in warning for warning in report.warnings)


def test_papers_that_train_shares_with_a_benchmark_are_named(tmp_path):
    records = [make_record(0, "Why 0?", "How 0?", "Where 0?"), *make_records(4)[1:]]
    bench = write(tmp_path / "bench.json", [{"Q": "Why 0?", "A": "x"}, {"Q": "Why 1?", "A": "x"}])
    report, _ = build(tmp_path, records, benchmark=bench, test_size=0)
    assert [
        warning
        for warning in report.warnings
        if warning.startswith("2 papers of train have a question") and "3 other pairs" in warning
    ]
    named = write(tmp_path / "named.json", [{"doi": "10.1/2", "Q&A": [{"Q": "What else?", "A": "x"}]}])
    report, _ = build(tmp_path, records, benchmark=named, test_size=0)
    assert [warning for warning in report.warnings if warning.startswith("1 papers of train") and "2 other" in warning]


def test_papers_that_a_later_build_moves_are_counted(tmp_path):
    build(tmp_path, make_records(6), test_size=1)
    report, _ = build(tmp_path, make_records(40), test_size=1)
    first, second = (
        split_papers([f"10.1/{n}" for n in range(count)], [FIELDS[n % 2] for n in range(count)], 1, 0)
        for count in (6, 40)
    )
    moved = sum(a != b for a, b in zip(first, second))
    assert moved and [warning for warning in report.warnings if f": {moved} from test to train" in warning]
    again, _ = build(tmp_path, make_records(40), test_size=1)
    assert not [warning for warning in again.warnings if "another split" in warning]


def test_an_evaluation_of_another_file_is_refused(tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    write_scores(folder, {("10.9/else", 0): {"accuracy": 3}})
    with pytest.raises(InputError, match="of another file"):
        build(tmp_path, make_records(4), evaluation_dir=folder)


def test_a_benchmark_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="bench.json: no such file"):
        build(tmp_path, make_records(4), benchmark=tmp_path / "bench.json")


# Files as they are


@pytest.mark.parametrize("first, second", [("10.1/1", "https://doi.org/10.1/1"), ("10.1000-A.json", "10.1000/a")])
def test_two_papers_with_one_doi(tmp_path, first, second):
    records = [make_record(1, "Why?", doi=first), make_record(3, "How?", "Who?"), make_record(3, "What?", doi=second)]
    report, rows = build(tmp_path, records, test_size=0)
    assert report.dropped == {"same_doi": 1} and report.num_bad == 0 and report.papers == 2
    assert (rows[3].split, rows[3].dropped_by, rows[3].question) == (None, "same_doi", "What?")
    assert any("record 3" in note and "same doi as record 1" in note for note in report.notes)


def test_one_title_on_both_sides_is_named(tmp_path):
    records = make_records(40)
    found = sides(records)
    first, second = (next(record for record in records if found[record["doi"]] == side) for side in ("train", "test"))
    first["title"], second["title"] = "On zinc", "on  ZINC"
    report, _ = build(tmp_path, records)
    [warning] = [line for line in report.warnings if "one title" in line]
    assert first["doi"] in warning and second["doi"] in warning


def test_a_category_with_one_paper_and_an_unknown_one(tmp_path):
    records = [
        make_record(0, "Why?"),
        make_record(2, "How?"),
        make_record(1, "Who?"),
        make_record(4, "What?", category="Energy and Fuel"),
    ]
    report, rows = build(tmp_path, records)
    assert (
        "categories with one paper, which stays in train, so that test has none: Energy & Fuels, no category"
        in report.warnings
    )
    assert any("'Energy and Fuel' (did you mean 'Energy & Fuels'?)" in note for note in report.notes)
    assert rows[3].category is None
    assert [(row.name, row.papers) for row in report.categories] == [
        ("Chemistry, Analytical", 2),
        ("Energy & Fuels", 1),
        ("no category", 1),
    ]


def test_an_empty_split(tmp_path):
    report, _ = build(tmp_path, make_records(4), test_size=0)
    assert "test: no paper was placed here, so the split is empty" in report.warnings
    assert report.splits["test"].kept == 0 and report.kept == 8


def test_a_list_of_pairs_without_papers(tmp_path):
    pairs = [{"Q": f"Why {number}?", "A": "x"} for number in range(50)] + [{"Q": "why 7", "A": "y"}]
    report, rows = build(tmp_path, pairs)
    assert rows[7].split == rows[50].split and report.dropped == {"duplicate": 1}
    assert 5 <= report.splits["test"].papers <= 25 and report.papers == 50
    assert any(note.startswith("records that name no paper: 50") for note in report.notes)


def test_bad_records_and_pairs_are_named_and_the_rest_goes_on(tmp_path):
    records = [7, make_record(1, "Why?", ""), {"doi": "10.1/x"}, make_record(3, "How?")]
    report, rows = build(tmp_path, records)
    assert [row.question for row in rows] == ["Why?", "How?"] and report.num_bad == 3
    assert [row.record for row in rows] == [1, 3]
    assert sum("qas.json, record" in note for note in report.notes) == 3
    assert not any(str(tmp_path) in note for note in report.notes)


def test_half_a_surrogate_pair_stops_nothing(tmp_path):
    records = [
        make_record(1, "Why?", journal="J\ud800", licence="L\ud800", category="C\ud800"),
        make_record(1, "W\ud800?", "How?"),
        make_record(3, "Who?", "W\ud800?"),
    ]
    (tmp_path / "qas.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    report = build_dataset(tmp_path / "qas.jsonl", tmp_path / "out", test_size=0)
    rows = read_rows(tmp_path / "out" / "pairs.parquet")
    assert [row.question for row in rows] == ["Why?", "W??", "How?", "Who?"]
    assert (rows[0].journal, rows[0].licence, rows[0].category) == ("J?", "L?", None)
    assert (report.kept, report.dropped, report.num_bad) == (2, {"same_doi": 2}, 1)


def test_a_file_without_a_pair(tmp_path):
    with pytest.raises(InputError, match="holds no pair to build from; .*record 1"):
        build(tmp_path, [{"doi": "10.1/x"}])
    assert list((tmp_path / "out").iterdir()) == []


def test_evidence_in_another_order_is_found(tmp_path):
    evidence = [
        {
            "doi": f"10.1/{number}",
            "pairs": [{"Q": f"Why {number}?", "A": f"Answer {number}.", "evidence": [{"text": f"E{number}"}]}],
        }
        for number in (2, 0, 1)
    ]
    write(tmp_path / "evidence.json", evidence)
    _, rows = build(tmp_path, make_records(4))
    assert [row.evidence for row in rows if row.pair == 0] == ["E0", "E1", "E2", None]


def test_the_report_as_a_frame(tmp_path):
    records = make_records(20) + [make_record(1, "Again?")]
    records[3]["Q&A"][0]["A"] = "As this study shows."
    rule = {"context_bound": "loose"}
    report, _ = build(tmp_path, records, train_filter=rule, test_filter=rule)
    frame, side = report.to_frame(), sides(records[:20])["10.1/3"]
    assert list(frame.index) == ["papers", "pairs asked", "- speaks of its paper", "pairs kept", "of papers"]
    assert frame.loc["pairs asked", ["train", "test"]].sum() == 40
    assert frame.loc["pairs kept", ["train", "test"]].sum() == 39
    assert frame.loc["- speaks of its paper", [side, f"applies to {side}"]].tolist() == [1, 1]


def test_the_card_is_told_what_was_done(tmp_path):
    report, _ = build(tmp_path, make_records(20), test_filter={"context_bound": "loose"}, seed=7)
    facts = report.make_card_facts("Mine", "cc-by-4.0")
    assert (facts.name, facts.licence, facts.source, facts.judge) == ("Mine", "cc-by-4.0", "qas.json", None)
    assert "test: not context-bound (loose)" in facts.filters and "seed 7" in facts.split


def test_counts_that_do_not_add_up_are_refused(tmp_path):
    report, _ = build(tmp_path, make_records(4))
    report.splits["train"].kept += 1
    with pytest.raises(RuntimeError, match="train: .* do not add up"):
        report.check_sums()


def test_released_papers(tmp_path):
    if not (SHARED / "select_25.json").exists():
        pytest.skip("needs ../shared/data/select_25.json")
    report = build_dataset(
        SHARED / "select_25.json",
        tmp_path,
        train_filter={"context_bound": "loose"},
        test_filter={"context_bound": "loose"},
        test_size=5,
        benchmark=SHARED / "test_qas_4000.json",
    )
    assert (report.papers, report.asked, report.dropped["context_bound"]) == (25, 250, 60)
    assert report.splits["test"].papers == 5 and report.categories[0].name == "Chemistry, Analytical"
    assert sum(report.matches["in_benchmark"].values()) > 50  # the released test set holds questions of these papers
