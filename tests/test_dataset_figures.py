"""Figures of a build: their numbers, labels that do not cover each other, shades by field."""

import math

import matplotlib.pyplot as plt
import pytest
from matplotlib.patches import Wedge

from sciqag_lib.dataset.figures import (
    draw_field_donut,
    draw_funnel,
    draw_split_donut,
    middle_angles,
    shade_categories,
    spread_labels,
)
from sciqag_lib.dataset.report import BuildReport, SplitCounts
from sciqag_lib.figure_style import save_figure
from sciqag_lib.records.categories import Category, read_categories

PUBLISHED = list(read_categories().values())


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def list_sectors(figure, radius):
    return [
        patch.theta2 - patch.theta1
        for patch in figure.axes[0].patches
        if isinstance(patch, Wedge) and patch.r == radius
    ]


def list_texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_split_donut_shows_train_inside_and_test_outside():
    figure = draw_split_donut([Category("A, x", "A", 4, 30, 1), Category("B", "B", 2, 10, 3), Category("C", "C", 1)])
    assert list_sectors(figure, 0.68) == pytest.approx([270, 90])
    assert list_sectors(figure, 1.0) == pytest.approx([90, 270])
    assert "A,\nx  30 | 1" in list_texts(figure) and "B  10 | 3" in list_texts(figure)
    assert "inner ring: train\n40 pairs\n\nouter ring: test\n4 pairs" in list_texts(figure)


def test_a_category_without_test_is_named_below():
    figure = draw_split_donut([Category("A", "A", 4, 30, 1), Category("B", "B", 2, 10, 0)])
    assert "in train alone: B (10)" in list_texts(figure)
    assert not list_sectors(draw_split_donut([Category("A", "A", 4, 30, 0)]), 1.0)


def test_the_field_donut_adds_up_its_categories():
    figure = draw_field_donut([Category("A, x", "A", 6), Category("B", "B", 3), Category("A, y", "A", 3)])
    assert list_sectors(figure, 0.68) == pytest.approx([270, 90])
    assert list_sectors(figure, 1.0) == pytest.approx([180, 90, 90])  # A's two side by side
    assert "12\npapers" in list_texts(figure) and "A\n9" in list_texts(figure)


@pytest.mark.parametrize("draw", [draw_split_donut, draw_field_donut])
def test_24_labels_neither_overlap_nor_leave_the_figure(draw):
    figure = draw(PUBLISHED)
    renderer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.axes[0].texts]
    labels = [(text.get_text(), box) for text, box in zip(figure.axes[0].texts, boxes) if "  " in text.get_text()]
    assert len(labels) == 24
    width, height = figure.canvas.get_width_height()
    for place, (name, box) in enumerate(labels):
        assert 0 <= box.x0 and box.x1 <= width and 0 <= box.y0 and box.y1 <= height, name
        for other, box_b in labels[place + 1 :]:
            assert not box.overlaps(box_b), (name, other)


def test_nothing_to_draw_is_drawn():
    assert draw_split_donut([]) and draw_field_donut([])


def test_labels_are_moved_as_little_as_it_takes():
    assert spread_labels([-1, 0, 1], 0.5, 2) == [-1, 0, 1]
    assert spread_labels([0, 0.1, 1], 0.5, 2) == [0, 0.5, 1]
    assert spread_labels([1.9, 2.0, 2.0], 0.5, 2) == pytest.approx([1, 1.5, 2])
    assert spread_labels([0] * 5, 10, 2) == pytest.approx([-2, -1, 0, 1, 2])


def test_sectors_go_clockwise_from_the_top():
    assert middle_angles([1, 1]) == pytest.approx([0, -math.pi])


def test_a_field_has_one_hue():
    colors = shade_categories(PUBLISHED)
    assert len(set(colors)) == 24
    first, last = colors[0], colors[6]  # Chemistry: only paler
    ratios = [(1 - pale) / (1 - full) for full, pale in zip(first, last) if full < 0.9]
    assert ratios == pytest.approx([ratios[0]] * len(ratios)) and ratios[0] < 0.5
    assert shade_categories([Category("no category", "")])[0] == pytest.approx((128 / 255,) * 3)


def make_report() -> BuildReport:
    splits = {
        "train": SplitCounts(9, 9, 80, 60, {"context_bound": 15, "in_test": 5}),
        "test": SplitCounts(2, 2, 20, 15, {"score_accuracy": 5}),
    }
    dropped = {"score_accuracy": 5, "context_bound": 15, "in_test": 5}
    return BuildReport(
        "f", 11, 0, 11, 100, 75, dropped, splits, [], {}, [], {}, {}, 0.2, 0, 1, "", None, 0, 0, {}, [], {}
    )


def test_the_funnel_ends_at_what_is_kept():
    assert make_report().list_steps() == [
        ("in the file", 80, 20),
        ("accuracy below the threshold", 80, 15),
        ("speaks of its paper", 65, 15),
        ("question of test", 60, 15),
    ]
    axes = draw_funnel(make_report()).axes[0]
    assert [bar.get_width() for bar in axes.containers[0]] == [80, 80, 65, 60]
    assert [bar.get_width() for bar in axes.containers[1]] == [20, 15, 15, 15]
    assert [text.get_text() for text in axes.texts] == [
        "80 + 20",
        "80 + 15   (\u22125)",
        "65 + 15   (\u221215)",
        "60 + 15   (\u22125)",
    ]


def test_a_figure_is_the_same_bytes(tmp_path):
    paths = [save_figure(draw_funnel(make_report()), tmp_path / name, "filters")[0] for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
