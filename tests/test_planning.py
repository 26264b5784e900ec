"""What is known before anything is asked: tokens, cuts and a forecast, paper by paper."""

import csv

import pytest
from factory import answer_all, make_record, write_papers
from fakes import FakeEngine

from sciqag_lib.engines import Completion
from sciqag_lib.generation.recipe import make_recipe
from sciqag_lib.generation.run import GenerationJob, text_digest
from sciqag_lib.inference.forecast import Plan
from sciqag_lib.inference.ledger import Ledger


def plan_run(path, folder, engine, recipe, ledger, limit=None) -> Plan:
    job = GenerationJob(path, folder, engine, recipe, limit)
    assert job.plan(ledger) == len(job.planned.costs)
    return job.planned


def plan(tmp_path, engine, num_papers=2, limit=None, **settings) -> tuple[Plan, list[dict]]:
    recipe = make_recipe(**{"strategy": "whole_paper", "n_qa": 3, "context_size": 8192, **settings})
    path = write_papers(tmp_path / "p.json", num_papers)
    with Ledger(tmp_path / "out" / "ledger.jsonl", {}) as ledger:
        made = plan_run(path, tmp_path / "out", engine, recipe, ledger, limit)
    with (tmp_path / "out" / "plan.csv").open(newline="") as file:
        return made, list(csv.DictReader(file))


def test_rows_and_totals_by_the_engines_own_tokens(tmp_path, capsys):
    engine = FakeEngine(answer_all())
    made, rows = plan(tmp_path, engine)
    words = [len(make_record(number)["txt"].split()) for number in range(2)]
    assert [int(row["paper_tokens"]) for row in rows] == words
    assert [int(row["characters"]) for row in rows] == [len(make_record(number)["txt"]) for number in range(2)]
    around = [int(row["prompt_tokens"]) - count for row, count in zip(rows, words)]
    assert 100 < around[0] == around[1] < 400  # the prompt without the paper
    # room for 3 pairs of 120 tokens and the keywords' 150, of which half is expected to be used
    assert [row["new_tokens"] for row in rows] == ["255", "255"] and max(cost.room for cost in made.costs) == 510
    assert (
        made.total("prompt_tokens") == sum(words) + sum(around)
        and made.total("new_tokens") == 510
        and made.total("is_cut") == 0
    )
    assert {row["status"] for row in rows} == {"to ask"} and len(made.costs) == 2
    shown = capsys.readouterr().out
    assert "context: 8,192 tokens (8,192 asked for); kept for a reply: 510; counts are in tokens\n" in shown
    assert (
        f"forecast: {made.total('prompt_tokens'):,} prompt and about 510 new tokens" in shown
        and "estimated" not in shown
    )
    assert "to ask: 2, cut to fit: 0, duplicates: 0, not usable: 0" in shown


def test_a_smaller_context_of_the_model_is_shown_with_what_it_cuts(tmp_path, capsys):
    engine = FakeEngine(answer_all(), context_size=900)
    engine.tokens_exact = False
    made, rows = plan(tmp_path, engine)
    assert made.total("is_cut") == 2 and all(int(row["cut_characters"]) > 1000 for row in rows)
    assert max(cost.room for cost in made.costs) == 450 and all(int(row["prompt_tokens"]) <= 450 for row in rows)
    shown = capsys.readouterr().out
    assert "context: 900 tokens (8,192 asked for)" in shown and "tokens, estimated: this server" in shown
    assert "cut to fit: 2" in shown


def test_papers_that_do_not_fit_and_papers_with_nothing_to_ask_say_so(tmp_path):
    made, rows = plan(tmp_path, FakeEngine(answer_all(), context_size=100))
    assert all(row["status"].startswith("does not fit: the prompt alone has ") for row in rows)
    assert len(made.costs) == 2 and made.total("prompt_tokens") == 0
    (tmp_path / "p.json").unlink()
    recipe = make_recipe("evidence_first", context_size=8192)
    (tmp_path / "dull.json").write_text('[{"doi": "10.1/x", "txt": "The town is old.", "keywords": ""}]')
    with Ledger(tmp_path / "dull" / "ledger.jsonl", {}) as ledger:
        plan_run(tmp_path / "dull.json", tmp_path / "dull", FakeEngine(answer_all()), recipe, ledger)
    assert (tmp_path / "dull" / "plan.csv").read_text().splitlines()[1].endswith("nothing to ask")


class Clock:
    """A prompt token takes 1 ms, a new one 10 ms."""

    def __init__(self):
        self.now = 0.0

    def reply(self, request):
        prompt_tokens, new_tokens = len(request.prompt.text.split()), request.sampling.max_new_tokens
        self.now += 0.001 * prompt_tokens + 0.01 * new_tokens
        return Completion(request.id, "yes", "stop", prompt_tokens, new_tokens)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_the_forecast_follows_from_the_speed_of_two_requests(tmp_path, monkeypatch, concurrency):
    clock = Clock()
    monkeypatch.setattr("sciqag_lib.inference.forecast.time.perf_counter", lambda: clock.now)
    made, _ = plan(tmp_path, FakeEngine(clock.reply, concurrency=concurrency))
    expected = (0.001 * made.total("prompt_tokens") + 0.01 * made.total("new_tokens")) / concurrency
    assert made.seconds == pytest.approx(expected, rel=0.05)


def test_a_prefix_cache_pays_what_prompts_have_in_common_once(tmp_path):
    engine = FakeEngine(answer_all())
    paid, _ = plan(tmp_path, engine, num_papers=1, strategy="evidence_first")
    assert paid.total("fresh_tokens") == paid.total("prompt_tokens")
    engine.reuses_prefix = True
    spared, _ = plan(tmp_path, engine, num_papers=1, strategy="evidence_first")
    # nine prompts of one kind: the examples are in each, the sentences are about a tenth of it
    assert spared.total("prompt_tokens") == paid.total("prompt_tokens")
    assert paid.total("prompt_tokens") / 9 < spared.total("fresh_tokens") < 0.35 * paid.total("prompt_tokens")


@pytest.mark.parametrize("failing", ["speed#0", "speed#1"])
def test_an_engine_that_fails_has_no_forecast(tmp_path, capsys, failing):
    def reply(request):
        if request.id == failing:
            return Completion(request.id, "", "error", error="no server", fatal=True)
        return "yes"

    made, _ = plan(tmp_path, FakeEngine(reply))
    assert made.seconds is None
    assert "about an unknown time" in capsys.readouterr().out


def test_nothing_to_ask_costs_the_engine_nothing(tmp_path):
    path, recipe = write_papers(tmp_path / "p.json", 1), make_recipe("whole_paper", context_size=8192)
    engine = FakeEngine(answer_all())
    digest = text_digest(make_record(0)["txt"])
    with Ledger(tmp_path / "out" / "ledger.jsonl", {}) as ledger:
        ledger.append({"id": "10.1000/test.0", "status": "failed", "digest": digest})
        made = plan_run(path, tmp_path / "out", engine, recipe, ledger)
    assert (len(made.costs), made.seconds, engine.requests) == (0, None, [])
    assert (tmp_path / "out" / "plan.csv").read_text().splitlines()[1].endswith("failed before")
