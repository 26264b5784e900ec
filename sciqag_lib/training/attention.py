"""Attention for training, exact for packed and padded rows and without a mask of quadratic size.

    register_attentions()
    check_attention(config, "s2")
    AutoModelForCausalLM.from_pretrained(path, attn_implementation="s2")

A row of tokens is cut into segments; attention is causal inside a segment and none goes across. Two names:

segments  the examples are the segments: what sdpa gives each example alone
s2        LongLoRA's shifted sparse attention (arXiv 2309.12307) while the model is in training mode, `segments` in eval
          mode. Each example is cut into groups: [0, g), [g, 2g), ... for the first half of the heads, and for the
          second moved by half a group: [0, g/2), [g/2, 3g/2), ... Nothing rolls round, so no token sees a later one.

Examples are told by position_ids (each starts at 0) and by a 2D attention_mask (padding on one or both sides of a row).
What a padding position gives is undefined. With a key-value cache it is transformers' own sdpa.
"""

import weakref
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.weak import WeakTensorKeyDictionary

from sciqag_lib.errors import InputError

ATTENTIONS = ("segments", "s2")
PUBLISHED_GROUP = 8192  # of LongLoRA's fine-tuning, where a quarter of the length is not taken
# What models hand their attention function beside query, key and value, and what ours would leave out.
UNSOUND = ("sliding_window", "softcap", "s_aux", "sinks", "position_bias", "indices", "block_indices", "cache",
           "cu_seqlens", "cu_seq_lens_q", "cu_seq_lens_k", "seq_idx")  # fmt: skip
Rows = tuple[tuple[int, ...], ...]  # for each row of a batch the lengths of its segments, which add up to its tokens

_rows_seen: Any = WeakTensorKeyDictionary()  # position_ids -> what they were cut into, as every layer asks the same


def register_attentions(group: int | None = None) -> None:
    """Make both names known to transformers, each with its mask function: without one causal masking would be lost.

    `group`: tokens in a group of s2, even; None is the published rule (choose_group). The last call counts.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    if group is not None and (group < 2 or group % 2):
        raise InputError(f"group of S2-Attn: expected an even number of tokens, at least 2, found {group}")
    AttentionInterface.register("segments", attend_examples)
    AttentionInterface.register("s2", partial(attend_examples, shifts=True, group=group))
    for name in ATTENTIONS:
        AttentionMaskInterface.register(name, hand_padding_on)


def check_attention(config: Any, name: str) -> None:
    """Refuse, before anything is loaded, a model's config with which `name` would train wrong."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    if name not in ATTENTIONS:
        raise InputError(f"attention: expected one of {', '.join(ATTENTIONS)}, found {name!r}")
    text, problems = config.get_text_config(), []
    model_class = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(text), None)
    if model_class is None or not model_class._supports_attention_backend:
        problems.append("no model for text that takes its attention and all it needs from outside")
    layers = getattr(text, "layer_types", None) or ["sliding_window" if getattr(text, "sliding_window", None) else ""]
    partial_layers = sorted(set(layers) - {"full_attention", ""})
    if partial_layers:
        problems.append(f"layers that do not see all that is before them ({', '.join(partial_layers)})")
    if getattr(text, "attn_logit_softcapping", None) is not None:
        problems.append("attn_logit_softcapping, which no kernel here has")
    if not getattr(text, "is_causal", True):
        problems.append("is_causal False")
    if name == "s2" and text.num_attention_heads % 2:
        problems.append(f"{text.num_attention_heads} heads, which have no halves")
    if problems:
        raise InputError(
            f"attention {name!r} is not sound for {text.model_type} with {'; with '.join(problems)}; "
            "use attention full, without packing"
        )


# What transformers calls ---------------------------------------------------------------------------------------------


def hand_padding_on(
    q_length: int, kv_length: int, attention_mask: torch.Tensor | None = None, **kwargs: Any
) -> torch.Tensor | None:
    """The mask function of both names: the 2D mask (rows, tokens; True: no padding), or None without padding.

    Behind a key-value cache, sdpa's own mask. InputError: the model asks for more than causal attention.
    """
    from transformers.masking_utils import sdpa_mask

    if kwargs.get("local_size") is not None:
        raise InputError("segments and s2 know no sliding or chunked attention; use attention full, without packing")
    if kwargs.get("use_vmap") or q_length == kv_length and _sees_next(q_length, **kwargs):
        raise InputError(
            "segments and s2 know causal attention only, found a model with a mask function of its own; "
            "use attention full, without packing"
        )
    if q_length != kv_length or attention_mask is not None and attention_mask.shape[1] != kv_length:
        return sdpa_mask(q_length=q_length, kv_length=kv_length, attention_mask=attention_mask, **kwargs)
    return None if attention_mask is None or attention_mask.all() else attention_mask


