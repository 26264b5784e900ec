"""The figures of agreement with experts: they take an AgreementReport and return a matplotlib Figure.

draw_agreement follows SciQAG's bars of Spearman and Pearson per dimension (arXiv 2405.09939), which are shown beside as
read off its figure. Style, sizes and saving are those of sciqag_lib.figure_style.
"""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sciqag_lib.agreement.analysis import CORRELATIONS, EXPERTS, LENGTH_JUDGE, PUBLISHED_ERROR, AgreementReport
from sciqag_lib.agreement.comparison import MEAN, Comparison
from sciqag_lib.figure_style import (
    BLUE,
    LIGHT,
    ONE_COLUMN,
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


def draw_agreement(
    report: AgreementReport, measures: Sequence[str] = CORRELATIONS, judges: Sequence[str] | None = None
) -> "Figure | None":
    """Bars with 95% intervals, a panel for each measure: judges beside the published one, experts, answer length.

    measures: one or two of reliability.MEASURES; only correlations were published. The line across a judge's bar is
    the upper end of where 95% of its shuffled scores lie. `judges` of None is the first six: more would be too
    thin. None for a report without rows. ValueError: an unknown measure or judge, or more than two or six of them.
    """
    if not report.rows:
        return None
    judges = list(report.judges[:MAX_JUDGES] if judges is None else judges)
    wrong = [name for name in (*measures, *judges) if name not in MEASURES and name not in report.judges]
    if wrong or not 1 <= len(measures) <= 2 or len(judges) > MAX_JUDGES:
        raise ValueError(
            f"expected 1 or 2 of the measures {', '.join(MEASURES)} and at most {MAX_JUDGES} of the "
            f"judges {', '.join(report.judges)}, found {', '.join(wrong or [*measures, *judges])}"
        )
    dimensions = list(dict.fromkeys(row.dimension for row in report.rows))
    title = (
        f"Agreement with experts: {report.num_pairs:,} pairs of {report.num_papers:,} papers, "
        f"{len(report.experts)} expert{'s' * (len(report.experts) > 1)}, scale 1 to {report.scale}"
    )
    width = TWO_COLUMNS if len(measures) > 1 else ONE_COLUMN
    with new_figure(title, width, 3.4, ncols=len(measures)) as (figure, panels):
        handles: dict[str, object] = {}
        for axes, measure in zip(np.atleast_1d(panels), measures):
            _draw_panel(axes, report, measure, dimensions, judges)
            handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels())}
        labels = sorted(handles, key=(SHUFFLED_LABEL, UNDEFINED_LABEL).count)  # the bars first
        figure.legend(
            [handles[label] for label in labels],
            labels,
            loc="outside lower center",
            ncols=3 if width == TWO_COLUMNS else 2,
        )
    return figure


def draw_comparison(
    report: AgreementReport,
    first: str | None = None,
    second: str | None = None,
    measures: Sequence[str] = ("spearman", MEAN),
) -> "Figure | None":
    """first minus second for each dimension with 95% intervals; filled where they can be told apart. Without names the
    first two judges; None where there are none.

    ValueError: the report compares no such two, in this order, by these measures.
    """
    if first is None and len(report.judges) < 2:
        return None
    first, second = first or report.judges[0], second or report.judges[1]
    found = {
        (one.dimension, one.measure): one for one in report.comparisons if (one.first, one.second) == (first, second)
    }
    dimensions = list(dict.fromkeys(dimension for dimension, _ in found))
    missing = [measure for measure in measures if not any(name == measure for _, name in found)]
    if missing or not measures:
        couples = dict.fromkeys(f"{one.first!r} and {one.second!r}" for one in report.comparisons)
        raise ValueError(
            f"expected two that are compared ({', '.join(couples) or 'none'}) and measures they are "
            f"compared by, found {first!r} and {second!r} by {', '.join(missing) or 'none'}"
        )
    width = TWO_COLUMNS if len(measures) > 1 else ONE_COLUMN
    title = f"{first} minus {second}, 95% intervals"
    with new_figure(title, width, 1.3 + 0.26 * len(dimensions), ncols=len(measures)) as (figure, panels):
        for axes, measure in zip(np.atleast_1d(panels), measures):
            _draw_differences(axes, [found.get((dimension, measure)) for dimension in dimensions])
            label_rows(axes, dimensions if measure == measures[0] else [], len(dimensions))
            axes.set_xlabel(
                "difference in " + ("mean score" if measure == MEAN else f"agreement with experts, {MEASURES[measure]}")
            )
        handles = [
            axes.plot([], [], "o", markersize=4, color=BLUE, markerfacecolor=face, label=label)[0]
            for face, label in ((BLUE, "differ"), ("white", "no difference can be told"))
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _draw_panel(axes: "Axes", report: AgreementReport, measure: str, dimensions: list[str], judges: list[str]) -> None:
    bars = _list_bars(report, measure, dimensions, judges)
    published = report.published.get(measure)
    number = len(bars) + bool(published)
    width = GROUP_WIDTH / number
    start = (width - GROUP_WIDTH) / 2
    places = np.arange(len(dimensions))
    if published:
        axes.bar(places + start, [published.get(name, math.nan) for name in dimensions], 0.9 * width, color="white",
                 edgecolor="black", linewidth=0.6, hatch="////", yerr=PUBLISHED_ERROR, label=report.published_label,
                 error_kw={"elinewidth": 0.8})  # fmt: skip
    for place, bar in enumerate(bars, bool(published)):
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
    with_interval = np.array([math.isfinite(one.low) for one in found])
    errors = np.array([[one.value - one.low, one.high - one.value] for one in found]).T
    if with_interval.any():
        axes.errorbar(
            places[with_interval],
            values[with_interval],
            yerr=np.clip(errors[:, with_interval], 0, None),
            fmt="none",
            ecolor="black",
            elinewidth=0.8,
            capsize=1.5,
        )
    if shuffled:
        line = {
            "color": "white",
            "linewidth": 1.2,
            "solid_capstyle": "butt",
            "path_effects": [withStroke(linewidth=2.4, foreground="black")],
        }
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
