"""A saved Llama model as one GGUF file, which llama.cpp runs: python -m sciqag_lib.training.gguf_export DIR OUT.gguf

Reads the safetensors and the tokenizer of a transformers folder and writes what llama.cpp needs: sizes, rotary
frequencies, tokenizer and chat template, then the tensors one by one, so that memory holds one tensor, not the model.
Names and keys are those of the gguf package; a setting that they cannot say is refused, never left out.
Example of a tensor: model.layers.0.self_attn.q_proj.weight [576, 576] -> blk.0.attn_q.weight, Q8_0, rows reordered.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from sciqag_lib.engines.gguf_tokenizer import read_vocabulary, write_vocabulary
from sciqag_lib.errors import InputError
from sciqag_lib.paths import write_atomic

Kind = Literal["f16", "q8_0", "f32"]
SUPPORTED = ("LlamaForCausalLM",)
FILE_TYPES = {"f32": 0, "f16": 1, "q8_0": 7}  # gguf.LlamaFileType
BLOCK_VALUES = 32  # of Q8_0
QUANTIZED_ROWS = 4096  # at a time: quantizing needs several copies of what it works on
# What llama.cpp computes yarn with, whatever the model says.
YARN_FIXED = {"truncate": True, "mscale": 1.0, "mscale_all_dim": 0.0, "attention_factor": None}


@dataclass(frozen=True)
class Tensor:
    """One tensor on its way: its name and shape in both worlds (rows first), and its type in the file."""

    name: str
    gguf_name: str
    shape: tuple[int, ...]
    kind: Kind
    heads: int = 0  # of q and k, whose rows llama.cpp wants in another order; 0: of no such


@dataclass(frozen=True)
class Export:
    num_tensors: int
    notes: list[str]  # where llama.cpp will do something slightly else than transformers


def export_gguf(model_dir: str | Path, output_path: str | Path, kind: Kind = "f16") -> Export:
    """Write the model in `model_dir` as `output_path`, atomically; an older one is replaced.

    kind: of the matrices; f16 and f32 as they are, q8_0 with 8 bits a number (f16 where a row is no multiple of 32).
    Norms and biases are always f32. Raises InputError for a model, tokenizer or setting that GGUF cannot express.
    """
    model_dir, output_path = Path(model_dir), Path(output_path)
    if kind not in get_args(Kind):
        raise InputError(f"type: expected one of {', '.join(get_args(Kind))}, found {kind!r}")
    if output_path.is_dir():
        raise InputError(f"{output_path}: expected the name of a file to write, found a folder")
    config = _read_config(model_dir)
    files = _locate_tensors(model_dir)
    tensors = _plan_tensors(model_dir, config, files, kind)
    vocabulary = read_vocabulary(model_dir, config.vocab_size, _list_eos(model_dir, config))
    with write_atomic(output_path, binary=True) as file:  # by its name: gguf opens files itself
        writer = _open_writer(file.name, output_path.stem, config, kind)
        write_vocabulary(writer, vocabulary)
        _write_tensors(writer, tensors, files, compute_rope_factors(config))
    return Export(len(tensors), vocabulary.notes)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 2 with a message where the model cannot be exported."""
    parser = argparse.ArgumentParser(prog="python -m sciqag_lib.training.gguf_export", description=__doc__)
    parser.add_argument("model_dir", type=Path, help="a folder that save_pretrained wrote, with its tokenizer")
    parser.add_argument("output_path", type=Path, help="the GGUF file to write")
    parser.add_argument("--type", default="f16", choices=get_args(Kind), help="of the matrices (default f16)")
    args = parser.parse_args(argv)
    try:
        export = export_gguf(args.model_dir, args.output_path, args.type)
    except (InputError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for note in export.notes:
        print(f"note: {note}")
    num_bytes = args.output_path.stat().st_size
    print(f"{args.output_path}: {export.num_tensors} tensors, {args.type}, {num_bytes / 1e6:.1f} MB")
    return 0


# Settings ------------------------------------------------------------------------------------------------------------


def _read_config(model_dir: Path) -> Any:
    """The model's configuration, checked for all that the file could not say."""
    from transformers import AutoConfig

    if not (model_dir / "config.json").is_file():
        adapter = " but an adapter, which is merged first (sciqag_lib.training.merging)"
        found = adapter if (model_dir / "adapter_config.json").exists() else ""
        raise InputError(f"{model_dir}: expected a folder with a saved model, found no config.json{found}")
    try:
        config = AutoConfig.from_pretrained(str(model_dir), trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{model_dir}/config.json: expected a transformers configuration: {error}") from error
    names = config.architectures or [type(config).__name__.replace("Config", "ForCausalLM")]
    if names[0] not in SUPPORTED:
        raise InputError(f"{model_dir}: architecture {names[0]} cannot be exported; supported: {', '.join(SUPPORTED)}")
    if getattr(config, "quantization_config", None):
        raise InputError(f"{model_dir}: expected plain weights, found quantized ones (quantization_config)")
    if config.hidden_act != "silu":
        raise InputError(f"{model_dir}: hidden_act: expected silu, as every Llama in GGUF, found {config.hidden_act!r}")
    _check_rope(model_dir, config)
    return config


def _check_rope(model_dir: Path, config: Any) -> None:
    rope = config.rope_parameters or {}
    kind, problem = rope.get("rope_type", "default"), ""
    if not rope.get("rope_theta"):
        problem = f"expected rope_theta, found {rope}"
    elif kind not in ("default", "linear", "yarn", "llama3"):
        problem = f"rope_type {kind!r} cannot be said in GGUF; supported: default, linear, yarn, llama3"
    elif rope.get("partial_rotary_factor", 1.0) != 1.0:
        problem = f"expected partial_rotary_factor 1, found {rope['partial_rotary_factor']}"
    elif kind == "yarn":
        others = {name: rope[name] for name, fixed in YARN_FIXED.items() if rope.get(name) not in (None, fixed)}
        if others:
            problem = f"yarn with {others} is not what llama.cpp computes; supported: their defaults"
    if problem:
        raise InputError(f"{model_dir}/config.json: rope_parameters: {problem}")


def compute_rope_factors(config: Any) -> Any | None:
    """float32 [head_dim / 2]: what llama.cpp divides each rotary frequency by, for llama3's scaling; None for others.

    Taken from the frequencies transformers itself computes, so that both agree whatever the parameters.
    """
    rope = config.rope_parameters
    if rope.get("rope_type", "default") != "llama3":
        return None
    import numpy as np
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    scaled = LlamaRotaryEmbedding(config).inv_freq.double().numpy()
    exponents = np.arange(0, 2 * len(scaled), 2) / (2 * len(scaled))
    return (rope["rope_theta"] ** -exponents / scaled).astype(np.float32)


def _open_writer(path: Path, name: str, config: Any, kind: Kind) -> Any:
    """A gguf.GGUFWriter with all keys of the model but the tokenizer's."""
    import gguf

    from sciqag_lib.engines.loading import count_positions

    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_type("model")
    writer.add_name(name)
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(count_positions(config))
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    _add_rope(writer, config, gguf.RopeScalingType)
    return writer


def _add_rope(writer: Any, config: Any, scaling_types: Any) -> None:
    rope = config.rope_parameters
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    kind = rope.get("rope_type", "default")
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(scaling_types(kind))
        writer.add_rope_scaling_factor(float(rope["factor"]))
    if kind == "yarn":
        original = rope.get("original_max_position_embeddings") or config.max_position_embeddings
        writer.add_rope_scaling_orig_ctx_len(int(original))
        writer.add_rope_scaling_yarn_beta_fast(float(rope.get("beta_fast") or 32.0))
        writer.add_rope_scaling_yarn_beta_slow(float(rope.get("beta_slow") or 1.0))


def _list_eos(model_dir: Path, config: Any) -> list[int]:
    """What ends a reply by the generation settings, which may name several tokens, else by the model's."""
    path = model_dir / "generation_config.json"
    told = _read_json(path).get("eos_token_id") if path.is_file() else None
    told = config.eos_token_id if told is None else told
    return told if isinstance(told, list) else [] if told is None else [told]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise InputError(f"{path}: expected a JSON object, found a broken file: {error}") from error


# Tensors -------------------------------------------------------------------------------------------------------------


def _locate_tensors(model_dir: Path) -> dict[str, Path]:
    """The safetensors file of each tensor."""
    from safetensors import SafetensorError, safe_open

    index = model_dir / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(_read_json(index).get("weight_map", {}).values()))
    else:
        names = ["model.safetensors"]
    files: dict[str, Path] = {}
    for name in names:
        path = model_dir / Path(name).name
        if not path.is_file():
            raise InputError(
                f"{model_dir}: expected its weights as safetensors, found no {path.name}; save the model "
                "with save_pretrained"
            )
        try:
            with safe_open(path, "pt") as file:
                files.update(dict.fromkeys(file.keys(), path))
        except SafetensorError as error:
            raise InputError(f"{path}: expected a safetensors file, found a torn one: {error}") from error
    return files


def _plan_tensors(model_dir: Path, config: Any, files: dict[str, Path], kind: Kind) -> list[Tensor]:
    """All tensors of the model in the file's order, checked against what the folder holds."""
    import gguf

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    expected = _list_expected(config)
    ignored = {"lm_head.weight"} - expected.keys()  # tied: transformers takes the embeddings, whatever the file holds
    found = {name for name in files if name not in ignored and not name.endswith("rotary_emb.inv_freq")}
    missing, unknown = sorted(expected.keys() - found), sorted(found - expected.keys())
    if missing or unknown:
        raise InputError(
            f"{model_dir}: expected the {len(expected)} tensors of its config.json, found {len(missing)} "
            f"missing {missing[:3]} and {len(unknown)} unknown {unknown[:3]}"
        )
    plan = []
    for name, shape in expected.items():
        matrix_kind: Kind = "f16" if kind == "q8_0" and shape[-1] % BLOCK_VALUES else kind
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2], 0)
        gguf_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
        plan.append(Tensor(name, gguf_name, shape, matrix_kind if len(shape) == 2 else "f32", heads))
    return plan


