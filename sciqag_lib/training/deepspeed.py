"""The DeepSpeed file of a run: read, checked by name, and made to agree with the flags, which win.

    {"bf16": {"enabled": "auto"}, "zero_optimization": {"stage": 3}, "train_micro_batch_size_per_gpu": "auto", ...}

DeepSpeed ignores keys that it does not know, and a `scheduler` block silently overrides lr_scheduler_type. Here
unknown keys are refused, and what a flag sets too is written "auto", which transformers fills with the flag's value.
"""

import copy
import difflib
import json
from pathlib import Path
from typing import Any

from sciqag_lib.errors import InputError

# Keys that DeepSpeed 0.19 reads, at the top of the file ("") and in the blocks that a training run may want; its own
# modules have no lists of them. Other blocks (autotuning, elasticity, ...) and "optimizer.params" may have any key.
KNOWN_KEYS = {
    "": """
        activation_checkpointing aio autotuning bf16 checkpoint comet comms_logger communication_data_type compile
        compression_training csv_monitor curriculum_learning data_efficiency data_types dataloader_drop_last
        datastates_ckpt disable_allgather disable_python_gc dump_state elasticity expert_parallel flops_profiler fp16
        gradient_accumulation_steps gradient_allreduce_op gradient_clipping gradient_predivide_factor hybrid_engine
        log_level managed_gradient_accumulation memory_breakdown optimizer pipeline prescale_gradients scheduler
        seq_parallel_communication_data_type steps_per_print tensor_parallel tensorboard timers torch_autocast
        train_batch_size train_micro_batch_size_per_gpu use_data_before_expert_parallelism vocabulary_size
        wall_clock_breakdown wandb weight_quantization zero_allow_untested_optimizer zero_force_ds_cpu_optimizer
        zero_optimization""",
    "activation_checkpointing": "partition_activations cpu_checkpointing contiguous_memory_optimization "
    "number_checkpoints synchronize_checkpoint_boundary profile",
    "aio": "block_size queue_depth intra_op_parallelism single_submit overlap_events use_gds",
    "checkpoint": "tag_validation load_universal use_node_local_storage parallel_write writer",
    "flops_profiler": "enabled recompute_fwd_factor profile_step module_depth top_modules detailed output_file",
    "optimizer": "type params legacy_fusion",
    "optimizer.params": "",
    "scheduler": "type params",
}

# Place in the file -> the arguments of transformers.TrainingArguments that mean the same.
MIRRORED = {
    "train_micro_batch_size_per_gpu": ("per_device_train_batch_size",),
    "gradient_accumulation_steps": ("gradient_accumulation_steps",),
    "gradient_clipping": ("max_grad_norm",),
    "optimizer.params.lr": ("learning_rate",),
    "optimizer.params.weight_decay": ("weight_decay",),
    "optimizer.params.eps": ("adam_epsilon",),
    "optimizer.params.betas": ("adam_beta1", "adam_beta2"),
    "bf16.enabled": ("bf16",),
    "fp16.enabled": ("fp16",),
}
NOT_OF_EVERY_OPTIMIZER = ("optimizer.params.eps", "optimizer.params.betas")
# DeepSpeed's schedules and the Trainer's that come nearest.
SCHEDULES = {"WarmupDecayLR": "linear", "WarmupLR": "constant_with_warmup", "WarmupCosineLR": "cosine"}


def read_deepspeed(path: Path) -> dict[str, Any]:
    """The file's content. Raises InputError naming every key that DeepSpeed does not know, or that appears twice."""
    from deepspeed.runtime.config_utils import dict_raise_error_on_duplicate_keys

    try:
        config = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=dict_raise_error_on_duplicate_keys)
    except FileNotFoundError:
        raise InputError("no such DeepSpeed file; the shipped ones are in ds_configs/") from None
    except (OSError, ValueError) as error:  # ValueError: JSON's and UTF-8's errors
        raise InputError(f"expected a JSON file: {error}") from None
    if not isinstance(config, dict):
        raise InputError(f"expected a JSON object of DeepSpeed's keys, found {type(config).__name__}")
    problems = _find_unknown(config)
    if problems:
        raise InputError("\n".join(problems))
    return config


