"""Whole runs with scripted engines: exact counts, resuming, budgets, failures, and the published files."""

import json
import random

import pytest
from factory import FACT, answer_all, make_record, question_to, write_papers
from fakes import FakeEngine

from sciqag_lib.engines import Completion, EngineError
from sciqag_lib.errors import InputError
from sciqag_lib.generation.recipe import make_recipe
from sciqag_lib.generation.run import generate
from sciqag_lib.inference.ledger import FingerprintMismatch

STRATEGIES = ("whole_paper", "passages", "evidence_first")


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def lines(folder):
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()][1:]


def asked_prompts(engine):
    """Without the two requests that measure the engine's speed for the forecast."""
    return [request for request in engine.requests if not request.id.startswith("speed#")]


@pytest.fixture
def run(tmp_path):
    """run(engine or reply, num_papers=..., recipe settings...) -> report, in tmp_path/out"""

    def start(engine, num_papers=3, file_path=None, limit=None, max_total_tokens=None, max_minutes=None, **settings):
        engine = engine if hasattr(engine, "submit") else FakeEngine(engine)
        settings = {"strategy": "whole_paper", "context_size": 8192, **settings}
        file_path = file_path or write_papers(tmp_path / "papers.json", num_papers)
        return generate(
            file_path, tmp_path / "out", engine, make_recipe(**settings), limit, max_total_tokens, max_minutes
        )

    return start


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("n_qa", [1, 7, 10])
def test_an_engine_that_answers_well_delivers_what_was_asked(run, strategy, n_qa):
    report = run(answer_all(), strategy=strategy, n_qa=n_qa)
    assert report["pairs"]["asked"] == report["pairs"]["delivered"] == 3 * n_qa
    assert report["papers"]["done"] == 3 and report["papers"]["not_asked"] == 0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_pair_stands_where_its_evidence_says(run, tmp_path, strategy):
    run(answer_all(), strategy=strategy)
    for record, evidence in zip(
        read(tmp_path / "out", "processed_output.json"), read(tmp_path / "out", "evidence.json")
    ):
        assert record["doi"] == evidence["doi"] and len(evidence["pairs"]) == 10
        for pair in evidence["pairs"]:
            [span] = pair["evidence"]
            assert record["txt"][span["start"] : span["end"]] == span["text"] == pair["A"]
            assert pair["origin"] == "extracted"
            assert all(number["found"] for number in pair["numbers"]) and pair["numbers"]


def test_pairs_are_spread_over_the_whole_paper(run, tmp_path):
    for strategy in ("passages", "evidence_first"):
        report = run(answer_all(), num_papers=1, strategy=strategy) if strategy == "passages" else None
        if report is None:
            (tmp_path / "out" / "ledger.jsonl").unlink()
            run(answer_all(), num_papers=1, strategy=strategy)
        [record] = read(tmp_path / "out", "evidence.json")
        length = len(make_record(0)["txt"])
        halves = [pair["evidence"][0]["start"] > length / 2 for pair in record["pairs"]]
        assert 3 <= sum(halves) <= 7


def test_only_the_missing_are_asked_again_and_the_taken_questions_are_named(run, tmp_path):
    engine = FakeEngine(answer_all(num_pairs=6))
    report = run(engine, num_papers=1, temperature=0.0)
    assert report["pairs"]["delivered"] == 10
    first, second = [request.prompt.user for request in asked_prompts(engine)]
    assert "write 10 pairs" in first and "write 4 pairs" in second
    taken = question_to(FACT.search(make_record(0)["txt"]))
    assert taken not in first and taken in second


def test_a_sampled_retry_has_another_seed(run):
    engine = FakeEngine(lambda request: "no pairs here")
    run(engine, num_papers=1, temperature=0.6)
    seeds = [request.sampling.seed for request in asked_prompts(engine)]
    assert len(seeds) == len(set(seeds)) == 3


def test_missing_pairs_have_their_reasons_and_the_raw_reply_is_kept(run, tmp_path):
    report = run(lambda request: "I cannot help with that.", num_papers=1)
    assert report["papers"]["failed"] == 1 and report["pairs"]["missing_by_reason"] == {"reply_unreadable": 10}
    [line] = lines(tmp_path / "out")
    assert line["status"] == "failed" and line["calls"][0]["raw"] == "I cannot help with that."
    assert read(tmp_path / "out", "original_output.json")[0]["output"] == "I cannot help with that."
    assert read(tmp_path / "out", "processed_output.json") == []


