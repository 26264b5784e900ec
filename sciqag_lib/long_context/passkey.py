"""Passkey retrieval: does a model find a number that is hidden at a given depth of a long filler text?

After Mohtashami and Jaggi (arXiv 2305.16300), with which LongLoRA (arXiv 2309.12307) judges its models; the prompt is
prompts/passkey.yaml. Version 1:

1. The number has five digits, drawn for each prompt. It is placed between two sentences of the filler, at the boundary
   nearest to the depth, a share of the filler's characters: 0 is its beginning, 1 its end.
2. The filler has as many sentences as leave prompt and reply together within the length, in tokens of the engine.
3. A reply is right where the first five-digit number in it is the hidden one. Replies are greedy.

Beside it the control: a prompt with the same filler and without the number, one for each length and trial; it should
never say one of the numbers that are hidden at that length in that trial. By chance a number is right once in 90,000.

Rows of passkey.parquet (also .csv); a control has no depth, digits counts how many of the number's digits the reply's
first number begins with, place is the filler before the number, in characters:

    length,depth,trial,kind,key,reply,answer,right,digits,prompt_tokens,place,error
    1024,0.5,0,hidden,39063,The locker number is 39063.,39063,True,5,995,2052,
"""

import math
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from os.path import commonprefix
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from sciqag_lib.engines import Completion, Engine, EngineError, Prompt, Request, Sampling, complete
from sciqag_lib.errors import BadRecord, InputError, check_parameters, first_note
from sciqag_lib.inference.prompts import PromptFile, fill, load_form, load_prompt, plain_text, render
from sciqag_lib.inference.seeds import derive_seed
from sciqag_lib.records.papers import read_papers_json
from sciqag_lib.tables import write_report, write_table

if TYPE_CHECKING:
    import pandas

VERSION = 1
LOWEST, HIGHEST = 10_000, 99_999
CHANCE = 1 / (HIGHEST - LOWEST + 1)
REPLY_TOKENS = 24  # five digits, one token each, and some words before them
NUMBER = re.compile(r"(?<![\d.,])\d+(?![\d]|[.,]\d)")
SEPARATED = re.compile(r"(?<![\d.,])(\d\d),(\d{3})(?![\d]|[.,]\d)")  # 48,213
LONG_NUMBER = re.compile(r"\d{5}")  # a sentence that holds one is no filler
COLUMNS = (
    {"length": "whole", "depth": "real", "trial": "whole"}
    | dict.fromkeys(("kind", "key", "reply", "answer"), "text")
    | {"right": "bool", "digits": "whole", "prompt_tokens": "whole", "place": "whole", "error": "text"}
)


@dataclass(frozen=True)
class Share:
    """How many replies are right, with the Wilson interval (95%)."""

    right: int
    asked: int
    share: float  # nan where nothing was asked
    low: float
    high: float

    @property
    def mean(self) -> float:
        return self.share

    def __str__(self) -> str:
        if not self.asked:
            return "no reply"
        return f"{self.right} of {self.asked}: {self.share:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Cell:
    length: int
    depth: float
    share: Share


@dataclass(frozen=True)
class LengthResult:
    length: int
    hidden: Share  # over all depths
    control: Share  # prompts without the number whose reply says it all the same


@dataclass
class PasskeyReport:
    """Contents of passkey.json."""

    model: str
    prompt: str  # name, version and digest of the prompt file
    prompt_form: str
    filler: str
    trials: int
    cells: list[Cell]
    lengths: list[LengthResult]
    tokens_exact: bool  # False where the engine can only estimate how long a prompt is
    num_failed: int  # prompts that the engine did not answer: in no share
    chance: float = CHANCE
    notes: list[str] = field(default_factory=list)
    version: int = VERSION

    def to_frame(self) -> "pandas.DataFrame":
        """Right replies by length, with the number and without it, as right of asked: share (interval)."""
        import pandas

        rows = {result.length: {"found": result.hidden, "without it": result.control} for result in self.lengths}
        return pandas.DataFrame.from_dict(rows, orient="index").rename_axis("length").map(str)


