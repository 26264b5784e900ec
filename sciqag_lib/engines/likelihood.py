"""How likely a causal model finds given tokens: -ln p of the last tokens of a row, each given all before it.

    scorer = open_scorer(length=1024)                        # the packaged model
    rows = scorer.tokenize("The melt was cooled slowly.")[None]
    scorer.score(rows, num_targets=3)                        # float64 (1, 3), in nats

Memory is bounded: logits are computed at the targets alone where the model can do that, which nearly all can, and
their logarithms are summed in float64, a few positions at a time.
"""

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from sciqag_lib.errors import InputError

if TYPE_CHECKING:
    import torch

BATCH_TOKENS = 8192  # of rows computed together
BATCH_POSITIONS = 1024  # with logits, of rows computed together: 1024 x 150,000 words are 0.6 GB in float32
SUMMED_POSITIONS = 64  # whose logits are summed at once: 64 x 150,000 words are 77 MB in float64


class Scorer:
    """A loaded model and its tokenizer. `prefix`: the token with which the tokenizer opens every text, if any."""

    def __init__(self, model: Any, tokenizer: Any, description: str) -> None:
        self._model, self._tokenizer, self.description = model.eval(), tokenizer, description
        config = model.config.get_text_config()
        self.num_words = config.vocab_size
        bos = [tokenizer.bos_token_id]
        self.prefix: list[int] = bos if tokenizer("a")["input_ids"][:1] == bos else []
        self._keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._is_dynamic = (getattr(config, "rope_parameters", None) or {}).get("rope_type") == "dynamic"

    def tokenize(self, text: str) -> np.ndarray:
        """int64 (tokens,), without special tokens."""
        return np.array(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"], np.int64)

    def score(self, rows: np.ndarray, num_targets: int) -> np.ndarray:
        """-ln p of the last `num_targets` tokens of each row, each given all before it in the row.

        rows: int64 (rows, length), length over `num_targets`, since nothing is before the first token. Returns
        float64 (rows, num_targets). ValueError: a row is too short for the targets.
        """
        if not 0 < num_targets < rows.shape[1]:
            raise ValueError(
                f"num_targets: expected 1 to {rows.shape[1] - 1} in rows of {rows.shape[1]} tokens, found {num_targets}"
            )
        if self._is_dynamic:  # its frequencies would still be those of the longest row so far
            rebuild_rotary(self._model)
        step = max(1, min(BATCH_TOKENS // rows.shape[1], BATCH_POSITIONS // (num_targets + 1)))
        return np.concatenate(
            [self._score_batch(rows[start : start + step], num_targets) for start in range(0, len(rows), step)]
        )

    def _score_batch(self, rows: np.ndarray, num_targets: int) -> np.ndarray:
        import torch

        try:
            with torch.inference_mode():
                ids = torch.from_numpy(rows).to(self._model.device)
                keep = {"logits_to_keep": num_targets + 1} if self._keeps else {}
                # What is said at a position is the next token's: one position earlier, and the last says nothing here.
                logits = self._model(input_ids=ids, use_cache=False, **keep).logits[:, -num_targets - 1 : -1]
                targets = ids[:, -num_targets:]
                parts = zip(logits.flatten(0, 1).split(SUMMED_POSITIONS), targets.flatten().split(SUMMED_POSITIONS))
                return torch.cat([_sum_logs(*part) for part in parts]).view(targets.shape).cpu().numpy()
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                raise
        half = len(rows) // 2  # after the except block, whose traceback holds the failed batch in memory
        return np.concatenate([self._score_batch(part, num_targets) for part in (rows[:half], rows[half:])])


def _sum_logs(logits: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
    """logits (positions, words), targets (positions,): -ln p, float64 (positions,)."""
    logits = logits.double()
    return logits.logsumexp(-1) - logits.gather(-1, targets[:, None])[:, 0]


def open_scorer(
    base_model: str | None = None,
    length: int = 1024,
    dtype: str | None = None,
    rope_scaling: str = "none",
    rope_factor: float | None = None,
    flash_attn: bool = True,
    cache_dir: str | None = None,
) -> Scorer:
    """A model for rows of up to `length` tokens: a folder, a hub id or a .gguf path, None the packaged SmolLM2-135M.

    dtype: float32, bfloat16 or float16; None is bfloat16 where this machine is faster with it. rope_scaling: none,
    linear, dynamic or yarn, used where `length` is over the model's positions, rope_factor None being the smallest
    whole number that is enough. InputError where the positions are too few or cannot be stretched, EngineError where
    the model cannot be loaded.
    """
    import torch  # after engines.loading, which has its threads wait without burning the processor

    from sciqag_lib.engines.common import find_packaged_model, find_source
    from sciqag_lib.engines.loading import choose_attention, choose_dtype, identify_model, load_model

    if dtype not in (None, "float32", "bfloat16", "float16"):
        raise InputError(f"dtype: expected float32, bfloat16, float16 or None, found {dtype!r}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = getattr(torch, dtype) if dtype else choose_dtype(device)
    attention, _ = choose_attention(device, flash_attn and precision != torch.float32)  # which flash attention lacks
    source = find_source(base_model) if base_model else str(find_packaged_model())
    tokenizer, model = load_model(source, cache_dir, precision, attention)
    positions = fit_positions(model, length, rope_scaling, rope_factor)
    description = f"{identify_model(source, model)} in {str(precision).removeprefix('torch.')}, {positions}"
    return Scorer(model.to(device), tokenizer, description)


def fit_positions(model: Any, length: int, scaling: str = "none", factor: float | None = None) -> str:
    """Stretch a loaded model's positions where they are fewer than `length`; what they are, in words. InputError: they
    are too few and `scaling` is none, or they cannot be stretched so."""
    from sciqag_lib.engines.loading import count_positions, scale_positions

    if scaling not in ("none", "linear", "dynamic", "yarn"):
        raise InputError(f"rope_scaling: expected none, linear, dynamic or yarn, found {scaling!r}")
    positions = count_positions(model.config)
    if positions is None or length <= positions:
        unused = "" if scaling == "none" else f", rope_scaling {scaling} not needed"
        return (f"{positions:,} positions" if positions else "no limit of positions") + unused
    if scaling == "none":
        raise InputError(
            f"lengths: expected at most {positions:,} tokens, the model's positions, found {length:,}; "
            "shorten the longest, or set rope_scaling to linear, dynamic or yarn to have them stretched"
        )
    done = scale_positions(model.config, length, scaling, factor)
    rebuild_rotary(model)
    return done


def rebuild_rotary(model: Any) -> None:
    """Replace every rotary embedding by a new one of its configuration as it is now, on the same device."""
    for parent in model.modules():
        for name, child in list(parent.named_children()):
            if hasattr(child, "original_inv_freq"):
                setattr(parent, name, type(child)(child.config).to(child.inv_freq.device))
