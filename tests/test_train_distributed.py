"""train.py under torchrun: DeepSpeed's stages on CPU, two machines, a process that dies."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_llama import write_examples, write_model
from transformers import AutoModelForCausalLM

from sciqag_lib.training.monitor import read_log

ROOT = Path(__file__).resolve().parents[1]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, 16 examples and a validation file."""
    folder = tmp_path_factory.mktemp("distributed")
    write_model(folder / "model")
    write_examples(folder / "train.jsonl")
    write_examples(folder / "valid.jsonl", 5, seed=1)
    return folder


def make_command(folder: Path, out: str, processes: int = 2, launcher: tuple[str, ...] = (), **changes) -> list[str]:
    values = {
        "model_name_or_path": folder / "model",
        "data_path": folder / "train.jsonl",
        "output_dir": folder / out,
        "eval_data_path": folder / "valid.jsonl",
        "prompt_form": "alpaca",
        "model_max_length": 256,
        "max_steps": 4,
        "per_device_train_batch_size": 2,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_steps": 2,
        **changes,
    }
    flags = [word for name, value in values.items() if value is not None for word in (f"--{name}", str(value))]
    launch = (
        [*TORCHRUN, *(launcher or ("--standalone", f"--nproc_per_node={processes}"))]
        if processes > 1
        else [sys.executable]
    )
    return [*launch, str(ROOT / "train.py"), *flags]


