"""What a benchmark run says, on numbers computed by hand: tables, intervals, null baselines, verdicts, samples."""

import json
import math

import pandas
import pyarrow.parquet
import pytest

from sciqag_lib.benchmark.report import (
    PUBLISHED,
    PUBLISHED_COLUMNS,
    show_benchmark,
    write_benchmark,
)
from sciqag_lib.benchmark.tally import measure_dimension, pick_samples
from sciqag_lib.errors import InputError
from sciqag_lib.metrics.controls import judge_control, judge_measure
from sciqag_lib.metrics.intervals import NOTHING, Estimate
from sciqag_lib.tables import read_published
from sciqag_lib.tasks.questions import Question
from tests.benchmark_factory import FIELDS, asked, fact, judged, knows_all, make_records, reply_with, run_both, write
from tests.fake_encoder import make_embedder
from tests.fakes import FakeEngine


def half_known(request):
    """Facts 0 and 2 as they are, 1 and 3 with "about"."""
    if request.prompt.text:
        return "one two"
    n = asked(request)
    return fact(n) if n % 2 == 0 else fact(n).replace("is ", "is about ")


def table(tmp_path, out="out"):
    return pyarrow.parquet.read_table(tmp_path / out / "scores.parquet").to_pylist()


def question(n, doi="", category=""):
    return Question(f"id{n}", f"q{n}?", "ref", category, doi, "answer", {}, f"record {n}")


def measure(scored):
    rows = [
        {"group": each.group, "category": each.category, **{f"{arm}.accuracy": value for arm, value in scores.items()}}
        for each, scores in scored
    ]
    return measure_dimension(pandas.DataFrame(rows), "accuracy", {}, 0)


def estimate(low, high):
    return Estimate((low + high) / 2, low, high, 20)


