"""The command line of train.py: published flags, or a flat params file, into checked arguments.

    torchrun --nproc_per_node=8 train.py params/train.generator.yaml
    torchrun --nproc_per_node=8 train.py --model_name_or_path vicuna-7b-v1.5-16k --bf16 True --data_path DATA.json ...

Flags after a params file win over it. Besides those of RunArguments, every argument of transformers.TrainingArguments
is a flag. Unknown names, wrong types, secrets and settings that are given twice are refused, all in one message. Paths
stay as they are written.
"""

import dataclasses
import difflib
import enum
import json
import math
import types
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from sciqag_lib.errors import InputError
from sciqag_lib.params import SECRET_KEY, TEXT_NUMBER, load_params
from sciqag_lib.paths import resolve_path
from sciqag_lib.training.deepspeed import read_deepspeed, resolve_deepspeed
from sciqag_lib.training.flags import FlagText, read_bool, translate_flags


@dataclass(frozen=True)
class RunArguments:
    """What transformers.TrainingArguments does not have."""

    model_name_or_path: str  # a model's folder, or its id on the hub
    data_path: str | None = None  # JSON or JSONL of training examples
    dataset_name: str | None = None  # instead of data_path: a dataset's id on the hub
    eval_data_path: str | None = None  # examples for the validation loss
    cache_dir: str | None = None  # for what comes from the hub
    prompt_form: str = "llama2"  # or alpaca, chat (the tokenizer's own template), or the path of a form's file
    prompt_column: str | None = None  # where a record has other names for question and answer: `content`
    response_column: str | None = None  # and `summary`, as in SciInstruct
    preprocessing_num_workers: int | None = None  # threads that tokenise; None: one for each core
    model_max_length: int | None = None  # tokens of an example; None: the model's own positions
    packing: bool | None = False  # several examples in a row of the batch; None: where that is faster
    method: Literal["full", "lora", "qlora"] = "full"
    lora_r: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    lora_targets: list[str] = field(default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj"])
    trainable_params: list[str] = field(default_factory=lambda: ["embed", "norm"])  # trained whole beside LoRA
    attention: Literal["full", "s2"] = "full"  # s2: LongLoRA's shifted sparse attention
    use_flash_attn: bool = True  # flash_attention_2 where it is installed
    rope_scaling: Literal["linear", "dynamic", "yarn", "longrope", "llama3", "proportional"] = "linear"
    rope_factor: float | None = None  # None: model_max_length / the model's positions, rounded up
    rope_parameters: dict = field(default_factory=dict)  # what else the chosen scaling of transformers asks for


@dataclass(frozen=True)
class Arguments:
    run: RunArguments
    trainer: dict[str, Any]  # for transformers.TrainingArguments(**trainer); `deepspeed` holds the resolved config
    notes: list[str]  # one line for everything that was translated, left out or decided between flag and file


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Read train.py's command line, without the program's name. Raises InputError with a line for each problem."""
    path, flags = split_command_line(argv)
    values, notes = _translate_file(path) if path else ({}, [])
    flags, flag_notes = translate_flags(flags)
    overridden = [f"{name} {flags[name]} wins over the params file's {values[name]}"
                  for name in flags if name in values and str(flags[name]) != str(values[name])]  # fmt: skip
    run, trainer = _check_values(values | flags, {name: f"{path}: " for name in values if name not in flags})
    if "output_dir" not in trainer:
        trainer["output_dir"] = f"runs/{path.stem if path else 'train'}"
        flag_notes.append(f"output_dir {trainer['output_dir']}, as none is given")
    if run.method == "full" and {"trainable_params", "lora_targets"} & (values | flags).keys():
        flag_notes.append("trainable_params and lora_targets have no effect: method full trains everything")
    trainer, deepspeed_notes = _read_deepspeed_argument(trainer)
    return Arguments(run, trainer, notes + flag_notes + overridden + deepspeed_notes)


def _translate_file(path: Path) -> tuple[dict[str, Any], list[str]]:
    values = load_params(path)
    try:
        return translate_flags(values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def split_command_line(argv: Sequence[str]) -> tuple[Path | None, dict[str, Any]]:
    """The params file, where one is named, and the flags: `--name value`, `--name=value`, or `--name` for True."""
    path, flags, words, problems = None, {}, list(argv), []
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            if path or Path(word).suffix not in (".yaml", ".yml"):
                problems.append(
                    f"expected --name value, or one params file (.yaml), found {word!r}; "
                    "a list is one value with commas"
                )
            path = path or Path(word)
            continue
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_")
        if not equals and words and not words[0].startswith("--"):
            equals, value = "=", words.pop(0)
        if name in flags:
            problems.append(f"--{name} stands twice; keep one")
        flags[name] = FlagText(value) if equals else True
    if problems:
        raise InputError("\n".join(problems))
    return path if path is None or path.exists() else resolve_path(path), flags


def describe_flags() -> str:
    """The help text: own flags with their defaults, then where to find the others."""
    lines = ["train.py params/train.<run>.yaml, or flags, or both (flags win):"]
    for entry in dataclasses.fields(RunArguments):
        is_needed = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        default = entry.default_factory() if entry.default_factory is not dataclasses.MISSING else entry.default
        lines.append(f"  --{entry.name} {describe_type(entry.type)}" + ("" if is_needed else f" (default {default})"))
    return "\n".join([*lines, "and every argument of transformers.TrainingArguments, such as --learning_rate 2e-5"])


def _check_values(values: dict[str, Any], origins: dict[str, str]) -> tuple[RunArguments, dict[str, Any]]:
    """Values by name, as they were found, into those of the right types; `origins` says which stand in a file."""
    from transformers import TrainingArguments

    own = {entry.name: entry.type for entry in dataclasses.fields(RunArguments)}
    known = own | {entry.name: entry.type for entry in dataclasses.fields(TrainingArguments) if entry.init}
    checked, problems = {}, []
    for given_name, given in values.items():
        try:
            name, value = _read_negation(given_name, given, known)
            if name != given_name and name in values:
                raise InputError(f"{given_name} and {name} say the same; keep one, {name}")
            checked[name] = convert_value(name, value, known[name])
        except InputError as error:
            problems.append(origins.get(given_name, "") + str(error))
    problems += _find_problems(checked) if not problems else []
    if problems:
        raise InputError("\n".join(problems))
    run = RunArguments(**{name: value for name, value in checked.items() if name in own})
    return run, {name: value for name, value in checked.items() if name not in own}


def _read_negation(name: str, value: Any, known: dict[str, Any]) -> tuple[str, Any]:
    """A known name and its value; `--no_name` is `--name False`, as in every script of transformers."""
    if SECRET_KEY.search(name):
        raise InputError(f"{name} is a secret, and no flag is a place for one; set the environment variable HF_TOKEN")
    if name in known:
        return name, value
    positive = name.removeprefix("no_")
    if positive != name and bool in _list_choices(known.get(positive)):
        return positive, not read_bool(name, value)
    nearest = difflib.get_close_matches(name, known, n=1)
    raise InputError(
        f"unknown setting {name!r}" + (f"; did you mean {nearest[0]!r}?" if nearest else "; see train.py --help")
    )


def _find_problems(checked: dict[str, Any]) -> list[str]:
    """What is missing, or out of range, in values whose types are right."""
    problems = []
    if "model_name_or_path" not in checked:
        problems.append("model_name_or_path is missing: give a model's folder, or its id on the hub")
    if (checked.get("data_path") is None) == (checked.get("dataset_name") is None):
        problems.append(
            "expected either data_path (a JSON or JSONL file) or dataset_name (on the hub), found "
            + ("both" if checked.get("data_path") else "neither")
        )
    if (checked.get("prompt_column") is None) != (checked.get("response_column") is None):
        problems.append("expected prompt_column and response_column, or neither; found one of them")
    for name in (
        "model_max_length",
        "lora_r",
        "lora_alpha",
        "preprocessing_num_workers",
        "per_device_train_batch_size",
        "per_device_eval_batch_size",
        "gradient_accumulation_steps",
        "rope_factor",
    ):
        if checked.get(name) is not None and checked[name] < 1:
            problems.append(f"{name}: expected at least 1, found {checked[name]}")
    if not 0 <= checked.get("lora_dropout", 0) < 1:
        problems.append(f"lora_dropout: expected from 0 to less than 1, found {checked['lora_dropout']}")
    if checked.get("save_only_model"):
        problems.append(
            "save_only_model: a run could not go on from such a checkpoint as if nothing had happened; "
            "leave it out, save_total_limit keeps few"
        )
    if checked.get("eval_strategy", "no") != "no" and checked.get("eval_data_path") is None:
        problems.append(f"eval_strategy {checked['eval_strategy']}: expected eval_data_path beside it, found none")
    if checked.get("bf16") and checked.get("fp16"):
        problems.append("bf16 and fp16: expected one of them, found both")
    return problems


def _read_deepspeed_argument(trainer: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    name = trainer.get("deepspeed")
    if name is None:
        return trainer, []
    path = Path(name) if Path(name).exists() else resolve_path(name)
    config = read_deepspeed(path)
    try:
        config, from_file, notes = resolve_deepspeed(config, trainer)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return trainer | from_file | {"deepspeed": config}, notes


# Types ---------------------------------------------------------------------------------------------------------------


def convert_value(name: str, value: Any, annotation: Any) -> Any:
    """A flag's text, or a params file's value, as its annotation wants it. Raises InputError naming what is wrong."""
    choices = _list_choices(annotation)
    if value is None or isinstance(value, FlagText) and value == "None":
        if type(None) in choices:
            return None
        raise InputError(f"{name}: expected {describe_type(annotation)}, found nothing")
    for convert in (_convert_bool, _convert_number, _convert_name, _convert_text):
        found = convert(name, value, choices)
        if found is not None:
            return found
    if isinstance(value, str) and not isinstance(value, FlagText) and TEXT_NUMBER.fullmatch(value):
        raise InputError(
            f"{name}: {value!r} is text to YAML; write a number with a point and a signed exponent, as in 1.0e-5"
        )
    raise InputError(
        f"{name}: expected {describe_type(annotation)}, found {value!r}"
        + (" (what a flag without a value means)" if value is True else "")
    )


def _convert_bool(name: str, value: Any, choices: list[Any]) -> bool | None:
    if bool not in choices:
        return None
    try:
        return read_bool(name, value)
    except InputError:
        return None


def _convert_number(name: str, value: Any, choices: list[Any]) -> int | float | None:
    """int stays int where a float is expected, so that 500 steps are not 500.0."""
    if isinstance(value, bool) or int not in choices and float not in choices:
        return None
    if not isinstance(value, (int, float, FlagText)):
        return None
    for kind in (int, float):
        if kind is float and float not in choices or kind is int and isinstance(value, float):
            continue
        try:
            number = kind(value)
        except (ValueError, OverflowError):
            continue
        return number if math.isfinite(number) else None
    return None


def _convert_name(name: str, value: Any, choices: list[Any]) -> str | None:
    """One of a fixed list of names; YAML reads the name `no` as False."""
    names = _list_names(choices)
    value = "no" if value is False and "no" in names else value
    if not names or not isinstance(value, str) or value in names:
        return str(value) if names and isinstance(value, str) else None
    nearest = difflib.get_close_matches(value, names, n=1)
    raise InputError(
        f"{name}: expected one of {', '.join(names)}, found {str(value)!r}"
        + (f"; did you mean {nearest[0]!r}?" if nearest else "")
    )


def _convert_text(name: str, value: Any, choices: list[Any]) -> str | list[str] | dict[str, Any] | None:
    """Text, a list of text (`a,b` as a flag) or a mapping (JSON as a flag)."""
    kinds = [get_origin(choice) or choice for choice in choices]
    if list in kinds and isinstance(value, FlagText) and ("," in value or str not in kinds):
        return [part.strip() for part in value.split(",") if part.strip()]
    if dict in kinds and isinstance(value, FlagText) and value.startswith("{"):
        try:
            return json.loads(value)
        except ValueError as error:
            raise InputError(f"{name}: expected a JSON object, found {str(value)!r}: {error}") from None
    if str in kinds and isinstance(value, str):
        return str(value)
    if list in kinds and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return value if dict in kinds and isinstance(value, dict) else None


def _list_choices(annotation: Any) -> list[Any]:
    is_union = get_origin(annotation) in (Union, types.UnionType)
    return list(get_args(annotation)) if is_union else [annotation]


def _list_names(choices: list[Any]) -> list[str]:
    """The values of a Literal or of transformers' enumerations of names."""
    names: list[str] = []
    for choice in choices:
        if get_origin(choice) is Literal:
            names += [value for value in get_args(choice) if isinstance(value, str)]
        elif isinstance(choice, type) and issubclass(choice, enum.Enum):
            names += [str(member.value) for member in choice]
    return names


def describe_type(annotation: Any) -> str:
    """An annotation in words: "a whole number", "True or False"."""
    choices = _list_choices(annotation)
    names = _list_names(choices)
    if names:
        return "one of " + ", ".join(names)
    words = {bool: "True or False", int: "a whole number", float: "a number", str: "text", list: "a list of text",
             dict: "a mapping", type(None): "None"}  # fmt: skip
    return " or ".join(words.get(get_origin(choice) or choice, str(choice)) for choice in choices)
