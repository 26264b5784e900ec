"""The figures of the analyses: each function takes results and returns a matplotlib Figure.

They follow SciQAG's figures (arXiv 2405.09939): the lower-triangle heat map of question similarity, the scatter of
top sentences, the 20 x 3 inch map of all scores, the deviation per sentence. In a notebook:

    figure = draw_score_map(scores, title)
    save_figure(figure, output_dir, "score_map")
    plt.show()  # shows it, once

Sizes are those of a journal page, 3.4 inches wide (one column) or 7 (two), at which no text is below 6 points. A
figure is made by pyplot, so outside a notebook its caller closes it (`plt.close(figure)`). Questions, pairs and
sentences count from 0. ValueError: the input has another shape or range than the function says.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sciqag_lib.analysis.coverage import DEFINITIONS
from sciqag_lib.figure_style import BLUE, LIGHT, ONE_COLUMN, ORANGE, RED, TWO_COLUMNS, count_things, new_figure

if TYPE_CHECKING:  # pyplot, pandas and seaborn take a second to import
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

SCORE_LABELS = {"embedding": "cosine similarity", "llm": "judged intent similarity"}
LLM_THRESHOLD = 0.7  # over it the publication calls two questions similar; said of judged scores only
MISSING = {"facecolor": "#EEEEEE", "edgecolor": "#777777", "hatch": "//////", "linewidth": 0}
MAX_NUMBERED = 20  # questions; with more of them a cell is too small for its number
MAX_DOTS = 60  # papers; with more of them dots run together
MAX_VECTOR = 2000  # points; more of them make a PDF slow, so they become pixels in it


def draw_question_similarity(scores: np.ndarray, title: str, mode: str = "embedding") -> "Figure":
    """Heat map of one paper's questions, each against those before it; in mode "llm" a red dot where a score is over
    LLM_THRESHOLD.

    scores: (n, n), n at least 2, only what lies below the diagonal is read; NaN is a missing score.
    """
    scores, label = _check_scores(scores), _score_label(mode)
    n = len(scores)
    if scores.shape != (n, n) or n < 2:
        raise ValueError(f"scores: expected n x n with n at least 2, found {scores.shape}; one question has no pair")
    width = ONE_COLUMN if n <= 10 else TWO_COLUMNS
    cell = min(1.2, (width - 1.0) / (n - 1))  # inches
    with new_figure(title, width, cell * (n - 1) + 1.0, layout="compressed") as (figure, axes):
        _draw_triangle(axes, scores, label)
        handles = _mark_missing(axes, scores) + (_mark_similar(axes, scores, cell) if mode == "llm" else [])
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def draw_similarity_histogram(
    edges: np.ndarray,
    within: np.ndarray,
    null: np.ndarray,
    mode: str,
    means: Mapping[str, tuple[float, float, float]],
) -> "Figure":
    """Histogram of question pairs of one paper beside that of pairs from different papers, as shares of each.

    edges: (b + 1,) ascending; within, null: (b,) counts or shares; a `null` of zeros is a missing baseline.
    means: (mean, low, high) of "within" and "null", NaN where there is none.
    """
    edges, label = np.asarray(edges, float), _score_label(mode)
    if np.ndim(edges) != 1 or len(edges) < 2 or not np.all(np.diff(edges) > 0):
        raise ValueError(f"edges: expected at least 2 ascending numbers, found {edges}")
    series = {"within": (_as_shares(within, len(edges) - 1, "within"), "same paper", BLUE),
              "null": (_as_shares(null, len(edges) - 1, "null"), "different papers", ORANGE)}  # fmt: skip
    top = max(shares.max() for shares, _, _ in series.values()) or 1.0
    with new_figure("Similarity of question pairs", ONE_COLUMN, 2.9) as (figure, axes):
        for height, (name, (shares, text, color)) in zip((1.16, 1.07), series.items()):
            text = _mean_text(text, means[name]) if shares.any() else f"{text}: no pairs"
            axes.stairs(shares, edges, color=color, alpha=0.45 if name == "within" else 1, fill=name == "within",
                        linewidth=1.3, label=text)  # fmt: skip
            _mark_mean(axes, means[name], top * height, color)
        used = np.flatnonzero(sum(shares for shares, _, _ in series.values()))
        left = min(0.0, edges[used[0]] if len(used) else 0.0)  # a cosine is hardly ever far below 0
        axes.set(xlabel=label, ylabel="share of pairs", xlim=(left, edges[-1]), ylim=(0, 1.25 * top))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center")
    return figure


def draw_top_sentences(top: Sequence[Sequence[int]], num_sentences: int, title: str, num_chunks: int = 10) -> "Figure":
    """Scatter of each pair's top sentences over the paper, with light lines where its chunks begin.

    top: one sequence of sentence indices per question-answer pair, which may differ in length.
    """
    points = [(index, row) for row, indices in enumerate(top) for index in indices]
    wrong = next(((index, row) for index, row in points if not 0 <= index < num_sentences), None)
    if wrong or num_sentences < 1 or len(top) < 1:
        found = f"index {wrong[0]} in pair {wrong[1]}" if wrong else f"{len(top)} pairs"
        raise ValueError(f"top: expected indices of {num_sentences} sentences for at least 1 pair, found {found}")
    height = min(8.0, 1.2 + 0.17 * len(top))
    with new_figure(title, TWO_COLUMNS, height) as (figure, axes):
        for start in _chunk_starts(num_sentences, num_chunks):
            axes.axvline(start - 0.5, color=LIGHT, linewidth=0.7, zorder=0)
        axes.scatter(*np.array(points or np.empty((0, 2))).T, s=9, color=BLUE, linewidths=0, clip_on=False,
                     rasterized=len(points) > MAX_VECTOR)  # fmt: skip
        _number_sentences(axes, num_sentences, f"; lines: where the {num_chunks} chunks begin")
        _number_pairs(axes, len(top), most=40)
    return figure


def draw_score_map(scores: np.ndarray, title: str) -> "Figure":
    """Heat map of all scores of a paper, 20 x 3 inches, to be printed over two columns.

    scores: (pairs, sentences) of cosine similarity; NaN is a missing score and stays blank.
    """
    scores = _check_matrix(scores)
    with new_figure(title, 20.0, 3.0, scale=20.0 / TWO_COLUMNS) as (figure, axes):
        image = axes.imshow(scores, aspect="auto", cmap="viridis", interpolation_stage="data")
        axes.set_facecolor(MISSING["facecolor"])
        _number_sentences(axes, scores.shape[1], "; blank: no score" if np.isnan(scores).any() else "")
        _number_pairs(axes, len(scores), most=6, label="pair")
        figure.colorbar(image, ax=axes, pad=0.01, label="cosine\nsimilarity")
    return figure


def draw_sentence_deviation(scores: np.ndarray, title: str) -> "Figure":
    """Standard deviation of each sentence's scores over the pairs (the population's, divisor: number of scores).

    scores: (pairs, sentences) of cosine similarity; a NaN is left out, a sentence of NaN alone is a gap.
    """
    import pandas as pd

    scores = _check_matrix(scores)
    deviation = pd.DataFrame(scores).std(ddof=0)
    num_sentences, mean = len(deviation), deviation.mean()
    with new_figure(title, TWO_COLUMNS, 2.3) as (figure, axes):
        axes.stairs(deviation, np.arange(num_sentences + 1) - 0.5, color=BLUE, fill=True,
                    rasterized=num_sentences > MAX_VECTOR)  # fmt: skip
        axes.axhline(mean, color="black", linestyle="--", linewidth=0.8, label=f"mean {mean:.3f}")
        axes.set_ylabel(f"standard deviation of\ncosine similarity over {count_things(len(scores), 'pair')}")
        _number_sentences(axes, num_sentences)
        axes.set_ylim(0, (deviation.fillna(0).max() or 0.1) * 1.25)
        axes.legend(loc="upper right")
    return figure


def draw_coverage(table: "pd.DataFrame") -> "Figure":
    """Coverage of each paper beside that of random scores on it: one panel per definition, papers sorted by value.

    table: a row per paper with `doi` and, for each definition d, `d`, `d_random` and `d_difference` (shares, 0-1).
    Papers whose value or baseline is missing are left out of that panel and counted in its title.
    """
    needed = ["doi", *(name + end for name in DEFINITIONS for end in ("", "_random", "_difference"))]
    missing = [name for name in needed if name not in table]
    if missing:
        raise ValueError(f"table: expected the columns {needed}, missing {missing}")
    title = "Sentence coverage beside random scores on the same papers"
    with new_figure(title, TWO_COLUMNS, 2.9, ncols=len(DEFINITIONS)) as (figure, panels):
        for axes, name in zip(panels, DEFINITIONS):
            _draw_definition(axes, table, name)
    return figure


def _score_label(mode: str) -> str:
    if mode not in SCORE_LABELS:
        raise ValueError(f"mode: expected one of {', '.join(SCORE_LABELS)}, found {mode!r}")
    return SCORE_LABELS[mode]


def _check_scores(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, float)
    wrong = scores[np.abs(scores) > 1.01]  # half precision may pass 1 a little
    if scores.ndim != 2 or wrong.size:
        found = f"{wrong.flat[0]:g}" if wrong.size else f"{scores.ndim} dimensions"
        raise ValueError(f"scores: expected a matrix of numbers from -1 to 1, NaN where missing, found {found}")
    return scores


def _check_matrix(scores: np.ndarray) -> np.ndarray:
    scores = _check_scores(scores)
    if not scores.size:
        raise ValueError(f"scores: expected (pairs, sentences) with at least 1 of each, found {scores.shape}")
    return scores


def _draw_triangle(axes: "Axes", scores: np.ndarray, label: str) -> None:
    import pandas as pd
    import seaborn as sns

    n = len(scores)
    numbered = n <= MAX_NUMBERED
    numbers = np.arange(n)
    below = pd.DataFrame(scores, numbers, numbers).iloc[1:, :-1]  # row 0 and the last column have no pair
    extend = "min" if np.any(np.tril(scores, -1) < 0) else "neither"
    step = 1 if numbered else -(-n // 20)
    sns.heatmap(
        below, mask=np.triu(np.ones((n, n), bool))[1:, :-1], vmin=0, vmax=1, cmap="BrBG", square=True, ax=axes,
        # "+ 0.0" makes 0.00 of -0.00.
        annot=below.round(2) + 0.0 if numbered else False, fmt=".2f", annot_kws={"size": 6.5},
        linewidths=0.5 if numbered else 0, xticklabels=step, yticklabels=step,
        cbar_kws={"label": label, "aspect": 30, "extend": extend}, rasterized=n * n > 4 * MAX_VECTOR,
    )  # fmt: skip
    axes.tick_params(length=0, labelrotation=0)
    axes.set(xlabel="question (from 0)", ylabel="question (from 0)")


def _mark_missing(axes: "Axes", scores: np.ndarray) -> list[Any]:
    """Hatch the cells without a score; the legend's entry for them."""
    from matplotlib.patches import Patch, Rectangle

    missing = np.argwhere(np.tril(np.isnan(scores), -1))
    for row, column in missing:
        axes.add_patch(Rectangle((column, row - 1), 1, 1, **MISSING))
    return [Patch(label=f"no score ({len(missing)})", **MISSING)] if len(missing) else []


