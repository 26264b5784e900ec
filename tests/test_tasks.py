"""Tasks: files that are read or refused and named, replies read strictly, and what a new kind of task needs."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeEngine

from sciqag_lib.engines import Completion, EngineError
from sciqag_lib.errors import InputError
from sciqag_lib.inference.loop import Budget, run_job
from sciqag_lib.inference.prompts import load_prompt
from sciqag_lib.paths import REPO_ROOT
from sciqag_lib.tasks.evaluation import RowJob, estimate_sides, find_unreadable, score_task
from sciqag_lib.tasks.kinds import KINDS, read_task, read_tasks
from sciqag_lib.tasks.short_answers import read_class, read_label, read_number
from sciqag_lib.tasks.task import Kind, Measure, Row, Task, read_rows

DATA = REPO_ROOT / "data" / "downstream"
CHOICE = {"question": "Which gas?", "distractor1": "neon", "distractor2": "argon", "distractor3": "xenon",
          "correct_answer": "oxygen", "support": ""}  # fmt: skip


def write(path: Path, records: list[Any]) -> Path:
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def make_table(name: str, output: str, **changes: Any) -> dict[str, Any]:
    return {"instruction": "What is it?", "input": name, "output": output, **changes}


@pytest.fixture()
def trained(tmp_path: Path) -> Path:
    return write(tmp_path / "train.json", [{"instruction": "Answer.", "input": "Why red?", "output": "Rust."}])


def read(tmp_path: Path, kind: str, records: list[Any], **options: Any) -> Any:
    return read_task("t", KINDS[kind], write(tmp_path / "task.json", records), **options)


# Files ---------------------------------------------------------------------------------------------------------------


def test_questions_without_an_answer_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    task = read(tmp_path, "questions", [{"Q": "Why a?", "A": "Because."}, {"Q": "Why b?"}, {"Q": "Why c?", "A": "  "},
                                        {"Q": "Why d?", "A": 5}, {"A": "x"}, {"Q": "why  A?", "A": "Again."},
                                        {"Q": "Why e?", "A": "So.", "doi": "10.1/X"}])  # fmt: skip
    assert [(row.row_id, row.question, row.answer) for row in task.test] \
        == [("record 1", "Why a?", "Because."), ("record 7", "Why e?", "So.")]  # fmt: skip
    assert [(bad.record, bad.field) for bad in task.bad] == [
        ("record 2", "A"),
        ("record 3", "A"),
        ("record 4", "A"),
        ("record 5", "Q"),
        ("record 6", ""),
    ]
    assert "record 1" in task.bad[-1].message and task.test[1].group == "10.1/x"


def test_a_question_of_the_training_data_is_no_test_question(tmp_path: Path, trained: Path) -> None:
    path = write(tmp_path / "test.json", [{"Q": "why RED?", "A": "Rust."}, {"Q": "Why blue?", "A": "Sky."}])
    choice = write(tmp_path / "choice.json", [{**CHOICE, "question": "Why red?"}, CHOICE])
    tasks, notes = read_tasks([{"name": "q", "kind": "questions", "path": str(path)},
                               {"name": "c", "kind": "choice", "path": str(choice)}], trained)  # fmt: skip
    for task in tasks:
        assert len(task.test) == 1 and "also in the training data" in str(task.bad[0]) and not notes


def test_a_missing_choice_is_named(tmp_path: Path) -> None:
    rows = [CHOICE, {key: value for key, value in CHOICE.items() if key != "distractor2"}, {**CHOICE, "support": 3},
            {**CHOICE, "question": "Other?", "distractor1": "Oxygen"},
            {**CHOICE, "question": "No?", "correct_answer": " "}, {**CHOICE, "question": "Third?", "support": None},
            "text", CHOICE, {**CHOICE, "distractor1": "helium"}]  # fmt: skip
    task = read(tmp_path, "choice", rows)
    assert [row.question for row in task.test] == ["Which gas?", "Third?", "Which gas?"]  # of the last, other choices
    assert task.test[0].choices == ("neon", "argon", "xenon", "oxygen") and task.test[0].answer == "oxygen"
    assert [(bad.record, bad.field) for bad in task.bad] == [
        ("record 2", "distractor2"), ("record 3", "support"), ("record 4", ""), ("record 5", "correct_answer"),
        ("record 7", ""), ("record 8", "")]  # fmt: skip
    assert "four different choices" in task.bad[2].message and "record 1 again" in task.bad[-1].message


def test_tables_are_split_and_their_answers_read(tmp_path: Path) -> None:
    rows = [make_table("zinc", "Yes, zinc is.", split="train"), make_table("neon", "No", split="test"),
            make_table("iron", " YES ", split="test"), make_table("lead", "", split="test"),
            make_table("tin", "It is by no means clear to anybody whether it is", split="test"),
            make_table("gold", "Yes", split="dev"), make_table("copper", None)]  # fmt: skip
    task = read(tmp_path, "classification", rows)
    assert [(row.question, row.answer) for row in task.train] == [("zinc", "yes")] and task.classes == ["no", "yes"]
    assert [(row.question, row.answer, row.shown) for row in task.test] \
        == [("neon", "no", "No"), ("iron", "yes", "YES")]  # fmt: skip
    assert [(bad.record, bad.field) for bad in task.bad] == [
        ("record 4", "output"),
        ("record 5", "output"),
        ("record 6", "split"),
        ("record 7", "output"),
    ]


def test_a_regression_answer_needs_one_number(tmp_path: Path) -> None:
    rows = [make_table("a", "1.5 eV", split="train"), make_table("b", "-39", split="test"),
            make_table("c", "none", split="test"), make_table("d", "1 or 2", split="test")]  # fmt: skip
    task = read(tmp_path, "regression", rows)
    assert [row.value for row in task.train] == [1.5] and [row.value for row in task.test] == [-39.0]
    assert [bad.record for bad in task.bad] == ["record 3", "record 4"]


def test_an_input_of_train_is_not_in_test_and_case_counts(tmp_path: Path) -> None:
    rows = [make_table("Co", "1", split="train"), make_table("CO", "2", split="test"),
            make_table("Co", "1", instruction="Say it.", split="test"),
            make_table("Co", "1", split="test")]  # fmt: skip
    task = read(tmp_path, "regression", rows)
    assert [row.question for row in task.test] == ["CO"] and len(task.train) == 1
    assert sorted((bad.record, bad.message[:20]) for bad in task.bad) \
        == [("record 3", "it is also that of r"), ("record 4", "the question of reco")]  # fmt: skip


def test_rows_without_a_split_are_split_by_their_input_alone(tmp_path: Path) -> None:
    rows = [make_table(f"x{number}", str(number)) for number in range(200)]
    again = [{**row, "instruction": "Say what it is.", "output": "7"} for row in rows]
    first, second = read(tmp_path, "regression", rows), read(tmp_path, "regression", rows[::-1] + again)
    assert 20 < len(first.test) < 60 and len(first.test) + len(first.train) == 200
    other = read(tmp_path, "regression", rows, seed=1)
    in_test = [{row.question for row in task.test} for task in (first, second, other)]
    assert in_test[0] == in_test[1] != in_test[2]


def test_what_is_no_task_is_noted_and_the_rest_goes_on(tmp_path: Path, trained: Path) -> None:
    good = {"name": "c", "kind": "choice", "path": str(write(tmp_path / "choice.json", [CHOICE]))}
    classes = [make_table(f"x{n}", f"class{n}", split=("train", "test")[n % 2]) for n in range(30)]
    many = write(tmp_path / "many.json", classes)
    only_test = write(tmp_path / "one.json", [make_table("x", "1", split="test")])
    (tmp_path / "table.csv").write_text("question,answer\n1,2\n")
    specs = [good, {**good, "kind": "essay"}, good, {"name": "x"},
             {**good, "name": "gone", "path": str(tmp_path / "gone.json")},
             {**good, "name": "other", "path": str(trained)},
             {**good, "name": "csv", "path": str(tmp_path / "table.csv")},
             {"name": "many", "kind": "classification", "path": str(many)},
             {"name": "one", "kind": "regression", "path": str(only_test)}]  # fmt: skip
    tasks, notes = read_tasks(specs, trained)
    assert [task.name for task in tasks] == ["c"]
    expected = ["kind: expected one of questions, choice, classification, regression, found 'essay'", "name is taken",
                'expected {"name", "kind", "path"}', "cannot be read", "field 'question': expected a non-empty text",
                "expected a JSON list", "expected 2 to 20 classes, found 30",
                "found 0 train and 1 test rows"]  # fmt: skip
    for number, (note, text) in enumerate(zip(notes, expected, strict=True), start=2):
        assert note.startswith(f"task {number} is left out: ") and text in note, note
    with pytest.raises(InputError, match="expected at least one that can be used(.|\n)*essay"):
        read_tasks(specs[1:2], trained)


def test_a_limit_draws_rows_that_a_larger_one_keeps(tmp_path: Path, trained: Path) -> None:
    path = write(tmp_path / "test.json", [{"Q": f"Why {number}?", "A": "So."} for number in range(30)])
    specs = [{"name": "q", "kind": "questions", "path": str(path)}]
    drawn = {limit: [row.row_id for row in read_tasks(specs, trained, 0, limit)[0][0].test] for limit in (5, 10, None)}
    assert len(drawn[5]) == 5 and set(drawn[5]) < set(drawn[10]) and len(drawn[None]) == 30
    assert drawn[10] == [row_id for row_id in drawn[None] if row_id in drawn[10]]  # in the order of the file
    with pytest.raises(InputError, match="limit: expected at least 1"):
        read_tasks(specs, trained, 0, 0)


def test_a_list_of_tasks_may_be_a_file(tmp_path: Path, trained: Path) -> None:
    path = write(tmp_path / "choice.json", [CHOICE])
    specs = [{"name": "c", "kind": "choice", "path": str(path)}]
    (tmp_path / "tasks.yaml").write_text(f"- {{name: c, kind: choice, path: {path}}}\n")
    for given in (specs, tmp_path / "tasks.yaml", str(write(tmp_path / "tasks.json", specs))):
        tasks, notes = read_tasks(given, trained)
        assert [(task.name, task.kind.name, len(task.test)) for task in tasks] == [("c", "choice", 1)] and not notes
    for text, message in [("{name: c}", "expected a list of .*, found dict"), ("- [", "expected a YAML or JSON file")]:
        (tmp_path / "tasks.yaml").write_text(text)
        with pytest.raises(InputError, match=f"tasks.yaml: {message}"):
            read_tasks(tmp_path / "tasks.yaml", trained)
    with pytest.raises(InputError, match="gone.yaml: expected a YAML or JSON file"):
        read_tasks(tmp_path / "gone.yaml", trained)


# Replies -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "expected"),
    [("Yes", "yes"), (" yes, it is.\nNo.", "yes"), ("**No**, never", "no"), ("Answer: No", "no"), ("No: metal", "no"),
     ("yes or no", None), ("Not sure", None), ("Yesterday", None), ("It is yes", None), ("", None), ("\n\n", None)],
)  # fmt: skip
def test_read_class(reply: str, expected: str | None) -> None:
    assert read_class(reply, ["no", "yes"]) == expected


def test_the_longest_class_is_meant() -> None:
    assert read_class("solid solution, mostly", ["solid", "solid solution"]) == "solid solution"
    assert read_label("Solid  Solution. Yes") == "solid solution" and read_label("x" * 41) == ""


@pytest.mark.parametrize(
    ("reply", "expected"),
    [("1.83", 1.83), (" -39 °C\n5", -39), ("\u221239", -39), ("about 1,538 degrees", 1538),
     ("2.5e-3", 0.0025), ("463MPa", 463), ("Al2O3 has 1.2 eV.", 1.2), ("It is 5.", 5), ("1 to 2", None),
     ("10-20", None), ("Al2O3", None), ("none", None),
     ("1e999", None), ("12,34", None), ("", None), ("3 x 10^5", None)],
)  # fmt: skip
def test_read_number(reply: str, expected: float | None) -> None:
    assert read_number(reply) == expected


# A kind of one's own, from file to interval ---------------------------------------------------------------------------


def read_names(text: str, row: Row, task: Task) -> list[str] | None:
    found = json.loads(text) if text.startswith("[") else None
    return found if isinstance(found, list) else None


def count_names(task: Task, readings: Any) -> np.ndarray:
    """Micro F1: 2 TP / (found + true), one ratio over all rows."""
    pairs = [(set(reading or ()), set(json.loads(row.answer))) for row, reading in zip(task.test, readings)]
    return np.array([[[2.0 * len(found & true) for found, true in pairs]],
                     [[len(found) + len(true) for found, true in pairs]]])  # fmt: skip


NAMES = Measure(
    "micro F1",
    lambda task, readings: np.array([float(reading == json.loads(row.answer))
                                     for row, reading in zip(task.test, readings)]),
    lambda task, sides: {"no names": [[[]] * len(task.test)], "Ag": [[["Ag"]] * len(task.test)]},
    row_name="exact",
    count=count_names,
)  # fmt: skip
LISTS = Kind(
    "lists",
    lambda path, seed: read_rows(path, ("text", "names"), lambda where, record: Row(
        where, record["text"], record["names"], "Name the metals.", group=where)),
    (NAMES,),
    read_reply=read_names,
    reply_tokens=50,
)  # fmt: skip


def test_a_new_kind_is_read_asked_scored_and_kept(tmp_path: Path) -> None:
    records = [{"text": f"text {number}", "names": '["Ag", "Cu"]' if number % 2 else '["Ag"]'} for number in range(20)]
    task = read_task("metals", LISTS, write(tmp_path / "lists.json", [*records, {"text": "x", "names": ""}]))
    assert len(task.test) == 20 and [bad.field for bad in task.bad] == ["names"]
    engine = FakeEngine(lambda request: "none" if request.id == "record 1" else '["Ag"]')
    for _ in range(2):  # the second time from the ledger
        found = run_job(RowJob(task, task.test, lambda: engine, {"job": "test"}), tmp_path / "ledger.jsonl", Budget())
    assert len(engine.requests) == 20 and engine.requests[0].sampling.max_new_tokens == 50
    assert "Name the metals." in engine.requests[0].prompt.text and "text 0" in engine.requests[0].prompt.text
    assert find_unreadable(task, found) == ["record 1"]
    [scores] = score_task(task, {"model": found})
    # 30 names, of which 19 are found by 19 replies; "Ag" for each row finds 20.
    assert scores.baselines == {"no names": 0.0, "Ag": pytest.approx(2 * 20 / (20 + 30))}
    places, [estimate] = estimate_sides(task, scores)
    assert len(places) == 20 and estimate.mean == pytest.approx(2 * 19 / (19 + 30))
    assert estimate.low < estimate.mean < estimate.high and scores.values["model"].sum() == 9
    assert find_unreadable(task, {}) == [row.row_id for row in task.test]


def test_an_engine_that_is_gone_ends_the_asking(tmp_path: Path) -> None:
    task = Task("metals", LISTS, [Row("record 1", "x", "[]", "Name.")])
    engine = FakeEngine(lambda request: Completion(request.id, "", "error", error="no server", fatal=True))
    with pytest.raises(EngineError, match="no server"):
        run_job(RowJob(task, task.test, lambda: engine, {}), tmp_path / "ledger.jsonl", Budget())


def test_tasks_that_nobody_named_lie_beside_the_training_data(tmp_path: Path) -> None:
    train = tmp_path / "train.json"
    train.write_text(json.dumps([{"instruction": "Answer.", "input": "Why?", "output": "So."}]), encoding="utf-8")
    with pytest.raises(InputError, match="tasks.yaml, or the test.json of a build, beside the training data"):
        read_tasks(None, train)
    test = [{"Q": f"How {number}?", "A": "So."} for number in range(3)]
    (tmp_path / "test.json").write_text(json.dumps(test), encoding="utf-8")
    [task], notes = read_tasks(None, train)
    assert (task.name, task.kind, len(task.test)) == ("held-out questions", KINDS["questions"], 3)
    assert notes == ["tasks: test.json beside the training data"]
    named = [{"name": "mine", "kind": "questions", "path": str(tmp_path / "test.json")}]
    (tmp_path / "tasks.yaml").write_text(json.dumps(named), encoding="utf-8")
    [task], notes = read_tasks(None, train)
    assert task.name == "mine" and notes == ["tasks: tasks.yaml beside the training data"]


# What is shipped -----------------------------------------------------------------------------------------------------


def test_the_sample_files_are_whole() -> None:
    tasks, notes = read_tasks(DATA / "tasks.yaml", DATA / "train_qa.json")
    assert [task.kind for task in tasks] == list(KINDS.values())
    assert not notes and [(len(task.train), len(task.test), len(task.bad)) for task in tasks] \
        == [(0, 4, 0), (0, 4, 0), (10, 4, 0), (10, 4, 0)]  # fmt: skip
    records = json.loads((DATA / "train_qa.json").read_text(encoding="utf-8"))
    assert len(records) == 8
    assert {record["instruction"] for record in records} == {load_prompt("qa_only").texts["instruction"]}


def test_no_sample_bears_the_name_of_a_published_task() -> None:
    text = (REPO_ROOT / "data" / "downstream_published.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    assert len(rows) == 10
    names = {task.name.casefold() for task in read_tasks(DATA / "tasks.yaml", DATA / "train_qa.json")[0]}
    assert not {row["task"].casefold() for row in rows} & names
