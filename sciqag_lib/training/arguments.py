"""The command line of train.py: a flat params file, flags, or both, into checked arguments.

    torchrun --nproc_per_node=8 train.py params/train.generator.yaml
    torchrun --nproc_per_node=8 train.py --model_name_or_path vicuna-7b-v1.5-16k --bf16 True --data_path DATA.json ...

Flags override the params file. Besides those of RunArguments, every argument of transformers.TrainingArguments is a
flag. Unknown names, wrong types, secrets and repeated flags are refused. Paths are not resolved here.
"""

import argparse
import dataclasses
import difflib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sciqag_lib.errors import InputError
from sciqag_lib.params import SECRET_KEY, load_params
from sciqag_lib.paths import resolve_path
from sciqag_lib.training.deepspeed import read_deepspeed, resolve_deepspeed
from sciqag_lib.training.flags import LEFT_OUT, PublishedFlags, option, rename_flags, translate_flags

NOT_GIVEN = object()
AT_LEAST_ONE = """
    model_max_length lora_r lora_alpha preprocessing_num_workers per_device_train_batch_size
    per_device_eval_batch_size gradient_accumulation_steps rope_factor
""".split()


@dataclass(frozen=True)
class RunArguments:
    """What transformers.TrainingArguments does not have."""

    model_name_or_path: str = option("", "a model's folder, or its id on the hub")
    data_path: str | None = option(None, "JSON or JSONL file of training examples")
    dataset_name: str | None = option(None, "instead of data_path: a dataset's id on the hub")
    eval_data_path: str | None = option(None, "examples for the validation loss")
    cache_dir: str | None = option(None, "for downloads from the hub")
    prompt_form: str = option("llama2", "llama2, alpaca, chat (the tokenizer's own template), or a form file's path")
    prompt_column: str | None = option(None, "the question's key in a record; None: content, as in SciInstruct")
    response_column: str | None = option(None, "the answer's key in a record; None: summary")
    preprocessing_num_workers: int | None = option(None, "threads that tokenize; None: one per core")
    model_max_length: int | None = option(None, "tokens per example; None: the model's context window")
    packing: bool | None = option(False, "several examples per row of the batch; None: where that is faster")
    method: Literal["full", "lora", "qlora"] = option("full", "what is trained: all weights, or an adapter")
    lora_r: int = option(8, "rank of the adapter")
    lora_alpha: int = option(16, "scale of the adapter")
    lora_dropout: float = option(0.0, "dropout in the adapter")
    lora_targets: list[str] = option(
        ["q_proj", "k_proj", "v_proj", "o_proj"], "layers that get an adapter, with commas"
    )
    trainable_params: list[str] = option(
        ["embed", "norm"], "modules with these words in their names are fully trained beside the adapter"
    )
    attention: Literal["full", "s2"] = option("full", "s2: LongLoRA's shifted sparse attention")
    use_flash_attn: bool = option(True, "flash_attention_2 where it is installed")
    rope_scaling: Literal["linear", "dynamic", "yarn", "longrope", "llama3", "proportional"] = option(
        "linear", "how a short context window is extended"
    )
    rope_factor: float | None = option(None, "None: model_max_length / the model's context window, rounded up")
    rope_parameters: dict = option({}, "what else the chosen scaling of transformers needs, as JSON")


@dataclass(frozen=True)
class Arguments:
    run: RunArguments
    trainer: dict[str, Any]  # for transformers.TrainingArguments(**trainer); `deepspeed` holds the resolved config
    notes: list[str]  # one line for everything that was renamed, left out or overridden


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Read train.py's command line, without the program's name. Raises InputError naming what is wrong."""
    parser, words, path = make_parser(), list(argv), None
    values, notes = {}, []
    if words and not words[0].startswith("-"):
        path = Path(words.pop(0))
        path = path if path.exists() else resolve_path(path)
        values, notes = _parse_file(path, parser)
    flags, flag_notes = _parse_words(words, parser)
    notes += flag_notes
    notes += [
        f"{name}: {flags[name]} overrides {value} from the params file"
        for name, value in values.items()
        if name in flags and flags[name] != value
    ]
    values |= flags
    _check_values(values)
    own = {entry.name for entry in dataclasses.fields(RunArguments)}
    run = RunArguments(**{name: values[name] for name in values if name in own})
    trainer = {name: values[name] for name in values if name not in own}
    if "output_dir" not in trainer:
        trainer["output_dir"] = f"runs/{path.stem if path else 'train'}"
        notes.append(f"output_dir: {trainer['output_dir']}, since none is given")
    if run.method == "full" and {"trainable_params", "lora_targets"} & values.keys():
        notes.append("trainable_params and lora_targets have no effect: method full trains everything")
    return Arguments(run, *_read_deepspeed_argument(trainer, notes))


def make_parser() -> argparse.ArgumentParser:
    """All flags, with transformers' explanations and ours."""
    from transformers import HfArgumentParser, TrainingArguments

    kinds = (RunArguments, PublishedFlags, TrainingArguments)
    parser = HfArgumentParser(
        kinds,
        prog="train.py",
        usage="train.py [params/train.<run>.yaml] [--name value ...]",
        description="Train a generator. Flags override the params file, which has the same names.",
        allow_abbrev=False,
        exit_on_error=False,
    )
    hints = {name: hint for kind in kinds for name, hint in get_type_hints(kind).items()}
    for name in LEFT_OUT.keys() - hints.keys():
        parser.add_argument(f"--{name}", nargs="?", help=f"accepted and left out: {LEFT_OUT[name]}")
    for action in parser._actions:  # the public interface offers no way to extend the types
        if action.type:
            alternatives = get_args(hints[action.dest])
            is_list = action.nargs == "+"  # `a,b` instead of `a b`
            action.nargs = None if is_list else action.nargs
            action.type = _make_reader(action, is_list, alternatives)
    return parser


