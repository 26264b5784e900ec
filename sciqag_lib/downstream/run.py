"""The downstream claim: does training on questions and answers help? One model before and after, on the same rows.

Claimed by SciQAG (arXiv 2405.09939) for LLaMA1-7B. Version 1 of what is computed:

- Every row is paired: what is compared is after minus before on the rows that both have, 95% bootstrap over rows, those
  about one paper together. Where the interval holds 0, or there are fewer than 10 rows, no difference can be told.
- questions: nats a token of the reference answer, mean over questions; how many of them the question saves, against
  the same answer behind another question, which tells knowledge of the form of answers from use of the question; and,
  of answers that were written, token F1 and ROUGE-L.
- choice: accuracy. classification: macro F1 over the classes of the test rows; an unreadable reply is a wrong one.
- regression: mean absolute error; an unreadable reply counts as the median of train, what one says who knows nothing.

Each beside null baselines. A row of rows.parquet (also .csv), an unreadable reply is counted and named in the report:

    task,kind,row,measure,before,after,reference,reply_before,reply_after
    melting point,regression,record 11,absolute error,796.0,735.0,1085,289,350
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sciqag_lib.downstream.evaluation import Settings
from sciqag_lib.errors import InputError
from sciqag_lib.metrics.intervals import LEVEL, NUM_RESAMPLES, Estimate, estimate_mean
from sciqag_lib.paths import REPO_ROOT
from sciqag_lib.tables import write_report, write_table
from sciqag_lib.tasks.kinds import Task, count_classes
from sciqag_lib.tasks.scoring import SIDES, Found, Scores, find_unreadable, measure_f1, read_classes, score_task

VERSION = 1
PUBLISHED = REPO_ROOT / "data" / "downstream_published.csv"
REPORT = "downstream.json"
FEW_ROWS = 10  # an interval bootstrapped over fewer says nothing
LISTED = 5
COLUMNS = {
    "task": "text",
    "kind": "text",
    "row": "text",
    "measure": "text",
    "before": "real",
    "after": "real",
    "reference": "text",
    "reply_before": "text",
    "reply_after": "text",
}


@dataclass
class Result:
    """One measure of one task."""

    task: str
    kind: str
    measure: str
    higher_is_better: bool
    rows: int  # that both models have
    before: Estimate
    after: Estimate
    difference: Estimate  # after - before, paired
    verdict: str
    nulls: dict[str, float]  # baselines by name, on the same rows
    standing: dict[str, str] = field(default_factory=dict)  # by side: against the best null baseline
    unreadable: dict[str, list[str]] = field(default_factory=dict)  # by side: row ids


@dataclass
class DownstreamReport:
    """What stands in downstream.json."""

    models: dict[str, str]  # by side: what they are, in words
    settings: dict[str, Any]
    results: list[Result]
    published: list[dict[str, Any]]
    bad: dict[str, int]  # by task: rows of its file that are not usable
    notes: list[str]  # what was left out, and why
    version: int = VERSION


def read_published(path: str | Path = PUBLISHED) -> list[dict[str, Any]]:
    """The published rows; lines that begin with "#" are comments. InputError: a column or a number is missing."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    try:
        return [
            {
                **{key: row[key] for key in ("task", "kind", "measure", "source")},
                **{side: float(row[side]) for side in SIDES},
            }
            for row in rows
        ]
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: expected the columns task, kind, measure, before, after, source with numbers in "
            f"their place: {error}"
        ) from error


def compare_models(
    tasks: Sequence[Task],
    found: Mapping[str, Mapping[str, Found]],
    models: Mapping[str, str],
    settings: Settings,
    output_dir: str | Path,
    notes: Sequence[str] = (),
) -> DownstreamReport:
    """From what was measured of both models, {"before": evaluate_model(...), "after": ...}, to results; writes rows
    (.parquet, .csv) and downstream.json in `output_dir`, each whole or not at all. `notes` come first in the report's.
    """
    report = DownstreamReport(
        dict(models), asdict(settings), [], read_published(), {task.name: len(task.bad) for task in tasks}, list(notes)
    )
    with write_table(Path(output_dir), "rows", COLUMNS) as table:
        for task in tasks:
            sides = {side: found[side][task.name] for side in SIDES}
            report.notes += [str(bad) for bad in task.bad[:LISTED]]
            report.notes += [
                f"{task.name}, {side}: {row_id}: {line['reason']}"
                for side in SIDES
                for row_id, line in list(sides[side].items())
                if "reason" in line
            ][:LISTED]
            scored = score_task(task, sides)
            table.add(row for scores in scored for row in _list_rows(task, scores, sides))
            report.results += [compare_scores(task, scores, sides, settings.seed) for scores in scored]
    write_report(Path(output_dir) / REPORT, report)
    return report


