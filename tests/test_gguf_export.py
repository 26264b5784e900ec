"""Exporting to GGUF: small Llama models with random weights, made here, read back by transformers and by llama.cpp."""

import json
import weakref
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from sciqag_lib.engines import Prompt, Request, Sampling, complete, gguf_tokenizer, open_engine
from sciqag_lib.engines.gguf_restoring import restore_positions, restore_tokenizer
from sciqag_lib.engines.gguf_tokenizer import read_vocabulary, set_pre_tokenizer
from sciqag_lib.engines.loading import count_positions
from sciqag_lib.errors import InputError
from sciqag_lib.training import gguf_export
from sciqag_lib.training.gguf_export import compute_rope_factors, export_gguf, main, permute_rows

WORDS = "The band gap of silicon is 1.12 eV at 300 K; that of TiO2 is 3.2 eV, and it doesn't change.\nWater boils."
# Runs of spaces before digits and words, contractions in both cases, letters and digits of other scripts, an emoji.
TRICKY = [
    WORDS,
    "a  12 b   c",
    "  x\n\n  y 2023\t",
    "I'LL it's 1234567",
    "α-Fe²O₃ ٣٤ 日本 naïve 🙂",
    "a<|end|>b",
    "x22 z",
]
TEMPLATE = "{% for m in messages %}{{ '<|role|>' + m.role + '\\n' + m.content + '<|end|>\\n' }}{% endfor %}"
SPECIAL = ["<|pad|>", "<|start|>", "<|end|>", "<|stop|>", "<|role|>"]
SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 64, "initializer_range": 0.15, "bos_token_id": 1,
         "eos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": False}  # fmt: skip
IDS = [5, 80, 12, 33, 7, 150, 9, 44, 61, 23, 90, 17, 200, 31, 8, 54, 77, 101, 13, 6, 29, 88, 42, 120]


def split_like(name: str) -> Any:
    """The pre-tokenizers of published tokenizers, built with the library."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if name == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    if name == "llama-bpe":
        words = pre_tokenizers.Split(Regex(gguf_tokenizer._LLAMA3_WORDS), "isolated")
        return pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return byte_level


def make_tokenizer(pre: str = "smollm", adds_bos: bool = False) -> Any:
    tokenizer = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    tokenizer.pre_tokenizer, tokenizer.decoder = split_like(pre), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=310, special_tokens=SPECIAL, initial_alphabet=alphabet,
                                  show_progress=False)  # fmt: skip
    tokenizer.train_from_iterator([WORDS, "12 345   678   it's we'll 日本 αα", "      x       y"] * 3, trainer)
    if adds_bos:
        begin = [("<|start|>", 1)]
        tokenizer.post_processor = processors.TemplateProcessing(single="<|start|> $A", special_tokens=begin)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|start|>", eos_token="<|end|>",
                                                pad_token="<|pad|>", chat_template=TEMPLATE)  # fmt: skip


def make_sentencepiece(scheme: str = "first") -> Any:
    """As Llama 2's: scores by rank, all pairs that make a token are merges, bytes for what is no token."""
    pieces = ["▁t", "in", "er", "▁a", "he", "on", "▁the", "▁b", "and", "▁band", "an", "nd", "il", "▁boil", "oil", "▁▁"]
    letters = sorted(set(WORDS.replace(" ", "▁").replace("\n", "")) | {"▁"})
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces, *letters]
    vocab = {token: row for row, token in enumerate(tokens)}
    merges = [(piece[:cut], piece[cut:]) for piece in pieces for cut in range(1, len(piece))
              if piece[:cut] in vocab and piece[cut:] in vocab]  # fmt: skip
    tokenizer = transformers.LlamaTokenizer(vocab=vocab, merges=merges, add_bos_token=True)
    scheme_of = {"replacement": "▁", "prepend_scheme": scheme, "split": False}
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(**scheme_of)
    return tokenizer


