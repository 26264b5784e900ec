"""How far judges agree with experts, and experts among each other, for each of RACAR's five dimensions.

SciQAG (arXiv 2405.09939) reports Spearman's and Pearson's correlation of its judge with 2 experts on 100 pairs, as
bars in a figure; here they are shown beside the same measures of any table of scores (score_table.py), with
Krippendorff's alpha, which also sees a judge that ranks well and scores too high. Version 1:

1. A judge is compared with the experts' mean, on the pairs it and at least two experts scored (one expert, where only
   one scores the dimension). Experts are compared with each other: alpha of all, correlations as means over each two.
2. Intervals are 95%, papers resampled with all their pairs.
3. Null baselines: the judge's scores shuffled over the pairs, and, where lengths are given, the length of the answer
   in place of a judge.

A row of agreement.parquet (also .csv); null_low to null_high is where 95% of the shuffles lie:

    rater,against,dimension,measure,value,low,high,pairs,papers,null,null_low,null_high,published,reason
    judge a,experts' mean,relevance,spearman,0.6403,0.5178,0.7466,48,12,0.0032,-0.287,0.2876,0.78,
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciqag_lib.agreement.comparison import Comparison, compare_agreement, compare_judges
from sciqag_lib.agreement.score_table import DIMENSIONS, Paths, ScoreTable, read_scores
from sciqag_lib.errors import InputError
from sciqag_lib.metrics.reliability import MEASURES, Agreement, measure_agreement
from sciqag_lib.tables import write_report, write_tables

if TYPE_CHECKING:
    import pandas

VERSION = 1
REPORT = "agreement.json"
CORRELATIONS = ("spearman", "pearson")
PUBLISHED = {  # read off a figure, each within 0.01: the judge against 2 experts on 100 pairs
    "spearman": dict(zip(DIMENSIONS, (0.78, 0.63, 0.68, 0.65, 0.73))),
    "pearson": dict(zip(DIMENSIONS, (0.75, 0.60, 0.67, 0.66, 0.74))),
}
MEAN_OF_EXPERTS = "experts' mean"
PUBLISHED_ERROR = 0.01
PUBLISHED_LABEL = "published (read off a figure, \u00b10.01)"
NO_JUDGES = EXPERTS, LENGTH_JUDGE = "experts", "answer length"  # the raters of rows that are no judge's
FEW_PAPERS = 20  # simulated raters, 5 pairs a paper: 90% of the intervals over 10 papers hold the truth, over 20 or 50
# papers 91 to 96%
TABLES = {
    "agreement": dict.fromkeys(("rater", "against", "dimension", "measure"), "text")
    | {"value": "real", "low": "real", "high": "real", "pairs": "whole", "papers": "whole"}
    | {"null": "real", "null_low": "real", "null_high": "real", "published": "real", "reason": "text"},
    "comparisons": dict.fromkeys(("first", "second", "dimension", "measure"), "text")
    | dict.fromkeys(("value_first", "value_second", "difference", "low", "high"), "real")
    | {"pairs": "whole", "papers": "whole", "verdict": "text"},
    "left_out": dict.fromkeys(("dimension", "rater", "paper", "pair", "reason"), "text"),
}


@dataclass(frozen=True)
class AgreementRow:
    rater: str  # a judge, "experts" or "answer length"
    against: str  # "experts' mean", or "each other"
    dimension: str
    measure: str
    result: Agreement
    published: float | None  # of SciQAG's judge; read off a figure


@dataclass
class AgreementReport:
    """Contents of agreement.json."""

    scale: int
    experts: list[str] = field(default_factory=list)
    judges: list[str] = field(default_factory=list)
    num_pairs: int = 0
    num_papers: int = 0
    rows: list[AgreementRow] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)  # two judges each, or a judge and the answer's length
    left_out: list[dict[str, str]] = field(default_factory=list)  # scores that no measure could use, and why
    bad: list[str] = field(default_factory=list)  # rows of the files that could not be used, with line and column
    notes: list[str] = field(default_factory=list)
    published_label: str = PUBLISHED_LABEL
    published: dict[str, dict[str, float]] = field(default_factory=lambda: PUBLISHED)
    version: int = VERSION

    def find(self, rater: str, dimension: str, measure: str) -> Agreement | None:
        keys = (rater, dimension, measure)
        return next((row.result for row in self.rows if (row.rater, row.dimension, row.measure) == keys), None)

    def to_frame(self) -> "pandas.DataFrame":
        """A row for each rater and dimension: agreement by measure, beside where 95% of the shuffles lie and what was
        published (read off a figure)."""
        import pandas

        rows = [
            {
                "rater": row.rater,
                "dimension": row.dimension,
                "pairs": row.result.pairs,
                "measure": MEASURES[row.measure],
                "agreement": str(row.result),
                "shuffled": f"{row.result.null_low:.2f} to {row.result.null_high:.2f}".replace("nan to nan", ""),
                "published": "" if row.published is None else f"{row.published:.2f}",
            }
            for row in self.rows
            if row.rater != EXPERTS or len(self.experts) > 1
        ]
        if not rows:
            return pandas.DataFrame()
        frame = pandas.DataFrame(rows).set_index(["rater", "dimension", "pairs", "measure"]).unstack(sort=False)
        frame = frame.fillna("")
        return frame.loc[:, (frame != "").any()]


def analyse_agreement(
    path: Paths, output_dir: str | Path, scale: int = 3, seed: int = 0, judges: Mapping[str, str | Path] | None = None
) -> AgreementReport:
    """Measure agreement in a table of scores, or in several; `judges` adds what 05_evaluation wrote: name, path.

    Writes agreement, comparisons and left_out (.parquet and .csv) and agreement.json into `output_dir`. InputError: as
    score_table.read_scores, or there is no expert in the table, or nobody to compare a single expert with, or a rater
    has the name of other rows of the results, "experts" or "answer length".
    """
    table = read_scores(path, scale, judges)
    experts, names = table.of_kind("expert"), table.of_kind("judge")
    if not experts or len(table.raters) < 2:
        raise InputError(
            f"{path}: expected an expert and somebody to compare with, found {len(experts)} experts and "
            f"{len(names)} judges; the column kind says who is which"
        )
    taken = next((name for name in table.raters if name in NO_JUDGES), None)
    if taken:
        raise InputError(f"{path}: a rater is called {taken!r}, which names other rows of the results; rename it")
    rows, comparisons, left_out = [], [], []
    for dimension in DIMENSIONS:
        if any(found == dimension for found, _ in table.scores):
            rows += _measure_dimension(table, dimension, seed)
            left_out += _find_left_out(table, dimension)
            comparisons += _compare_with_length(table, dimension, seed)
    for first, second in combinations(names, 2):
        comparisons += compare_judges(table, first, second, seed)
    report = AgreementReport(
        scale,
        experts,
        names,
        num_pairs=len(table.pairs),
        num_papers=len(np.unique(table.papers)),
        rows=rows,
        comparisons=comparisons,
        left_out=left_out,
        bad=[str(record) for record in table.bad],
        notes=table.notes,
    )
    report.notes += _describe_left_out(left_out) + _describe_limits(report)
    with write_tables(Path(output_dir), TABLES) as tables:
        tables["agreement"].add(_round({**asdict(row), **asdict(row.result)}) for row in rows)
        tables["comparisons"].add(_round(asdict(row)) for row in comparisons)
        tables["left_out"].add(left_out)
    write_report(Path(output_dir) / REPORT, report)
    return report


def _measure_dimension(table: ScoreTable, dimension: str, seed: int) -> list[AgreementRow]:
    experts, mean, rows = table.of_kind("expert"), table.experts_mean(dimension), []
    compared = {judge: (table.ratings(dimension, [judge]), tuple(MEASURES)) for judge in table.of_kind("judge")}
    if np.isfinite(table.lengths).any():
        compared[LENGTH_JUDGE] = table.lengths, CORRELATIONS
    sides = [(EXPERTS, "each other", table.ratings(dimension, experts), experts, tuple(MEASURES))]
    for rater, (column, measures) in compared.items():
        ratings = np.column_stack([column, mean])
        sides.append((rater, MEAN_OF_EXPERTS, ratings, (rater, MEAN_OF_EXPERTS), measures))
    for rater, against, ratings, names, measures in sides:
        for measure in measures:
            result = measure_agreement(measure, ratings, table.papers, seed, shuffle=rater != EXPERTS, names=names)
            published = None if rater in NO_JUDGES else PUBLISHED.get(measure, {}).get(dimension)
            rows.append(AgreementRow(rater, against, dimension, measure, result, published))
    return rows


def _compare_with_length(table: ScoreTable, dimension: str, seed: int) -> list[Comparison]:
    """A judge must agree more than the length of the answer does: longer answers tend to be scored higher."""
    if not np.isfinite(table.lengths).any():
        return []
    mean, results = table.experts_mean(dimension), []
    for judge in table.of_kind("judge"):
        if (dimension, judge) in table.scores:
            ratings, names = np.column_stack([table.ratings(dimension, [judge]), table.lengths]), (judge, LENGTH_JUDGE)
            results += compare_agreement(names, dimension, ratings, mean, table.papers, CORRELATIONS, seed)
    return results


def _find_left_out(table: ScoreTable, dimension: str) -> list[dict[str, str]]:
    """Scores of pairs that too few others scored."""
    usable, found = np.isfinite(table.experts_mean(dimension)), []
    for rater, kind in table.raters.items():
        scored = np.isfinite(table.ratings(dimension, [rater])[:, 0])
        reason = "no other expert scored it" if kind == "expert" else "too few experts scored it"
        cases = [(scored & ~usable, reason)]
        if kind == "judge" and scored.any():
            cases.append((usable & ~scored, "the experts scored it, this judge did not"))
        for left_out, reason in cases:
            for place in np.flatnonzero(left_out):
                found.append(dict(zip(TABLES["left_out"], (dimension, rater, *table.pairs[place], reason))))
    return found


def _describe_left_out(left_out: list[dict[str, str]]) -> list[str]:
    """One note for the same pairs left out for the same reason, whichever the dimensions."""
    import pandas

    frame = pandas.DataFrame(left_out, columns=list(TABLES["left_out"]), dtype=object)
    frame["pairs"] = frame["paper"] + " pair " + frame["pair"]
    groups = frame.groupby(["rater", "reason", "dimension"], sort=False)["pairs"].agg(tuple).reset_index()
    groups = groups.groupby(["rater", "reason", "pairs"], sort=False)["dimension"].agg(", ".join)
    return [
        f"{rater}: {len(pairs):,} pair{'s' * (len(pairs) > 1)} left out of {dimensions}, {reason}: "
        + ", ".join(pairs[:3])
        + ", ..." * (len(pairs) > 3)
        for (rater, reason, pairs), dimensions in groups.items()
    ]


def _describe_limits(report: AgreementReport) -> list[str]:
    """What is undefined, what is no better than chance, and what the numbers can't carry; each once."""
    notes = []
    if len(report.experts) == 1:
        notes.append(
            f"one expert, {report.experts[0]!r}: experts can't be compared with each other, and judges are "
            f"compared with this one"
        )
    if report.num_papers < FEW_PAPERS:
        notes.append(
            f"the intervals are somewhat too narrow: papers are what is resampled, and there are "
            f"{report.num_papers} of them; have scores from {FEW_PAPERS} or more"
        )
    notes += _describe_reasons(report)
    for judge in report.judges:
        own = [row for row in report.rows if (row.rater, row.measure) == (judge, "spearman")]
        weak = [row.dimension for row in own if math.isfinite(row.result.value) and not row.result.above_chance]
        if weak:
            notes.append(f"{judge}: can't be told from its own scores shuffled, by Spearman, for {', '.join(weak)}")
    return notes


