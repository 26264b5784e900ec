"""Prompt files, prompt forms, and fitting a paper into a context.

A prompt is a YAML file in sciqag_lib/prompts/ (or anywhere: its path is as good as its name) with a `version`
and the texts `system`, `instruction`, `input` and, where a prompt is asked again, `again`:

    version: 1
    system: You are ...
    instruction: Write {{num_pairs}} pairs ...{{again}}
    input: |-
      The paper:
      {{paper}}

A form says how the three become one text: "chat" is the model's own chat template, "llama2" and "alpaca" are
the files prompts/forms/*.txt, and any path names a user's own. {{names}} are replaced in one pass, so braces and
template syntax inside a paper are only text.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sciqag_lib.engines import Engine, Prompt
from sciqag_lib.errors import InputError
from sciqag_lib.paths import resolve_path

PROMPTS_DIR = Path(__file__).parents[1] / "prompts"
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
# What chat templates use as control tokens; a space inside makes them ordinary text for every tokenizer.
CONTROL = re.compile(
    r"<[|｜][^<>|｜\s]{1,40}[|｜]>|<(?:/?s|/?SYS|<SYS>|/?think|[a-z]+_of_[a-z]+|bos|eos|pad|unk|/?tool_call)>"
    r"|\[/?(?:INST|THINK|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT)\]"
)
SPECIAL_TOKENS = 16  # that an engine may add to a text; a text has at most as many others as it has bytes


@dataclass(frozen=True)
class PromptFile:
    name: str
    version: int
    digest: str  # first 16 hex digits of the file's SHA-256: an edited prompt is another prompt
    texts: dict[str, Any]  # the file's other keys


def load_prompt(name_or_path: str, required: tuple[str, ...] = ("system", "instruction", "input")) -> PromptFile:
    """Read a prompt by name ("whole_paper") or path. Raises InputError naming the file and the key at fault."""
    path = _find(name_or_path, ".yaml")
    try:
        data = path.read_bytes()
        texts = yaml.safe_load(data.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a YAML file in UTF-8: {error}") from error
    if not isinstance(texts, dict) or not isinstance(texts.get("version"), int):
        raise InputError(f"{path}: expected `version: <whole number>` and the prompt's texts")
    for key in required:
        if not isinstance(texts.get(key), (str, list)):
            raise InputError(f"{path}: key {key!r} is missing or no text; see {PROMPTS_DIR.name}/whole_paper.yaml")
    digest = hashlib.sha256(data).hexdigest()[:16]
    return PromptFile(path.stem, texts.pop("version"), digest, texts)


def load_form(name_or_path: str) -> str:
    """The template text of a form, "" for "chat" (the model's own template)."""
    if name_or_path == "chat":
        return ""
    path = _find(name_or_path, ".txt", "forms")
    text = path.read_text(encoding="utf-8")
    for key in ("instruction", "input"):
        if "{{" + key + "}}" not in text:
            raise InputError(f"{path}: a prompt form needs {{{{{key}}}}} somewhere; it has none")
    return text


def _find(name_or_path: str, suffix: str, folder: str = "") -> Path:
    shipped = PROMPTS_DIR / folder / f"{name_or_path}{suffix}"
    if re.fullmatch(r"\w+", name_or_path) and shipped.is_file():
        return shipped
    path = resolve_path(name_or_path)
    if not path.is_file():
        known = sorted(file.stem for file in (PROMPTS_DIR / folder).glob(f"*{suffix}"))
        raise InputError(f"{name_or_path}: no such prompt file; known names: {', '.join(known)}; or give a path")
    return path


def fill(template: str, values: dict[str, str], where: str) -> str:
    """Replace every {{name}} in one pass; what the values hold is never looked at again."""

    def replace(match: re.Match) -> str:
        if match[1] not in values:
            raise InputError(f"{where}: unknown placeholder {match[0]}; known: {', '.join(sorted(values))}")
        return values[match[1]]

    return PLACEHOLDER.sub(replace, template)


def plain_text(text: str) -> str:
    """`text` with control tokens of chat templates spelled so that no tokenizer takes them for one."""
    return CONTROL.sub(lambda match: f"{match[0][0]} {match[0][1:-1]} {match[0][-1]}", text)


def render(prompt: PromptFile, form: str, values: dict[str, str]) -> Prompt:
    """The prompt with its values filled in, as a chat message or, with a form's template, as complete text."""
    parts = {
        key: fill(prompt.texts[key], values, f"prompt {prompt.name}, {key}")
        for key in ("system", "instruction", "input")
    }
    if not form:
        return Prompt(system=parts["system"], user=f"{parts['instruction']}\n{parts['input']}")
    return Prompt(text=fill(form, parts, "prompt form"))


def fit_text(engine: Engine, make_prompt: Callable[[str], Prompt], text: str, room: int) -> tuple[Prompt, int]:
    """The prompt with as much of the beginning of `text` as leaves it within `room` tokens, and how many characters.

    The cut falls on the end of a paragraph or sentence where there is one in the last fifth of what fits.
    Raises InputError where the prompt alone, without any text, is longer than `room`.
    """

    def count(kept: int) -> tuple[Prompt, int]:
        prompt = make_prompt(plain_text(text[:kept]))
        return prompt, engine.count_tokens([engine.format(prompt)])[0]

    prompt, tokens = count(len(text))
    if tokens <= room:
        return prompt, len(text)
    empty_tokens = count(0)[1]
    if empty_tokens > room:
        raise InputError(
            f"the prompt alone has {empty_tokens:,} tokens and the context leaves room for {room:,}; "
            "raise context_size, lower max_gen_len or n_qa, or shorten the prompt"
        )
    low, high = 0, len(text)  # `low` fits, `high` does not
    while high - low > 64:
        middle = (low + high) // 2
        if count(middle)[1] <= room:
            low = middle
        else:
            high = middle
    kept = _round_cut(text, low)
    prompt, tokens = count(kept)
    while tokens > room:  # a shorter text can have one token more, where the cut broke up a merge
        kept = kept * 99 // 100
        prompt, tokens = count(kept)
    return prompt, kept


def _round_cut(text: str, kept: int) -> int:
    floor = int(kept * 0.8)
    for mark, after in (("\n", 0), (". ", 1), (" ", 0)):
        at = text.rfind(mark, floor, kept)
        if at > 0:
            return at + after
    return kept


def check_length(engine: Engine, prompt: Prompt, max_new_tokens: int) -> None:
    """InputError where a prompt and its reply do not fit the context. Tokens are only counted where there is doubt: a
    token has at least one byte."""
    room = engine.context_size - max_new_tokens
    if len((prompt.text or prompt.system + prompt.user).encode("utf-8", "replace")) + 4 * SPECIAL_TOKENS <= room:
        return
    [tokens] = engine.count_tokens([engine.format(prompt)])
    if tokens > room:
        raise InputError(
            f"its prompt has {tokens:,} tokens, and with {max_new_tokens:,} for the reply that is more "
            f"than the context of {engine.context_size:,}; raise context_size, or show fewer examples"
        )
