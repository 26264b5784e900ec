"""CAR: a judge scores answers for completeness, accuracy and reasonableness, 1-5, without paper or reference, as SciQAG
does (arXiv 2405.09939; no code published). Each is asked alone, one answer per call, so that no answer is compared with
another.

    with open_engine("openai", base_url=...) as judge:
        report = judge_answers("out", judge, make_car_judging())

Beside the answers themselves ("own") stand three arms: "reference", the test file's answer; and two null baselines, the
answer that was given to another question ("other") and no answer at all ("empty"). An item of the ledger is one arm of
one question; one of its scores:

    {"dimension": "accuracy", "score": 2, "reasons": "The unit is wrong.", "missing": "", "attempts": 1}
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciqag_lib.benchmark.answers import ANSWERS, open_answers
from sciqag_lib.engines import Engine, Prompt, Request
from sciqag_lib.errors import InputError, check_parameters
from sciqag_lib.inference.forecast import plan_prompts
from sciqag_lib.inference.judge import (
    Call,
    Judge,
    Readings,
    ask_judge,
    finish_scores,
    list_scores,
    load_judge_prompt,
    make_code,
)
from sciqag_lib.inference.ledger import Ledger, name_full_disk
from sciqag_lib.inference.loop import Asking, Budget, run_job
from sciqag_lib.inference.prompts import check_length, plain_text
from sciqag_lib.inference.seeds import digest_of
from sciqag_lib.inference.tally import Tally, show_run
from sciqag_lib.tables import write_report
from sciqag_lib.tasks.questions import Question, rank, read_questions

VERSION = 2  # of what moves a score here and is not in the prompt file
LEDGER, REPORT = "judging.ledger.jsonl", "judging_report.json"
DIMENSIONS = ("completeness", "accuracy", "reasonableness")
NULLS = ("other", "empty")
ARMS = ("own", "reference", *NULLS)
TOP = 5  # of the scale
TEXTS = ("system", "item", "task", "again", "between")
EXPECTED_TOKENS = 40  # of a reply


@dataclass(frozen=True, kw_only=True)
class CarJudging(Judge):
    """How answers are judged: made by make_car_judging. What changes one of these changes scores."""

    top: int = TOP

    def fingerprint(self, engine: Engine) -> dict[str, Any]:
        return {
            "job": "benchmark_judging",
            "version": VERSION,
            "engine": engine.name,
            "model": engine.model_id,
            "context_size": engine.context_size,
            "dimensions": list(self.dimensions),
            "scale": f"1-{self.top}",
            "prompt": f"{self.prompt.name} v{self.prompt.version} {self.prompt.digest}",
            "seed": self.seed,
        }

    def write_prompt(self, dimension: str, question: str, answer: str, again: bool = False) -> Prompt:
        """One answer, to be scored for one dimension. The code that marks its quotation is the same for all answers
        but those that hold it, so that all prompts begin alike."""
        code = make_code([self.prompt.digest])
        if code in f"{question}\0{answer}".lower():
            code = make_code([self.prompt.digest, question, answer])
        # As JSON, on one line: a text with quotation marks and newlines cannot pretend to be something else.
        item = plain_text(json.dumps({"question": question, "answer": answer}, ensure_ascii=False))
        values = {"code": code, "item": item, "top": str(self.top), "dimension": dimension}
        values["again"] = self.fill("again", values) if again else ""
        system = self.fill("system", {"code": code, "top": str(self.top), "scales": self.list_scales(DIMENSIONS)})
        user, schema = f"{self.fill('item', values)}\n{self.fill('task', values)}", self.make_schema((dimension,), 1)
        return Prompt(user, system, json_schema=schema)


def make_car_judging(dimensions: list[str] | None = None, prompt: str = "benchmark_judge", seed: int = 0) -> CarJudging:
    """A CarJudging from a notebook's parameters; None is all three dimensions. InputError names the parameter."""
    chosen = list(DIMENSIONS) if dimensions is None else dimensions
    known = bool(chosen) and set(chosen) <= set(DIMENSIONS)
    check_parameters(("dimensions", dimensions, known, f"one or more of {', '.join(DIMENSIONS)}"))
    file = load_judge_prompt(prompt, TEXTS, DIMENSIONS, "benchmark_judge")
    ordered = tuple(name for name in DIMENSIONS if name in chosen)
    return CarJudging(prompt=file, dimensions=ordered, seed=seed)


