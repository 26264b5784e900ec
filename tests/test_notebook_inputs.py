"""Every notebook, given its input and output_dir and nothing else, works on all of an input that is not the sample.

The model is named too where the packaged one would take minutes: a scripted server, which also shows what was asked.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import papermill
import pytest

from tests.factory import FACT, answer_all, make_record, question_to, write_papers
from tests.fake_server import FakeServer, reply_text
from tests.test_notebooks import read_outputs

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
DIMENSIONS = {"relevance", "agnosticism", "completeness", "accuracy", "reasonableness"}


def run_notebook(name: str, output_dir: Path, **parameters: Any) -> str:
    """Execute it; the text of all its outputs."""
    output_dir.mkdir(parents=True)
    executed = papermill.execute_notebook(
        NOTEBOOKS / f"{name}.ipynb", output_dir / "executed.ipynb", {**parameters, "output_dir": str(output_dir)},
        kernel_name="python3", progress_bar=False, cwd=NOTEBOOKS,
    )  # fmt: skip
    cells = [cell for cell in executed.cells if cell.cell_type == "code"]
    return "\n".join(text for cell in cells for text in read_outputs(cell))


def make_pairs(paper: int, count: int = 10) -> dict[str, Any]:
    """A record of two sections with `count` pairs, a fact of the paper each."""
    record = make_record(paper)
    middle = record["txt"].index("\n", len(record["txt"]) // 2)
    sections = [("Methods", 0, middle), ("Results", middle + 1, len(record["txt"]))]
    record["sections"] = [{"title": title, "start": start, "end": end} for title, start, end in sections]
    facts = list(FACT.finditer(record["txt"]))[:count]
    others = [f"Which oxides did annealing remove from {fact[1]} alloy {fact[2]}?" for fact in facts]
    asked = others if paper % 2 else [question_to(fact) for fact in facts]  # no paper's questions are near another's
    pairs = [{"Q": question, "A": fact[0]} for question, fact in zip(asked, facts)]
    return record | {"num_Q&A": len(pairs), "Q&A": pairs}


def write_json(path: Path, content: Any) -> str:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return str(path)


@pytest.fixture
def pairs_path(tmp_path: Path) -> str:
    """Two papers with ten pairs each, in a folder of their own."""
    (tmp_path / "mine").mkdir()
    return write_json(tmp_path / "mine" / "pairs.json", [make_pairs(1), make_pairs(2)])


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        server.models = [{"id": "small", "max_model_len": 16384}]
        yield server


def write_pairs_about(path: str, body: dict[str, Any]) -> Any:
    prompt = SimpleNamespace(text=body.get("prompt"), user=body.get("messages", [{"content": ""}])[-1]["content"])
    return reply_text(answer_all()(SimpleNamespace(prompt=prompt)))(path, body)


def score_items(path: str, body: dict[str, Any]) -> Any:
    """A judge of 05_evaluation that gives every item the highest score."""
    messages = body.get("messages", [{"content": ""}])  # the speed is measured on a text
    items = re.search(r"BEGIN ITEMS \w+\n(.*)\nEND ITEMS", messages[-1]["content"], re.DOTALL)
    scores = [{"score": 3, "reasons": "right"}] * (items[1].count("\n") + 1 if items else 1)
    return reply_text(json.dumps({"scores": scores}))(path, body)


@pytest.mark.slow
def test_01_prepares_every_paper(tmp_path: Path) -> None:
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    for number, place in enumerate((".", "deep")):
        record = make_record(number)
        text = f"{record['title']}\n\n{record['doi']}\n\n1. Introduction\n\n{record['txt']}\n"
        (tmp_path / "mine" / place / f"{number}.txt").write_text(text, encoding="utf-8")
    run_notebook("01_prepare_papers", tmp_path / "out", input_path=str(tmp_path / "mine"))
    papers = json.loads((tmp_path / "out" / "papers.json").read_text("utf-8"))
    assert {paper["doi"] for paper in papers} == {"10.1000/test.0", "10.1000/test.1"}


def test_02_asks_ten_pairs_of_every_paper(tmp_path: Path, server: FakeServer) -> None:
    server.reply = write_pairs_about
    papers = write_papers(tmp_path / "papers.json", 2)
    run_notebook("02_inference", tmp_path / "out", file_path=papers, engine="openai", base_url=server.url)
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert report["papers"]["considered"] == report["papers"]["done"] == 2
    assert (report["pairs"]["asked"], report["pairs"]["delivered"]) == (20, 20)


@pytest.mark.slow
def test_03_compares_all_questions(tmp_path: Path, pairs_path: str) -> None:
    run_notebook("03_question_similarity", tmp_path / "out", file_path=pairs_path)
    table = pd.read_parquet(tmp_path / "out" / "similarity.parquet")
    assert table.groupby("doi").size().to_dict() == {"10.1000/test.1": 45, "10.1000/test.2": 45}


@pytest.mark.slow
def test_04_measures_all_papers(tmp_path: Path, pairs_path: str) -> None:
    run_notebook("04_sentence_coverage", tmp_path / "out", file_path=pairs_path)
    assert list(pd.read_parquet(tmp_path / "out" / "coverage.parquet")["doi"]) == ["10.1000/test.1", "10.1000/test.2"]


def test_05_judges_all_pairs_and_06_takes_its_scores(tmp_path: Path, server: FakeServer, pairs_path: str) -> None:
    server.reply = score_items
    run_notebook("05_evaluation", tmp_path / "05_evaluation", file_path=pairs_path, judge="openai", base_url=server.url)
    table = pd.read_parquet(tmp_path / "05_evaluation" / "scores.parquet")
    own = table[table["arm"] == "own"]
    assert own.groupby("dimension")["score"].count().to_dict() == dict.fromkeys(DIMENSIONS, 20)
    assert len(pd.read_parquet(tmp_path / "05_evaluation" / "checks.parquet")) == 20
    text = run_notebook("06_build_dataset", tmp_path / "06", file_path=pairs_path)
    assert "05_evaluation: scores.parquet, checks.parquet" in text
    build = json.loads((tmp_path / "06" / "build.json").read_text("utf-8"))
    assert (build["asked"], build["kept"], build["scored"], build["checked"]) == (20, 20, 20, 20)


def test_06_builds_without_scores_and_says_so(tmp_path: Path, pairs_path: str) -> None:
    text = run_notebook("06_build_dataset", tmp_path / "out", file_path=pairs_path)
    assert "no scores or checks of these pairs were found" in text
    build = json.loads((tmp_path / "out" / "build.json").read_text("utf-8"))
    assert build["filters"] == dict.fromkeys(("train", "test"), "not context-bound (strict)")
    sizes = {name: len(json.loads((tmp_path / "out" / f"{name}.json").read_text("utf-8"))) for name in build["splits"]}
    assert sizes == {"train": 10, "test": 10}


def test_07_asks_and_judges_all_questions(tmp_path: Path, server: FakeServer) -> None:
    server.reply = reply_text('{"score": 4, "reasons": "right"}')
    questions = [{"Q": f"Why does metal {n} melt?", "A": f"Its bonds break at {900 + n} K."} for n in range(14)]
    run_notebook(
        "07_benchmark", tmp_path / "out", file_path=write_json(tmp_path / "test.json", questions),
        engine="openai", judge="openai", base_url=server.url,
    )  # fmt: skip
    assert len(json.loads((tmp_path / "out" / "answers.json").read_text("utf-8"))) == 14
    table = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    assert table.groupby(["arm", "dimension"]).size().unique().tolist() == [14]
    assert {"completeness", "accuracy", "reasonableness"} < set(table["dimension"])


def test_08_shows_no_invented_scores_under_other_pairs(tmp_path: Path, pairs_path: str) -> None:
    text = run_notebook("08_review", tmp_path / "out", file_path=pairs_path)
    assert "20 pairs of 2 papers" in text and "nobody has scored a pair yet" in text
    assert "invented" not in text and "expert 1" not in text and not (tmp_path / "out" / "agreement").exists()


@pytest.mark.slow
def test_14_measures_all_windows_of_all_papers(tmp_path: Path) -> None:
    papers = write_json(tmp_path / "papers.json", [make_record(number, 20) for number in range(2)])
    run_notebook("14_perplexity", tmp_path / "out", file_path=papers)
    table = pd.read_parquet(tmp_path / "out" / "papers.parquet")
    assert list(table["doi"]) == ["10.1000/test.0", "10.1000/test.1"]
    assert (
        list(table["windows"]) == [1 + (tokens - 512) // 64 for tokens in table["tokens"]] and min(table["windows"]) > 1
    )


def test_15_hides_numbers_in_the_papers_that_are_named(tmp_path: Path, server: FakeServer) -> None:
    papers = write_papers(tmp_path / "papers.json", 2, num_facts=4)
    run_notebook("15_passkey", tmp_path / "out", file_path=papers, engine="openai", base_url=server.url)
    assert json.loads((tmp_path / "out" / "passkey.json").read_text("utf-8"))["filler"] == "paper"
    asked = " ".join(body["messages"][-1]["content"] for _, body in server.calls)
    assert set(re.findall(r"alloy A(\d)\d\d", asked)) == {"0", "1"}


@pytest.mark.slow
def test_16_trains_on_all_and_measures_all(tmp_path: Path) -> None:
    """On train.json with the test.json of the same build beside it."""
    metals = ("iron", "lead", "gold", "zinc", "tin", "silver")
    train = [{"instruction": "Answer.", "input": f"Where is {name} mined?", "output": "In hills."} for name in metals]
    write_json(tmp_path / "test.json", [{"Q": f"How hard is {name}?", "A": f"{name} is soft."} for name in metals[:3]])
    text = run_notebook("16_downstream", tmp_path / "out", train_path=write_json(tmp_path / "train.json", train))
    assert "tasks: test.json beside the training data" in text
    steps = [json.loads(line) for line in (tmp_path / "out" / "model" / "log.jsonl").read_text().splitlines()]
    assert max(step.get("step", 0) for step in steps) == 4  # two epochs of six records, four at once
    rows = pd.read_parquet(tmp_path / "out" / "rows.parquet")
    assert rows.groupby("measure").size().unique().tolist() == [3] and "token F1" in set(rows["measure"])