def save_model(folder: Path, tokenizer: Any | None = None, dtype: torch.dtype = torch.float32, **config: Any) -> Any:
    """A random model and its tokenizer, saved; returned as it reads from the folder, in float32."""
    tokenizer = tokenizer or make_tokenizer()
    rows = -(-len(tokenizer) // 64) * 64
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=rows, **SIZES | config))
    with torch.no_grad():
        for name, values in model.named_parameters():
            if name.endswith((".bias", "norm.weight")):
                values.add_(torch.randn_like(values) * 0.3)
    model.to(dtype).save_pretrained(folder, max_shard_size=config.pop("max_shard_size", "5GB"))
    tokenizer.save_pretrained(folder)
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def reload(path: Path, config: Any | None = None) -> Any:
    settings = {"config": config} if config else {}
    return transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, **settings,
        quantization_config=transformers.GgufConfig(dequantize=True),
    )  # fmt: skip


def compute_logits(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0]


def compare(left: torch.Tensor, right: torch.Tensor) -> float:
    return (left - right).abs().max().item()


def round_to_q8(model: Any) -> Any:
    """The matrices as Q8_0 has them, by our own arithmetic: one scale for 32 numbers, largest / 127, kept in float16;
    numbers times the scale's inverse, halves away from zero: half of the largest is one, and common in bfloat16.
    """
    with torch.no_grad():
        for values in (values for values in model.parameters() if values.dim() == 2):
            blocks = values.reshape(-1, 32)
            scale = blocks.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127
            whole = torch.trunc(blocks * (1 / scale) + 0.5 * blocks.sign())
            values.copy_((whole * scale.half().float()).reshape(values.shape))
    return model


def ask_llama(engine: Any, ids: list[int], count: int) -> dict[int, float]:
    """llama.cpp's log probabilities of the next token, of the `count` likeliest."""
    body = {"prompt": ids, "n_predict": 1, "n_probs": count, "temperature": 0.0, "cache_prompt": False, "samplers": []}
    # The reported probabilities are those before the bias. It makes the token that is written a letter: after one that
    # ends the reply, or is half a character, llama.cpp reports none.
    reply = engine._post("/completion", body | {"logit_bias": [[engine._tokenize("a")[-1], 1e4]]})
    return {item["id"]: item["logprob"] for item in reply["completion_probabilities"][0]["top_logprobs"]}


def compare_with_llama(path: Path, model: Any, ids: list[int]) -> float:
    """The largest difference of log probabilities between transformers and llama.cpp on the exported file."""
    wanted = compute_logits(model, ids)[-1].log_softmax(dim=-1)
    with open_engine("llama_cpp", model=str(path), context_size=512) as engine:
        found = ask_llama(engine, ids, len(wanted))
    assert len(found) > 100
    return max(abs(wanted[token].item() - value) for token, value in found.items())


def read_fields(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


# Weights -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [
    {}, {"num_key_value_heads": 4}, {"num_key_value_heads": 1}, {"tie_word_embeddings": True},
    {"attention_bias": True, "mlp_bias": True}, {"head_dim": 32},
])  # fmt: skip
@pytest.mark.parametrize("kind, tolerance", [("f32", 1e-5), ("f16", 1e-2), ("q8_0", 1e-4)])
def test_transformers_reads_the_same_model_back(tmp_path: Path, shape: dict, kind: Any, tolerance: float) -> None:
    model = save_model(tmp_path / "model", **shape)
    export_gguf(tmp_path / "model", tmp_path / "out.gguf", kind)
    unrounded = compute_logits(model, IDS)
    wanted = compute_logits(round_to_q8(model), IDS) if kind == "q8_0" else unrounded
    told = model.config if "attention_bias" in shape else None  # transformers does not look for biases by itself
    found = compute_logits(reload(tmp_path / "out.gguf", told), IDS)
    assert wanted.abs().max() > 1
    assert compare(found, wanted) < tolerance
    assert compare(found, unrounded) < 0.4  # what 8 bits cost these random weights: measured 0.05 to 0.2


def test_weights_saved_in_bfloat16_are_exact_in_f16(tmp_path: Path) -> None:
    model = save_model(tmp_path / "model", dtype=torch.bfloat16)
    export_gguf(tmp_path / "model", tmp_path / "out.gguf", "f16")
    assert compare(compute_logits(reload(tmp_path / "out.gguf"), IDS), compute_logits(model, IDS)) < 1e-5


@pytest.mark.parametrize("shape", [{}, {"tie_word_embeddings": True, "attention_bias": True}, {"head_dim": 32}])
@pytest.mark.parametrize("kind, tolerance", [("f32", 1e-2), ("f16", 2e-2), ("q8_0", 0.3)])
def test_llama_cpp_predicts_the_same(tmp_path: Path, shape: dict, kind: Any, tolerance: float) -> None:
    model = save_model(tmp_path / "model", **shape)
    export_gguf(tmp_path / "model", tmp_path / "out.gguf", kind)
    assert compare_with_llama(tmp_path / "out.gguf", model, IDS) < tolerance


