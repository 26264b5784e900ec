"""Figures of a judge's scores: how they are distributed, and how far they are from those of the null baselines.

    save_figure(draw_score_distributions(report), figures, "score_distributions")
    save_figure(draw_null_differences(report), figures, "null_differences")

Both take a RacarReport and return a matplotlib Figure, which outside a notebook the caller closes.
"""

from typing import TYPE_CHECKING

import numpy as np

from sciqag_lib.figure_style import (
    PALETTE,
    TWO_COLUMNS,
    add_legend,
    center_zero,
    draw_interval,
    label_rows,
    new_figure,
    say,
)
from sciqag_lib.racar.report import ARM_NAMES, DimensionReport, RacarReport

if TYPE_CHECKING:  # pyplot takes a second to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARM_COLORS = dict(zip(("own", "other_paper", "swapped", "bound"), (PALETTE[number] for number in (0, 1, 3, 4))))


def draw_score_distributions(report: RacarReport) -> "Figure":
    """A panel for each dimension: which share of the pairs has each score, beside those of the null baselines."""
    title = f"Scores by {report.model}, beside those of null baselines"
    names = list(report.dimensions)
    with new_figure(title, TWO_COLUMNS, 2.7, ncols=max(1, len(names))) as (figure, panels):
        panels = np.atleast_1d(panels)
        if not names:
            say(panels[0], "nothing was judged")
        for axes, name in zip(panels, names):
            _draw_shares(axes, report.dimensions[name])
            axes.set(title=name, xlabel=f"score ({report.scale})")
        panels[0].set_ylabel("share of scores")
        for axes in panels[1:]:
            axes.set_yticklabels([])
        used = {"own", *(arm for dimension in report.dimensions.values() for arm in dimension.nulls)}
        add_legend(figure, ARM_COLORS, ARM_NAMES, used)
    return figure


def draw_null_differences(report: RacarReport) -> "Figure":
    """For each dimension and baseline the mean difference to the own pairs with its 95% interval: an interval that
    holds 0 is a judge that does not tell them apart."""
    rows = [
        (name, arm, null.difference)
        for name, dimension in report.dimensions.items()
        for arm, null in dimension.nulls.items()
    ]
    height = 1.1 + 0.24 * max(1, len(rows))
    with new_figure("Own pairs less null baseline, mean over papers", TWO_COLUMNS, height) as (figure, axes):
        center_zero(axes, [end for *_, found in rows for end in (found.low, found.high, found.mean)], 0.5)
        for place, (_, arm, found) in enumerate(rows):
            hollow = not found.low > 0
            draw_interval(axes, place, found.mean, found.low, found.high, ARM_COLORS[arm], hollow)
        label_rows(axes, [f"{name}: {ARM_NAMES[arm]}" for name, arm, _ in rows])
        note = "line: 95% interval over papers; hollow: not told apart, or no interval"
        axes.set_xlabel(f"points of the scale {report.scale}; {note}")
        if not rows:
            say(axes, "no null baseline was judged")
    return figure


def _draw_shares(axes: "Axes", dimension: DimensionReport) -> None:
    series = {"own": dimension.counts, **{arm: null.counts for arm, null in dimension.nulls.items()}}
    width = 0.8 / len(series)
    levels = np.arange(1, len(dimension.counts) + 1)
    for place, (arm, counts) in enumerate(series.items()):
        shares = np.asarray(counts) / (sum(counts) or 1)
        axes.bar(levels + (place - (len(series) - 1) / 2) * width, shares, width, color=ARM_COLORS[arm])
    if not sum(dimension.counts):
        say(axes, "no scores")
    axes.set(ylim=(0, 1.02), xticks=levels)
