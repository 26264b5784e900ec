"""The local engines alone: batches against one at a time, shared beginnings, sampling, memory, silence."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import torch
import transformers

from sciqag_lib.engines import Engine, Prompt, Request, Sampling, complete, loading, open_engine
from sciqag_lib.engines import transformers as engine_module
from sciqag_lib.engines.common import SPIN_COUNT, patient_threads
from sciqag_lib.engines.loading import choose_attention, choose_dtype
from sciqag_lib.engines.transformers import Row, count_shared, sample_token

# Prompts of very different length, so that padding, positions and masks all matter.
QUESTIONS = ["Name a planet.", "Why is the sky blue? " * 9, "Photosynthesis is", "List three metals and their uses."]


@pytest.fixture
def exact_engine(transformers_engine: Any) -> Iterator[Any]:
    """The transformers engine in float32, where batches must not change a greedy reply."""
    if transformers_engine.device.type != "cpu":
        pytest.skip("compares on the CPU")
    dtype = transformers_engine.dtype
    transformers_engine._model.float()
    transformers_engine._last_prefill = ([], [])
    yield transformers_engine
    transformers_engine._model.to(dtype)
    transformers_engine._last_prefill = ([], [])


def generate_alone(engine: Any, text: str, max_new_tokens: int) -> str:
    """The library's own greedy generate on one prompt: what our batches are held against."""
    inputs = engine._tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        ids = engine._model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=2)
    return engine._tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


@pytest.mark.parametrize("plain_cache", [True, False])
def test_a_batch_writes_what_generate_writes_alone(
    exact_engine: Any, plain_cache: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact_engine, "_plain_cache", plain_cache)
    texts = [exact_engine.format(Prompt(user=question)) for question in QUESTIONS]
    limits = [12, 5, 9, 12]
    requests = [Request(str(n), Prompt(text=text), Sampling(limits[n])) for n, text in enumerate(texts)]
    found = {completion.id: completion for completion in complete(exact_engine, requests)}
    for number, text in enumerate(texts):
        assert found[str(number)].text == generate_alone(exact_engine, text, limits[number])


