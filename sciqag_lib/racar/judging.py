"""RACAR: what a judge is asked about question-answer pairs.

SciQAG's five dimensions (arXiv 2405.09939, no code published): relevance, agnosticism (does the question stand without
its paper), completeness, accuracy and reasonableness of the answer. Each has a context of its own: relevance the
paper and the questions, agnosticism the questions alone, completeness and accuracy the paper and the pairs,
reasonableness the paper and the answers.
"""

import json
from dataclasses import dataclass
from typing import Any

from sciqag_lib.engines import Engine, Prompt
from sciqag_lib.errors import check_parameters
from sciqag_lib.inference.judge import Judge, load_judge_prompt
from sciqag_lib.inference.prompts import plain_text
from sciqag_lib.records.papers import QAPair

VERSION = 2  # of what moves a score here and is not in the prompt file
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
TEXTS = ("system", "paper", "excerpt", "items", "alone", "together", "again", "between")


@dataclass(frozen=True, kw_only=True)
class Judging(Judge):
    """How pairs are judged: made by make_judging. What changes one of these changes scores."""

    scale: str  # "1-3" or "1-5"
    together: bool  # all dimensions in one call; as published each is judged alone
    repeats: int
    null_papers: int | None  # how many papers of the file get null baselines; None is all

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
        check_parameters((name, value, isinstance(value, int), "a whole number"))
    if temperature is None:
        temperature = 0.0 if repeats == 1 else REPEAT_TEMPERATURE
    known = ", ".join(DIMENSIONS)
    check_parameters(
        ("dimensions", dimensions, bool(chosen) and set(chosen) <= set(DIMENSIONS), f"one or more of {known}"),
        ("scale", scale, scale in SCALES, "one of " + ", ".join(SCALES)),
        ("repeats", repeats, repeats >= 1, "at least 1"),
        ("temperature", temperature, temperature >= 0, "0 (greedy) or more"),
        ("null_papers", null_papers, null_papers is None or null_papers >= 0, "a number of papers, 0 for none"),
        ("thinking_tokens", thinking_tokens, thinking_tokens >= 0, "a number of tokens, 0 for none"),
    )
    return Judging(
        prompt=load_judge_prompt(prompt, TEXTS, DIMENSIONS, "racar"),
        dimensions=tuple(name for name in DIMENSIONS if name in chosen),
        top=SCALES[scale],
        seed=seed,
        temperature=float(temperature),
        thinking_tokens=thinking_tokens,
        scale=scale,
        together=together,
        repeats=repeats,
        null_papers=null_papers,
    )


def quote_paper(judging: Judging, code: str, text: str, excerpt: bool = False) -> str:
    """The block that holds the paper, whole or in excerpts."""
    return judging.fill("excerpt" if excerpt else "paper", {"paper": plain_text(text), "code": code})


def begin_prompt(judging: Judging, code: str, paper_block: str) -> Prompt:
    """What all prompts about one paper begin with; it serves to count its tokens."""
    return Prompt(system=judging.fill("system", {"code": code}), user=paper_block)


def write_task(
    judging: Judging, code: str, dimensions: tuple[str, ...], pairs: list[QAPair], again: bool = False
) -> str:
    """The second part of a prompt: the pairs, as far as the dimension sees them, and what to do with them."""
    kind = KINDS[dimensions[0]] if len(dimensions) == 1 else "pairs"
    lines = "\n".join(f"{number}. {_quote_pair(kind, pair)}" for number, pair in enumerate(pairs, start=1))
    values = {"code": code, "count": str(len(pairs)), "kind": kind, "top": str(judging.top)}
    values["again"] = judging.fill("again", values) if again else ""
    if judging.together and len(dimensions) > 1:
        example = "".join(f'"{name}": number, ' for name in dimensions) + '"reasons": "one short sentence"'
        values |= {"dimensions": judging.list_scales(dimensions), "example": "{" + example + "}"}
        task = judging.fill("together", values)
    else:
        [name] = dimensions
        values |= {
            "dimension": name,
            "asks": judging.prompt.texts["dimensions"][name]["asks"],
            "levels": judging.list_levels(name),
        }
        task = judging.fill("alone", values)
    return judging.fill("items", {"code": code, "items": plain_text(lines)}) + "\n" + task


def _quote_pair(kind: str, pair: QAPair) -> str:
    """As JSON, on one line: a text with quotation marks and newlines cannot pretend to be the next item."""
    quoted = {"question": pair.question, "answer": pair.answer}
    if kind != "pairs":
        del quoted["answer" if kind == "questions" else "question"]
    return json.dumps(quoted, ensure_ascii=False)
