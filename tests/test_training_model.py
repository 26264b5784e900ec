"""The model of a run: positions, weights from GGUF, enlarged embeddings, LoRA; and what its memory is estimated at."""

import json

import pytest
import torch
from tiny_llama import make_tokenizer, write_model
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from sciqag_lib.engines.loading import count_positions, scale_positions
from sciqag_lib.errors import InputError
from sciqag_lib.training import machine, model, summary
from sciqag_lib.training.arguments import RunArguments
from sciqag_lib.training.monitor import Monitor, draw_loss, read_log
from sciqag_lib.training.run_data import choose_packing, download_data, find_data

VICUNA = {"max_position_embeddings": 4096, "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}}


# Positions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("settings", "positions"), [
    ({"max_position_embeddings": 2048}, 2048),
    (VICUNA, 16384),
    ({"max_position_embeddings": 131072, "rope_parameters": {
        "rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "rope_theta": 5e5}}, 131072),
    ({"max_position_embeddings": 32768, "rope_parameters": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768, "rope_theta": 1e6}}, 131072),
])  # fmt: skip
def test_positions_count_what_they_were_stretched_to(settings, positions):
    assert count_positions(LlamaConfig(**settings)) == positions


@pytest.mark.parametrize(("length", "factor"), [(4096, None), (4097, 2), (12288, 3), (12289, 4)])
def test_linear_scaling_is_the_published_ceiling(length, factor):
    config = LlamaConfig(max_position_embeddings=4096)
    said = scale_positions(config, length)
    if factor is None:
        assert said == "" and config.rope_parameters["rope_type"] == "default"
    else:
        assert config.rope_parameters["rope_type"] == "linear" and config.rope_parameters["factor"] == factor
        assert count_positions(config) == factor * 4096 >= length


def test_published_model_needs_no_more_than_it_has():
    config = LlamaConfig(**VICUNA)
    assert scale_positions(config, 12288) == "" and config.rope_parameters["factor"] == 4.0
    assert "stretched to 20,480" in scale_positions(config, 16385)  # 5 x 4,096, not 2 x 4,096


@pytest.mark.parametrize(("scaling", "parameters"), [
    ("dynamic", {}), ("yarn", {}), ("llama3", {"low_freq_factor": 1.0, "high_freq_factor": 4.0}),
    ("longrope", {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4}),
])  # fmt: skip
def test_other_scalings_run_and_are_saved(tmp_path, scaling, parameters):
    config = LlamaConfig(vocab_size=50, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
                         num_attention_heads=4, max_position_embeddings=64)  # fmt: skip
    scale_positions(config, 100, scaling, None, parameters)
    assert count_positions(config) == 128
    torch.manual_seed(0)
    made = AutoModelForCausalLM.from_config(config)
    made.save_pretrained(tmp_path)
    ids = torch.arange(100)[None] % 50
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(made(ids).logits, again(ids).logits)
    plain = LlamaConfig(**{**config.to_dict(), "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}})
    unscaled = AutoModelForCausalLM.from_config(plain)
    unscaled.load_state_dict(made.state_dict())
    assert not torch.allclose(unscaled(ids).logits, made(ids).logits, atol=1e-4)


def test_what_cannot_be_stretched_is_refused():
    with pytest.raises(InputError, match="rope_factor 1.5: 100 positions become 150, too few .* at least 2"):
        scale_positions(LlamaConfig(max_position_embeddings=100), 200, factor=1.5)
    with pytest.raises(InputError, match="expected 'low_freq_factor' in rope_parameters"):
        scale_positions(LlamaConfig(max_position_embeddings=100), 200, "llama3")
    llama3 = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 100, "rope_theta": 1e4}
    with pytest.raises(InputError, match=r"stretched already \(yarn\)"):
        scale_positions(LlamaConfig(max_position_embeddings=200, rope_parameters=llama3), 300)


# Sources -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
def test_tokens_that_have_no_row_get_the_mean_of_the_others(tmp_path, tied):
    base = write_model(tmp_path / "base", vocab_size=len(make_tokenizer()), tie_word_embeddings=tied)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["<q>", "<a>"])
    tokenizer.save_pretrained(base)
    folder = model.prepare_source(RunArguments(str(base)), tmp_path / "cache")
    grown, old = AutoModelForCausalLM.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(base)
    rows = old.get_input_embeddings().weight.shape[0]
    for layer, before in ((grown.get_input_embeddings(), old.get_input_embeddings()),
                          (grown.get_output_embeddings(), old.get_output_embeddings())):  # fmt: skip
        assert layer.weight.shape[0] % 64 == 0 and layer.weight.shape[0] >= len(tokenizer)
        torch.testing.assert_close(layer.weight[:rows], before.weight)
        torch.testing.assert_close(layer.weight[rows:], before.weight.mean(0).expand(layer.weight.shape[0] - rows, -1))
    assert model.prepare_source(RunArguments(str(base)), tmp_path / "cache") == folder
    assert len(list((tmp_path / "cache").glob("enlarged-*[!k]"))) == 1


def test_fitting_model_is_used_as_it_is(tmp_path):
    base = write_model(tmp_path / "base")
    assert model.prepare_source(RunArguments(str(base)), tmp_path / "cache") == str(base)


def test_wrongly_loaded_weight_is_noticed(tmp_path):
    base = write_model(tmp_path / "base")
    loaded = AutoModelForCausalLM.from_pretrained(base)
    model.compare_with_file(loaded, str(base))
    with torch.no_grad():
        for weight in loaded.parameters():
            weight.add_(1)
    with pytest.raises(RuntimeError, match="the loaded weight is not the one in"):
        model.compare_with_file(loaded, str(base))


def test_padding_is_a_token_that_is_there(tmp_path):
    base = write_model(tmp_path / "base")
    assert model.open_tokenizer(str(base)).pad_token == "<unk>"


def test_modules_trained_whole_are_those_named(tmp_path):
    loaded = AutoModelForCausalLM.from_pretrained(write_model(tmp_path / "base"))
    assert model.list_whole_modules(loaded, ["embed", "norm"]) == [
        "embed_tokens",
        "input_layernorm",
        "norm",
        "post_attention_layernorm",
    ]
    assert model.list_whole_modules(loaded, []) == []


@pytest.mark.parametrize(("attention", "flash", "packing", "expected"), [
    ("full", True, False, "sdpa"), ("full", True, True, "segments"), ("s2", True, True, "s2"),
    ("full", False, False, "sdpa"),
])  # fmt: skip
def test_attention_without_a_gpu(attention, flash, packing, expected):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    name, reason = model.choose_attention(RunArguments("m", attention=attention, use_flash_attn=flash), packing)
    assert name == expected and ("flash_attention_2 needs a GPU" in reason) == flash


# Data ----------------------------------------------------------------------------------------------------------------


def test_packing_is_chosen_where_rows_are_filled_by_several():
    import numpy as np

    assert choose_packing(np.array([100] * 40), 4096) is True
    assert choose_packing(np.array([3000] * 40), 4096) is False


def test_files_of_other_runs_are_not_taken_for_this_ones(tmp_path, monkeypatch):
    for folder in ("here/runs/a", "there/a"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "train.json").touch()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("SCIQAG_RUNS", str(tmp_path / "there"))
    assert find_data("runs/a/train.json").resolve() == tmp_path / "there" / "a" / "train.json"
    assert model.find_source("runs/a") == str(tmp_path / "there" / "a")
    (tmp_path / "here" / "mine.json").touch()
    assert find_data("mine.json").resolve() == tmp_path / "here" / "mine.json"


def test_dataset_is_fetched_once_by_its_name(tmp_path, monkeypatch):
    source = tmp_path / "set"
    source.mkdir()
    record = {"instruction": "é", "input": "b", "output": "c"}
    (source / "train.jsonl").write_text(json.dumps(record) + "\n")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hub"))
    run = RunArguments("m", dataset_name=str(source), cache_dir=str(tmp_path / "hub"))
    path = download_data(run, tmp_path / "cache")
    assert [json.loads(line) for line in path.read_text().splitlines()] == [record]
    (source / "train.jsonl").unlink()
    assert download_data(run, tmp_path / "cache") == path
    with pytest.raises(InputError, match="dataset_name: expected a dataset .* found 'no/such'"):
        download_data(RunArguments("m", dataset_name="no/such", cache_dir=str(tmp_path / "hub")), tmp_path / "cache")


# Memory --------------------------------------------------------------------------------------------------------------

SIZE = summary.ModelSize(weights=1000, trained=1000, layers=2, hidden=8, vocabulary=50)


@pytest.mark.parametrize(("trainer", "processes", "states"), [
    ({}, 1, 1000 * 4 + 1000 * 4 + 1000 * 8),
    ({"bf16": True, "deepspeed": {"zero_optimization": {"stage": 2}}}, 2, 2000 + 1000 + 6000),
    # stage 3 halves the weights too, and gathers two of two layers and the embedding
    ({"bf16": True, "deepspeed": {"zero_optimization": {"stage": 3}}}, 2, 1000 + 1000 + 6000 + (1000 + 400) * 2),
])  # fmt: skip
def test_states_are_counted_by_stage(monkeypatch, trainer, processes, states):
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    assert summary.estimate_memory(SIZE, RunArguments("m"), trainer, 0).device_states == states


def test_activations_grow_with_tokens_and_shrink_with_checkpointing():
    def estimate(tokens, **trainer):
        return summary.estimate_memory(SIZE, RunArguments("m"), trainer, tokens).activations

    assert estimate(100) == 2 * 17 * 4 * 100 * 8 + 100 * 50 * 8
    assert estimate(200) == 2 * estimate(100)
    assert estimate(100, activation_checkpointing=True) == (2 * 4 + 17 * 4) * 100 * 8 + 100 * 50 * 8


def test_size_is_counted_without_weights(tmp_path):
    base = write_model(tmp_path / "base")
    loaded = AutoModelForCausalLM.from_pretrained(base)
    (base / "model.safetensors").unlink()
    size = summary.measure_model(model.open_config(str(base)), RunArguments(str(base)), {})
    assert size.weights == size.trained == loaded.num_parameters()
    lora = RunArguments(str(base), method="lora", lora_r=4, lora_targets=["q_proj"], trainable_params=[])
    assert summary.measure_model(model.open_config(str(base)), lora, {}).trained == 2 * 4 * (32 + 32)


def test_doubtful_run_is_said_and_impossible_one_refused(monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("measures the GPU")
    monkeypatch.setattr(summary, "measure_host", lambda: 1000)
    assert summary.refuse_too_large(summary.MemoryEstimate(500, 0, 400)) == []
    assert "may not fit" in summary.refuse_too_large(summary.MemoryEstimate(500, 0, 600))[0]
    with pytest.raises(InputError, match="cannot fit"):
        summary.refuse_too_large(summary.MemoryEstimate(500, 0, 1100))


# Machine, log --------------------------------------------------------------------------------------------------------


def test_lock_of_a_killed_build_is_not_waited_for(tmp_path, monkeypatch):
    built = []

    class Builder:
        name = "cpu_adam"

        def is_compatible(self):
            return True

        def load(self, verbose):
            assert not (tmp_path / "cpu_adam" / "lock").exists()
            built.append(self.name)

    import deepspeed.ops.op_builder
    import deepspeed.ops.op_builder.cpu.comm

    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    monkeypatch.setattr(deepspeed.ops.op_builder, "CPUAdamBuilder", Builder)
    monkeypatch.setattr(deepspeed.ops.op_builder.cpu.comm, "ShareMemCommBuilder", Builder)
    (tmp_path / "cpu_adam").mkdir()
    (tmp_path / "cpu_adam" / "lock").touch()
    machine.build_operators({"zero_optimization": {"offload_optimizer": {"device": "cpu"}}})
    assert built[0] == "cpu_adam"


def test_log_of_a_killed_run_is_cut_at_its_checkpoint(tmp_path):
    lines = [{"step": step, "loss": 1.0, "seconds": float(step)} for step in (1, 2, 3)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 4, "lo')
    Monitor(tmp_path, 2)
    assert read_log(tmp_path / "log.jsonl") == lines[:2]


def test_log_that_was_changed_by_hand_is_named(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1\n{"step": 2}\n')
    with pytest.raises(InputError, match="line 1: expected JSON"):
        read_log(tmp_path / "log.jsonl")


def test_running_mean_and_figure():
    lines = [{"step": step, "loss": 5 - step / 50} for step in range(1, 101)] + [{"step": 100, "eval_loss": 3.5}]
    axes = draw_loss(lines).axes[0]
    assert (
        len(axes.lines) == 3
        and axes.lines[1].get_ydata()[[0, 1]].tolist() == pytest.approx([4.98, 4.97])
        and axes.lines[2].get_ydata()[0] == 3.5
    )
    assert "nats" in axes.get_ylabel()