def _make_reader(action: argparse.Action, is_list: bool, alternatives: tuple[Any, ...]) -> Callable[[str], Any]:
    """An argument's type that also reads None, JSON objects and, where the annotation has them, `a,b` as a list."""
    kind = action.type

    def read(text: str) -> Any:
        if text == "None" and type(None) in alternatives:
            return None
        if text.startswith("{"):
            return json.loads(text)
        if is_list or "," in text and list in map(get_origin, alternatives):
            return [part.strip() for part in text.split(",") if part.strip()]
        if text == "False" and "no" in (action.choices or ()):  # what YAML makes of the name `no`
            return "no"
        return int(text) if kind is float and text.isdecimal() else kind(text)  # 500 steps are not 500.0

    read.__name__ = getattr(kind, "__name__", "value")  # argparse names it in its messages
    return read


def _parse_file(path: Path, parser: argparse.ArgumentParser) -> tuple[dict[str, Any], list[str]]:
    words = []
    for name, value in load_params(path).items():
        text = ",".join(map(str, value)) if isinstance(value, list) else value
        words.append(f"--{name}={json.dumps(value) if isinstance(value, dict) else text}")
    try:
        return _parse_words(words, parser)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _parse_words(words: list[str], parser: argparse.ArgumentParser) -> tuple[dict[str, Any], list[str]]:
    """The values that `words` give, by the names of today, and a line for each that was renamed or left out."""
    words, notes = rename_flags(words)
    names = [word[2:].partition("=")[0] for word in words if word.startswith("--")]
    for name in names:
        if SECRET_KEY.search(name):
            raise InputError(
                f"{name}: secrets are not allowed on the command line; set the environment variable HF_TOKEN"
            )
        if names.count(name) > 1:
            raise InputError(f"{name} appears twice, or under an older name too; keep one")
    known = [action.dest for action in parser._actions]
    try:
        found, unknown = parser.parse_known_args(words, argparse.Namespace(**dict.fromkeys(known, NOT_GIVEN)))
    except argparse.ArgumentError as error:
        raise InputError(str(error)) from None
    if unknown:
        raise InputError(_describe_unknown(unknown, known))
    values = {name: value for name, value in vars(found).items() if value is not NOT_GIVEN}
    return translate_flags(values, notes), notes


def _describe_unknown(words: list[str], known: list[str]) -> str:
    names = [word[2:].partition("=")[0] for word in words if word.startswith("--")]
    if not names:
        return f"expected --name value, found {words[0]!r}; a params file comes first, a list is one value with commas"
    nearest = [difflib.get_close_matches(name, known, n=1) for name in names]
    return "\n".join(
        f"unknown setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else "; see train.py --help")
        for name, near in zip(names, nearest)
    )


def _check_values(values: dict[str, Any]) -> None:
    """InputError with a line for each value that is missing or out of range."""
    problems = []
    if not values.get("model_name_or_path"):
        problems.append("model_name_or_path is missing: give a model's folder, or its id on the hub")
    if (values.get("data_path") is None) == (values.get("dataset_name") is None):
        found = "both" if values.get("data_path") else "neither"
        problems.append(f"expected data_path (a JSON or JSONL file) or dataset_name (on the hub), found {found}")
    if (values.get("prompt_column") is None) != (values.get("response_column") is None):
        problems.append("expected prompt_column and response_column, or neither; found one of them")
    for name in AT_LEAST_ONE:
        if values.get(name) is not None and values[name] < 1:
            problems.append(f"{name}: expected at least 1, found {values[name]}")
    if not 0 <= values.get("lora_dropout", 0) < 1:
        problems.append(f"lora_dropout: expected from 0 to less than 1, found {values['lora_dropout']}")
    if values.get("save_only_model"):
        problems.append("save_only_model: such a checkpoint cannot be resumed; use save_total_limit to keep fewer")
    if values.get("eval_strategy", "no") != "no" and values.get("eval_data_path") is None:
        problems.append(f"eval_strategy {values['eval_strategy']}: expected eval_data_path beside it, found none")
    if problems:
        raise InputError("\n".join(problems))


def _read_deepspeed_argument(trainer: dict[str, Any], notes: list[str]) -> tuple[dict[str, Any], list[str]]:
    name = trainer.get("deepspeed")
    if name is None:
        return trainer, notes
    path = Path(name) if Path(name).exists() else resolve_path(name)
    try:
        config, from_file, more = resolve_deepspeed(read_deepspeed(path), trainer)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return trainer | from_file | {"deepspeed": config}, notes + more
