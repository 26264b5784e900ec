"""Run against run: what is paired, what is refused, and whether the p values are those of the exact test."""

import itertools

import numpy as np
import pytest

from sciqag_lib.benchmark.comparison import compare_runs, measure_chance, show_comparison
from sciqag_lib.benchmark.report import write_benchmark
from sciqag_lib.errors import InputError
from tests.benchmark_factory import asked, fact, knows_all, make_records, run_both, sees_all
from tests.fake_encoder import make_embedder
from tests.fakes import FakeEngine


def wrong_up_to(number):
    """Says "about", accuracy 3 instead of 5, of the facts below `number`."""

    def reply(request):
        if request.prompt.text:
            return "one two"
        n = asked(request)
        return fact(n).replace("is ", "is about ") if n < number else fact(n)

    return reply


def make_run(tmp_path, out, model, number=20, judge=sees_all, **more):
    run_both(tmp_path, number, model, judge, out, null_questions=0, **more)
    write_benchmark(tmp_path / out)
    return tmp_path / out


def by_dimension(comparison):
    return {each.dimension: each for each in comparison.comparisons}


def test_a_better_run_is_called_so(tmp_path):
    """Accuracy 5 against (10 * 3 + 10 * 5) / 20 = 4: difference 1, of ten questions 2 and of ten 0."""
    comparison = compare_runs(make_run(tmp_path, "a", knows_all), make_run(tmp_path, "b", wrong_up_to(10)))
    accuracy, completeness = (by_dimension(comparison)[name] for name in ("accuracy", "completeness"))
    assert (accuracy.value_first, accuracy.value_second, accuracy.difference.mean) == (5.0, 4.0, 1.0)
    assert 0 < accuracy.difference.low < 1 < accuracy.difference.high and accuracy.p_value < 0.01
    assert accuracy.verdict == "fake fake-model, zero-shot [a] scores higher" and accuracy.questions == 20
    assert completeness.p_value == 1.0 and completeness.verdict.startswith("no difference can be told")
    turned = by_dimension(compare_runs(tmp_path / "b", tmp_path / "a"))["accuracy"]
    assert turned.difference.mean == -1.0 and turned.verdict == "fake fake-model, zero-shot [a] scores higher"
    row = comparison.to_frame().set_index("dimension").loc["accuracy"]
    assert (row["first"], row["second"], row["questions"]) == (5.0, 4.0, 20)
    assert row["difference"].startswith("1.000 (") and row["verdict"] == accuracy.verdict


def test_a_difference_of_two_questions_is_no_verdict(tmp_path):
    """Two of twenty differ, both one way: the exact two-sided p is 2 / 2^2."""
    found = by_dimension(compare_runs(make_run(tmp_path, "a", knows_all), make_run(tmp_path, "b", wrong_up_to(2))))
    assert found["accuracy"].p_value == pytest.approx(0.5, abs=0.03)
    assert found["accuracy"].verdict == "no difference can be told from this many questions (20)"


@pytest.mark.parametrize("values", [[1, 2, 3, -1, 2], [1, 1, 1, 1, 1, 1], [2, -2, 1, 0, 0, 3, -1]])
def test_the_p_value_is_that_of_all_signs(values):
    """By hand: the share of the 2^n sign choices whose sum is at least as far from 0."""
    sums = [abs(np.dot(signs, values)) for signs in itertools.product((1, -1), repeat=len(values))]
    assert measure_chance(np.array(values, float)) == pytest.approx(np.mean(np.array(sums) >= abs(sum(values)) - 1e-9))
    assert measure_chance(np.zeros(5)) == 1.0


def test_only_questions_that_both_answered_are_paired(tmp_path):
    first, second = make_run(tmp_path, "a", knows_all, limit=8), make_run(tmp_path, "b", wrong_up_to(20), limit=5)
    comparison = compare_runs(first, second)
    accuracy = by_dimension(comparison)["accuracy"]
    assert accuracy.questions == 5 and accuracy.difference.mean == 2.0 and accuracy.value_first == 5.0


def test_questions_of_one_paper_are_turned_together(tmp_path):
    """Two papers of five questions: two signs, so that p is 2 / 2^2 however clear the difference of each question."""
    records = [{"doi": f"10.1/{paper}", "Q&A": make_records(10)[5 * paper : 5 * paper + 5]} for paper in (0, 1)]
    first, second = (
        make_run(tmp_path, name, model, records=records) for name, model in (("a", knows_all), ("b", wrong_up_to(10)))
    )
    accuracy = by_dimension(compare_runs(first, second))["accuracy"]
    assert accuracy.questions == 10 and accuracy.p_value == 0.5 and "no difference can be told" in accuracy.verdict


def test_different_test_files_are_refused_with_their_names(tmp_path):
    first = make_run(tmp_path, "a", knows_all)
    (tmp_path / "test.json").rename(tmp_path / "old.json")
    second = make_run(tmp_path, "b", knows_all, number=19)
    with pytest.raises(InputError, match=r"a: test.json \(20 questions, .*\) and b: test.json \(19 questions, "):
        compare_runs(first, second)
    with pytest.raises(InputError, match="run 07_benchmark with this output_dir first"):
        compare_runs(first, tmp_path / "nothing")


def test_other_judges_and_encoders_are_not_compared(tmp_path, capsys):
    judge = FakeEngine(sees_all)
    judge.model_id = "another judge"
    first, second = make_run(tmp_path, "a", knows_all), make_run(tmp_path, "b", wrong_up_to(10), judge=judge)
    write_benchmark(first, make_embedder())
    write_benchmark(second, make_embedder(model_id="other encoder"))
    comparison = compare_runs(first, second)
    assert set(by_dimension(comparison)) == {"token_f1", "rouge_l"} and len(comparison.notes) == 2
    show_comparison(comparison)
    shown = capsys.readouterr().out
    assert "since the judges differ" in shown and "fake another judge" in shown and "fake; other encoder" in shown


def test_other_versions_of_the_measures_are_not_compared(tmp_path):
    first, second = make_run(tmp_path, "a", knows_all), make_run(tmp_path, "b", knows_all)
    report = (second / "benchmark.json").read_text(encoding="utf-8")
    (second / "benchmark.json").write_text(report.replace("rouge-score 0", "rouge-score 9"), encoding="utf-8")
    comparison = compare_runs(first, second)
    assert set(by_dimension(comparison)) == {"completeness", "accuracy", "reasonableness"}
    assert "versions of the measures differ" in comparison.notes[0] and "rouge-score 9" in comparison.notes[0]
