"""Agreement of judges with experts: the report of small tables, two judges compared, the figures, bad input."""

import csv
import json
import math

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pyarrow.parquet
import pytest
from matplotlib.colors import to_hex
from scipy import stats

from sciqag_lib.agreement.analysis import PUBLISHED, AgreementReport, analyse_agreement, tabulate_comparisons
from sciqag_lib.agreement.comparison import compare_judges, compare_sets
from sciqag_lib.agreement.figures import draw_agreement, draw_comparison
from sciqag_lib.agreement.score_table import DIMENSIONS, read_scores
from sciqag_lib.errors import InputError
from sciqag_lib.figure_style import PALETTE, save_figure
from sciqag_lib.paths import REPO_ROOT

HEADER = "paper,pair,dimension,rater,kind,score,answer_words"
QUALITY = np.random.default_rng(0).integers(1, 4, (12, 4))  # of 4 pairs in each of 12 papers


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch):
    monkeypatch.setattr("sciqag_lib.metrics.reliability.NUM_RESAMPLES", 400)
    yield
    plt.close("all")


def write(path, rows) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER.split(","), *rows])
    return str(path)


def score_rows(raters: dict[str, tuple[str, float, int]], dimensions=("accuracy",), papers: int = 12) -> list[list]:
    """`raters`: name: kind, how often it errs, seed. Who errs gives any score."""
    rows = []
    for name, (kind, error, seed) in raters.items():
        chance = np.random.default_rng(seed)
        for dimension in dimensions:
            for paper, pair in np.ndindex(papers, 4):
                score = chance.integers(1, 4) if chance.random() < error else QUALITY[paper, pair]
                rows.append([f"10.1/p{paper}", pair, dimension, name, kind, score, 20 + (7 * paper + 3 * pair) % 23])
    return rows


RATERS = {"ann": ("expert", 0.2, 1), "ben": ("expert", 0.2, 2), "good": ("judge", 0.2, 3), "poor": ("judge", 0.9, 4)}


def analyse(folder, rows, **options) -> AgreementReport:
    return analyse_agreement(write(folder / "scores.csv", rows), folder / "out", **options)


def column(rows, rater: str) -> np.ndarray:
    return np.array([row[5] for row in rows if row[3] == rater], float)


# The report ----------------------------------------------------------------------------------------------------------


def test_a_judge_is_held_against_the_experts_mean_and_experts_against_each_other(tmp_path):
    rows = score_rows(RATERS)
    report = analyse(tmp_path, rows)
    mean = (column(rows, "ann") + column(rows, "ben")) / 2
    for measure, reference in (("spearman", stats.spearmanr), ("pearson", stats.pearsonr)):
        for judge in ("good", "poor"):
            found = report.find(judge, "accuracy", measure)
            assert found.value == pytest.approx(reference(column(rows, judge), mean).statistic)
            assert found.low < found.value < found.high and (found.pairs, found.papers) == (48, 12)
        experts = reference(column(rows, "ann"), column(rows, "ben")).statistic
        assert report.find("experts", "accuracy", measure).value == pytest.approx(experts)
    lengths = np.array([row[6] for row in rows if row[3] == "ann"])
    found = report.find("answer length", "accuracy", "spearman")
    assert found.value == pytest.approx(stats.spearmanr(lengths, mean).statistic)
    assert report.find("answer length", "accuracy", "alpha_ordinal") is None
    assert report.find("good", "accuracy", "alpha_ordinal").null_high < 0.4
    assert [row.published for row in report.rows if row.rater == "good"] == [0.65, 0.66, None, None]
    assert all(row.published is None for row in report.rows if row.rater in ("experts", "answer length"))


def test_a_judge_that_throws_dice_is_called_so_and_a_good_one_is_not(tmp_path):
    report = analyse(tmp_path, score_rows({**RATERS, "poor": ("judge", 1.0, 8)}))
    found = [note for note in report.notes if "shuffled" in note]
    assert found == ["poor: can't be told from its own scores shuffled, by Spearman, for accuracy"]


