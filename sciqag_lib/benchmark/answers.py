"""A model answers a test file, zero-shot or after a few examples, on a ledger of its own: one half of 07_benchmark.

    with open_engine("llama_cpp") as engine:
        report = answer_file("test.json", "out", engine, make_answering(), limit=480)

Writes answers.ledger.jsonl, answers_report.json and answers.json, in the order of the test file, one record a question:

    {"Q": "How ...?", "A": "It ...", "answer": "By ...", "category": "Energy & Fuels", "finish_reason": "stop"}
"""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sciqag_lib.engines import Completion, Engine, EngineError, Prompt, Request, Sampling
from sciqag_lib.errors import InputError
from sciqag_lib.inference.forecast import format_seconds, show_forecast
from sciqag_lib.inference.ledger import Ledger, name_full_disk, read_settings
from sciqag_lib.inference.loop import Asking, Budget, Round, Run
from sciqag_lib.inference.prompts import PromptFile, check_length, fill, load_form, load_prompt, plain_text, render
from sciqag_lib.inference.replies import read_answer
from sciqag_lib.inference.seeds import derive_seed, digest_of
from sciqag_lib.inference.tally import Tally, format_date
from sciqag_lib.paths import write_atomic
from sciqag_lib.tables import JsonList, show_notes, write_report
from sciqag_lib.tasks.questions import STOP, Question, QuestionFile, draw_shots, scan_questions

VERSION = 1  # of what moves an answer here and is not in the prompt file
LEDGER, ANSWERS, REPORT = "answers.ledger.jsonl", "answers.json", "answers_report.json"
EXPECTED_TOKENS = 120  # of an answer: the published ones have 40 words, chat models write twice as much
LISTED = 20


@dataclass(frozen=True)
class Answering:
    """How questions are answered: made by make_answering. What changes one of these changes answers."""

    prompt: PromptFile
    form: str  # the template's text, "" for the model's own chat template
    shots: tuple[tuple[str, str], ...]  # question and answer
    max_new_tokens: int
    temperature: float
    seed: int

    @property
    def way(self) -> str:
        number = len(self.shots)
        return f"{number} example{'s' * (number > 1)}" if number else "zero-shot"

    def fingerprint(self, engine: Engine) -> dict[str, Any]:
        return {
            "job": "benchmark_answers",
            "version": VERSION,
            "engine": engine.name,
            "model": engine.model_id,
            "context_size": engine.context_size,
            "shots": len(self.shots),
            "shots_digest": digest_of(self.shots),
            "prompt": f"{self.prompt.name} v{self.prompt.version} {self.prompt.digest}",
            "prompt_form": digest_of(self.form) if self.form else "chat",
            "max_new_tokens": self.max_new_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
        }

    def write_prompt(self, question: str) -> Prompt:
        """The complete prompt. A question is data: what looks like a chat template's mark in it is spelled apart."""
        where = f"prompt {self.prompt.name}"
        shots = ""
        if self.shots:
            filled = [
                fill(
                    self.prompt.texts["shot"],
                    {"question": plain_text(asked), "answer": plain_text(answer)},
                    f"{where}, shot",
                )
                for asked, answer in self.shots
            ]
            shots = self.prompt.texts["examples"] + "".join(filled)
        return render(self.prompt, self.form, {"question": plain_text(question), "shots": shots})


def make_answering(
    prompt: str = "benchmark_answer",
    prompt_form: str = "chat",
    shots: int = 0,
    shots_path: str | Path | None = None,
    file: QuestionFile | None = None,
    max_new_tokens: int = 512,
    temperature: float = 0.0,
    seed: int = 0,
) -> Answering:
    """An Answering from a notebook's parameters. `shots` examples are drawn from `shots_path` by seed, none of them in
    `file`, the test file. InputError names the parameter."""
    expectations = [
        ("shots", shots, shots >= 0, "0 (zero-shot) or more"),
        ("shots_path", shots_path, not shots or shots_path is not None, "the path of a train file, for shots above 0"),
        ("max_new_tokens", max_new_tokens, max_new_tokens >= 1, "at least 1 token"),
        ("temperature", temperature, temperature >= 0, "0 (greedy) or more"),
    ]
    for name, value, holds, expected in expectations:
        if not holds:
            raise InputError(f"{name}: expected {expected}, found {value!r}")
    texts = ("system", "instruction", "input", *(("examples", "shot") if shots else ()))
    drawn: list[tuple[str, str]] = []
    if shots:
        if file is None:
            raise ValueError("make_answering: shots need the test file, whose questions must not be among them")
        drawn = draw_shots(shots_path, shots, seed, file)
    return Answering(
        load_prompt(prompt, texts), load_form(prompt_form), tuple(drawn), max_new_tokens, float(temperature), seed
    )


