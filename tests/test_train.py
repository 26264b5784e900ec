"""train.py on one process: what it writes, how it goes on after a stop, and what it refuses."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import transformers
from datasets import Dataset
from tiny_llama import write_examples, write_model
from transformers import AutoModelForCausalLM, AutoTokenizer

import train
from sciqag_lib.errors import InputError
from sciqag_lib.training import checkpoints
from sciqag_lib.training.arguments import parse_arguments
from sciqag_lib.training.monitor import format_line, read_log
from sciqag_lib.training.trainer import GeneratorTrainer

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = {
    "prompt_form": "alpaca",
    "model_max_length": 256,
    "max_steps": 6,
    "per_device_train_batch_size": 2,
    "learning_rate": 1.0e-2,
    "logging_steps": 1,
    "save_steps": 2,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIQAG_RUNS", str(tmp_path / "runs"))


def make_argv(model: Path, folder: Path, **changes) -> list[str]:
    data = folder / "train.jsonl"
    if not data.exists():
        write_examples(data)
    values = {"model_name_or_path": model, "data_path": data, "output_dir": folder / "out", **SETTINGS, **changes}
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def run_here(model: Path, folder: Path, **changes) -> list[dict]:
    """Train in this process; the lines of the log."""
    train.train(parse_arguments(make_argv(model, folder, **changes)))
    return read_log(Path(changes.get("output_dir", folder / "out")) / "log.jsonl")


def list_losses(lines: list[dict]) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


# What comes out ------------------------------------------------------------------------------------------------------


def test_run_learns_and_every_save_loads(model, tmp_path, capsys):
    valid = write_examples(tmp_path / "valid.jsonl", 3, seed=1)
    lines = run_here(model, tmp_path, eval_data_path=valid, save_total_limit=2)
    out = tmp_path / "out"
    assert [path.name for path in sorted(out.glob("checkpoint-*"))] == ["checkpoint-4", "checkpoint-6"]
    losses = list_losses(lines)
    assert sorted(losses) == [1, 2, 3, 4, 5, 6] and losses[6] < losses[1] - 0.5
    for folder in (out, out / "checkpoint-4", out / "checkpoint-6"):
        loaded = AutoModelForCausalLM.from_pretrained(folder)
        assert loaded.config.use_cache is True
        assert AutoTokenizer.from_pretrained(folder).eos_token == "</s>"
    first, last = [line["eval_loss"] for line in lines if "eval_loss" in line]
    assert last < first
    assert (out / "figures" / "loss.png").stat().st_size > 5000
    assert json.loads((out / "finished.json").read_text())["eval_loss"] == last
    text = capsys.readouterr().out
    for word in (
        "43,168 of them trained",
        "100.00%",
        "sdpa",
        "examples: 16",
        "6 steps of 2 rows",
        "estimated memory per process",
        "tokens/s",
        " left",
    ):
        assert word in text, word
    assert not (out / ".saving").exists()


def measure_loss(loaded, folder: Path, number: int) -> float:
    """Nats per answer token over the run's cached file of `number` examples, one by one."""
    caches = (folder / "runs" / "cache" / "tokens").glob("*.arrow")
    datasets = [Dataset.from_file(str(path)).with_format("numpy") for path in caches]
    dataset = next(dataset for dataset in datasets if len(dataset) == number)
    total = tokens = 0
    for item in (dataset[index] for index in range(number)):
        ids, labels = torch.tensor(item["input_ids"])[None], torch.tensor(item["labels"])
        scores = loaded.eval()(ids).logits[0, :-1].detach().log_softmax(-1)
        wanted = labels[1:] != -100
        total -= float(scores[wanted, labels[1:][wanted]].sum())
        tokens += int(wanted.sum())
    return total / tokens


def test_validation_loss_is_the_mean_over_answer_tokens(model, tmp_path):
    valid = write_examples(tmp_path / "valid.jsonl", 5, seed=1)
    lines = run_here(model, tmp_path, eval_data_path=valid, per_device_eval_batch_size=2, max_steps=1)
    measured = [line["eval_loss"] for line in lines if "eval_loss" in line][-1]
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert measure_loss(loaded, tmp_path, 5) == pytest.approx(measured, abs=1e-5)


