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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciqag_lib.benchmark.answers import ANSWERS, open_answers
from sciqag_lib.engines import Engine, Prompt, Request
from sciqag_lib.errors import InputError, check_parameters
from sciqag_lib.inference.forecast import count_items, show_forecast
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
from sciqag_lib.inference.loop import Asking, Budget, run_job, show_stopped
from sciqag_lib.inference.prompts import check_length, plain_text
from sciqag_lib.inference.seeds import digest_of
from sciqag_lib.inference.tally import Tally
from sciqag_lib.tables import show_notes, write_report
from sciqag_lib.tasks.questions import Question, rank, read_questions

VERSION = 1  # of what moves a score here and is not in the prompt file
LEDGER, REPORT = "judging.ledger.jsonl", "judging_report.json"
DIMENSIONS = ("completeness", "accuracy", "reasonableness")
NULLS = ("other", "empty")
ARMS = ("own", "reference", *NULLS)
TOP = 5  # of the scale
TEXTS = ("system", "item", "task", "again", "between")
EXPECTED_TOKENS = 40  # of a reply
LISTED = 20


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

    def write_system(self, code: str) -> str:
        blocks = [
            f"{name}: {self.prompt.texts['dimensions'][name]['asks']}\n{self.list_levels(name)}" for name in DIMENSIONS
        ]
        return self.fill("system", {"code": code, "top": str(self.top), "scales": "\n".join(blocks)})

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
        return Prompt(
            f"{self.fill('item', values)}\n{self.fill('task', values)}",
            self.write_system(code),
            json_schema=self.make_schema((dimension,), 1),
        )


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

    def __init__(self, ids: list[str], seed: int, read_answer: Callable[[str], str | None]) -> None:
        self.order = sorted(ids, key=lambda name: rank(seed, "question", name))
        self.places = {name: place for place, name in enumerate(self.order)}
        self._read = read_answer

    def find(self, question_id: str, answer: str) -> tuple[str, str] | None:
        """Its id and answer; None where there is none, as for the first in the order."""
        place = self.places[question_id]
        while place:
            place //= 2
            other = self._read(self.order[place])
            if other and _fold(other) != _fold(answer):
                return self.order[place], other
        return None


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())


def open_partners(output_dir: Path, answers: Ledger, seed: int) -> Partners:
    def read_answer(question_id: str) -> str | None:
        return (answers.read(question_id) or {}).get("answer")

    return Partners([item.question_id for item in read_answers(output_dir)], seed, read_answer)


def read_answers(output_dir: Path) -> Iterator[Question]:
    """The answered questions of a run, in the order of the test file. InputError: there is none."""
    path = output_dir / ANSWERS
    if not path.exists():
        raise InputError(
            f"{path}: expected the answers of a run, found no such file; answer the questions first, in this output_dir"
        )
    return (entry for entry in read_questions(path) if isinstance(entry, Question) and entry.answer is not None)


def list_items(
    output_dir: Path, partners: Partners, judged_questions: int | None, null_questions: int | None
) -> Iterator[tuple[int, str, Item]]:
    """What is judged: the first `judged_questions` in the drawing order, of these the first `null_questions` with
    their reference and null baselines; in the order of the test file."""
    for number, question in enumerate(read_answers(output_dir)):
        place, answer = partners.places[question.question_id], question.answer or ""
        if judged_questions is not None and place >= judged_questions:
            continue
        items = [Item(question, "own", answer)]
        if null_questions is None or place < null_questions:
            if question.reference:
                items.append(Item(question, "reference", question.reference))
            other = partners.find(question.question_id, answer)
            if other:
                items.append(Item(question, "other", other[1], other[0]))
            if answer:
                items.append(Item(question, "empty", ""))
        for item in items:
            yield number, item.item_id, item


class CarJob:
    """The answers of a run and their baselines, judged; see loop.Job."""

    unit = "answer"
    digested = "the answer that was judged"

    def __init__(self, output_dir: Path, engine: Engine, judging: CarJudging, partners: Partners, *limits: int | None):
        self.output_dir, self.engine, self.judging = output_dir, engine, judging
        self.partners, self.limits = partners, limits
        self.calls = [Call((name,)) for name in judging.dimensions]

    def fingerprint(self) -> dict[str, Any]:
        return self.judging.fingerprint(self.engine)

    def list_items(self) -> Iterator[tuple[int, str, Item]]:
        return list_items(self.output_dir, self.partners, *self.limits)

    def plan(self, ledger: Ledger) -> int:
        self.considered, to_ask = count_items(self, ledger)
        names = self.judging.dimensions
        prompts = (
            self.judging.write_prompt(names[0], item.question.question, item.answer) for _, _, item in self.list_items()
        )
        unit = "answers and baselines to judge"
        show_forecast(self.engine, unit, self.considered, to_ask, prompts, EXPECTED_TOKENS, len(names))
        return to_ask

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
        for _, item_id, _ in self.list_items():
            if line := ledger.read(item_id):
                tally.add(line)
        report = JudgingReport(
            model=f"{self.engine.name} {self.engine.model_id}",
            settings=self.fingerprint(),
            answers=tally.count_items(self.considered),
            scores=tally.count_scores(),
            tokens=tally.count_tokens(),
            seconds=round(tally.busy_seconds(), 1),
            date=tally.format_date(),
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
    next(read_answers(output_dir), None)  # no ledger is begun where there is nothing to judge
    with name_full_disk(output_dir), open_answers(output_dir) as answers:
        partners = open_partners(output_dir, answers, judging.seed)
        if not partners.order:
            raise InputError(f"{output_dir / ANSWERS}: holds no answer that could be judged")
        job = CarJob(output_dir, engine, judging, partners, judged_questions, null_questions)
        return run_job(job, output_dir / LEDGER, Budget(max_total_tokens, max_minutes))


def show_judging(report: JudgingReport) -> None:
    """Print what was asked of the judge and came of it."""
    answers, scores = report.answers, report.scores
    print(f"judge: {report.model}, {report.settings['prompt']}")
    print(
        f"answers and baselines: {answers['considered']:,} = {answers['done']:,} judged + {answers['failed']:,} "
        f"failed + {answers['unfinished']:,} unfinished + {answers['not_asked']:,} not asked yet"
    )
    print(f"scores: {scores['asked']:,} asked = {scores['delivered']:,} delivered + {scores['missing']:,} missing")
    show_notes(report.notes, LISTED, REPORT)
    show_stopped(report.stopped)