# What is judged ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """One answer to one question."""

    question: Question
    arm: str
    answer: str
    other_id: str = ""  # of the question that an "other" answer was given to

    @property
    def item_id(self) -> str:
        return f"{self.question.question_id}.{self.arm}"

    @property
    def digest(self) -> str:
        return digest_of([self.question.question, self.answer])


class Partners:
    """For each question another one, whose answer is not the same: the one half as far down the drawing order, so
    that it is nearly always of another paper and stays the same when more questions are answered."""

    def __init__(self, answers: dict[str, str], seed: int) -> None:
        self.answers = answers
        self.order = sorted(answers, key=lambda name: rank(seed, "question", name))
        self.places = {name: place for place, name in enumerate(self.order)}

    def find(self, question_id: str) -> tuple[str, str] | None:
        """Its id and answer; None where there is none, as for the first in the order."""
        place = self.places[question_id]
        while place:
            place //= 2
            other = self.answers[self.order[place]]
            if other and _fold(other) != _fold(self.answers[question_id]):
                return self.order[place], other
        return None


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())


def read_answers(output_dir: Path) -> list[Question]:
    """The answered questions of a run, in the order of the test file. InputError: there is no run."""
    path = output_dir / ANSWERS
    if not path.exists():
        raise InputError(
            f"{path}: expected the answers of a run, found no such file; answer the questions first, in this output_dir"
        )
    return [entry for entry in read_questions(path) if isinstance(entry, Question) and entry.answer is not None]


def find_partners(questions: list[Question], seed: int) -> Partners:
    return Partners({question.question_id: question.answer or "" for question in questions}, seed)


def list_items(
    questions: list[Question], seed: int, judged_questions: int | None, null_questions: int | None
) -> list[tuple[int, str, Item]]:
    """Position, id and item of what is judged: the first `judged_questions` in the drawing order, of these the first
    `null_questions` with their reference and null baselines; in the order of the test file."""
    partners, items = find_partners(questions, seed), []
    for number, question in enumerate(questions):
        place, answer = partners.places[question.question_id], question.answer or ""
        if judged_questions is not None and place >= judged_questions:
            continue
        found = [Item(question, "own", answer)]
        if null_questions is None or place < null_questions:
            if question.reference:
                found.append(Item(question, "reference", question.reference))
            if other := partners.find(question.question_id):
                found.append(Item(question, "other", other[1], other[0]))
            if answer:
                found.append(Item(question, "empty", ""))
        items += [(number, item.item_id, item) for item in found]
    return items


