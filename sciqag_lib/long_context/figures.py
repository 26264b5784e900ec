"""The figures of notebooks 14_perplexity and 15_passkey: they take a report and return a matplotlib Figure.

Style, sizes and saving are those of sciqag_lib.figure_style.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from sciqag_lib.figure_style import BLUE, LIGHT, ONE_COLUMN, ORANGE, TWO_COLUMNS, count_things, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sciqag_lib.long_context.passkey import PasskeyReport
    from sciqag_lib.long_context.perplexity import PerplexityReport

BESIDE = 0.008  # of the axis: the bars of two series are drawn side by side
DASHED = {"color": "black", "linestyle": "--", "linewidth": 0.8}
MAX_NUMBERED = 12  # lengths; with more of them a cell is too small for its number


def draw_perplexity(report: "PerplexityReport") -> "Figure":
    """Perplexity against context length beside its null baselines, and what the context saves; bars and bands are 95%
    intervals over papers."""
    lengths = [result.length for result in report.results]
    title = f"Perplexity of the same {report.num_targets:,} tokens of {count_things(report.num_papers, 'paper')}"
    with new_figure(title, TWO_COLUMNS, 2.9, ncols=2) as (figure, (left, right)):
        for axes, name, color, label in (
            (left, "perplexity", BLUE, "the paper's own text"),
            (left, "perplexity_other", ORANGE, "another paper's text"),
            (right, "gain_other", ORANGE, "against another paper's text"),
            (right, "gain_shortest", BLUE, f"against {lengths[0]:,} tokens of its own"),
        ):
            _draw_estimates(axes, lengths, [getattr(result, name) for result in report.results], color, label)
        if np.isfinite(report.unigram.mean):
            label = f"no context: token frequencies, {report.unigram.mean:,.0f}"
            left.axhline(report.unigram.mean, label=label, **DASHED)
        left.set(ylabel="perplexity (logarithmic)", yscale="log")
        right.axhline(0, color=LIGHT, linewidth=0.8, zorder=0)
        right.set(ylabel="saved by the paper's own text\n(nats a token)")
        for axes in (left, right):
            _mark_lengths(axes, lengths)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)
        _number_logarithmic(left)
    return figure


def draw_passkey_map(report: "PasskeyReport") -> "Figure":
    """Heat map of the share of right replies: a column for each length, a row for each depth, the beginning on top."""
    lengths = sorted({cell.length for cell in report.cells})
    depths = sorted({cell.depth for cell in report.cells})
    shares = np.array([cell.share.share for cell in report.cells]).reshape(len(lengths), len(depths)).T
    width = ONE_COLUMN if len(lengths) <= 6 else TWO_COLUMNS
    title = f"Hidden number found ({count_things(report.trials, 'trial')} a cell)"
    with new_figure(title, width, min(6.0, 1.2 + 0.27 * len(depths))) as (figure, axes):
        image = axes.imshow(shares, aspect="auto", cmap="viridis", vmin=0, vmax=1)
        axes.set_facecolor("#EEEEEE")  # of a cell without a reply
        names = [f"{length:,}" for length in lengths]
        axes.set_xticks(range(len(lengths)), names, rotation=45 if len(lengths) > 6 else 0)
        axes.set_yticks(range(len(depths)), [f"{depth:.0%}" for depth in depths])
        axes.set(xlabel="length (tokens of prompt and reply)", ylabel="depth of the number")
        if len(lengths) <= MAX_NUMBERED:
            _number_cells(axes, report, lengths, depths)
        figure.colorbar(image, ax=axes, label="share of right replies")
    return figure


def draw_passkey_curve(report: "PasskeyReport") -> "Figure":
    """Share of right replies against length, over all depths, beside prompts without the number; bars are 95% Wilson
    intervals."""
    lengths = [result.length for result in report.lengths]
    with new_figure("Hidden number found, all depths", ONE_COLUMN, 2.7) as (figure, axes):
        hidden, control = ([getattr(result, kind) for result in report.lengths] for kind in ("hidden", "control"))
        _draw_estimates(axes, lengths, hidden, BLUE, "number in the text")
        _draw_estimates(axes, lengths, control, ORANGE, "control: the same text without it")
        axes.axhline(report.chance, label=f"chance: 1 in {round(1 / report.chance):,}", **DASHED)
        axes.set(ylabel="share of right replies", ylim=(-0.04, 1.04))
        _mark_lengths(axes, lengths, "length (tokens of prompt and reply)")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), frameon=False)
    return figure


def _draw_estimates(axes: "Axes", lengths: list[int], estimates: list[Any], color: str, label: str) -> None:
    """A line with a bar for each interval; nothing where there is no value at all."""
    mean, low, high = np.array([(one.mean, one.low, one.high) for one in estimates], float).T
    if not np.isfinite(mean).any():
        return
    bars = np.nan_to_num(np.clip([mean - low, high - mean], 0, None))  # no interval: no bar
    beside = (max(lengths) / min(lengths)) ** (BESIDE if color == BLUE else -BESIDE)
    style = {"markersize": 3.2, "linewidth": 1.2, "elinewidth": 0.8, "capsize": 2}
    marker = "o" if color == BLUE else "^"
    axes.errorbar(np.array(lengths) * beside, mean, yerr=bars, color=color, marker=marker, label=label, **style)


def _mark_lengths(axes: "Axes", lengths: list[int], label: str = "context length (tokens)") -> None:
    """Lengths are doubled as a rule, so the axis is logarithmic; every one of up to eight has its tick."""
    from matplotlib.ticker import NullFormatter, NullLocator

    axes.set_xscale("log", base=2)
    step = -(-len(lengths) // 8)
    shown = lengths[::-1][::step][::-1]
    axes.set_xticks(shown, [f"{length:,}" for length in shown], rotation=45 if len(shown) > 5 else 0)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)


def _number_logarithmic(axes: "Axes") -> None:
    """Ticks of a logarithmic axis as plain numbers: 1, 2 and 5 of each power, or evenly over less than one power."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)) if high > 10 * low else MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _number_cells(axes: "Axes", report: "PasskeyReport", lengths: list[int], depths: list[float]) -> None:
    for cell in report.cells:
        text = f"{cell.share.right}/{cell.share.asked}" if cell.share.asked else "-"
        color = "black" if cell.share.asked and cell.share.share > 0.6 or not cell.share.asked else "white"
        place = lengths.index(cell.length), depths.index(cell.depth)
        axes.text(*place, text, ha="center", va="center", color=color, fontsize=6.5)
