"""Figures of a benchmark run: the answers beside the published rows, by category, and beside null baselines.

    save_figure(draw_published(report), figures, "published")

All take a BenchmarkReport and return a matplotlib Figure, which outside a notebook the caller closes. What is published
is grey and hatched: another judge scored it.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from sciqag_lib.benchmark.judging import DIMENSIONS, TOP
from sciqag_lib.benchmark.report import ARM_NAMES, BenchmarkReport
from sciqag_lib.figure_style import LIGHT, PALETTE, TWO_COLUMNS, add_legend, draw_interval, new_figure, say
from sciqag_lib.metrics.intervals import Estimate
from sciqag_lib.metrics.text_overlap import MEASURES

if TYPE_CHECKING:  # pyplot takes a second to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARM_COLORS = dict(zip(("own", "reference", "other", "empty", "question"), (PALETTE[n] for n in (0, 2, 1, 3, 4))))
NO_SCORES = "not judged"
NO_LENGTH = 0.01  # of the axis: a shorter bar looks forgotten, and gets a mark


def draw_published(report: BenchmarkReport) -> "Figure":
    """A panel for each dimension: this run and the reference answers with their intervals, as this run's judge scores
    them, over the published means, which another judge gave."""
    judged = [name for name in DIMENSIONS if name in report.dimensions]
    has_reference = any("reference" in report.dimensions[name].list_arms() for name in judged)
    rows = ["this run", *(["reference answers"] if has_reference else [])]
    names = rows + [f"{row['model']}" for row in report.published]
    title = f"{report.model}, {report.way}: judged by {report.judge or 'nobody'}"
    with new_figure(title, TWO_COLUMNS, 1.3 + 0.2 * len(names), ncols=len(DIMENSIONS)) as (figure, panels):
        for axes, name in zip(panels, DIMENSIONS):
            if name in judged:
                _draw_own(axes, report, name, len(rows))
            else:
                say(axes, NO_SCORES, 0.85)
            for place, row in enumerate(report.published, start=len(rows)):
                style = {"color": "#E4E4E4", "edgecolor": "#808080", "hatch": "////", "linewidth": 0.5}
                axes.barh(place, row[name] - 1, left=1, height=0.7, **style)
            axes.axhline(len(rows) - 0.5, color="black", linewidth=0.6, linestyle=":")
            axes.set(title=name, xlim=(1, TOP), ylim=(len(names) - 0.5, -0.5), xticks=range(1, TOP + 1))
            axes.set_yticks(range(len(names)), names if axes is panels[0] else [])
        figure.supxlabel(
            "score, 1-5; line: 95% interval. Hatched: published, with another judge and prompt", fontsize=7
        )
    return figure


def _draw_own(axes: "Axes", report: BenchmarkReport, name: str, num_rows: int) -> None:
    arms = report.dimensions[name].list_arms()
    for place, arm in enumerate(("own", "reference")[:num_rows]):
        if arm in arms:
            axes.barh(place, arms[arm].mean - 1, left=1, height=0.7, color=ARM_COLORS[arm])
            if arms[arm].mean - 1 < NO_LENGTH * (TOP - 1):
                style = {"marker": "|", "markersize": 10, "markeredgewidth": 4, "clip_on": False}
                axes.plot([1], [place], color=ARM_COLORS[arm], **style)
            _draw_line(axes, arms[arm], place)


def _draw_line(axes: "Axes", estimate: Estimate, place: float, upright: bool = False) -> None:
    if not math.isnan(estimate.low):
        ends, places = [estimate.low, estimate.high], [place, place]
        axes.plot(*((places, ends) if upright else (ends, places)), color="black", linewidth=1.1)


def draw_categories(report: BenchmarkReport) -> "Figure":
    """Mean and interval of the answers in each category, and over all of them (the line): a panel for each dimension
    of the judge, or for each measure where nothing was judged."""
    names = [name for name in DIMENSIONS if name in report.dimensions] or list(report.dimensions)
    categories = [name for name in report.categories if name]
    height = 1.2 + 0.17 * max(1, len(categories))
    with new_figure("Scores by category", TWO_COLUMNS, height, ncols=max(1, len(names))) as (figure, panels):
        panels = np.atleast_1d(panels)
        for axes, name in zip(panels, names):
            _draw_category_panel(axes, report, name, categories)
        if not categories or not names:
            say(panels[0], "no question of the file has a category")
        else:
            labels = [f"{name} ({report.categories[name]:,})" for name in categories]
            panels[0].set_yticks(range(len(categories)), labels)
        figure.supxlabel("mean; line: 95% interval; in brackets the answered questions", fontsize=7)
    return figure


def _draw_category_panel(axes: "Axes", report: BenchmarkReport, name: str, categories: list[str]) -> None:
    dimension = report.dimensions[name]
    axes.axvline(dimension.score.mean, color=LIGHT, linewidth=1.0)
    for place, category in enumerate(categories):
        estimate = dimension.categories.get(category)
        if estimate is not None and estimate.papers:
            draw_interval(axes, place, estimate.mean, estimate.low, estimate.high)
    low, high = (1, TOP) if name in DIMENSIONS else (0, 1)
    margin = 0.03 * (high - low)  # a dot at the end of the scale is whole
    axes.set(
        title=MEASURES.get(name, name), xlim=(low - margin, high + margin), ylim=(max(1, len(categories)) - 0.5, -0.5)
    )
    axes.set_yticks(range(len(categories)), [])
    if name in DIMENSIONS:
        axes.set_xticks(range(1, TOP + 1))
    axes.grid(axis="y", color=LIGHT, linewidth=0.3)
    axes.set_axisbelow(True)


def draw_nulls(report: BenchmarkReport) -> "Figure":
    """The answers beside null baselines: left what the judge gave, 1-5, right the measures against the reference."""
    with new_figure("Answers beside null baselines", TWO_COLUMNS, 2.9, ncols=2) as (figure, (left, right)):
        for axes, names, low, high in ((left, DIMENSIONS, 1, TOP), (right, MEASURES, 0, 1)):
            names = [name for name in names if name in report.dimensions]
            for place, name in enumerate(names):
                _draw_arms(axes, report, name, place, low)
            axes.set_xticks(range(len(names)), [MEASURES.get(name, name).replace(" ", "\n") for name in names])
            axes.set_ylim(low, high)
            if not names:
                say(axes, NO_SCORES if axes is left else "no reference answer")
        left.set_yticks(range(1, TOP + 1))
        left.set_ylabel("judge's score, 1-5")
        right.set_ylabel("against the reference, 0-1")
        used = {arm for dimension in report.dimensions.values() for arm in dimension.list_arms()}
        add_legend(figure, ARM_COLORS, {**ARM_NAMES, "own": "the answers"}, used)
    return figure


def _draw_arms(axes: "Axes", report: BenchmarkReport, name: str, place: int, low: float) -> None:
    arms = report.dimensions[name].list_arms()
    arms = {arm: arms[arm] for arm in ARM_COLORS if arm in arms}
    width = 0.8 / max(1, len(arms))
    for number, (arm, estimate) in enumerate(arms.items()):
        x = place + (number - (len(arms) - 1) / 2) * width
        axes.bar(x, estimate.mean - low, width, bottom=low, color=ARM_COLORS[arm])
        _draw_line(axes, estimate, x, upright=True)
        if abs(estimate.mean - low) < NO_LENGTH * (1 if low == 0 else TOP - 1):
            style = {"marker": "_", "markersize": 60 * width, "markeredgewidth": 2, "clip_on": False}
            axes.plot([x], [low], color=ARM_COLORS[arm], **style)
