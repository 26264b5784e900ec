"""Loading a model with transformers: from a folder, a GGUF file or the hub, in the precision and with the attention
that suit the machine."""

import contextlib
import importlib.util
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional, Union

from sciqag_lib.engines import EngineError
from sciqag_lib.engines.common import describe_error, hash_files, patient_threads, read_gguf_context
from sciqag_lib.engines.gguf_restoring import restore_positions, restore_tokenizer

with patient_threads():
    import torch
    import transformers
    from transformers.utils import logging as transformers_logging


def load_model(
    source: str, cache_dir: Optional[str], dtype: Union[torch.dtype, str], attention: str
) -> tuple[Any, Any]:
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


def count_positions(config: Any) -> Optional[int]:
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
        times = []
        for _ in range(5):
            start = time.perf_counter()
            torch.mm(left, right)
            times.append(time.perf_counter() - start)
        seconds[dtype] = min(times)
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