class CarJob:
    """The answers of a run and their baselines, judged; see loop.Job."""

    unit = "answer"
    digested = "the answer that was judged"

    def __init__(self, output_dir: Path, engine: Engine, judging: CarJudging, items: list[tuple[int, str, Item]]):
        self.output_dir, self.engine, self.judging, self.items = output_dir, engine, judging, items
        self.calls = [Call((name,)) for name in judging.dimensions]

    def fingerprint(self) -> dict[str, Any]:
        return self.judging.fingerprint(self.engine)

    def list_items(self) -> Iterator[tuple[int, str, Item]]:
        return iter(self.items)

    def plan(self, ledger: Ledger) -> int:
        def make_prompt(item: Item) -> Prompt:
            return self.judging.write_prompt(names[0], item.question.question, item.answer)

        names = self.judging.dimensions
        return plan_prompts(self, ledger, "answers and baselines to judge", make_prompt, EXPECTED_TOKENS, len(names))

    def ask(self, item: Item) -> Asking:
        def make_request(number: int, places: list[int], attempt: int) -> Request:
            call, [name] = self.calls[number], self.calls[number].dimensions
            prompt = self.judging.write_prompt(name, item.question.question, item.answer, attempt > 0)
            check_length(self.engine, prompt, self.judging.reply_room(call.dimensions, 1))
            request_id = f"{item.item_id}.{name}.{attempt}"
            return self.judging.make_request(request_id, prompt, call, 1, attempt, item.item_id, name, attempt)

        return (yield from ask_judge(self.judging, self.calls, make_request))

    def digest(self, item: Item) -> str:
        """A null baseline stays the one that was judged."""
        return item.digest if item.arm in ("own", "reference") else ""

    def describe(self, item: Item) -> dict[str, Any]:
        return {
            "paper": {"doi": f"{item.question.where}, {item.arm}"},
            "question": item.question.question,
            "arm": item.arm,
            "answer": item.answer,
            "other": item.other_id,
            "digest": item.digest,
            "asked": len(self.judging.dimensions),
        }

    def finish(self, item: Item, readings: Readings) -> dict[str, Any]:
        return finish_scores([score for _, _, score in list_scores(self.calls, readings)])

    def write(self, ledger: Ledger, stopped: str) -> "JudgingReport":
        """Rebuild judging_report.json."""
        tally = Tally()
        for _, item_id, _ in self.items:
            if line := ledger.read(item_id):
                tally.add(line)
        report = JudgingReport(
            model=f"{self.engine.name} {self.engine.model_id}",
            settings=self.fingerprint(),
            answers=tally.count_items(len(self.items)),
            scores=tally.count_scores(),
            **tally.summarize(),
            notes=tally.list_notes(),
            stopped=stopped,
        )
        write_report(self.output_dir / REPORT, report)
        return report


# The run -------------------------------------------------------------------------------------------------------------


@dataclass
class JudgingReport:
    """What stands in judging_report.json, computed from what is on disk."""

    model: str
    settings: dict[str, Any]  # the fingerprint
    answers: dict[str, int]  # arms counted: considered = done + failed + unfinished + not_asked
    scores: dict[str, int]  # asked, delivered, missing
    tokens: dict[str, int]  # prompt, new
    seconds: float
    date: str  # of the last judgement, UTC
    notes: list[str] = field(default_factory=list)
    stopped: str = ""


def judge_answers(
    output_dir: str | Path,
    engine: Engine,
    judging: CarJudging,
    judged_questions: int | None = None,
    null_questions: int | None = None,
    max_total_tokens: int | None = None,
    max_minutes: float | None = None,
) -> JudgingReport:
    """Have `engine` judge the answers in `output_dir`, of all questions or of `judged_questions`, and the reference and
    the null baselines of `null_questions` of them; resumes an earlier run: no answer is judged twice.

    Raises InputError where there is no answer, and what loop.run_job raises.
    """
    output_dir = Path(output_dir)
    questions = read_answers(output_dir)
    if not questions:
        raise InputError(f"{output_dir / ANSWERS}: holds no answer that could be judged")
    items = list_items(questions, judging.seed, judged_questions, null_questions)
    with name_full_disk(output_dir), open_answers(output_dir):  # the answers must not change meanwhile
        job = CarJob(output_dir, engine, judging, items)
        return run_job(job, output_dir / LEDGER, Budget(max_total_tokens, max_minutes))


def show_judging(report: JudgingReport) -> None:
    """Print what was asked of the judge and came of it."""
    print(f"judge: {report.model}, {report.settings['prompt']}")
    counts = {"answers and baselines": report.answers, "scores": report.scores}
    show_run(counts, report.notes, REPORT, report.stopped)