def test_rows_are_paired_as_neighbours() -> None:
    values = torch.arange(16.0).reshape(8, 2)  # two heads of four rows: 0 1 | 2 3 in each
    assert permute_rows(values, 2)[:, 0].tolist() == [0, 4, 2, 6, 8, 12, 10, 14]
    assert permute_rows(torch.arange(8.0), 1).tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_types_of_the_tensors(tmp_path: Path) -> None:
    save_model(tmp_path / "model", intermediate_size=80)  # down_proj's rows are no multiple of 32
    export = export_gguf(tmp_path / "model", tmp_path / "out.gguf", "q8_0")
    types = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(tmp_path / "out.gguf").tensors}
    assert types["token_embd.weight"] == types["blk.1.attn_q.weight"] == types["output.weight"] == "Q8_0"
    assert types["blk.0.ffn_down.weight"] == "F16" and types["output_norm.weight"] == "F32"
    assert export.num_tensors == len(types) == 2 * 9 + 3


def test_shards_give_the_same_file(tmp_path: Path) -> None:
    model = save_model(tmp_path / "whole")
    model.save_pretrained(tmp_path / "shards", max_shard_size="40KB")
    make_tokenizer().save_pretrained(tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    for name in ("whole", "shards"):
        export_gguf(tmp_path / name, tmp_path / name / "out.gguf", "q8_0")
    assert (tmp_path / "whole/out.gguf").read_bytes() == (tmp_path / "shards/out.gguf").read_bytes()


def test_one_tensor_is_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(tmp_path / "model")
    convert, alive, most = gguf_export._convert, [], []

    def spy(values: Any, tensor: Any) -> Any:
        most.append(sum(reference() is not None for reference in alive))
        array = convert(values, tensor)
        alive.append(weakref.ref(array))
        return array

    monkeypatch.setattr(gguf_export, "_convert", spy)
    export_gguf(tmp_path / "model", tmp_path / "out.gguf", "q8_0")
    assert len(most) == 21 and max(most) <= 1


def test_a_failed_export_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(tmp_path / "model")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/m.gguf").write_bytes(b"older")
    convert, calls = gguf_export._convert, []

    def fail_later(values: Any, tensor: Any) -> Any:
        calls.append(tensor)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        return convert(values, tensor)

    monkeypatch.setattr(gguf_export, "_convert", fail_later)
    assert main([str(tmp_path / "model"), str(tmp_path / "out/m.gguf")]) == 2
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["m.gguf"]
    assert (tmp_path / "out/m.gguf").read_bytes() == b"older"


# Positions -----------------------------------------------------------------------------------------------------------

ROPES = {
    "default": {"rope_type": "default"},
    "linear": {"rope_type": "linear", "factor": 4.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
    "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 64},
}  # fmt: skip


@pytest.mark.parametrize("name", ROPES)
def test_positions_mean_the_same_to_llama_cpp(tmp_path: Path, name: str) -> None:
    rope = ROPES[name] | {"rope_theta": 500.0}
    model = save_model(tmp_path / "model", rope_parameters=rope, max_position_embeddings=128)
    export_gguf(tmp_path / "model", tmp_path / "out.gguf", "f32")
    ids = IDS * 4
    assert compare_with_llama(tmp_path / "out.gguf", model, ids) < 1e-2
    plain = save_model(tmp_path / "plain", max_position_embeddings=128)  # and 10000, what converters fall back to
    assert compare(*(compute_logits(each, ids)[-1].log_softmax(dim=-1) for each in (model, plain))) > 0.1


def test_what_the_header_says_of_positions(tmp_path: Path) -> None:
    save_model(tmp_path / "model", rope_parameters={"rope_type": "linear", "factor": 3.0, "rope_theta": 123456.0})
    export_gguf(tmp_path / "model", tmp_path / "out.gguf")
    fields = read_fields(tmp_path / "out.gguf")
    assert fields["llama.rope.freq_base"] == 123456.0
    assert fields["llama.rope.scaling.type"] == "linear" and fields["llama.rope.scaling.factor"] == 3.0
    assert fields["llama.context_length"] == 192  # 64 positions, stretched threefold
    assert fields["llama.attention.head_count_kv"] == 2 and fields["llama.rope.dimension_count"] == 16


@pytest.mark.parametrize("name", ["default", "linear", "yarn"])
def test_positions_are_restored_for_transformers(tmp_path: Path, name: str) -> None:
    model = save_model(tmp_path / "model", rope_parameters=ROPES[name] | {"rope_theta": 500.0})
    export_gguf(tmp_path / "model", tmp_path / "out.gguf", "f32")
    config = transformers.AutoConfig.from_pretrained(tmp_path, gguf_file="out.gguf")
    restore_positions(config, tmp_path / "out.gguf")
    assert count_positions(config) == count_positions(model.config)
    found = compute_logits(reload(tmp_path / "out.gguf", config), IDS * 2)
    assert compare(found, compute_logits(model, IDS * 2)) < 1e-4


def test_positions_that_transformers_cannot_read_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "model", rope_parameters=ROPES["llama3"] | {"rope_theta": 500.0})
    export_gguf(tmp_path / "model", tmp_path / "out.gguf")
    config = transformers.AutoConfig.from_pretrained(tmp_path, gguf_file="out.gguf")
    with pytest.raises(InputError, match="rope_freqs.weight"):
        restore_positions(config, tmp_path / "out.gguf")


@pytest.mark.parametrize("pre", ["gpt-2", "smollm", "llama-bpe"])
def test_the_splitting_is_restored_for_transformers(tmp_path: Path, pre: str) -> None:
    save_model(tmp_path / "model", make_tokenizer(pre))
    export_gguf(tmp_path / "model", tmp_path / "out.gguf")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path, gguf_file="out.gguf")
    restore_tokenizer(tokenizer, tmp_path / "out.gguf")
    assert [tokenizer.encode(text) for text in TRICKY] == [make_tokenizer(pre).encode(text) for text in TRICKY]


