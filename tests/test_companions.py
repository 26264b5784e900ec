"""What a build finds beside its pairs, and which filters it chooses where none is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from sciqag_lib.dataset.companions import Companions, choose_filters, find_companions
from sciqag_lib.dataset.evaluation_results import CHECK_COLUMNS, SCORE_COLUMNS
from sciqag_lib.errors import InputError
from sciqag_lib.tables import write_table

PAIRS = [{"Q": "Why?", "A": "Because."}, {"Q": "How?", "A": "So."}]
SCORE = {"record": "record 1", "doi": "10.1/a", "pair": 0, "arm": "own", "dimension": "accuracy", "scale": "1-3"}
CHECK = {"doi": "10.1/a", "pair": 0, "question": "Why?", "answer": "Because.", "support": 0.5, "rejected_by": ""}


def write_checks(folder: Path, **changes: Any) -> None:
    with write_table(folder, "checks", CHECK_COLUMNS) as table:
        table.add([CHECK | changes])


def write_scores(folder: Path, dimensions: tuple[str, ...] = ("accuracy",), **changes: Any) -> None:
    with write_table(folder, "scores", SCORE_COLUMNS) as table:
        table.add(SCORE | {"score": 3, "dimension": name} | changes for name in dimensions)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "02_inference" / "processed_output.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps([{"doi": "10.1/a", "txt": "A.", "Q&A": PAIRS}]), encoding="utf-8")
    return path


def find(source: Path, output_dir: Path | None = None, **named: str) -> Companions:
    settings = dict.fromkeys(("evaluation_dir", "journals", "benchmark")) | named
    return find_companions(source, output_dir or source.parents[2] / "elsewhere" / "06", **settings)


def tell(found: Companions, setting: str) -> tuple[str, str]:
    [row] = [row for row in found.rows if row["setting"] == setting]
    return row["used"], row["why"]


def test_nothing_beside_the_pairs_is_said(source: Path) -> None:
    found = find(source)
    assert found.paths == {"evaluation_dir": None, "journals": None, "benchmark": None}
    assert choose_filters(found, None, None) == {
        "train_filter": {"context_bound": "strict", "missing": "keep"},
        "test_filter": {"context_bound": "strict"},
    }
    assert tell(found, "evaluation_dir") == (
        "none",
        "no scores or checks of these pairs were found; 05_evaluation makes them",
    )
    assert tell(found, "journals") == ("none", "there is no journals.csv beside the pairs")
    assert tell(found, "test_filter") == (
        "not context-bound (strict)",
        "by default; no checks to filter by; no scores to filter by",
    )
    assert list(found.to_frame().index) == ["evaluation_dir", "journals", "benchmark", "train_filter", "test_filter"]


@pytest.mark.parametrize("place", ["02_inference", "05_evaluation", "../elsewhere/05_evaluation"])
def test_an_evaluation_of_the_pairs_is_found(source: Path, place: str) -> None:
    folder = source.parents[1] / place
    write_checks(folder)
    found = find(source)
    assert found.paths["evaluation_dir"].resolve() == folder.resolve()
    assert tell(found, "evaluation_dir") == (f"{folder.name}: checks.parquet", "found: it is of these pairs")


def test_other_pairs_tables_are_passed_over_and_named(source: Path) -> None:
    write_checks(source.parent, answer="Other words.")
    write_scores(source.parents[1] / "05_evaluation", doi="10.1/b")
    found = find(source)
    assert found.paths["evaluation_dir"] is None
    assert "02_inference is of other pairs; 05_evaluation is of other pairs" in tell(found, "evaluation_dir")[1]


@pytest.mark.parametrize("text", ["student,score\nanna,1\n", "no table", ""])
def test_a_table_of_that_name_that_is_none_of_ours_does_not_stop_a_build(source: Path, text: str) -> None:
    (source.parent / "scores.csv").write_text(text, encoding="utf-8")
    write_checks(source.parents[1] / "05_evaluation")
    found = find(source)
    assert found.paths["evaluation_dir"] == source.parents[1] / "05_evaluation"
    (source.parents[1] / "05_evaluation" / "checks.parquet").unlink()
    (source.parents[1] / "05_evaluation" / "checks.csv").unlink()
    used, why = tell(find(source), "evaluation_dir")
    assert used == "none" and "02_inference/scores.csv: " in why and str(source.parent) not in why


def test_scores_alone_are_known_by_their_papers(source: Path) -> None:
    write_scores(source.parent)
    assert find(source).paths["evaluation_dir"] == source.parent
    assert find(source).results.dimensions == ("accuracy",)


def test_pairs_without_papers_are_known_by_their_words(source: Path) -> None:
    source.write_text(json.dumps(PAIRS), encoding="utf-8")
    write_scores(source.parent, doi="")
    assert find(source).paths["evaluation_dir"] is None  # "record 1" is in every file
    write_checks(source.parent, doi="record 1")
    assert find(source).paths["evaluation_dir"] == source.parent


def test_filters_ask_what_was_judged(source: Path) -> None:
    write_checks(source.parent)
    write_scores(source.parent, ("accuracy", "relevance"), scale="1-5", score=5)
    filters = choose_filters(find(source), None, None)
    assert filters == {
        "train_filter": {"context_bound": "strict", "checks": ["wrong_number"], "missing": "keep"},
        "test_filter": {
            "context_bound": "strict",
            "checks": ["wrong_number"],
            "min_score": {"relevance": 5, "accuracy": 5},
        },
    }
    found = find(source)
    assert choose_filters(found, {}, {"min_score": 4}) == {"train_filter": {}, "test_filter": {"min_score": 4}}
    assert tell(found, "train_filter") == ("all kept", "as named")


def test_scores_of_a_useless_judge_do_not_count(source: Path) -> None:
    write_scores(source.parent, ("accuracy", "relevance"))
    found = find(source)
    found.results.useless = ["accuracy"]
    assert choose_filters(found, None, None)["test_filter"]["min_score"] == {"relevance": 3}
    assert "accuracy does not count: its judge does not tell pairs from worse ones" in tell(found, "test_filter")[1]


def test_journals_and_benchmark_beside_the_pairs(source: Path) -> None:
    (source.parent / "journals.csv").write_text("journal,category\nFuel,Energy & Fuels\n", encoding="utf-8")
    (source.parent / "benchmark.json").write_text('[{"Q": "Why?"}]', encoding="utf-8")
    found = find(source)
    assert found.paths["journals"] == source.parent / "journals.csv"
    assert tell(found, "benchmark") == ("benchmark.json", "found beside the pairs")
    (source.parent / "journals.csv").write_text("name,rank\nFuel,1\n", encoding="utf-8")
    found = find(source)
    assert found.paths["journals"] is None and "journals.csv" in tell(found, "journals")[1]


def test_what_is_named_is_taken_as_it_is(source: Path, tmp_path: Path) -> None:
    write_checks(source.parent)
    write_checks(tmp_path / "other", answer="Other words.")
    found = find(source, evaluation_dir=str(tmp_path / "other"), journals=str(tmp_path / "none.csv"))
    assert found.paths["evaluation_dir"] == tmp_path / "other"
    assert found.paths["journals"] == tmp_path / "none.csv" and tell(found, "journals") == ("none.csv", "as named")
    with pytest.raises(InputError, match="found neither"):
        find(source, evaluation_dir=str(source.parents[1]))
