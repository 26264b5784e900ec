"""Whole runs with real engines on a short sample paper: exact counts, spans that are right, contexts that hold.

What the packaged model writes is not judged here, only that every pair and every missing one is accounted for.
"""

import json
from pathlib import Path

import pytest

from sciqag_lib.checks.rules import REASONS
from sciqag_lib.engines import open_engine
from sciqag_lib.generation.evidence_first import CITATION
from sciqag_lib.generation.recipe import make_recipe
from sciqag_lib.generation.run import generate

PAPERS = Path(__file__).parents[1] / "data" / "papers.json"
MISSING = {*REASONS, "weak_question", "no_informative_sentence", "too_few_given", "reply_unreadable", "reply_truncated"}


class Watched:
    """A real engine and every request it was given."""

    def __init__(self, engine):
        self.engine, self.requests = engine, []

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def submit(self, request):
        self.requests.append(request)
        self.engine.submit(request)

    def asked(self) -> list:
        return [request for request in self.requests if not request.id.startswith("speed#")]


def write_paper(tmp_path) -> str:
    """The first sample paper up to the end of a sentence within 2,500 characters: seconds on 2 cores."""
    paper = json.loads(PAPERS.read_text(encoding="utf-8"))[0]
    paper["txt"] = paper["txt"][: paper["txt"].rindex(". ", 0, 2500) + 1]
    paper["sections"] = [part for part in paper["sections"] if part["end"] <= len(paper["txt"])]
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "paper.json").write_text(json.dumps([paper], ensure_ascii=False), encoding="utf-8")
    return str(tmp_path / "paper.json")


def run(tmp_path, engine, strategy: str, file_path=None) -> tuple[dict, Watched]:
    """One paper, 2 pairs, replies of at most 40 tokens."""
    watched = Watched(engine)
    recipe = make_recipe(strategy, n_qa=2, context_size=watched.context_size, max_gen_len=40, temperature=0.0)
    return generate(file_path or write_paper(tmp_path), tmp_path / "out", watched, recipe, limit=1), watched


def read(tmp_path, name: str):
    return json.loads((tmp_path / "out" / name).read_text(encoding="utf-8"))


def check_run(tmp_path, report: dict, watched: Watched) -> None:
    """Nothing unaccounted for, nothing over the context, every span where it says."""
    papers, pairs = report["papers"], report["pairs"]
    assert papers["considered"] == 1 == papers["done"] + papers["failed"] and papers["unfinished"] == 0
    assert pairs["asked"] == 2 == pairs["delivered"] + pairs["missing"]
    assert sum(pairs["missing_by_reason"].values()) == pairs["missing"] and set(pairs["missing_by_reason"]) <= MISSING
    assert watched.asked()
    for request in watched.asked():
        [tokens] = watched.count_tokens([watched.format(request.prompt)])
        assert tokens + request.sampling.max_new_tokens <= watched.context_size <= 2048
    check_pairs(tmp_path, pairs["delivered"])
    check_ledger(tmp_path, report, watched)


def check_pairs(tmp_path, delivered: int) -> None:
    [paper] = read(tmp_path, "../paper.json")
    processed, evidence = read(tmp_path, "processed_output.json"), read(tmp_path, "evidence.json")
    assert sum(record["num_Q&A"] for record in processed) == delivered
    for record, beside in zip(processed, evidence, strict=True):
        assert record["txt"] == paper["txt"] and record["doi"] == paper["doi"]
        assert record["Q&A"] == [{"Q": pair["Q"], "A": pair["A"]} for pair in beside["pairs"]]
        for pair in beside["pairs"]:
            assert pair["evidence"] and pair["Q"].endswith("?")
            for span in pair["evidence"]:
                assert paper["txt"][span["start"] : span["end"]] == span["text"] != ""
            if pair["origin"] == "extracted":
                [span] = pair["evidence"]
                plain = " ".join(CITATION.sub("", span["text"]).split())
                assert plain[1:] == pair["A"][1:] or " ".join(pair["A"].split()) in plain


def check_ledger(tmp_path, report: dict, watched: Watched) -> None:
    [line] = [json.loads(text) for text in (tmp_path / "out" / "ledger.jsonl").read_text().splitlines()[1:]]
    assert len(line["calls"]) == len(watched.asked()) and all(call["prompt_tokens"] > 0 for call in line["calls"])
    assert line["prompt_tokens"] == sum(call["prompt_tokens"] for call in line["calls"]) == report["tokens"]["prompt"]
    assert line["new_tokens"] == sum(call["new_tokens"] for call in line["calls"]) == report["tokens"]["new"]
    rooms = {request.sampling.max_new_tokens for request in watched.asked()}
    assert max(call["new_tokens"] for call in line["calls"]) <= max(rooms) <= 48
    assert line["input"] == watched.format(watched.asked()[0].prompt)


@pytest.mark.parametrize("strategy", ["whole_paper", "passages", "evidence_first"])
def test_llama_cpp_accounts_for_every_pair_and_asks_nothing_twice(tmp_path, llama_engine, strategy):
    report, watched = run(tmp_path, llama_engine, strategy)
    check_run(tmp_path, report, watched)
    if strategy == "evidence_first":
        assert report["pairs"]["delivered"] == 2
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*_output.json")}
    again, unasked = run(tmp_path, llama_engine, strategy)
    assert unasked.requests == [] and again == report
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*_output.json")} == files


def test_a_paper_is_cut_by_the_models_own_tokens(tmp_path, llama_engine):
    """The engine is asked to keep to less than it has, so that a short paper is too long."""
    watched = Watched(llama_engine)
    watched.context_size = 600
    report, watched = run(tmp_path, watched, "whole_paper")
    check_run(tmp_path, report, watched)
    [row] = (tmp_path / "out" / "plan.csv").read_text().splitlines()[1:]
    [line] = [json.loads(text) for text in (tmp_path / "out" / "ledger.jsonl").read_text().splitlines()[1:]]
    assert int(row.split(",")[7]) == line["cut_characters"] > 500
    [tokens] = llama_engine.count_tokens([llama_engine.format(watched.asked()[0].prompt)])
    assert 600 - 40 - 100 < tokens <= 600 - 40  # as much as fits, up to the end of a sentence


def test_transformers_runs_the_published_strategy(tmp_path, transformers_engine):
    report, watched = run(tmp_path, transformers_engine, "whole_paper")
    check_run(tmp_path, report, watched)


def test_a_real_server_runs_passages(tmp_path, real_server):
    with open_engine("openai", None, 2048, base_url=real_server, concurrency=2, timeout_seconds=60) as engine:
        assert engine.tokens_exact
        report, watched = run(tmp_path, engine, "passages")
        check_run(tmp_path, report, watched)