@dataclass(frozen=True)
class Trial:
    """One prompt of the grid; the control of a length and trial has no depth and no key."""

    length: int
    trial: int
    depth: float
    key: str
    prompt: Prompt
    place: int  # where in the filler the key is, in characters
    keys: tuple[str, ...]  # those that would be right

    @property
    def id(self) -> str:
        return f"{self.length}-{self.trial}-{self.depth:g}-{self.key}"


def estimate_share(right: int, asked: int) -> Share:
    from scipy.stats import binomtest

    if not asked:
        return Share(0, 0, math.nan, math.nan, math.nan)
    low, high = binomtest(right, asked).proportion_ci(method="wilson")
    return Share(right, asked, right / asked, float(low), float(high))


# Prompts -------------------------------------------------------------------------------------------------------------


def read_filler(file_path: str | Path, limit: int | None, notes: list[str]) -> list[list[str]]:
    """The sentences of each usable paper, without those that hold a number of five digits. InputError: none is left."""
    from sciqag_lib.text.sentences import split_sentences

    papers: list[list[str]] = []
    for paper in read_papers_json(file_path, required=("doi", "txt")):
        if isinstance(paper, BadRecord):
            notes.append(str(paper))
        elif limit is None or len(papers) < limit:
            sentences = [plain_text(paper.txt[start:end]) for start, end in split_sentences(paper.txt)]
            papers.append([sentence for sentence in sentences if not LONG_NUMBER.search(sentence.replace(",", ""))])
    papers = [sentences for sentences in papers if sentences]
    if not papers:
        raise InputError(f"{file_path}: holds no paper with a sentence to hide a number among{first_note(notes)}")
    return papers


def place_key(sentences: list[str], depth: float, key: str) -> tuple[str, int]:
    """The filler with `key` at the boundary of sentences that is nearest to `depth` of its characters, and how many
    characters come before it; the earlier boundary of two that are equally near. An empty `key` is left out."""
    if not key:
        return " ".join(sentences), -1
    ends = [0, *accumulate(len(sentence) + 1 for sentence in sentences)]  # with the space after it
    count = min(range(len(ends)), key=lambda index: abs(ends[index] - depth * ends[-1]))
    return " ".join([*sentences[:count], key, *sentences[count:]]), ends[count]


class PromptMaker:
    """Prompts of a given length with one engine; `papers` are lists of sentences, None is the prompt file's filler."""

    def __init__(self, engine: Engine, prompt: PromptFile, form: str, papers: list[list[str]] | None) -> None:
        self._engine, self._prompt, self._papers = engine, prompt, papers
        self._form = load_form(form)

    def list_sentences(self, count: int, random: Random) -> list[str]:
        """`count` sentences: the repeated ones, or those of papers from a random sentence on, paper after paper and,
        where the last has ended, from the first on again."""
        if self._papers is None:
            sentences, start = list(self._prompt.texts["filler"]), 0
        else:
            sentences = [sentence for paper in self._papers for sentence in paper]
            start = random.randrange(len(sentences))
        return [sentences[(start + index) % len(sentences)] for index in range(count)]

    def make(self, sentences: list[str], depth: float, key: str) -> tuple[Prompt, int]:
        """The prompt, and the characters of filler before the key, -1 without one."""
        statement = fill(self._prompt.texts["key"], {"key": key}, "prompt passkey, key") if key else ""
        text, place = place_key(sentences, depth, statement)
        prompt = render(self._prompt, self._form, {"text": text})
        return (Prompt(text=f"{prompt.text.rstrip()} {self._prompt.texts['answer']}") if prompt.text else prompt), place

    def count_tokens(self, sentences: list[str], depth: float, key: str) -> int:
        prompt, _ = self.make(sentences, depth, key)
        return self._engine.count_tokens([self._engine.format(prompt)])[0]

    def fit(self, sentences: list[str], depths: list[float], keys: list[str], room: int) -> list[str]:
        """The first sentences, as many as leave the prompt with each of the keys within `room` tokens. InputError where
        not even one does."""
        most = bisect_right(
            range(1, len(sentences) + 1),
            room,
            key=lambda number: self.count_tokens(sentences[:number], depths[0], keys[0]),
        )
        for depth, key in zip(depths, keys):  # another number can have a token more
            while most and self.count_tokens(sentences[:most], depth, key) > room:
                most -= 1
        if not most:
            least = self.count_tokens(sentences[:1], depths[0], keys[0]) + REPLY_TOKENS
            raise InputError(
                f"lengths: expected at least {least:,} tokens, prompt and reply with one sentence of "
                f"filler, found {room + REPLY_TOKENS:,}"
            )
        return sentences[:most]


