"""Attention for training: equal to masks written from the definition, causal, and refused where it would be wrong."""

import math
import re

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,  # fmt: skip
    Qwen2Config,
)

from sciqag_lib.errors import InputError
from sciqag_lib.training import attention
from sciqag_lib.training.attention import (
    attend_rows,
    check_attention,
    choose_group,
    cut_groups,
    cut_row,
    register_attentions,  # fmt: skip
)
from sciqag_lib.training.packing import collate_packed

GROUP = 8
VOCABULARY = 61
BATCHES = [  # for each row the lengths of its examples; rows are padded to the longest
    [[32]],
    [[29]],  # no multiple of the group
    [[5]],  # shorter than a group
    [[3]],  # shorter than half a group
    [[27], [27]],
    [[29], [17], [3]],
    [[13, 8, 11]],
    [[9, 12], [16], [1, 1, 20]],
]


@pytest.fixture(autouse=True)
def registered():
    register_attentions(GROUP)
    yield
    register_attentions()


def make_config(**changes) -> LlamaConfig:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "pad_token_id": 0,
             "initializer_range": 0.3, "bos_token_id": 1, "eos_token_id": None}  # fmt: skip
    return LlamaConfig(**{**sizes, **changes})


def make_model(name: str, **changes) -> LlamaForCausalLM:
    """In training mode, with weights large enough that a wrong mask shows."""
    torch.manual_seed(0)
    return LlamaForCausalLM._from_config(make_config(**changes), attn_implementation=name).train()


def make_batch(batch: list[list[int]], seed: int = 1) -> dict[str, torch.Tensor]:
    """Rows padded on the right; an attention_mask only where there is padding."""
    width = max(map(sum, batch))
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, VOCABULARY, (len(batch), width), generator=generator)
    positions, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, lengths in enumerate(batch):
        counted = [torch.arange(length) for length in lengths] + [torch.zeros(width - sum(lengths), dtype=torch.long)]
        positions[row], mask[row, : sum(lengths)] = torch.cat(counted), 1
    labels = torch.where((mask == 1) & (positions > 0), ids, -100)  # an example's first token has nothing before it
    padding = {} if mask.all() else {"attention_mask": mask}
    return {"input_ids": ids, "position_ids": positions, "labels": labels, "use_cache": False, **padding}


def make_dense_mask(batch: list[list[int]], num_heads: int, group: int | None) -> torch.Tensor:
    """What a head may see, (rows, heads, tokens, tokens), from the definition; a padding token sees itself."""
    width = max(map(sum, batch))
    sees = torch.eye(width, dtype=torch.bool).repeat(len(batch), num_heads, 1, 1)
    for row, lengths in enumerate(batch):
        example = np.repeat(np.arange(len(lengths)), lengths)
        place = np.concatenate([np.arange(length) for length in lengths])
        for head in range(num_heads):
            shift = 0 if group is None or head < num_heads // 2 else group // 2
            block = place * 0 if group is None else (place + shift) // group
            for i in range(len(place)):
                for j in range(i + 1):
                    sees[row, head, i, j] = bool(example[i] == example[j] and block[i] == block[j])
    return torch.zeros(sees.shape).masked_fill(~sees, torch.finfo(torch.float32).min)


def run(model: LlamaForCausalLM, batch: dict) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """Loss, logits where there is no padding, and the gradient of every parameter."""
    model.zero_grad()
    output = model(**batch)
    output.loss.backward()
    mask = batch.get("attention_mask")
    is_real = torch.ones_like(batch["input_ids"]) if mask is None or mask.ndim == 4 else mask
    return output.loss.detach(), output.logits.detach()[is_real == 1], [p.grad.clone() for p in model.parameters()]


def assert_same(found, expected, batch_mask=None, tolerance: float = 1e-5) -> None:
    loss, logits, gradients = expected
    logits = logits if batch_mask is None else logits[batch_mask.flatten() == 1]
    assert math.isfinite(loss) and abs(found[0] - loss) <= tolerance
    assert (found[1] - logits).abs().max() <= tolerance
    assert max((a - b).abs().max() for a, b in zip(found[2], gradients, strict=True)) <= tolerance


# Equality ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_key_heads", [4, 2, 1])
@pytest.mark.parametrize("lengths", BATCHES, ids=str)
@pytest.mark.parametrize("name", ["s2", "segments"])
def test_equals_a_dense_mask(name: str, lengths: list[list[int]], num_key_heads: int) -> None:
    batch = make_batch(lengths)
    mask = make_dense_mask(lengths, 4, GROUP if name == "s2" else None)
    expected = run(make_model("eager", num_key_value_heads=num_key_heads), {**batch, "attention_mask": mask})
    found = run(make_model(name, num_key_value_heads=num_key_heads), batch)
    assert_same(found, expected, batch.get("attention_mask"))


