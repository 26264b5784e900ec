"""The model of a training run: its weights as a folder, its positions, attention and precision, and LoRA.

Positions are stretched as LongLoRA does it (arXiv 2309.12307): linearly, by the smallest whole factor that makes room
for the examples; or by any other scaling of transformers. LoRA (Hu et al. 2021) and QLoRA (Dettmers et al. 2023) go
through peft, with embeddings and norms fully trained beside them, as LongLoRA found necessary for long contexts.
"""

import contextlib
import hashlib
import importlib.util
import re
import shutil
from pathlib import Path
from typing import Any

import filelock
import torch
import transformers

from sciqag_lib.engines import EngineError, loading
from sciqag_lib.engines.common import describe_error, find_source, hash_files
from sciqag_lib.errors import InputError
from sciqag_lib.training.arguments import RunArguments
from sciqag_lib.training.checkpoints import write_folder

ROUNDED_TO = 64  # rows of an embedding that is made larger: a size that matrix kernels are fast with
COPIED = (".json", ".model", ".txt", ".jinja")  # what a model's folder holds beside its weights


# The source: a folder or hub id that transformers loads, with the configuration the run needs ------------------------


def prepare_source(run: RunArguments, cache_dir: Path) -> str:
    """A folder, or hub id, whose weights fit the tokenizer and load as they are.

    A GGUF file is unpacked, and an embedding that has fewer rows than the tokenizer has tokens is enlarged; the result
    is kept in `cache_dir`, made by one process while others wait. InputError: there is no such model.
    """
    source = find_source(run.model_name_or_path)
    if Path(source).suffix == ".gguf":
        return _rewrite_once(source, cache_dir, f"gguf-{hash_files([Path(source)])}", _unpack)
    tokenizer, config = open_tokenizer(source, run.cache_dir), open_config(source, run.cache_dir)
    if len(tokenizer) <= config.get_text_config().vocab_size:
        return source
    files = [file for file in Path(source).iterdir() if file.is_file()] if Path(source).is_dir() else []
    name = hash_files(files) if files else hashlib.sha256(source.encode()).hexdigest()[:16]
    return _rewrite_once(source, cache_dir, f"enlarged-{len(tokenizer)}-{name}", _enlarge)


def open_config(source: str, cache_dir: str | None = None) -> Any:
    return _open(transformers.AutoConfig, source, cache_dir)


def open_tokenizer(source: str, cache_dir: str | None = None) -> Any:
    """The tokenizer, with a token to pad with: one it has already, so that no embedding has to grow."""
    tokenizer = _open(transformers.AutoTokenizer, source, cache_dir)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


def _open(kind: Any, source: str, cache_dir: str | None) -> Any:
    try:
        return kind.from_pretrained(source, cache_dir=cache_dir, trust_remote_code=False)
    except Exception as error:
        raise InputError(
            f"model_name_or_path: expected a folder with a transformers model, or a hub id that can be "
            f"reached, found {source!r}: {describe_error(error)}"
        ) from error


def _rewrite_once(source: str, cache_dir: Path, name: str, rewrite: Any) -> str:
    folder = cache_dir / re.sub(r"[^\w.-]", "_", name)
    cache_dir.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{folder}.lock"):
        if not folder.exists():
            with write_folder(folder) as building:
                for part in rewrite(source):
                    part.save_pretrained(building)
    return str(folder)


def _unpack(source: str) -> tuple[Any, Any]:
    try:
        return loading.load_model(source, None, torch.float32, "sdpa")
    except EngineError as error:
        raise InputError(f"model_name_or_path: {error}") from error


