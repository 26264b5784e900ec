"""A model answers a test file, zero-shot or after a few examples, on a ledger of its own: one half of 07_benchmark.

    with open_engine("llama_cpp") as engine:
        report = answer_file("test.json", "out", engine, make_answering(), limit=480)

Writes answers.ledger.jsonl, answers_report.json and answers.json, in the order of the test file, one record a question:

    {"Q": "How ...?", "A": "It ...", "answer": "By ...", "category": "Energy & Fuels", "finish_reason": "stop"}
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciqag_lib.engines import Completion, Engine, Prompt, Request, Sampling
from sciqag_lib.errors import InputError, check_parameters
from sciqag_lib.inference.forecast import plan_prompts
from sciqag_lib.inference.ledger import Ledger, name_full_disk, read_settings
from sciqag_lib.inference.loop import Asking, Budget, Round, run_job
from sciqag_lib.inference.prompts import PromptFile, check_length, fill, load_form, load_prompt, plain_text, render
from sciqag_lib.inference.replies import read_answer
from sciqag_lib.inference.seeds import derive_seed, digest_of
from sciqag_lib.inference.tally import Tally, show_run
from sciqag_lib.paths import write_atomic
from sciqag_lib.tables import JsonList, write_report
from sciqag_lib.tasks.questions import STOP, Question, QuestionFile, draw_shots, scan_questions

VERSION = 2  # of what moves an answer here and is not in the prompt file
LEDGER, ANSWERS, REPORT = "answers.ledger.jsonl", "answers.json", "answers_report.json"
EXPECTED_TOKENS = 120  # of an answer: the published ones have 40 words, chat models write twice as much


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
        shots = self.prompt.texts["examples"] if self.shots else ""
        for asked, answer in self.shots:
            values = {"question": plain_text(asked), "answer": plain_text(answer)}
            shots += fill(self.prompt.texts["shot"], values, f"prompt {self.prompt.name}, shot")
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
    check_parameters(
        ("shots", shots, shots >= 0, "0 (zero-shot) or more"),
        ("shots_path", shots_path, not shots or shots_path is not None, "the path of a train file, for shots above 0"),
        ("max_new_tokens", max_new_tokens, max_new_tokens >= 1, "at least 1 token"),
        ("temperature", temperature, temperature >= 0, "0 (greedy) or more"),
    )
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
    """A test file's questions, answered; see loop.Job."""

    unit = "question"
    digested = "its question"

    def __init__(self, file: QuestionFile, output_dir: Path, engine: Engine, answering: Answering) -> None:
        self.file, self.output_dir, self.engine, self.answering = file, output_dir, engine, answering

    def fingerprint(self) -> dict[str, Any]:
        return self.answering.fingerprint(self.engine)

    def list_items(self) -> Iterator[tuple[int, str, Question]]:
        return self.file.read()

    def plan(self, ledger: Ledger) -> int:
        new_tokens = min(EXPECTED_TOKENS, self.answering.max_new_tokens)
        return plan_prompts(
            self, ledger, "questions", lambda item: self.answering.write_prompt(item.question), new_tokens
        )

    def ask(self, item: Question) -> Asking:
        prompt = self.answering.write_prompt(item.question)
        check_length(self.engine, prompt, self.answering.max_new_tokens)
        seed = derive_seed(self.answering.seed, item.question_id)
        sampling = Sampling(self.answering.max_new_tokens, self.answering.temperature, 1.0, seed, STOP)
        [completion] = yield Round([Request(item.question_id, prompt, sampling)])
        return completion

    def digest(self, item: Question) -> str:
        return ""  # a question's id is the digest of its text

    def describe(self, item: Question) -> dict[str, Any]:
        return describe_question(item, self.file)

    def finish(self, item: Question, completion: Completion) -> dict[str, Any]:
        return finish_answer(read_answer(completion.text), completion.finish_reason)

    def write(self, ledger: Ledger, stopped: str) -> "AnswerReport":
        model, settings = f"{self.engine.name} {self.engine.model_id}", self.fingerprint()
        about = {"model": model, "way": self.answering.way, "settings": settings, "stopped": stopped}
        return write_answers(self.file, ledger, self.output_dir, about)


def finish_answer(answer: str, finish_reason: str) -> dict[str, Any]:
    done = {"status": "done", "reason": "", "message": ""}
    return {**done, "answer": answer, "delivered": 1, "finish_reason": finish_reason}


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
    """Have `engine` answer the questions of a test file, all or `limit` drawn by seed; resumes an earlier run on
    `output_dir`: no question that has its answer is asked again. Raises InputError where there is no question, and
    what loop.run_job raises."""
    file = scan_questions(file_path, answering.seed, limit)
    check_length(engine, answering.write_prompt(""), answering.max_new_tokens)  # else every question would fail
    job = AnswerJob(file, Path(output_dir), engine, answering)
    return run_job(job, Path(output_dir) / LEDGER, Budget(max_total_tokens, max_minutes))


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
        "test_file": file.counts["digest"],
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
        return write_answers(file, ledger, output_dir, {"model": model, "way": "as given", "settings": settings})


def _take_answer(place: int, item: Question, file: QuestionFile) -> dict[str, Any]:
    if item.answer is None:
        result = {"status": "failed", "reason": "no_answer", "message": "the file holds no answer to it"}
    else:
        result = finish_answer(item.answer.strip(), "stop")
    now = round(time.time(), 3)
    times = {"prompt_tokens": 0, "new_tokens": 0, "started": now, "ended": now}
    by = {"engine": "none", "model": "", "calls": []}
    return {"id": item.question_id, "position": place, **result, **describe_question(item, file), **times, **by}


def write_answers(file: QuestionFile, ledger: Ledger, output_dir: Path, about: dict[str, Any]) -> AnswerReport:
    """Rebuild answers.json and answers_report.json from the ledger, each atomically; `about` is in the latter."""
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
                given = {**item.kept, "Q": item.question, "A": item.reference, "answer": line["answer"]}
                category = file.category_of(item) or None
                answers.add({**given, "category": category, "finish_reason": line["finish_reason"]})
        answers.end()
    report = AnswerReport(
        **about,
        test_file=file.counts,
        questions={**tally.count_items(len(file.ids)), **counts},
        **tally.summarize(),
        notes=file.notes + tally.list_notes(),
    )
    write_report(output_dir / REPORT, report)
    return report


# Reading them again --------------------------------------------------------------------------------------------------


def open_answers(output_dir: Path) -> Ledger:
    """The ledger of a run's answers, to look one up by its question's id."""
    return Ledger(output_dir / LEDGER, read_settings(output_dir / LEDGER))


def show_answers(report: AnswerReport) -> None:
    """Print what was asked, answered and left out."""
    print(f"answers by {report.model}, {report.way}")
    show_run(
        {report.test_file["name"]: report.test_file, "asked": report.questions}, report.notes, REPORT, report.stopped
    )
