"""CAR: a judge scores answers for completeness, accuracy and reasonableness, 1-5, without paper or reference, as SciQAG
does (arXiv 2405.09939; no code published). Each is asked alone, one answer a call, so that no answer is held against
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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sciqag_lib.benchmark.answers import ANSWERS, open_answers
from sciqag_lib.engines import Completion, Engine, EngineError, Prompt, Request, Sampling
from sciqag_lib.errors import InputError
from sciqag_lib.inference.forecast import format_seconds, show_forecast
from sciqag_lib.inference.ledger import FingerprintMismatch, Ledger, name_full_disk
from sciqag_lib.inference.loop import Asking, Budget, Round, Run
from sciqag_lib.inference.prompts import PromptFile, check_length, fill, plain_text
from sciqag_lib.inference.seeds import derive_seed, digest_of
from sciqag_lib.inference.tally import Tally, format_date
from sciqag_lib.racar.judging import (
    LEVELS,
    Reading,
    load_judge_prompt,
    make_code,
    make_schema,
    read_scores,
    reply_room,
)
from sciqag_lib.racar.run import MAX_ATTEMPTS, RETRY_TEMPERATURE
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


@dataclass(frozen=True)
class CarJudging:
    """How answers are judged: made by make_car_judging. What changes one of these changes scores."""

    dimensions: tuple[str, ...]
    prompt: PromptFile
    seed: int
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

    def fill(self, key: str, values: dict[str, str]) -> str:
        return fill(self.prompt.texts[key], values, f"prompt {self.prompt.name}, {key}")

    def write_system(self, code: str) -> str:
        blocks = [
            f"{name}: {self.prompt.texts['dimensions'][name]['asks']}\n{self._list_levels(name)}" for name in DIMENSIONS
        ]
        return self.fill("system", {"code": code, "top": str(self.top), "scales": "\n".join(blocks)})

    def _list_levels(self, dimension: str) -> str:
        high, middle, low = (self.prompt.texts["dimensions"][dimension][key] for key in LEVELS)
        between = self.prompt.texts["between"]
        return "\n".join(
            f"{self.top - place}: {label}" for place, label in enumerate((high, between, middle, between, low))
        )

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
            json_schema=make_schema(self, (dimension,), 1),
        )


def make_car_judging(dimensions: list[str] | None = None, prompt: str = "benchmark_judge", seed: int = 0) -> CarJudging:
    """A CarJudging from a notebook's parameters; None is all three dimensions. InputError names the parameter."""
    chosen = list(DIMENSIONS) if dimensions is None else dimensions
    if not chosen or not set(chosen) <= set(DIMENSIONS):
        raise InputError(f"dimensions: expected one or more of {', '.join(DIMENSIONS)}, found {dimensions!r}")
    file = load_judge_prompt(prompt, TEXTS, DIMENSIONS, "benchmark_judge")
    return CarJudging(tuple(name for name in DIMENSIONS if name in chosen), file, seed)


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
    """What to ask about one answer, and what its ledger line holds; see asking.Job."""

    unit = "answer"

    def __init__(self, engine: Engine, judging: CarJudging) -> None:
        self.engine, self.judging = engine, judging

    def ask(self, item: Item) -> Asking:
        readings: dict[str, tuple[Reading, int]] = {}
        wanted = list(self.judging.dimensions)
        for attempt in range(MAX_ATTEMPTS):
            completions: list[Completion] = yield Round([self._request(item, name, attempt) for name in wanted])
            for name, completion in zip(wanted, completions):
                [entry] = read_scores(completion, (name,), 1, self.judging.top)
                readings[name] = entry[name], attempt + 1
            wanted = [name for name in wanted if readings[name][0].missing]
            if not wanted:
                break
        return readings

    def _request(self, item: Item, dimension: str, attempt: int) -> Request:
        """Greedy at first; what could not be read is asked for again with another prompt and a little chance."""
        prompt = self.judging.write_prompt(dimension, item.question.question, item.answer, attempt > 0)
        room = reply_room((dimension,), 1)
        check_length(self.engine, prompt, room)
        seed = derive_seed(self.judging.seed, item.item_id, dimension, attempt)
        return Request(
            f"{item.item_id}.{dimension}.{attempt}",
            prompt,
            Sampling(room, RETRY_TEMPERATURE if attempt else 0.0, 1.0, seed),
        )

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

    def finish(self, item: Item, readings: dict[str, tuple[Reading, int]]) -> dict[str, Any]:
        scores = [
            {
                "dimension": name,
                "score": reading.score,
                "reasons": reading.reasons,
                "missing": reading.missing,
                "attempts": attempts,
            }
            for name, (reading, attempts) in readings.items()
        ]
        missing = [score["missing"] for score in scores if score["missing"]]
        done = len(missing) < len(scores)
        return {
            "status": "done" if done else "failed",
            "reason": "" if done else "no_readable_score",
            "message": "" if done else f"no score could be read; the first reason: {missing[0]}",
            "delivered": len(scores) - len(missing),
            "missing": missing,
            "scores": scores,
        }


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
    the null baselines of `null_questions` of them; go on where an earlier run stopped: no answer is judged twice.

    Raises InputError where there is no answer, FingerprintMismatch where the folder's scores were made by another judge
    or for other answers, LedgerError where the disk is full or another run is at work, EngineError where the engine
    failed for good; what was judged before is kept.
    """
    output_dir = Path(output_dir)
    next(read_answers(output_dir), None)  # no ledger is begun where there is nothing to judge
    fingerprint = judging.fingerprint(engine)
    with (
        name_full_disk(output_dir),
        open_answers(output_dir) as answers,
        Ledger(output_dir / LEDGER, fingerprint) as ledger,
    ):
        partners = open_partners(output_dir, answers, judging.seed)
        if not partners.order:
            raise InputError(f"{output_dir / ANSWERS}: holds no answer that could be judged")

        def items() -> Iterator[tuple[int, str, Item]]:
            return list_items(output_dir, partners, judged_questions, null_questions)

        considered, to_ask = _count_items(items(), ledger)
        prompts = (
            judging.write_prompt(judging.dimensions[0], item.question.question, item.answer) for _, _, item in items()
        )
        show_forecast(
            engine,
            "answers and baselines to judge",
            considered,
            to_ask,
            prompts,
            EXPECTED_TOKENS,
            len(judging.dimensions),
        )
        run = Run(engine, ledger, CarJob(engine, judging), Budget(max_total_tokens, max_minutes))
        blank = JudgingReport(f"{engine.name} {engine.model_id}", fingerprint, {}, {}, {}, 0.0, "")
        try:
            run.go(items(), to_ask)
        finally:
            report = _write_judging(items(), considered, ledger, output_dir, replace(blank, stopped=run.stopped))
    if run.fatal:
        raise EngineError(
            f"{run.fatal}; {report.answers['done']:,} answers are judged and kept; "
            "mend the cause and run again to go on"
        )
    return report


def _count_items(items: Iterator[tuple[int, str, Item]], ledger: Ledger) -> tuple[int, int]:
    """How many there are, and how many of them are not judged. FingerprintMismatch: an answer is another one than the
    one that was judged; a null baseline stays the one that was."""
    considered = to_ask = 0
    for _, item_id, item in items:
        considered += 1
        earlier = ledger.read(item_id)
        if earlier and item.arm in ("own", "reference") and earlier["digest"] != item.digest:
            raise FingerprintMismatch(
                f"{ledger.path}: {item.question.where}: its {item.arm} answer is not the one "
                "that was judged; use another output_dir"
            )
        to_ask += not ledger.finished(item_id)
    return considered, to_ask


def _write_judging(
    items: Iterator[tuple[int, str, Item]], considered: int, ledger: Ledger, output_dir: Path, report: JudgingReport
) -> JudgingReport:
    tally = Tally()
    for _, item_id, _ in items:
        line = ledger.read(item_id)
        if line:
            tally.add(line)
    statuses = {name: tally.statuses[name] for name in ("done", "failed", "unfinished")}
    asked, delivered = tally.counts["asked"], tally.counts["delivered"]
    report = replace(
        report,
        date=format_date(tally),
        seconds=round(tally.busy_seconds(), 1),
        answers={"considered": considered, **statuses, "not_asked": considered - sum(statuses.values())},
        scores={"asked": asked, "delivered": delivered, "missing": asked - delivered},
        tokens={"prompt": tally.counts["prompt_tokens"], "new": tally.counts["new_tokens"]},
        notes=[f"{entry['doi']}: {entry['status']}: {entry['reason']} {entry['message']}" for entry in tally.not_done],
    )
    write_report(output_dir / REPORT, report)
    return report


def show_judging(report: JudgingReport, times: bool = False) -> None:
    """Print what was asked of the judge and came of it; `times` differ by machine."""
    answers, scores = report.answers, report.scores
    print(f"judge: {report.model}, {report.settings['prompt']}")
    print(
        f"answers and baselines: {answers['considered']:,} = {answers['done']:,} judged + {answers['failed']:,} "
        f"failed + {answers['unfinished']:,} unfinished + {answers['not_asked']:,} not asked yet"
    )
    print(f"scores: {scores['asked']:,} asked = {scores['delivered']:,} delivered + {scores['missing']:,} missing")
    if times and report.seconds:
        print(
            f"tokens: {report.tokens['prompt']:,} prompt + {report.tokens['new']:,} new in "
            f"{format_seconds(report.seconds)}"
        )
    show_notes(report.notes, LISTED, REPORT)
    if report.stopped:
        print(f"stopped: {report.stopped}. Run again with the same output_dir to go on")
