"""The downstream claim: does training on questions and answers help? One model before and after, on the same rows.

Claimed by SciQAG (arXiv 2405.09939) for LLaMA1-7B. Version 1 of what is computed:

- Every row is paired: what is compared is after minus before on the rows that both have, 95% bootstrap over rows, those
  about one paper together. Where the interval holds 0, or there are fewer than 10 rows, no difference can be told.
- questions: nats per token of the reference answer, mean over questions; how many of them the question saves, compared
  with the same answer after another question, which tells knowledge of the form of answers from use of the question;
  and, of answers that were written, token F1 and ROUGE-L.
- choice: accuracy. classification: macro F1 over the classes of the test rows; an unreadable reply is a wrong one.
- regression: mean absolute error; an unreadable reply counts as the median of train, the answer of one who knows
  nothing.

Each beside baselines. A row of rows.parquet (also .csv); unreadable replies are counted and named in the report:

    task,kind,row,measure,before,after,reference,reply_before,reply_after
    melting point,regression,record 11,absolute error,796.0,735.0,1085,289,350
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciqag_lib.downstream.evaluation import Settings
from sciqag_lib.metrics.controls import FEW_GROUPS
from sciqag_lib.metrics.intervals import Estimate
from sciqag_lib.paths import REPO_ROOT
from sciqag_lib.tables import read_published, write_report, write_table
from sciqag_lib.tasks.evaluation import Scores, estimate_sides, find_unreadable, judge_standing, score_task
from sciqag_lib.tasks.short_answers import count_classes
from sciqag_lib.tasks.task import Found, Task

if TYPE_CHECKING:
    from pandas import DataFrame

VERSION = 1
PUBLISHED = REPO_ROOT / "data" / "downstream_published.csv"
PUBLISHED_COLUMNS = {"task": str, "kind": str, "measure": str, "before": float, "after": float, "source": str}
REPORT = "downstream.json"
SIDES = ("before", "after")
LISTED = 5
COLUMNS = dict.fromkeys(("task", "kind", "row", "measure", *SIDES, "reference", "reply_before", "reply_after"), "text")
COLUMNS |= dict.fromkeys(SIDES, "real")


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
    standing: dict[str, str] = field(default_factory=dict)  # by side: compared with the best baseline
    unreadable: dict[str, list[str]] = field(default_factory=dict)  # by side: row ids


@dataclass
class DownstreamReport:
    """Contents of downstream.json."""

    models: dict[str, str]  # by side: what they are, in words
    settings: dict[str, Any]
    results: list[Result]
    published: list[dict[str, Any]]
    bad: dict[str, int]  # by task: rows of its file that are not usable
    notes: list[str]  # what was left out, and why
    version: int = VERSION

    def to_frame(self) -> "DataFrame":
        """One row per measure of each task and, where the task has a published name, the published numbers, which are
        of other rows."""
        from pandas import DataFrame

        frame = DataFrame([vars(result) for result in self.results]).set_index(["task", "measure"])
        frame["unreadable"] = [{side: len(rows) for side, rows in sides.items()} for sides in frame["unreadable"]]
        for name, form in {"nulls": "{}: {:.3f}", "standing": "{}: {}", "unreadable": "{}: {}"}.items():
            frame[name] = [", ".join(form.format(*item) for item in cell.items()) for cell in frame[name]]
        frame["published"] = [
            ", ".join(f"{row['measure']} {row['before']} -> {row['after']}" for row in find_published(self, result))
            for result in self.results
        ]
        return frame


def find_published(report: DownstreamReport, result: Result) -> list[dict[str, Any]]:
    """The published rows of a result's task, by its name."""
    name = result.task.casefold()
    return [row for row in report.published if row["kind"] == result.kind and row["task"].casefold() == name]