def test_factors_of_llama3_are_those_of_its_formula() -> None:
    config = transformers.LlamaConfig(**SIZES, rope_parameters=ROPES["llama3"] | {"rope_theta": 10000.0})
    factors = compute_rope_factors(config)
    # head_dim 16: wavelengths 2 pi 10000 ** (i / 8) = 6.28, 19.9, 62.8, 199, ... against 64 / 4 = 16 and 64 / 1 = 64
    smooth = [(64 / wave - 1) / 3 for wave in (19.869, 62.832)]
    wanted = [1.0, *(1 / ((1 - part) / 8 + part) for part in smooth), 8.0, 8.0, 8.0, 8.0, 8.0]
    assert factors.tolist() == pytest.approx(wanted, rel=1e-3)


# Tokenizers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pre", ["gpt-2", "smollm", "llama-bpe"])
@pytest.mark.parametrize("adds_bos", [False, True])
def test_llama_cpp_reads_texts_as_the_tokenizer_does(tmp_path: Path, pre: str, adds_bos: bool) -> None:
    tokenizer = make_tokenizer(pre, adds_bos)
    save_model(tmp_path / "model", tokenizer)
    export_gguf(tmp_path / "model", tmp_path / "out.gguf")
    fields = read_fields(tmp_path / "out.gguf")
    assert (fields["tokenizer.ggml.model"], fields["tokenizer.ggml.pre"]) == ("gpt2", pre)
    with open_engine("llama_cpp", model=str(tmp_path / "out.gguf"), context_size=512) as engine:
        for text in TRICKY:
            assert engine._tokenize(text) == tokenizer.encode(text), text
        chat = tokenizer.apply_chat_template([{"role": "user", "content": "Why?"}], tokenize=False)
        assert engine.format(Prompt(user="Why?")) == chat == "<|role|>user\nWhy?<|end|>\n"


def test_the_three_splittings_differ() -> None:
    found = {pre: tuple(make_tokenizer(pre).encode(text).__len__() for text in TRICKY) for pre in ("gpt-2", "smollm")}
    assert found["gpt-2"] != found["smollm"]


