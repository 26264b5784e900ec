"""Loading a model with transformers: from a folder, a GGUF file or the hub, in the precision and with the attention
that suit the machine."""

import contextlib
import importlib.util
import io
import math
import timeit
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from sciqag_lib.engines import EngineError
from sciqag_lib.engines.common import describe_error, hash_files, patient_threads, read_gguf_context
from sciqag_lib.engines.gguf_restoring import restore_positions, restore_tokenizer
from sciqag_lib.errors import InputError

with patient_threads():
    import torch
    import transformers
    from transformers.utils import logging as transformers_logging


def load_model(source: str, cache_dir: str | None, dtype: torch.dtype | str, attention: str) -> tuple[Any, Any]:
    """(tokenizer, model on the CPU); `dtype` "auto" is the weights' own.

    EngineError where `source` is neither a readable folder, GGUF file nor hub id.
    """
    where: dict[str, Any] = {"cache_dir": cache_dir, "trust_remote_code": False}
    weights: dict[str, Any] = {"dtype": dtype, "attn_implementation": attention}
    path = Path(source).expanduser()
    if path.suffix == ".gguf":
        read_gguf_context(path)  # refuses what is no GGUF file, with a clearer message than the library's
        source, where["gguf_file"] = str(path.parent), path.name
        weights["quantization_config"] = transformers.GgufConfig(dequantize=True)  # packed weights are slow on a CPU
    elif path.exists():
        source = str(path)
    try:
        with _hide_progress():
            tokenizer = transformers.AutoTokenizer.from_pretrained(source, **where)
            if path.suffix == ".gguf":
                weights["config"] = transformers.AutoConfig.from_pretrained(source, **where)
                restore_tokenizer(tokenizer, path)
                restore_positions(weights["config"], path)
            model = transformers.AutoModelForCausalLM.from_pretrained(source, **where, **weights)
    except Exception as error:
        raise EngineError(
            f"model: expected a folder with a transformers model, a hub id or the path of a .gguf file, "
            f"found {source!r}, which could not be loaded: {describe_error(error)}"
        ) from error
    return tokenizer, model


def identify_model(source: str, model: Any) -> str:
    """Name and content hash of local weights, or the hub id and its revision."""
    path = Path(source).expanduser()
    if path.is_file():
        return f"{path.name} {hash_files([path])}"
    if path.is_dir():
        files = [file for file in path.iterdir() if file.suffix in (".safetensors", ".bin", ".json", ".model")]
        return f"{path.resolve().name} {hash_files(files)}"
    return f"{source} {getattr(model.config, '_commit_hash', None) or ''}".strip()


def count_positions(config: Any) -> int | None:
    """The longest context a model's configuration is made for, None where it names none: with linear or dynamic
    scaling `factor` times max_position_embeddings, with the others what max_position_embeddings says already."""
    config = config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None)
    rope = getattr(config, "rope_parameters", None) or {}
    factor = rope.get("factor") if isinstance(rope.get("factor"), (int, float)) else 1
    if positions is None:
        return None
    if rope.get("rope_type") in ("linear", "dynamic"):
        return int(positions * factor)
    return max(positions, int((rope.get("original_max_position_embeddings") or 0) * factor))


def choose_attention(device: torch.device, flash_attn: bool) -> tuple[str, str]:
    """(attn_implementation, why it is not flash attention, in words for the description)"""
    if not flash_attn:
        return "sdpa", ""
    if device.type != "cuda":
        return "sdpa", " (flash_attention_2 needs a GPU)"
    if importlib.util.find_spec("flash_attn") is None:
        return "sdpa", " (flash_attention_2 is not installed)"
    return "flash_attention_2", ""


def choose_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where this machine multiplies it faster than float32, which not every CPU does: it is tried."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = torch.ones(256, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
        torch.mm(left, right)  # the first product also sets the library up
        seconds[dtype] = min(timeit.repeat(partial(torch.mm, left, right), number=1, repeat=5))
    return min(seconds, key=lambda dtype: seconds[dtype])


def has_plain_cache(model: Any) -> bool:
    """True where every layer keeps all keys and values, which can then be cut and joined: no windows, no states."""
    layers = transformers.DynamicCache(config=model.config).layers
    return all(type(layer) is transformers.cache_utils.DynamicLayer for layer in layers)


def list_eos(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a reply, by the model's generation settings and by its tokenizer."""
    named = model.generation_config.eos_token_id if model.generation_config else None
    ids = named if isinstance(named, list) else [named]
    return sorted({token for token in [*ids, tokenizer.eos_token_id] if token is not None})


@contextlib.contextmanager
def _hide_progress() -> Iterator[None]:
    """Loading without the library's bars and notices, which would fill a notebook."""
    shown, level = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the bar of a GGUF file knows no other switch
            yield
    finally:
        transformers_logging.set_verbosity(level)
        if shown:
            transformers_logging.enable_progress_bar()


def scale_positions(
    config: Any,
    length: int,
    scaling: str = "linear",
    factor: float | None = None,
    parameters: dict[str, Any] | None = None,
) -> str:
    """Change `config` so that the model has positions for `length` tokens; returns what was done, "" for nothing.

    `factor` is None for the smallest whole number that is enough; `parameters` are what else transformers asks of the
    scaling (rope_parameters). InputError: the model's positions can't be stretched that way.
    """
    config = config.get_text_config()
    positions = count_positions(config)
    if positions is None or length <= positions:
        return ""
    rope = getattr(config, "rope_parameters", None)
    if not rope or "rope_type" not in rope:
        raise InputError(
            f"model_max_length {length:,}: expected at most {positions:,}, the model's positions, which are "
            "not of the kind that can be stretched; give a smaller one"
        )
    if rope["rope_type"] not in ("default", scaling) or rope["rope_type"] not in ("default", "linear", "dynamic"):
        raise InputError(
            f"model_max_length {length:,}: expected at most {positions:,}: this model's positions are "
            f"stretched already ({rope['rope_type']}); give a smaller one"
        )
    original = config.max_position_embeddings
    factor = float(math.ceil(length / original)) if factor is None else float(factor)
    if original * factor < length:
        raise InputError(
            f"rope_factor {factor:g}: {original:,} positions become {int(original * factor):,}, too few for "
            f"model_max_length {length:,}; expected at least {math.ceil(length / original)}"
        )
    config.rope_parameters = {**rope, "rope_type": scaling, "factor": factor, **(parameters or {})}
    if scaling not in ("linear", "dynamic"):  # the others keep the old number beside the new one
        config.rope_parameters.setdefault("original_max_position_embeddings", original)
        config.max_position_embeddings = int(original * factor)
    _check_rope(config, scaling)
    return f"positions: {original:,} stretched to {int(original * factor):,} ({scaling}, factor {factor:g})"


def _check_rope(config: Any, scaling: str) -> None:
    """transformers finds what is missing only when it uses it."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    try:
        ROPE_INIT_FUNCTIONS[scaling](config, torch.device("cpu"), seq_len=config.max_position_embeddings)
    except KeyError as error:
        raise InputError(
            f"rope_scaling {scaling}: expected {error} in rope_parameters, found "
            f"{', '.join(sorted(config.rope_parameters))}"
        ) from error
