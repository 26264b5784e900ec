"""Figures of the downstream comparison: before and after with intervals and null baselines, and the published claim.

    save_figure(draw_comparison(report), figures, "before_after")

Both return a matplotlib Figure, which outside a notebook the caller closes. What is published is hollow and grey, and
has a figure of its own: other rows, and a model of 7 billion weights.
"""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sciqag_lib.downstream.run import SIDES, DownstreamReport, Result
from sciqag_lib.figure_style import BLUE, LIGHT, ORANGE, TWO_COLUMNS, draw_interval, new_figure

if TYPE_CHECKING:  # pyplot takes a second to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = {"before": ORANGE, "after": BLUE}
NULL_MARKS = (":", "--")  # lines of the null baselines, in the order of the report
COLUMNS = 2  # panels side by side
PANEL_HEIGHT = 1.3  # inches
SHARES = ("accuracy", "macro F1", "token F1", "ROUGE-L")  # 0-1


def draw_comparison(report: DownstreamReport) -> "Figure":
    """A panel for each measure of each task: both models with their 95% intervals, null baselines as lines."""
    results = [result for result in report.results if result.before.papers]
    rows = math.ceil(len(results) / COLUMNS) or 1
    title = "Before and after training: mean and 95% interval, on the same rows"
    with new_figure(title, TWO_COLUMNS, 0.4 + PANEL_HEIGHT * rows) as (figure, first):
        first.remove()
        panels = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
        for axes, result in zip(panels, results):
            _draw_panel(axes, result)
        for axes in panels[len(results) :]:
            axes.set_axis_off()
        if not results:
            figure.text(0.5, 0.4, "nothing was measured of both models", ha="center")
    return figure


def _draw_panel(axes: "Axes", result: Result) -> None:
    for (name, value), mark in zip(result.nulls.items(), NULL_MARKS):
        axes.axvline(value, color="#606060", linewidth=0.9, linestyle=mark, label=f"{name} {value:.3g}")
    for place, side in enumerate(SIDES):
        estimate = getattr(result, side)
        draw_interval(axes, place, estimate.mean, estimate.low, estimate.high, COLORS[side])
    axes.set_yticks(range(len(SIDES)), SIDES)
    axes.set_ylim(len(SIDES) - 0.4, -1.9)  # the room above is the legend's
    if result.measure in SHARES:
        axes.set_xlim(-0.03, 1.03)
    axes.set_title(
        textwrap.shorten(result.task, 40, placeholder=" \u2026") + f": {result.verdict}",
        fontsize="small",
        color="black" if result.verdict.endswith("is better") else "#606060",
    )
    axes.set_xlabel(f"{result.measure} ({'higher' if result.higher_is_better else 'lower'} is better)")
    axes.legend(loc="upper left", frameon=True, framealpha=1.0, edgecolor="none", fontsize="x-small", borderpad=0.2)
    axes.grid(axis="x", color=LIGHT, linewidth=0.3)
    axes.set_axisbelow(True)


def draw_published(published: Sequence[dict[str, Any]]) -> "Figure":
    """The published numbers before and after: shares left, where more is better, and right the error after training as
    a share of that before, since errors of different quantities share no scale."""
    shares = [row for row in published if row["kind"] != "regression"]
    errors = [row for row in published if row["kind"] == "regression"]
    title = "Published for LLaMA1-7B, before and after training on SciQAG (arXiv 2405.09939): no intervals, other rows"
    with new_figure(title, TWO_COLUMNS, 0.9 + 0.22 * max(len(shares), len(errors)), ncols=2) as (figure, (left, right)):
        for place, row in enumerate(shares):
            _draw_pair(left, place, row["before"], row["after"])
        for place, row in enumerate(errors):
            _draw_pair(right, place, 1.0, row["after"] / row["before"])
        for axes, rows, label in (
            (left, shares, "accuracy or F1 (higher is better)"),
            (right, errors, "mean absolute error / that before (lower is better)"),
        ):
            axes.set_yticks(range(len(rows)), [f"{row['task']} ({row['measure']})" for row in rows])
            axes.set_ylim(len(rows) - 0.5, -0.5)
            axes.set_xlabel(label)
            axes.grid(axis="y", color=LIGHT, linewidth=0.3)
        left.set_xlim(0.5, 1.02)
        right.set_xlim(0.3, 1.1)
    return figure


def _draw_pair(axes: "Axes", place: float, before: float, after: float) -> None:
    style = {"arrowstyle": "->", "color": "#808080", "linewidth": 0.8}
    axes.annotate("", (after, place), (before, place), arrowprops=style)
    axes.plot([before], [place], "o", markersize=4.5, color="white", markeredgecolor="#808080")
    axes.plot([after], [place], "o", markersize=4.5, color="#808080")
