"""The benchmark's figures: what stands in them, on the axes where it belongs. How they look is for people to see."""

import matplotlib.pyplot as plt
import pytest

from sciqag_lib.benchmark.answers import answer_file, make_answering
from sciqag_lib.benchmark.figures import ARM_COLORS, draw_categories, draw_nulls, draw_published
from sciqag_lib.benchmark.report import write_benchmark
from sciqag_lib.figure_style import save_figure
from tests.benchmark_factory import FIELDS, knows_all, make_records, run_both, write
from tests.fakes import FakeEngine


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    run_both(folder, 12, lambda request: "one" if request.prompt.text else knows_all(request).replace("is", "is about"))
    return write_benchmark(folder / "out")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def bars(axes):
    """Of each bar its length, colour and hatch."""
    from matplotlib.colors import to_hex

    return [(round(bar.get_width(), 4), to_hex(bar.get_facecolor()).upper(), bar.get_hatch()) for bar in axes.patches]


def test_published_rows_are_hatched_and_apart(report):
    figure = draw_published(report)
    panel = figure.axes[1]
    assert panel.get_title() == "accuracy" and panel.get_xlim() == (1, 5)
    own, reference, *published = bars(panel)
    assert own == (2.0, ARM_COLORS["own"].upper(), None)  # a score of 3 on a scale from 1
    assert reference == (4.0, ARM_COLORS["reference"].upper(), None)
    assert [length for length, _, _ in published] == [1.9625, 3.4708, 3.9333, 3.9438, 3.95, 2.8875]
    assert {(color, hatch) for _, color, hatch in published} == {("#E4E4E4", "////")}
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[:3] == ["this run", "reference answers", "LLaMA1-7B"] and len(labels) == 8
    assert "another judge" in figure.get_supxlabel()


def test_each_category_has_its_row(report):
    figure = draw_categories(report)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [f"{name} (6)" for name in sorted(FIELDS)]
    points = [line.get_xydata().tolist() for line in figure.axes[1].lines if line.get_marker() == "o"]
    assert points == [[[3.0, 0.0]], [[3.0, 1.0]]]


def test_null_baselines_stand_beside_the_answers(report):
    left, right = draw_nulls(report).axes
    heights = [round(bar.get_height(), 4) for bar in left.patches]
    assert heights == [4, 4, 0, 0, 2, 4, 0, 0, 4, 4, 0, 0]  # own, reference, other and no answer, less 1
    assert [label.get_text() for label in right.get_xticklabels()] == ["token\nF1", "ROUGE-L"]
    assert len(right.patches) == 6 and left.get_ylim() == (1, 5) and right.get_ylim() == (0, 1)


def test_a_run_without_judge_or_categories_has_figures_that_say_so(tmp_path):
    records = [{"Q": record["Q"]} for record in make_records(3)]
    path = write(tmp_path / "test.json", records)
    answer_file(path, tmp_path / "out", FakeEngine(knows_all), make_answering())
    report = write_benchmark(tmp_path / "out")
    texts = [
        text.get_text()
        for draw in (draw_published, draw_categories, draw_nulls)
        for axes in draw(report).axes
        for text in axes.texts
    ]
    assert "not judged" in texts and "no question of the file has a category" in texts
    assert "no reference answer" in texts


def test_the_same_report_gives_the_same_bytes(report, tmp_path):
    for draw in (draw_published, draw_categories, draw_nulls):
        first, second = (save_figure(draw(report), tmp_path / name, "figure")[0].read_bytes() for name in "ab")
        assert first == second