def make_environment(folder: Path) -> dict[str, str]:
    return os.environ | {"SCIQAG_RUNS": str(folder / "runs"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def run(folder: Path, out: str, processes: int = 2, **changes) -> str:
    result = subprocess.run(
        make_command(folder, out, processes, **changes),
        cwd=folder,
        env=make_environment(folder),
        capture_output=True,
        text=True,
        timeout=560,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    return result.stdout


def list_losses(folder: Path, out: str) -> list[float]:
    return [line["loss"] for line in read_log(folder / out / "log.jsonl") if "loss" in line]


def list_validation(folder: Path, out: str) -> list[float]:
    return [line["eval_loss"] for line in read_log(folder / out / "log.jsonl") if "eval_loss" in line]


def measure_loss(folder: Path, out: str) -> float:
    """The validation loss of a saved model, by a run of no learning on it."""
    run(folder, f"{out}-again", 1, model_name_or_path=folder / out, max_steps=1, learning_rate=0, save_steps=9)
    return list_validation(folder, f"{out}-again")[0]


# Stage 3 -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_published_stage3_gives_the_losses_of_one_process_loads_and_resumes(folder):
    text = run(folder, "two", deepspeed=ROOT / "ds_configs" / "stage3.json", lr_scheduler_type="constant_with_warmup")
    assert (
        "lr_scheduler_type: constant_with_warmup overrides WarmupDecayLR and its params from the DeepSpeed file" in text
    )
    run(folder, "one", 1, gradient_accumulation_steps=2, lr_scheduler_type="constant_with_warmup")
    assert list_losses(folder, "two") == pytest.approx(list_losses(folder, "one"), abs=1e-4)
    assert len(list_losses(folder, "two")) == 4
    assert list_validation(folder, "two") == pytest.approx(list_validation(folder, "one"), abs=1e-4)
    rates = [line["learning_rate"] for line in read_log(folder / "two" / "log.jsonl") if "loss" in line]
    assert rates == [1e-2] * 4  # the file's WarmupDecayLR would have lowered it
    _compare_weights(folder / "two", folder / "one")
    _compare_weights(folder / "two" / "checkpoint-2", folder / "one" / "checkpoint-2")
    assert measure_loss(folder, "two") == pytest.approx(list_validation(folder, "two")[-1], abs=1e-5)
    _take_up_again(folder)


def _compare_weights(first: Path, second: Path) -> None:
    weights, others = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    assert weights.keys() == others.keys()
    for name in weights:
        torch.testing.assert_close(weights[name], others[name], atol=2e-4, rtol=0)
    AutoModelForCausalLM.from_pretrained(first)


def _take_up_again(folder: Path) -> None:
    """As if the run had been killed after its first checkpoint."""
    before = list_losses(folder, "two")
    shutil.rmtree(folder / "two" / "checkpoint-4")
    (folder / "two" / "finished.json").unlink()
    text = run(folder, "two", deepspeed=ROOT / "ds_configs" / "stage3.json", lr_scheduler_type="constant_with_warmup")
    assert "resuming from checkpoint-2" in text
    assert list_losses(folder, "two") == pytest.approx(before, abs=1e-5)


def test_lora_with_embeddings_packed_and_shifted_under_stage3(folder):
    import peft

    text = run(
        folder,
        "lora",
        deepspeed=ROOT / "ds_configs" / "stage3_cpu.json",
        method="lora",
        lora_r=4,
        attention="s2",
        packing=True,
        model_max_length=512,
        bf16=True,
        per_device_train_batch_size=1,
        activation_checkpointing=True,
    )
    assert "16 examples in 8 rows" in text or "16 examples in 7 rows" in text
    weights = load_file(folder / "lora" / "adapter_model.safetensors")
    assert all(weight.numel() and weight.isfinite().all() for weight in weights.values())
    assert all(weight.any() for name, weight in weights.items() if "lora_B" in name)
    assert any("embed_tokens" in name for name in weights) and any("norm" in name for name in weights)
    loaded = peft.AutoPeftModelForCausalLM.from_pretrained(folder / "lora", dtype=torch.float32)
    base = AutoModelForCausalLM.from_pretrained(folder / "model")
    trained = loaded.get_base_model().get_input_embeddings().weight
    assert not torch.equal(trained.float(), base.get_input_embeddings().weight)
    losses = list_losses(folder, "lora")
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_published_command_as_printed(folder):
    for name, target in (("vicuna-7b-v1.5-16k", "model"), ("DATA.json", "train.jsonl")):
        (folder / name).symlink_to(folder / target)
    command = f"""--model_name_or_path vicuna-7b-v1.5-16k --bf16 True --output_dir {folder}/OUT
        --model_max_length 12288 --use_flash_attn True --data_path DATA.json --low_rank_training False
        --num_train_epochs 15 --per_device_train_batch_size 1 --per_device_eval_batch_size 1
        --gradient_accumulation_steps 8 --evaluation_strategy no --save_strategy steps --save_steps 500
        --save_total_limit 2 --learning_rate 2e-5 --weight_decay 0.0 --warmup_steps 20
        --lr_scheduler_type constant_with_warmup --logging_steps 1 --deepspeed ds_configs/stage3.json --tf32 False"""
    result = subprocess.run(
        [*TORCHRUN, "--standalone", "--nproc_per_node=2", str(ROOT / "train.py"), *command.split()],
        cwd=folder,
        env=make_environment(folder),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    for note in (
        "evaluation_strategy is now called eval_strategy",
        "method: full, from low_rank_training",
        "attention: s2",
        "flash",
        "12,288",
    ):
        assert note in result.stdout, note
    assert len(list_losses(folder, "OUT")) == 15
    assert AutoModelForCausalLM.from_pretrained(folder / "OUT").dtype == torch.bfloat16


@pytest.mark.slow
@pytest.mark.parametrize("file", ["stage2.json", "stage3_cpu.json"])
def test_other_stages_give_the_same_losses(folder, file):
    run(folder, file, deepspeed=ROOT / "ds_configs" / file)
    run(folder, f"one-{file}", 1, gradient_accumulation_steps=2)
    assert list_losses(folder, file) == pytest.approx(list_losses(folder, f"one-{file}"), abs=1e-4)
    _compare_weights(folder / file, folder / f"one-{file}")


@pytest.mark.slow
def test_two_processes_without_deepspeed_give_the_same_losses(folder):
    run(folder, "plain")
    run(folder, "plain-one", 1, gradient_accumulation_steps=2)
    assert list_losses(folder, "plain") == pytest.approx(list_losses(folder, "plain-one"), abs=1e-4)


@pytest.mark.slow
def test_packaged_model_under_published_stage3(folder, packaged_model):
    run(
        folder,
        "smollm",
        model_name_or_path=packaged_model,
        deepspeed=ROOT / "ds_configs" / "stage3.json",
        bf16=True,
        max_steps=2,
        learning_rate=1e-5,
        per_device_train_batch_size=1,
    )
    loaded = AutoModelForCausalLM.from_pretrained(folder / "smollm", dtype=torch.float32)
    assert loaded.config.hidden_size == 576
    losses = list_validation(folder, "smollm")
    assert measure_loss(folder, "smollm") == pytest.approx(losses[-1], abs=3e-2)  # bfloat16 there, float32 here


@pytest.mark.slow
def test_other_number_of_processes_is_refused(folder):
    run(folder, "count", max_steps=2)
    command = make_command(folder, "count", 1, max_steps=2)
    result = subprocess.run(command, env=make_environment(folder), capture_output=True, text=True)
    assert result.returncode == 1
    assert "processes: there 2, here 1" in result.stderr and "a new output_dir" in result.stderr


# More machines, and processes that die -------------------------------------------------------------------------------


def find_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_agents(folder: Path, outs: list[str], *changes: dict) -> list[subprocess.Popen]:
    """Two torchrun agents as two machines of one process each, with the changed flags of each; `outs` are their output
    folders."""
    rendezvous = (
        "--nnodes=2",
        "--nproc_per_node=1",
        "--rdzv_backend=c10d",
        f"--rdzv_endpoint=127.0.0.1:{find_port()}",
        "--rdzv_id=test",
        "--local_addr=127.0.0.1",
    )
    agents = []
    for number, out in enumerate(outs):
        with (folder / f"agent{number}.txt").open("w") as file:
            command = make_command(folder, out, 2, rendezvous, **changes[number])
            agents.append(
                subprocess.Popen(
                    command, cwd=folder, env=make_environment(folder), stdout=file, stderr=file, start_new_session=True
                )
            )
    return agents


def wait_for(agents: list[subprocess.Popen], folder: Path, seconds: int = 500) -> list[int]:
    try:
        return [agent.wait(timeout=seconds) for agent in agents]
    finally:
        for agent in agents:
            if agent.poll() is None:
                os.killpg(agent.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(("shared", "deepspeed"), [(True, "stage3_cpu"), (False, "stage3_cpu"), (False, None)])
def test_two_machines_with_shared_and_own_file_systems(folder, shared, deepspeed):
    outs = [f"nodes{number}-{shared}-{deepspeed}" for number in ((0, 0) if shared else (0, 1))]
    changes = {"deepspeed": deepspeed and ROOT / "ds_configs" / f"{deepspeed}.json"}
    changes |= {} if shared else {"save_on_each_node": True}
    assert wait_for(start_agents(folder, outs, changes, changes), folder) == [0, 0], (
        folder / "agent0.txt"
    ).read_text()[-3000:]
    run(folder, f"one-{outs[1]}", 1, gradient_accumulation_steps=2)
    written = next(out for out in outs if (folder / out / "log.jsonl").exists())
    assert list_losses(folder, written) == pytest.approx(list_losses(folder, f"one-{outs[1]}"), abs=1e-4)
    for out in outs:
        assert not (folder / out / ".saving" / "checkpoint-4").exists()
        assert list((folder / out / "checkpoint-4").glob("global_step*/*optim_states.pt" if deepspeed else "model.*"))
    for out in outs:  # killed after the first checkpoint, taken up again
        shutil.rmtree(folder / out / "checkpoint-4", ignore_errors=True)
        (folder / out / "finished.json").unlink(missing_ok=True)
    before = list_losses(folder, written)
    assert wait_for(start_agents(folder, outs, changes, changes), folder) == [0, 0], (
        folder / "agent0.txt"
    ).read_text()[-3000:]
    assert "resuming from checkpoint-2" in (folder / "agent0.txt").read_text() + (folder / "agent1.txt").read_text()
    assert list_losses(folder, written) == pytest.approx(before, abs=1e-5)


@pytest.mark.slow
def test_machines_with_other_data_or_flags_are_named(folder):
    (folder / "other.jsonl").write_text((folder / "train.jsonl").read_text().replace("paper", "page"))
    agents = start_agents(
        folder, ["differ0", "differ1"], {}, {"data_path": folder / "other.jsonl", "learning_rate": 0.5}
    )
    assert 0 not in wait_for(agents, folder)
    text = (folder / "agent0.txt").read_text() + (folder / "agent1.txt").read_text()
    assert "expected the same settings in every process, found different ones of data_path, learning_rate" in text


@pytest.mark.slow
def test_when_one_process_dies_the_others_stop_within_a_minute_saying_which(folder):
    command = make_command(
        folder,
        "dying",
        max_steps=2000,
        save_steps=4,
        eval_data_path=None,
        deepspeed=ROOT / "ds_configs" / "stage3_cpu.json",
    )
    log = folder / "dying.txt"
    with log.open("w") as file:
        launcher = subprocess.Popen(command, cwd=folder, env=make_environment(folder), stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 300
        while not list((folder / "dying").glob("checkpoint-*")):
            assert launcher.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.1)
        children = subprocess.run(["pgrep", "-P", str(launcher.pid)], capture_output=True, text=True).stdout.split()
        ranks = {_read_rank(int(child)): int(child) for child in children}
        os.kill(ranks[1], signal.SIGKILL)
        killed = time.monotonic()
        assert launcher.wait(timeout=60) != 0
        assert time.monotonic() - killed < 60
    finally:
        launcher.kill()
    text = log.read_text()
    assert "rank      : 1" in text and "SIGKILL" in text
    AutoModelForCausalLM.from_pretrained(max((folder / "dying").glob("checkpoint-*")))
    assert json.loads((folder / "dying" / "run.json").read_text())["processes"] == 2


def _read_rank(process: int) -> int:
    variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return int(next((value[5:] for value in variables if value.startswith(b"RANK=")), b"-1"))
