"""The figures of agreement with experts: they take an AgreementReport and return a matplotlib Figure.

draw_agreement follows SciQAG's bars of Spearman and Pearson per dimension (arXiv 2405.09939), which are shown beside as
read off its figure. Style, sizes and saving are those of sciqag_lib.figure_style.
"""

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from sciqag_lib.agreement.analysis import CORRELATIONS, EXPERTS, LENGTH_JUDGE, PUBLISHED_ERROR, AgreementReport
from sciqag_lib.agreement.comparison import MEAN, Comparison
from sciqag_lib.figure_style import (
    BLUE,
    LIGHT,
    PALETTE,
    TWO_COLUMNS,
    center_zero,
    draw_interval,
    label_rows,
    new_figure,
)
from sciqag_lib.metrics.reliability import MEASURES, Agreement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_JUDGES = len(PALETTE)
EXPERTS_COLOR, LENGTH_COLOR = "#555555", LIGHT
GROUP_WIDTH = 0.84  # of the distance between two dimensions
MAX_LABEL = 45  # letters in a line; a legend wider than the figure would be cut
SHUFFLED_LABEL, UNDEFINED_LABEL = "judge's scores shuffled: 97.5% below", "not defined"
Bar = tuple[str, str, list[Agreement]]  # label, colour, one value for each dimension


def draw_agreement(report: AgreementReport) -> "Figure | None":
    """Bars with 95% intervals, a panel for each correlation: judges beside the published one, experts, answer length.

    The line across a judge's bar is the upper end of where 95% of its shuffled scores lie. The first six judges are
    drawn: more would be too thin. None for a report without rows.
    """
    if not report.rows:
        return None
    judges = report.judges[:MAX_JUDGES]
    dimensions = list(dict.fromkeys(row.dimension for row in report.rows))
    title = (
        f"Agreement with experts: {report.num_pairs:,} pairs of {report.num_papers:,} papers, "
        f"{len(report.experts)} expert{'s' * (len(report.experts) > 1)}, scale 1 to {report.scale}"
    )
    with new_figure(title, TWO_COLUMNS, 3.4, ncols=len(CORRELATIONS)) as (figure, panels):
        handles: dict[str, object] = {}
        for axes, measure in zip(panels, CORRELATIONS):
            _draw_panel(axes, report, measure, dimensions, judges)
            handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels())}
        labels = sorted(handles, key=(SHUFFLED_LABEL, UNDEFINED_LABEL).count)  # the bars first
        figure.legend([handles[label] for label in labels], labels, loc="outside lower center", ncols=3)
    return figure