def list_trials(maker: PromptMaker, lengths: list[int], depths: list[float], trials: int, seed: int) -> Iterator[Trial]:
    """All prompts, those of one length and trial together, by depth and the control last: each begins as the one before
    it, which an engine that keeps prefixes computes once."""
    for length in lengths:
        for number in range(trials):
            random = Random(derive_seed(seed, "passkey", length, number))
            keys = [str(random.randint(LOWEST, HIGHEST)) for _ in depths]
            # One filler for all, so that the control differs in the number alone. A sentence has at least one token.
            sentences = maker.fit(maker.list_sentences(length, random), depths, keys, length - REPLY_TOKENS)
            for depth, key in zip(depths, keys):
                yield Trial(length, number, depth, key, *maker.make(sentences, depth, key), (key,))
            yield Trial(length, number, math.nan, "", *maker.make(sentences, 0.0, ""), tuple(keys))


# Replies -------------------------------------------------------------------------------------------------------------


def read_number(reply: str, digits: int | None = None) -> str:
    """The first whole number of a reply, or the first of so many digits; "" where there is none. "48,213" is one."""
    numbers = NUMBER.findall(SEPARATED.sub(r"\1\2", reply))
    return next((number for number in numbers if digits in (None, len(number))), "")


def count_digits(key: str, reply: str) -> int:
    """How many of the key's digits the reply's first number begins with: "48219" for 48213 is 4."""
    return len(commonprefix([key, read_number(reply)]))


def score_reply(trial: Trial, completion: Completion) -> dict[str, Any]:
    """A row of passkey.parquet; without a reply, `right` and `digits` are missing."""
    failed = completion.finish_reason == "error"
    answer = "" if failed else read_number(completion.text, len(str(LOWEST)))
    return {
        **vars(trial),
        "kind": "hidden" if trial.key else "control",
        "reply": completion.text,
        "answer": answer,
        "right": None if failed else answer in trial.keys,
        "digits": None if failed else max(count_digits(key, completion.text) for key in trial.keys),
        "prompt_tokens": completion.prompt_tokens,
        "error": completion.error,
    }


# The whole grid ------------------------------------------------------------------------------------------------------


