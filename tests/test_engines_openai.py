"""The openai engine against a server that fails as it is told; test_engines.py has it on a real one."""

import email.utils
import logging
import time
from collections.abc import Iterator

import pytest

from sciqag_lib.engines import Completion, EngineError, Prompt, Request, Sampling, complete, open_engine
from sciqag_lib.engines import server as server_module
from sciqag_lib.engines.openai import TEMPLATE_TOKENS, OpenAIEngine, estimate_tokens
from sciqag_lib.engines.server import KEY_VARIABLE, check_url, choose_pause, read_retry_after
from tests.fake_server import FakeServer, reply_text

KEY = "sk-test-do-not-show-4711"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer() as opened:
        yield opened


def open_on(fake: FakeServer, **options: object) -> OpenAIEngine:
    settings = {"concurrency": 1, "timeout_seconds": 5.0, "max_retries": 2, **options}
    return open_engine("openai", settings.pop("model", None), base_url=fake.url, **settings)


WHERE = Prompt(user="Where?")


def ask(fake: FakeServer, prompt: Prompt = WHERE, **options: object) -> Completion:
    with open_on(fake, **options) as engine:
        return next(iter(complete(engine, [Request("one", prompt, Sampling(16, 0.5, 0.9, 7, ("\n",)))])))


def test_body_of_a_chat(fake: FakeServer) -> None:
    schema = {"type": "object"}
    reply = ask(fake, Prompt(system="Be brief.", user="Where?", json_schema=schema))
    path, body = fake.calls[0]
    assert path == "/v1/chat/completions"
    assert body == {
        "model": "small",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where?"}],
        "max_tokens": 16,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["\n"],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "reply", "schema": schema, "strict": True},
        },
    }
    assert (reply.text, reply.finish_reason, reply.prompt_tokens, reply.new_tokens) == ("Paris.", "stop", 7, 3)


def test_complete_text_is_sent_as_it_is(fake: FakeServer) -> None:
    assert ask(fake, Prompt(text="[INST] {x} [/INST]")).text == "Paris."
    path, body = fake.calls[0]
    assert path == "/v1/completions" and body["prompt"] == "[INST] {x} [/INST]" and "messages" not in body


@pytest.mark.parametrize("failure", ["429", "500", "503", "drop", "bad json"])
def test_failures_that_may_pass_are_tried_again(fake: FakeServer, failure: str) -> None:
    fake.script = [failure, failure]
    assert ask(fake).text == "Paris."
    assert len(fake.calls) == 3


@pytest.mark.parametrize("failure", ["429", "500", "drop", "bad json"])
def test_tries_are_bounded_and_the_run_goes_on(fake: FakeServer, failure: str) -> None:
    fake.script = [failure] * 3
    with open_on(fake) as engine:
        first, second = complete(engine, [Request("a", Prompt(user="x")), Request("b", Prompt(user="y"))])
    assert first.finish_reason == "error" and "3 tries" in first.error and not first.fatal
    assert second.text == "Paris."
    assert len(fake.calls) == 4


def test_a_bad_request_is_not_tried_again(fake: FakeServer) -> None:
    fake.script = ["400"]
    reply = ask(fake)
    assert "status 400" in reply.error and "temperature must be at most 2" in reply.error and not reply.fatal
    assert len(fake.calls) == 1


@pytest.mark.parametrize("failure, words", [("404", "model `small` does not"), ("402", "credit"), ("quota", "credit")])
def test_what_every_request_would_meet_is_fatal(fake: FakeServer, failure: str, words: str) -> None:
    fake.script = [failure]
    reply = ask(fake)
    assert reply.fatal and words in reply.error
    assert len(fake.calls) == 1


def test_a_reply_without_text_is_an_error(fake: FakeServer) -> None:
    fake.script = ["no choices"]
    assert "expected choices[0]" in ask(fake).error