# Comparison ----------------------------------------------------------------------------------------------------------


def compare_scores(task: Task, scores: Scores, sides: Mapping[str, Found], seed: int = 0) -> Result:
    """Both models on the rows that both have a value for, and the paired difference."""
    rows = [row for row in task.test if all(row.row_id in scores.values[side] for side in SIDES)]
    names = [row.group for row in rows]
    if task.kind == "classification":
        labels = {side: np.array(read_classes(task, sides[side])) for side in SIDES}
        estimates = estimate_f1(np.array([row.answer for row in rows]), labels["before"], labels["after"], names, seed)
    else:
        before, after = (np.array([scores.values[side][row.row_id] for row in rows]) for side in SIDES)
        estimates = tuple(estimate_rows(values, names, seed) for values in (before, after, after - before))
    result = Result(
        task.name,
        task.kind,
        scores.measure,
        scores.higher_is_better,
        len(rows),
        *estimates,
        "",
        scores.nulls,
        unreadable={side: find_unreadable(task, sides[side]) for side in SIDES},
    )
    result.verdict = judge_difference(result)
    if scores.against_nulls:
        result.standing = {side: judge_standing(getattr(result, side), scores) for side in SIDES}
    return result


def estimate_rows(values: np.ndarray, groups: Sequence[str], seed: int = 0) -> Estimate:
    """The mean (95% interval) of one value a row, rows of a group drawn together."""
    _, places = np.unique(list(groups), return_inverse=True)
    return estimate_mean(np.bincount(places, values), np.bincount(places), seed) if len(values) else _blank()


def estimate_f1(
    truth: np.ndarray, before: np.ndarray, after: np.ndarray, groups: Sequence[str], seed: int = 0
) -> tuple[Estimate, Estimate, Estimate]:
    """Macro F1 of both and of their difference, by the same draws of rows (percentile bootstrap, 95%)."""
    _, places = np.unique(list(groups), return_inverse=True)
    number = int(places.max(initial=-1)) + 1
    if not number:
        return _blank(), _blank(), _blank()
    generator = np.random.default_rng(seed)
    drawn: list[np.ndarray] = []
    for start in range(0, NUM_RESAMPLES, 100):  # 100 x 10,000 rows are 8 MB
        weights = generator.multinomial(number, np.full(number, 1 / number), min(100, NUM_RESAMPLES - start))[:, places]
        drawn.append(np.stack([measure_f1(truth, labels, weights * 1.0) for labels in (before, after)]))
    values = np.concatenate(drawn, axis=1)
    whole = [float(measure_f1(truth, labels, np.ones((1, len(truth))))[0]) for labels in (before, after)]
    means, draws = [*whole, whole[1] - whole[0]], [*values, values[1] - values[0]]
    quantiles = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    ends = [np.quantile(draw, quantiles) if number > 1 else (math.nan, math.nan) for draw in draws]
    first, second, difference = (Estimate(mean, *map(float, end), number) for mean, end in zip(means, ends))
    return first, second, difference


def _blank() -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, 0)


def judge_difference(result: Result) -> str:
    """In words, what the paired difference says."""
    difference = result.difference
    if difference.papers < FEW_ROWS:
        unit = "row" if difference.papers == result.rows else "paper"
        return f"nothing can be told from {difference.papers} {unit}{'s' * (difference.papers != 1)}"
    if difference.low <= 0 <= difference.high:
        return f"no difference can be told at this size ({result.rows:,} rows)"
    return f"{'after' if (difference.mean > 0) == result.higher_is_better else 'before'} is better"


def judge_standing(estimate: Estimate, scores: Scores) -> str:
    """Against the best of the null baselines, whose value on these rows is taken as it is."""
    best = (max if scores.higher_is_better else min)(scores.nulls, key=lambda name: scores.nulls[name])
    if estimate.papers < FEW_ROWS or estimate.low <= scores.nulls[best] <= estimate.high:
        return f"not told from {best}"
    return f"{'better' if (estimate.mean > scores.nulls[best]) == scores.higher_is_better else 'worse'} than {best}"