def run_passkey(
    output_dir: str | Path,
    engine: Engine,
    lengths: list[int],
    depths: list[float],
    trials: int = 5,
    filler: str | None = None,
    file_path: str | Path | None = None,
    limit: int | None = None,
    prompt_form: str = "chat",
    seed: int = 0,
    prompt: str = "passkey",
) -> PasskeyReport:
    """Ask for a hidden number at every length and depth, `trials` times each, and once without it for each length and
    trial; writes passkey.parquet, .csv and .json. filler "paper" takes the sentences of the papers in `file_path`; None
    is "paper" where there is a `file_path`, else "repeated".

    A prompt that the engine does not answer is noted and in no share. InputError where a parameter is off, EngineError
    where the engine failed for good: what it answered before is written first.
    """
    lengths, depths = _check_grid(lengths, depths, trials, engine)
    filler = filler or ("paper" if file_path else "repeated")
    if filler not in ("repeated", "paper") or (filler == "paper") != (file_path is not None):
        raise InputError(f"filler: expected repeated, or paper with a file_path, found {filler!r} and {file_path!r}")
    notes: list[str] = []
    papers = read_filler(file_path, limit, notes) if file_path is not None else None
    prompt_file = load_prompt(prompt, ("system", "instruction", "input", "answer", "key", "filler"))
    maker = PromptMaker(engine, prompt_file, prompt_form, papers)
    rows, fatal = _ask(engine, list(list_trials(maker, lengths, depths, trials, seed)), seed)
    with write_table(Path(output_dir), "passkey", COLUMNS) as table:
        table.add(rows)
    failed = [row for row in rows if row["right"] is None]
    notes += [f"{row['length']} tokens, depth {row['depth']:g}, trial {row['trial']}: {row['error']}" for row in failed]
    if not engine.tokens_exact:
        notes.append("the engine can only estimate tokens: prompts are shorter than their length; see prompt_tokens")
    report = PasskeyReport(
        model=engine.description,
        prompt=f"{prompt_file.name} v{prompt_file.version} {prompt_file.digest}",
        prompt_form=prompt_form,
        filler=filler,
        trials=trials,
        cells=[_share_cell(rows, length, depth) for length in lengths for depth in depths],
        lengths=[_share_length(rows, length) for length in lengths],
        tokens_exact=engine.tokens_exact,
        num_failed=len(failed),
        notes=notes,
    )
    write_report(Path(output_dir) / "passkey.json", report)
    if fatal:
        raise EngineError(f"{fatal}; {len(rows) - report.num_failed:,} replies are kept in {Path(output_dir).name}")
    return report


def _share_cell(rows: list[dict[str, Any]], length: int, depth: float) -> Cell:
    return Cell(length, depth, share_rows(rows, kind="hidden", length=length, depth=depth))


def _share_length(rows: list[dict[str, Any]], length: int) -> LengthResult:
    hidden, control = (share_rows(rows, kind=kind, length=length) for kind in ("hidden", "control"))
    return LengthResult(length, hidden, control)


def _check_grid(lengths: list[int], depths: list[float], trials: int, engine: Engine) -> tuple[list[int], list[float]]:
    longest, most = max(lengths, default=0), engine.context_size
    check_parameters(
        ("lengths", lengths, bool(lengths), "at least one length"),
        ("depths", depths, bool(depths) and all(0 <= depth <= 1 for depth in depths), "depths from 0 to 1"),
        ("trials", trials, trials >= 1, "at least one trial"),
        ("lengths", longest, longest <= most, f"at most {most:,} tokens, the context of {engine.model_id}"),
    )
    return sorted(set(lengths)), sorted(set(depths))


def _ask(engine: Engine, trials: list[Trial], seed: int) -> tuple[list[dict[str, Any]], str]:
    """A row for every reply in the order of `trials`, and why the engine gave up for good, or ""."""
    sampling = Sampling(REPLY_TOKENS, 0.0, 1.0, seed)
    by_id, rows, fatal = {trial.id: trial for trial in trials}, {}, ""
    requests = (Request(trial.id, trial.prompt, sampling) for trial in trials)
    for completion in tqdm(complete(engine, requests), total=len(trials), unit="prompt", desc="asking"):
        rows[completion.id] = score_reply(by_id[completion.id], completion)
        if completion.fatal:
            fatal = completion.error
            break
    return [rows[trial.id] for trial in trials if trial.id in rows], fatal


def share_rows(rows: list[dict[str, Any]], **values: Any) -> Share:
    """How many of the replies in rows with these values are right."""
    right = [row["right"] for row in rows if row["right"] is not None and values.items() <= row.items()]
    return estimate_share(sum(right), len(right))