def _mark_similar(axes: "Axes", scores: np.ndarray, cell: float) -> list[Any]:
    """A dot in the corner of each cell over the threshold; the legend's entry for them."""
    rows, columns = np.nonzero(np.tril(np.ones(scores.shape, bool), -1) & (scores > LLM_THRESHOLD))
    size = min(4.0, 0.25 * cell * 72)  # points
    return axes.plot(columns + 0.85, rows - 1 + 0.16, "o", color=RED, markersize=size, markeredgecolor="white",
                     markeredgewidth=0.4, label=f"over {LLM_THRESHOLD:g} ({len(rows)})")  # fmt: skip


def _as_shares(counts: np.ndarray, num_bins: int, name: str) -> np.ndarray:
    counts = np.asarray(counts, float)
    if counts.shape != (num_bins,) or not np.all(counts >= 0):
        raise ValueError(f"{name}: expected {num_bins} counts of 0 or more, one per bin, found {counts}")
    return counts / (counts.sum() or 1)


def _mean_text(text: str, mean: tuple[float, float, float]) -> str:
    value, low, high = mean
    interval = "no interval" if np.isnan(low) or np.isnan(high) else f"95% interval {low:.3f} to {high:.3f}"
    return f"{text}: mean {value:.3f} ({interval})"