def _list_expected(config: Any) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor by its name, as transformers would save it."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters(remove_duplicate=False)}
    return {name: shape for name, shape in shapes.items() if name != "lm_head.weight" or not config.tie_word_embeddings}


def _write_tensors(writer: Any, tensors: list[Tensor], files: dict[str, Path], rope_factors: Any | None) -> None:
    """Header and names first, then each tensor, read from its file only now."""
    import gguf
    import numpy as np
    from safetensors import safe_open

    if rope_factors is not None:
        writer.add_tensor_info("rope_freqs.weight", rope_factors.shape, np.dtype(np.float32), rope_factors.nbytes)
    for tensor in tensors:
        kind = gguf.GGMLQuantizationType[tensor.kind.upper()]
        values, size = gguf.GGML_QUANT_SIZES[kind]  # of a block
        num_bytes = math.prod(tensor.shape) // values * size
        writer.add_tensor_info(tensor.gguf_name, tensor.shape, np.dtype(np.float32), num_bytes, raw_dtype=kind)
    with ExitStack() as stack:
        stack.callback(writer.close)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        if rope_factors is not None:
            writer.write_tensor_data(rope_factors)
        opened = {path: stack.enter_context(safe_open(path, "pt")) for path in set(files.values())}
        for tensor in tensors:
            writer.write_tensor_data(_convert(opened[files[tensor.name]].get_tensor(tensor.name), tensor))


