"""A LoRA adapter merged into its base model: python -m sciqag_lib.training.merging ADAPTER_DIR OUTPUT_DIR [--base M]

The result is a plain model folder (safetensors, tokenizer) that AutoModelForCausalLM.from_pretrained loads, the
transformers engine runs and gguf_export.py turns into a GGUF file. Embeddings and norms that were fully trained beside
the adapter, as LongLoRA does (arXiv 2309.12307), are put in place; tied embeddings stay tied where training kept them.
check_adapter() finds what training has been seen to save instead of an adapter: empty tensors (ZeRO-3), zeros, NaN.
Example of a problem: "base_model...q_proj.lora_B.weight: shape (576, 0) holds no numbers".
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sciqag_lib.errors import InputError

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
SHOWN_PROBLEMS = 5


def check_adapter(adapter_dir: str | Path) -> list[str]:
    """One line for each thing wrong with a saved adapter, naming the file or tensor; [] for a sound one.

    Looked for: a missing or torn file, tensors of size 0, with NaN or infinity, or all zero (LoRA's B begins as zeros,
    so these were not trained, or not saved), half a pair of A and B, and modules_to_save without a tensor.
    Reads one tensor at a time; needs neither the base model nor peft.
    """
    from safetensors import SafetensorError

    from sciqag_lib.training.checkpoints import ZEROS, find_faults

    adapter_dir = Path(adapter_dir)
    try:
        config = _read_config(adapter_dir)
    except InputError as error:
        return [str(error)]
    path = adapter_dir / ADAPTER_WEIGHTS
    if not path.is_file():
        return [f"{path}: expected the adapter's tensors, found no such file"]
    try:
        faults = find_faults(path)
    except SafetensorError as error:
        return [f"{path}: expected a safetensors file, found a torn one: {error}"]
    problems = [
        f"{name}: {fault}"
        for name, fault in faults.items()
        if fault and not (fault == ZEROS and name.endswith(".bias"))
    ]
    return problems + _check_names(config, list(faults), path)


def merge_adapter(adapter_dir: str | Path, output_dir: str | Path, base: str | None = None) -> Path:
    """Merge and save as `output_dir`, written atomically; returns it.

    base: a model's folder, a hub id or a .gguf file instead of the one that adapter_config.json names. Weights keep the
    base's own dtype. A config.json beside the adapter replaces the base's: training may have stretched its positions.
    Raises InputError for an adapter that check_adapter finds unsound, one that does not fit the base, a base that does
    not load, and an output folder that holds anything.
    """
    from sciqag_lib.training.checkpoints import write_folder

    adapter_dir, output_dir = Path(adapter_dir), Path(output_dir)
    if output_dir.is_file() or output_dir.is_dir() and any(output_dir.iterdir()):
        raise InputError(f"{output_dir}: expected a new or empty folder for the merged model, found one in use")
    problems = check_adapter(adapter_dir)
    if problems:
        more = [f"and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
        raise InputError(
            f"{adapter_dir}: expected a trained adapter, found:\n" + "\n".join([*problems[:SHOWN_PROBLEMS], *more])
        )
    base = base or _read_config(adapter_dir).get("base_model_name_or_path")
    if not base:
        raise InputError(f"{adapter_dir}/{ADAPTER_CONFIG}: names no base model; give it with --base")
    model, tokenizer = _open_base(base, adapter_dir)
    model = _merge(model, adapter_dir, base)
    model.config.use_cache = True  # a trainer leaves False, with which generation computes every token again
    model.config._name_or_path = ""
    with write_folder(output_dir) as building:
        model.save_pretrained(building)
        tokenizer.save_pretrained(building)
    return output_dir


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 2 with a message where the adapter cannot be merged."""
    parser = argparse.ArgumentParser(prog="python -m sciqag_lib.training.merging", description=__doc__)
    parser.add_argument("adapter_dir", type=Path, help="a folder with adapter_config.json")
    parser.add_argument("output_dir", type=Path, help="a new folder for the merged model")
    parser.add_argument("--base", help="folder, hub id or .gguf file, instead of the one the adapter names")
    args = parser.parse_args(argv)
    try:
        print(merge_adapter(args.adapter_dir, args.output_dir, args.base))
    except (InputError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


# Checking ------------------------------------------------------------------------------------------------------------


def _read_config(adapter_dir: Path) -> dict[str, Any]:
    path = adapter_dir / ADAPTER_CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: expected a LoRA adapter's settings, found no readable file") from error
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, found a broken file: {error}") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        found = config.get("peft_type") if isinstance(config, dict) else config
        raise InputError(f"{path}: peft_type: expected LORA, found {found!r}")
    return config


def _check_names(config: dict[str, Any], names: list[str], path: Path) -> list[str]:
    """What should be there and is not."""
    problems = [] if any("lora_" in name for name in names) else [f"{path}: expected LoRA tensors, found none"]
    for name in names:
        for half, other in (("lora_A", "lora_B"), ("lora_B", "lora_A"), ("lora_embedding_A", "lora_embedding_B")):
            if f".{half}" in name and name.replace(f".{half}", f".{other}") not in names:
                problems.append(f"{name}: its {other} is missing")
    # peft may list one module twice, by its name and by its path
    for module in sorted({module.rpartition(".")[2] for module in config.get("modules_to_save") or []}):
        is_tied = module in ("lm_head", "embed_tokens") and config.get("ensure_weight_tying")
        accepted = ["lm_head", "embed_tokens"] if is_tied else [module]
        if not any(f".{part}." in f".{name}" for name in names for part in accepted):
            problems.append(f"{path}: modules_to_save names {module}, but no tensor of it was saved")
    return problems


# Merging -------------------------------------------------------------------------------------------------------------


def _open_base(base: str, adapter_dir: Path) -> tuple[Any, Any]:
    """(model in its own dtype on the CPU, the adapter's tokenizer or, where none was saved with it, the base's)"""
    import transformers

    from sciqag_lib.engines import EngineError
    from sciqag_lib.engines.loading import load_model

    try:
        tokenizer, model = load_model(base, None, "auto", "sdpa")
    except EngineError as error:
        raise InputError(f"{adapter_dir}: its base {error}; give another with --base") from error
    if (adapter_dir / "config.json").is_file():
        config = transformers.AutoConfig.from_pretrained(str(adapter_dir), trust_remote_code=False)
        # The positions of the training; frequencies are computed anew when the folder is loaded.
        model.config.max_position_embeddings = config.max_position_embeddings
        model.config.rope_parameters = config.rope_parameters
    if (adapter_dir / "tokenizer_config.json").is_file():
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(adapter_dir), trust_remote_code=False)
    return model, tokenizer


def _merge(model: Any, adapter_dir: Path, base: str) -> Any:
    import peft
    from safetensors import safe_open

    with safe_open(adapter_dir / ADAPTER_WEIGHTS, "pt") as file:
        whole = [name for name in file.keys() if name.endswith(("embed_tokens.weight", "lm_head.weight"))]
        rows = file.get_slice(whole[0]).get_shape()[0] if whole else None
    if rows and rows != model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(rows)  # all rows are in the adapter, which was trained with new tokens
    try:
        wrapped = peft.PeftModel.from_pretrained(model, str(adapter_dir))
        return wrapped.merge_and_unload(safe_merge=True)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{adapter_dir}: expected an adapter of the base model {base}, found one that does not fit it: {error}"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