def _list_rows(task: Task, scores: Scores, sides: Mapping[str, Found]) -> list[dict[str, Any]]:
    measure = {"macro F1": "correct", "mean absolute error": "absolute error"}.get(scores.measure, scores.measure)
    replies = {
        side: {row_id: line.get("reply", line.get("answer", "")) for row_id, line in sides[side].items()}
        for side in SIDES
    }
    return [
        {
            "task": task.name,
            "kind": task.kind,
            "row": row.row_id,
            "measure": measure,
            "reference": row.answer,
            **{side: scores.values[side].get(row.row_id) for side in SIDES},
            **{f"reply_{side}": replies[side].get(row.row_id, "") for side in SIDES},
        }
        for row in task.test
        if any(row.row_id in scores.values[side] for side in SIDES)
    ]


# Showing -------------------------------------------------------------------------------------------------------------


def show_tasks(tasks: Sequence[Task], notes: Sequence[str]) -> None:
    """Print what the files hold, and what was left out."""
    for task in tasks:
        train = f"{len(task.train):,} train and " if task.train else ""
        classes = f", classes: {', '.join(f'{name} {count}' for name, count in count_classes(task.test))}"
        print(
            f"{task.name} ({task.kind}): {train}{len(task.test):,} test rows, {len(task.bad):,} not usable"
            + classes * (task.kind == "classification")
        )
        for bad in task.bad[:LISTED]:
            print(f"    {bad}")
    for note in notes:
        print(note)


def show_report(report: DownstreamReport) -> None:
    """Print every measure: before, after, difference and verdict, beside null baselines and, where a task bears a
    published name, the published numbers."""
    for side in SIDES:
        print(f"{side}: {report.models[side]}")
    for result in report.results:
        better = "higher" if result.higher_is_better else "lower"
        print(f"\n{result.task} | {result.measure} ({better} is better) | {result.rows:,} rows")
        for side in SIDES:
            standing = f": {result.standing[side]}" if result.standing else ""
            print(f"    {side:<7}{_format(getattr(result, side))}{standing}")
        print(f"    after - before {_format(result.difference)}: {result.verdict}")
        print("    null baselines: " + ", ".join(f"{name} {value:.3f}" for name, value in result.nulls.items()))
        _show_unreadable(result)
        for row in find_published(report, result):
            print(
                f"    published, with other rows: {row['measure']} {row['before']} before, {row['after']} after "
                f"({row['source']}, LLaMA1-7B)"
            )
    for note in report.notes:
        print(f"note: {note}")


def _show_unreadable(result: Result) -> None:
    for side, row_ids in result.unreadable.items():
        if row_ids:
            more = f" and {len(row_ids) - LISTED:,} more" if len(row_ids) > LISTED else ""
            named = ", ".join(row_ids[:LISTED]) + more
            print(f"    unreadable replies {side}: {len(row_ids):,} of {result.rows:,} ({named})")


def find_published(report: DownstreamReport, result: Result) -> list[dict[str, Any]]:
    """The published rows of a result's task, by its name."""
    name = result.task.casefold()
    return [row for row in report.published if row["kind"] == result.kind and row["task"].casefold() == name]


def show_published(published: Sequence[Mapping[str, Any]]) -> None:
    """Print the published rows, with what they do not say."""
    print("Published for LLaMA1-7B, before and after training on SciQAG's pairs; other rows, no intervals:")
    for row in published:
        print(f"    {row['task']:<10} {row['measure']:<9} {row['before']:>8} -> {row['after']:>8}   {row['source']}")


def show_samples(tasks: Sequence[Task], found: Mapping[str, Mapping[str, Found]], number: int = 2) -> None:
    """Print the first replies of each task that has any, beside the reference."""
    for task in tasks:
        written = {
            row_id
            for side in SIDES
            for row_id, line in found[side][task.name].items()
            if {"reply", "answer"} & line.keys()
        }
        for row in [row for row in task.test if row.row_id in written][:number]:
            print(f"\n{task.name}, {row.row_id}: {' '.join(filter(None, (row.instruction, row.question)))}")
            print(f"    reference: {row.shown or row.answer}")
            for side in SIDES:
                line = found[side][task.name].get(row.row_id, {})
                text: str | None = line.get("reply", line.get("answer"))
                print(f"    {side}: {line.get('reason', 'nothing') if text is None else ' '.join(text.split())}")


def _format(estimate: Estimate) -> str:
    if math.isnan(estimate.low):
        return "no value" if math.isnan(estimate.mean) else f"{estimate.mean:.3f} (no interval)"
    return f"{estimate.mean:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