@pytest.mark.parametrize("eval_batch", [1, 2])
def test_packed_run_goes_over_all_tokens(model, tmp_path, eval_batch, capsys):
    valid = write_examples(tmp_path / "valid.jsonl", 3, seed=1)
    lines = run_here(
        model,
        tmp_path,
        packing=True,
        per_device_train_batch_size=1,
        max_steps=-1,
        num_train_epochs=1,
        save_strategy="no",
        eval_data_path=valid,
        per_device_eval_batch_size=eval_batch,
    )
    text = capsys.readouterr().out
    examples = next(line for line in text.splitlines() if line.startswith("examples: 16"))
    assert f"{lines[-2]['tokens']:,} tokens" in examples  # the last training line before the last evaluation
    assert "segments" in text and "none padded" in text


def test_packing_does_not_move_the_validation_loss(model, tmp_path):
    valid = write_examples(tmp_path / "valid.jsonl", 5, seed=1)
    losses = [
        next(
            line["eval_loss"]
            for line in run_here(
                model,
                tmp_path,
                packing=packing,
                max_steps=1,
                eval_data_path=valid,
                output_dir=tmp_path / f"out{packing}",
                per_device_eval_batch_size=3,
            )
        )
        for packing in (True, False)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_tensorboard_on_request(model, tmp_path):
    run_here(model, tmp_path, max_steps=1, report_to="tensorboard")
    assert list((tmp_path / "out").rglob("events.out.tfevents.*"))


def test_finished_run_is_left_alone(model, tmp_path, capsys):
    run_here(model, tmp_path, max_steps=1)
    before = (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns
    run_here(model, tmp_path, max_steps=1)
    assert "this run is finished" in capsys.readouterr().out
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("tied", [True, False])
def test_lora_adapter_is_checked_and_gives_the_same_loss(tmp_path, tied):
    import peft

    base = write_model(tmp_path / "base", tie_word_embeddings=tied)
    valid = write_examples(tmp_path / "valid.jsonl", 4, seed=1)
    lines = run_here(base, tmp_path, method="lora", lora_r=4, eval_data_path=valid)
    out = tmp_path / "out"
    assert not (out / "model.safetensors").exists()
    loaded = peft.AutoPeftModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    names = [name for name, weight in loaded.named_parameters() if "lora_B" in name and not weight.any()]
    assert names == []
    assert measure_loss(loaded, tmp_path, 4) == pytest.approx(lines[-1]["eval_loss"], abs=1e-4)
    base_weights = AutoModelForCausalLM.from_pretrained(base)
    embedding = loaded.get_base_model().get_input_embeddings().weight
    assert not torch.equal(embedding, base_weights.get_input_embeddings().weight)  # trained beside LoRA, and saved
    if tied:
        assert embedding.data_ptr() == loaded.get_base_model().get_output_embeddings().weight.data_ptr()


def test_round_trip_from_training_to_both_engines(model, tmp_path):
    """train.py -> merge -> GGUF -> engines: the same greedy text in both."""
    from sciqag_lib.engines import Prompt, Request, Sampling, complete, open_engine
    from sciqag_lib.training.gguf_export import export_gguf
    from sciqag_lib.training.merging import merge_adapter

    pytest.importorskip("xllamacpp")
    run_here(model, tmp_path, method="lora", learning_rate=0.05, max_steps=20)
    merge_adapter(tmp_path / "out", tmp_path / "merged")
    export_gguf(tmp_path / "merged", tmp_path / "model.gguf", "f32")
    request = Request("r", Prompt(text="the paper shows"), Sampling(max_new_tokens=12, temperature=0.0))
    texts = []
    for name, source in (("transformers", tmp_path / "merged"), ("llama_cpp", tmp_path / "model.gguf")):
        with open_engine(name, str(source), context_size=256) as engine:
            texts += [completion.text for completion in complete(engine, [request])]
    assert texts[0] == texts[1] and texts[0].strip()


def test_longer_examples_stretch_the_positions(model, tmp_path, capsys):
    run_here(model, tmp_path, model_max_length=600, max_steps=1)
    config = transformers.AutoConfig.from_pretrained(tmp_path / "out")
    assert config.rope_parameters["rope_type"] == "linear" and config.rope_parameters["factor"] == 3
    assert "256 stretched to 768" in capsys.readouterr().out


def test_stretched_adapter_says_so_to_whoever_loads_it(model, tmp_path):
    import peft

    run_here(model, tmp_path, model_max_length=600, max_steps=1, method="lora")
    loaded = peft.AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out")
    assert loaded.config.rope_parameters["factor"] == 3


# Stopped and taken up again ------------------------------------------------------------------------------------------


class Stop(Exception):
    pass


@pytest.fixture
def whole(model, tmp_path) -> dict[int, float]:
    """The losses of a run that nothing disturbs."""
    return list_losses(run_here(model, tmp_path, output_dir=tmp_path / "whole"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"packing": True, "per_device_train_batch_size": 1},
        {"method": "lora", "lora_dropout": 0.1},
    ],
)
def test_run_goes_on_as_if_nothing_had_happened(model, tmp_path, monkeypatch, capsys, changes):
    undisturbed = list_losses(run_here(model, tmp_path, output_dir=tmp_path / "whole", **changes))
    step = GeneratorTrainer.training_step
    counts = [0]

    def stop_at_fourth(self, *args, **kwargs):
        counts[0] += 1
        if counts[0] == 4:
            raise Stop
        return step(self, *args, **kwargs)

    monkeypatch.setattr(GeneratorTrainer, "training_step", stop_at_fourth)
    with pytest.raises(Stop):
        run_here(model, tmp_path, **changes)
    assert sorted(list_losses(read_log(tmp_path / "out" / "log.jsonl"))) == [1, 2, 3]
    losses = list_losses(run_here(model, tmp_path, **changes))
    assert "resuming from checkpoint-2" in capsys.readouterr().out
    assert losses == pytest.approx(undisturbed, abs=1e-5) and len(losses) == 6
    seen = [line["tokens"] for line in read_log(tmp_path / "out" / "log.jsonl")]
    assert seen == [line["tokens"] for line in read_log(tmp_path / "whole" / "log.jsonl")]


def test_run_killed_just_before_its_end_takes_no_further_step(model, tmp_path, capsys):
    run_here(model, tmp_path)
    weights = (tmp_path / "out" / "model.safetensors").read_bytes()
    (tmp_path / "out" / "finished.json").unlink()
    assert len(list_losses(run_here(model, tmp_path))) == 6
    assert "resuming from checkpoint-6" in capsys.readouterr().out
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == weights


def test_settings_of_saving_may_change_on_the_way(model, tmp_path):
    run_here(model, tmp_path)
    for path in (tmp_path / "out").glob("checkpoint-[46]"):
        shutil.rmtree(path)
    (tmp_path / "out" / "finished.json").unlink()
    lines = run_here(model, tmp_path, save_steps=1, logging_steps=2)
    assert sorted(list_losses(lines)) == [1, 2, 4, 6]
    assert len(list((tmp_path / "out").glob("checkpoint-*"))) == 5


def test_first_save_may_come_before_the_first_update(model, tmp_path):
    run_here(model, tmp_path, method="lora", save_steps=1, warmup_steps=3)


def test_best_checkpoint_is_loaded_in_the_end(model, tmp_path):
    valid = write_examples(tmp_path / "valid.jsonl", 3, seed=1)
    lines = run_here(
        model,
        tmp_path,
        eval_data_path=valid,
        eval_strategy="steps",
        eval_steps=2,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=True,
    )
    worst = max((line["eval_loss"], line["step"]) for line in lines if "eval_loss" in line and line["step"])
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert measure_loss(loaded, tmp_path, 3) == pytest.approx(worst[0], abs=1e-5)


@pytest.mark.parametrize("stopped_in", ["_save_rng_state", "_save_optimizer_and_scheduler", "save_model"])
def test_half_written_checkpoint_is_never_taken(model, tmp_path, monkeypatch, whole, stopped_in):
    counts = [0]
    save = getattr(GeneratorTrainer, stopped_in)

    def die_in_the_second(self, output_dir=None, *args, **kwargs):
        counts[0] += 1
        if counts[0] == 2:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            (Path(output_dir) / "model.safetensors").write_bytes(b"half")
            raise KeyboardInterrupt  # as a kill, it clears nothing away
        return save(self, output_dir, *args, **kwargs)

    monkeypatch.setattr(GeneratorTrainer, stopped_in, die_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        run_here(model, tmp_path)
    assert (tmp_path / "out" / ".saving" / "checkpoint-4" / "model.safetensors").exists()
    assert checkpoints.find_last_checkpoint(tmp_path / "out").name == "checkpoint-2"
    monkeypatch.undo()
    assert list_losses(run_here(model, tmp_path)) == pytest.approx(whole, abs=1e-5)


def test_full_disk_leaves_the_last_checkpoint(model, tmp_path, monkeypatch):
    counts, save = [0], GeneratorTrainer._save_optimizer_and_scheduler

    def fill(self, output_dir):
        counts[0] += 1
        if counts[0] == 2:
            raise OSError(28, os.strerror(28), f"{output_dir}/optimizer.pt")
        return save(self, output_dir)

    monkeypatch.setattr(GeneratorTrainer, "_save_optimizer_and_scheduler", fill)
    with pytest.raises(
        InputError, match="checkpoint-4 could not be written: .*No space left.*checkpoint-2 is complete; free"
    ):
        run_here(model, tmp_path)
    assert not (tmp_path / "out" / ".saving").exists()
    AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "checkpoint-2")


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["step", "save"])
def test_killed_process_goes_on(model, tmp_path, moment):
    settings = {"max_steps": 40, "save_steps": 5}
    command = [sys.executable, str(ROOT / "train.py"), *make_argv(model, tmp_path, **settings)]
    environment = os.environ | {"SCIQAG_RUNS": str(tmp_path / "runs"), "OMP_NUM_THREADS": "1"}
    out, log = tmp_path / "out", tmp_path / "log.txt"
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)
        is_time = {
            "step": lambda: len(read_log(out / "log.jsonl")) >= 13,
            "save": lambda: any((out / ".saving").glob("checkpoint-1*")),
        }[moment]
        deadline = time.monotonic() + 180
        while not is_time():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (out / "finished.json").exists()
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0 and "resuming from checkpoint-" in result.stdout, result.stderr
    whole = list_losses(run_here(model, tmp_path, output_dir=tmp_path / "whole", **settings))
    assert list_losses(read_log(out / "log.jsonl")) == pytest.approx(whole, abs=1e-5)


