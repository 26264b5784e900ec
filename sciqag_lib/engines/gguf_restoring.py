"""What transformers 5.23 leaves out when it opens a Llama in a GGUF file, put back: the opposite of gguf_export.py.

It reads neither how the positions were stretched (llama.rope.scaling.*), which changes every prediction, nor most names
of pre-tokenizers (tokenizer.ggml.pre): the packaged SmolLM2, marked "smollm", gets GPT-2's splitting, so that spaces
before digits come out as other tokens than in llama.cpp.
Example of keys: "llama.rope.scaling.type" linear, "llama.rope.scaling.factor" 4.0, "tokenizer.ggml.pre" smollm.
"""

from pathlib import Path
from typing import Any

from sciqag_lib.engines.gguf_tokenizer import set_pre_tokenizer
from sciqag_lib.errors import InputError

ROPE = "llama.rope.scaling."
YARN_KEYS = {"yarn_beta_fast": "beta_fast", "yarn_beta_slow": "beta_slow"}


def restore_positions(config: Any, path: Path) -> None:
    """Set config.rope_parameters, and positions before the stretching, as the file says; before the model is loaded.

    Raises InputError for a scaling that the file holds as a table (llama3) or under a name that we do not write.
    """
    from transformers.integrations.gguf import read_gguf_metadata  # in 50 ms, where gguf's own reader needs seconds

    fields, tensor_names = read_gguf_metadata(str(path))
    if "rope_freqs.weight" in tensor_names:
        raise InputError(
            f"{path}: its positions are scaled by a table (rope_freqs.weight) that transformers cannot "
            "read; use the llama_cpp engine, or the folder it was made of"
        )
    told = {name.removeprefix(ROPE): value for name, value in fields.items() if name.startswith(ROPE)}
    kind = told.get("type", "none")
    if kind == "none":
        return
    if kind not in ("linear", "yarn"):
        raise InputError(f"{path}: {ROPE}type: expected linear or yarn, found {kind!r}; use the llama_cpp engine")
    theta = config.rope_parameters["rope_theta"]
    rope = {"rope_type": kind, "rope_theta": theta, "factor": told["factor"]}
    if kind == "yarn":
        rope["original_max_position_embeddings"] = told["original_context_length"]
        rope |= {ours: told[theirs] for theirs, ours in YARN_KEYS.items() if theirs in told}
    else:
        config.max_position_embeddings = round(config.max_position_embeddings / told["factor"])
    config.rope_parameters = rope


def restore_tokenizer(tokenizer: Any, path: Path) -> None:
    """Split text as llama.cpp does under the file's tokenizer.ggml.pre, where that name is one we know."""
    from transformers.integrations.gguf import read_gguf_metadata

    name = read_gguf_metadata(str(path))[0].get("tokenizer.ggml.pre")
    if name is not None and tokenizer.is_fast:
        set_pre_tokenizer(tokenizer, name)
