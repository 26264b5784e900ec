"""Model against model: two benchmark runs on one test file, question by question.

    compare_runs("runs/mine", "runs/other").to_frame()

Only questions that both answered count. The difference has a paired bootstrap interval (95%), and a p value from
scipy's permutation test, which turns the sign of each paper's, or question's, difference. A verdict takes both. Each
stands for itself: of twenty comparisons of equals one is expected to seem to differ.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciqag_lib.benchmark.judging import DIMENSIONS
from sciqag_lib.benchmark.report import REPORT, read_json
from sciqag_lib.errors import InputError
from sciqag_lib.metrics.intervals import NOTHING, Estimate, bootstrap_mean
from sciqag_lib.metrics.text_overlap import MEASURES
from sciqag_lib.tables import show_notes

if TYPE_CHECKING:  # pandas takes a second to import
    from pandas import DataFrame

NUM_PERMUTATIONS = 9999
BATCH_VALUES = 2_000_000  # numbers in an array at once
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class PairedComparison:
    """first minus second, on the questions that both have a score for."""

    dimension: str
    value_first: float
    value_second: float
    difference: Estimate
    p_value: float  # two-sided; nan where there is no question
    questions: int
    verdict: str


@dataclass
class RunComparison:
    first: str  # what to call the runs
    second: str
    comparisons: list[PairedComparison]
    notes: list[str] = field(default_factory=list)  # what could not be compared, and why

    def to_frame(self) -> "DataFrame":
        """One row per dimension or measure: both means, their difference with its 95% interval, p value, verdict."""
        import pandas

        texts = [{"difference": str(each.difference), "p_value": f"{each.p_value:.3g}"} for each in self.comparisons]
        rows = [{**vars(each), **text} for each, text in zip(self.comparisons, texts)]
        names = {"value_first": "first", "value_second": "second", "p_value": "p"}
        return pandas.DataFrame(rows).round(3).rename(columns=names)


def compare_runs(first_dir: str | Path, second_dir: str | Path, seed: int = 0) -> RunComparison:
    """Compare two runs' answers. InputError: a run is not there, or the two answered different test files. What was
    judged by different judges, or embedded by different encoders, is not compared, and noted."""
    folders = Path(first_dir), Path(second_dir)
    reports = [read_json(folder / REPORT) for folder in folders]
    _check_files(reports, folders)
    names, notes = _name_runs(reports, folders), []
    dimensions = [name for name in (*DIMENSIONS, *MEASURES) if all(name in report["dimensions"] for report in reports)]
    for compared, what, each in (
        (DIMENSIONS, "judges", [_describe_judge(report) for report in reports]),
        (MEASURES, "versions of the measures", [report["versions"]["measures"] for report in reports]),
        (("embedding_similarity",), "encoders", [report["encoder"] for report in reports]),
    ):
        if each[0] != each[1] and set(compared) & set(dimensions):
            dimensions = [name for name in dimensions if name not in compared]
            notes.append(f"not compared, since the {what} differ: {', '.join(compared)} ({each[0]}; {each[1]})")
    tables = [_read_own(folder) for folder in folders]
    return RunComparison(*names, [_compare(names, name, tables, seed) for name in dimensions], notes)


def _check_files(reports: list[dict[str, Any]], folders: tuple[Path, Path]) -> None:
    files = [report["test_file"] for report in reports]
    if files[0]["digest"] != files[1]["digest"]:
        described = [
            f"{folder.name}: {file['name']} ({file['questions']:,} questions, {file['digest']})"
            for folder, file in zip(folders, files)
        ]
        raise InputError(
            f"compare_with: expected two runs on one test file, found {described[0]} and {described[1]}; "
            "their questions or reference answers differ"
        )


def _name_runs(reports: list[dict[str, Any]], folders: tuple[Path, Path]) -> tuple[str, str]:
    """Model and way; the folder as well where these are the same."""
    first, second = (f"{report['model']}, {report['way']}" for report in reports)
    return (first, second) if first != second else (f"{first} [{folders[0].name}]", f"{second} [{folders[1].name}]")


def _describe_judge(report: dict[str, Any]) -> str:
    settings = report["judge_settings"]
    return f"{report['judge'] or 'no judge'}, {settings.get('prompt', 'no prompt')}, version {settings.get('version')}"


def _read_own(folder: Path) -> "DataFrame":
    """The scores of the run's own answers: id, dimension, score, and group, the question's paper or else its id."""
    import pandas

    rows = pandas.read_parquet(folder / "scores.parquet", columns=["id", "doi", "arm", "dimension", "score"])
    own = rows[(rows["arm"] == "own") & rows["score"].notna()]
    return own.assign(group=own["doi"].where(own["doi"].fillna("") != "", own["id"])).set_index("id")


def _compare(names: tuple[str, str], dimension: str, tables: list["DataFrame"], seed: int) -> PairedComparison:
    first, second = (table[table["dimension"] == dimension] for table in tables)
    both = first.join(second["score"].rename("second"), how="inner").sort_index()
    if both.empty:
        verdict = "not compared (no question has a score in both)"
        return PairedComparison(dimension, math.nan, math.nan, NOTHING, math.nan, 0, verdict)
    values = both["score"].to_numpy(), both["second"].to_numpy()
    differences, groups = values[0] - values[1], np.unique(both["group"], return_inverse=True)[1]
    difference = bootstrap_mean(differences, groups, seed)
    p_value = measure_chance(np.bincount(groups, differences), seed)
    means, verdict = [float(each.mean()) for each in values], _judge(names, difference, p_value, len(both))
    return PairedComparison(dimension, *means, difference, p_value, len(both), verdict)


def measure_chance(sums: np.ndarray, seed: int = 0) -> float:
    """Two-sided p value of differences (papers,) that are as likely to be the other way round; exact for few."""
    from scipy.stats import permutation_test

    if not np.any(sums):
        return 1.0
    result = permutation_test(
        (sums,),
        lambda values, axis: values.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=NUM_PERMUTATIONS,
        batch=max(1, BATCH_VALUES // len(sums)),
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def _judge(names: tuple[str, str], difference: Estimate, p_value: float, questions: int) -> str:
    if math.isnan(difference.low):
        return "not told (no interval from one question, or one paper)"
    if p_value < SIGNIFICANT and (difference.low > 0 or difference.high < 0):
        return f"{names[0] if difference.low > 0 else names[1]} scores higher"
    return f"no difference can be told from this many questions ({questions:,})"


def show_comparison(comparison: RunComparison) -> None:
    """Print which runs are compared, and what could not be."""
    print(f"first:  {comparison.first}\nsecond: {comparison.second}")
    show_notes(comparison.notes, len(comparison.notes), REPORT)
