"""The DeepSpeed file of a run: read, checked by name, and made to agree with the flags, which win.

    {"bf16": {"enabled": "auto"}, "zero_optimization": {"stage": 3}, "train_micro_batch_size_per_gpu": "auto", ...}

DeepSpeed takes the place of a key that it does not know with a default, says nothing, and a `scheduler` block of the
file overrides lr_scheduler_type without a word. Here unknown keys are refused, and what stands both in the file and in
the flags is written "auto", which transformers fills with the flag's value.
"""

import copy
import difflib
import json
from pathlib import Path
from typing import Any

from sciqag_lib.errors import InputError

# What DeepSpeed 0.19 reads from the top of its file; the names stand in many of its modules, in no list of its own.
KNOWN_KEYS = frozenset(
    """
    activation_checkpointing aio autotuning bf16 checkpoint comet comms_logger communication_data_type compile
    compression_training csv_monitor curriculum_learning data_efficiency data_types dataloader_drop_last
    datastates_ckpt disable_allgather disable_python_gc dump_state elasticity expert_parallel flops_profiler fp16
    gradient_accumulation_steps gradient_allreduce_op gradient_clipping gradient_predivide_factor hybrid_engine
    log_level managed_gradient_accumulation memory_breakdown optimizer pipeline prescale_gradients scheduler
    seq_parallel_communication_data_type steps_per_print tensor_parallel tensorboard timers torch_autocast
    train_batch_size train_micro_batch_size_per_gpu use_data_before_expert_parallelism vocabulary_size
    wall_clock_breakdown wandb weight_quantization zero_allow_untested_optimizer zero_force_ds_cpu_optimizer
    zero_optimization
""".split()
)

# Of its other blocks, those that a training run may want; keys inside the rest (autotuning, elasticity, ...) are not
# checked.
BLOCKS = {
    "activation_checkpointing": "partition_activations cpu_checkpointing contiguous_memory_optimization "
    "number_checkpoints synchronize_checkpoint_boundary profile",
    "aio": "block_size queue_depth intra_op_parallelism single_submit overlap_events use_gds",
    "checkpoint": "tag_validation load_universal use_node_local_storage parallel_write writer",
    "flops_profiler": "enabled recompute_fwd_factor profile_step module_depth top_modules detailed output_file",
}

# Place in the file -> the arguments of transformers.TrainingArguments that say the same.
MIRRORED = {
    "train_micro_batch_size_per_gpu": ("per_device_train_batch_size",),
    "gradient_accumulation_steps": ("gradient_accumulation_steps",),
    "gradient_clipping": ("max_grad_norm",),
    "optimizer.params.lr": ("learning_rate",),
    "optimizer.params.weight_decay": ("weight_decay",),
    "optimizer.params.eps": ("adam_epsilon",),
    "optimizer.params.betas": ("adam_beta1", "adam_beta2"),
}
NOT_OF_EVERY_OPTIMIZER = ("optimizer.params.eps", "optimizer.params.betas")
PRECISIONS = ("bf16", "fp16")
# DeepSpeed's schedules and the Trainer's that come nearest.
SCHEDULES = {"WarmupDecayLR": "linear", "WarmupLR": "constant_with_warmup", "WarmupCosineLR": "cosine"}


def read_deepspeed(path: Path) -> dict[str, Any]:
    """The file's content. Raises InputError naming every key that DeepSpeed does not know, or that stands twice."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_refuse_duplicates)
    except FileNotFoundError:
        raise InputError(f"{path}: no such DeepSpeed file; the shipped ones are in ds_configs/") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (OSError, ValueError) as error:  # ValueError: JSON's and UTF-8's errors
        raise InputError(f"{path}: expected a JSON file: {error}") from None
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected a JSON object of DeepSpeed's keys, found {type(config).__name__}")
    problems = _find_unknown("", config, KNOWN_KEYS)
    for place, known in _list_block_keys().items():
        block = _get(config, place)
        if isinstance(block, dict):
            problems += _find_unknown(place + ".", block, known) if known else []
        elif block is not None:
            problems.append(f"{place}: expected a block {{...}}, found {block!r}")
    if problems:
        raise InputError("\n".join(f"{path}: {problem}" for problem in problems))
    return config


def resolve_deepspeed(
    config: dict[str, Any], given: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Make a file's content agree with the arguments of TrainingArguments that were `given`, which win.

    Returns the config for TrainingArguments(deepspeed=...), a copy with "auto" wherever transformers fills a value in;
    the arguments that only the file gives; and a line for everything that was changed.
    """
    config, from_file, notes = copy.deepcopy(config), {}, []
    _resolve_schedule(config, given, from_file, notes)
    if "optim" in given and "optimizer" in config:
        kind = config.pop("optimizer").get("type")
        notes.append(
            f"optim {given['optim']} wins over the DeepSpeed file's optimizer block ({kind}), which is left out"
        )
    for place, names in MIRRORED.items():
        _resolve_value(config, place, names, given, from_file, notes)
    _resolve_precision(config, given, from_file, notes)
    if config.get("train_batch_size", "auto") != "auto":
        notes.append(
            f"the DeepSpeed file's train_batch_size {config['train_batch_size']} is left out: it follows "
            "from the processes, per_device_train_batch_size and gradient_accumulation_steps"
        )
    config["train_batch_size"] = "auto"
    return config, from_file, notes