@pytest.mark.parametrize("scheme", ["first", "always", "never"])
def test_llama_cpp_reads_sentencepiece_texts_as_the_tokenizer_does(tmp_path: Path, scheme: str) -> None:
    tokenizer = make_sentencepiece(scheme)
    save_model(tmp_path / "model", tokenizer)
    export = export_gguf(tmp_path / "model", tmp_path / "out.gguf")
    fields = read_fields(tmp_path / "out.gguf")
    assert fields["tokenizer.ggml.model"] == "llama" and fields["tokenizer.ggml.add_bos_token"]
    types, tokens = fields["tokenizer.ggml.token_type"], fields["tokenizer.ggml.tokens"]
    assert [types[tokens.index(token)] for token in ("<unk>", "<s>", "<0x0A>", "▁the")] == [2, 3, 6, 1]
    assert fields["tokenizer.ggml.add_space_prefix"] == (scheme != "never")
    assert ("special tokens inside a text" in " ".join(export.notes)) == (scheme == "first")
    with open_engine("llama_cpp", model=str(tmp_path / "out.gguf"), context_size=512) as engine:
        for text in ["Water boils and the band", "the inner band", "x\ny 日本 é", "on  the   band", WORDS]:
            assert engine._tokenize(text) == tokenizer.encode(text), text
    again = transformers.AutoTokenizer.from_pretrained(tmp_path, gguf_file="out.gguf")
    assert again.tokenize("and the band boils") == make_sentencepiece().tokenize("and the band boils")


def test_the_older_form_of_a_sentencepiece_tokenizer(tmp_path: Path) -> None:
    tokenizer = make_sentencepiece()
    older = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(older)
    tokenizer.backend_tokenizer.pre_tokenizer = None
    save_model(tmp_path, tokenizer)
    vocabulary = read_vocabulary(tmp_path, 320)
    assert vocabulary.model == "llama" and vocabulary.adds_space and vocabulary.notes == []
    scores = dict(zip(vocabulary.tokens, vocabulary.scores or []))
    assert scores["▁t"] > scores["in"] > scores["▁▁"] > scores["t"]


def test_rows_without_a_token_are_unused(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    save_model(tmp_path, tokenizer)
    vocabulary = read_vocabulary(tmp_path, 320)
    assert len(tokenizer) == 310 and len(vocabulary.tokens) == len(set(vocabulary.tokens)) == 320
    assert vocabulary.types == [3] * 5 + [1] * 305 + [5] * 10


def test_added_words_are_found_whole(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<keyword>"])
    save_model(tmp_path / "model", tokenizer)
    export_gguf(tmp_path / "model", tmp_path / "out.gguf")
    assert read_fields(tmp_path / "out.gguf")["tokenizer.ggml.token_type"][310] == 4
    with open_engine("llama_cpp", model=str(tmp_path / "out.gguf"), context_size=512) as engine:
        assert engine._tokenize("a <keyword>b") == tokenizer.encode("a <keyword>b")
        assert 310 in engine._tokenize("a <keyword>b")


def test_every_token_that_ends_a_reply_is_told(tmp_path: Path) -> None:
    save_model(tmp_path / "model")
    settings = tmp_path / "model/generation_config.json"
    settings.write_text(json.dumps({"eos_token_id": [2, 3]}), encoding="utf-8")
    export_gguf(tmp_path / "model", tmp_path / "out.gguf")
    fields = read_fields(tmp_path / "out.gguf")
    ids = {name: fields[f"tokenizer.ggml.{name}_token_id"] for name in ("bos", "eos", "eot", "padding")}
    assert ids == {"bos": 1, "eos": 2, "eot": 3, "padding": 0}
    settings.write_text(json.dumps({"eos_token_id": [2, 3, 4, 5]}), encoding="utf-8")
    with pytest.raises(InputError, match=r"at most 3 tokens.*\[2, 3, 4, 5\]"):
        export_gguf(tmp_path / "model", tmp_path / "out.gguf")


def test_an_unknown_splitting_is_not_set() -> None:
    tokenizer = make_tokenizer("smollm")
    assert not set_pre_tokenizer(tokenizer, "tekken") and tokenizer.encode("a  12") == make_tokenizer().encode("a  12")


# What is refused -----------------------------------------------------------------------------------------------------


def edit_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


@pytest.mark.parametrize("change, message", [
    ({"architectures": ["MistralForCausalLM"]}, "MistralForCausalLM cannot be exported; supported: LlamaForCausalLM"),
    ({"hidden_act": "gelu"}, "hidden_act.*'gelu'"),
    ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, "rope_type 'dynamic' cannot"),
    ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0, "rope_theta": 1e4, "attention_factor": 1.7}}, "1.7"),
    ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, "quantized"),
    ({"num_hidden_layers": 3}, r"9 missing \['model.layers.2.input"),
    ({"num_hidden_layers": 1}, r"9 unknown \['model.layers.1.input"),
    ({"intermediate_size": 128}, r"down_proj.weight: expected shape \(64, 128\), found \(64, 96\)|gate_proj"),
    ({"vocab_size": 256}, "the 256 rows of the embeddings, found 54 beyond"),
])  # fmt: skip
def test_models_that_gguf_cannot_hold(tmp_path: Path, change: dict, message: str) -> None:
    save_model(tmp_path / "model")
    edit_json(tmp_path / "model/config.json", **change)
    with pytest.raises(InputError, match=message):
        export_gguf(tmp_path / "model", tmp_path / "out.gguf")
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("change, message", [
    ({"pre_tokenizer": {"type": "Whitespace"}}, "pre_tokenizer.*gpt-2, smollm, llama-bpe, found.*Whitespace"),
    ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}}, "add_prefix_space': True"),
    ({"normalizer": {"type": "NFC"}}, "normalizer: expected none, found.*NFC"),
    ({"model": {"type": "Unigram", "vocab": []}}, "model: expected BPE, found Unigram"),
])  # fmt: skip
def test_tokenizers_that_gguf_has_no_name_for(tmp_path: Path, change: dict, message: str) -> None:
    save_model(tmp_path)
    spec = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8")) | change
    tokenizer = make_tokenizer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gguf_tokenizer, "_load_tokenizer", lambda folder: tokenizer)
        (tmp_path / "tokenizer.json").write_text(json.dumps(spec), encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_vocabulary(tmp_path, 320)


def test_merges_that_scores_cannot_say_are_refused(tmp_path: Path) -> None:
    tokenizer = make_sentencepiece()
    tokenizer.save_pretrained(tmp_path)
    spec = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    spec["model"]["merges"] = [pair for pair in spec["model"]["merges"] if tuple(pair) != ("a", "nd")]
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec), encoding="utf-8")
    with pytest.raises(InputError, match=r"no merge \('a', 'nd'\)"):
        read_vocabulary(tmp_path, 320)


