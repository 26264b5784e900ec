"""Merging LoRA adapters into small Llama models with random weights, and naming what is wrong with broken ones."""

import json
import shutil
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from sciqag_lib.engines import Prompt, Request, Sampling, complete, open_engine
from sciqag_lib.errors import InputError
from sciqag_lib.training.gguf_export import export_gguf
from sciqag_lib.training.merging import check_adapter, main, merge_adapter

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]
BESIDE = ["embed_tokens", "norm", "input_layernorm", "post_attention_layernorm"]
TEXT = "Water boils at 100 degrees."


def save_base(folder: Path, tied: bool = False, dtype: torch.dtype = torch.float32) -> Path:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=280, special_tokens=["<|begin|>", "<|end|>"], initial_alphabet=alphabet,
                                  show_progress=False)  # fmt: skip
    tokenizer.train_from_iterator([TEXT], trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|begin|>", eos_token="<|end|>")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=320, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=tied, initializer_range=0.1,
        bos_token_id=0, eos_token_id=1, rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 1000.0},
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).to(dtype).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def train_adapter(base: Path, folder: Path, rows: int = 320, **settings: Any) -> torch.Tensor:
    """An adapter whose trainable tensors were all moved, saved; returns the logits of the model that wears it."""
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if rows != 320:
        model.resize_token_embeddings(rows)
    model.config.use_cache = False  # as trainers with gradient checkpointing leave it
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, task_type="CAUSAL_LM", **settings)
    wrapped = peft.get_peft_model(model, config)
    torch.manual_seed(1)
    with torch.no_grad():
        for values in (values for values in wrapped.parameters() if values.requires_grad):
            values.add_(torch.randn_like(values) * 0.1)
    wrapped.eval().save_pretrained(folder)
    return compute_logits(wrapped)


def compute_logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.arange(5, 45)[None]).logits[0]


def load(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto")


@pytest.mark.parametrize("tied, settings", [
    (False, {}),
    (True, {}),
    (False, {"modules_to_save": BESIDE}),
    (False, {"modules_to_save": [*BESIDE, "lm_head"]}),
    (True, {"modules_to_save": BESIDE, "ensure_weight_tying": True}),
    (False, {"trainable_token_indices": [3, 7, 11]}),
    (True, {"trainable_token_indices": [3, 7, 11], "ensure_weight_tying": True}),
    (False, {"use_dora": True}),
])  # fmt: skip
def test_merged_model_equals_the_adapted_one(tmp_path: Path, tied: bool, settings: dict) -> None:
    base = save_base(tmp_path / "base", tied)
    wanted = train_adapter(base, tmp_path / "adapter", **settings)
    assert check_adapter(tmp_path / "adapter") == []
    assert merge_adapter(tmp_path / "adapter", tmp_path / "merged") == tmp_path / "merged"
    merged = load(tmp_path / "merged")
    assert (compute_logits(merged) - wanted).abs().max() < 1e-4
    assert (compute_logits(load(base)) - wanted).abs().max() > 1e-2
    assert merged.config.tie_word_embeddings == tied and merged.config.use_cache
    assert merged.config.rope_parameters["factor"] == 4.0
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "merged").encode(TEXT)
    assert list((tmp_path / "merged").glob("*.safetensors")) and not list(tmp_path.glob(".merged*"))