# Refused -------------------------------------------------------------------------------------------------------------


def test_folder_of_another_run_is_refused(model, tmp_path):
    run_here(model, tmp_path, max_steps=1)
    with pytest.raises(InputError, match=r"another run, which differs in\n  learning_rate: there 0.01, here 0.5"):
        run_here(model, tmp_path, max_steps=1, learning_rate=0.5)


def test_other_data_under_the_same_name_are_another_run(model, tmp_path):
    run_here(model, tmp_path, max_steps=1)
    write_examples(tmp_path / "train.jsonl", seed=9)
    with pytest.raises(InputError, match="data_path"):
        run_here(model, tmp_path, max_steps=1)


def test_folder_with_other_things_is_refused(model, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="thesis.tex"):
        run_here(model, tmp_path)
    assert os.listdir(tmp_path / "out") == ["thesis.tex"]


def test_saving_and_logging_may_change(model, tmp_path):
    run_here(model, tmp_path, max_steps=1)
    run_here(model, tmp_path, max_steps=1, logging_steps=5, save_total_limit=1)


def test_run_that_cannot_fit_is_refused_before_anything_is_loaded(tmp_path, monkeypatch):
    from sciqag_lib.training import summary

    base = write_model(tmp_path / "base")
    (base / "model.safetensors").unlink()
    monkeypatch.setattr(summary, "measure_host", lambda: 1_000_000)
    with pytest.raises(InputError, match=r"this run cannot fit: a process has 0.0 GB of memory"):
        run_here(base, tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "it is empty"),
        ('{"instruction": "a", "input": "b"}\n', "output"),
        ('{"instruction": "a", "inp', "line 1"),
    ],
)
def test_unusable_data_are_named(model, tmp_path, content, expected):
    (tmp_path / "train.jsonl").write_text(content)
    with pytest.raises(InputError, match=expected):
        run_here(model, tmp_path)


