"""Flags of the three published commands, and of older versions of transformers, under the names that train.py knows.

SciQAG is trained with LongLoRA's script, SciRIFF with open-instruct's, SciGLM with ChatGLM's. What transformers 5 has
renamed is renamed, what it has removed is left out, and a line says so in each case.
"""

from dataclasses import dataclass, field
from typing import Any

from sciqag_lib.errors import InputError

RENAMED = {
    "evaluation_strategy": "eval_strategy",
    "gradient_checkpointing": "activation_checkpointing",
    "gradient_checkpointing_kwargs": "activation_checkpointing_kwargs",
    "max_seq_length": "model_max_length",
    "no_cuda": "use_cpu",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "train_file": "data_path",
    "validation_file": "eval_data_path",
}
LEFT_OUT = {
    "local_rank": "it is read from the launcher's environment",
    "logging_dir": "transformers 5 reads the environment variable TENSORBOARD_LOGGING_DIR instead",
    "overwrite_cache": "tokenized data are cached under a hash of their sources, so they are never out of date",
    "overwrite_output_dir": "an interrupted run resumes; to start over, name another output_dir or remove the folder",
    "predict_with_generate": "validation is by loss; generate with the saved model afterwards",
    "resume_from_checkpoint": "the same command resumes from the last checkpoint",
    "save_safetensors": "weights are always saved as safetensors",
    "use_slow_tokenizer": "transformers 5 has only the fast tokenizer",
}


def option(default: Any, explanation: str) -> Any:
    """A dataclass field whose explanation --help shows."""
    if isinstance(default, (list, dict)):
        return field(default_factory=default.copy, metadata={"help": explanation})
    return field(default=default, metadata={"help": explanation})


@dataclass(frozen=True)
class PublishedFlags:
    """What the published scripts have beyond RunArguments and TrainingArguments."""

    low_rank_training: bool = option(False, "LongLoRA's name: True is method lora, False is method full")
    use_full_attn: bool = option(False, "LongLoRA's name: True is attention full, False is attention s2")
    max_source_length: int = option(0, "SciGLM's tokens of the prompt, for model_max_length")
    max_target_length: int = option(0, "SciGLM's tokens of the answer, for model_max_length")
    with_tracking: bool = option(False, "SciRIFF's name: True is report_to tensorboard")
    warmup_ratio: float = option(0.0, "older name of a warmup_steps below 1, a share of all steps")


def rename_flags(words: list[str]) -> tuple[list[str], list[str]]:
    """The words of a command line with the flags' names of today, and a line for each renamed one."""
    renamed, notes = [], []
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("--"):
            old = name[2:].replace("-", "_")
            if old in RENAMED:
                notes.append(f"{old} is now called {RENAMED[old]}")
            word = f"--{RENAMED.get(old, old)}{equals}{value}"
        renamed.append(word)
    return renamed, notes


def translate_flags(values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Values without PublishedFlags and LEFT_OUT; adds a line to `notes` for each that is translated or left out.

    Raises InputError where a setting is given under two names, or cannot be translated.
    """
    old = {name: values[name] for name in values if name in PublishedFlags.__dataclass_fields__}
    kept = {name: values[name] for name in values if name not in old and name not in LEFT_OUT}
    notes += [f"{name} is left out: {reason}" for name, reason in LEFT_OUT.items() if name in values]

    def put(name: str, value: Any, source: str) -> None:
        if name in kept:
            raise InputError(f"{source} and {name} mean the same; keep one, {name}")
        kept[name] = value
        notes.append(f"{name}: {value}, from {source}")

    if "low_rank_training" in old:
        put("method", "lora" if old["low_rank_training"] else "full", "low_rank_training")
        if "activation_checkpointing" not in kept:
            put("activation_checkpointing", True, "LongLoRA's script, which always has it")
    if "use_full_attn" in old:
        put("attention", "full" if old["use_full_attn"] else "s2", "use_full_attn")
    elif "low_rank_training" in old and "attention" not in kept:
        put("attention", "s2", "LongLoRA's script, which always has it unless use_full_attn True")
    if "max_source_length" in old or "max_target_length" in old:
        if not ("max_source_length" in old and "max_target_length" in old):
            raise InputError("expected both max_source_length and max_target_length, found one; or model_max_length")
        length = old["max_source_length"] + old["max_target_length"] + 1  # the token that ends the answer
        put("model_max_length", length, "max_source_length + max_target_length + 1")
    if "with_tracking" in old:
        kept["report_to"] = kept.get("report_to", "tensorboard") if old["with_tracking"] else "none"
        notes.append(f"report_to: {kept['report_to']}, from with_tracking")
    if "warmup_ratio" in old:
        if not 0 <= old["warmup_ratio"] < 1:
            raise InputError(f"warmup_ratio: expected from 0 to less than 1, found {old['warmup_ratio']}")
        put("warmup_steps", old["warmup_ratio"], "warmup_ratio: below 1 it is a share of all steps")
    return kept