def test_embeddings_trained_without_their_tie_are_not_lost(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", tied=True)
    wanted = train_adapter(base, tmp_path / "adapter", modules_to_save=BESIDE)
    merged = load(merge_adapter(tmp_path / "adapter", tmp_path / "merged"))
    assert (compute_logits(merged) - wanted).abs().max() < 1e-4
    assert not merged.config.tie_word_embeddings


def test_new_tokens_come_with_the_adapter(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    wanted = train_adapter(base, tmp_path / "adapter", rows=384, modules_to_save=["embed_tokens", "lm_head"])
    merged = load(merge_adapter(tmp_path / "adapter", tmp_path / "merged"))
    assert merged.config.vocab_size == 384
    assert (compute_logits(merged) - wanted).abs().max() < 1e-4


def test_weights_keep_the_type_of_the_base(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", dtype=torch.bfloat16)
    wanted = train_adapter(base, tmp_path / "adapter", modules_to_save=BESIDE)
    merged = load(merge_adapter(tmp_path / "adapter", tmp_path / "merged"))
    assert {values.dtype for values in merged.parameters()} == {torch.bfloat16}
    assert (compute_logits(merged.float()) - wanted).abs().max() < 0.1  # of about 5: 8 bits of precision


def test_positions_saved_beside_the_adapter_win(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    train_adapter(base, tmp_path / "adapter")
    config = transformers.AutoConfig.from_pretrained(base)
    config.rope_parameters, config.max_position_embeddings = config.rope_parameters | {"factor": 8.0}, 128
    config.save_pretrained(tmp_path / "adapter")
    merged = load(merge_adapter(tmp_path / "adapter", tmp_path / "merged"))
    assert merged.config.rope_parameters["factor"] == 8.0 and merged.config.max_position_embeddings == 128


def test_the_tokenizer_of_the_training_wins(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    train_adapter(base, tmp_path / "adapter")
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    tokenizer.pad_token = "<|end|>"
    tokenizer.save_pretrained(tmp_path / "adapter")
    merged = merge_adapter(tmp_path / "adapter", tmp_path / "merged")
    assert transformers.AutoTokenizer.from_pretrained(merged).pad_token == "<|end|>"


def test_another_base_and_a_gguf_file(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    edit_json(base / "config.json", rope_parameters={"rope_type": "default", "rope_theta": 1000.0})
    wanted = train_adapter(base, tmp_path / "adapter")
    export_gguf(base, tmp_path / "base.gguf", "f32")
    shutil.rmtree(base)
    with pytest.raises(InputError, match="its base model: expected.*--base"):
        merge_adapter(tmp_path / "adapter", tmp_path / "merged")
    merged = merge_adapter(tmp_path / "adapter", tmp_path / "merged", str(tmp_path / "base.gguf"))
    assert (compute_logits(load(merged)) - wanted).abs().max() < 1e-4


# What is refused -----------------------------------------------------------------------------------------------------


def edit_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


def edit_tensor(folder: Path, ending: str, change: Any) -> str:
    """Change the first tensor with that ending, or leave it out where `change` is None; returns its name."""
    tensors = {name: values.clone() for name, values in load_file(folder / "adapter_model.safetensors").items()}
    name = sorted(name for name in tensors if name.endswith(ending))[0]
    old = tensors.pop(name)
    if change is not None:
        tensors[name] = change(old)
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    return name


@pytest.mark.parametrize("ending, values, message", [
    ("q_proj.lora_B.weight", torch.zeros_like, "all zeros: not trained, or not gathered"),
    ("q_proj.lora_A.weight", torch.zeros_like, "all zeros"),
    ("k_proj.lora_B.weight", lambda old: old[:, :0].contiguous(), "shape (32, 0) holds no numbers"),
    ("embed_tokens.weight", lambda old: torch.empty(0), "shape (0,) holds no numbers"),
    ("embed_tokens.weight", torch.zeros_like, "all zeros"),
    ("v_proj.lora_A.weight", lambda old: old * float("nan"), "holds NaN or infinity"),
    ("v_proj.lora_A.weight", lambda old: old / 0, "holds NaN or infinity"),
])  # fmt: skip
def test_broken_tensors_are_named(tmp_path: Path, ending: str, values: Any, message: str) -> None:
    base = save_base(tmp_path / "base")
    train_adapter(base, tmp_path / "adapter", modules_to_save=BESIDE)
    name = edit_tensor(tmp_path / "adapter", ending, values)
    (problem,) = check_adapter(tmp_path / "adapter")
    assert problem.startswith(f"{name}: {message}")
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        merge_adapter(tmp_path / "adapter", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_missing_tensors_are_named(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    train_adapter(base, tmp_path / "adapter", modules_to_save=BESIDE)
    left = edit_tensor(tmp_path / "adapter", "q_proj.lora_B.weight", None)
    edit_tensor(tmp_path / "adapter", "embed_tokens.weight", None)
    half, module = check_adapter(tmp_path / "adapter")
    assert half == f"{left.replace('lora_B', 'lora_A')}: its lora_B is missing"
    assert "modules_to_save names embed_tokens, but no tensor of it was saved" in module


def test_an_untrained_adapter_is_refused_in_few_lines(tmp_path: Path) -> None:
    model = load(save_base(tmp_path / "base"))
    peft.get_peft_model(model, peft.LoraConfig(target_modules=TARGETS)).save_pretrained(tmp_path / "adapter")
    assert len(check_adapter(tmp_path / "adapter")) == 8
    with pytest.raises(InputError) as caught:
        merge_adapter(tmp_path / "adapter", tmp_path / "merged")
    assert len(str(caught.value).splitlines()) == 7 and str(caught.value).endswith("and 3 more")


def test_broken_folders_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    assert "adapter_config.json: expected a LoRA adapter's settings" in check_adapter(folder)[0]
    train_adapter(save_base(tmp_path / "base"), folder)
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "found a torn one" in check_adapter(folder)[0]
    weights.unlink()
    assert check_adapter(folder) == [f"{weights}: expected the adapter's tensors, found no such file"]
    edit_json(folder / "adapter_config.json", peft_type="IA3")
    assert "peft_type: expected LORA, found 'IA3'" in check_adapter(folder)[0]
    (folder / "adapter_config.json").write_text("{", encoding="utf-8")
    assert "expected JSON, found a broken file" in check_adapter(folder)[0]


def test_an_adapter_of_another_model_is_refused(tmp_path: Path) -> None:
    train_adapter(save_base(tmp_path / "base"), tmp_path / "adapter")
    config = transformers.LlamaConfig(vocab_size=320, hidden_size=32, intermediate_size=96, num_hidden_layers=2,
                                      num_attention_heads=4)  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "base")
    with pytest.raises(InputError, match="(?s)does not fit it: .*size mismatch"):
        merge_adapter(tmp_path / "adapter", tmp_path / "merged")
    assert not list(tmp_path.glob("*merged*"))


def test_an_output_in_use_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_adapter(save_base(tmp_path / "base"), tmp_path / "adapter")
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged/notes.txt").write_text("mine", encoding="utf-8")
    assert main([str(tmp_path / "adapter"), str(tmp_path / "merged")]) == 2
    assert "expected a new or empty folder" in capsys.readouterr().err
    assert [file.name for file in (tmp_path / "merged").iterdir()] == ["notes.txt"]
    (tmp_path / "merged/notes.txt").unlink()
    assert main([str(tmp_path / "adapter"), str(tmp_path / "merged")]) == 0
    assert load(tmp_path / "merged")


def test_a_failed_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_adapter(save_base(tmp_path / "base"), tmp_path / "adapter")

    def fail(self: Any, folder: Path) -> None:
        raise OSError(28, "No space left on device", str(folder))

    monkeypatch.setattr(transformers.PreTrainedTokenizerFast, "save_pretrained", fail)
    assert main([str(tmp_path / "adapter"), str(tmp_path / "merged")]) == 2
    assert not list(tmp_path.glob("*merged*"))


# All the way round ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [False, True])
def test_trained_weights_reach_both_engines(tmp_path: Path, tied: bool) -> None:
    base = save_base(tmp_path / "base", tied)
    train_adapter(base, tmp_path / "adapter", modules_to_save=BESIDE, ensure_weight_tying=tied)
    assert main([str(tmp_path / "adapter"), str(tmp_path / "merged")]) == 0
    export_gguf(tmp_path / "merged", tmp_path / "merged.gguf", "f32")
    model, tokenizer = load(tmp_path / "merged"), transformers.AutoTokenizer.from_pretrained(tmp_path / "merged")
    ids = tokenizer(TEXT, return_tensors="pt")
    written = model.generate(**ids, max_new_tokens=8, do_sample=False, pad_token_id=1)[0, ids["input_ids"].shape[1] :]
    wanted = tokenizer.decode(written, skip_special_tokens=True)
    request = Request("a", Prompt(text=TEXT), Sampling(max_new_tokens=8))
    for engine_name, path in (("transformers", "merged"), ("llama_cpp", "merged.gguf")):
        with open_engine(engine_name, model=str(tmp_path / path), context_size=256) as engine:
            (completion,) = complete(engine, [request])
        assert completion.error == "" and completion.text == wanted != "", engine_name