def test_what_is_written_is_what_is_reported(tmp_path):
    report = analyse(tmp_path, score_rows(RATERS))
    rows = pyarrow.parquet.read_table(tmp_path / "out" / "agreement.parquet").to_pylist()
    assert len(rows) == len(report.rows) == 3 * 4 + 2
    with (tmp_path / "out" / "agreement.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == list(rows[0])
    good = next(row for row in rows if (row["rater"], row["measure"]) == ("good", "spearman"))
    result = report.find("good", "accuracy", "spearman")
    assert (good["value"], good["low"], good["null_high"], good["published"]) == (
        round(result.value, 4),
        round(result.low, 4),
        round(result.null_high, 4),
        0.65,
    )
    saved = json.loads((tmp_path / "out" / "agreement.json").read_text(encoding="utf-8"))
    assert saved["published"] == PUBLISHED and "read off a figure" in saved["published_label"] and saved["version"] == 1
    verdicts = pyarrow.parquet.read_table(tmp_path / "out" / "comparisons.parquet").to_pylist()
    assert [row["verdict"] for row in verdicts] == [one.verdict for one in report.comparisons]
    shown = report.to_frame().loc["good", "accuracy"].iloc[0]
    assert (shown["agreement", "Spearman"], shown["published", "Spearman"]) == (str(result), "0.65")
    compared = tabulate_comparisons(report.comparisons)
    assert ("good", "poor") in set(zip(compared["first"], compared["second"]))
    assert any("nobody scored" in note for note in report.notes)


def test_the_published_numbers_are_those_of_the_figure():
    assert list(PUBLISHED["spearman"].values()) == [0.78, 0.63, 0.68, 0.65, 0.73]
    assert list(PUBLISHED["pearson"].values()) == [0.75, 0.60, 0.67, 0.66, 0.74]
    assert list(PUBLISHED["pearson"]) == list(DIMENSIONS)


def test_the_order_of_the_rows_changes_no_number(tmp_path):
    rows = score_rows(RATERS)
    (tmp_path / "turned").mkdir()
    first, second = analyse(tmp_path, rows), analyse(tmp_path / "turned", rows[::-1])
    assert first.rows == second.rows and first.comparisons == second.comparisons
    assert analyse(tmp_path, rows, seed=1).rows != first.rows


# Bad input -----------------------------------------------------------------------------------------------------------


def test_of_annotators_with_different_pairs_the_shared_ones_are_used_and_the_rest_is_named(tmp_path):
    """ann scores papers 0 to 8, ben 3 to 11: 24 shared pairs, 12 of each alone; the judge lacks one of the shared."""
    rows = [
        row
        for row in score_rows({name: RATERS[name] for name in ("ann", "ben", "good")})
        if not (row[3] == "ann" and row[0] in ("10.1/p9", "10.1/p10", "10.1/p11"))
        and not (row[3] == "ben" and row[0] in ("10.1/p0", "10.1/p1", "10.1/p2"))
        and row[:4] != ["10.1/p5", 2, "accuracy", "good"]
    ]
    report = analyse(tmp_path, rows)
    assert report.find("experts", "accuracy", "spearman").pairs == 24
    assert report.find("experts", "accuracy", "alpha_ordinal").pairs == 24
    assert report.find("good", "accuracy", "spearman").pairs == 23
    notes = [note for note in report.notes if "left out" in note]
    first, last = (", ".join(f"10.1/{paper} pair {pair}" for pair in range(3)) + ", ..." for paper in ("p0", "p10"))
    assert notes == [
        f"ann: 12 pairs left out of accuracy, no other expert scored it: {first}",
        f"ben: 12 pairs left out of accuracy, no other expert scored it: {last}",
        f"good: 24 pairs left out of accuracy, too few experts scored it: {first}",
        "good: 1 pair left out of accuracy, the experts scored it, this judge did not: 10.1/p5 pair 2",
    ]
    left_out = pyarrow.parquet.read_table(tmp_path / "out" / "left_out.parquet").to_pylist()
    assert len(left_out) == len(report.left_out) == 49
    assert left_out[-1] == {
        "dimension": "accuracy",
        "rater": "good",
        "paper": "10.1/p5",
        "pair": "2",
        "reason": "the experts scored it, this judge did not",
    }


def test_annotators_without_a_shared_pair_are_said_to_have_none(tmp_path):
    rows = [
        row
        for row in score_rows({name: RATERS[name] for name in ("ann", "ben", "good")})
        if row[3] == "good" or (row[3] == "ann") == (row[1] < 2)
    ]
    report = analyse(tmp_path, rows)
    for rater in ("experts", "good"):
        found = report.find(rater, "accuracy", "spearman")
        assert math.isnan(found.value) and found.reason == "no shared pairs, at least 3 are needed"


def test_a_constant_judge_is_named_and_others_go_on(tmp_path):
    rows = [row[:5] + [3 if row[3] == "poor" else row[5]] + row[6:] for row in score_rows(RATERS)]
    report = analyse(tmp_path, rows)
    assert (
        "poor, accuracy (Spearman, Pearson): poor is always 3: a correlation with scores that never differ is not "
        "defined"
    ) in report.notes
    assert math.isfinite(report.find("poor", "accuracy", "alpha_ordinal").value)
    assert math.isfinite(report.find("good", "accuracy", "spearman").value)
    verdict = next(one for one in report.comparisons if (one.second, one.measure) == ("poor", "spearman")).verdict
    assert verdict.startswith("not compared (poor is always 3")
    assert report.to_frame().loc["poor", "accuracy"]["agreement", "Pearson"].tolist() == ["undefined"]
    saved = json.loads((tmp_path / "out" / "agreement.json").read_text(encoding="utf-8"))
    row = next(row for row in saved["rows"] if (row["rater"], row["measure"]) == ("poor", "pearson"))
    assert row["result"]["value"] is None and "always 3" in row["result"]["reason"]


def test_experts_that_never_differ_are_named_and_not_the_judge(tmp_path):
    rows = [row[:5] + [2 if row[4] == "expert" else row[5]] + row[6:] for row in score_rows(RATERS)]
    report = analyse(tmp_path, rows)
    assert report.find("good", "accuracy", "pearson").reason.startswith("experts' mean is always 2:")
    assert report.find("experts", "accuracy", "pearson").reason.startswith("ann is always 2, ben is always 2:")


def test_rows_at_fault_stand_in_the_report_and_the_rest_goes_on(tmp_path):
    rows = score_rows(RATERS)
    report = analyse(tmp_path, [["10.1/p0", 0, "accuracy", "ann", "expert", 7, ""], *rows])
    assert report.bad == [f"{tmp_path / 'scores.csv'}, line 2, field 'score': expected a number from 1 to 3, found '7'"]
    assert report.find("good", "accuracy", "spearman").pairs == 48


def test_one_expert_is_enough_and_said_to_be_one(tmp_path):
    report = analyse(tmp_path, score_rows({"ann": RATERS["ann"], "good": RATERS["good"]}, papers=3))
    assert report.find("good", "accuracy", "spearman").pairs == 12
    assert math.isnan(report.find("experts", "accuracy", "spearman").value)
    assert any("one expert, 'ann'" in note for note in report.notes)
    assert any("too narrow" in note and "there are 3 of them" in note for note in report.notes)


@pytest.mark.parametrize("raters, message", [
    ({"good": RATERS["good"], "poor": RATERS["poor"]}, "expected an expert .*found 0 experts and 2 judges"),
    ({"ann": RATERS["ann"]}, "found 1 experts and 0 judges"),
    ({"ann": RATERS["ann"], "experts": RATERS["good"]}, "a rater is called 'experts'.*rename it"),
])  # fmt: skip
def test_a_table_without_two_sides_is_refused(tmp_path, raters, message):
    with pytest.raises(InputError, match=message):
        analyse(tmp_path, score_rows(raters))
    assert not (tmp_path / "out").exists()


# Two judges ----------------------------------------------------------------------------------------------------------


def find(comparisons, measure: str):
    return next(one for one in comparisons if one.measure == measure)


def test_the_better_judge_agrees_more_in_either_order(tmp_path):
    rows = score_rows(RATERS)
    table = read_scores(write(tmp_path / "s.csv", rows))
    forth, back = (find(compare_judges(table, *names), "spearman") for names in (("good", "poor"), ("poor", "good")))
    mean = (column(rows, "ann") + column(rows, "ben")) / 2
    good, poor = (stats.spearmanr(column(rows, name), mean).statistic for name in ("good", "poor"))
    assert forth.difference == pytest.approx(good - poor) and forth.low > 0
    assert (back.difference, back.low, back.high) == pytest.approx((-forth.difference, -forth.high, -forth.low))
    assert forth.verdict == back.verdict == "good agrees more with the experts"


def test_of_equal_judges_no_difference_is_told(tmp_path):
    rows = score_rows({**RATERS, "other": ("judge", 0.2, 13)})
    table = read_scores(write(tmp_path / "s.csv", rows))
    verdicts = {one.verdict for one in compare_judges(table, "good", "other")}
    assert verdicts == {"no difference can be told from this many pairs (48 of 12 papers)"}


def test_pairing_makes_the_interval_narrower_than_two_judges_apart(tmp_path):
    """A judge against itself but for one pair: what is hard for both falls away."""
    rows = score_rows(RATERS)
    twin = [row[:3] + ["twin"] + row[4:] for row in rows if row[3] == "good"]
    twin[0][5] = 4 - twin[0][5] if twin[0][5] != 2 else 3
    one = find(compare_judges(read_scores(write(tmp_path / "s.csv", rows + twin)), "good", "twin"), "pearson")
    alone = analyse(tmp_path, rows).find("good", "accuracy", "pearson")
    assert one.high - one.low < 0.7 * (alone.high - alone.low)


def test_mean_scores_are_compared_on_the_pairs_both_scored(tmp_path):
    """high scores one more than low on 4 of 6 shared pairs: 2/3; what only one scored does not count."""
    low, high = [1, 1, 2, 2, 3, 1], [2, 2, 3, 3, 3, 1]
    rows = [
        [f"10.1/p{n // 2}", n, "accuracy", name, "judge", score, ""]
        for name, scores in (("low", [*low, 3, 3]), ("high", high))
        for n, score in enumerate(scores)
    ]
    [one] = compare_judges(read_scores(write(tmp_path / "s.csv", rows)), "high", "low")
    assert (one.measure, one.pairs, one.papers) == ("mean_score", 6, 3)
    assert (one.value_first, one.value_second, one.difference) == pytest.approx((14 / 6, 10 / 6, 4 / 6))
    assert one.verdict.startswith("no difference can be told") == (one.low <= 0)
    few = [row for row in rows if row[1] in (0, 1, 6)]
    [one] = compare_judges(read_scores(write(tmp_path / "s.csv", few)), "high", "low")
    assert math.isnan(one.difference) and one.verdict == "not compared (2 pairs scored by both, at least 3 are needed)"


def test_a_judge_is_held_against_the_length_of_the_answer(tmp_path):
    found = [one for one in analyse(tmp_path, score_rows(RATERS)).comparisons if one.second == "answer length"]
    assert [(one.first, one.measure) for one in found] == [
        ("good", "spearman"),
        ("good", "pearson"),
        ("poor", "spearman"),
        ("poor", "pearson"),
    ]
    assert found[0].verdict == "good agrees more with the experts"
    rows = [row[:6] + [""] for row in score_rows(RATERS)]
    assert not [one for one in analyse(tmp_path, rows).comparisons if one.second == "answer length"]


def test_two_sets_of_pairs_are_compared_paper_by_paper(tmp_path):
    """Papers a and b; set 1: a 3, 3, b 2; set 2: a 2, b 1, 1, 2, c 3 (not shared): 8/3 - 6/4."""

    def make(name: str, scores: dict[str, list[int]], kind: str = "expert"):
        rows = [
            [f"10.1/{paper}", number, "accuracy", "ann", kind, score, ""]
            for paper, given in scores.items()
            for number, score in enumerate(given)
        ]
        return read_scores(write(tmp_path / name, rows))

    first, second = make("1.csv", {"a": [3, 3], "b": [2]}), make("2.csv", {"a": [2], "b": [1, 1, 2], "c": [3]})
    [one] = compare_sets(first, second, ("new", "old"))
    assert (one.value_first, one.value_second) == pytest.approx((8 / 3, 6 / 4)) and (one.pairs, one.papers) == (7, 2)
    # Twice a: 3 - 2 = 1; twice b: 2 - 4/3 = 2/3; once each: 7/6: the ends of the interval are the least and the most.
    assert (one.low, one.high) == pytest.approx((2 / 3, 7 / 6)) and one.verdict == "new is scored higher"
    [alone] = compare_sets(make("1.csv", {"d": [3, 3]}), second, ("new", "old"))
    assert alone.verdict == "not compared (no paper is in both sets)" and math.isnan(alone.difference)
    with pytest.raises(InputError, match="expected scores by experts .*raters are ann"):
        compare_sets(first, make("2.csv", {"a": [2]}, "judge"), ("new", "old"))


# Figures -------------------------------------------------------------------------------------------------------------


def test_the_bars_are_the_values_beside_the_published_ones(tmp_path):
    report = analyse(tmp_path, score_rows(RATERS, DIMENSIONS))
    figure = draw_agreement(report)
    for axes, measure in zip(figure.axes, ("spearman", "pearson")):
        assert axes.get_ylabel().lower() == measure
        assert [label.get_text() for label in axes.get_xticklabels()] == list(DIMENSIONS)
        bars = [container for container in axes.containers if hasattr(container, "patches")]
        heights = [[bar.get_height() for bar in container] for container in bars]
        assert heights[0] == pytest.approx(list(PUBLISHED[measure].values()))
        for given, rater in zip(heights[1:], ("good", "poor", "experts", "answer length")):
            assert given == pytest.approx([report.find(rater, name, measure).value for name in DIMENSIONS])
        spans = [
            [segment[:, 1] for segment in container.lines[2][0].get_segments()]
            for container in axes.containers
            if hasattr(container, "has_yerr")
        ]
        for rater in ("good", "poor", "experts", "answer length"):
            found = [report.find(rater, name, measure) for name in DIMENSIONS]
            assert any(np.allclose(span, [(one.low, one.high) for one in found]) for span in spans)
        colors = {to_hex(bar.get_facecolor()).upper() for bar in axes.patches}
        assert set(PALETTE[:2]) <= colors
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        "published (read off a figure, \u00b10.01)",
        "good",
        "poor",
        "experts against each other",
        "answer length as a judge",
        "judge's scores shuffled: 97.5% below",
    ]
    assert all(path.stat().st_size > 5000 for path in save_figure(figure, tmp_path, "agreement"))


