"""Figures: what they show is read back from their artists, and from the files they are saved to."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.text import Text

from figures.make_figures import draw_pipeline
from sciqag_lib.analysis.figures import (
    draw_coverage,
    draw_question_similarity,
    draw_score_map,
    draw_sentence_deviation,
    draw_similarity_histogram,
    draw_top_sentences,
)
from sciqag_lib.figure_style import save_figure

MEANS = {"within": (0.4, 0.3, 0.5), "null": (0.1, np.nan, np.nan)}
SCORES = np.array([[9.0, 9.0, 9.0], [0.25, 9.0, 9.0], [np.nan, 0.71, 9.0]]) / [[9, 9, 9], [1, 9, 9], [1, 1, 9]]


@pytest.fixture(autouse=True)
def close_figures() -> Any:
    before = dict(matplotlib.rcParams)
    yield
    plt.close("all")
    assert dict(matplotlib.rcParams) == before


def legend_texts(figure: Figure) -> list[str]:
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    return [text.get_text() for legend in legends if legend for text in legend.get_texts()]


def visible_texts(figure: Figure) -> list[Text]:
    figure.draw_without_rendering()
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def drawn(figure: Figure, text: Text) -> bool:
    """Whether a text is shown; matplotlib keeps labels of ticks that lie outside the axis."""
    axises = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    for axis, tick in ((one, tick) for one in axises for tick in one.get_major_ticks()):
        if text is tick.label1:
            low, high = sorted(axis.get_view_interval())
            return bool(low <= tick.get_loc() <= high)
    return True


def line_labelled(axes: Axes, start: str) -> Any:
    return next(line for line in axes.get_lines() if line.get_label().startswith(start))


def coverage_table(values: list[float], randoms: list[float]) -> pd.DataFrame:
    table = pd.DataFrame({"doi": [f"10.1/{number:05}" for number in range(len(values))]})
    for number, name in enumerate(("pooled", "individual", "union")):
        table[name] = np.array(values) / (number + 1)
        table[f"{name}_random"] = randoms
        table[f"{name}_difference"] = table[name] - table[f"{name}_random"]
    return table


def test_triangle_shows_each_pair_once_with_its_number() -> None:
    figure = draw_question_similarity(SCORES, "A paper")
    axes, bar = figure.axes
    numbers = {text.get_position(): text.get_text() for text in axes.texts}
    assert numbers == {(0.5, 0.5): "0.25", (1.5, 1.5): "0.71"}  # row 2, column 0 is missing
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1", "2"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1"]
    mesh = axes.collections[0]
    assert mesh.get_clim() == (0, 1) and mesh.get_cmap().name == "BrBG"
    assert bar.get_ylabel() == "cosine similarity" and figure.get_suptitle() == "A paper"


def test_missing_scores_are_hatched_and_counted() -> None:
    figure = draw_question_similarity(SCORES, "A paper")
    hatched = [patch.get_xy() for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert hatched == [(0, 1)] and legend_texts(figure) == ["no score (1)"]
    every = draw_question_similarity(np.full((4, 4), np.nan), "None at all")
    assert len(every.axes[0].patches) == 6 and legend_texts(every) == ["no score (6)"]


def test_red_dots_stand_on_the_cells_over_the_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = draw_question_similarity(SCORES, "A paper", mode="llm")
    (dots,) = judged.axes[0].get_lines()
    assert [(int(x), int(y)) for x, y in dots.get_xydata()] == [(1, 1)]
    assert legend_texts(judged) == ["no score (1)", "over 0.7 (1)"]
    assert judged.axes[1].get_ylabel() == "judged intent similarity"
    assert not draw_question_similarity(SCORES, "A paper").axes[0].get_lines()  # 0.7 is said of judged scores only
    monkeypatch.setattr("sciqag_lib.analysis.figures.LLM_THRESHOLD", 0.71)
    exact = draw_question_similarity(SCORES, "A paper", "llm")
    assert legend_texts(exact) == ["no score (1)", "over 0.71 (0)"]
    monkeypatch.setattr("sciqag_lib.analysis.figures.LLM_THRESHOLD", -0.5)
    negative = draw_question_similarity(SCORES, "A paper", "llm")
    assert len(negative.axes[0].get_lines()[0].get_xydata()) == 2  # the pairs, not the empty upper triangle


@pytest.mark.parametrize("n", [2, 3, 10, 11, 12, 20])
def test_numbers_fit_into_their_cells(n: int) -> None:
    figure = draw_question_similarity(np.full((n, n), -0.44), "A paper", mode="llm")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    cell = axes.transData.transform([(0, 0), (1, 0)])[:, 0]
    assert len(axes.texts) == n * (n - 1) // 2
    assert max(text.get_window_extent().width for text in axes.texts) < abs(cell[1] - cell[0])
    assert figure.get_figwidth() == (3.4 if n <= 10 else 7)


def test_many_questions_leave_the_numbers_out_and_zero_has_no_sign() -> None:
    assert not draw_question_similarity(np.zeros((60, 60)), "Many").axes[0].texts
    figure = draw_question_similarity(np.full((2, 2), -0.001), "Two")
    assert figure.axes[0].texts[0].get_text() == "0.00"


@pytest.mark.parametrize(
    ("scores", "mode", "message"),
    [
        (np.zeros((1, 1)), "embedding", "one question has no pair"),
        (np.zeros((2, 3)), "embedding", r"found \(2, 3\)"),
        (np.zeros(4), "embedding", "found 1 dimensions"),
        (np.array([[1, 0], [85, 1]]), "llm", "found 85"),
        (np.array([[1, 0], [np.inf, 1]]), "embedding", "found inf"),
        (np.eye(2), "cosine", "one of embedding, llm, found 'cosine'"),
    ],
)
def test_bad_similarities_are_refused_and_leave_no_figure(scores: np.ndarray, mode: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_question_similarity(scores, "A paper", mode)
    assert not plt.get_fignums()


def test_histogram_shows_shares_means_and_intervals() -> None:
    within, null = np.array([30, 10]), np.array([900, 100])
    figure = draw_similarity_histogram(np.array([0, 0.5, 1]), within, null, "embedding", MEANS)
    (axes,) = figure.axes
    shares = [patch.get_data().values.tolist() for patch in axes.patches]
    assert shares == [[0.75, 0.25], [0.9, 0.1]]  # 30 and 10 of 40; 900 and 100 of 1,000
    assert axes.get_xlim() == (0, 1) and axes.get_ylim()[1] == pytest.approx(0.9 * 1.25)
    assert axes.get_xlabel() == "cosine similarity" and axes.get_ylabel() == "share of pairs"
    spans = [line.get_xdata().tolist() for line in axes.get_lines()]
    assert spans == [[0.4, 0.4], [0.3, 0.5], [0.4], [0.1, 0.1], [0.1]]  # the baseline has no interval
    assert legend_texts(figure) == ["same paper: mean 0.400 (95% interval 0.300 to 0.500)",
                                    "different papers: mean 0.100 (no interval)"]  # fmt: skip


def test_histogram_says_that_the_baseline_is_missing() -> None:
    means = {"within": (0.4, np.nan, np.nan), "null": (np.nan, np.nan, np.nan)}
    figure = draw_similarity_histogram(np.array([0, 0.5, 1]), np.array([3, 1]), np.zeros(2), "llm", means)
    assert legend_texts(figure)[1] == "different papers: no pairs"
    assert figure.axes[0].get_xlabel() == "judged intent similarity"


def test_histogram_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="null: expected 2 counts"):
        draw_similarity_histogram(np.array([0, 0.5, 1]), np.ones(2), np.ones(3), "llm", MEANS)
    with pytest.raises(ValueError, match="within: expected 2 counts"):
        draw_similarity_histogram(np.array([0, 0.5, 1]), np.array([1, np.nan]), np.ones(2), "llm", MEANS)
    with pytest.raises(KeyError, match="within"):  # found out while drawing
        draw_similarity_histogram(np.array([0, 0.5, 1]), np.ones(2), np.ones(2), "llm", {})
    assert not plt.get_fignums()
    with pytest.raises(ValueError, match="edges: expected"):
        draw_similarity_histogram(np.array([0, 0, 1]), np.ones(2), np.ones(2), "llm", MEANS)


def test_top_sentences_stand_at_their_index_between_the_chunks() -> None:
    figure = draw_top_sentences([[3, 0], [24], []], 25, "A paper", num_chunks=10)
    (axes,) = figure.axes
    assert axes.collections[0].get_offsets().tolist() == [[3, 0], [0, 0], [24, 1]]
    assert axes.get_xlim() == (-0.5, 24.5) and axes.get_ylim() == (2.5, -0.5)  # pair 0 at the top
    starts = [next(i for i in range(25) if 10 * i // 25 == chunk) for chunk in range(1, 10)]
    assert starts == [3, 5, 8, 10, 13, 15, 18, 20, 23]
    assert [line.get_xdata()[0] + 0.5 for line in axes.get_lines()] == starts
    assert axes.get_xlabel() == "sentence index (from 0); lines: where the 10 chunks begin"


@pytest.mark.parametrize(("num_sentences", "starts"), [(1, []), (3, [1, 2]), (10, list(range(1, 10)))])
def test_short_papers_have_a_line_per_filled_chunk(num_sentences: int, starts: list[int]) -> None:
    # Of 3 sentences, sentence 1 lies in chunk floor(10/3) = 3 and sentence 2 in floor(20/3) = 6.
    axes = draw_top_sentences([[0]], num_sentences, "Short").axes[0]
    assert [line.get_xdata()[0] + 0.5 for line in axes.get_lines()] == starts
    assert all(tick == int(tick) for tick in axes.get_xticks())


@pytest.mark.parametrize(("top", "found"), [([[1], [5]], "index 5 in pair 1"), ([[-1]], "index -1"), ([], "0 pairs")])
def test_sentences_that_the_paper_lacks_are_refused(top: list[list[int]], found: str) -> None:
    with pytest.raises(ValueError, match=found):
        draw_top_sentences(top, 5, "A paper")


def test_score_map_has_the_published_size_and_every_score() -> None:
    scores = np.linspace(-0.2, 0.9, 600).reshape(10, 60)
    scores[4, 7] = np.nan
    figure = draw_score_map(scores, "A paper")
    axes, bar = figure.axes
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array().filled(np.nan), scores)
    assert figure.get_size_inches().tolist() == [20, 3]
    assert axes.get_xlim() == (-0.5, 59.5) and axes.get_ylim() == (9.5, -0.5)
    assert image.get_clim() == (-0.2, 0.9) and bar.get_ylabel() == "cosine\nsimilarity"
    assert axes.get_xlabel() == "sentence index (from 0); blank: no score"
    assert draw_score_map(np.eye(2), "Full").axes[0].get_xlabel() == "sentence index (from 0)"


def test_deviation_is_that_of_the_pairs_and_leaves_gaps() -> None:
    scores = np.array([[0.1, 0.5, np.nan, 0.2], [0.3, 0.5, np.nan, np.nan], [0.5, 0.5, np.nan, 0.4]])
    figure = draw_sentence_deviation(scores, "A paper")
    (axes,) = figure.axes
    # (0.2^2 + 0 + 0.2^2) / 3 = 0.026667, root 0.163299; 0; none; (0.1^2 + 0.1^2) / 2 = 0.01, root 0.1
    np.testing.assert_allclose(axes.patches[0].get_data().values, [0.163299, 0, np.nan, 0.1], atol=1e-6)
    assert axes.get_xlim() == (-0.5, 3.5) and axes.get_ylim()[0] == 0
    assert legend_texts(figure) == ["mean 0.088"]  # 0.263299 / 3
    assert axes.get_ylabel() == "standard deviation of\ncosine similarity over 3 pairs"


@pytest.mark.parametrize("draw", [draw_score_map, draw_sentence_deviation])
def test_empty_and_missing_scores(draw: Any) -> None:
    assert isinstance(draw(np.full((1, 3), np.nan), "Nothing known"), Figure)
    for empty in (np.zeros((0, 4)), np.zeros((4, 0))):
        with pytest.raises(ValueError, match="at least 1 of each"):
            draw(empty, "Empty")


def test_each_definition_of_coverage_has_its_own_sorted_panel() -> None:
    table = coverage_table([0.8, 0.4, np.nan, 0.6], [0.9, 0.7, 0.8, 0.5])
    figure = draw_coverage(table)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [f"{name}: 3 papers\n(1 without a value)" for name in ("pooled", "individual", "union")]
    axes = figure.axes[0]
    assert line_labelled(axes, "answers").get_ydata().tolist() == [0.4, 0.6, 0.8]
    assert line_labelled(axes, "random").get_ydata().tolist() == [0.7, 0.5, 0.9]  # each beside its own paper
    assert legend_texts(figure)[:3] == ["random scores: mean 0.700", "answers: mean 0.600", "difference: mean -0.100"]
    assert line_labelled(figure.axes[2], "answers").get_ydata().tolist() == pytest.approx([0.4 / 3, 0.2, 0.8 / 3])
    assert axes.get_ylim() == (-0.03, 1.03) and axes.get_ylabel() == "share of chunks hit"


def test_order_of_papers_does_not_matter_for_coverage(tmp_path: Path) -> None:
    table = coverage_table([0.5, 0.7, 0.5, 0.5], [0.9, 0.8, 0.7, 0.6])
    first = save_figure(draw_coverage(table), tmp_path, "first")[0]
    second = save_figure(draw_coverage(table.iloc[::-1]), tmp_path, "second")[0]
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("count", [1, 60, 61, 20_000])
def test_coverage_of_few_and_many_papers(count: int) -> None:
    values = np.linspace(0, 1, count).tolist()
    figure = draw_coverage(coverage_table(values, values))
    axes = figure.axes[2]
    answers, random = line_labelled(axes, "answers"), line_labelled(axes, "random")
    assert len(answers.get_xdata()) == len(random.get_xdata()) == count
    assert (answers.get_linestyle(), answers.get_marker()) == (("None", "o") if count <= 60 else ("-", "None"))
    assert bool(random.get_rasterized()) is (count > 2000)
    assert axes.get_xlim() == (-0.5, count - 0.5) and figure.get_figwidth() == 7
    assert axes.get_title() == f"union: {count:,} paper{'s' if count > 1 else ''}"


def test_coverage_without_values_or_columns() -> None:
    figure = draw_coverage(coverage_table([np.nan], [0.5]))
    assert figure.axes[0].get_title() == "pooled: 0 papers\n(1 without a value)"
    with pytest.raises(ValueError, match="missing \\['union_random'\\]"):
        draw_coverage(coverage_table([0.5], [0.5]).drop(columns="union_random"))


def test_pipeline_text_lies_in_its_box_and_overlaps_nothing() -> None:
    figure = draw_pipeline()
    figure.draw_without_rendering()
    (axes,) = figure.axes
    labels = [text for text in axes.texts if text.get_text()]
    said = " ".join(" ".join(text.get_text().split()) for text in labels)
    for part in ("01 prepare papers", "02 inference", "engine", "checks", "grounding", "ledger", "evidence.json",
                 "03 question similarity", "04 sentence coverage", "05 evaluation", "06 build dataset", "07 benchmark",
                 "08 review", "train.py", "figures", "tables"):  # fmt: skip
        assert part in said
    extents = [text.get_window_extent() for text in labels]
    assert not any(one.overlaps(other) for n, one in enumerate(extents) for other in extents[:n])
    boxes = [patch.get_window_extent() for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    assert len(boxes) == len(labels)
    for text, box in zip(extents, boxes):
        assert box.x0 < text.x0 and text.x1 < box.x1 and box.y0 < text.y0 and text.y1 < box.y1
    arrows = [text.xy for text in axes.texts if not text.get_text()]
    assert len(arrows) == 18 and figure.get_figwidth() == 7


FIGURES = {
    "similarity": lambda title: draw_question_similarity(SCORES, title, "llm"),
    "map": lambda title: draw_score_map(np.random.default_rng(0).random((10, 200)), title),
    "top": lambda title: draw_top_sentences([[3, 0], [24]], 25, title),
    "deviation": lambda title: draw_sentence_deviation(np.random.default_rng(0).random((10, 200)), title),
}
TITLES = [
    "Growth of $x_1 on a_b at 10$ per μmol",
    "EFFECTS OF WWW MMM ON HUMAN " * 8,
    "illicit little lilies " * 10 + "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
    "N" * 300,
    "水稻基因组\nand 100% \\frac{1}{2} ^{ \ud800 \x07",
    "",
]


@pytest.mark.parametrize("title", TITLES, ids=["math", "capitals", "uneven", "word", "glyphs", "empty"])
@pytest.mark.parametrize("name", list(FIGURES))
@pytest.mark.filterwarnings("error")
def test_any_title_fits_and_is_no_formula(name: str, title: str) -> None:
    figure = FIGURES[name](title)
    texts = visible_texts(figure)
    smallest = 6 * (20 / 7 if name == "map" else 1)  # the map is printed 7 inches wide
    assert min(text.get_fontsize() for text in texts) >= smallest
    shown = figure.get_suptitle()
    assert len(shown.splitlines()) <= 2
    if title:
        assert not figure._suptitle.get_parse_math()
        extent = figure._suptitle.get_window_extent()
        assert extent.x0 >= 0 and extent.x1 <= figure.bbox.x1 and extent.y1 <= figure.bbox.y1
    if title == TITLES[0]:
        assert shown.replace("\n", " ").startswith("Growth of $x_1 on a_b at 10$ per μmol")
    assert ("…" in shown) == (len(title) > 150)


@pytest.mark.parametrize("count", [25, 20_000])
def test_panels_leave_no_text_outside_or_on_another(count: int) -> None:
    values = np.linspace(0.01, 0.98, count)
    table = coverage_table([np.nan, *values], np.append(values, 0.5).tolist())
    figure = draw_coverage(table)
    figure.set_dpi(200)
    extents = [text.get_window_extent() for text in visible_texts(figure) if drawn(figure, text)]
    assert min(extent.x0 for extent in extents) > 2 and min(extent.y0 for extent in extents) > 2  # pixels
    assert max(extent.x1 for extent in extents) < figure.bbox.x1 - 2
    assert not any(one.overlaps(other) for n, one in enumerate(extents) for other in extents[:n])
    places = [axes.get_position().extents for axes in figure.axes]
    figure.set_layout_engine("constrained")
    figure.draw_without_rendering()  # one more layout finds nothing to move
    np.testing.assert_allclose([axes.get_position().extents for axes in figure.axes], places, atol=0.003)


def test_figures_are_pyplot_figures_that_ignore_the_callers_style(tmp_path: Path) -> None:
    plain = save_figure(FIGURES["top"]("A paper"), tmp_path, "plain")
    assert len(plt.get_fignums()) == 1  # plt.show() shows it, once
    with plt.style.context("dark_background"), plt.rc_context({"font.size": 30, "savefig.bbox": "tight"}):
        styled = save_figure(FIGURES["top"]("A paper"), tmp_path, "styled")
    assert [path.read_bytes() for path in plain] == [path.read_bytes() for path in styled]


def test_saved_files_are_png_and_pdf_of_the_right_size(tmp_path: Path) -> None:
    figure = FIGURES["similarity"]("α-amylase")
    paths = save_figure(figure, tmp_path / "new" / "folder", "Figure_1.a-b")
    assert paths == [tmp_path / "new" / "folder" / f"Figure_1.a-b.{kind}" for kind in ("png", "pdf")]
    width, height = figure.get_size_inches()
    assert plt.imread(paths[0]).shape[:2] == (int(height * 200), int(width * 200))
    png, pdf = (path.read_bytes() for path in paths)
    assert b"Software" not in png and pdf.startswith(b"%PDF")
    assert not any(word in pdf for word in (b"CreationDate", b"Producer", b"Creator", b"Type3"))
    assert sorted(path.name for path in paths[0].parent.iterdir()) == ["Figure_1.a-b.pdf", "Figure_1.a-b.png"]


def test_the_same_figure_gives_the_same_bytes_also_in_another_process(tmp_path: Path) -> None:
    figure = FIGURES["similarity"]("A paper")
    first = [path.read_bytes() for path in save_figure(figure, tmp_path, "one")]
    figure.savefig(tmp_path / "shown.png", dpi=72, bbox_inches="tight")  # as a notebook shows it
    assert [path.read_bytes() for path in save_figure(figure, tmp_path, "one")] == first
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import test_figures as t;"
            "t.save_figure(t.FIGURES['similarity']('A paper'), sys.argv[2], 'other')")  # fmt: skip
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]
    root = Path(__file__).parents[1]
    subprocess.run(command, check=True, cwd=root, env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(root)})
    assert [(tmp_path / f"other.{kind}").read_bytes() for kind in ("png", "pdf")] == first


@pytest.mark.parametrize("name", ["", "a/b", "../a", "..", ".hidden", "a b", "a\n", "é", "a\\b", "10.1016/j.ab"])
def test_names_that_are_no_plain_file_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name: expected letters"):
        save_figure(plt.figure(), tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (png, pdf) = save_figure(FIGURES["top"]("Old"), tmp_path, "figure")
    old = png.read_bytes()

    def fail(self: Figure, file: Any, **options: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="figure.png"):
        save_figure(FIGURES["top"]("New"), tmp_path, "figure")
    assert png.read_bytes() == old and sorted(path.name for path in tmp_path.iterdir()) == [pdf.name, png.name]


def test_the_module_imports_no_heavy_package() -> None:
    code = "import sys, sciqag_lib.analysis.figures; print({'matplotlib', 'pandas', 'seaborn'} & set(sys.modules))"
    root = str(Path(__file__).parents[1])
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert result.stdout.strip() == "set()"