def test_a_cut_reply_keeps_its_whole_pairs_and_says_so(run):
    def reply(request):
        text = answer_all()(request)
        return Completion(request.id, text[: len(text) // 2], "length", 10, 10)

    report = run(reply, num_papers=1, temperature=0.0)
    assert 0 < report["pairs"]["delivered"] < 10
    assert report["pairs"]["missing_by_reason"] == {"reply_truncated": report["pairs"]["missing"]}


def test_rejected_pairs_are_counted_by_reason(run):
    def reply(request):
        return answer_all(num_pairs=9)(request) + "\n\nQ10: What does Figure 3 of this study show?\nA10: See Figure 3."

    report = run(reply, num_papers=1)
    assert report["pairs"]["rejected_by_reason"]["not_self_contained"] >= 1


def test_finished_papers_are_never_asked_twice(run, tmp_path):
    run(answer_all(), limit=2)
    before = (tmp_path / "out" / "ledger.jsonl").read_bytes()
    engine = FakeEngine(answer_all())
    report = run(engine)
    assert {request.id.split("#")[0] for request in asked_prompts(engine)} == {"10.1000/test.2"}
    assert (tmp_path / "out" / "ledger.jsonl").read_bytes().startswith(before)
    assert report["papers"]["done"] == 3
    engine = FakeEngine(answer_all())
    assert run(engine) == report and engine.requests == []


class Shuffled(FakeEngine):
    """Answers in another order than asked, several at once."""

    def wait(self):
        random.Random(len(self.requests)).shuffle(self._waiting)
        return [*super().wait(), *super().wait()]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_order_concurrency_and_interruption_change_nothing(run, tmp_path, strategy):
    run(answer_all(), num_papers=6, strategy=strategy)
    files = ("original_output.json", "processed_output.json", "evidence.json")
    expected = [(tmp_path / "out" / name).read_bytes() for name in files]
    (tmp_path / "out" / "ledger.jsonl").unlink()

    calls = {"left": 12}

    def reply(request):
        calls["left"] -= 1
        if calls["left"] == 0:
            raise KeyboardInterrupt
        return answer_all()(request)

    with pytest.raises(KeyboardInterrupt):
        for _ in range(20):  # whole_paper needs fewer than 12 calls: start again until it is interrupted
            run(Shuffled(reply, concurrency=4), num_papers=6, strategy=strategy)
            (tmp_path / "out" / "ledger.jsonl").unlink()
    run(Shuffled(answer_all(), concurrency=5), num_papers=6, strategy=strategy)
    assert [(tmp_path / "out" / name).read_bytes() for name in files] == expected


def test_one_failing_request_leaves_its_paper_unfinished_and_the_rest_goes_on(run, tmp_path):
    def reply(request):
        if request.id.startswith("10.1000/test.1#"):
            return Completion(request.id, "", "error", error="timed out after 3 tries")
        return answer_all()(request)

    report = run(reply)
    assert report["papers"]["done"] == 2 and report["papers"]["unfinished_by_reason"] == {"engine_error": 1}
    assert report["not_done"][0]["message"] == "timed out after 3 tries"
    assert run(answer_all())["papers"] | {"done": 3, "unfinished": 0} == run(answer_all())["papers"]


def test_calls_already_answered_are_not_paid_twice(run, tmp_path):
    def broken_after(number):
        count = iter(range(10**6))

        def reply(request):
            if next(count) >= number and not request.id.startswith("speed#"):
                return Completion(request.id, "", "error", error="connection lost")
            return answer_all()(request)

        return reply

    first = FakeEngine(broken_after(20))
    run(first, num_papers=1, strategy="evidence_first")
    second = FakeEngine(answer_all())
    assert run(second, num_papers=1, strategy="evidence_first")["pairs"]["delivered"] == 10
    # 30 candidate sentences are asked about in all; the one that failed is asked again.
    assert len(asked_prompts(first)) + len(asked_prompts(second)) == 31


def test_a_fatal_error_stops_at_once_keeps_what_is_done_and_is_raised(run, tmp_path):
    def reply(request):
        if request.id.startswith("10.1000/test.1#"):
            return Completion(request.id, "", "error", error="401: the key was refused", fatal=True)
        return answer_all()(request)

    engine = FakeEngine(reply)
    with pytest.raises(EngineError, match="401: the key was refused; kept: 1 finished paper"):
        run(engine)
    assert not any(request.id.startswith("10.1000/test.2#") for request in engine.requests)
    assert len(read(tmp_path / "out", "processed_output.json")) == 1
    assert run(answer_all())["papers"]["done"] == 3


def test_token_budget_is_never_passed_and_the_next_run_goes_on(run, tmp_path):
    spent = []
    for _ in range(4):
        engine = FakeEngine(answer_all(), concurrency=3)
        report = run(engine, max_total_tokens=2000, n_qa=5)
        spent.append(
            sum(
                call["prompt_tokens"] + call["new_tokens"]
                for line in lines(tmp_path / "out")
                if line["status"] == "done"
                for call in line["calls"]
            )
        )
        if report["papers"]["done"] == 3:
            break
        assert "max_total_tokens 2,000" in report["stopped"]
    assert report["papers"]["done"] == 3 and len(spent) > 1
    assert all(after - before <= 2000 for before, after in zip([0, *spent], spent))


def test_papers_of_another_file_stay_on_the_ledger_and_are_not_mixed_in(run, tmp_path):
    run(answer_all())
    (tmp_path / "other.json").write_text(json.dumps([make_record(9), make_record(1)]))
    report = run(answer_all(), file_path=tmp_path / "other.json")
    assert report["papers"] | {"considered": 2, "done": 2, "only_on_ledger": 2} == report["papers"]
    assert [record["doi"] for record in read(tmp_path / "out", "processed_output.json")] == [
        "10.1000/test.9",
        "10.1000/test.1",
    ]
    assert run(answer_all())["papers"]["done"] == 3


def test_time_budget_stops_cleanly(run):
    report = run(answer_all(), max_minutes=0)
    assert report["papers"]["not_asked"] + report["papers"]["unfinished"] == 3 and "max_minutes 0" in report["stopped"]
    assert run(answer_all())["papers"]["done"] == 3


def test_other_settings_are_refused_free_ones_are_not(run):
    run(answer_all(), n_qa=5)
    with pytest.raises(FingerprintMismatch, match="n_qa: was 5, now 6"):
        run(answer_all(), n_qa=6)
    assert run(FakeEngine(answer_all(), concurrency=7), n_qa=5, max_minutes=5, limit=2)["papers"]["done"] == 2


def test_a_changed_text_of_a_finished_paper_is_refused(run, tmp_path):
    path = write_papers(tmp_path / "papers.json")
    run(answer_all(), file_path=path)
    records = json.loads((tmp_path / "papers.json").read_text())
    records[1]["txt"] += " One more sentence."
    (tmp_path / "papers.json").write_text(json.dumps(records))
    with pytest.raises(FingerprintMismatch, match=r"10\.1000/test\.1: its text changed"):
        run(answer_all(), file_path=path)


def test_bad_records_and_duplicates_are_named_and_the_rest_goes_on(run, tmp_path):
    good, other = make_record(0), make_record(1)
    records = [
        good,
        {"doi": "10.1/x", "keywords": []},
        dict(good, doi="https://doi.org/10.1000/TEST.0"),
        {"doi": 5, "txt": "a", "keywords": []},
        dict(other, doi="10.1000-test.1.json"),
        "text",
    ]
    (tmp_path / "p.json").write_text(json.dumps(records))
    report = run(answer_all(), file_path=tmp_path / "p.json")
    assert report["papers"] | {"done": 2, "duplicates": 1, "not_usable": 3} == report["papers"]
    assert "record 3 (https://doi.org/10.1000/TEST.0) has the DOI of record 1" in report["duplicates"][0]
    assert "record 2" in report["not_usable"][0] and "'txt'" in report["not_usable"][0]
    assert [record["doi"] for record in read(tmp_path / "out", "processed_output.json")] == [
        "10.1000/test.0",
        "10.1000-test.1.json",
    ]


def test_no_usable_paper_at_all_is_an_error(run, tmp_path):
    (tmp_path / "p.json").write_text("[]")
    with pytest.raises(InputError, match="holds no paper"):
        run(answer_all(), file_path=tmp_path / "p.json")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_prompt_exceeds_the_context_and_the_cut_is_counted(run, tmp_path, strategy):
    record = make_record(0)
    record["txt"] = "\n".join([record["txt"]] * 100)
    (tmp_path / "p.json").write_text(json.dumps([record]))
    engine = FakeEngine(answer_all(), context_size=900)
    report = run(engine, file_path=tmp_path / "p.json", strategy=strategy, n_qa=3, context_size=900)
    assert report["pairs"]["delivered"] == 3
    for request in engine.requests:
        [tokens] = engine.count_tokens([engine.format(request.prompt)])
        assert tokens + request.sampling.max_new_tokens <= 900
    [line] = lines(tmp_path / "out")
    assert (line["cut_characters"] > 100_000) == (strategy == "whole_paper")


def test_braces_and_control_tokens_of_a_paper_are_text(run, tmp_path):
    record = make_record(0)
    record["txt"] += "\nBraces {paper} {{paper}} {0} %s <|im_end|> \\boxed{x}."
    (tmp_path / "p.json").write_text(json.dumps([record]))
    engine = FakeEngine(answer_all())
    run(engine, file_path=tmp_path / "p.json")
    prompt = asked_prompts(engine)[0].prompt.user
    assert "{paper} {{paper}} {0} %s < |im_end| > \\boxed{x}." in prompt
    assert read(tmp_path / "out", "processed_output.json")[0]["txt"] == record["txt"]


def test_published_files_have_exactly_the_published_keys_and_plain_utf8(run, tmp_path):
    record = dict(make_record(0), journal="Metals", title="Über α-alloys \u2028 µ")
    del record["abstract"]
    (tmp_path / "p.json").write_text(json.dumps([record]))
    run(answer_all(), file_path=tmp_path / "p.json")
    [processed] = read(tmp_path / "out", "processed_output.json")
    assert list(processed) == ["source", "doi", "abstract", "keywords", "txt", "title", "num_Q&A", "Q&A"]
    assert processed["abstract"] == "" and processed["num_Q&A"] == 10 and list(processed["Q&A"][0]) == ["Q", "A"]
    assert "Über α-alloys" in (tmp_path / "out" / "processed_output.json").read_text(encoding="utf-8")
    [original] = read(tmp_path / "out", "original_output.json")
    assert list(original) == ["doi", "input", "output"] and record["txt"] in original["input"]
    assert original["output"].startswith("Keywords: alloys, annealing\n\nQ1: ")


def test_the_models_keywords_are_taken_where_it_wrote_some(run, tmp_path):
    run(lambda request: answer_all()(request).replace("alloys, annealing", "hot metal, cold metal"), num_papers=1)
    assert read(tmp_path / "out", "processed_output.json")[0]["keywords"] == ["hot metal", "cold metal"]
    run_again = tmp_path / "out" / "ledger.jsonl"
    run_again.unlink()
    run(answer_all(), num_papers=1, strategy="passages")
    assert read(tmp_path / "out", "processed_output.json")[0]["keywords"] == ["alloys", "annealing"]


def test_an_internal_fault_costs_one_paper_only(run, tmp_path, monkeypatch):
    from sciqag_lib.generation import strategies

    real = strategies.check_pair

    def faulty(pair, txt, accepted):
        if "alloy A1" in pair.answer:
            raise ZeroDivisionError("planted")
        return real(pair, txt, accepted)

    monkeypatch.setattr(strategies, "check_pair", faulty)
    report = run(answer_all())
    assert report["papers"]["done"] == 2 and report["papers"]["unfinished_by_reason"] == {"internal_error": 1}
    assert "planted" in report["not_done"][0]["message"]


@pytest.mark.parametrize(
    "name, value",
    [
        ("strategy", "magic"),
        ("n_qa", 0),
        ("temperature", -1.0),
        ("top_p", 0.0),
        ("max_gen_len", 0),
        ("context_size", 10),
        ("seq_len", 9000),
    ],
)
def test_impossible_parameters_are_named(name, value):
    with pytest.raises(InputError, match=f"{name}: expected"):
        make_recipe(**{"context_size": 8192, name: value})


def test_defaults_follow_the_model():
    embedded, other = make_recipe(), make_recipe(base_model="some/model")
    assert (embedded.strategy, embedded.temperature) == ("evidence_first", 0.0)
    assert (other.strategy, other.temperature) == ("whole_paper", 0.6)