def test_retry_after_in_seconds_is_honoured(fake: FakeServer) -> None:
    fake.retry_after, fake.script = "0.4", ["429"]
    assert ask(fake).text == "Paris."
    assert 0.4 <= fake.times[1] - fake.times[0] < 2


def test_retry_after_as_a_date_and_its_cap() -> None:
    date = email.utils.formatdate(time.time() + 20, usegmt=True)
    assert 18 < read_retry_after(date) <= 20
    assert read_retry_after(email.utils.formatdate(0, usegmt=True)) == 0
    assert read_retry_after("soon") is None and read_retry_after("") is None
    assert 60 <= choose_pause(0, 86400) <= 66
    assert choose_pause(0, float("nan")) < 1


def test_pauses_grow_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "FIRST_PAUSE_SECONDS", 1.0)
    for attempt, most in [(0, 1), (1, 2), (3, 8), (20, 60)]:
        pauses = [choose_pause(attempt) for _ in range(50)]
        assert most / 2 <= min(pauses) and max(pauses) <= most and len(set(pauses)) > 40


def test_a_key_is_sent_and_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with FakeServer(api_key=KEY) as fake:
        with open_on(fake) as engine:
            assert next(iter(complete(engine, [Request("a", Prompt(user="x"))]))).text == "Paris."
            fake.api_key = "another"  # revoked while the run goes on; this server repeats the key in its error
            refused = next(iter(complete(engine, [Request("b", Prompt(user="x"))])))
            shown = f"{engine!r} {vars(engine)} {vars(engine)['_server']!r} {engine.description} {engine.model_id}"
    assert refused.fatal and f"expected a valid key in {KEY_VARIABLE}" in refused.error
    output = capfd.readouterr()
    assert KEY not in refused.error + shown + caplog.text + output.out + output.err


def test_a_key_repeated_by_another_error_is_hidden(monkeypatch: pytest.MonkeyPatch, fake: FakeServer) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "temperature")  # a word of the 400 above
    fake.script = ["400"]
    error = ask(fake).error
    assert "temperature" not in error and "*** must be at most 2" in error


def test_a_wrong_or_missing_key_is_refused_at_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeServer(api_key=KEY) as fake:
        with pytest.raises(EngineError, match=f"{KEY_VARIABLE}, it is not set"):
            open_on(fake)
        monkeypatch.setenv(KEY_VARIABLE, "wrong-key")
        with pytest.raises(EngineError, match="it was refused") as caught:
            open_on(fake)
        assert "wrong-key" not in str(caught.value)


def test_no_server_is_refused_at_opening_and_fatal_later(fake: FakeServer) -> None:
    engine = open_on(fake, max_retries=1)
    fake.close()
    reply = next(iter(complete(engine, [Request("a", Prompt(user="x"))])))
    assert reply.fatal and "is it running" in reply.error and "2 tries" in reply.error
    with pytest.raises(EngineError, match="start the server, or correct base_url"):
        open_on(fake)


@pytest.mark.parametrize("failure", ["hang", "drip"])
def test_a_server_that_hangs_ends_the_run_soon(fake: FakeServer, failure: str) -> None:
    fake.always = failure
    start = time.monotonic()
    with open_on(fake, concurrency=2, timeout_seconds=0.3, max_retries=10) as engine:
        replies = list(complete(engine, [Request(str(number), Prompt(user="x")) for number in range(2)]))
    assert any(reply.fatal and "the server hangs" in reply.error for reply in replies)
    assert all(reply.finish_reason == "error" for reply in replies)
    assert len(fake.calls) <= 6 and time.monotonic() - start < 10


def test_single_timeouts_between_replies_are_not_a_hanging_server(fake: FakeServer) -> None:
    fake.script = ["hang", "ok", "hang", "ok", "hang", "ok"]
    with open_on(fake, timeout_seconds=0.2) as engine:
        replies = list(complete(engine, [Request(str(number), Prompt(user="x")) for number in range(3)]))
    assert [reply.text for reply in replies] == ["Paris."] * 3


