"""Before against after: every number against a hand count or scikit-learn, verdicts, null baselines, what is shown."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from sciqag_lib.downstream.evaluation import Settings
from sciqag_lib.downstream.figures import draw_comparison, draw_published
from sciqag_lib.downstream.run import (
    PUBLISHED,
    PUBLISHED_COLUMNS,
    compare_models,
    find_published,
    tabulate_samples,
    tabulate_tasks,
)
from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.figure_style import save_figure
from sciqag_lib.metrics.controls import FEW_GROUPS
from sciqag_lib.tables import read_published
from sciqag_lib.tasks.evaluation import (
    average_ratios,
    estimate_sides,
    find_unreadable,
    score_task,
    summarize,
)
from sciqag_lib.tasks.likelihoods import CHOICE, QUESTIONS
from sciqag_lib.tasks.short_answers import CLASSIFICATION, REGRESSION, count_f1, guess_classes
from sciqag_lib.tasks.task import Row, Task

MODELS = {"before": "base", "after": "trained"}


def make_questions(number: int = 12) -> Task:
    rows = [Row(f"record {n}", f"Why {n}?", f"red blue {n}", group=f"g{n}") for n in range(number)]
    return Task("held-out", QUESTIONS, rows)


def make_choices(number: int = 12) -> Task:
    choices = ("a", "b", "cc", "dd")
    rows = [Row(f"record {n}", f"Which {n}?", "dd", choices=choices, group=str(n)) for n in range(number)]
    return Task("SciQ", CHOICE, rows)


def make_classes(truth: str, train: str = "yyn") -> Task:
    names = {"y": "yes", "n": "no"}
    rows = [Row(f"record {n}", f"x{n}", names[letter], "Is it?", group=str(n)) for n, letter in enumerate(truth)]
    known = [Row(f"train {n}", f"t{n}", names[letter], "Is it?", group=str(n)) for n, letter in enumerate(train)]
    return Task("metal", CLASSIFICATION, rows, known)


def make_numbers(truth: list[float], train: list[float]) -> Task:
    rows, known = (
        [
            Row(f"{name} {n}", f"x{n}", str(value), "How much?", group=str(n), value=value, shown=str(value))
            for n, value in enumerate(values)
        ]
        for name, values in (("record", truth), ("train", train))
    )
    return Task("Steels", REGRESSION, rows, known)


def reply(task: Task, texts: Any) -> dict[str, dict[str, Any]]:
    return {row.row_id: {"reply": text} for row, text in zip(task.test, texts)}


def compare(tmp_path: Path, *found: tuple[Task, Any, Any], **options: Any) -> Any:
    sides = {side: {each[0].name: each[place] for each in found} for place, side in enumerate(MODELS, start=1)}
    return compare_models([task for task, _, _ in found], sides, MODELS, Settings(), tmp_path, **options)


# Measures ------------------------------------------------------------------------------------------------------------


def test_likelihoods_are_nats_a_token_and_what_the_question_saves(tmp_path: Path) -> None:
    task = make_questions()
    before = {row.row_id: {"tokens": 4, "nll": 8.0 + n, "nll_other": 10.0 + n} for n, row in enumerate(task.test)}
    after = {row.row_id: {"tokens": 4, "nll": 6.0 + n, "nll_other": 9.0 + n} for n, row in enumerate(task.test)}
    after["record 11"] = {"reason": "it is too long"}
    before["record 10"]["nll_other"] = None  # the model gave no number
    nats, saved = compare(tmp_path, (task, before, after)).results
    assert (nats.measure, nats.rows, nats.higher_is_better) == ("nats a token", 11, False)
    assert nats.before.mean == pytest.approx((8 + 5) / 4) and nats.after.mean == pytest.approx((6 + 5) / 4)  # n = 0-10
    assert nats.difference.mean == nats.difference.low == nats.difference.high == -0.5
    assert nats.verdict == "after is better"
    assert nats.nulls["the same behind another question, after"] == pytest.approx((9 + 5) / 4) and not nats.standing
    assert (saved.rows, saved.before.mean, saved.after.mean) == (10, 0.5, 0.75)
    assert saved.standing == dict.fromkeys(MODELS, "better than no use of the question")


def test_the_same_gain_behind_any_question_is_no_use_of_the_question(tmp_path: Path) -> None:
    task = make_questions()
    before = {row.row_id: {"tokens": 2, "nll": 8.0, "nll_other": 8.0 + (-1) ** n} for n, row in enumerate(task.test)}
    after = {
        row_id: {key: value - 2 * (key != "tokens") for key, value in line.items()} for row_id, line in before.items()
    }
    nats, saved = compare(tmp_path, (task, before, after)).results
    assert nats.verdict == "after is better" and saved.verdict == "no difference can be told at this size (12 rows)"
    assert saved.standing["after"] == "not told from no use of the question"


def test_answers_are_held_against_the_reference(tmp_path: Path) -> None:
    task = make_questions(3)
    found = {row.row_id: {"answer": text} for row, text in zip(task.test, ("red blue 0", "red", ""))}
    f1, rouge = compare(tmp_path, (task, {}, found)).results
    assert (f1.measure, f1.rows, rouge.measure) == ("token F1", 0, "ROUGE-L") and math.isnan(f1.before.mean)
    f1, _ = compare(tmp_path, (task, found, found)).results
    assert f1.before.mean == pytest.approx((1 + 0.5 + 0) / 3)  # 2 * 1 / (3 + 1)
    assert f1.nulls["another question's reference"] == pytest.approx(2 / 3)
    assert f1.nulls["the question as its answer"] == pytest.approx(2 / 5)
    assert f1.verdict == "nothing can be told from 3 rows"


def test_accuracy_beside_chance_and_the_longest_choice(tmp_path: Path) -> None:
    task = make_choices(20)
    before, after = (
        {row.row_id: {"correct": float(n % step == 0)} for n, row in enumerate(task.test)} for step in (2, 1)
    )
    [result] = compare(tmp_path, (task, before, after)).results
    assert (result.before.mean, result.after.mean, result.difference.mean) == (0.5, 1.0, 0.5)
    assert result.nulls == {"a random choice": 0.25, "the longest choice": 0.5}  # dd, or as long: cc
    assert result.verdict == "after is better" and result.standing["before"] == "not told from the longest choice"


def test_f1_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    truth, labels = generator.choice(["a", "b", "c"], 50), generator.choice(["a", "b", "c", ""], 50)
    weights = generator.integers(0, 3, (20, 50)).astype(float)
    expected = [f1_score(truth, labels, labels=["a", "b", "c"], average="macro", sample_weight=row, zero_division=0)
                for row in weights]  # fmt: skip
    task = Task("f1", CLASSIFICATION, [Row(f"record {n}", "x", name) for n, name in enumerate(truth)])
    assert average_ratios(count_f1(task, [name or None for name in labels]), weights) == pytest.approx(expected)


def test_classes_and_unreadable_replies(tmp_path: Path) -> None:
    task = make_classes("yyyyyynnnnnn")
    before = reply(task, ["No"] * 12)
    after = reply(task, ["Yes, it is", "maybe", *["yes"] * 4, *["no"] * 5])  # and the last has none
    [result] = compare(tmp_path, (task, before, after)).results
    # before: no is 2 * 6 / (12 + 6), yes 0. after: each class finds 5 of its 6 and claims 5: 2 * 5 / 11.
    assert result.before.mean == pytest.approx((2 / 3) / 2) and result.after.mean == pytest.approx(10 / 11)
    assert result.unreadable == {"before": [], "after": ["record 1", "record 11"]}
    assert result.verdict == "after is better" and result.standing["before"] != result.standing["after"]
    assert result.nulls['always "yes"'] == pytest.approx((2 / 3) / 2)
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    assert list(rows.columns) == [
        "task",
        "kind",
        "row",
        "measure",
        "before",
        "after",
        "reference",
        "reply_before",
        "reply_after",
    ]
    assert rows["after"].tolist() == [1, 0, *[1] * 9, 0] and rows["measure"].unique() == ["correct"]
    assert rows["reply_after"].tolist()[:2] == ["Yes, it is", "maybe"]


def test_the_null_of_drawn_classes() -> None:
    # Of two equal classes, drawn evenly, each is right half the time: its F1 is about one half.
    task = make_classes("yn" * 200, "yn")
    drawn = guess_classes(task, {})["classes drawn as in train"]
    values = [summarize(task, CLASSIFICATION.measures[0], labels) for labels in drawn]
    assert len(values) == 1000 and np.mean(values) == pytest.approx(0.5, abs=0.01)


def test_errors_and_unreadable_replies(tmp_path: Path) -> None:
    task = make_numbers([10.0] * 12, [1.0, 2.0, 9.0])
    before, after = reply(task, ["7"] * 11 + ["what?"]), reply(task, ["10.5 MPa"] * 12)
    [result] = compare(tmp_path, (task, before, after)).results
    assert result.before.mean == pytest.approx((11 * 3 + 8) / 12)  # the median of train, 2, is 8 away
    assert result.after.mean == 0.5 and result.unreadable["before"] == ["record 11"]
    assert result.nulls == {"the mean of train": 6.0, "the median of train": 8.0}
    assert result.verdict == "after is better" and result.standing["after"] == "better than the mean of train"
    assert find_unreadable(task, {}) == [row.row_id for row in task.test]


# Intervals and verdicts ----------------------------------------------------------------------------------------------


def estimate(task: Task, *sides: Any) -> Any:
    [scores] = score_task(task, dict(enumerate(sides)))
    return estimate_sides(task, scores)[1]


def test_rows_of_a_paper_are_drawn_together() -> None:
    task = make_choices(40)
    found = {row.row_id: {"correct": n // 4 % 2} for n, row in enumerate(task.test)}
    [alone] = estimate(task, found)
    rows = [dataclasses.replace(row, group=str(n // 4)) for n, row in enumerate(task.test)]
    [together] = estimate(dataclasses.replace(task, test=rows), found)
    assert alone.mean == together.mean == 0.5 and (alone.papers, together.papers) == (40, 10)
    assert alone.high - alone.low < 0.75 * (together.high - together.low)


def test_the_difference_of_f1_is_paired() -> None:
    task = make_classes("yn" * 30)
    right = reply(task, [row.answer for row in task.test])
    third = reply(task, [row.answer if n % 3 else "?" for n, row in enumerate(task.test)])  # a third is wrong
    first, second, difference = estimate(task, third, third)
    assert first == second and (difference.mean, difference.low, difference.high) == (0, 0, 0)
    first, second, difference = estimate(task, third, right)
    assert second.mean == 1 and second.low == second.high == 1 and difference.low > 0
    assert difference.mean == pytest.approx(1 - first.mean) and first.low < first.mean < first.high


def test_verdicts(tmp_path: Path) -> None:
    task = make_choices()
    right, wrong = ({row.row_id: {"correct": value} for row in task.test} for value in (1.0, 0.0))
    mixed = {row.row_id: {"correct": float(n % 2)} for n, row in enumerate(task.test)}
    turned = {row.row_id: {"correct": float(n % 2 == 0)} for n, row in enumerate(task.test)}
    for before, after, verdict in [(right, wrong, "before is better"), (wrong, right, "after is better"),
                                   (mixed, turned, "no difference can be told at this size (12 rows)"),
                                   (right, right, "no difference can be told at this size (12 rows)")]:  # fmt: skip
        assert compare(tmp_path, (task, before, after)).results[0].verdict == verdict
    few = make_choices(FEW_GROUPS - 1)
    few_right, few_wrong = ({row.row_id: {"correct": value} for row in few.test} for value in (1.0, 0.0))
    result = compare(tmp_path, (few, few_wrong, few_right)).results[0]
    assert result.verdict == "nothing can be told from 9 rows"
    assert result.standing["after"] == "not told from the longest choice"


def test_few_papers_are_few_however_many_rows_they_have(tmp_path: Path) -> None:
    task = make_questions(12)
    rows = [dataclasses.replace(row, group=str(n % 2)) for n, row in enumerate(task.test)]
    task = dataclasses.replace(task, test=rows)
    before, after = ({row.row_id: {"tokens": 1, "nll": value} for row in task.test} for value in (2.0, 1.0))
    [result] = compare(tmp_path, (task, before, after)).results
    assert result.rows == 12 and result.verdict == "nothing can be told from 2 papers"


def test_a_task_that_was_not_measured_has_no_result() -> None:
    assert score_task(make_choices(), {"before": {}, "after": {}}) == []
    assert score_task(make_questions(), {"before": {}, "after": {}}) == []


# Published, shown, written -------------------------------------------------------------------------------------------


def test_published_rows(tmp_path: Path) -> None:
    rows = read_published(PUBLISHED, PUBLISHED_COLUMNS)
    assert {row["task"]: (row["before"], row["after"]) for row in rows}["Steels"] == (463.959, 185.316)
    assert {kind: sum(row["kind"] == kind for row in rows) for kind in ("choice", "classification", "regression")} \
        == {"choice": 1, "classification": 4, "regression": 5}  # fmt: skip
    (tmp_path / "p.csv").write_text("task,kind,measure,before,after,source\nSciQ,choice,accuracy,high,0.9,x\n")
    with pytest.raises(InputError, match="p.csv: expected the columns task, kind"):
        read_published(tmp_path / "p.csv", PUBLISHED_COLUMNS)


def make_report(tmp_path: Path) -> tuple[Any, list[Task], Any]:
    questions, choices = make_questions(), make_choices()
    classes, numbers = make_classes("yn" * 6), make_numbers([1.0] * 12, [3.0])
    choices = dataclasses.replace(choices, bad=[BadRecord("c.json", "record 40", "distractor1", "it is missing")])
    found: dict[str, dict[str, Any]] = {}
    for side, gain in (("before", 0.0), ("after", 0.5)):
        found[side] = {
            "held-out": {row.row_id: {"tokens": 2, "nll": 3.0 - gain, "nll_other": 4.0, "answer": "red"}
                         for row in questions.test},
            "SciQ": {row.row_id: {"correct": float(n % 2)} for n, row in enumerate(choices.test)},
            "metal": reply(classes, ["Yes"] * 12), "Steels": reply(numbers, ["2", "oh"] * 6)}  # fmt: skip
    found["after"]["held-out"]["record 3"] = {"reason": "it is too long"}
    tasks = [questions, choices, classes, numbers]
    return compare_models(tasks, found, MODELS, Settings(), tmp_path, ["task 9 is left out: no file"]), tasks, found


def test_the_report_is_shown_beside_what_is_published(tmp_path: Path) -> None:
    report, tasks, found = make_report(tmp_path)
    shown = tabulate_tasks(tasks)
    assert list(shown.loc["SciQ"]) == ["choice", 0, 12, 1, ""] and shown.loc["metal", "classes"] == {"no": 6, "yes": 6}
    frame = report.to_frame()
    assert frame.loc[("metal", "macro F1"), "unreadable"] == "before: 0, after: 0"
    assert frame.loc[("Steels", "mean absolute error"), "unreadable"] == "before: 6, after: 6"
    assert frame.loc[("SciQ", "accuracy"), "published"] == "accuracy 0.895 -> 0.904"
    assert frame.loc[("Steels", "mean absolute error"), "published"] == "MAE 463.959 -> 185.316"
    assert frame.loc[("SciQ", "accuracy"), "nulls"] == "a random choice: 0.250, the longest choice: 0.500"
    assert "0.500 (0.250 to 0.750)" in frame.to_html() and "nothing" not in frame.to_html()
    assert report.notes == ["task 9 is left out: no file", "held-out, after: record 3: it is too long",
                            "c.json, record 40, field 'distractor1': it is missing"]  # fmt: skip
    samples = tabulate_samples(tasks, found, 1)
    assert list(samples.index) == [("held-out", "record 0"), ("metal", "record 0"), ("Steels", "record 0")]
    assert list(samples.loc[("metal", "record 0")]) == ["Is it? x0", "yes", "Yes", "Yes"]
    named = {result.task: len(find_published(report, result)) for result in report.results}
    assert named == {"held-out": 0, "SciQ": 1, "metal": 0, "Steels": 1}
    assert find_published(report, dataclasses.replace(report.results[4], kind="regression")) == []
    written = json.loads((tmp_path / "downstream.json").read_text(encoding="utf-8"))
    assert written["bad"] == {"held-out": 0, "SciQ": 1, "metal": 0, "Steels": 0} and len(written["results"]) == 7
    assert written["results"][0]["difference"]["mean"] == -0.25 and written["settings"]["prompt_form"] == "alpaca"


def test_a_figure_shows_every_result_and_its_nulls(tmp_path: Path) -> None:
    report, _, _ = make_report(tmp_path)
    figure = draw_comparison(report)
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_xlabel().partition(" (")[0] for axes in panels] == [result.measure for result in report.results]
    dots = [line.get_xdata()[0] for line in panels[0].lines if line.get_marker() == "o"]
    assert dots == [report.results[0].before.mean, report.results[0].after.mean]
    nulls = [text.get_text() for text in panels[4].get_legend().get_texts()]
    assert nulls[0] == "a random choice 0.25" and "after is better" in panels[0].get_title()
    save_figure(figure, tmp_path, "both")
    assert (tmp_path / "both.png").stat().st_size > 20_000
    report.results = []
    empty = draw_comparison(report)
    assert "nothing was measured" in "".join(text.get_text() for text in empty.texts)
    plt.close("all")


def test_published_rows_have_a_figure_of_their_own() -> None:
    figure = draw_published(read_published(PUBLISHED, PUBLISHED_COLUMNS))
    left, right = figure.axes
    assert [len(axes.get_yticks()) for axes in (left, right)] == [5, 5]
    assert right.lines[3].get_xdata()[0] == pytest.approx(185.316 / 463.959)
    plt.close(figure)