def _describe_reasons(report: AgreementReport) -> list[str]:
    places: dict[tuple[str, str], list[AgreementRow]] = {}
    for row in report.rows:
        if row.result.reason and not (row.rater == EXPERTS and len(report.experts) == 1):
            places.setdefault((row.rater, row.result.reason), []).append(row)
    return [
        f"{rater}, {', '.join(dict.fromkeys(row.dimension for row in rows))} "
        f"({', '.join(dict.fromkeys(MEASURES[row.measure] for row in rows))}): {reason}"
        for (rater, reason), rows in places.items()
    ]


def _round(row: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}


def tabulate_comparisons(comparisons: Sequence[Comparison]) -> "pandas.DataFrame":
    """The difference of each two that were compared, its interval and the verdict, by one measure of each kind."""
    import pandas

    rows = [
        {
            "first": one.first,
            "second": one.second,
            "dimension": one.dimension,
            "measure": MEASURES.get(one.measure, "mean score"),
            "difference": "" if math.isnan(one.difference) else f"{one.difference:+.2f}",
            "interval": "" if math.isnan(one.low) else f"{one.low:+.2f} to {one.high:+.2f}",
            "pairs": one.pairs,
            "papers": one.papers,
            "verdict": one.verdict.removesuffix(f" ({one.pairs:,} of {one.papers:,} papers)"),
        }
        for one in comparisons
        if one.measure not in ("pearson", "alpha_interval")
    ]
    return pandas.DataFrame(rows)