@pytest.mark.parametrize("value, kind, message", [
    (float("nan"), "f32", "o_proj.weight: expected finite numbers"), (1e5, "f16", "o_proj.weight.*65504.*f32"),
])  # fmt: skip
def test_numbers_that_the_type_cannot_hold(tmp_path: Path, value: float, kind: Any, message: str) -> None:
    save_model(tmp_path)
    tensors = {name: values.clone() for name, values in load_file(tmp_path / "model.safetensors").items()}
    tensors["model.layers.1.self_attn.o_proj.weight"][3, 4] = value
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=message):
        export_gguf(tmp_path, tmp_path / "out.gguf", kind)
    assert not (tmp_path / "out.gguf").exists()


def test_folders_without_a_whole_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.gguf")
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    assert main([str(tmp_path), out]) == 2
    assert "an adapter, which is merged first" in capsys.readouterr().err
    save_model(tmp_path / "model")
    weights = tmp_path / "model/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert main([str(tmp_path / "model"), out]) == 2
    assert f"{weights}: expected a safetensors file" in capsys.readouterr().err
    weights.rename(weights.with_name("pytorch_model.bin"))
    assert main([str(tmp_path / "model"), out]) == 2
    assert "found no model.safetensors" in capsys.readouterr().err
    with pytest.raises(InputError, match="expected one of f16, q8_0, f32, found 'q4_0'"):
        export_gguf(tmp_path / "model", out, "q4_0")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(tmp_path / "model")
    assert main([str(tmp_path / "model"), str(tmp_path / "new/out.gguf"), "--type", "q8_0"]) == 0
    assert "21 tensors, q8_0, 0.1 MB" in capsys.readouterr().out
    assert read_fields(tmp_path / "new/out.gguf")["general.file_type"] == 7


# The packaged model --------------------------------------------------------------------------------------------------

