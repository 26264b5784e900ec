"""Sentences and candidate questions for question_writing.py: papers split first, then questions by the base model.

One line of candidates.jsonl, a ledger (sciqag_lib/ledger.py), for each sentence and variant of asking:

    {"kind": "item", "id": "10.1371/journal.pone.0000217#5731#2", "status": "done", "question": "Why do ...?"}
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from sciqag_lib.engines import Engine, Request, Sampling, complete
from sciqag_lib.errors import InputError
from sciqag_lib.generation.evidence_first import (
    QUESTION_TOKENS,
    Kind,
    Sentence,
    find_sentences,
    load_kinds,
    question_prompt,
    read_question,
)
from sciqag_lib.inference.ledger import Ledger
from sciqag_lib.inference.prompts import PromptFile, fill, load_form, load_prompt, plain_text
from sciqag_lib.inference.seeds import derive_seed
from sciqag_lib.records.papers import Paper

WAY = re.compile(r"\b(?:by|using|via)\b")
# These point to what stands before the sentence.
BACKWARD = re.compile(r"\b(it|they|we|our|us|this|these|those|such|them|former|latter|here|above|herein)\b", re.I)
# Before "is limited by" these are no subject: "which is limited by", "and is limited by".
NO_SUBJECT = frozenset(
    "a an the and or of with by in on at as to for from than which that is are was were be been "
    "being not no has have had its their".split()
)
EXAMPLES = Path(__file__).parent / "question_writing" / "examples.yaml"
PROMPT = "evidence_first"
FORM = "plain"  # of training and of inference with what was trained
MIN_SENTENCES = 20  # a paper with fewer is no article, or hardly any text
NUM_HELD_OUT = 20
# The kinds for which it can be told whether a question fits. Of the others the base model wrote hardly any that did
# ("comparison"), or the checks take the right question for a copy of the sentence ("effect").
KINDS = ("agent", "cause", "purpose", "method")
NUM_TRAINING, NUM_HELD_OUT_SENTENCES = 130, 16  # of each kind; the second are those that are read, too
MAX_PER_PAPER = 6  # sentences of a kind
MASKS = 1  # version of mask_answer and begin_question
TEMPERATURES = (0.0, 0.6, 0.6, 0.8, 0.8, 1.0)  # of the candidates for a sentence, until one is fit


@dataclass(frozen=True)
class Item:
    """A sentence of a paper."""

    doi: str
    sentence: Sentence

    @property
    def id(self) -> str:
        return f"{self.doi}#{self.sentence.start}"


def load_base_kinds() -> list[Kind]:
    return load_kinds(load_base_prompt())


def load_base_prompt() -> PromptFile:
    return load_prompt(PROMPT, ("instruction", "kinds"))


def split_papers(papers: list[Paper]) -> tuple[list[Paper], list[Paper]]:
    """(for training, held out): the NUM_HELD_OUT papers with the smallest SHA-256 of their DOI are held out, so the
    split depends on nothing else that is done here."""
    ordered = sorted(papers, key=lambda paper: hashlib.sha256(paper.doi.encode()).hexdigest())
    return ordered[NUM_HELD_OUT:], ordered[:NUM_HELD_OUT]


def choose_items(papers: list[Paper], kinds: list[Kind], number: int) -> list[Item]:
    """The `number` most informative plain sentences of each of KINDS, at most MAX_PER_PAPER of a kind and paper."""
    found: dict[str, list[Item]] = {name: [] for name in KINDS}
    for paper in papers:
        plain = [Item(paper.doi, sentence) for sentence in find_sentences(paper, kinds) if is_plain(sentence)]
        for name in KINDS:
            found[name] += _rank([item for item in plain if item.sentence.kind.name == name])[:MAX_PER_PAPER]
    return [item for name in KINDS for item in _rank(found[name])[:number]]


def _rank(items: list[Item]) -> list[Item]:
    return sorted(items, key=lambda item: (-item.sentence.score, item.id))


# Asking the base model ------------------------------------------------------------------------------------------------


def is_plain(sentence: Sentence) -> bool:
    """Whether a sentence says by itself, and in its kind's plain form, what a question could ask for: no pronoun that
    points back, no mark in a clause of its own ("which is due to")."""
    match = sentence.kind.pattern.search(sentence.answer)  # None where it is the first word and now has a capital
    if not match or BACKWARD.search(sentence.answer) or "[" in sentence.answer or len(sentence.shown.split()) < 6:
        return False
    left, right = sentence.answer[: match.start()].lower().split(), sentence.answer[match.end() :]
    before = left[-1] if left else ""
    if sentence.kind.name == "agent":
        measured = re.match(r"(?:was|were)\b.*\bdetermined\b", match[0]) or re.match(r"\s(?:\w+ly )?\w+ing\b", right)
        return len(left) > 1 and before not in NO_SUBJECT and not measured  # "was determined by FACS" names no cause
    return True


def mask_answer(text: str, kind: Kind) -> str:
    """What the base model is shown of a fact when it makes training pairs: not what the question is to ask for, so that
    it cannot give it away. "X was limited by Y" becomes "X was limited by something", and of a method the way is
    cut off, as evidence_first itself cuts off the reason of the other two kinds."""
    if kind.name == "agent":
        return f"{text[: kind.pattern.search(text).end()]} something."
    if kind.name == "method":
        way = WAY.search(text, re.search(r"\b(?:was|were)\b", text).end())
        return f"{text[: way.start()].rstrip(' ,;(')}."
    return text


def begin_question(sentence: Sentence) -> str:
    """The words that the base model must begin with: of the kind "agent" the verb too, "What limited", as it chooses
    a poor one otherwise."""
    if sentence.kind.name != "agent":
        return sentence.kind.start
    words = sentence.kind.pattern.search(sentence.answer)[0].lower().split()
    present, past = _verb_forms(next(word for word in reversed(words) if word not in ("by", "to")))
    return f"What {past if words[0] in ('was', 'were', 'been') else present}"


def _verb_forms(participle: str) -> tuple[str, str]:
    """("limits", "limited") of "limited"; what is due to something is explained by it."""
    if participle in ("due", "owing", "attributed"):
        return "explains", "explained"
    if participle == "driven":
        return "drives", "drove"
    stem = participle.removesuffix("ed")
    if stem == "controll":
        return "controls", participle
    return f"{stem}s" if stem.endswith(("ain", "ect", "it", "er", "rn")) else f"{stem}es", participle


def make_teacher(sentence: Sentence, more: dict[str, list[dict[str, str]]]) -> Sentence:
    """The sentence as the base model is shown it, its kind with the examples `more`[name] before its own."""
    kind = sentence.kind
    if kind.name not in more:
        raise InputError(f"{EXAMPLES}: expected examples of the kind {kind.name!r}, found only {', '.join(more)}")
    examples = [(example["fact"], example["question"]) for example in more[kind.name]] + list(kind.examples)
    examples = tuple((fact if kind.before else mask_answer(fact, kind), question) for fact, question in examples)
    shown = sentence.shown if kind.before else mask_answer(sentence.shown, kind)
    return replace(sentence, shown=shown, kind=replace(kind, examples=examples, start=begin_question(sentence)))


def make_candidates(items: list[Item], engine: Engine, ledger: Ledger, is_fit: Callable[[Item, str], bool]) -> None:
    """Ask for each item's question, in rounds, one for each of TEMPERATURES: in each those that have no fit one yet.
    What the ledger holds is not asked again."""
    more = yaml.safe_load(EXAMPLES.read_text(encoding="utf-8"))
    teachers = {item.id: make_teacher(item.sentence, more) for item in items}
    for number, temperature in enumerate(TEMPERATURES):
        still_open = [item for item in items if not any(is_fit(item, text) for text in read_candidates(item, ledger))]
        waiting = [item for item in still_open if not ledger.finished(f"{item.id}#{number}")]
        print(f"round {number + 1}: {len(still_open):,} sentences without a question, {len(waiting):,} to ask")
        for completion in complete(engine, list(_make_requests(waiting, teachers, number, temperature))):
            question = read_question(teachers[completion.id.rpartition("#")[0]], completion.text)
            failed = completion.finish_reason == "error"
            ledger.append(
                {
                    "id": completion.id,
                    "status": "unfinished" if failed else "done",
                    "question": question,
                    "message": completion.error,
                }
            )


def read_candidates(item: Item, ledger: Ledger) -> list[str]:
    """The questions asked for so far, in order. A failed one stops the count: those after it are of no use yet."""
    questions = []
    for number in range(len(TEMPERATURES)):
        if not ledger.finished(f"{item.id}#{number}"):
            break
        questions.append(ledger.read(f"{item.id}#{number}")["question"])
    return questions


def _make_requests(
    items: list[Item], teachers: dict[str, Sentence], number: int, temperature: float
) -> Iterator[Request]:
    """Kind by kind: neighbours share their prompt's beginning, which then costs nothing."""
    prompt = load_base_prompt()
    for item in sorted(items, key=lambda item: KINDS.index(item.sentence.kind.name)):
        seed = derive_seed(0, item.doi, item.sentence.start, number)
        sampling = Sampling(QUESTION_TOKENS, temperature, 1.0, seed, ("\n",))
        yield Request(f"{item.id}#{number}", question_prompt(prompt, teachers[item.id]), sampling)


def describe_candidates(engine: Engine) -> dict[str, Any]:
    """The ledger's fingerprint."""
    examples = hashlib.sha256(EXAMPLES.read_bytes()).hexdigest()[:16]
    return {
        "model": engine.model_id,
        "prompt": load_base_prompt().digest,
        "examples": examples,
        "masks": MASKS,
        "temperatures": TEMPERATURES,
    }


# The form that is trained and asked -----------------------------------------------------------------------------------


def make_example(sentence: Sentence, question: str = "") -> dict[str, str]:
    """A training record. The model sees as much of the sentence as the base model did, and how to begin."""
    start = f", beginning with {sentence.kind.start}" if sentence.kind.start else ""
    return {
        "instruction": f"Write one specific question about the {sentence.kind.name} in this fact{start}.",
        "input": f"Fact: {sentence.shown}\nQuestion:",
        "output": question,
    }


def make_prompt_text(sentence: Sentence) -> str:
    """The complete prompt of inference: the very text that training makes of make_example."""
    example = {key: plain_text(text) for key, text in make_example(sentence).items()}
    return fill(load_form(FORM), {**example, "system": ""}, "prompt form")
