"""The evaluation of all kinds of task: a model is asked, its lines are read, and scored beside baselines.

    lines = run_job(RowJob(task, task.test, lambda: engine, fingerprint), path, Budget())
    [scores] = score_task(task, {"model": lines})
    places, [estimate] = estimate_sides(task, scores)

Each row's line is kept on a ledger. A side is one model; with two, the second is compared with the first row by row.

    {"kind": "item", "id": "record 4", "status": "done", "reply": "It is 1085."}
"""

import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sciqag_lib.engines import Completion, Engine, Prompt, Request, Sampling
from sciqag_lib.errors import InputError
from sciqag_lib.inference.ledger import Ledger
from sciqag_lib.inference.loop import Asking, Round
from sciqag_lib.inference.prompts import fill, load_form, load_prompt, plain_text
from sciqag_lib.metrics.controls import FEW_GROUPS
from sciqag_lib.metrics.intervals import LEVEL, NUM_RESAMPLES, Estimate, bootstrap_mean
from sciqag_lib.tasks.questions import rank
from sciqag_lib.tasks.task import Found, Measure, Readings, Row, Task

Lines = Iterator[tuple[str, dict[str, Any]]]  # by row id


# Asking --------------------------------------------------------------------------------------------------------------


def measure_rows(
    rows: Sequence[Row], path: Path, fingerprint: dict[str, Any], measure: Callable[[Sequence[Row]], Lines], title: str
) -> Lines:
    """Measure the rows that are not on the ledger at `path` yet; yields the lines of all rows that are there then.

    A line of `measure` with a "reason" is that of a row that failed, and is measured again by the next run.
    """
    with Ledger(path, fingerprint) as ledger:
        left = [row for row in rows if not ledger.finished(row.row_id)]
        print(f"{title} of {len(rows):,} rows, {len(rows) - len(left):,} of them measured before", flush=True)
        for row_id, line in measure(left) if left else ():
            ledger.append({"id": row_id, "status": "unfinished" if "reason" in line else "done", **line})
        for row in rows:
            line = ledger.read(row.row_id) or {}
            yield row.row_id, {key: value for key, value in line.items() if key not in ("kind", "id", "status")}


class RowJob:
    """What a model writes, greedily, about rows, after `shots` with their answers, in a prompt form; see loop.Job."""

    unit = "row"
    digested = "its text"

    def __init__(
        self,
        task: Task,
        rows: Sequence[Row],
        open_engine: Callable[[], Engine],
        fingerprint: dict[str, Any],
        form: str = "alpaca",
        shots: Sequence[Row] = (),
        max_new_tokens: int = 128,
        read: Callable[[str], dict[str, Any]] = lambda text: {"reply": text},
    ) -> None:
        """`open_engine` is called where a row is asked; `read` makes a row's line of the reply."""
        self.task, self.rows, self.form, self.open_engine = task, rows, form, open_engine
        self.made_with, self.read = fingerprint, read
        self.instruction = load_prompt(task.prompt).texts["instruction"]
        self.examples = [self.write_prompt(shot) + shot.shown for shot in shots]
        self.sampling = Sampling(task.kind.reply_tokens or max_new_tokens, stop=task.kind.stop)

    @property
    def engine(self) -> Engine:
        return self.open_engine()

    def fingerprint(self) -> dict[str, Any]:
        return self.made_with

    def list_items(self) -> Iterator[tuple[int, str, Row]]:
        return ((place, row.row_id, row) for place, row in enumerate(self.rows))

    def plan(self, ledger: Ledger) -> int:
        left = sum(not ledger.finished(row.row_id) for row in self.rows)
        print(f"{self.task.name}: {len(self.rows):,} rows, {len(self.rows) - left:,} of them asked before", flush=True)
        return left

    def write_prompt(self, row: Row) -> str:
        return write_prompt(self.form, row.instruction or self.instruction, row.question)

    def ask(self, row: Row) -> Asking:
        prompt = Prompt(text="\n\n".join([*self.examples, self.write_prompt(row)]))
        [completion] = yield Round([Request(row.row_id, prompt, self.sampling)])
        return completion

    def digest(self, row: Row) -> str:
        return ""  # the task's own is in the fingerprint

    def describe(self, row: Row) -> dict[str, Any]:
        return {"paper": {"doi": row.row_id}}

    def finish(self, row: Row, completion: Completion) -> dict[str, Any]:
        return {"status": "done", "reason": "", "message": "", **self.read(completion.text)}

    def write(self, ledger: Ledger, stopped: str) -> dict[str, dict[str, Any]]:
        """The line of each row: what `read` made of its reply, or "reason", why there is none."""
        keys, lines = self.read("").keys(), {}
        for row in self.rows:
            line = ledger.read(row.row_id) or {}
            done = line.get("status") == "done"
            lines[row.row_id] = (
                {key: line[key] for key in keys} if done else {"reason": line.get("message", "not asked")}
            )
        return lines


def draw_shots(task: Task, number: int, seed: int) -> list[Row]:
    """The rows of train that are shown as examples, the same for every row and model. InputError: there are fewer."""
    if number > len(task.train):
        raise InputError(f"{task.name}: shots: expected at most {len(task.train)}, its train rows, found {number}")
    return heapq.nsmallest(number, task.train, key=lambda row: rank(seed, "shot", row.row_id))