@pytest.mark.parametrize("name", ["s2", "segments"])
def test_packed_examples_are_as_if_alone(name: str) -> None:
    lengths = [13, 8, 11, 30]
    packed, model = make_batch([lengths]), make_model(name)
    together = run(model, packed)[1]
    starts = np.cumsum([0, *lengths[:-1]])
    alone = [
        run(model, {"input_ids": ids, "labels": ids, "use_cache": False})[1]
        for ids in (packed["input_ids"][:, s : s + n] for s, n in zip(starts, lengths, strict=True))
    ]
    assert (together - torch.cat(alone)).abs().max() <= 1e-5


def test_segments_equal_unpacked_sdpa_in_loss_and_gradients() -> None:
    """The rows of collate_packed against one example at a time, each token's loss weighing the same."""
    generator = np.random.default_rng(2)
    ids = [generator.integers(3, VOCABULARY, length) for length in (9, 25, 2, 14)]
    items = [{"input_ids": row, "labels": np.where(np.arange(len(row)) < 1, -100, row)} for row in ids]
    found = run(make_model("segments"), collate_packed([items[:2], items[2:]]))
    model, num_labels = make_model("sdpa"), sum(len(row) - 1 for row in ids)
    total = torch.tensor(0.0)
    for row in ids:
        tokens = torch.from_numpy(row)[None]
        loss = model(tokens, labels=tokens, use_cache=False).loss * (len(row) - 1) / num_labels
        loss.backward()
        total += loss.detach()
    assert abs(found[0] - total) <= 1e-5
    assert max((a - p.grad).abs().max() for a, p in zip(found[2], model.parameters(), strict=True)) <= 1e-5


def test_a_mask_of_ones_and_a_cache_do_not_let_packed_examples_mix() -> None:
    """Where transformers' own masks silently stop telling packed examples apart."""
    batch, model = make_batch([[13, 19]]), make_model("segments")
    expected = run(model, batch)
    for changes in ({"attention_mask": torch.ones_like(batch["input_ids"])}, {"use_cache": True}):
        assert_same(run(model, {**batch, **changes}), expected)


@pytest.mark.parametrize("name", ["s2", "segments"])
def test_gradient_checkpointing_changes_nothing(name: str) -> None:
    batch, model = make_batch([[9, 12], [16]]), make_model(name)
    expected = run(model, batch)
    model.activation_checkpointing_enable({"use_reentrant": False})
    assert_same(run(model, batch), expected, tolerance=1e-6)


@pytest.mark.parametrize("name", ["s2", "segments"])
def test_bfloat16(name: str) -> None:
    batch = make_batch([[9, 12], [30]])
    loss, logits, gradients = run(make_model(name, initializer_range=0.05), batch)
    half = run(make_model(name, initializer_range=0.05).to(torch.bfloat16), batch)
    assert half[1].dtype == torch.bfloat16 and all(gradient.isfinite().all() for gradient in half[2])
    assert abs(half[0] - loss) < 0.02 and (half[1] - logits).abs().max() < 0.05


def test_dropout_is_the_models() -> None:
    batch = make_batch([[9, 12]])
    model = make_model("segments", attention_dropout=0.5)
    torch.manual_seed(1)
    with_dropout = run(model, batch)[1]
    assert (with_dropout - run(make_model("segments"), batch)[1]).abs().max() > 0.01


# Causality -----------------------------------------------------------------------------------------------------------


