"""Bad servers through the whole main job: a clear error, no key shown, nothing lost, and the next run goes on."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from factory import answer_all, write_papers
from fake_server import FakeServer
from fakes import FakeEngine
from test_bad_input import ask, asked_papers, dois, ledger_lines, read

from sciqag_lib.engines import Completion, EngineError, open_engine
from sciqag_lib.engines import server as server_module
from sciqag_lib.engines.server import KEY_VARIABLE

KEY = "sk-test-do-not-show-0815"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


def serve_pairs(path, body):
    text = body.get("prompt") or body["messages"][-1]["content"]
    pairs = answer_all()(SimpleNamespace(prompt=SimpleNamespace(text=text, user=""))) if "pairs" in text else "yes"
    choice = {"message": {"content": pairs}, "text": pairs, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 900, "completion_tokens": 150}}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with start_server() as running:
        yield running


def start_server() -> FakeServer:
    running = FakeServer()
    running.models, running.reply = [{"id": "small", "max_model_len": 8192}], serve_pairs
    return running


def ask_server(tmp_path, url, num_papers=3, **options):
    path = write_papers(tmp_path / "p.json", num_papers)
    options = {"concurrency": 1, "timeout_seconds": 5.0, "max_retries": 2, **options}
    with open_engine("openai", "small", 8192, base_url=url, **options) as engine:
        return ask(tmp_path, path, engine)


def papers_in(calls) -> list[str]:
    """The papers that requests asked about, without the two speed requests."""
    return [found[1] for _, body in calls if (found := re.search(r"alloy A(\d+)\d\d reached", json.dumps(body)))]


def free_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def test_nothing_listening_is_a_clear_error_within_seconds(tmp_path):
    url, started = free_url(), time.monotonic()
    with pytest.raises(EngineError) as caught:
        ask_server(tmp_path, url)
    assert time.monotonic() - started < 5
    assert url in str(caught.value) and "start the server, or correct base_url" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_server_that_goes_away_leaves_a_ledger_to_go_on_with(tmp_path):
    server = start_server()
    started = time.monotonic()
    with pytest.raises(EngineError, match="is it running, and is base_url right.*kept: 1 finished paper;"):
        ask_server_that_closes(tmp_path, server)
    assert time.monotonic() - started < 10
    assert dois(tmp_path) == ["10.1000/test.0"]
    with start_server() as other:
        assert ask_server(tmp_path, other.url)["papers"]["done"] == 3
        assert set(papers_in(other.calls)) == {"1", "2"}


def ask_server_that_closes(tmp_path, server):
    """Its second paper finds nothing listening any more."""
    path = write_papers(tmp_path / "p.json", 3)

    class Closing:
        def __init__(self, engine):
            self.engine = engine

        def __getattr__(self, name):
            return getattr(self.engine, name)

        def submit(self, request):
            if request.id.startswith("10.1000/test.1#"):
                server.close()
            self.engine.submit(request)

    with open_engine("openai", "small", 8192, base_url=server.url, concurrency=1, max_retries=1) as engine:
        return ask(tmp_path, path, Closing(engine))


def test_a_server_that_dies_while_it_counts_tokens_is_the_engines_failure(tmp_path):
    """vLLM and llama.cpp count on the server: strategies meet its end inside fit_text."""

    class Dying(FakeEngine):
        def count_tokens(self, texts):
            if asked_papers(self):
                raise EngineError("http://127.0.0.1:1/v1: connection refused")
            return super().count_tokens(texts)

        def _answer(self, request):
            text = "yes" if request.id.startswith("speed#") else self.reply(request)
            return Completion(request.id, text, "stop", 5, 5)

    path = write_papers(tmp_path / "p.json", 3)
    with contextlib.suppress(EngineError):
        ask(tmp_path, path, Dying(answer_all()))
    unfinished = [line for line in ledger_lines(tmp_path) if line["status"] == "unfinished"]
    assert {line["reason"] for line in unfinished} <= {"engine_error"}
    assert "1" not in {line["id"][-1] for line in ledger_lines(tmp_path) if line["status"] == "done"}
    assert ask(tmp_path, path)["papers"]["done"] == 3


@pytest.mark.parametrize("lists_models", [True, False])
def test_a_wrong_key_is_a_clear_error_and_stands_nowhere(tmp_path, server, monkeypatch, capsys, caplog, lists_models):
    server.api_key = "the-right-one"
    server.models = server.models if lists_models else None
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with pytest.raises(EngineError, match=f"expected a valid key in {KEY_VARIABLE}, it was refused") as caught:
        ask_server(tmp_path, server.url)
    shown = str(caught.value) + caplog.text + "".join(capsys.readouterr())
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY not in shown and KEY.encode() not in written
    assert len(papers_in(server.calls)) <= 1  # no second paper is tried with it
    monkeypatch.setenv(KEY_VARIABLE, "the-right-one")
    assert ask_server(tmp_path, server.url)["papers"]["done"] == 3


def test_a_right_key_stands_in_no_file_and_no_output(tmp_path, server, monkeypatch, capsys):
    server.api_key = KEY
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert ask_server(tmp_path, server.url)["papers"]["done"] == 3
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY.encode() not in written and KEY not in "".join(capsys.readouterr())


def test_a_server_that_hangs_stops_the_run_and_the_next_one_goes_on(tmp_path, server):
    server.script, server.always = ["ok", "ok", "ok"], "hang"  # two speed requests and the first paper are answered
    started = time.monotonic()
    with pytest.raises(EngineError, match="the server hangs, or it needs a higher timeout_seconds"):
        ask_server(tmp_path, server.url, timeout_seconds=0.3, max_retries=1)
    assert time.monotonic() - started < 10
    statuses = {line["id"]: (line["status"], line["reason"]) for line in ledger_lines(tmp_path)}
    assert statuses == {"10.1000/test.0": ("done", ""), "10.1000/test.1": ("unfinished", "engine_error")}
    server.always, calls = "", len(server.calls)
    assert ask_server(tmp_path, server.url)["papers"]["done"] == 3
    assert set(papers_in(server.calls[calls:])) == {"1", "2"}


def test_one_hanging_request_costs_one_paper(tmp_path, server):
    server.script = ["ok", "ok", "ok", "hang"]
    report = ask_server(tmp_path, server.url, timeout_seconds=0.4, max_retries=0)
    assert report["papers"]["done"] == 2 and report["papers"]["unfinished_by_reason"] == {"engine_error": 1}
    assert ask_server(tmp_path, server.url)["papers"]["done"] == 3


@pytest.mark.parametrize("failure", ["drop", "500", "503", "bad json"])
def test_a_passing_failure_costs_nothing(tmp_path, server, failure):
    server.script = ["ok", "ok", "ok", failure, failure]
    report = ask_server(tmp_path, server.url)
    assert report["papers"]["done"] == 3 and report["pairs"]["delivered"] == 9
    assert papers_in(server.calls) == ["0", "1", "1", "1", "2"]


def test_retry_after_is_waited_for_and_the_run_completes(tmp_path, server):
    server.script, server.retry_after = ["ok", "ok", "429"], "0.3"
    assert ask_server(tmp_path, server.url)["papers"]["done"] == 3
    assert server.times[3] - server.times[2] >= 0.3


@pytest.mark.parametrize("failure", ["bad json", "no choices", "500", "drop", "429"])
def test_failures_that_last_leave_every_paper_to_the_next_run(tmp_path, server, failure):
    server.always = failure
    with contextlib.suppress(EngineError):
        report = ask_server(tmp_path, server.url, max_retries=1)
        assert report["papers"]["unfinished_by_reason"] == {"engine_error": 3}
    assert read(tmp_path / "out") == [] and read(tmp_path / "out", "report.json")["papers"]["done"] == 0
    server.always = ""
    assert ask_server(tmp_path, server.url)["papers"]["done"] == 3


@pytest.mark.parametrize(
    "strange",
    [
        {},
        [],
        {"choices": None},
        {"choices": [{"message": {"content": 5}}]},
        {"choices": [{"message": {"content": ""}}], "usage": {"prompt_tokens": "many"}},
        {"choices": [{"text": "Q1: Why?", "finish_reason": "stop"}], "usage": []},
    ],
)
def test_strange_replies_never_end_the_run(tmp_path, server, strange):
    server.reply = lambda path, body: strange if "alloy A1" in json.dumps(body) else serve_pairs(path, body)
    report = ask_server(tmp_path, server.url, max_retries=0)
    assert report["papers"]["done"] == 2 and report["papers"]["not_asked"] == 0
    assert dois(tmp_path) == ["10.1000/test.0", "10.1000/test.2"]