def draw_comparison(report: AgreementReport) -> "Figure | None":
    """The first judge minus the second for each dimension with 95% intervals; filled where they can be told apart.

    None where no two judges are compared.
    """
    first, second, *_ = *report.judges, "", ""
    found = {
        (one.dimension, one.measure): one for one in report.comparisons if (one.first, one.second) == (first, second)
    }
    if not found:
        return None
    dimensions = list(dict.fromkeys(dimension for dimension, _ in found))
    title = f"{first} minus {second}, 95% intervals"
    with new_figure(title, TWO_COLUMNS, 1.3 + 0.26 * len(dimensions), ncols=2) as (figure, (left, right)):
        for axes, measure in ((left, "spearman"), (right, MEAN)):
            _draw_differences(axes, [found.get((dimension, measure)) for dimension in dimensions])
            label_rows(axes, dimensions if axes is left else [], len(dimensions))
        left.set_xlabel(f"difference in agreement with experts, {MEASURES['spearman']}")
        right.set_xlabel("difference in mean score")
        handles = [
            axes.plot([], [], "o", markersize=4, color=BLUE, markerfacecolor=face, label=label)[0]
            for face, label in ((BLUE, "differ"), ("white", "no difference can be told"))
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _draw_panel(axes: "Axes", report: AgreementReport, measure: str, dimensions: list[str], judges: list[str]) -> None:
    bars = _list_bars(report, measure, dimensions, judges)
    published = [report.published[measure].get(name, math.nan) for name in dimensions]
    width = GROUP_WIDTH / (len(bars) + 1)
    start = (width - GROUP_WIDTH) / 2
    places = np.arange(len(dimensions))
    axes.bar(places + start, published, 0.9 * width, color="white", edgecolor="black", linewidth=0.6, hatch="////",
             yerr=PUBLISHED_ERROR, label=report.published_label, error_kw={"elinewidth": 0.8})  # fmt: skip
    for place, bar in enumerate(bars, start=1):
        _draw_bar(axes, places + start + place * width, 0.9 * width, bar, shuffled=bar[0] in judges)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xticks(places, dimensions, rotation=25, ha="right", rotation_mode="anchor")
    low = min([0.0, *(value for _, _, found in bars for one in found for value in (one.low, one.value)
                      if math.isfinite(value))])  # fmt: skip
    axes.set(ylabel=MEASURES[measure], ylim=(max(-1.02, low - 0.05), 1.02))


def _list_bars(report: AgreementReport, measure: str, dimensions: list[str], judges: list[str]) -> list[Bar]:
    raters = list(zip(judges, judges, PALETTE))
    if len(report.experts) > 1:
        raters.append((EXPERTS, "experts against each other", EXPERTS_COLOR))
    raters.append((LENGTH_JUDGE, "answer length as a judge", LENGTH_COLOR))
    bars = []
    for rater, label, color in raters:
        found = [report.find(rater, name, measure) for name in dimensions]
        if any(found):
            bars.append((label, color, [one for one in found if one]))
    return bars


def _draw_bar(axes: "Axes", places: np.ndarray, width: float, bar: Bar, shuffled: bool) -> None:
    from matplotlib.patheffects import withStroke

    label, color, found = bar
    values = np.array([one.value for one in found])
    shown = textwrap.fill(label, MAX_LABEL, max_lines=3, placeholder=" ...")
    shown = f" {shown}" if shown.startswith("_") else shown  # else pyplot takes it for a label to hide
    axes.bar(places, np.nan_to_num(values), width, color=color, label=shown)
    known = np.array([math.isfinite(one.low) for one in found])
    errors = np.array([[one.value - one.low, one.high - one.value] for one in found]).T
    if known.any():
        style = {"fmt": "none", "ecolor": "black", "elinewidth": 0.8, "capsize": 1.5}
        axes.errorbar(places[known], values[known], yerr=np.clip(errors[:, known], 0, None), **style)
    if shuffled:
        line = {"color": "white", "linewidth": 1.2, "solid_capstyle": "butt"}
        line["path_effects"] = [withStroke(linewidth=2.4, foreground="black")]
        for place, one in zip(places, found):
            axes.plot([place - width / 2, place + width / 2], [one.null_high] * 2, zorder=3, **line)
        axes.plot([], [], label=SHUFFLED_LABEL, **line)
    undefined = ~np.isfinite(values)
    if undefined.any():
        axes.plot(
            places[undefined], np.zeros(undefined.sum()), "x", color=color, markersize=4, markeredgewidth=1.2, zorder=4
        )
        axes.plot([], [], "x", color="black", markersize=4, label=UNDEFINED_LABEL)


def _draw_differences(axes: "Axes", found: list[Comparison | None]) -> None:
    center_zero(axes, [value for one in found if one for value in (one.low, one.high, one.difference)], 0.1)
    for row, one in enumerate(found):
        if one is None or math.isnan(one.difference):
            axes.text(0, row, " not compared", va="center", fontsize=6.5)
        else:
            hollow = not (one.low > 0 or one.high < 0)
            draw_interval(axes, row, one.difference, one.low, one.high, hollow=hollow)
    axes.locator_params(axis="x", nbins=6)