def test_closing_ends_a_pause_at_once(fake: FakeServer) -> None:
    fake.retry_after, fake.always = "50", "429"
    engine = open_on(fake)
    engine.submit(Request("a", Prompt(user="x")))
    while not fake.calls:
        time.sleep(0.01)
    engine.close()
    (reply,) = engine.wait()
    assert "closed" in reply.error


def test_as_many_at_once_as_asked_and_no_more(fake: FakeServer) -> None:
    def slow(path: str, body: object) -> object:
        time.sleep(0.05)
        return reply_text("fine")(path, body)

    fake.reply = slow
    with open_on(fake, concurrency=4) as engine:
        replies = list(complete(engine, [Request(str(number), Prompt(user="x")) for number in range(16)]))
    assert sorted(int(reply.id) for reply in replies) == list(range(16))
    assert 2 <= fake.most_at_once <= 4


def test_reasoning_is_left_out_and_counted(fake: FakeServer) -> None:
    fake.reply = reply_text("42", reasoning_content="six times seven")
    reply = ask(fake)
    assert (reply.text, reply.new_tokens) == ("42", 3)  # the server's own count, reasoning included
    fake.reply = lambda path, body: {
        "choices": [{"message": {"content": None, "reasoning": "six times seven"}, "finish_reason": "length"}]
    }
    reply = ask(fake)
    assert (reply.text, reply.finish_reason) == ("", "length")
    assert reply.new_tokens == estimate_tokens("six times seven") > 0
    assert reply.prompt_tokens == TEMPLATE_TOKENS + estimate_tokens("Where?")


@pytest.mark.parametrize("details, found", [({"cached_tokens": 5}, 5), ({"cached_tokens": None}, 0), (None, 0), (3, 0)])
def test_what_a_server_says_of_its_prefix_cache(fake: FakeServer, details: object, found: int) -> None:
    usage = {"prompt_tokens": 8, "completion_tokens": 1, "prompt_tokens_details": details}
    fake.reply = lambda path, body: {
        "choices": [{"message": {"content": "4"}, "finish_reason": "stop"}],
        "usage": usage,
    }
    assert (ask(fake).prompt_tokens, ask(fake).cached_tokens) == (8, found)


def test_a_stop_string_the_server_forgot_is_cut(fake: FakeServer) -> None:
    fake.reply = reply_text("Paris.\nBut also")
    assert ask(fake).text == "Paris."


def test_a_content_filter_is_an_error(fake: FakeServer) -> None:
    fake.reply = reply_text("", "content_filter")
    assert "content filter" in ask(fake).error