def test_scores_land_in_the_table_and_the_means_are_right(tmp_path):
    """Accuracy of the four answers 5, 3, 5, 3: mean 4; by category 5 and 3; no answer always 1."""
    run_both(tmp_path, 4, half_known)
    report = write_benchmark(tmp_path / "out", make_embedder())
    accuracy = report.dimensions["accuracy"]
    assert accuracy.score.mean == 4.0 and accuracy.counts == [0, 0, 2, 0, 2]
    assert accuracy.questions == {"own": 4, "reference": 4, "other": 3, "empty": 4}
    assert accuracy.reference.mean == 5.0 and accuracy.missing == {}
    assert {name: each.mean for name, each in accuracy.categories.items()} == {FIELDS[0]: 5.0, FIELDS[1]: 3.0}
    assert accuracy.nulls["empty"].score.mean == 1.0 and accuracy.nulls["empty"].difference.mean == 3.0
    assert accuracy.nulls["empty"].reference_difference.mean == 4.0
    assert accuracy.nulls["empty"].verdict == accuracy.nulls["other"].verdict == "told apart" and report.useless == []
    assert report.categories == {FIELDS[1]: 2, FIELDS[0]: 2}
    rows = [row for row in table(tmp_path) if (row["arm"], row["dimension"]) == ("own", "accuracy")]
    assert [
        (row["question"], row["category"], row["scale"], row["score"], row["reasons"], row["attempts"]) for row in rows
    ] == [
        (f"What is fact {n}?", FIELDS[n % 2], "1-5", score, f"because {score}", 1)
        for n, score in enumerate((5, 3, 5, 3))
    ]
    f1 = report.dimensions["token_f1"]  # "fact 1 is about iron 10 k" of 7 words against 6: 2 * 6 / 13
    assert f1.score.mean == pytest.approx((1 + 12 / 13) / 2) and f1.scale == "0-1" and f1.counts == []
    assert set(f1.nulls) == {"other", "question"} and math.isnan(f1.reference.mean)
    # "what is fact 1" shares 3 of 4 and of 6 words: 2 * 3 / 10.
    assert f1.nulls["question"].score.mean == pytest.approx(0.6) and f1.nulls["question"].verdict == "above it"
    assert report.dimensions["embedding_similarity"].score.papers == 4 and report.encoder == "fake"
    assert len(rows) == 4 and len(table(tmp_path)) == 3 * 15 + 3 * (4 + 3 + 4)
    written = json.loads((tmp_path / "out" / "benchmark.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert written["dimensions"]["accuracy"]["nulls"]["empty"]["verdict"] == "told apart"
    assert len((tmp_path / "out" / "scores.csv").read_text().splitlines()) == len(table(tmp_path)) + 1


def test_a_judge_that_tells_nothing_apart_is_called_useless(tmp_path, capsys):
    run_both(tmp_path, 4, judge=lambda request: "one" if request.prompt.text else reply_with(4))
    report = write_benchmark(tmp_path / "out")
    assert report.useless == ["completeness", "accuracy", "reasonableness"] and report.sorted_by == "token F1"
    show_benchmark(report)
    shown = capsys.readouterr().out
    assert "USELESS on accuracy: " in shown and "Fewer than 10 questions" in shown


@pytest.mark.parametrize("nulls", [0, 1])
def test_a_judge_that_no_baseline_tries_is_called_unproven(tmp_path, capsys, nulls):
    run_both(tmp_path, 4, judge=lambda request: "one" if request.prompt.text else reply_with(5), null_questions=nulls)
    report = write_benchmark(tmp_path / "out")
    assert report.useless == [] and report.unproven == ["completeness", "accuracy", "reasonableness"]
    assert report.sorted_by == "token F1"
    show_benchmark(report)
    assert "UNPROVEN on accuracy: " in capsys.readouterr().out


def test_a_judge_that_says_nothing_sorts_no_samples(tmp_path):
    run_both(tmp_path, 4, judge=lambda request: "one" if request.prompt.text else "I would rather not.")
    report = write_benchmark(tmp_path / "out")
    assert report.sorted_by == "token F1" and len(report.samples["best"]) == 4


def test_answers_no_better_than_a_baseline_do_not_make_the_judge_useless(tmp_path, capsys):
    """Every answer is nonsense: own and other have 1; but the judge gives the references 5."""
    run_both(tmp_path, 4, lambda request: "one" if request.prompt.text else f"Nonsense {asked(request)}.")
    report = write_benchmark(tmp_path / "out")
    assert report.useless == [] and report.dimensions["accuracy"].nulls["other"].verdict.startswith("no better")
    show_benchmark(report)
    assert "USELESS" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "own, reference, verdict",
    [
        (estimate(0.1, 0.9), NOTHING, "told apart"),
        (estimate(0.0, 0.9), NOTHING, "useless: not told apart"),
        (
            estimate(-0.2, 0.1),
            estimate(0.5, 1),
            "no better: the judge tells the reference answers apart from it, but not these",
        ),
        (estimate(-0.2, 0.1), estimate(-0.1, 1), "useless: not told apart"),
        (estimate(-0.5, -0.1), NOTHING, "useless: the worse ones get more"),
        (NOTHING, NOTHING, "undecided"),
    ],
)
def test_the_verdict_on_a_judge_is_the_intervals(own, reference, verdict):
    assert judge_control(own, reference) == verdict


@pytest.mark.parametrize(
    "own, verdict",
    [
        (estimate(0.1, 1), "above it"),
        (estimate(0.0, 1), "not above it"),
        (estimate(-2, -1), "not above it"),
        (NOTHING, "undecided"),
    ],
)
def test_the_verdict_on_a_measure(own, verdict):
    assert judge_measure(own) == verdict


def test_questions_about_one_paper_are_resampled_together():
    """Ten questions, five of each of two papers, 5 and 1: over papers the interval is the whole way."""
    scores = [{"own": 5.0 if n < 5 else 1.0} for n in range(10)]
    dois = ["10.1/a" if n < 5 else "10.1/b" for n in range(10)]
    score = measure(zip(map(question, range(10), dois), scores)).score
    assert (score.mean, score.low, score.high, score.papers) == (3.0, 1.0, 5.0, 2)
    score = measure(zip(map(question, range(10)), scores)).score
    assert score.papers == 10 and 1.0 < score.low < 3.0 < score.high < 5.0


def test_differences_are_paired_and_gaps_left_out():
    """Own 5, 4, missing; no answer 1, missing, 1: the only pair has 4."""
    scored = [
        (question(0, category="c"), {"own": 5.0, "empty": 1.0}),
        (question(1, category="c"), {"own": 4.0}),
        (question(2, category="d"), {"own": None, "empty": 1.0}),
    ]
    result = measure(scored)
    assert result.score.mean == 4.5 and result.questions == {"own": 2, "empty": 2} and result.counts == [0, 0, 0, 1, 1]
    assert result.nulls["empty"].difference.mean == 4.0 and result.nulls["empty"].verdict == "undecided"
    assert result.nulls["empty"].score.mean == 1.0 and set(result.categories) == {"c"} and "other" not in result.nulls


def test_the_interval_is_scipys_bootstrap():
    import numpy as np
    from scipy.stats import bootstrap

    values = np.random.default_rng(0).integers(1, 6, 200).astype(float)
    scored = [(question(n), {"own": value}) for n, value in enumerate(values)]
    expected = bootstrap((values,), np.mean, n_resamples=9999, method="percentile", rng=1).confidence_interval
    score = measure(scored).score
    assert score.low == pytest.approx(expected.low, abs=0.03) and score.high == pytest.approx(expected.high, abs=0.03)


def test_scores_that_could_not_be_read_are_counted(tmp_path, capsys):
    def judge(request):
        wanted = "accuracy", {"question": "What is fact 1?", "answer": fact(1)}
        if not request.prompt.text and judged(request) == wanted:
            return "no idea"
        return "one" if request.prompt.text else reply_with(5)

    run_both(tmp_path, 3, judge=judge, null_questions=0)
    report = write_benchmark(tmp_path / "out")
    accuracy = report.dimensions["accuracy"]
    assert accuracy.missing == {"unreadable": 1} and accuracy.questions == {"own": 2}
    [row] = [row for row in table(tmp_path) if row["missing"]]
    assert (row["score"], row["missing"], row["attempts"]) == (None, "unreadable", 3)
    show_benchmark(report)
    assert "accuracy: scores that could not be read: 1 unreadable" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "benchmark.json").read_text())["dimensions"]["accuracy"]["nulls"] == {}