def test_model_without_weights_is_named(tmp_path):
    from safetensors.torch import load_file, save_file

    base = write_model(tmp_path / "base")
    weights = load_file(base / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="found none for 1 of them .model.layers.1.mlp.up_proj.weight"):
        run_here(base, tmp_path)


def test_missing_model_is_named(tmp_path):
    with pytest.raises(InputError, match="model_name_or_path: .*there is no ./nowhere"):
        run_here("./nowhere", tmp_path)
    with pytest.raises(InputError, match="model_name_or_path: expected a folder .* found 'nowhere'"):
        run_here("nowhere", tmp_path)


def test_missing_chat_template_is_named(model, tmp_path):
    with pytest.raises(InputError, match="chat template"):
        run_here(model, tmp_path, prompt_form="chat")


def test_qlora_and_fp16_need_a_gpu(model, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(InputError, match="fp16: needs a GPU"):
        run_here(model, tmp_path, fp16=True)
    with pytest.raises(InputError, match="method qlora: needs a GPU"):
        run_here(model, tmp_path, method="qlora", bf16=True, output_dir=tmp_path / "out2")


def test_refused_run_leaves_the_folder_free(model, tmp_path):
    with pytest.raises(InputError, match="qlora"):
        run_here(model, tmp_path, method="qlora", bf16=True)
    run_here(model, tmp_path, method="lora", max_steps=1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"eval_strategy": "steps"}, "eval_strategy steps: expected eval_data_path"),
        ({"save_only_model": True}, "save_only_model: such a checkpoint cannot be resumed"),
        ({"method": "lora", "trainable_params": "embd,norm"}, "no module of this model has embd in its name"),
        ({"load_best_model_at_end": True}, "invalid training settings: .*strategy"),
    ],
)
def test_settings_that_cannot_be_are_named(model, tmp_path, changes, expected):
    with pytest.raises(InputError, match=expected):
        run_here(model, tmp_path, **changes)