def _enlarge(source: str) -> tuple[Any, Any]:
    """Room for all tokens, rounded up to a multiple of 64; new rows, in and out, are the mean of the old."""
    tokenizer = open_tokenizer(source)
    model = transformers.AutoModelForCausalLM.from_pretrained(source, dtype="auto", trust_remote_code=False)
    old = model.get_input_embeddings().weight.shape[0]
    model.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=ROUNDED_TO, mean_resizing=False)
    with torch.no_grad():
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            if layer is not None and layer.weight.shape[0] > old:
                layer.weight[old:] = layer.weight[:old].float().mean(dim=0).to(layer.weight.dtype)
    return tokenizer, model


def link_with_config(source: str, config: Any, folder: Path, cache_dir: str | None) -> str:
    """A folder with the weights of `source`, linked, and another configuration: what a LoRA adapter is loaded onto
    must say how far its positions were stretched."""
    if not Path(source).is_dir():
        from huggingface_hub import snapshot_download

        source = snapshot_download(source, cache_dir=cache_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        for file in Path(source).iterdir():
            target = folder / file.name
            if file.is_file() and file.name != "config.json" and not target.is_symlink():
                shutil.copyfile(file, target) if file.suffix in COPIED else target.symlink_to(file.resolve())
        config.save_pretrained(folder)
    return str(folder)


# Positions -----------------------------------------------------------------------------------------------------------


def choose_length(run: RunArguments, config: Any) -> int:
    """Tokens of an example: what was asked for, or the model's positions. InputError: it names none."""
    length = run.model_max_length or loading.count_positions(config)
    if length is None:
        raise InputError("model_max_length: this model does not say how long its context is; give a length in tokens")
    return length


# Attention and precision ---------------------------------------------------------------------------------------------


def choose_attention(run: RunArguments, packing: bool) -> tuple[str, str]:
    """transformers' name of the attention, and a description with the reason."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name, reason = loading.choose_attention(device, run.use_flash_attn)
    if run.attention == "s2":
        return "s2", f"s2, shifted sparse attention in training, full attention in evaluation{reason}"
    if packing and name == "sdpa":
        return "segments", f"segments, each example of a pack by itself{reason}"
    return name, name + reason


def choose_dtype(run: RunArguments, trainer: dict[str, Any]) -> torch.dtype:
    """What the weights are loaded in. DeepSpeed and LoRA keep what is trained in float32 beside them; without, bf16
    and fp16 are the precision of the arithmetic alone."""
    half = torch.bfloat16 if trainer.get("bf16") else torch.float16 if trainer.get("fp16") else torch.float32
    return half if trainer.get("deepspeed") or run.method != "full" else torch.float32


# Loading -------------------------------------------------------------------------------------------------------------


def load_for_training(source: str, config: Any, run: RunArguments, trainer: dict[str, Any], attention: str) -> Any:
    """The model, under DeepSpeed stage 3 already partitioned (make TrainingArguments first), all weights from `source`.

    InputError: weights are missing there, qlora has no GPU, LoRA's targets are not in the model.
    """
    weights: dict[str, Any] = {"dtype": choose_dtype(run, trainer), "attn_implementation": attention}
    if run.method == "qlora":
        weights["quantization_config"] = _make_quantization(trainer)
    model, found = transformers.AutoModelForCausalLM.from_pretrained(
        source, config=config, cache_dir=run.cache_dir, trust_remote_code=False, output_loading_info=True, **weights
    )
    missing = sorted({*found["missing_keys"], *(str(key) for key in found["mismatched_keys"])})
    if missing:
        raise InputError(
            f"{source}: expected all weights of {type(model).__name__}, found none for {len(missing)} "
            f"of them ({', '.join(missing[:3])} ...); the folder is incomplete, or of another model"
        )
    compare_with_file(model, source)
    model.config.use_cache = False
    return add_lora(model, run, trainer) if run.method != "full" else model


def _make_quantization(trainer: dict[str, Any]) -> Any:
    if not torch.cuda.is_available():
        raise InputError("method qlora: needs a GPU and there is none here; give method lora")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError("method qlora: needs the package bitsandbytes, which `make gpu` installs")
    dtype = torch.bfloat16 if trainer.get("bf16") else torch.float16
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_quant_storage=dtype,
    )


def compare_with_file(model: Any, source: str) -> None:
    """Compare one weight with its file: transformers has loaded partitioned models half, without a word.

    The weight is the largest below a million numbers. RuntimeError where they differ; nothing is compared where the
    source is no folder with safetensors, or is quantized while it is loaded.
    """
    from safetensors import safe_open

    stored = {}
    for file in sorted(Path(source).glob("*.safetensors")) if Path(source).is_dir() else []:
        with safe_open(file, "pt") as reader:
            stored.update(dict.fromkeys(reader.keys(), file))
    sizes = {name: getattr(weight, "ds_numel", weight.numel()) for name, weight in model.named_parameters()
             if name in stored and weight.is_floating_point()}  # fmt: skip
    small = [name for name in sizes if sizes[name] < 1_000_000]
    if not small or getattr(model, "is_quantized", False):
        return
    name = max(small, key=sizes.__getitem__)
    weight = dict(model.named_parameters())[name]
    gathered: Any = contextlib.nullcontext()
    if hasattr(weight, "ds_id"):  # DeepSpeed has partitioned it
        import deepspeed

        gathered = deepspeed.zero.GatheredParameters([weight])
    with safe_open(stored[name], "pt") as reader, gathered:
        expected = reader.get_tensor(name).to(weight.dtype)
        if not torch.equal(weight.detach().cpu(), expected):
            raise RuntimeError(
                f"{name}: the loaded weight is not the one in {stored[name]}; transformers or "
                "DeepSpeed has loaded this architecture wrongly, do not train it with these versions"
            )


# LoRA ----------------------------------------------------------------------------------------------------------------


def add_lora(model: Any, run: RunArguments, trainer: dict[str, Any]) -> Any:
    """Adapters on run.lora_targets; modules whose name contains one of run.trainable_params are fully trained."""
    import peft

    modules = [(name.rpartition(".")[2], module) for name, module in model.named_modules()]
    absent = sorted(set(run.lora_targets) - {name for name, _ in modules})
    if absent:
        linear = sorted({name for name, module in modules if isinstance(module, torch.nn.Linear)})
        raise InputError(
            f"lora_targets: this model has no {', '.join(absent)}; its linear layers are {', '.join(linear)}"
        )
    whole = list_whole_modules(model, run.trainable_params)
    unmatched = [part for part in run.trainable_params if not list_whole_modules(model, [part])]
    if unmatched:
        raise InputError(
            f"trainable_params: no module of this model has {', '.join(unmatched)} in its name; expected "
            "parts of names such as embed and norm"
        )
    if run.method == "qlora":
        model = peft.prepare_model_for_kbit_training(model, trainer.get("activation_checkpointing", False))
    settings = peft.LoraConfig(
        r=run.lora_r, lora_alpha=run.lora_alpha, lora_dropout=run.lora_dropout, target_modules=run.lora_targets,
        modules_to_save=whole or None, task_type="CAUSAL_LM",
        ensure_weight_tying=bool(whole) and model.config.get_text_config().tie_word_embeddings)  # fmt: skip
    # DeepSpeed keeps float32 copies of what is trained itself, and wants one type in the model.
    model = peft.get_peft_model(model, settings, autocast_adapter_dtype=not trainer.get("deepspeed"))
    if not trainer.get("deepspeed"):
        for weight in model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()
    if trainer.get("activation_checkpointing"):
        model.enable_input_require_grads()  # else nothing before the first trained weight would be differentiated
    return model


def list_whole_modules(model: Any, parts: list[str]) -> list[str]:
    """The last names of the modules with weights of their own whose name contains one of `parts`."""
    owners = {name.split(".")[-2] for name, _ in model.named_parameters(remove_duplicate=False) if "." in name}
    return sorted(owner for owner in owners if any(part in owner for part in parts))