class AnswerJob:
    """What to ask about a question, and what its ledger line holds; see asking.Job."""

    unit = "question"

    def __init__(self, engine: Engine, answering: Answering, file: QuestionFile) -> None:
        self.engine, self.answering, self.file = engine, answering, file

    def ask(self, item: Question) -> Asking:
        prompt = self.answering.write_prompt(item.question)
        check_length(self.engine, prompt, self.answering.max_new_tokens)
        seed = derive_seed(self.answering.seed, item.question_id)
        sampling = Sampling(self.answering.max_new_tokens, self.answering.temperature, 1.0, seed, STOP)
        [completion] = yield Round([Request(item.question_id, prompt, sampling)])
        return completion

    def describe(self, item: Question) -> dict[str, Any]:
        return describe_question(item, self.file)

    def finish(self, item: Question, completion: Completion) -> dict[str, Any]:
        answer = read_answer(completion.text)
        return {
            "status": "done",
            "reason": "",
            "message": "",
            "answer": answer,
            "delivered": 1,
            "finish_reason": completion.finish_reason,
        }


def describe_question(item: Question, file: QuestionFile) -> dict[str, Any]:
    return {
        "paper": {"doi": item.where},
        "question": item.question,
        "reference": item.reference,
        "category": file.category_of(item),
        "asked": 1,
    }


# The run -------------------------------------------------------------------------------------------------------------


@dataclass
class AnswerReport:
    """What stands in answers_report.json, computed from what is on disk."""

    model: str
    way: str  # "zero-shot", "5 examples"
    test_file: dict[str, Any]  # name, digest, questions, duplicates, not_usable, without_reference
    settings: dict[str, Any]  # the fingerprint
    questions: dict[str, int]  # considered = done + failed + unfinished + not_asked; of done: cut, empty
    tokens: dict[str, int]  # prompt, new
    seconds: float  # in which at least one question was under way
    date: str  # of the last answer, UTC
    notes: list[str] = field(default_factory=list)
    stopped: str = ""


def answer_file(
    file_path: str | Path,
    output_dir: str | Path,
    engine: Engine,
    answering: Answering,
    limit: int | None = None,
    max_total_tokens: int | None = None,
    max_minutes: float | None = None,
) -> AnswerReport:
    """Have `engine` answer the questions of a test file, all or `limit` drawn by seed; go on where an earlier run on
    `output_dir` stopped: no question that has its answer is asked again.

    Raises InputError where there is no question, FingerprintMismatch where the folder's answers were made with other
    settings, LedgerError where the disk is full or another run is at work, EngineError where the engine failed for
    good; what was answered before is kept and written out.
    """
    file, output_dir = scan_questions(file_path, answering.seed, limit), Path(output_dir)
    check_length(engine, answering.write_prompt(""), answering.max_new_tokens)  # else every question would fail
    fingerprint = answering.fingerprint(engine)
    with name_full_disk(output_dir), Ledger(output_dir / LEDGER, fingerprint) as ledger:
        show_forecast(
            engine,
            "questions",
            len(file.ids),
            sum(not ledger.finished(name) for name in file.ids),
            (answering.write_prompt(item.question) for _, _, item in file.read()),
            min(EXPECTED_TOKENS, answering.max_new_tokens),
        )
        run = Run(engine, ledger, AnswerJob(engine, answering, file), Budget(max_total_tokens, max_minutes))
        blank = AnswerReport(f"{engine.name} {engine.model_id}", answering.way, {}, fingerprint, {}, {}, 0.0, "")
        try:
            run.go(file.read(), sum(not ledger.finished(name) for name in file.ids))
        finally:
            report = _write_answers(file, ledger, output_dir, replace(blank, stopped=run.stopped))
    if run.fatal:
        raise EngineError(
            f"{run.fatal}; {report.questions['done']:,} questions are answered and kept; "
            "mend the cause and run again to go on"
        )
    return report