def test_unknown_lora_target_is_named(model, tmp_path):
    with pytest.raises(InputError, match="no wqkv; its linear layers are .*q_proj"):
        run_here(model, tmp_path, method="lora", lora_targets="wqkv,q_proj")


def test_exploding_loss_stops_the_run(model, tmp_path, monkeypatch):
    step = GeneratorTrainer.training_step
    monkeypatch.setattr(GeneratorTrainer, "training_step", lambda self, *args: step(self, *args) * float("nan"))
    with pytest.raises(InputError, match="the loss is nan; give a lower learning_rate"):
        run_here(model, tmp_path, save_strategy="no")


def test_errors_are_one_line_and_a_status(model, tmp_path):
    command = [sys.executable, str(ROOT / "train.py"), *make_argv(model, tmp_path, learning_rat=1)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert "train.py: unknown setting 'learning_rat'; did you mean 'learning_rate'?" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_lists_the_flags():
    result = subprocess.run([sys.executable, str(ROOT / "train.py"), "--help"], capture_output=True, text=True)
    assert result.returncode == 0 and "--model_max_length" in result.stdout


def test_train_is_thin():
    assert len((ROOT / "train.py").read_text().splitlines()) <= 150


def test_seconds_are_written_as_a_clock():
    line = {"step": 1, "tokens": 1, "tokens_per_second": 1.0, "seconds_left": 3725.4, "memory_gb": 0.5}
    assert format_line(line, 2).endswith(", 1:02:05 left")
