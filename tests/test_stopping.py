"""Runs that stop on the way: what a budget counts, and what stands on the ledger of the papers under way."""

import json

import pytest
from factory import answer_all, write_papers
from fakes import FakeEngine

from sciqag_lib.engines import Completion, EngineError
from sciqag_lib.generation.recipe import make_recipe, output_room
from sciqag_lib.generation.run import Budget, generate


@pytest.mark.parametrize("spare, done", [(0, 3), (-1, 2)])
def test_the_last_token_counts(tmp_path, spare, done):
    recipe, path = make_recipe("whole_paper", n_qa=3, context_size=8192), write_papers(tmp_path / "p.json", 3)
    engine = FakeEngine(answer_all())
    tokens = generate(path, tmp_path / "free", engine, recipe)["tokens"]
    last = next(request for request in engine.requests if request.id.startswith("10.1000/test.2#"))
    [prompt_tokens] = engine.count_tokens([engine.format(last.prompt)])
    replies = [len(answer_all()(request).split()) for request in engine.requests if "speed#" not in request.id]
    assert sum(replies) == tokens["new"] and tokens["prompt"] == 3 * prompt_tokens
    # Two papers are paid for; the third may need its prompt and all of the room kept for its reply.
    limit = 2 * prompt_tokens + replies[0] + replies[1] + prompt_tokens + output_room(recipe, 3, 8192)
    report = generate(path, tmp_path / "out", FakeEngine(answer_all()), recipe, max_total_tokens=limit + spare)
    assert report["papers"]["done"] == done
    assert bool(report["stopped"]) == (done < 3)
    assert report["tokens"]["prompt"] + report["tokens"]["new"] <= limit + spare


@pytest.mark.parametrize(
    "budget, tokens, refused",
    [
        (Budget(), 10**9, ""),
        (Budget(100), 100, ""),
        (Budget(100), 101, "max_total_tokens 100 would be passed"),
        (Budget(100, spent_tokens=60, reserved_tokens=30), 10, ""),
        (Budget(100, spent_tokens=60, reserved_tokens=30), 11, "max_total_tokens 100 would be passed"),
        (Budget(max_minutes=1, started=-(10**9)), 0, "max_minutes 1 are over"),
    ],
)
def test_what_a_budget_refuses(budget, tokens, refused):
    assert budget.refuses(tokens) == refused


# ------------------------------------------------------------------------------- papers under way, three calls each


def go(tmp_path, engine, num_papers=3, **more):
    """One pair a paper, from the questions to three sentences."""
    recipe = make_recipe("evidence_first", n_qa=1, context_size=8192)
    return generate(write_papers(tmp_path / "p.json", num_papers), tmp_path / "out", engine, recipe, **more)


def ledger_lines(tmp_path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / "out" / "ledger.jsonl").read_text().splitlines()][1:]


def calls_of(engine) -> list[str]:
    return [request.id for request in engine.requests if not request.id.startswith("speed#")]


def test_a_budget_that_ends_inside_a_paper_keeps_the_calls_it_has(tmp_path):
    whole = FakeEngine(answer_all())
    (tmp_path / "free").mkdir()
    report = go(tmp_path / "free", whole)
    a_call = (report["tokens"]["prompt"] + report["tokens"]["new"]) // 9
    first, second = FakeEngine(answer_all()), FakeEngine(answer_all())
    report = go(tmp_path, first, max_total_tokens=5 * a_call + 100)
    assert report["papers"] | {"done": 1, "unfinished": 1, "not_asked": 1} == report["papers"]
    assert report["papers"]["unfinished_by_reason"] == {"budget": 1} and "max_total_tokens" in report["stopped"]
    [_, line] = ledger_lines(tmp_path)
    assert len(line["calls"]) == len(calls_of(first)) - 3 > 0 and "max_total_tokens" in line["message"]
    assert go(tmp_path, second)["papers"]["done"] == 3
    assert calls_of(first) + calls_of(second) == calls_of(whole)


def test_failed_calls_of_one_paper_are_one_line_once_all_are_back(tmp_path):
    def reply(request):
        if request.id.startswith("10.1000/test.1#"):
            return Completion(request.id, "", "error", error="lost")
        return answer_all()(request)

    report = go(tmp_path, FakeEngine(reply, concurrency=3))
    assert report["papers"] | {"done": 2, "unfinished": 1} == report["papers"]
    [line] = [line for line in ledger_lines(tmp_path) if line["id"] == "10.1000/test.1"]
    assert [call["error"] for call in line["calls"]] == ["lost"] * len(line["calls"]) and len(line["calls"]) >= 2


def test_a_failed_paper_asks_no_further_and_its_turn_goes_to_the_next(tmp_path):
    def reply(request):
        if request.id.startswith("10.1000/test.0#"):
            return Completion(request.id, "", "error", error="lost")
        return answer_all()(request)

    engine = FakeEngine(reply)
    assert go(tmp_path, engine)["papers"]["done"] == 2
    assert len([call for call in calls_of(engine) if call.startswith("10.1000/test.0#")]) == 1


def test_a_fatal_failure_leaves_the_other_papers_under_way_to_the_engine_too(tmp_path):
    """Two at a time: the last call of the first paper fails for good while the second has calls to go."""
    count = []

    def reply(request):
        count.append(request.id)
        fatal = len([name for name in count if name.startswith("10.1000/test.0#")]) == 3 and "test.0#" in request.id
        return Completion(request.id, "", "error", error="no server", fatal=True) if fatal else answer_all()(request)

    with pytest.raises(EngineError, match="no server; kept: 0 finished papers"):
        go(tmp_path, FakeEngine(reply, concurrency=2))
    assert [(line["id"][-1], line["status"], line["reason"], line["message"]) for line in ledger_lines(tmp_path)] == [
        ("0", "unfinished", "engine_error", "no server"),
        ("1", "unfinished", "engine_error", "no server"),
    ]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["stopped"] == "no server" and report["papers"]["unfinished_by_reason"] == {"engine_error": 2}
    assert go(tmp_path, FakeEngine(answer_all()))["papers"]["done"] == 3