def _sees_next(length: int, mask_function: Any, batch_size: int, device: Any = None, **_: Any) -> bool:
    """Whether a token may see the one behind it, as in a bidirectional mask or in blocks laid over a causal one."""
    from transformers.masking_utils import causal_mask_function

    if mask_function is causal_mask_function:
        return False
    row = torch.arange(batch_size, device=device)[:, None]
    at = torch.arange(length - 1, device=device)[None]
    return bool(mask_function(row, torch.zeros_like(row), at, at + 1).any())


def attend_examples(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    shifts: bool = False,
    group: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Full causal attention inside each example; where it `shifts`, shifted sparse attention in training mode.

    query (rows, heads, tokens, head size), key and value with as many heads or fewer; returns (rows, tokens, heads,
    head size) and None, as transformers' attention functions do.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    _refuse_unsound(module, kwargs)
    if query.shape[2] != key.shape[2] or attention_mask is not None and attention_mask.ndim == 4:
        if not module.training:
            return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
        raise InputError(
            f"segments and s2 train on whole rows: expected as many keys as queries and no 4D mask, found "
            f"{query.shape[2]} queries and {key.shape[2]} keys; to generate, call model.eval() first"
        )
    examples = find_examples(kwargs.get("position_ids"), attention_mask, query)
    if not shifts or not module.training:
        return attend_rows(query, key, value, examples, dropout, scaling), None
    num_heads = getattr(module.config.get_text_config(), "num_attention_heads", query.shape[1])
    if query.shape[1] % 2 or query.shape[1] != num_heads:
        raise InputError(
            f"s2 shifts half of the heads: expected an even number, all of the model's {num_heads} in one "
            f"process, found {query.shape[1]}; use attention full"
        )
    if key.shape[1] % 2:
        key, value = _repeat_heads(key, query.shape[1]), _repeat_heads(value, query.shape[1])
    halves = zip(query.chunk(2, dim=1), key.chunk(2, dim=1), value.chunk(2, dim=1), (False, True), strict=True)
    parts = [attend_rows(q, k, v, cut_groups(examples, group, shifted), dropout, scaling)
             for q, k, v, shifted in halves]  # fmt: skip
    return torch.cat(parts, dim=2), None


def _refuse_unsound(module: torch.nn.Module, kwargs: dict[str, Any]) -> None:
    found = [name for name in UNSOUND if kwargs.get(name) is not None]
    if kwargs.get("is_causal") is False or not getattr(module, "is_causal", True):
        found.append("is_causal False")
    if found:
        raise InputError(
            f"{type(module).__name__}: segments and s2 would leave out {', '.join(found)}; "
            "use attention full, without packing"
        )


# Rows into segments --------------------------------------------------------------------------------------------------


def find_examples(position_ids: torch.Tensor | None, padding: torch.Tensor | None, query: torch.Tensor) -> Rows:
    """The examples of each row of `query`, (rows, heads, tokens, head size); a run of padding is one of them.

    position_ids (rows or 1, tokens); padding (rows, tokens), True: no padding. InputError: they do not fit.
    """
    num_rows, num_tokens = query.shape[0], query.shape[2]
    if position_ids is None or position_ids.ndim != 2 or position_ids.shape[1] != num_tokens:
        found = "none" if position_ids is None else tuple(position_ids.shape)
        raise InputError(
            f"segments and s2 tell examples by position_ids: expected ({num_rows}, {num_tokens}), found "
            f"{found}; use attention full, without packing"
        )
    tensors = [position_ids] if padding is None else [position_ids, padding]
    if any(tensor.is_inference() for tensor in tensors):  # their changes are not counted: nothing can be remembered
        return _cut_rows(position_ids, padding, num_rows)
    versions = [tensor._version for tensor in tensors]
    seen_versions, seen_padding, rows = _rows_seen.get(position_ids, ([], None, ()))
    if versions != seen_versions or len(rows) != num_rows or padding is not None and seen_padding() is not padding:
        rows = _cut_rows(position_ids, padding, num_rows)
        _rows_seen[position_ids] = (versions, None if padding is None else weakref.ref(padding), rows)
    return rows


def _cut_rows(position_ids: torch.Tensor, padding: torch.Tensor | None, num_rows: int) -> Rows:
    positions = position_ids.detach().cpu().numpy()
    positions = np.broadcast_to(positions, (num_rows, positions.shape[1]))
    is_real = np.ones(positions.shape, bool) if padding is None else padding.detach().cpu().numpy().astype(bool)
    return tuple(cut_row(row, real) for row, real in zip(positions, is_real, strict=True))


def cut_row(positions: np.ndarray, is_real: np.ndarray) -> tuple[int, ...]:
    """Lengths of the examples, and of the padding before and after them, in one row of positions.

    InputError: padding between tokens, or positions that neither go on by one nor start again at 0.
    """
    edges = np.flatnonzero(np.diff(is_real)) + 1
    if np.diff(is_real, prepend=False, append=False).sum() > 2:
        raise InputError(
            f"attention_mask: expected padding before and after the tokens of a row, found some between "
            f"them, before token {edges[-1]}; leave it out, or use attention full"
        )
    starts = np.flatnonzero(np.diff(positions) != 1) + 1
    starts = starts[is_real[starts] & is_real[starts - 1]]
    wrong = starts[positions[starts] != 0]
    if len(wrong):
        raise InputError(
            f"position_ids: expected each example to count from 0 by one, found {positions[wrong[0]]} "
            f"after {positions[wrong[0] - 1]} at token {wrong[0]}"
        )
    cuts = np.unique(np.concatenate([[0], edges, starts, [len(positions)]]).astype(np.int64))
    return tuple(np.diff(cuts).tolist())


def choose_group(length: int) -> int:
    """Tokens in a group of an example of `length` tokens, by LongLoRA's published fine-tuning."""
    return length // 4 if length % 4096 == 0 else PUBLISHED_GROUP


def cut_groups(examples: Rows, group: int | None, shifted: bool) -> Rows:
    """Each example cut into groups, moved by half a group if `shifted`; the last one, and then the first, is short."""
    return tuple(
        tuple(part for length in row for part in _cut_example(length, group or choose_group(length), shifted))
        for row in examples
    )


def _cut_example(length: int, group: int, shifted: bool) -> list[int]:
    cuts = [0, *range(group // 2 if shifted else group, length, group), length]
    return [end - start for start, end in zip(cuts, cuts[1:], strict=False)]


# Attention inside segments -------------------------------------------------------------------------------------------


def attend_rows(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    rows: Rows,
    dropout: float = 0.0,
    scaling: float | None = None,
) -> torch.Tensor:
    """Causal attention inside segments; (rows, heads, tokens, head size) in, (rows, tokens, heads, head size) out."""
    if _can_use_varlen(query, value, dropout):
        return _attend_varlen(query, key, value, rows, scaling)
    if query.is_cuda and query.dtype == torch.float32:  # no kernel of linear memory takes fewer heads of keys there
        key, value = _repeat_heads(key, query.shape[1]), _repeat_heads(value, query.shape[1])
    settings = {"dropout_p": dropout, "scale": scaling, "is_causal": True, "enable_gqa": query.shape[1] != key.shape[1]}
    if len(set(rows)) == 1:
        return _attend_slices(query, key, value, rows[0], settings)
    # unbind and split, not indexing: their gradient is one concatenation, that of an index is a whole batch of zeros
    parts = [_attend_slices(q[None], k[None], v[None], lengths, settings)
             for q, k, v, lengths in zip(query.unbind(), key.unbind(), value.unbind(), rows, strict=True)]  # fmt: skip
    return torch.cat(parts)


def _attend_slices(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: Sequence[int], settings: dict[str, Any]
) -> torch.Tensor:
    if len(lengths) == 1:
        return scaled_dot_product_attention(query, key, value, **settings).transpose(1, 2)
    slices = zip(*(tensor.split(list(lengths), dim=2) for tensor in (query, key, value)), strict=True)
    return torch.cat([scaled_dot_product_attention(*part, **settings).transpose(1, 2) for part in slices], dim=1)


def _can_use_varlen(query: torch.Tensor, value: torch.Tensor, dropout: float) -> bool:
    """torch's own flash attention for segments: half precision on a GPU from Ampere on, heads as it wants them."""
    size = query.shape[3]
    return (
        query.is_cuda
        and query.dtype in (torch.float16, torch.bfloat16)
        and not dropout
        and size % 8 == 0
        and size <= 256
        and size == value.shape[3]
        and torch.cuda.get_device_capability(query.device) >= (8, 0)
    )


def _attend_varlen(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: Rows, scaling: float | None
) -> torch.Tensor:
    """All segments of all rows in one call: (tokens of all rows, heads, head size), and where each segment starts."""
    from torch.nn.attention.varlen import varlen_attn

    starts, longest = _find_starts(rows, query.device), max(max(lengths) for lengths in rows)
    flat = (tensor.transpose(1, 2).flatten(0, 1) for tensor in (query, key, value))
    out = varlen_attn(*flat, starts, starts, longest, longest, scale=scaling, window_size=(-1, 0),  # causal
                      enable_gqa=query.shape[1] != key.shape[1])  # fmt: skip
    return out.unflatten(0, (len(rows), -1))


@lru_cache(maxsize=4)
def _find_starts(rows: Rows, device: torch.device) -> torch.Tensor:
    lengths = [0, *(length for row in rows for length in row)]
    return torch.from_numpy(np.cumsum(lengths).astype(np.int32)).to(device)


def _repeat_heads(tensor: torch.Tensor, num_heads: int) -> torch.Tensor:
    """Each head of keys or values as often as query heads share it."""
    return tensor.repeat_interleave(num_heads // tensor.shape[1], dim=1)