def _mark_mean(axes: "Axes", mean: tuple[float, float, float], height: float, color: str) -> None:
    """A dot at the mean with a bar over its interval, and a thin line down to the axis."""
    value, low, high = mean
    if np.isnan(value):
        return
    axes.plot([value, value], [0, height], color=color, linewidth=0.7, linestyle=":")
    if not (np.isnan(low) or np.isnan(high)):
        axes.plot([low, high], [height, height], color=color, linewidth=1.5, marker="|", markersize=4)
    axes.plot([value], [height], "o", color=color, markersize=3)


def _chunk_starts(num_sentences: int, num_chunks: int) -> list[int]:
    """The first sentence of each chunk but chunk 0: the least i with floor(num_chunks * i / n) = c, where one is."""
    starts = (-(-chunk * num_sentences // num_chunks) for chunk in range(1, num_chunks))  # ceil(c * n / chunks)
    return sorted(set(starts) - {num_sentences})


def _tick_integers(axis: "Axis", count: int, most: int = 10) -> None:
    """Ticks at whole numbers only, also on an axis of one or two things."""
    from matplotlib.ticker import MaxNLocator, MultipleLocator

    axis.set_major_locator(MultipleLocator(1) if count <= most else MaxNLocator(most, integer=True))


def _number_sentences(axes: "Axes", num_sentences: int, note: str = "") -> None:
    axes.set(xlim=(-0.5, num_sentences - 0.5), xlabel=f"sentence index (from 0){note}")
    _tick_integers(axes.xaxis, num_sentences)


def _number_pairs(axes: "Axes", num_pairs: int, most: int, label: str = "question-answer pair") -> None:
    """The y axis of a figure with one row per pair, pair 0 at the top; with at most `most` ticks."""
    axes.set(ylim=(num_pairs - 0.5, -0.5), ylabel=f"{label}\n(from 0)")
    _tick_integers(axes.yaxis, num_pairs, most)


def _draw_definition(axes: "Axes", table: "pd.DataFrame", name: str) -> None:
    """One panel of `draw_coverage`; dots for some papers, a line and a cloud for many."""
    rows = table.dropna(subset=[name, f"{name}_random"]).sort_values([name, "doi"])
    count, left_out = len(rows), len(table) - len(rows)
    rank, few = np.arange(count), count <= MAX_DOTS
    value, random = rows[name].to_numpy(float), rows[f"{name}_random"].to_numpy(float)
    means = [np.mean(column) if count else np.nan for column in (value, random, rows[f"{name}_difference"])]
    if few:
        axes.vlines(rank, value, random, color=LIGHT, linewidth=0.6, zorder=0)
    axes.plot(rank, random, "^" if few else "o", color=ORANGE, markersize=3.2 if few else 1.2, markeredgewidth=0,
              rasterized=count > MAX_VECTOR, label=f"random scores: mean {means[1]:.3f}")  # fmt: skip
    axes.plot(rank, value, "o" if few else "-", color=BLUE, markersize=3.2, linewidth=1.5, markeredgewidth=0,
              label=f"answers: mean {means[0]:.3f}")  # fmt: skip
    axes.plot([], [], " ", label=f"difference: mean {means[2]:+.3f}")
    axes.set_title(
        f"{name}: {count_things(count, 'paper')}" + (f"\n({left_out:,} without a value)" if left_out else "")
    )
    axes.set(xlabel="paper, sorted by its value", ylabel="share of chunks hit", ylim=(-0.03, 1.03))
    axes.set_xlim(-0.5, max(count, 1) - 0.5)
    _tick_integers(axes.xaxis, count, 5)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), frameon=False, markerscale=1 if few else 3)