def write_prompt(form: str, instruction: str, question: str) -> str:
    """The prompt of a training example, complete; what looks like a chat template's mark in a text is spelled apart."""
    template = load_form(form)
    if not template:
        raise InputError("prompt_form: expected alpaca or another form's file, found chat, which is the model's")
    return fill(template, {"system": "", "instruction": plain_text(instruction), "input": plain_text(question)}, form)


# Scores --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scores:
    measure: Measure
    values: dict[str, np.ndarray]  # by side: (test rows,), nan where nothing was measured
    counts: dict[str, np.ndarray]  # by side, of a measure that counts: (2, ratios, test rows)
    baselines: dict[str, float]


def read_found(task: Task, found: Found) -> Readings:
    """The reading of each test row; a missing line has an empty reply."""
    lines = [found.get(row.row_id, {}) for row in task.test]
    read = task.kind.read_reply
    return [read(line.get("reply", ""), row, task) for row, line in zip(task.test, lines)] if read else lines


def find_unreadable(task: Task, found: Found) -> list[str]:
    """The ids of test rows whose reply cannot be read, or is missing."""
    return [row.row_id for row, reading in zip(task.test, read_found(task, found)) if reading is None]


def score_task(task: Task, sides: Mapping[str, Found]) -> list[Scores]:
    """The task's measures, without those that were measured on no side."""
    readings, scored = {side: read_found(task, found) for side, found in sides.items()}, []
    for measure in task.kind.measures:
        values = {side: measure.score(task, found) for side, found in readings.items()}
        if np.isfinite(list(values.values())).any():
            counts = {side: measure.count(task, found) for side, found in readings.items()} if measure.count else {}
            guesses = measure.baselines(task, readings).items()
            means = {name: float(np.mean([summarize(task, measure, each) for each in sets])) for name, sets in guesses}
            scored.append(Scores(measure, values, counts, means))
    return scored


def summarize(task: Task, measure: Measure, readings: Readings) -> float:
    """The measure of all rows together, nan where nothing was measured."""
    if measure.count:
        return float(average_ratios(measure.count(task, readings), np.ones((1, len(task.test))))[0])
    values = measure.score(task, readings)
    values = values[np.isfinite(values)]
    return float(np.mean(values)) if len(values) else math.nan


def average_ratios(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(draws,): the mean over ratios of the sums of both terms, counts (2, ratios, rows), rows counting as often as
    weights (draws, rows) say; a ratio whose second sum is 0 in a draw is left out of its mean."""
    first, second = counts @ weights.T
    return np.nanmean(np.divide(first, second, out=np.full(first.shape, np.nan), where=second > 0), axis=0)


# Intervals -----------------------------------------------------------------------------------------------------------


def estimate_sides(task: Task, scores: Scores, seed: int = 0) -> tuple[np.ndarray, list[Estimate]]:
    """The places of the rows that all sides have; on these, each side's estimate and, of two sides, that of the second
    less the first, paired."""
    values = np.array(list(scores.values.values()))
    places = np.flatnonzero(np.isfinite(values).all(axis=0))
    groups = [task.test[place].group for place in places]
    if scores.counts:
        return places, estimate_ratios([counts[..., places] for counts in scores.counts.values()], groups, seed)
    values = list(values[:, places])
    values += [values[1] - values[0]] if len(values) == 2 else []
    return places, [bootstrap_mean(each, groups, seed) for each in values]


def estimate_ratios(sides: Sequence[np.ndarray], groups: Sequence[str], seed: int = 0) -> list[Estimate]:
    """average_ratios of each side and, of two, of their difference, by the same draws of groups (percentile bootstrap).

    sides: (2, ratios, rows) each, of at least one row.
    """
    names, places = np.unique(groups, return_inverse=True)
    number, generator = len(names), np.random.default_rng(seed)
    weights = generator.multinomial(number, np.full(number, 1 / number), NUM_RESAMPLES)[:, places] * 1.0
    draws = [average_ratios(counts, weights) for counts in sides]
    means = [float(average_ratios(counts, np.ones((1, len(groups))))[0]) for counts in sides]
    if len(sides) == 2:
        means, draws = [*means, means[1] - means[0]], [*draws, draws[1] - draws[0]]
    quantiles = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    ends = [np.quantile(draw, quantiles) if number > 1 else (math.nan, math.nan) for draw in draws]
    return [Estimate(mean, *map(float, end), number) for mean, end in zip(means, ends)]


def judge_standing(estimate: Estimate, scores: Scores) -> str:
    """In words, an estimate beside the best baseline, whose value on these rows is taken as it is."""
    higher, baselines = scores.measure.higher_is_better, scores.baselines
    best = (max if higher else min)(baselines, key=lambda name: baselines[name])
    if estimate.papers < FEW_GROUPS or estimate.low <= baselines[best] <= estimate.high:
        return f"not told from {best}"
    return f"{'better' if (estimate.mean > baselines[best]) == higher else 'worse'} than {best}"