def test_what_is_not_defined_has_a_cross_and_no_bar(tmp_path):
    rows = [
        row[:5] + [3 if row[3] == "_poor" else row[5]] + row[6:]
        for row in score_rows({**RATERS, "_poor": RATERS["poor"]})
    ]
    figure = draw_agreement(analyse(tmp_path, rows))
    labels = [text.get_text().strip() for text in figure.legends[0].get_texts()]
    assert "not defined" in labels and "_poor" in labels
    crosses = [line for line in figure.axes[1].get_lines() if line.get_marker() == "x" and len(line.get_xdata())]
    assert len(crosses) == 1 and list(crosses[0].get_ydata()) == [0]


def test_differences_are_drawn_with_their_intervals_and_filled_where_they_differ(tmp_path):
    report = analyse(tmp_path, score_rows(RATERS))
    figure = draw_comparison(report)
    for axes, measure in zip(figure.axes, ("spearman", "mean_score")):
        one = next(one for one in report.comparisons if (one.second, one.measure) == ("poor", measure))
        _, interval, point = axes.get_lines()[:3]
        assert list(interval.get_xdata()) == [one.low, one.high] and point.get_xdata()[0] == one.difference
        assert (point.get_markerfacecolor() == "white") == (one.low <= 0 <= one.high)


def test_the_sample_of_the_repository_is_read_whole(tmp_path):
    report = analyse_agreement(REPO_ROOT / "data" / "expert_scores.csv", tmp_path)
    assert not report.bad and not report.left_out and (report.num_pairs, report.num_papers) == (48, 12)
    assert {row.dimension for row in report.rows} == set(DIMENSIONS)