def compare_models(
    tasks: Sequence[Task],
    found: Mapping[str, Mapping[str, Found]],
    models: Mapping[str, str],
    settings: Settings,
    output_dir: str | Path,
    notes: Sequence[str] = (),
) -> DownstreamReport:
    """From what was measured of both models, {"before": evaluate_model(...), "after": ...}, to results; writes rows
    (.parquet, .csv) and downstream.json in `output_dir`, each atomically. `notes` come first in the report's.
    """
    prompts = {"prompt": ", ".join(sorted({task.prompt for task in tasks}))}
    bad = {task.name: len(task.bad) for task in tasks}
    report = DownstreamReport(
        dict(models), asdict(settings) | prompts, [], read_published(PUBLISHED, PUBLISHED_COLUMNS), bad, list(notes)
    )
    with write_table(Path(output_dir), "rows", COLUMNS) as table:
        for task in tasks:
            sides = {side: found[side][task.name] for side in SIDES}
            report.notes += [*map(str, task.bad[:LISTED]), *_list_failures(task, sides)]
            for scores in score_task(task, sides):
                table.add(_list_rows(task, scores, sides))
                report.results.append(compare_scores(task, scores, sides, settings.seed))
    write_report(Path(output_dir) / REPORT, report)
    return report


def _list_failures(task: Task, sides: Mapping[str, Found]) -> list[str]:
    return [
        f"{task.name}, {side}: {row_id}: {line['reason']}"
        for side in SIDES
        for row_id, line in sides[side].items()
        if "reason" in line
    ][:LISTED]


def _list_rows(task: Task, scores: Scores, sides: Mapping[str, Found]) -> Iterator[dict[str, Any]]:
    for place in np.flatnonzero(np.isfinite(list(scores.values.values())).any(axis=0)):
        row = task.test[place]
        yield {
            "task": task.name,
            "kind": task.kind.name,
            "row": row.row_id,
            "measure": scores.measure.row_name or scores.measure.name,
            "reference": row.answer,
            **{side: float(scores.values[side][place]) for side in SIDES},
            **{f"reply_{side}": _read_text(sides[side].get(row.row_id, {}), "") for side in SIDES},
        }


def _read_text(line: Mapping[str, Any], missing: str) -> str:
    return line.get("reply", line.get("answer", missing))


# Comparison ----------------------------------------------------------------------------------------------------------


def compare_scores(task: Task, scores: Scores, sides: Mapping[str, Found], seed: int = 0) -> Result:
    """Both models on the rows that both have a value for, and the paired difference."""
    places, (before, after, difference) = estimate_sides(task, scores, seed)
    measure, compared = scores.measure, {"before": before, "after": after} if scores.measure.compared else {}
    return Result(
        task.name,
        task.kind.name,
        measure.name,
        measure.higher_is_better,
        len(places),
        before,
        after,
        difference,
        judge_difference(difference, len(places), measure.higher_is_better),
        scores.baselines,
        {side: judge_standing(estimate, scores) for side, estimate in compared.items()},
        {side: find_unreadable(task, sides[side]) for side in SIDES},
    )


def judge_difference(difference: Estimate, rows: int, higher_is_better: bool) -> str:
    """In words, what the paired difference says."""
    if difference.papers < FEW_GROUPS:
        unit = "row" if difference.papers == rows else "paper"
        return f"nothing can be told from {difference.papers} {unit}{'s' * (difference.papers != 1)}"
    if difference.low <= 0 <= difference.high:
        return f"no difference can be told at this size ({rows:,} rows)"
    return f"{'after' if (difference.mean > 0) == higher_is_better else 'before'} is better"


# Tables to look at ---------------------------------------------------------------------------------------------------


def tabulate_tasks(tasks: Sequence[Task]) -> "DataFrame":
    """What the files hold."""
    from pandas import DataFrame

    counts = [(task.name, task.kind.name, len(task.train), len(task.test), len(task.bad)) for task in tasks]
    frame = DataFrame(counts, columns=["task", "kind", "train rows", "test rows", "not usable"]).set_index("task")
    return frame.assign(classes=[dict(count_classes(task.test)) if task.classes else "" for task in tasks])


def tabulate_samples(tasks: Sequence[Task], found: Mapping[str, Mapping[str, Found]], number: int = 2) -> "DataFrame":
    """The first replies of each task that has any, beside the reference."""
    from pandas import DataFrame

    samples = []
    for task in tasks:
        lines = [[found[side][task.name].get(row.row_id, {}) for side in SIDES] for row in task.test]
        written = [pair for pair in zip(task.test, lines) if any({"reply", "answer"} & line.keys() for line in pair[1])]
        for row, both in written[:number]:
            texts = [_read_text(line, line.get("reason", "nothing")) for line in both]
            question = f"{row.instruction} {row.question}".strip()
            samples.append([task.name, row.row_id, question, row.shown or row.answer, *texts])
    return DataFrame(samples, columns=["task", "row", "question", "reference", *SIDES]).set_index(["task", "row"])