PROMPTS = [
    "Water boils at", "The capital of France is", "Photosynthesis is the process by which", "  12 samples  were tested",
    "The band gap of silicon is 1.12 eV, and", "def add(a, b):\n    return", "Q: What is DNA?\nA:", "E = mc^2 means",
    "The temperature was raised to 350 °C for 2 h, then", "Graphene is a single layer of", "Proteins fold into",
    "α-helices and β-sheets are", "List three metals: iron,", "The results (Fig. 3) show that", "Once upon a time",
    "Mitochondria are known as", "The catalyst was prepared by", "Der schnelle braune Fuchs", "In 1905, Einstein",
    "<|im_start|>user\nName a planet.<|im_end|>\n<|im_start|>assistant\n",
]  # fmt: skip


@pytest.fixture(scope="module")
def smollm2(packaged_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The packaged model's weights in bfloat16, as training saves them, in a folder; and read back in float32."""
    folder = tmp_path_factory.mktemp("smollm2") / "model"
    reload(packaged_model).bfloat16().save_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(packaged_model.parent, gguf_file=packaged_model.name)
    restore_tokenizer(tokenizer, packaged_model)
    tokenizer.save_pretrained(folder)
    return folder, transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


@pytest.mark.slow
def test_smollm2_is_tokenized_as_its_authors_file_does(smollm2: tuple[Path, Any], llama_engine: Any) -> None:
    vocabulary, tokenizer = read_vocabulary(smollm2[0], 49152), transformers.AutoTokenizer.from_pretrained(smollm2[0])
    assert (vocabulary.pre, vocabulary.special_ids["eos"], vocabulary.adds_bos) == ("smollm", 2, False)
    for text in [*PROMPTS, *TRICKY]:
        assert tokenizer.encode(text) == llama_engine._tokenize(text), text


@pytest.mark.slow
@pytest.mark.parametrize("kind, reread, predicted", [("f16", 1e-5, 3e-2), ("q8_0", 1e-2, 1.0)])
def test_smollm2_predicts_the_same(
    smollm2: tuple[Path, Any], tmp_path: Path, kind: Any, reread: float, predicted: float
) -> None:
    """`reread`: logits of the file read by transformers against the model, whose weights are rounded by our own
    arithmetic for q8_0; `predicted`: log probabilities of llama.cpp, which rounds what it multiplies with the weights
    to the same 16 or 8 bits, against the model itself. Measured: 0 and 0.015 (f16), 0 and 0.67 (q8_0)."""
    folder, model = smollm2
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    export_gguf(folder, tmp_path / "out.gguf", kind)
    rows = [tokenizer.encode(text) for text in PROMPTS]
    original = [compute_logits(model, row) for row in rows]
    again = reload(tmp_path / "out.gguf")
    found = [compute_logits(again, row) for row in rows]
    rounded = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    wanted = [compute_logits(round_to_q8(rounded), row) for row in rows] if kind == "q8_0" else original
    assert len(rows) == 20 and max(map(compare, found, wanted)) < reread
    with open_engine("llama_cpp", model=str(tmp_path / "out.gguf"), context_size=512) as engine:
        likeliest = [ask_llama(engine, row, 50) for row in rows]
    scores = [logits[-1].log_softmax(dim=-1) for logits in original]
    pairs = [(score[token].item(), value) for score, told in zip(scores, likeliest) for token, value in told.items()]
    assert max(abs(left - right) for left, right in pairs) < predicted
    same = sum(max(told, key=told.get) == score.argmax().item() for score, told in zip(scores, likeliest))
    assert same >= (20 if kind == "f16" else 16)


@pytest.mark.slow
def test_smollm2_writes_the_same_text(smollm2: tuple[Path, Any], tmp_path: Path) -> None:
    folder, model = smollm2
    export_gguf(folder, tmp_path / "out.gguf", "f16")
    tokenizer, texts = transformers.AutoTokenizer.from_pretrained(folder), PROMPTS[:4]
    requests = [Request(text, Prompt(text=text), Sampling(max_new_tokens=16)) for text in texts]
    with open_engine("llama_cpp", model=str(tmp_path / "out.gguf"), context_size=512) as engine:
        found = {completion.id: completion.text for completion in complete(engine, requests)}
    for text in texts:
        ids = tokenizer(text, return_tensors="pt")
        written = model.generate(**ids, max_new_tokens=16, do_sample=False)[0, ids["input_ids"].shape[1] :]
        assert found[text] == tokenizer.decode(written, skip_special_tokens=True)