def _convert(values: Any, tensor: Tensor) -> Any:
    """The numpy array that goes into the file, from the torch tensor of the folder."""
    import gguf
    import numpy as np
    import torch

    if tuple(values.shape) != tensor.shape:
        raise InputError(f"{tensor.name}: expected shape {tensor.shape}, found {tuple(values.shape)}")
    if not values.is_floating_point() or not torch.isfinite(values).all():
        raise InputError(f"{tensor.name}: expected finite numbers, found {values.dtype} with NaN, infinity or integers")
    if tensor.heads:
        values = permute_rows(values, tensor.heads)
    if tensor.kind == "f16":
        values = values.half()
        if torch.isinf(values).any():
            raise InputError(f"{tensor.name}: holds numbers beyond 65504, the largest of f16; export it as f32")
    if tensor.kind != "q8_0":
        return (values if tensor.kind == "f16" else values.float()).contiguous().numpy()
    blocks = [gguf.quants.quantize(rows.float().contiguous().numpy(), gguf.GGMLQuantizationType.Q8_0)
              for rows in values.split(QUANTIZED_ROWS)]  # fmt: skip
    return np.concatenate(blocks)


def permute_rows(values: Any, heads: int) -> Any:
    """Rows of a q or k matrix (or bias) from transformers' order to llama.cpp's, within each head.

    Rotary embedding turns pairs of rows: transformers pairs row i with i + half, llama.cpp neighbours 2i and 2i + 1.
    """
    return values.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(values.shape)


if __name__ == "__main__":
    sys.exit(main())
