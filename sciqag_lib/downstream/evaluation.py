"""One model on the tasks of tasks.py, row by row on ledgers: what is on disk is not measured again.

What is asked, and how, is the same before and after training:

- questions: the reference answer's -ln p behind the question, in the form and with the instruction of the training
  data, its end-of-sequence token included; and behind another question. Where asked for, the model's own answer.
- choice: SciQ of lm-evaluation-harness, by its own task file, on the local rows: the choice of the highest likelihood.
- classification, regression: `shots` rows of train, drawn by seed, then the row, all in the prompt form; one line.

What is written is written greedily.

A line of evaluations/after.held_out.likelihood.3f9c1b2a.jsonl, by model, task and settings:

    {"kind": "item", "id": "record 4", "status": "done", "tokens": 31, "nll": 70.2, "nll_other": 96.5}
"""

import contextlib
import gc
import heapq
import io
import logging
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sciqag_lib.benchmark.answers import STOP
from sciqag_lib.engines import Engine, EngineError, Prompt, Request, Sampling, complete
from sciqag_lib.errors import InputError
from sciqag_lib.inference.ledger import Ledger, name_full_disk
from sciqag_lib.inference.prompts import fill, load_form, load_prompt, plain_text
from sciqag_lib.inference.replies import read_answer
from sciqag_lib.inference.seeds import digest_of
from sciqag_lib.tasks import kinds
from sciqag_lib.tasks.kinds import CHOICE_KEYS, Row, Task
from sciqag_lib.tasks.questions import rank
from sciqag_lib.training.data import Example

VERSION = 1  # of what moves a number here
FOLDER = "evaluations"
REPLY_TOKENS = 24  # of classification and regression: one line
BATCH_ROWS = 8  # of the harness


@dataclass(frozen=True)
class Settings:
    """How tasks are put to a model; what changes one of these changes numbers."""

    prompt_form: str = "alpaca"  # as in training
    prompt: str = "qa_only"  # whose instruction stands in the training data
    max_length: int = 512  # tokens of question and reference answer, as in training
    context_size: int = 2048  # tokens of a prompt with its examples and reply
    shots: int = 4  # examples of classification and regression; 0 none
    answers: int | None = 0  # held-out questions, drawn by seed, that are answered; None all
    max_new_tokens: int = 128  # of these answers
    batch_size: int = 8  # prompts decoded together
    dtype: str | None = None  # of likelihoods; None: what the engine writes in, bfloat16 where it is faster here
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in {
            "max_length": 2,
            "context_size": 2,
            "shots": 0,
            "answers": 0,
            "max_new_tokens": 1,
            "batch_size": 1,
        }.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"{name}: expected at least {least}, found {value}")

    def fingerprint(self, kind: str) -> dict[str, Any]:
        prompt, form = load_prompt(self.prompt), load_form(self.prompt_form)
        used = {
            "questions": ("max_length", "context_size", "answers", "max_new_tokens", "dtype", "seed"),
            "choice": ("dtype",),
        }.get(kind, ("context_size", "shots", "dtype", "seed"))
        return {
            "job": "downstream",
            "version": VERSION,
            "tasks_version": kinds.VERSION,
            "prompt": prompt.digest,
            "prompt_form": digest_of(form) if form else "chat",
            **{name: value for name, value in asdict(self).items() if name in used},
        }


class Model:
    """A model's folder, opened when it is needed first, in one form at a time: it may fill the memory."""

    def __init__(self, source: str | Path, settings: Settings, cache_dir: str | None = None) -> None:
        from sciqag_lib.engines.common import hash_files

        self.source, self.settings, self.cache_dir = str(source), settings, cache_dir
        folder = Path(self.source)
        files = (
            [file for file in folder.iterdir() if file.suffix in (".safetensors", ".bin", ".json", ".model")]
            if folder.is_dir()
            else []
        )
        self.model_id = f"{folder.name} {hash_files(files)}" if files else self.source
        self._loaded: tuple[Any, Any] | None = None
        self._engine: Engine | None = None

    def load(self) -> tuple[Any, Any]:
        """(tokenizer, model), for likelihoods."""
        if self._loaded is None:
            from sciqag_lib.engines.loading import choose_dtype, load_model, torch

            self.close()
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            dtype = getattr(torch, self.settings.dtype) if self.settings.dtype else choose_dtype(device)
            tokenizer, model = load_model(self.source, self.cache_dir, dtype, "sdpa")
            self._loaded = tokenizer, model.to(device).eval()
        return self._loaded

    def open_engine(self) -> Engine:
        if self._engine is None:
            from sciqag_lib.engines import open_engine

            self.close()
            self._engine = open_engine(
                "transformers",
                self.source,
                self.settings.context_size,
                cache_dir=self.cache_dir,
                batch_size=self.settings.batch_size,
            )
        return self._engine

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
        self._loaded = self._engine = None
        gc.collect()


