"""Flags of the three published commands, and of older versions of transformers, in the names that train.py knows.

SciQAG is trained with LongLoRA's script, SciRIFF with open-instruct's, SciGLM with ChatGLM's. What transformers 5 has
renamed is renamed, what it has removed is left out, and a line says so in each case.
"""

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
    "local_rank": "the launcher's environment says it",
    "logging_dir": "transformers 5 reads the environment variable TENSORBOARD_LOGGING_DIR instead",
    "overwrite_cache": "tokenised data are kept under a hash of what they are made from, and never out of date",
    "overwrite_output_dir": "an interrupted run goes on from its last whole checkpoint; to start anew, name another "
                            "output_dir or remove the folder",
    "predict_with_generate": "evaluation while training is by loss; generate with the saved model afterwards",
    "resume_from_checkpoint": "the same command goes on from the last whole checkpoint by itself",
    "save_safetensors": "weights are always saved as safetensors",
    "use_slow_tokenizer": "transformers 5 has one tokenizer for each model, and it is the fast one",
}  # fmt: skip
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


class FlagText(str):
    """A value from the command line, where numbers and True are text too; a params file has types of its own."""


def read_bool(name: str, value: Any) -> bool:
    """True or False of a flag's "True", "False" or of a YAML boolean. Raises InputError naming it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in TRUE + FALSE:
        return value.lower() in TRUE
    raise InputError(f"{name}: expected True or False, found {str(value)!r}")


def translate_flags(values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The same settings under the names of today, and a line for each that was translated or left out.

    Raises InputError where a setting is given under two names, or a value can't be translated.
    """
    values, notes = dict(values), []
    for old, new in RENAMED.items():
        if old in values:
            _put(values, new, values.pop(old), old)
            notes.append(f"{old} is called {new} now")
    for name, reason in LEFT_OUT.items():
        if name in values:
            notes.append(f"{name} is left out: {reason}")
            del values[name]
    _translate_longlora(values, notes)
    _translate_lengths(values, notes)
    _translate_tracking(values, notes)
    _translate_warmup(values, notes)
    return values, notes


def _put(values: dict[str, Any], name: str, value: Any, old: str) -> None:
    if name in values:
        raise InputError(f"{old} and {name} say the same; keep one, {name}")
    values[name] = value


def _translate_longlora(values: dict[str, Any], notes: list[str]) -> None:
    """LongLoRA's script always shifts the attention, unless use_full_attn, and always checkpoints activations."""
    is_longlora = "low_rank_training" in values
    if is_longlora:
        value = values.pop("low_rank_training")
        method = "lora" if read_bool("low_rank_training", value) else "full"
        _put(values, "method", FlagText(method), "low_rank_training")
        notes.append(f"low_rank_training {value} is called method {method} now")
        if "activation_checkpointing" not in values:
            values["activation_checkpointing"] = True
            notes.append("activation_checkpointing True, as LongLoRA's script always has it")
    if "use_full_attn" in values:
        value = values.pop("use_full_attn")
        attention = "full" if read_bool("use_full_attn", value) else "s2"
        _put(values, "attention", FlagText(attention), "use_full_attn")
        notes.append(f"use_full_attn {value} is called attention {attention} now")
    elif is_longlora and "attention" not in values:
        values["attention"] = FlagText("s2")
        notes.append("attention s2 (shifted sparse attention), as LongLoRA's script trains unless use_full_attn True")


def _translate_lengths(values: dict[str, Any], notes: list[str]) -> None:
    """SciGLM's two lengths become one: prompt, answer and the token that ends it."""
    names = ("max_source_length", "max_target_length")
    found = [name for name in names if name in values]
    if not found:
        return
    if len(found) == 1:
        raise InputError(f"{found[0]}: expected both {' and '.join(names)}, found one; or give model_max_length")
    if not all(str(values[name]).isdecimal() for name in names):
        raise InputError(
            f"{' and '.join(names)}: expected whole numbers of tokens, found "
            f"{' and '.join(str(values[name]) for name in names)}"
        )
    length = sum(int(values.pop(name)) for name in names) + 1
    _put(values, "model_max_length", length, "max_source_length")
    notes.append(
        f"max_source_length and max_target_length are one length now, model_max_length {length}: where an "
        "example is longer its input is cut, never its answer"
    )


def _translate_tracking(values: dict[str, Any], notes: list[str]) -> None:
    if "with_tracking" not in values:
        return
    is_on = read_bool("with_tracking", values.pop("with_tracking"))
    if is_on and "report_to" in values:
        notes.append(f"with_tracking is left out: report_to {values['report_to']} says it")
    else:
        values["report_to"] = FlagText("tensorboard" if is_on else "none")
        notes.append(f"with_tracking {is_on} is called report_to {values['report_to']} now")


def _translate_warmup(values: dict[str, Any], notes: list[str]) -> None:
    """warmup_steps below 1 is a share of all steps in transformers 5, where warmup_ratio is gone."""
    if "warmup_ratio" not in values:
        return
    value = values.pop("warmup_ratio")
    try:
        ratio = float(value)
    except (TypeError, ValueError):
        raise InputError(f"warmup_ratio: expected a number, found {str(value)!r}") from None
    if not 0 <= ratio < 1:
        raise InputError(f"warmup_ratio: expected a share of all steps, from 0 to less than 1, found {value}")
    _put(values, "warmup_steps", ratio, "warmup_ratio")
    notes.append(f"warmup_ratio {value} is called warmup_steps now, where a number below 1 is a share of all steps")
