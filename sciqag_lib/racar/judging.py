"""RACAR: what a judge is asked about question-answer pairs, and how its replies are read.

SciQAG's five dimensions (arXiv 2405.09939, no code published): relevance, agnosticism (does the question stand without
its paper), completeness, accuracy and reasonableness of the answer. Each has a context of its own: relevance the
paper and the questions, agnosticism the questions alone, completeness and accuracy the paper and the pairs,
reasonableness the paper and the answers. A reply:

    {"scores": [{"score": 3, "reasons": "Names the alloy and the temperature."}, {"score": 1, "reasons": "..."}]}
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sciqag_lib.engines import Completion, Engine, Prompt
from sciqag_lib.errors import InputError
from sciqag_lib.inference.prompts import PromptFile, fill, load_prompt, plain_text
from sciqag_lib.inference.replies import strip_reasoning
from sciqag_lib.records.papers import QAPair

VERSION = 1  # of what moves a score here and is not in the prompt file
# In the order in which they are asked: completeness and accuracy see the same texts, and what needs no paper is last.
KINDS = {
    "relevance": "questions",
    "completeness": "pairs",
    "accuracy": "pairs",
    "reasonableness": "answers",
    "agnosticism": "questions",
}
DIMENSIONS = ("relevance", "agnosticism", "completeness", "accuracy", "reasonableness")  # the order of the name
WITHOUT_PAPER = ("agnosticism",)
SCALES = {"1-3": 3, "1-5": 5}
REPEAT_TEMPERATURE = 0.6  # greedy repeats would agree whatever the judge is worth
MAX_REASONS = 160  # characters
TOKENS_PER_SCORE, TOKENS_PER_REPLY = 64, 24
TEXTS = ("system", "paper", "excerpt", "items", "alone", "together", "again", "between")
LEVELS = ("high", "middle", "low")


@dataclass(frozen=True)
class Judging:
    """How pairs are judged: made by make_judging. What changes one of these changes scores."""

    dimensions: tuple[str, ...]
    scale: str  # "1-3" or "1-5"
    together: bool  # all dimensions in one call; as published each is judged alone
    repeats: int
    temperature: float
    null_papers: int | None  # how many papers of the file get null baselines; None is all
    thinking_tokens: int  # of each reply, for what a reasoning model thinks before its scores
    prompt: PromptFile
    seed: int

    @property
    def top(self) -> int:
        return SCALES[self.scale]

    def fingerprint(self, engine: Engine) -> dict[str, Any]:
        return {
            "job": "racar",
            "version": VERSION,
            "engine": engine.name,
            "model": engine.model_id,
            "context_size": engine.context_size,
            "dimensions": list(self.dimensions),
            "scale": self.scale,
            "together": self.together,
            "repeats": self.repeats,
            "temperature": self.temperature,
            "null_papers": self.null_papers,
            "thinking_tokens": self.thinking_tokens,
            "seed": self.seed,
            "prompt": f"{self.prompt.name} v{self.prompt.version} {self.prompt.digest}",
        }


def make_judging(
    dimensions: list[str] | None = None,
    scale: str = "1-3",
    together: bool = False,
    repeats: int = 1,
    temperature: float | None = None,
    null_papers: int | None = None,
    prompt: str = "racar",
    seed: int = 0,
    thinking_tokens: int = 0,
) -> Judging:
    """A Judging from a notebook's parameters. None means: all five dimensions; temperature 0 for one repeat and 0.6
    for more; null baselines for all papers. InputError names the parameter."""
    chosen = list(DIMENSIONS) if dimensions is None else dimensions
    for name, value in (("repeats", repeats), ("thinking_tokens", thinking_tokens)):
        if not isinstance(value, int):
            raise InputError(f"{name}: expected a whole number, found {value!r}")
    if temperature is None:
        temperature = 0.0 if repeats == 1 else REPEAT_TEMPERATURE
    known = ", ".join(DIMENSIONS)
    expectations = [
        ("dimensions", dimensions, bool(chosen) and set(chosen) <= set(DIMENSIONS), f"one or more of {known}"),
        ("scale", scale, scale in SCALES, "one of " + ", ".join(SCALES)),
        ("repeats", repeats, repeats >= 1, "at least 1"),
        ("temperature", temperature, temperature >= 0, "0 (greedy) or more"),
        ("null_papers", null_papers, null_papers is None or null_papers >= 0, "a number of papers, 0 for none"),
        ("thinking_tokens", thinking_tokens, thinking_tokens >= 0, "a number of tokens, 0 for none"),
    ]
    for name, value, holds, expected in expectations:
        if not holds:
            raise InputError(f"{name}: expected {expected}, found {value!r}")
    ordered = tuple(name for name in DIMENSIONS if name in chosen)
    return Judging(
        ordered,
        scale,
        together,
        repeats,
        float(temperature),
        null_papers,
        thinking_tokens,
        load_judge_prompt(prompt, TEXTS, DIMENSIONS, "racar"),
        seed,
    )


def load_judge_prompt(
    name_or_path: str, required: tuple[str, ...], dimensions: tuple[str, ...], like: str
) -> PromptFile:
    """A judge's prompt file; InputError where a text of `required` or a dimension's level is missing. `like` is a whole
    one, for the message."""
    prompt = load_prompt(name_or_path, required)
    entries = prompt.texts.get("dimensions")
    for dimension in dimensions:
        entry = entries.get(dimension) if isinstance(entries, dict) else None
        for key in ("asks", *LEVELS):
            if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
                raise InputError(
                    f"prompt {prompt.name}: dimensions.{dimension}.{key} is missing or no text; see prompts/{like}.yaml"
                )
    return prompt


# Prompts -------------------------------------------------------------------------------------------------------------


def make_code(texts: Iterable[str]) -> str:
    """12 hex digits that occur in none of `texts`: they mark where quoted text begins and ends, so that no quoted
    text can end its own quotation. The same texts have the same code: a paper's prompts begin alike."""
    quoted = "\0".join(texts)
    code = hashlib.sha256(quoted.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    while code in quoted.lower():
        code = hashlib.sha256(code.encode()).hexdigest()[:12]
    return code


def quote_paper(prompt: PromptFile, code: str, text: str, excerpt: bool = False) -> str:
    """The block that holds the paper, whole or in excerpts."""
    key = "excerpt" if excerpt else "paper"
    return fill(prompt.texts[key], {"paper": plain_text(text), "code": code}, f"prompt {prompt.name}, {key}")


def begin_prompt(judging: Judging, code: str, paper_block: str) -> Prompt:
    """What all prompts about one paper begin with; it serves to count its tokens."""
    return Prompt(system=_fill(judging, "system", {"code": code}), user=paper_block)


def write_task(
    judging: Judging, code: str, dimensions: tuple[str, ...], pairs: list[QAPair], again: bool = False
) -> str:
    """The second part of a prompt: the pairs, as far as the dimension sees them, and what to do with them."""
    kind = KINDS[dimensions[0]] if len(dimensions) == 1 else "pairs"
    lines = "\n".join(f"{number}. {_quote_pair(kind, pair)}" for number, pair in enumerate(pairs, start=1))
    values = {"code": code, "count": str(len(pairs)), "kind": kind, "top": str(judging.top)}
    values["again"] = _fill(judging, "again", values) if again else ""
    if judging.together and len(dimensions) > 1:
        blocks = [
            f"{name}: {judging.prompt.texts['dimensions'][name]['asks']}\n{list_levels(judging, name)}"
            for name in dimensions
        ]
        example = "".join(f'"{name}": number, ' for name in dimensions)
        values |= {"dimensions": "\n".join(blocks), "example": "{" + example + '"reasons": "one short sentence"}'}
        task = _fill(judging, "together", values)
    else:
        [name] = dimensions
        values |= {
            "dimension": name,
            "asks": judging.prompt.texts["dimensions"][name]["asks"],
            "levels": list_levels(judging, name),
        }
        task = _fill(judging, "alone", values)
    return _fill(judging, "items", {"code": code, "items": plain_text(lines)}) + "\n" + task


def list_levels(judging: Judging, dimension: str) -> str:
    """One line for each score, the highest first."""
    return "\n".join(f"{score}: {label}" for score, label in label_levels(judging, dimension))


def label_levels(judging: Judging, dimension: str) -> list[tuple[int, str]]:
    """Each score with what it means, the highest first; on the scale 1-5 the labels stand at 5, 3 and 1."""
    labels = [judging.prompt.texts["dimensions"][dimension][key] for key in LEVELS]
    if judging.top == 5:
        between = judging.prompt.texts["between"]
        labels = [labels[0], between, labels[1], between, labels[2]]
    return [(judging.top - place, label) for place, label in enumerate(labels)]


def _fill(judging: Judging, key: str, values: dict[str, str]) -> str:
    return fill(judging.prompt.texts[key], values, f"prompt {judging.prompt.name}, {key}")


def _quote_pair(kind: str, pair: QAPair) -> str:
    """As JSON, on one line: a text with quotation marks and newlines cannot pretend to be the next item."""
    quoted = {"question": pair.question, "answer": pair.answer}
    if kind != "pairs":
        del quoted["answer" if kind == "questions" else "question"]
    return json.dumps(quoted, ensure_ascii=False)


def make_schema(judging: Judging, dimensions: tuple[str, ...], count: int) -> dict[str, Any]:
    """What a reply must look like. The list stands in an object, since hosted servers refuse a schema of a list."""
    score = {"type": "integer", "minimum": 1, "maximum": judging.top}
    names = ["score"] if len(dimensions) == 1 else list(dimensions)
    entry = {
        "type": "object",
        "properties": {name: score for name in names} | {"reasons": {"type": "string", "maxLength": MAX_REASONS}},
        "required": [*names, "reasons"],
        "additionalProperties": False,
    }
    scores = {"type": "array", "items": entry, "minItems": count, "maxItems": count}
    return {"type": "object", "properties": {"scores": scores}, "required": ["scores"], "additionalProperties": False}


def reply_room(dimensions: tuple[str, ...], count: int, thinking_tokens: int = 0) -> int:
    """Tokens kept free for the scores of `count` pairs, and for what a model thinks before them."""
    return thinking_tokens + TOKENS_PER_REPLY + count * (TOKENS_PER_SCORE + 8 * (len(dimensions) - 1))


# Replies -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """What a reply says of one pair and dimension."""

    score: int | None  # None where it is missing
    reasons: str
    missing: str  # why there is no score: "unreadable", "cut_off", "wrong_count", "out_of_scale"; "" where there is one


def read_scores(completion: Completion, dimensions: tuple[str, ...], count: int, top: int) -> list[dict[str, Reading]]:
    """For each of `count` pairs what the reply says on each dimension.

    The scores are taken from where they stand, in whatever is around them. A reply that ended by itself with more or
    fewer entries than there are pairs is not used: nobody can say whose they are. One that was cut off keeps the
    entries before the cut.
    """
    keys = {_score_key(name, dimensions) for name in dimensions}
    entries = find_entries(strip_reasoning(completion.text)[0], keys)
    missing = "cut_off" if completion.finish_reason == "length" else "unreadable"
    if len(entries) > count or 0 < len(entries) < count and completion.finish_reason != "length":
        entries, missing = [], "wrong_count"
    blank = {name: Reading(None, "", missing) for name in dimensions}
    read = [{name: _read_entry(entry, _score_key(name, dimensions), top) for name in dimensions} for entry in entries]
    return read + [blank] * (count - len(read))


def find_entries(text: str, keys: set[str]) -> list[dict[str, Any]]:
    """The JSON objects with one of `keys` in a text, in order, wherever they stand; what is no JSON is passed over."""
    decoder, found = json.JSONDecoder(strict=False), []
    at = text.find("{")
    while at >= 0:
        try:
            value, at = decoder.raw_decode(text, at)
            found += _list_entries(value, keys)
        except (ValueError, RecursionError):
            at += 1  # of a list that was cut off, the entries before the cut are whole
        at = text.find("{", at)
    return found


def _list_entries(value: Any, keys: set[str]) -> list[dict[str, Any]]:
    if isinstance(value, dict) and keys & value.keys():
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [entry for item in inner for entry in _list_entries(item, keys)]


def _score_key(dimension: str, dimensions: tuple[str, ...]) -> str:
    return "score" if len(dimensions) == 1 else dimension


def _read_entry(entry: dict[str, Any], key: str, top: int) -> Reading:
    reasons = entry.get("reasons", "")
    if isinstance(reasons, list):
        reasons = " ".join(part for part in reasons if isinstance(part, str))
    reasons = " ".join(reasons.split()) if isinstance(reasons, str) else ""
    reasons = reasons.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # half of a pair can't be written
    score = _read_score(entry.get(key))
    if score is None:
        return Reading(None, reasons, "unreadable")
    return Reading(score, reasons, "") if 1 <= score <= top else Reading(None, reasons, "out_of_scale")


def _read_score(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,9}\s*", value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, float) and math.isfinite(value) and not value % 1 else None