def evaluate_model(
    source: str | Path,
    side: str,
    tasks: Sequence[Task],
    settings: Settings,
    output_dir: str | Path,
    cache_dir: str | None = None,
) -> dict[str, dict[str, dict[str, Any]]]:
    """By task and row id what was measured of the model in `source` on the test rows of `tasks`.

    side: "before" or "after", which names the ledgers in `output_dir`/evaluations. A row that failed holds "reason" and
    nothing measured. EngineError: the model cannot be loaded, or no longer asked; LedgerError: the disk is full.
    """
    # It sets the threads of torch up to be patient: before the harness, or whatever else, imports torch.
    import sciqag_lib.engines.loading  # noqa: F401

    found: dict[str, dict[str, dict[str, Any]]] = {task.name: {} for task in tasks}
    model = Model(source, settings, cache_dir)
    try:
        with name_full_disk(Path(output_dir)):
            for kinds, measure in MEASURES:  # likelihoods first: the model is loaded once for them, and once to write
                for task in (task for task in tasks if task.kind in kinds):
                    for row_id, line in _measure_task(measure, task, side, model, Path(output_dir)):
                        found[task.name].setdefault(row_id, {}).update(line)
    finally:
        model.close()
    return found


def _measure_task(
    measure: "Measure", task: Task, side: str, model: Model, output_dir: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure the rows that are not on the ledger yet; the lines of all rows that are then there."""
    settings = model.settings
    rows = task.test
    if measure is _measure_answers and settings.answers is not None:
        rows = heapq.nsmallest(settings.answers, rows, key=lambda row: rank(settings.seed, "answer", row.row_id))
    if not rows:
        return
    fingerprint = {**settings.fingerprint(task.kind), "model": model.model_id, "task": task.digest}
    slug = re.sub(r"[^A-Za-z0-9]+", "_", task.name)[:40]  # a name never is a path; the digest tells tasks apart
    name = f"{side}.{slug}.{measure.__name__.rpartition('_')[2]}.{digest_of([task.name, fingerprint])[:8]}.jsonl"
    with Ledger(output_dir / FOLDER / name, fingerprint) as ledger:
        left = [row for row in rows if not ledger.finished(row.row_id)]
        print(
            f"{side}, {task.name}: {measure.__name__.rpartition('_')[2]} of {len(rows):,} rows, "
            f"{len(rows) - len(left):,} of them measured before",
            flush=True,
        )
        for row_id, line in measure(left, task, model) if left else ():
            ledger.append({"id": row_id, "status": "unfinished" if "reason" in line else "done", **line})
        for row in rows:
            line = ledger.read(row.row_id) or {}
            yield row.row_id, {key: value for key, value in line.items() if key not in ("kind", "id", "status")}


# Likelihoods ---------------------------------------------------------------------------------------------------------


def _measure_likelihood(rows: Sequence[Row], task: Task, model: Model) -> Iterator[tuple[str, dict[str, Any]]]:
    """-ln p of each reference answer, in nats over its tokens, behind its question and behind the next one's."""
    from sciqag_lib.engines.likelihood import Scorer
    from sciqag_lib.training.encoding import ExampleEncoder

    tokenizer, network = model.load()
    scorer = Scorer(network, tokenizer, model.model_id)
    encoder = ExampleEncoder(tokenizer, model.settings.max_length, model.settings.prompt_form)
    instruction = load_prompt(model.settings.prompt).texts["instruction"]
    places = {row.row_id: place for place, row in enumerate(task.test)}
    for row in rows:
        other = task.test[(places[row.row_id] + 1) % len(task.test)]
        line: dict[str, Any] = {}
        for key, question in [("nll", row.question)] + [("nll_other", other.question)] * (other is not row):
            [encoded] = encoder.encode([Example(instruction, question, row.answer)])
            if encoded.fault:
                line = {"reason": f"it is {encoded.fault}"}
                break
            tokens = len(encoded.ids) - encoded.prompt_length
            nll = float(scorer.score(np.array([encoded.ids], np.int64), tokens).sum())
            line |= {"tokens": tokens, key: nll if math.isfinite(nll) else None}
        yield row.row_id, line


def _measure_choice(rows: Sequence[Row], task: Task, model: Model) -> Iterator[tuple[str, dict[str, Any]]]:
    """Whether SciQ of lm-evaluation-harness finds the right choice the likeliest; its task file, our rows."""
    from datasets import Dataset
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    keys = ("question", *CHOICE_KEYS, "support")
    data = Dataset.from_list([dict(zip(keys, (row.question, *row.choices, row.support))) for row in rows])
    local = read_harness_task() | {
        "custom_dataset": lambda **_: {"test": data},
        "training_split": None,
        "validation_split": None,
        "metadata": None,
    }
    tokenizer, network = model.load()
    with quiet_harness():
        harness = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=BATCH_ROWS)
        found = simple_evaluate(
            model=harness,
            tasks=[local],
            num_fewshot=0,
            bootstrap_iters=0,
            task_manager=TaskManager(include_defaults=False),
        )
    for sample in found["samples"]["sciq"]:
        yield rows[sample["doc_id"]].row_id, {"correct": float(sample["acc"])}