def test_s2_is_not_full_attention_and_shifts_half_of_the_heads() -> None:
    batch = make_batch([[32]])
    shifted, full = run(make_model("s2"), batch)[1], run(make_model("segments"), batch)[1]
    assert (shifted[: GROUP // 2] - full[: GROUP // 2]).abs().max() <= 1e-5  # there nothing is cut off yet
    assert (shifted[GROUP // 2 :] - full[GROUP // 2 :]).abs().max() > 0.01


@pytest.mark.parametrize("name", ["s2", "segments"])
def test_no_token_sees_a_later_one(name: str) -> None:
    batch, model = make_batch([[32]]), make_model(name)
    changed = {**batch, "input_ids": batch["input_ids"].clone()}
    for last in (31, 17, GROUP // 2):
        changed["input_ids"][0, last] = (changed["input_ids"][0, last] + 1) % VOCABULARY
        difference = (run(model, batch)[1] - run(model, changed)[1]).abs().amax(-1)
        assert difference[:last].max() == 0 and difference[last] > 0.01


def attend_rolled(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """The non-flash form: the second half of the heads rolled by half a group, all cut alike, and rolled back."""
    num_heads, length = query.shape[1], query.shape[2]

    def roll(tensor: torch.Tensor, by: int) -> torch.Tensor:
        first, second = tensor.chunk(2, dim=1)
        return torch.cat([first, second.roll(by, dims=2)], dim=1)

    shape = (1, num_heads, length // GROUP, GROUP, -1)
    rolled = [roll(tensor, -GROUP // 2).view(shape) for tensor in (query, key, value)]
    out = scaled_dot_product_attention(*rolled, is_causal=True).view(1, num_heads, length, -1)
    return roll(out, GROUP // 2).transpose(1, 2)


def attend_shifted(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    halves = zip(query.chunk(2, 1), key.chunk(2, 1), value.chunk(2, 1), (False, True), strict=True)
    return torch.cat([attend_rows(q, k, v, cut_groups(((32,),), GROUP, shifted)) for q, k, v, shifted in halves], dim=2)


def test_a_plain_roll_would_leak_the_last_token_to_the_first() -> None:
    torch.manual_seed(3)
    query, key, value = torch.randn(3, 1, 4, 32, 16).unbind()
    other = value.clone()
    other[:, :, -1] += 1
    leak = (attend_rolled(query, key, value) - attend_rolled(query, key, other)).abs().amax((0, 2, 3))
    ours = (attend_shifted(query, key, value) - attend_shifted(query, key, other)).abs().amax((0, 2, 3))
    assert leak[GROUP // 2 - 1] > 0.01  # sees the last token, as if it were the one before the first
    assert ours[:-1].max() == 0 and ours[-1] > 0.01
    same = (attend_rolled(query, key, value) - attend_shifted(query, key, value)).abs().amax((0, 2, 3))
    assert same[GROUP // 2 :].max() < 1e-6 and same[: GROUP // 2].max() > 0.01  # what is no leak is the same


# Eval mode and generation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["s2", "segments"])
@pytest.mark.parametrize("lengths", [[[29]], [[13, 8, 11]]], ids=str)
def test_in_eval_mode_s2_is_full_attention(name: str, lengths: list[list[int]]) -> None:
    batch = make_batch(lengths)
    with torch.inference_mode():
        expected = make_model("sdpa").eval()(**batch)
        found = make_model(name).eval()(**batch)
    assert (found.logits - expected.logits).abs().max() <= 1e-5


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("name", ["s2", "segments"])
def test_generation_with_a_cache_equals_sdpa(name: str, cache: str) -> None:
    batch = make_batch([[21], [9]])
    prompts = {key: batch[key].flip(1) for key in ("input_ids", "attention_mask")}  # padded on the left
    texts = [
        make_model(each).eval().generate(**prompts, max_new_tokens=20, do_sample=False, cache_implementation=cache)
        for each in (name, "sdpa")
    ]
    assert texts[0].shape == (2, 41) and texts[0].tolist() == texts[1].tolist()


@pytest.mark.parametrize("name", ["s2", "segments"])
def test_several_tokens_after_a_cache(name: str) -> None:
    ids = make_batch([[25]])["input_ids"]
    model, expected = make_model(name).eval(), make_model("sdpa").eval()(ids).logits
    cache = DynamicCache(config=model.config)
    parts = [model(part, past_key_values=cache).logits for part in ids.split([10, 7, 8], dim=1)]
    assert (torch.cat(parts, dim=1) - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("name", ["s2", "segments"])
def test_a_cache_while_training_is_refused(name: str) -> None:
    ids, model = make_batch([[25]])["input_ids"], make_model(name)
    cache = model(ids[:, :20], use_cache=True).past_key_values
    with pytest.raises(InputError, match=r"found 5 queries and 25 keys; to generate, call model.eval\(\)"):
        model(ids[:, 20:], past_key_values=cache)


def test_a_saved_model_knows_nothing_of_it(tmp_path) -> None:
    make_model("s2").save_pretrained(tmp_path)
    assert "s2" not in (tmp_path / "config.json").read_text()
    assert AutoModelForCausalLM.from_pretrained(tmp_path).config._attn_implementation == "sdpa"


# Cutting -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "group"), [(8192, 2048), (12288, 3072), (16384, 4096), (32768, 8192), (4096, 1024),
                                               (12000, 8192), (100, 8192)])  # fmt: skip
def test_group_of_the_published_fine_tuning(length: int, group: int) -> None:
    assert choose_group(length) == group


def test_groups_by_hand() -> None:
    assert cut_groups(((20, 3), (23,)), 8, False) == ((8, 8, 4, 3), (8, 8, 7))
    assert cut_groups(((20, 3), (23,)), 8, True) == ((4, 8, 8, 3), (4, 8, 8, 3))
    assert cut_groups(((4, 5),), 8, True) == ((4, 4, 1),)
    assert cut_groups(((12288,),), None, True) == ((1536, 3072, 3072, 3072, 1536),)


def test_rows_by_hand() -> None:
    def cut(positions: list[int], real: str) -> tuple[int, ...]:
        return cut_row(np.array(positions), np.array([letter == "x" for letter in real]))

    assert cut([0, 1, 2, 0, 1, 0], "xxxxxx") == (3, 2, 1)
    assert cut([0, 1, 0, 1, 2, 3], "xxxx..") == (2, 2, 2)
    assert cut([1, 1, 1, 0, 1, 2], "...xxx") == (3, 3)
    assert cut([0, 0, 0, 0, 1, 0], "..xxx.") == (2, 1, 2, 1)
    assert cut([7, 8, 9], "xxx") == (3,)
    assert cut([0, 0, 0], "...") == (3,)
    with pytest.raises(InputError, match="some between them, before token 2"):
        cut([0, 1, 2, 3], "x.xx")
    with pytest.raises(InputError, match="found 9 after 1 at token 2"):
        cut([0, 1, 9, 10], "xxxx")


def test_nothing_is_remembered_wrongly() -> None:
    """Every layer asks for the same rows; a changed tensor, another mask or number of rows is a new question."""
    query, positions = torch.zeros(1, 2, 6, 4), torch.arange(6)[None]
    mask = torch.tensor([[True] * 4 + [False] * 2])
    assert attention.find_examples(positions, None, query) == ((6,),)
    assert attention.find_examples(positions, mask, query) == ((4, 2),)
    assert attention.find_examples(positions, mask.flip(1), query) == ((2, 4),)
    mask[0, 4] = True
    assert attention.find_examples(positions, mask, query) == ((5, 1),)
    mask[0, 5] = True
    assert attention.find_examples(positions, mask, query) == ((6,),)
    assert attention.find_examples(positions, None, query) == ((6,),)
    assert attention.find_examples(positions, None, query.repeat(2, 1, 1, 1)) == ((6,), (6,))
    positions[0, 3:] -= 3
    assert attention.find_examples(positions, None, query) == ((3, 3),)
    with torch.inference_mode():
        positions = torch.arange(6)[None]
        assert attention.find_examples(positions, None, query) == ((6,),)
        positions[0, 3:] -= 3
        assert attention.find_examples(positions, None, query) == ((3, 3),)


def test_rows_are_cut_once_a_batch(monkeypatch) -> None:
    calls, original = [], attention._cut_rows
    monkeypatch.setattr(attention, "_cut_rows", lambda *values: calls.append(1) or original(*values))
    run(make_model("s2", num_hidden_layers=3), make_batch([[9, 12], [16]]))
    assert len(calls) == 1


def test_no_mask_of_quadratic_size_is_made() -> None:
    seen, model = [], make_model("s2")
    model.model.layers[0].self_attn.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["attention_mask"]), with_kwargs=True
    )
    run(model, make_batch([[13, 8, 11]]))
    run(model, make_batch([[29], [17]]))
    assert seen[0] is None and seen[1].shape == (2, 29)


# One call on a GPU ---------------------------------------------------------------------------------------------------


def attend_varlen_slowly(query, key, value, starts, key_starts, longest, longest_key, scale, window_size, enable_gqa):
    """What torch.nn.attention.varlen.varlen_attn says that it does, (tokens, heads, head size), on any device."""
    assert starts.dtype == torch.int32 and starts.diff().max() == longest == longest_key and window_size == (-1, 0)
    assert starts[-1] == len(query) and (starts == key_starts).all() and enable_gqa == (query.shape[1] != key.shape[1])
    parts = []
    for start, end in zip(starts.tolist(), starts.tolist()[1:], strict=False):
        rows = (tensor[start:end].transpose(0, 1) for tensor in (query, key, value))
        parts.append(scaled_dot_product_attention(*rows, is_causal=True, scale=scale, enable_gqa=True).transpose(0, 1))
    return torch.cat(parts)


@pytest.mark.parametrize("name", ["s2", "segments"])
@pytest.mark.parametrize("lengths", BATCHES[-4:], ids=str)
def test_one_call_for_all_segments_gives_the_same(name: str, lengths: list[list[int]], monkeypatch) -> None:
    batch, model = make_batch(lengths), make_model(name)
    expected = run(model, batch)
    monkeypatch.setattr(attention, "_can_use_varlen", lambda *values: True)
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", attend_varlen_slowly)
    assert_same(run(model, batch), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["s2", "segments"])
@pytest.mark.parametrize("lengths", BATCHES, ids=str)
def test_on_a_gpu(name: str, lengths: list[list[int]]) -> None:
    batch, sizes = make_batch(lengths), {"initializer_range": 0.05, "head_dim": 16}
    expected = run(make_model(name, **sizes), batch)
    on_gpu = {key: value.cuda() if isinstance(value, torch.Tensor) else value for key, value in batch.items()}
    for dtype, tolerance in ((torch.float32, 1e-3), (torch.bfloat16, 0.1)):
        loss, logits, gradients = run(make_model(name, **sizes).to("cuda", dtype), on_gpu)
        assert abs(loss.cpu() - expected[0]) < tolerance and (logits.cpu() - expected[1]).abs().max() < tolerance
        assert all(gradient.isfinite().all() for gradient in gradients)


# Refusals ------------------------------------------------------------------------------------------------------------


def make_other(kind: type, **changes):
    return kind(hidden_size=32, num_attention_heads=4, num_key_value_heads=2, intermediate_size=48, num_hidden_layers=2,
                vocab_size=VOCABULARY, pad_token_id=0, **changes)  # fmt: skip


@pytest.mark.parametrize(("config", "arguments", "message"), [
    (make_config(), {"name": "s3"}, "expected one of segments, s2, found 's3'"),
    (make_config(num_attention_heads=3, num_key_value_heads=3, hidden_size=36), {}, "3 heads, which have no halves"),
    (make_other(MistralConfig, sliding_window=64), {"name": "segments"}, "before them (sliding_window)"),
    (make_other(Gemma2Config), {}, "before them (sliding_attention); with attn_logit_softcapping"),
    (make_config(is_causal=False), {}, "is_causal False"),
])  # fmt: skip
def test_unsound_combinations_are_refused_beforehand(config, arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        check_attention(config, **{"name": "s2", **arguments})


def test_sound_combinations_pass() -> None:
    mistral = make_other(MistralConfig, sliding_window=None)
    for config in (make_config(), make_other(Qwen2Config), mistral, GPT2Config()):
        check_attention(config, "s2")
    check_attention(make_config(), "segments")
    check_attention(make_config(num_attention_heads=3, num_key_value_heads=3, hidden_size=36), "segments")


@pytest.mark.parametrize(("kwargs", "message"), [
    ({"softcap": 30.0}, "LlamaAttention: segments and s2 would leave out softcap"),
    ({"sliding_window": 8, "s_aux": 1}, "would leave out sliding_window, s_aux"),
    ({"is_causal": False}, "would leave out is_causal False"),
    ({"position_ids": None}, r"expected \(1, 6\), found none"),
    ({"position_ids": torch.arange(5)[None]}, r"expected \(1, 6\), found \(1, 5\)"),
    ({"attention_mask": torch.ones(1, 1, 6, 6, dtype=torch.bool)}, "no 4D mask"),
])  # fmt: skip
@pytest.mark.parametrize("shifts", [True, False])
def test_what_would_be_wrong_is_refused_while_it_runs(shifts: bool, kwargs: dict, message: str) -> None:
    module = make_model("s2").model.layers[0].self_attn
    query, key = torch.zeros(1, 4, 6, 8), torch.zeros(1, 2, 6, 8)
    arguments = {"attention_mask": None, "position_ids": torch.arange(6)[None], "use_cache": False, **kwargs}
    with pytest.raises(InputError, match=message):
        attention.attend_examples(module, query, key, key, shifts=shifts, **arguments)


def test_heads_of_another_process_are_missed() -> None:
    module = make_model("s2").model.layers[0].self_attn
    half = torch.zeros(1, 2, 6, 8)
    with pytest.raises(InputError, match="all of the model's 4 in one process, found 2"):
        attention.attend_examples(module, half, half, half, None, shifts=True, position_ids=torch.arange(6)[None])


def test_masks_that_are_more_than_causal_are_refused() -> None:
    config = make_other(MistralConfig, sliding_window=64)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="segments")
    with pytest.raises(InputError, match="no sliding or chunked attention"):
        model(torch.ones(1, 5, dtype=torch.long))
    model = make_model("segments", is_causal=False)
    with pytest.raises(InputError, match="causal attention only"):
        model(torch.ones(1, 5, dtype=torch.long))


def test_group_must_have_a_half() -> None:
    for group in (0, 7, -8):
        with pytest.raises(InputError, match=f"even number of tokens, at least 2, found {group}"):
            register_attentions(group)