def test_shared_beginnings_are_computed_once(exact_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    forward = exact_engine._forward

    def spy(ids: torch.Tensor, mask: torch.Tensor, cache: Any) -> torch.Tensor:
        computed.append(ids.shape[1])
        return forward(ids, mask, cache)

    monkeypatch.setattr(exact_engine, "_forward", spy)
    shots = "Answer: Water boils at 100 degrees.\nQuestion: When does water boil?\n" * 5
    texts = [f"{shots}Answer: {ending}\nQuestion:" for ending in ("Iron rusts in air.", "Gold does not rust.")]
    found = list(complete(exact_engine, [Request(text, Prompt(text=text), Sampling(8)) for text in texts]))
    lengths = exact_engine.count_tokens(texts)
    assert computed[0] == lengths[0] > 80
    assert computed[1] <= lengths[1] - 75  # five shots of 15 tokens and more
    for completion in found:
        assert completion.text == generate_alone(exact_engine, completion.id, 8)


def test_batches_are_of_similar_length_and_bounded(transformers_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = transformers_engine
    monkeypatch.setattr(engine, "_waiting", [])
    for number, words in enumerate([5, 90, 6, 95, 4, 7, 92]):
        engine.submit(Request(str(number), Prompt(text="word " * words), Sampling(10)))
    assert [request.id for request, _ in engine._take_batch()] == ["0", "2", "4", "5"]
    monkeypatch.setattr(engine_module, "MAX_BATCH_TOKENS", 2 * (96 + 10) + 5)  # two rows of 95 words fit, not three
    assert [request.id for request, _ in engine._take_batch()] == ["1", "6"]
    assert [request.id for request, _ in engine._take_batch()] == ["3"]
    assert engine._waiting == []


def test_out_of_memory_halves_the_batch(transformers_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    generate, sizes = transformers_engine._generate, []

    def generate_two(batch: list) -> list:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("scripted")
        return generate(batch)

    monkeypatch.setattr(transformers_engine, "_generate", generate_two)
    requests = [Request(str(number), Prompt(text="one two"), Sampling(2)) for number in range(4)]
    assert all(completion.error == "" for completion in complete(transformers_engine, requests))
    assert sizes == [4, 2, 2]


def test_one_bad_row_does_not_take_its_neighbours_along(
    transformers_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = transformers_engine._generate

    def fail_on_bad(batch: list) -> list:
        if any(request.id == "bad" for request, _ in batch):
            raise RuntimeError("scripted")
        return generate(batch)

    monkeypatch.setattr(transformers_engine, "_generate", fail_on_bad)
    requests = [Request(id, Prompt(text="one two"), Sampling(2)) for id in ("a", "bad", "c")]
    found = {completion.id: completion for completion in complete(transformers_engine, requests)}
    assert found["a"].error == found["c"].error == "" and "scripted" in found["bad"].error


def test_a_model_without_template_says_so(transformers_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers_engine._tokenizer, "chat_template", None)
    (completion,) = complete(transformers_engine, [Request("a", Prompt(user="x"))])
    assert "has no chat template" in completion.error


def test_the_beginning_mark_is_never_doubled(transformers_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    tokenizer = transformers_engine._tokenizer

    class Spy:
        bos_token = "<s>"

        def __call__(self, text: str, add_special_tokens: bool) -> Any:
            seen.append(add_special_tokens)
            return tokenizer(text)

    monkeypatch.setattr(transformers_engine, "_tokenizer", Spy())
    transformers_engine.count_tokens(["<s>[INST] a [/INST]", "[INST] a [/INST]"])
    assert seen == [False, True]


def test_description_says_which_attention(transformers_engine: Any) -> None:
    assert "attention" in transformers_engine.description
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert choose_attention(cpu, True) == ("sdpa", " (flash_attention_2 needs a GPU)")
    assert choose_attention(gpu, False) == ("sdpa", "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading.importlib.util, "find_spec", lambda name: None)
        assert choose_attention(gpu, True) == ("sdpa", " (flash_attention_2 is not installed)")
        patch.setattr(loading.importlib.util, "find_spec", lambda name: object())
        assert choose_attention(gpu, True) == ("flash_attention_2", "")


def test_dtype_is_the_faster_of_the_two(monkeypatch: pytest.MonkeyPatch) -> None:
    for slow, fast in ((torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16)):

        def measure(multiply: Any, slow: torch.dtype = slow, **_: Any) -> list[float]:
            return [3.0, 2.0 if multiply().dtype == slow else 1.0]

        monkeypatch.setattr(loading.timeit, "repeat", measure)
        assert choose_dtype(torch.device("cpu")) == fast


def test_nucleus_sampling_keeps_the_likeliest_that_make_up_top_p() -> None:
    logits = torch.tensor([math.log(0.2), math.log(0.5), math.log(0.3)])

    def draw(temperature: float, top_p: float) -> list[float]:
        row = Row(Request("a", Prompt(text="x"), Sampling(1, temperature, top_p, seed=5)), [1])
        tokens = [sample_token(logits, row) for _ in range(4000)]
        return [tokens.count(token) / 4000 for token in range(3)]

    assert draw(1.0, 1.0) == pytest.approx([0.2, 0.5, 0.3], abs=0.03)
    assert draw(1.0, 0.7) == pytest.approx([0, 0.625, 0.375], abs=0.03)  # 0.5 and 0.3 over 0.8
    assert draw(1.0, 0.4) == [0, 1, 0]
    assert draw(1.0, 0.0) == [0, 1, 0]
    assert draw(0.5, 1.0) == pytest.approx([4 / 38, 25 / 38, 9 / 38], abs=0.03)  # squared, over 0.38


def test_count_shared() -> None:
    assert [count_shared([1, 2, 3], other) for other in ([1, 2, 4], [1, 2, 3, 4], [], [2])] == [2, 3, 0, 0]


def test_a_saved_folder_opens_and_sliding_windows_are_padded(transformers_engine: Any, tmp_path: Path) -> None:
    """A tiny random model with a sliding window of 8 tokens, whose caches cannot be cut and joined."""
    torch.manual_seed(0)
    config = transformers.MistralConfig(
        vocab_size=49152, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=8, max_position_embeddings=300, eos_token_id=2, bos_token_id=1,
    )  # fmt: skip
    transformers.MistralForCausalLM(config).save_pretrained(tmp_path / "tiny")
    transformers_engine._tokenizer.save_pretrained(tmp_path / "tiny")
    with open_engine("transformers", str(tmp_path / "tiny"), context_size=1000, batch_size=3) as engine:
        engine._model.float()
        assert engine.model_id.startswith("tiny sha256:")
        assert engine.context_size == 300
        assert not engine.reuses_prefix
        texts = ["one two three", "four " * 40, "five six " * 8]
        found = {one.id: one.text for one in complete(engine, [Request(t, Prompt(text=t), Sampling(6)) for t in texts])}
        assert found == {text: generate_alone(engine, text, 6) for text in texts}


def test_llama_cpp_repeats_a_greedy_reply_whatever_ran_between(llama_engine: Any) -> None:
    prompts = [Prompt(user=question) for question in QUESTIONS]
    requests = [Request("a", prompt, Sampling(12)) for prompt in prompts]
    first = [one.text for one in complete(llama_engine, requests)]
    again = [one.text for one in complete(llama_engine, requests[::-1])]
    assert first == again[::-1]


def test_llama_cpp_computes_only_what_is_new(llama_engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = []

    class Spy:
        def __init__(self, server: Any) -> None:
            self.server = server

        def handle_completions(self, body: dict) -> dict:
            replies.append(self.server.handle_completions(body))
            return replies[-1]

    monkeypatch.setattr(llama_engine, "_server", Spy(llama_engine._server))
    shared = "The sample was heated to 300 K and cooled again. " * 20
    texts = [shared + "Then it melted.", shared + "Then it froze."]
    done = list(complete(llama_engine, [Request("a", Prompt(text=text), Sampling(2)) for text in texts]))
    assert replies[0]["timings"]["prompt_n"] > 200
    assert replies[1]["timings"]["prompt_n"] < 10
    fresh = [completion.prompt_tokens - completion.cached_tokens for completion in done]
    assert fresh == [reply["timings"]["prompt_n"] for reply in replies]


def test_llama_cpp_is_silent_locked_and_gives_its_memory_back(
    packaged_model: Path, capfd: pytest.CaptureFixture
) -> None:
    engine = open_engine("llama_cpp", str(packaged_model), context_size=1024)
    assert engine.context_size == 1024 and engine.model_id.startswith(packaged_model.name + " sha256:")
    assert [one.error for one in complete(engine, [Request("a", Prompt(user="Hi"), Sampling(2))])] == [""]
    address = str(engine._client.base_url)
    body = {"prompt": "a", "max_tokens": 1}
    assert httpx.post(f"{address}/v1/completions", json=body, timeout=5).status_code == 401
    before = psutil.Process().memory_info().rss
    engine.close()
    engine.close()
    assert before - psutil.Process().memory_info().rss > 50e6  # the weights are 98 MB
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{address}/health", timeout=5)
    assert capfd.readouterr() == ("", "")


def test_threads_are_patient_unless_the_user_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SPIN_COUNT, raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    with patient_threads():
        assert os.environ[SPIN_COUNT] == "5000"
    assert SPIN_COUNT not in os.environ
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    with patient_threads():
        assert SPIN_COUNT not in os.environ


def test_both_local_engines_see_the_same_prompt(llama_engine: Engine, transformers_engine: Engine) -> None:
    for prompt in (Prompt(user="{{ braces }} {x}"), Prompt(system="S", user="two\nlines"), Prompt(text="<|im_start|>")):
        assert llama_engine.format(prompt) == transformers_engine.format(prompt)