def test_questions_without_reference_are_judged_and_not_measured(tmp_path):
    records = [{**record, "A": ""} for record in make_records(3)]
    run_both(tmp_path, records=records)
    report = write_benchmark(tmp_path / "out")
    assert report.dimensions["accuracy"].questions["own"] == 3 and "token_f1" not in report.dimensions
    assert {row["arm"] for row in table(tmp_path)} == {"own", "other", "empty"}
    assert report.test_file["without_reference"] == 3


def test_without_a_judge_there_are_the_measures(tmp_path, capsys):
    from sciqag_lib.benchmark.answers import answer_file, make_answering

    path = write(tmp_path / "test.json", make_records(3))
    answer_file(path, tmp_path / "out", FakeEngine(knows_all), make_answering())
    report = write_benchmark(tmp_path / "out")
    assert list(report.dimensions) == ["token_f1", "rouge_l"] and report.judge == ""
    show_benchmark(report)
    assert "judged by" not in capsys.readouterr().out
    assert list(report.to_frame()) == ["answers", "token F1", "ROUGE-L", "questions"]
    assert report.list_categories()["category"].tolist() == [FIELDS[1], FIELDS[0]]
    assert list(report.list_categories()) == ["category", "questions", "token F1", "ROUGE-L"]
    with pytest.raises(InputError, match="answer the questions first"):
        write_benchmark(tmp_path / "nothing")


def test_judgements_of_other_answers_are_not_used(tmp_path):
    run_both(tmp_path, 2)
    (tmp_path / "out" / "answers.ledger.jsonl").unlink()
    from sciqag_lib.benchmark.answers import answer_file, make_answering

    answer_file(tmp_path / "test.json", tmp_path / "out", FakeEngine(lambda request: "New."), make_answering())
    report = write_benchmark(tmp_path / "out")
    assert "accuracy" not in report.dimensions and "another answer than this one was judged" in report.notes[0]


