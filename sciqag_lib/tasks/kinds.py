"""The kinds of task by name, and tasks read from files: everything unusable is named and counted.

A list of tasks is a YAML or JSON file, such as data/downstream/tasks.yaml; each kind's form is described where it is
defined:

    - {name: melting point, kind: regression, path: data/downstream/melting_point.json}
"""

import heapq
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from sciqag_lib.errors import BadRecord, InputError, check_parameters
from sciqag_lib.inference.seeds import digest_of
from sciqag_lib.paths import resolve_path
from sciqag_lib.tasks.likelihoods import CHOICE, QUESTIONS
from sciqag_lib.tasks.questions import Question, identify, rank, read_questions
from sciqag_lib.tasks.short_answers import CLASSIFICATION, REGRESSION
from sciqag_lib.tasks.task import Kind, Row, Task

VERSION = 2  # of the code that reads a row or a reply
KINDS = {kind.name: kind for kind in (QUESTIONS, CHOICE, CLASSIFICATION, REGRESSION)}
MAX_CLASSES = 20
TASKS_FILE, TEST_FILE = "tasks.yaml", "test.json"  # looked for beside the training data


def read_tasks(
    specs: str | Path | Sequence[Any] | None, train_path: str | Path, seed: int = 0, limit: int | None = None
) -> tuple[list[Task], list[str]]:
    """The tasks of a list of {"name", "kind", "path"} or of the file that holds it, and a note for each that cannot be
    used, and is left out. None is what lies beside the training data: tasks.yaml, or the test.json of the same build.

    Questions that are also in `train_path`, the training data, are left out of test as bad records. `limit` rows of
    each test are drawn by seed, None is all. InputError: a file cannot be read, or no task is left.
    """
    check_parameters(("limit", limit, limit is None or limit >= 1, "at least 1 row, or None for all"))
    trained = {entry.question_id for entry in read_questions(train_path) if isinstance(entry, Question)}
    tasks: dict[str, Task] = {}
    notes: list[str] = []
    if specs is None:
        specs = _find_specs(Path(train_path).parent)
        notes.append(f"tasks: {TASKS_FILE if isinstance(specs, Path) else TEST_FILE} beside the training data")
    for number, spec in enumerate(_read_specs(specs), start=1):
        try:
            name, kind, path = _check_spec(spec, tasks)
            task = read_task(name, kind, path, trained, seed)
        except InputError as error:
            notes.append(f"task {number} is left out: {error}")
            continue
        if limit is not None:
            kept = set(heapq.nsmallest(limit, task.test, key=lambda row: rank(seed, "row", row.row_id)))
            task = replace(task, test=[row for row in task.test if row in kept])
        tasks[name] = task
    if not tasks:
        raise InputError("tasks: expected at least one that can be used, found none\n" + "\n".join(notes))
    return list(tasks.values()), notes


def _find_specs(folder: Path) -> Path | list[dict[str, str]]:
    """The list in `folder`, else the test questions there as a task. InputError: there is neither."""
    if (folder / TASKS_FILE).is_file():
        return folder / TASKS_FILE
    if (folder / TEST_FILE).is_file():
        return [{"name": "held-out questions", "kind": QUESTIONS.name, "path": str(folder / TEST_FILE)}]
    raise InputError(
        f"tasks: expected {TASKS_FILE}, or the {TEST_FILE} of a build, beside the training data in {folder}, found "
        f"neither; give a list of tasks, or a file with it"
    )


def _read_specs(specs: str | Path | Sequence[Any]) -> Sequence[Any]:
    if not isinstance(specs, (str, Path)):
        return specs
    path = resolve_path(specs)
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: expected a YAML or JSON file with a list of tasks: {error}") from error
    if not isinstance(found, list):
        raise InputError(f'{path}: expected a list of {{"name", "kind", "path"}}, found {type(found).__name__}')
    return found


def _check_spec(spec: Any, taken: Container[str]) -> tuple[str, Kind, Path]:
    texts = spec if isinstance(spec, dict) else {}
    if set(texts) != {"name", "kind", "path"} or not all(isinstance(text, str) and text for text in texts.values()):
        raise InputError(f'expected {{"name", "kind", "path"}} with a text each, found {spec!r:.120}')
    if spec["kind"] not in KINDS:
        raise InputError(f"{spec['name']}: kind: expected one of {', '.join(KINDS)}, found {spec['kind']!r}")
    if spec["name"] in taken:
        raise InputError(f"{spec['name']}: the name is taken by an earlier task")
    return spec["name"], KINDS[spec["kind"]], resolve_path(spec["path"])


def read_task(name: str, kind: Kind, path: Path, trained: Container[str] = (), seed: int = 0) -> Task:
    """One task; `trained` are the ids of the training data's questions. InputError: the file cannot be read, holds no
    row of this kind, has no train where the kind needs one, or too few or too many classes."""
    rows: dict[str, list[Row]] = {"train": [], "test": []}
    seen: dict[str, str] = {}
    bad: list[BadRecord] = []
    for row in kind.read_rows(path, seed):
        if isinstance(row, BadRecord):
            bad.append(row)
            continue
        # With an instruction, the input may be a formula, and these differ by case: CO is not Co.
        exact = row.instruction or row.choices
        key = digest_of([row.instruction, row.question, row.choices]) if exact else identify(row.question)
        if not row.instruction and identify(row.question) in trained:
            bad.append(BadRecord(str(path), row.row_id, "", "its question is also in the training data; left out"))
        elif key in seen:
            bad.append(BadRecord(str(path), row.row_id, "", f"the question of {seen[key]} again; left out"))
        else:
            seen[key] = row.row_id
            rows[row.split].append(row)
    known = {row.question: row.row_id for row in rows["train"]}  # perhaps with another instruction
    for row in (row for row in rows["test"] if row.question in known):
        message = f"it is also that of {known[row.question]}, which is in train; left out of test"
        bad.append(BadRecord(str(path), row.row_id, "input", message))
    test = [row for row in rows["test"] if row.question not in known]
    task = Task(name, kind, test, rows["train"], bad)
    _check_task(task, f"{name}: {path}")
    return task


def _check_task(task: Task, where: str) -> None:
    kind = task.kind
    if not task.test or kind.needs_train and not task.train:
        first = f"; the first of {len(task.bad):,} that are not usable: {task.bad[0]}" if task.bad else ""
        raise InputError(
            f"{where}: expected rows of the kind {kind.name}{', some of them train and some test' * kind.needs_train}, "
            f"found {len(task.train)} train and {len(task.test)} test rows{first}"
        )
    if kind.has_classes and not 2 <= len(task.classes) <= MAX_CLASSES:
        raise InputError(
            f"{where}: expected 2 to {MAX_CLASSES} classes, found {len(task.classes)}: "
            f"{', '.join(task.classes)[:200]}; is it a regression?"
        )
