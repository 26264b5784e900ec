"""Scores and checks of 05_evaluation, found again pair by pair, and never put to other words than those judged."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fake_encoder import write_qas

from sciqag_lib.checks.pair_checks import write_pair_checks
from sciqag_lib.dataset.evaluation_results import (
    CHECK_COLUMNS,
    SCORE_COLUMNS,
    SCORES,
    EvaluationResults,
    read_results,
)
from sciqag_lib.errors import InputError
from sciqag_lib.records.dois import normalize_doi
from sciqag_lib.tables import write_table

SCORE = {
    "record": "record 1",
    "doi": "10.1/a",
    "pair": 0,
    "arm": "own",
    "dimension": "accuracy",
    "scale": "1-3",
    "score": 3,
}
CHECK = {"doi": "10.1/a", "pair": 0, "question": "Why?", "answer": "Because.", "support": 0.5, "rejected_by": ""}


def write(folder: Path, scores: Sequence[dict[str, Any]] = (), checks: Sequence[dict[str, Any]] = ()) -> Path:
    tables = (("scores", SCORE_COLUMNS, SCORE, scores), ("checks", CHECK_COLUMNS, CHECK, checks))
    for name, columns, base, rows in tables:
        if rows:
            with write_table(folder, name, columns) as table:
                table.add({**base, **row} for row in rows)
    return folder


def look_up(results: EvaluationResults, where: str, doi: str, pair: int, question: str = "", answer: str = "") -> Any:
    """The row of one pair with what is known of it."""
    pairs = pd.DataFrame(
        [(where, normalize_doi(doi), pair, question, answer, False)],
        columns=["where", "key", "pair", "question", "answer", "same_doi"],
    )
    return results.add_to(pairs).iloc[0]


def find_scores(*pair: Any) -> dict[str, float]:
    return {name.removeprefix("score_"): value for name, value in look_up(*pair)[SCORES].dropna().items()}


def find_check(*pair: Any) -> Any:
    """(rejected_by, support), or None."""
    found = look_up(*pair)
    return None if pd.isna(found["rejected_by"]) else (found["rejected_by"], found["support"])


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_scores_are_the_means_of_the_own_arm(tmp_path, kind):
    write(
        tmp_path,
        [
            {"score": 3},
            {"score": 2},
            {"score": None},
            {"arm": "swapped", "score": 1},
            {"dimension": "relevance", "score": 1},
            {"pair": 1, "score": 2},
        ],
    )
    (tmp_path / ("scores.csv" if kind == "parquet" else "scores.parquet")).unlink()
    results = read_results(tmp_path)
    assert find_scores(results, "record 1", "10.1/a", 0, "Why?", "Because.") == {"accuracy": 2.5, "relevance": 1}
    assert find_scores(results, "record 1", "10.1/a", 1, "", "") == {"accuracy": 2}
    assert find_scores(results, "record 1", "10.1/a", 2, "", "") == {}
    assert (results.scale, results.top, results.dimensions) == ("1-3", 3, ("relevance", "accuracy"))


def test_scores_are_found_under_another_spelling_and_place(tmp_path):
    results = read_results(write(tmp_path, [{}]))
    assert find_scores(results, "record 7", "https://doi.org/10.1/A", 0, "", "") == {"accuracy": 3}


def test_single_pairs_are_found_by_their_record(tmp_path):
    results = read_results(write(tmp_path, [{"doi": "", "score": 1}, {"doi": "", "record": "record 2", "score": 2}]))
    assert find_scores(results, "record 2", "", 0, "", "") == {"accuracy": 2}
    assert find_scores(results, "record 3", "", 0, "", "") == {}


def test_several_records_of_one_paper_are_told_apart(tmp_path):
    results = read_results(write(tmp_path, [{"score": 1}, {"record": "record 2", "score": 2}]))
    assert find_scores(results, "record 2", "10.1/a", 0, "", "") == {"accuracy": 2}
    assert find_scores(results, "record 9", "10.1/a", 0, "", "") == {}  # which of the two, nobody knows


def test_scores_of_other_words_are_not_used(tmp_path):
    results = read_results(write(tmp_path, [{}], [{}]))
    assert find_scores(results, "record 1", "10.1/a", 0, "Why?", "Because.") == {"accuracy": 3}
    assert find_scores(results, "record 1", "10.1/a", 0, "Why?", "Nobody knows.") == {}
    assert results.num_foreign == 1


def test_checks_are_found_by_their_words(tmp_path):
    rows = [{"rejected_by": "wrong_number unsupported"}, {"pair": 1, "question": "How?", "support": None}]
    results = read_results(write(tmp_path, [], rows))
    assert find_check(results, "record 1", "10.1/A", 0, "Why?", "Because.") == ("wrong_number unsupported", 0.5)
    reasons, support = find_check(results, "record 1", "10.1/a", 0, "How?", "Because.")
    assert reasons == "" and pd.isna(support)
    assert find_check(results, "record 1", "10.1/b", 0, "Why?", "Because.") is None
    assert results.num_checks == 2 and results.dimensions == ()


def test_what_05_evaluation_writes_is_read(tmp_path):
    write_pair_checks(write_qas(tmp_path / "qas.json", ("10.1/a", ["Why?", "What does Figure 2 show?"])), tmp_path)
    results = read_results(tmp_path)
    assert (
        "not_self_contained" in find_check(results, "record 1", "10.1/a", 0, "What does Figure 2 show?", "Because.")[0]
    )
    assert find_check(results, "record 1", "10.1/a", 0, "Why?", "Because.") is not None


def test_the_judge_and_where_it_is_useless(tmp_path):
    dimension = {"nulls": {"swapped": {"score": {"mean": 2.5}}, "bound": {"score": {"mean": None}}}}
    report = {
        "model": "m",
        "prompt": "p",
        "scale": "1-3",
        "dimensions": {"accuracy": dimension},
        "useless": ["accuracy", "relevance"],
    }
    write(tmp_path, [{}])
    (tmp_path / "racar.json").write_text(json.dumps(report), encoding="utf-8")
    results = read_results(tmp_path)
    assert results.judge == {"model": "m", "prompt": "p", "scale": "1-3", "null_means": {"accuracy": {"swapped": 2.5}}}
    assert results.useless == ["accuracy"]
    (tmp_path / "racar.json").write_text('{"model": "m"}', encoding="utf-8")
    with pytest.raises(InputError, match="racar.json: expected the report"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    "rows, message",
    [
        ([{}, {"scale": "1-5"}], "scores of one scale, found 1-3 and 1-5"),
        ([{"dimension": "precision"}], "found 'precision'"),
    ],
)
def test_scores_that_cannot_be_used(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read_results(write(tmp_path, rows))


def test_folders_and_tables_that_cannot_be_read(tmp_path):
    assert read_results(None).dimensions == ()
    with pytest.raises(InputError, match="found neither"):
        read_results(tmp_path)
    (tmp_path / "checks.csv").write_text("doi,pair\n10.1/a,0\n", encoding="utf-8")
    with pytest.raises(InputError, match="checks.csv"):
        read_results(tmp_path)
    (tmp_path / "checks.parquet").write_text("no table", encoding="utf-8")
    with pytest.raises(InputError, match="checks.parquet: cannot be read"):
        read_results(tmp_path)
