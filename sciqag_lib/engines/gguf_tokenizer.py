"""The tokenizer of a saved model in the terms of GGUF, for gguf_export.py (keys: the gguf package's constants).

Two kinds can be said in GGUF: byte-level BPE as of GPT-2 ("gpt2"), whose splitting into words is only a name there, and
sentencepiece's BPE as of Llama 2 ("llama"), whose merges are only scores there. Where a tokenizer does anything that
the name or the scores do not say, llama.cpp would read texts differently without a word; such a one is refused.
Example of a vocabulary: tokens ["<s>", "</s>", "▁the"], types [3, 3, 1], scores [-10000.0, -10000.0, -17.0].
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciqag_lib.errors import InputError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6  # gguf.TokenType
UNMERGED_SCORE = -10000.0  # of tokens that no merge makes, below all that one makes

_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
_LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# llama.cpp's names for how a byte-level tokenizer splits text into words, with the same in a tokenizer.json, and
# whether a word that is a token stays whole whatever the merges say (ignore_merges).
PRE_TOKENIZERS: dict[str, tuple[list[dict[str, Any]], bool]] = {
    "gpt-2": ([_BYTE_LEVEL], False),
    "smollm": ([{"type": "Digits", "individual_digits": True}, _BYTE_LEVEL], False),
    "llama-bpe": (
        [
            {"type": "Split", "pattern": {"Regex": _LLAMA3_WORDS}, "behavior": "Isolated", "invert": False},
            _BYTE_LEVEL | {"use_regex": False},
        ],
        True,
    ),
}


@dataclass
class Vocabulary:
    """tokens, types and scores: one for each row of the embeddings; merges: "left right", first the one done first."""

    model: str  # gpt2 or llama
    pre: str
    tokens: list[str]
    types: list[int]
    scores: list[float] | None = None
    merges: list[str] | None = None
    special_ids: dict[str, int] = field(default_factory=dict)  # by gguf's names: bos, eos, eot, eom, unk, pad
    adds_bos: bool = False
    adds_eos: bool = False
    adds_space: bool = False
    chat_template: str | None = None
    notes: list[str] = field(default_factory=list)


def read_vocabulary(model_dir: Path, num_rows: int, eos_ids: Iterable[int] = ()) -> Vocabulary:
    """The tokenizer saved in `model_dir`; `num_rows`: of the embeddings; `eos_ids`: what ends a reply, by the model.

    Rows without a token, as padding to a multiple of 64 leaves them, get a name that no text contains.
    Raises InputError for a tokenizer that GGUF cannot express, naming the part.
    """
    tokenizer = _load_tokenizer(model_dir)
    spec = _read_spec(model_dir, tokenizer)
    model = spec["model"]
    if model.get("type") != "BPE":
        raise _refuse(model_dir, "model", "BPE", model.get("type"))
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(name):
            raise _refuse(model_dir, f"model.{name}", "nothing", model[name])
    tokens, types = _list_tokens(model_dir, spec, num_rows)
    if model.get("byte_fallback"):
        vocabulary = _read_sentencepiece(model_dir, spec, tokens, types)
    else:
        vocabulary = Vocabulary("gpt2", recognise_pre_tokenizer(spec, model_dir), tokens, types)
        vocabulary.merges = [" ".join(pair) for pair in _list_merges(model)]
    _set_special(vocabulary, tokenizer, list(eos_ids), model_dir)
    template = tokenizer.chat_template
    vocabulary.chat_template = template.get("default") if isinstance(template, dict) else template
    return vocabulary


def recognise_pre_tokenizer(spec: dict[str, Any], source: Path) -> str:
    """llama.cpp's name (tokenizer.ggml.pre) for the byte-level pre-tokenizer of a tokenizer.json, given as `spec`.

    Raises InputError for one that none of PRE_TOKENIZERS equals, and for texts that are normalised before.
    """
    if spec.get("normalizer"):
        raise _refuse(source, "normalizer", "none", spec["normalizer"])
    found, ignores_merges = _flatten(spec.get("pre_tokenizer")), bool(spec["model"].get("ignore_merges"))
    for name, known in PRE_TOKENIZERS.items():
        if known == (found, ignores_merges):
            return name
    part = f"pre_tokenizer (with ignore_merges {ignores_merges})"
    raise _refuse(source, part, f"that of {', '.join(PRE_TOKENIZERS)}", found)


def set_pre_tokenizer(tokenizer: Any, name: str) -> bool:
    """Make a fast tokenizer of transformers split text as llama.cpp does under `name`; False where it is unknown."""
    from tokenizers import Tokenizer

    if name not in PRE_TOKENIZERS or tokenizer.backend_tokenizer.pre_tokenizer is None:
        return False
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    parts = [part | {"trim_offsets": True} if part["type"] == "ByteLevel" else part for part in PRE_TOKENIZERS[name][0]]
    backend["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": parts}
    tokenizer.backend_tokenizer.pre_tokenizer = Tokenizer.from_str(json.dumps(backend)).pre_tokenizer
    return True


def write_vocabulary(writer: Any, vocabulary: Vocabulary) -> None:
    """Put it among the keys of a gguf.GGUFWriter."""
    fields = {
        "tokenizer_model": vocabulary.model,
        "tokenizer_pre": vocabulary.pre,
        "token_list": vocabulary.tokens,
        "token_types": vocabulary.types,
        "token_scores": vocabulary.scores,
        "token_merges": vocabulary.merges,
        **{f"{name}_token_id": token_id for name, token_id in vocabulary.special_ids.items()},
        "add_bos_token": vocabulary.adds_bos,
        "add_eos_token": vocabulary.adds_eos,
        "add_space_prefix": vocabulary.adds_space,
        "chat_template": vocabulary.chat_template or None,
    }
    for name, value in fields.items():
        if value is not None:
            getattr(writer, f"add_{name}")(value)


def _load_tokenizer(model_dir: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(model_dir), trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise InputError(
            f"{model_dir}: expected the tokenizer beside the model, found none that loads: {error}; "
            "save it there with tokenizer.save_pretrained"
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"{model_dir}: expected a tokenizer.json, found {type(tokenizer).__name__}, which has none")
    return tokenizer


def _read_spec(model_dir: Path, tokenizer: Any) -> dict[str, Any]:
    """tokenizer.json, which says more than what transformers 5 makes of it: its GPT2Tokenizer drops a pre-tokenizer."""
    path = model_dir / "tokenizer.json"
    if not path.exists():
        return json.loads(tokenizer.backend_tokenizer.to_str())
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, found a broken file: {error}") from error


def _flatten(pre_tokenizer: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Its parts in order, without what only concerns the positions in the text."""
    if pre_tokenizer is None:
        return []
    if pre_tokenizer.get("type") == "Sequence":
        return [part for inner in pre_tokenizer["pretokenizers"] for part in _flatten(inner)]
    return [{name: value for name, value in pre_tokenizer.items() if name != "trim_offsets"}]


