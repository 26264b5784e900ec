"""Before a run starts: will it fit, and what is it going to do?

Memory of one process, in bytes per weight (Rajbhandari et al. 2020): the weights in their precision; for each trained
weight its gradient, a float32 copy under DeepSpeed, and Adam's two float32 moments. Stage 1 shares the optimizer's part
among the processes, stage 2 the gradients, stage 3 the weights too. Activations follow Korthikanti et al. 2022: 34
bytes per token, layer and hidden unit at 2 bytes a number, without the attention's square, which none of ours stores.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from sciqag_lib.errors import InputError
from sciqag_lib.training.arguments import RunArguments
from sciqag_lib.training.machine import count_processes
from sciqag_lib.training.model import add_lora, choose_dtype

GIGABYTE = 1e9
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class ModelSize:
    weights: int  # all of them
    trained: int
    layers: int
    hidden: int
    vocabulary: int


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of one process."""

    device_states: int  # weights, gradients, optimizer on the GPU, or in memory where there is none
    host_states: int  # what DeepSpeed offloads from a GPU
    activations: int

    def describe(self) -> str:
        parts = (
            f"{self.device_states / GIGABYTE:,.1f} GB weights, gradients and optimizer, "
            f"{self.activations / GIGABYTE:,.1f} GB activations"
        )
        return parts + (f"; offloaded: {self.host_states / GIGABYTE:,.1f} GB" if self.host_states else "")


def measure_model(config: Any, run: RunArguments, trainer: dict[str, Any]) -> ModelSize:
    """Count a model's weights without loading any; call it before TrainingArguments turns DeepSpeed's stage 3 on."""
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        if run.method != "full":
            model = add_lora(model, run, {"deepspeed": True})
    text = config.get_text_config()
    weights = list(model.parameters())
    return ModelSize(sum(weight.numel() for weight in weights),
                     sum(weight.numel() for weight in weights if weight.requires_grad),
                     text.num_hidden_layers, text.hidden_size, text.vocab_size)  # fmt: skip


def estimate_memory(size: ModelSize, run: RunArguments, trainer: dict[str, Any], tokens: int) -> MemoryEstimate:
    """Of one process with `tokens` tokens in its batch."""
    zero = (trainer.get("deepspeed") or {}).get("zero_optimization", {})
    stage, ranks = zero.get("stage", 0) if zero else 0, count_processes()
    width = choose_dtype(run, trainer).itemsize
    weight_width = 0.55 if run.method == "qlora" else width  # 4 bits, and the scales of the blocks
    copy_width = 4 if trainer.get("deepspeed") else 0
    gradient_width = width if trainer.get("deepspeed") else 4
    weights = size.weights * weight_width / (ranks if stage == 3 else 1)
    gradients = size.trained * gradient_width / (ranks if stage >= 2 else 1)
    optimizer = size.trained * (copy_width + 8) / (ranks if stage >= 1 else 1)
    device, host = weights + gradients + optimizer, 0.0
    if torch.cuda.is_available():
        host += optimizer + gradients if _is_offloaded(zero, "offload_optimizer") else 0
        host += weights if _is_offloaded(zero, "offload_param") else 0
        device -= host
    if stage == 3:  # what is gathered to be used: a layer and the next, and the embedding
        device += (2 * size.weights / max(size.layers, 1) + size.vocabulary * size.hidden) * width
    arithmetic = 2 if trainer.get("bf16") or trainer.get("fp16") else 4
    layer = 17 * arithmetic * tokens * size.hidden
    kept = (
        tokens * size.hidden * arithmetic * size.layers + layer
        if trainer.get("activation_checkpointing")
        else layer * size.layers
    )
    logits = 0 if trainer.get("use_liger_kernel") else tokens * size.vocabulary * 8  # float32 scores and gradients
    return MemoryEstimate(int(device), int(host), int(kept + logits))


def _is_offloaded(zero: dict[str, Any], part: str) -> bool:
    return (zero.get(part) or {}).get("device", "none") not in ("none", None)


def refuse_too_large(estimate: MemoryEstimate) -> list[str]:
    """InputError where the run cannot fit even if its activations need half of what is estimated; a line where it
    may not."""
    places = [("memory", measure_host(), estimate.device_states, estimate.activations)]
    if torch.cuda.is_available():
        places = [("GPU memory", torch.cuda.mem_get_info()[0], estimate.device_states, estimate.activations),
                  ("memory", measure_host(), estimate.host_states, 0)]  # fmt: skip
    notes = []
    for name, there, states, activations in places:
        if states + activations / 2 > there:
            raise InputError(
                f"this run cannot fit: a process has {there / GIGABYTE:,.1f} GB of {name}, and needs about "
                f"{(states + activations) / GIGABYTE:,.1f} GB ({estimate.describe()}); give more processes with "
                "ds_configs/stage3.json, method lora, activation_checkpointing True, a smaller model_max_length or "
                "a smaller per_device_train_batch_size"
            )
        if states + activations > there:
            notes.append(
                f"it may not fit: about {(states + activations) / GIGABYTE:,.1f} GB of {name} are needed, "
                f"{there / GIGABYTE:,.1f} GB are there"
            )
    return notes


def measure_host() -> int:
    """Available memory, or what a container is limited to, for each process of this machine."""
    import psutil

    available = psutil.virtual_memory().available
    if CGROUP_LIMIT.exists() and CGROUP_LIMIT.read_text().strip().isdecimal():
        available = min(available, int(CGROUP_LIMIT.read_text()))
    return available // int(os.environ.get("LOCAL_WORLD_SIZE", count_processes()))


# The summary ---------------------------------------------------------------------------------------------------------


def describe_model(source: str, size: ModelSize, model: Any, attention: str, scaled: str) -> list[str]:
    """Lines on the model as it was loaded."""
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    return [f"model: {source}, {size.weights:,} weights in {dtype}, {size.trained:,} of them trained "
            f"({size.trained / size.weights:.2%})", f"attention: {attention}", scaled]  # fmt: skip


def describe_schedule(trainer: Any) -> list[str]:
    """Lines on the steps that a Trainer is going to take."""
    args, ranks = trainer.args, count_processes()
    rows = args.train_batch_size * args.gradient_accumulation_steps * ranks
    per_epoch = -(-len(trainer.get_train_dataloader()) // args.gradient_accumulation_steps)
    steps = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * per_epoch)
    warmup = args.get_warmup_steps(steps)
    return [f"schedule: {steps:,} steps of {rows:,} rows ({args.train_batch_size} per process x "
            f"{args.gradient_accumulation_steps} accumulated x {ranks} processes), learning rate "
            f"{args.learning_rate:g}, {args.lr_scheduler_type.value}, {warmup:,} warmup steps"]  # fmt: skip