def _resolve_schedule(
    config: dict[str, Any], given: dict[str, Any], from_file: dict[str, Any], notes: list[str]
) -> None:
    """Take the scheduler block out: the Trainer makes the schedule, which the block would override silently."""
    block = config.pop("scheduler", None)
    if block is None:
        return
    kind = block.get("type")
    fixed = {key: value for key, value in block.get("params", {}).items() if value != "auto"}
    unused = f"; its {json.dumps(fixed)} are not used, give learning_rate and warmup_steps" if fixed else ""
    if "lr_scheduler_type" in given:
        notes.append(
            f"lr_scheduler_type {given['lr_scheduler_type']} wins over the DeepSpeed file's scheduler block "
            f"({kind}), which is left out{unused}"
        )
    elif kind in SCHEDULES:
        from_file["lr_scheduler_type"] = SCHEDULES[kind]
        notes.append(
            f"the DeepSpeed file's scheduler block ({kind}) is left out and the Trainer's schedule runs: "
            f"lr_scheduler_type {SCHEDULES[kind]}{unused}"
        )
    else:
        raise InputError(
            f"scheduler.type: expected one of {', '.join(SCHEDULES)}, found {kind!r}; give "
            "lr_scheduler_type as a flag, the block is then left out"
        )


def _resolve_value(
    config: dict[str, Any],
    place: str,
    names: tuple[str, ...],
    given: dict[str, Any],
    from_file: dict[str, Any],
    notes: list[str],
) -> None:
    block_name, _, key = place.rpartition(".")
    if block_name and "optimizer" not in config:
        return
    block = config["optimizer"].setdefault("params", {}) if block_name else config
    if key not in block:  # DeepSpeed's own default would be used, silently
        if place not in NOT_OF_EVERY_OPTIMIZER or any(name in given for name in names):
            block[key] = "auto"
        return
    if block[key] == "auto":
        return
    values = block[key] if isinstance(block[key], list) else [block[key]]
    if len(values) != len(names):
        raise InputError(f'{place}: expected {len(names)} values ({", ".join(names)}) or "auto", found {block[key]!r}')
    for name, value in zip(names, values):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f'{place}: expected a number or "auto", found {value!r}')
        if name not in given:
            from_file[name] = value
            notes.append(f"{name} {value} is taken from the DeepSpeed file ({place})")
        elif given[name] != value:
            notes.append(f"{name} {given[name]} wins over the DeepSpeed file's {place} {value}")
    block[key] = "auto"


def _resolve_precision(
    config: dict[str, Any], given: dict[str, Any], from_file: dict[str, Any], notes: list[str]
) -> None:
    """bf16 and fp16 are one choice: a flag for either decides both."""
    is_given = any(name in given for name in PRECISIONS)
    for name in PRECISIONS:
        wanted = given.get(name, False)
        if name not in config:
            if wanted:
                config[name] = {"enabled": "auto"}
                notes.append(f"{name} True wins over the DeepSpeed file, which has no {name} block: one is added")
            continue
        enabled = config[name].get("enabled", False)
        if enabled not in (True, False, "auto"):
            raise InputError(f'{name}.enabled: expected true, false or "auto", found {enabled!r}')
        if not is_given and enabled is True:
            from_file[name] = True
            notes.append(f"{name} True is taken from the DeepSpeed file")
        elif is_given and enabled not in ("auto", wanted):
            flags = ", ".join(f"{flag} {given[flag]}" for flag in PRECISIONS if flag in given)
            notes.append(f"{flags} wins over the DeepSpeed file's {name}.enabled {str(enabled).lower()}")
        config[name]["enabled"] = "auto"


def _list_block_keys() -> dict[str, frozenset[str]]:
    """The keys of the file's blocks: DeepSpeed's own models name those of ZeRO and of the precisions."""
    from deepspeed.runtime.precision_config import DeepSpeedBF16Config, DeepSpeedFP16Config
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig
    from deepspeed.runtime.zero.offload_config import (
        DeepSpeedZeroOffloadOptimizerConfig,
        DeepSpeedZeroOffloadParamConfig,
    )

    models = {
        "zero_optimization": DeepSpeedZeroConfig, "zero_optimization.offload_param": DeepSpeedZeroOffloadParamConfig,
        "zero_optimization.offload_optimizer": DeepSpeedZeroOffloadOptimizerConfig, "bf16": DeepSpeedBF16Config,
        "fp16": DeepSpeedFP16Config,
    }  # fmt: skip
    keys = {place: frozenset(field.alias or name for name, field in model.model_fields.items())
            for place, model in models.items()}  # fmt: skip
    keys |= {place: frozenset(names.split()) for place, names in BLOCKS.items()}
    keys["optimizer"] = frozenset({"type", "params", "legacy_fusion"})
    keys["scheduler"] = frozenset({"type", "params"})
    keys["optimizer.params"] = keys["scheduler.params"] = frozenset()  # they depend on the type: any key
    return keys


def _find_unknown(prefix: str, block: dict[str, Any], known: frozenset[str]) -> list[str]:
    problems = []
    for key in block:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1)
            advice = f"did you mean {prefix + nearest[0]!r}?" if nearest else f"known: {', '.join(sorted(known))}"
            problems.append(f"DeepSpeed has no key {prefix + key!r} ({advice})")
    return problems


def _get(config: dict[str, Any], place: str) -> Any:
    for key in place.split("."):
        config = config.get(key) if isinstance(config, dict) else None
    return config


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"the key {name!r} stands twice; keep one")
    return dict(pairs)