def _list_tokens(source: Path, spec: dict[str, Any], num_rows: int) -> tuple[list[str], list[int]]:
    by_id = {token_id: (text, NORMAL) for text, token_id in spec["model"]["vocab"].items()}
    for added in spec.get("added_tokens", []):
        by_id[added["id"]] = (added["content"], CONTROL if added["special"] else USER_DEFINED)
    beyond = [text for token_id, (text, _) in by_id.items() if token_id >= num_rows]
    if beyond:
        raise InputError(
            f"{source}: expected every token to have one of the {num_rows} rows of the embeddings, found "
            f"{len(beyond)} beyond, such as {beyond[0]!r}; is this the model's own tokenizer?"
        )
    entries = [by_id.get(row, (f"[unused row {row}]", UNUSED)) for row in range(num_rows)]
    return [text for text, _ in entries], [kind for _, kind in entries]


def _list_merges(model: dict[str, Any]) -> list[tuple[str, str]]:
    """Newer files hold pairs, older ones "left right"."""
    return [tuple(merge.split(" ", 1)) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]


def _read_sentencepiece(source: Path, spec: dict[str, Any], tokens: list[str], types: list[int]) -> Vocabulary:
    model = spec["model"]
    ranks: dict[str, int] = {}
    for rank, (left, right) in enumerate(_list_merges(model)):
        ranks.setdefault(left + right, rank)
    _check_merges(source, model, ranks)
    scores = [-float(ranks[token]) if token in ranks else UNMERGED_SCORE - len(ranks) for token in tokens]
    for byte in range(256):
        row = model["vocab"].get(f"<0x{byte:02X}>")
        if row is None:
            raise _refuse(source, "model.vocab", "a token for each of the 256 bytes", f"no <0x{byte:02X}>")
        types[row] = BYTE
    adds_space, notes = _read_prefix(source, spec)
    return Vocabulary("llama", "default", tokens, types, scores, adds_space=adds_space, notes=notes)