def resolve_deepspeed(
    config: dict[str, Any], given: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Make a file's content agree with the arguments of TrainingArguments that were `given`, which win.

    Returns the config for TrainingArguments(deepspeed=...), a copy with "auto" wherever transformers fills a value in;
    the arguments that only the file gives; and a line for everything that was changed.
    """
    config, from_file, notes = copy.deepcopy(config), {}, []
    if "bf16" in given or "fp16" in given:  # one choice: a flag for either decides both
        given = {"bf16": False, "fp16": False, **given}
    for name in ("bf16", "fp16"):
        if given.get(name):
            config.setdefault(name, {"enabled": "auto"})
    schedule = config.pop("scheduler", {}).get("type")  # it would override the Trainer's silently
    replaced = f"{schedule} and its params from the DeepSpeed file"
    if schedule and "lr_scheduler_type" in given:
        notes.append(f"lr_scheduler_type: {given['lr_scheduler_type']} overrides {replaced}")
    elif schedule in SCHEDULES:
        from_file["lr_scheduler_type"] = SCHEDULES[schedule]
        notes.append(f"lr_scheduler_type: {SCHEDULES[schedule]} replaces {replaced}")
    elif schedule:
        raise InputError(
            f"scheduler.type: expected one of {', '.join(SCHEDULES)}, found {schedule!r}; or give "
            "lr_scheduler_type as a flag"
        )
    if "optim" in given and "optimizer" in config:
        notes.append(f"optim: {given['optim']} overrides {config.pop('optimizer').get('type')} from the DeepSpeed file")
    for place, names in MIRRORED.items():
        for name, value in zip(names, _replace_value(config, place, names, given)):
            if name not in given:
                from_file[name] = value
                notes.append(f"{name}: {value}, from the DeepSpeed file")
            elif given[name] != value:
                notes.append(f"{name}: {given[name]} overrides {value} from the DeepSpeed file")
    if config.get("train_batch_size", "auto") != "auto":
        notes.append("train_batch_size of the DeepSpeed file is left out: it follows from the other settings")
    config["train_batch_size"] = "auto"
    return config, from_file, notes


def _replace_value(config: dict[str, Any], place: str, names: tuple[str, ...], given: dict[str, Any]) -> list[Any]:
    """Put "auto" at `place`; returns the values that were there, one for each name, or []."""
    block_name, _, key = place.rpartition(".")
    if block_name and block_name.partition(".")[0] not in config:
        return []
    block = config
    for part in filter(None, block_name.split(".")):
        block = block.setdefault(part, {})
    if key not in block and place in NOT_OF_EVERY_OPTIMIZER and not any(name in given for name in names):
        return []
    value = block.get(key, False if key == "enabled" else "auto")  # else DeepSpeed's own default is used silently
    block[key] = "auto"
    if value == "auto" or key == "enabled" and value is False and names[0] not in given:
        return []
    values, kinds = value if isinstance(value, list) else [value], (bool,) if key == "enabled" else (int, float)
    if len(values) != len(names) or not all(type(item) in kinds for item in values):
        expected = "true, false" if key == "enabled" else "a number" if len(names) == 1 else f"{len(names)} numbers"
        raise InputError(f'{place}: expected {expected} or "auto", found {value!r}')
    return values


def _find_unknown(config: dict[str, Any]) -> list[str]:
    """A line for each unknown key; DeepSpeed's own models name those of ZeRO and of the precisions."""
    from deepspeed.runtime import precision_config
    from deepspeed.runtime.zero import config as zero_config
    from deepspeed.runtime.zero import offload_config

    models = {
        "zero_optimization": zero_config.DeepSpeedZeroConfig,
        "zero_optimization.offload_param": offload_config.DeepSpeedZeroOffloadParamConfig,
        "zero_optimization.offload_optimizer": offload_config.DeepSpeedZeroOffloadOptimizerConfig,
        "bf16": precision_config.DeepSpeedBF16Config,
        "fp16": precision_config.DeepSpeedFP16Config,
    }
    known = {place: names.split() for place, names in KNOWN_KEYS.items()}
    for place, model in models.items():
        known[place] = [field.alias or name for name, field in model.model_fields.items()]
    problems = []
    for place, names in known.items():
        block = config
        for part in filter(None, place.split(".")):
            block = block.get(part) if isinstance(block, dict) else None
        if block is None:
            continue
        if not isinstance(block, dict):
            problems.append(f"{place}: expected a block {{...}}, found {block!r}")
            continue
        for key in block.keys() - set(names or block):
            nearest = difflib.get_close_matches(key, names, n=1)
            path = f"{place}.".lstrip(".")
            advice = f"did you mean {path + nearest[0]!r}?" if nearest else f"known: {', '.join(sorted(names))}"
            problems.append(f"DeepSpeed has no key {path + key!r} ({advice})")
    return problems