def take_answers(
    file_path: str | Path, output_dir: str | Path, model: str, seed: int = 0, limit: int | None = None
) -> AnswerReport:
    """Answers that were given elsewhere, to be judged: the file's records hold them as `answer`. `model` is what to
    call their author. A question without one is counted as failed. InputError where there is none."""
    file, output_dir = scan_questions(file_path, seed, limit), Path(output_dir)
    settings = {
        "job": "benchmark_answers",
        "version": VERSION,
        "engine": "none",
        "model": model,
        "test_file": file.digest,
        "seed": seed,
    }
    if not any(item.answer is not None for _, _, item in file.read()):
        raise InputError(
            f'{file_path}: expected records with the key "answer", which an engine of "none" takes as '
            "they stand, found none; name an engine, or the answers.json of another run"
        )
    with name_full_disk(output_dir), Ledger(output_dir / LEDGER, settings) as ledger:
        for place, question_id, item in file.read():
            if not ledger.finished(question_id):
                ledger.append(_take_answer(place, item, file))
        return _write_answers(file, ledger, output_dir, AnswerReport(model, "as given", {}, settings, {}, {}, 0.0, ""))


def _take_answer(place: int, item: Question, file: QuestionFile) -> dict[str, Any]:
    found = item.answer is not None
    result = (
        {
            "status": "done",
            "reason": "",
            "message": "",
            "answer": (item.answer or "").strip(),
            "delivered": 1,
            "finish_reason": "stop",
        }
        if found
        else {"status": "failed", "reason": "no_answer", "message": "the file holds no answer to it"}
    )
    now = round(time.time(), 3)
    return {
        "id": item.question_id,
        "position": place,
        **result,
        **describe_question(item, file),
        "prompt_tokens": 0,
        "new_tokens": 0,
        "started": now,
        "ended": now,
        "engine": "none",
        "model": "",
        "calls": [],
    }


def _write_answers(file: QuestionFile, ledger: Ledger, output_dir: Path, report: AnswerReport) -> AnswerReport:
    """Rebuild answers.json and answers_report.json from the ledger; each whole or not at all."""
    tally, counts = Tally(), dict.fromkeys(("cut", "empty"), 0)
    with write_atomic(output_dir / ANSWERS) as target:
        answers = JsonList(target)
        for _, question_id, item in file.read():
            line = ledger.read(question_id)
            if line is None:
                continue
            tally.add(line)
            if line["status"] == "done":
                counts["cut"] += line["finish_reason"] == "length"
                counts["empty"] += not line["answer"]
                answers.add(
                    {
                        **item.kept,
                        "Q": item.question,
                        "A": item.reference,
                        "answer": line["answer"],
                        "category": file.category_of(item) or None,
                        "finish_reason": line["finish_reason"],
                    }
                )
        answers.end()
    statuses = {name: tally.statuses[name] for name in ("done", "failed", "unfinished")}
    report = replace(
        report,
        date=format_date(tally),
        seconds=round(tally.busy_seconds(), 1),
        questions={
            "considered": len(file.ids),
            **statuses,
            "not_asked": len(file.ids) - sum(statuses.values()),
            **counts,
        },
        tokens={"prompt": tally.counts["prompt_tokens"], "new": tally.counts["new_tokens"]},
        test_file={
            "name": file.name,
            "digest": file.digest,
            "questions": file.num_usable,
            "duplicates": file.num_duplicates,
            "not_usable": file.num_bad,
            "without_reference": file.num_without_reference,
        },
        notes=file.notes
        + [f"{entry['doi']}: {entry['status']}: {entry['reason']} {entry['message']}" for entry in tally.not_done],
    )
    write_report(output_dir / REPORT, report)
    return report


# Reading them again --------------------------------------------------------------------------------------------------


def open_answers(output_dir: Path) -> Ledger:
    """The ledger of a run's answers, to look one up by its question's id."""
    return Ledger(output_dir / LEDGER, read_settings(output_dir / LEDGER))


def show_answers(report: AnswerReport, times: bool = False) -> None:
    """Print what was asked, answered and left out; `times` differ by machine."""
    counts, file = report.questions, report.test_file
    print(f"answers by {report.model}, {report.way}")
    print(
        f"{file['name']}: {file['questions']:,} questions, {file['duplicates']:,} that stand there twice, "
        f"{file['not_usable']:,} not usable, {file['without_reference']:,} without a reference answer"
    )
    print(
        f"{counts['considered']:,} asked = {counts['done']:,} answered + {counts['failed']:,} failed + "
        f"{counts['unfinished']:,} unfinished + {counts['not_asked']:,} not asked yet"
    )
    print(f"of the answers: {counts['cut']:,} cut at max_new_tokens, {counts['empty']:,} empty")
    if times and report.seconds:
        print(
            f"tokens: {report.tokens['prompt']:,} prompt + {report.tokens['new']:,} new in "
            f"{format_seconds(report.seconds)}"
        )
    show_notes(report.notes, LISTED, REPORT)
    if report.stopped:
        print(f"stopped: {report.stopped}. Run again with the same output_dir to go on")
