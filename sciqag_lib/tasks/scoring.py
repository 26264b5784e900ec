"""What a row of the downstream comparison is worth: replies and likelihoods to values, and null baselines beside them.

    [Scores("accuracy", True, {"before": {"record 1": 1.0, ...}, "after": {...}}, {"a random choice": 0.25, ...})]

The definitions stand in run.py, whose VERSION counts them too.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciqag_lib.metrics.text_overlap import WordScorer
from sciqag_lib.tasks.kinds import Row, Task, count_classes, read_class, read_number

SIDES = ("before", "after")
UNREADABLE = ""  # as a class

Found = Mapping[str, Mapping[str, Any]]  # by row id, of one task and one model: see evaluate_model


@dataclass
class Scores:
    """A measure's value of each row, by side."""

    measure: str
    higher_is_better: bool
    values: dict[str, dict[str, float]]  # by side and row id
    nulls: dict[str, float]
    against_nulls: bool = True


def score_task(task: Task, sides: Mapping[str, Found]) -> list[Scores]:
    """The task's measures; a row without a value on a side was not measured there. [] where nothing was."""
    score = {
        "questions": _score_questions,
        "choice": _score_choices,
        "classification": _score_classes,
        "regression": _score_numbers,
    }[task.kind]
    return [scores for scores in score(task, sides) if any(scores.values.values())]


def _score_questions(task: Task, sides: Mapping[str, Found]) -> list[Scores]:
    own, other = (
        {
            side: {
                row_id: line[key] / line["tokens"] for row_id, line in sides[side].items() if line.get(key) is not None
            }
            for side in SIDES
        }
        for key in ("nll", "nll_other")
    )
    saved = {
        side: {row_id: other[side][row_id] - own[side][row_id] for row_id in own[side].keys() & other[side].keys()}
        for side in SIDES
    }
    nulls = {f"the same behind another question, {side}": _mean(other[side].values()) for side in SIDES}
    return [
        Scores("nats a token", False, own, nulls, against_nulls=False),
        Scores("nats a token saved by the question", True, saved, {"no use of the question": 0.0}),
        *_score_answers(task, sides),
    ]


def _score_answers(task: Task, sides: Mapping[str, Found]) -> list[Scores]:
    scorer, rows = WordScorer(), {row.row_id: row for row in task.test}
    answered = [row for row in task.test if any("answer" in sides[side].get(row.row_id, {}) for side in SIDES)]
    scored = {
        side: {
            row.row_id: scorer.score(row.answer, sides[side][row.row_id]["answer"])
            for row in answered
            if "answer" in sides[side].get(row.row_id, {})
        }
        for side in SIDES
    }
    blank = {
        "the question as its answer": [scorer.score(row.answer, row.question) for row in answered],
        "another question's reference": [
            scorer.score(rows[row.row_id].answer, other.answer)
            for row, other in zip(answered, answered[1:] + answered[:1])
        ],
    }
    return [
        Scores(
            name,
            True,
            {side: {row_id: value[key] for row_id, value in scored[side].items()} for side in SIDES},
            {null: _mean(score[key] for score in scores) for null, scores in blank.items()},
        )
        for key, name in (("token_f1", "token F1"), ("rouge_l", "ROUGE-L"))
    ]


def _score_choices(task: Task, sides: Mapping[str, Found]) -> list[Scores]:
    values = {
        side: {row_id: line["correct"] for row_id, line in sides[side].items() if "correct" in line} for side in SIDES
    }
    longest = [_share_of_longest(row) for row in task.test]
    return [
        Scores(
            "accuracy",
            True,
            values,
            {"a random choice": _mean(1 / len(row.choices) for row in task.test), "the longest choice": _mean(longest)},
        )
    ]


def _share_of_longest(row: Row) -> float:
    """The chance to be right for one who takes the longest choice, or one of the longest."""
    most = max(map(len, row.choices))
    return (len(row.answer) == most) / sum(len(choice) == most for choice in row.choices)


def _score_classes(task: Task, sides: Mapping[str, Found]) -> list[Scores]:
    """Whether each row is right; macro F1 is computed over rows in compare_scores."""
    values = {
        side: {row.row_id: float(label == row.answer) for row, label in zip(task.test, read_classes(task, sides[side]))}
        for side in SIDES
    }
    return [Scores("macro F1", True, values, measure_class_nulls(task))]


def read_classes(task: Task, found: Found) -> list[str]:
    """The class of each test row's reply; UNREADABLE where there is none in it, or no reply."""
    return [read_class(found.get(row.row_id, {}).get("reply", ""), task.classes) or UNREADABLE for row in task.test]


def _score_numbers(task: Task, sides: Mapping[str, Found]) -> list[Scores]:
    known = [row.value for row in task.train]
    median, mean = float(np.median(known)), float(np.mean(known))
    values = {}
    for side in SIDES:
        numbers = [read_number(sides[side].get(row.row_id, {}).get("reply", "")) for row in task.test]
        values[side] = {
            row.row_id: abs((median if number is None else number) - row.value)
            for row, number in zip(task.test, numbers)
        }
    nulls = {
        f"the {name} of train": _mean(abs(constant - row.value) for row in task.test)
        for name, constant in (("mean", mean), ("median", median))
    }
    return [Scores("mean absolute error", False, values, nulls)]


def find_unreadable(task: Task, found: Found) -> list[str]:
    """The ids of test rows whose reply says no class, or no number, or is missing."""
    if task.kind == "classification":
        return [row.row_id for row, label in zip(task.test, read_classes(task, found)) if label == UNREADABLE]
    if task.kind == "regression":
        return [row.row_id for row in task.test if read_number(found.get(row.row_id, {}).get("reply", "")) is None]
    return []


def measure_class_nulls(task: Task, draws: int = 1000) -> dict[str, float]:
    """Macro F1 on the test rows of train's most frequent class, and of classes drawn as often as they are there."""
    truth = np.array([row.answer for row in task.test])
    names, counts = zip(*count_classes(task.train))
    drawn = np.random.default_rng(0).choice(names, (draws, len(truth)), p=np.array(counts) / sum(counts))
    whole = np.ones((1, len(truth)))
    return {
        f'always "{names[0]}"': float(measure_f1(truth, np.full(len(truth), names[0]), whole)[0]),
        "classes drawn as in train": _mean(measure_f1(truth, labels, whole)[0] for labels in drawn),
    }


def measure_f1(truth: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Macro F1 (draws,), the mean over the classes of `truth`, rows (rows,) counting as often as weights (draws, rows)
    say. F1 = 2 TP / (labelled + true); a class that neither has in a draw is left out of its mean."""
    scores = []
    for name in sorted(set(truth)):
        true, given = truth == name, labels == name
        hits, sizes = weights @ (true & given), weights @ (true * 1.0 + given)
        scores.append(np.divide(2 * hits, sizes, out=np.full(len(weights), np.nan), where=sizes > 0))
    return np.nanmean(scores, axis=0)


def _mean(values: Any) -> float:
    values = list(values)
    return float(np.mean(values)) if values else math.nan