def read_harness_task() -> dict[str, Any]:
    """SciQ as the installed lm-evaluation-harness defines it: its prompt, its choices, its metrics."""
    package = find_spec("lm_eval")
    if package is None or not package.submodule_search_locations:
        raise InputError(
            "choice: expected the package lm_eval, found none; pip install --no-deps -r requirements-nodeps.txt"
        )
    path = Path(package.submodule_search_locations[0], "tasks", "sciq", "sciq.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@contextmanager
def quiet_harness() -> Iterator[None]:
    """The harness warns of everything that a local file is not, and draws bars; both would fill a notebook."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


# Replies -------------------------------------------------------------------------------------------------------------


def _measure_answers(rows: Sequence[Row], task: Task, model: Model) -> Iterator[tuple[str, dict[str, Any]]]:
    """The model's own answers to held-out questions, as written, without what reads as reasoning or a label."""
    instruction = load_prompt(model.settings.prompt).texts["instruction"]
    prompts = [write_prompt(model.settings.prompt_form, instruction, row.question) for row in rows]
    for row_id, reply in _ask(model, rows, prompts, model.settings.max_new_tokens, STOP):
        yield row_id, reply if "reason" in reply else {"answer": read_answer(reply["reply"])}


def _measure_replies(rows: Sequence[Row], task: Task, model: Model) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the model writes about each row behind `shots` rows of train with their answers."""
    form, shots = model.settings.prompt_form, draw_shots(task, model.settings)
    examples = [write_prompt(form, shot.instruction, shot.question) + shot.shown for shot in shots]
    prompts = ["\n\n".join([*examples, write_prompt(form, row.instruction, row.question)]) for row in rows]
    yield from _ask(model, rows, prompts, REPLY_TOKENS, ("\n",))


def draw_shots(task: Task, settings: Settings) -> list[Row]:
    """The rows of train that are shown as examples, the same for every row and both models."""
    drawn = heapq.nsmallest(settings.shots, task.train, key=lambda row: rank(settings.seed, "shot", row.row_id))
    if len(drawn) < settings.shots:
        raise InputError(
            f"{task.name}: shots: expected at most {len(drawn)}, the rows of its train, found {settings.shots}"
        )
    return drawn


def write_prompt(form: str, instruction: str, question: str) -> str:
    """The prompt of a training example, complete; what looks like a chat template's mark in a text is spelled apart."""
    template = load_form(form)
    if not template:
        raise InputError(
            "prompt_form: expected alpaca, or another form's file, found chat: the QA-only recipe knows "
            "no chat template"
        )
    return fill(template, {"system": "", "instruction": plain_text(instruction), "input": plain_text(question)}, form)


def _ask(
    model: Model, rows: Sequence[Row], prompts: Sequence[str], max_new_tokens: int, stop: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, Any]]]:
    engine = model.open_engine()
    sampling = Sampling(max_new_tokens, stop=stop)
    requests = (Request(row.row_id, Prompt(text=text), sampling) for row, text in zip(rows, prompts))
    for completion in complete(engine, requests):
        if completion.fatal:
            raise EngineError(completion.error)
        failed = completion.finish_reason == "error"
        yield completion.id, {"reason": completion.error} if failed else {"reply": completion.text}


Measure = Callable[[Sequence[Row], Task, Model], Iterator[tuple[str, dict[str, Any]]]]
MEASURES: tuple[tuple[tuple[str, ...], Measure], ...] = (
    (("questions",), _measure_likelihood),
    (("choice",), _measure_choice),
    (("questions",), _measure_answers),
    (("classification", "regression"), _measure_replies),
)
