"""Figures of a judge's scores: how they are distributed, and how far they are from those of the null baselines.

    save_figure(draw_score_distributions(report), figures, "score_distributions")
    save_figure(draw_null_differences(report), figures, "null_differences")

Both take a RacarReport and return a matplotlib Figure, which outside a notebook the caller closes.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from sciqag_lib.figure_style import BLUE, LIGHT, ORANGE, TWO_COLUMNS, new_figure
from sciqag_lib.racar.report import ARM_NAMES, DimensionReport, RacarReport

if TYPE_CHECKING:  # pyplot takes a second to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, as in figure_style.
ARM_COLORS = {"own": BLUE, "other_paper": ORANGE, "swapped": "#CC79A7", "bound": "#E69F00"}


def draw_score_distributions(report: RacarReport) -> "Figure":
    """A panel for each dimension: which share of the pairs has each score, beside those of the null baselines."""
    title = f"Scores by {report.model}, beside those of null baselines"
    names = list(report.dimensions)
    with new_figure(title, TWO_COLUMNS, 2.7, ncols=max(1, len(names))) as (figure, panels):
        panels = np.atleast_1d(panels)
        if not names:
            panels[0].text(0.5, 0.5, "nothing was judged", transform=panels[0].transAxes, ha="center")
        for axes, name in zip(panels, names):
            _draw_shares(axes, report.dimensions[name])
            axes.set(title=name, xlabel=f"score ({report.scale})")
        panels[0].set_ylabel("share of scores")
        for axes in panels[1:]:
            axes.set_yticklabels([])
        _add_legend(figure, report)
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
        axes.axvline(0, color="black", linewidth=0.8)
        for place, (_, arm, difference) in enumerate(rows):
            color = ARM_COLORS[arm]
            if not math.isnan(difference.low):
                axes.plot([difference.low, difference.high], [place, place], color=color, linewidth=1.8)
            if not math.isnan(difference.mean):
                fill = color if difference.low > 0 else "white"
                axes.plot([difference.mean], [place], "o", markersize=4, color=color, markerfacecolor=fill)
        axes.set_yticks(range(len(rows)), [f"{name}: {ARM_NAMES[arm]}" for name, arm, _ in rows])
        legend = "line: 95% interval over papers; hollow: not told apart, or no interval"
        axes.set(ylim=(max(1, len(rows)) - 0.5, -0.5), xlabel=f"points of the scale {report.scale}; {legend}")
        ends = [abs(end) for *_, each in rows for end in (each.low, each.high, each.mean) if not math.isnan(end)]
        widest = max(ends, default=0)
        axes.set_xlim(-1.1 * max(0.5, widest), 1.1 * max(0.5, widest))
        axes.grid(axis="x", color=LIGHT, linewidth=0.4)
        axes.set_axisbelow(True)
        if not rows:
            axes.text(0.5, 0.5, "no null baseline was judged", transform=axes.transAxes, ha="center")
    return figure


def _draw_shares(axes: "Axes", dimension: DimensionReport) -> None:
    series = {"own": dimension.counts, **{arm: null.counts for arm, null in dimension.nulls.items()}}
    width = 0.8 / len(series)
    levels = np.arange(1, len(dimension.counts) + 1)
    for place, (arm, counts) in enumerate(series.items()):
        shares = np.asarray(counts) / (sum(counts) or 1)
        axes.bar(levels + (place - (len(series) - 1) / 2) * width, shares, width, color=ARM_COLORS[arm])
    if not sum(dimension.counts):
        axes.text(0.5, 0.5, "no scores", transform=axes.transAxes, ha="center")
    axes.set(ylim=(0, 1.02), xticks=levels)


def _add_legend(figure: "Figure", report: RacarReport) -> None:
    from matplotlib.patches import Patch

    used = {"own", *(arm for dimension in report.dimensions.values() for arm in dimension.nulls)}
    handles = [Patch(color=color, label=ARM_NAMES[arm]) for arm, color in ARM_COLORS.items() if arm in used]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
