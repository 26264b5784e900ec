"""The judge: a model that scores texts on a scale. Its prompt file, schema, retries, and the reading of its replies.

RACAR, the benchmark and question similarity use it; what differs is what they quote and which calls they make:

    calls = [Call(("accuracy",), places=(0, 1, 2))]             # three answers in one request
    readings = yield from ask_judge(judge, calls, make_request)  # inside a job's `ask`; see loop.py
    readings[0, 2]                                               # ({"accuracy": Reading(3, "Names the alloy.", "")}, 1)

A reply; with several dimensions each has its own key instead of "score", and without reasons it is {"score": 85}:

    {"scores": [{"score": 3, "reasons": "Names the alloy and the temperature."}, {"score": 1, "reasons": "..."}]}
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sciqag_lib.engines import Completion, Prompt, Request, Sampling
from sciqag_lib.errors import InputError
from sciqag_lib.inference.latex_escapes import escape_latex
from sciqag_lib.inference.loop import Round
from sciqag_lib.inference.prompts import PromptFile, fill, load_prompt
from sciqag_lib.inference.replies import replace_surrogates, strip_reasoning
from sciqag_lib.inference.seeds import derive_seed

MAX_ATTEMPTS = 3  # the first time, and twice for scores that could not be read
RETRY_TEMPERATURE = 0.3  # at the least: a greedy judge would write the same again
MAX_REASONS = 160  # characters
TOKENS_PER_SCORE, TOKENS_PER_REPLY = 64, 24
TOKENS_WITHOUT_REASONS = 16
LEVELS = ("high", "middle", "low")
PLAIN_SCORE = re.compile(r'"?score"?\s*:\s*"?(\d{1,9})(?!\d|\.\d)')
HINTS = {"cut_off": " (a model that thinks before it answers needs thinking_tokens)"}


@dataclass(frozen=True, kw_only=True)
class Judge:
    """How texts are judged. What changes one of these changes scores."""

    prompt: PromptFile
    dimensions: tuple[str, ...]
    low: int = 1  # of the scale
    top: int
    seed: int
    temperature: float = 0.0
    thinking_tokens: int = 0  # of each reply, for what a reasoning model thinks before its scores
    with_reasons: bool = True  # else a reply is {"score": number} about one text

    def fill(self, key: str, values: dict[str, str]) -> str:
        """A text of the prompt file with its {{names}} replaced."""
        return fill(self.prompt.texts[key], values, f"prompt {self.prompt.name}, {key}")

    def label_levels(self, dimension: str) -> list[tuple[int, str]]:
        """Each score with what it means, the highest first; on a scale of five the labels are those of 5, 3 and 1."""
        labels = [self.prompt.texts["dimensions"][dimension][key] for key in LEVELS]
        if self.top == 5:
            between = self.prompt.texts["between"]
            labels = [labels[0], between, labels[1], between, labels[2]]
        return [(self.top - place, label) for place, label in enumerate(labels)]

    def list_levels(self, dimension: str) -> str:
        """One line for each score, the highest first."""
        return "\n".join(f"{score}: {label}" for score, label in self.label_levels(dimension))

    def list_scales(self, dimensions: Iterable[str]) -> str:
        """What is asked about each dimension, and its levels."""
        asks = {name: self.prompt.texts["dimensions"][name]["asks"] for name in dimensions}
        return "\n".join(f"{name}: {text}\n{self.list_levels(name)}" for name, text in asks.items())

    def make_schema(self, dimensions: tuple[str, ...], count: int) -> dict[str, Any]:
        """What a reply must look like. The list is in an object, since hosted servers refuse a schema of a list."""
        score = {"type": "integer", "minimum": self.low, "maximum": self.top}
        if not self.with_reasons:
            return _close({"score": score})
        reasons = {"reasons": {"type": "string", "maxLength": MAX_REASONS}}
        entry = _close({_score_key(name, dimensions): score for name in dimensions} | reasons)
        return _close({"scores": {"type": "array", "items": entry, "minItems": count, "maxItems": count}})

    def reply_room(self, dimensions: tuple[str, ...], count: int) -> int:
        """Tokens kept free for the scores of `count` texts, and for what a model thinks before them."""
        if not self.with_reasons:
            return self.thinking_tokens + TOKENS_WITHOUT_REASONS
        return self.thinking_tokens + TOKENS_PER_REPLY + count * (TOKENS_PER_SCORE + 8 * (len(dimensions) - 1))

    def make_request(
        self, request_id: str, prompt: Prompt, call: "Call", count: int, attempt: int, *seed_parts: Any
    ) -> Request:
        """The request about `count` texts of a call; after the first attempt with a little chance. Its seed follows
        from `seed_parts`."""
        temperature = max(self.temperature, RETRY_TEMPERATURE) if attempt else self.temperature
        seed = derive_seed(self.seed, *seed_parts)
        return Request(request_id, prompt, Sampling(self.reply_room(call.dimensions, count), temperature, 1.0, seed))

    def read_scores(
        self, completion: Completion, dimensions: tuple[str, ...], count: int
    ) -> list[dict[str, "Reading"]]:
        """For each of `count` texts what the reply says on each dimension.

        The scores are taken from where they are, in whatever is around them. A reply that ended by itself with more
        or fewer entries than there are texts is not used: nobody can say whose they are. One that was cut off keeps
        the entries before the cut.
        """
        text, cut = strip_reasoning(completion.text)[0], completion.finish_reason == "length"
        entries = find_entries(text, {_score_key(name, dimensions) for name in dimensions})
        if not entries and not self.with_reasons:
            match = PLAIN_SCORE.search(text)
            if match and not (cut and completion.text.endswith(match[0])):  # cut off in the number, perhaps: 1 of 100
                entries = [{"score": int(match[1])}]
        missing = "cut_off" if cut else "unreadable"
        if len(entries) > count or 0 < len(entries) < count and not cut:
            entries, missing = [], "wrong_count"
        blank = {name: Reading(None, "", missing) for name in dimensions}
        read = [
            {name: self._read_entry(entry, _score_key(name, dimensions)) for name in dimensions} for entry in entries
        ]
        return read + [blank] * (count - len(read))

    def _read_entry(self, entry: dict[str, Any], key: str) -> "Reading":
        reasons = entry.get("reasons", "")
        if isinstance(reasons, list):
            reasons = " ".join(part for part in reasons if isinstance(part, str))
        reasons = replace_surrogates(" ".join(reasons.split())) if isinstance(reasons, str) else ""
        score = _read_number(entry.get(key))
        if score is None:
            return Reading(None, reasons, "unreadable")
        return Reading(score, reasons, "") if self.low <= score <= self.top else Reading(None, reasons, "out_of_scale")


@dataclass(frozen=True)
class Reading:
    """What a reply says of one text and dimension."""

    score: int | None  # None where it is missing
    reasons: str
    missing: str  # why there is no score: "unreadable", "cut_off", "wrong_count", "out_of_scale"; "" where there is one


@dataclass(frozen=True)
class Call:
    """One request to a judge: some texts, on one dimension or on several."""

    dimensions: tuple[str, ...]  # in the request
    places: tuple[int, ...] = (0,)  # of the texts among those of the item
    kept: tuple[str, ...] = ()  # of the dimensions, those whose scores count; () is all
    problem: str = ""  # why it cannot be asked

    @property
    def counted(self) -> tuple[str, ...]:
        return self.kept or self.dimensions


Readings = dict[tuple[int, int], tuple[dict[str, Reading], int]]  # by call and place: what was read, attempts


def ask_judge(
    judge: Judge,
    calls: Sequence[Call],
    make_request: Callable[[int, list[int], int], Request],
    first_alone: bool = False,
) -> Generator[Round, list[Completion], Readings]:
    """Ask all calls, and again for scores that could not be read. `make_request` is given a call's number, the places
    still without a score, and the attempt. `first_alone`: the first call is answered before the others are sent, so
    that a server can have read what all of them begin with."""
    readings: Readings = {}
    waiting = {number: list(call.places) for number, call in enumerate(calls) if not call.problem}
    for attempt in range(MAX_ATTEMPTS):
        numbers = list(waiting)
        for turn in [numbers[:1], numbers[1:]] if first_alone and not attempt and len(numbers) > 1 else [numbers]:
            completions = yield Round([make_request(number, waiting[number], attempt) for number in turn])
            for number, completion in zip(turn, completions):
                waiting[number] = _note_reply(judge, calls, number, waiting[number], completion, readings)
        waiting = {number: places for number, places in waiting.items() if places}
        if not waiting:
            break
    return readings


def _note_reply(
    judge: Judge, calls: Sequence[Call], number: int, places: list[int], completion: Completion, readings: Readings
) -> list[int]:
    """Note what a reply says; the places of which a score is still missing."""
    call, still_waiting = calls[number], []
    for place, entry in zip(places, judge.read_scores(completion, call.dimensions, len(places))):
        before, attempts = readings.get((number, place), ({}, 0))
        entry = {
            name: before[name] if name in before and not before[name].missing else entry[name] for name in call.counted
        }
        readings[number, place] = entry, attempts + 1
        if any(reading.missing for reading in entry.values()):
            still_waiting.append(place)
    return still_waiting


def list_scores(calls: Sequence[Call], readings: Readings) -> Iterator[tuple[Call, int, dict[str, Any]]]:
    """Call, place and score of all that was asked for: {"dimension", "score", "reasons", "missing", "attempts"}."""
    for number, call in enumerate(calls):
        unasked = {name: Reading(None, "", call.problem) for name in call.counted}, 0
        for place in call.places:
            entry, attempts = readings.get((number, place), unasked)
            for name, reading in entry.items():
                yield call, place, {"dimension": name, **vars(reading), "attempts": attempts}


def finish_scores(scores: list[dict[str, Any]]) -> dict[str, Any]:
    """The part of a ledger line that the scores decide: done where one could be read."""
    missing = [score["missing"] for score in scores if score["missing"]]
    done = len(missing) < len(scores)
    first = "" if done else missing[0] + HINTS.get(missing[0], "")
    return {
        "status": "done" if done else "failed",
        "reason": "" if done else "no_readable_score",
        "message": "" if done else f"no score could be read; the first reason: {first}",
        "delivered": len(scores) - len(missing),
        "missing": missing,
        "scores": scores,
    }


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


def make_code(texts: Iterable[str]) -> str:
    """12 hex digits that occur in none of `texts`: they mark where quoted text begins and ends, so that no quoted
    text can end its own quotation. The same texts have the same code: a paper's prompts begin alike."""
    quoted = "\0".join(texts)
    code = hashlib.sha256(quoted.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    while code in quoted.lower():
        code = hashlib.sha256(code.encode()).hexdigest()[:12]
    return code


def find_entries(text: str, keys: set[str]) -> list[dict[str, Any]]:
    """The JSON objects with one of `keys` in a text, in order, wherever they are; what is no JSON is passed over."""
    text, decoder, found = escape_latex(text), json.JSONDecoder(strict=False), []
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


def _close(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _read_number(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,9}\s*", value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, float) and math.isfinite(value) and not value % 1 else None