def _check_merges(source: Path, model: dict[str, Any], ranks: dict[str, int]) -> None:
    """llama.cpp joins any two tokens that make a third; sentencepiece's merges hold all such pairs, others do not."""
    vocab, pairs = model["vocab"], set(_list_merges(model))
    for token in ranks:
        for cut in range(1, len(token)):
            pair = (token[:cut], token[cut:])
            if pair[0] in vocab and pair[1] in vocab and pair not in pairs:
                raise _refuse(source, "model.merges", "those of a sentencepiece vocabulary", f"no merge {pair}")


def _read_prefix(source: Path, spec: dict[str, Any]) -> tuple[bool, list[str]]:
    """Whether a text gets a space before it, and where llama.cpp will do so but the tokenizer does not."""
    normalizer, parts = spec.get("normalizer"), _flatten(spec.get("pre_tokenizer"))
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    if not parts and normalizer in (replace, {"type": "Sequence", "normalizers": [replace]}):
        return False, []
    older = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]}
    if not parts and normalizer == older:
        return True, []
    newer = {"type": "Metaspace", "replacement": "▁", "split": False}
    is_newer = not normalizer and len(parts) == 1 and parts[0].items() >= newer.items()
    scheme = parts[0].get("prepend_scheme") if is_newer else None
    if scheme not in ("first", "always", "never"):
        expected = "Llama's (Metaspace without split, or Prepend and Replace)"
        raise _refuse(source, "normalizer and pre_tokenizer", expected, [normalizer, *parts])
    if scheme == "never":
        return False, []
    where = "after special tokens inside a text, and " if scheme == "first" else ""
    return True, [f"llama.cpp puts a space {where}before a text that begins with one; the tokenizer does not"]


def _set_special(vocabulary: Vocabulary, tokenizer: Any, eos_ids: list[int], source: Path) -> None:
    """What begins and ends texts and replies. llama.cpp stops at eos, eot and eom alike: three at most."""
    ends = list(dict.fromkeys(token for token in [tokenizer.eos_token_id, *eos_ids] if token is not None))
    if len(ends) > 3:
        raise InputError(f"{source}: expected at most 3 tokens that end a reply (eos_token_id), found {ends}")
    found = {"bos": tokenizer.bos_token_id, **dict(zip(("eos", "eot", "eom"), ends)),
             "unk": tokenizer.unk_token_id, "pad": tokenizer.pad_token_id}  # fmt: skip
    vocabulary.special_ids = {name: token for name, token in found.items() if token is not None}
    beyond = {name: token for name, token in vocabulary.special_ids.items() if token >= len(vocabulary.tokens)}
    if beyond:
        raise InputError(f"{source}: expected special tokens below {len(vocabulary.tokens)}, found {beyond}")
    if vocabulary.model == "llama" and tokenizer.unk_token_id is not None:
        vocabulary.types[tokenizer.unk_token_id] = UNKNOWN
    plain, whole = tokenizer.encode("a", add_special_tokens=False), tokenizer.encode("a")
    vocabulary.adds_bos = whole[:1] == [tokenizer.bos_token_id] and whole[:1] != plain[:1]
    vocabulary.adds_eos = whole[-1:] == [tokenizer.eos_token_id] and whole[-1:] != plain[-1:]
    if whole[vocabulary.adds_bos : len(whole) - vocabulary.adds_eos] != plain:
        raise _refuse(source, "post_processor", "bos before and eos after a text, or neither", whole)


def _refuse(source: Path, part: str, expected: str, found: Any) -> InputError:
    return InputError(
        f"{source}: tokenizer: {part}: expected {expected}, found {str(found)[:300]}; "
        "GGUF has no name for it that we know, and another would change how texts are read"
    )