def test_a_report_after_a_killed_judge_still_names_it(tmp_path):
    run_both(tmp_path, 2)
    (tmp_path / "out" / "judging_report.json").unlink()
    assert write_benchmark(tmp_path / "out").judge == "fake fake-model"


def test_the_same_folder_gives_the_same_files(tmp_path):
    run_both(tmp_path, 4, half_known)
    write_benchmark(tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    write_benchmark(tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


# Beside what is published --------------------------------------------------------------------------------------------


def test_the_published_rows_are_those_of_the_paper():
    """SciQAG-24D, zero-shot (arXiv 2405.09939v2)."""
    names = ("completeness", "accuracy", "reasonableness")
    rows = {row["model"]: row for row in read_published(PUBLISHED, PUBLISHED_COLUMNS)}
    assert len(rows) == 6
    assert [rows["LLaMA1-7B"][name] for name in names] == [2.7813, 2.9625, 3.2917]
    assert [rows["GPT-3.5"][name] for name in names] == [4.8708, 4.9333, 4.9895]
    assert all(row["questions"] == 480 and row["source"] == "arXiv 2405.09939v2" for row in rows.values())


def test_the_tables_keep_published_rows_apart(tmp_path, capsys):
    run_both(tmp_path, 12)
    report = write_benchmark(tmp_path / "out")
    show_benchmark(report)
    shown = capsys.readouterr().out
    assert "12 of 12 questions answered" in shown and "judged by fake fake-model, 20" in shown and "GPT" not in shown
    assert "Fewer than" not in shown
    frame = report.to_frame().set_index("answers")
    nulls, published = report.list_nulls().set_index("score"), report.list_published().set_index("model")
    arms = ["this run", "the reference answers", "another question's answer", "no answer", "the question as its answer"]
    assert list(frame.index) == arms and list(frame)[2:4] == ["reasonableness", "token F1"]
    assert frame.loc["this run"].tolist() == ["5.000 (5.000 to 5.000)"] * 3 + ["1.000 (1.000 to 1.000)"] * 2 + ["12"]
    assert frame.loc["no answer"].tolist() == ["1.000 (1.000 to 1.000)"] * 3 + ["-"] * 2 + ["12"]
    assert frame.loc["another question's answer", "questions"] == "11"
    assert nulls.loc["accuracy", "less that of"].tolist() == ["another question's answer", "no answer"]
    assert nulls.loc["accuracy"].iloc[1].tolist()[1:] == ["4.000 (4.000 to 4.000)", "told apart"]
    assert len(published) == 6 and set(published["questions"]) == {480} and set(published["date"]) == {"2024-07"}
    assert published.loc["GPT-3.5", "accuracy"] == 4.9333


def test_a_published_file_without_a_number_is_refused(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("model,completeness,accuracy,reasonableness,questions\nx,1,2,,480\n")
    with pytest.raises(InputError, match="expected the columns model"):
        read_published(path, PUBLISHED_COLUMNS)


# Samples -------------------------------------------------------------------------------------------------------------


def test_best_and_worst_are_shown_with_reasons(tmp_path):
    run_both(tmp_path, 12, half_known)
    report = write_benchmark(tmp_path / "out")
    assert report.sorted_by == "the judge's mean score" and len(report.samples["best"]) == 10
    assert report.samples["best"][0]["Q"] == "What is fact 0?" and report.samples["worst"][0]["Q"] == "What is fact 1?"
    best, worst = report.list_samples(1).to_dict("records")
    assert (best["by the judge's mean score"], best["question"]) == ("best", "What is fact 0?")
    assert (worst["answer"], worst["reference"]) == ("Fact 1 is about iron 10 K.", "Fact 1 is iron 10 K.")
    assert "accuracy: 3 because 3; " in worst["scores and reasons"]


def test_the_first_of_equals_is_shown_and_what_has_no_value_is_not():
    values = pandas.Series([math.nan, *[1.0] * 24, *[2.0] * 5])
    samples = pick_samples(values, [{"n": n} for n in range(30)])
    assert [sample["n"] for sample in samples["best"]] == [25, 26, 27, 28, 29, 1, 2, 3, 4, 5]
    assert [sample["n"] for sample in samples["worst"]] == list(range(1, 11))