def test_a_server_that_wants_the_newer_limit_gets_it(fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.fake_server import FAILURES

    monkeypatch.setitem(FAILURES, "new", (400, '{"error": {"message": "use \'max_completion_tokens\' instead"}}'))
    fake.script = ["new"]
    with open_on(fake) as engine:
        replies = list(complete(engine, [Request(id, Prompt(user="x"), Sampling(16)) for id in "ab"]))
    assert [reply.text for reply in replies] == ["Paris.", "Paris."]
    assert ["max_tokens" in body for _, body in fake.calls] == [True, False, False]
    assert fake.calls[1][1]["max_completion_tokens"] == fake.calls[2][1]["max_completion_tokens"] == 16


def test_context_and_model_are_the_servers(fake: FakeServer) -> None:
    with open_on(fake) as engine:
        assert (engine.model_id, engine.context_size, engine.tokens_exact) == ("small", 4096, False)
    with open_on(fake, context_size=1000) as engine:
        assert engine.context_size == 1000
    fake.models = [{"id": "small"}, {"id": "large", "context_length": 2000}]
    with open_on(fake, model="large") as engine:
        assert (engine.model_id, engine.context_size) == ("large", 2000)
    fake.models = None
    with open_on(fake, model="unlisted") as engine:
        assert (engine.model_id, engine.context_size) == ("unlisted", 8192)
    with pytest.raises(EngineError, match="lists none; name the one"):
        open_on(fake)


def test_tokens_are_counted_by_vllm_where_it_serves(fake: FakeServer) -> None:
    fake.extra["/tokenize"] = lambda body: {"count": 2 * len(body["prompt"].split()), "max_model_len": 4096}
    with open_on(fake) as engine:
        assert engine.count_tokens(["a b c"]) == [TEMPLATE_TOKENS + 6]
        assert not engine.tokens_exact and "vLLM" in engine.description


def test_the_estimate_is_never_too_low(llama_engine: object) -> None:
    texts = [
        "The rhomboid-like proteins of C. elegans, denoted ROM-1, are serine proteases [12,13].",
        "T = 293.15 \u00b1 0.05 K; p < 0.001 (n = 1,024); \u0394H = \u221223.4 kJ\u00b7mol\u207b\u00b9",
        "$$\\frac{\\partial u}{\\partial t} = \\nabla \\cdot (D \\nabla u) + f_{ij}^{2}$$",
        "| a | b |\n|---|---|\n| 1.5e-3 | n.d. |\n\n",
        "\u6e29\u5ea6\u304c\u4e0a\u6607\u3057\u305f\u3002 \U0001f9ea\U0001f52c na\u00efve Schr\u00f6dinger",
        "ACGTACGGTTAACCGGATTAGC MKTAYIAKQRQISFVKSHFSRQ 2,4-dinitrophenylhydrazine",
        "word " * 50,
    ]
    for text, tokens in zip(texts, llama_engine.count_tokens(texts)):
        assert tokens <= estimate_tokens(text) <= 2.5 * tokens + 5, text
    prose = "The proteins were purified by chromatography and their activity was measured at room temperature. " * 20
    assert estimate_tokens(prose) < 2.2 * llama_engine.count_tokens([prose])[0]


@pytest.mark.parametrize(
    "given, expected",
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1"),
        (" https://host.example/openai/v1beta ", "https://host.example/openai/v1beta"),
    ],
)
def test_base_url_forms(given: str, expected: str) -> None:
    assert check_url(given) == expected


@pytest.mark.parametrize("given", ["127.0.0.1:8000", "ftp://host/v1", "", "http://"])
def test_what_is_no_url_is_refused(given: str) -> None:
    with pytest.raises(EngineError, match="base_url: expected one like"):
        check_url(given)


@pytest.mark.parametrize("given", ["http://me:secret@host/v1", "http://host/v1?api-key=secret"])
def test_a_key_in_the_url_is_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(EngineError, match=KEY_VARIABLE) as caught:
        check_url(given)
    assert "secret" not in str(caught.value)


def test_a_stream_is_joined_and_one_that_breaks_off_is_no_reply() -> None:
    pieces: list[str] = []
    with FakeServer() as fake, open_on(fake) as engine:
        [done] = complete(engine, [Request("one", WHERE, Sampling(16), pieces.append)])
        assert pieces == ["One, ", "two, ", "three."]
        assert (done.text, done.finish_reason, done.prompt_tokens, done.new_tokens) == (
            "One, two, three.",
            "stop",
            7,
            3,
        )
        assert fake.calls[-1][1]["stream"] and fake.calls[-1][1]["stream_options"] == {"include_usage": True}
        fake.script = ["break off"]
        [broken] = complete(engine, [Request("two", WHERE, Sampling(16), pieces.append)])
        assert broken.finish_reason == "error" and "broke off" in broken.error and len(fake.calls) == 2
        fake.script = ["429"]  # before anything was shown: tried again
        [again] = complete(engine, [Request("three", WHERE, Sampling(16), pieces.append)])
        assert again.text == "One, two, three." and len(fake.calls) == 4
