"""Figures of judged scores: what is drawn is what the report holds."""

import math
from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sciqag_lib.metrics.intervals import Estimate
from sciqag_lib.racar.figures import ARM_COLORS, draw_null_differences, draw_score_distributions
from sciqag_lib.racar.report import DimensionReport, NullReport, RacarReport

NONE = Estimate(math.nan, math.nan, math.nan, 0)


def make_report(**dimensions: DimensionReport) -> RacarReport:
    return RacarReport("fake model", "1-3", False, 1, "racar v1", dimensions, {}, {}, {}, 0.0, [])


def make_dimension(counts: list[int], **nulls: NullReport) -> DimensionReport:
    return DimensionReport(NONE, counts, {}, nulls, NONE, NONE, math.nan)


REPORT = make_report(
    accuracy=make_dimension([1, 1, 2], swapped=NullReport(NONE, Estimate(1.2, 0.8, 1.5, 9), [3, 1, 0]),
                            other_paper=NullReport(NONE, Estimate(0.1, -0.2, 0.3, 9), [4, 0, 0])),
    agnosticism=make_dimension([0, 0, 4], bound=NullReport(NONE, Estimate(0.5, math.nan, math.nan, 1), [1, 0, 3])),
)  # fmt: skip


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def test_each_panel_shows_the_shares_of_a_dimension_beside_its_baselines():
    accuracy, agnosticism = draw_score_distributions(REPORT).axes
    assert (accuracy.get_title(), agnosticism.get_title()) == ("accuracy", "agnosticism")
    heights = np.reshape([bar.get_height() for bar in accuracy.patches], (3, 3))
    assert heights == pytest.approx(np.array([[0.25, 0.25, 0.5], [0.75, 0.25, 0], [1, 0, 0]]))
    assert len(agnosticism.patches) == 6 and accuracy.get_xlabel() == "score (1-3)"


def test_the_legend_names_what_is_drawn():
    [legend] = draw_score_distributions(REPORT).legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "own pairs",
        "another paper's",
        "answers swapped",
        "pointed at a figure",
    ]
    [legend] = draw_score_distributions(make_report(accuracy=make_dimension([1, 0, 0]))).legends
    assert [text.get_text() for text in legend.get_texts()] == ["own pairs"]


def test_differences_stand_with_their_intervals_and_only_what_is_told_apart_is_filled():
    [axes] = draw_null_differences(REPORT).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "accuracy: answers swapped",
        "accuracy: another paper's",
        "agnosticism: pointed at a figure",
    ]
    spans = [tuple(line.get_xdata()) for line in axes.lines[1:] if len(line.get_xdata()) == 2]
    assert spans == [(0.8, 1.5), (-0.2, 0.3)]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [dot.get_xdata()[0] for dot in dots] == [1.2, 0.1, 0.5]
    assert [dot.get_markerfacecolor() for dot in dots] == [ARM_COLORS["swapped"], "white", "white"]
    low, high = axes.get_xlim()
    assert low < -1.5 and high > 1.5


def test_nothing_to_draw_says_so():
    [axes] = draw_score_distributions(RacarReport()).axes
    assert "nothing was judged" in [text.get_text() for text in axes.texts]
    report = make_report(accuracy=make_dimension([0, 0, 0]))
    assert "no scores" in [text.get_text() for text in draw_score_distributions(report).axes[0].texts]
    assert "no null baseline was judged" in [text.get_text() for text in draw_null_differences(report).axes[0].texts]
