"""One model on all tasks, row by row on ledgers: a row that is on disk is not measured again.

What is asked, and how, is the same before and after training. Of a held-out question it is the reference answer's -ln p
in the form and with the instruction of the training data, its end-of-sequence token included, and where asked for,
the model's own answer; of a row with an instruction, it is the reply after `shots` rows of train. Text is generated
greedily.

A line of evaluations/after.held_out.likelihood.3f9c1b2a.jsonl, by model, task and settings:

    {"kind": "item", "id": "record 4", "status": "done", "tokens": 31, "nll": 70.2, "nll_other": 96.5}
"""

import gc
import heapq
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from sciqag_lib.engines import Engine, open_engine
from sciqag_lib.errors import check_parameters
from sciqag_lib.inference.ledger import name_full_disk
from sciqag_lib.inference.loop import Budget, run_job
from sciqag_lib.inference.prompts import load_form, load_prompt
from sciqag_lib.inference.replies import read_answer
from sciqag_lib.inference.seeds import digest_of
from sciqag_lib.tasks import kinds
from sciqag_lib.tasks.evaluation import Lines, RowJob, draw_shots, measure_rows
from sciqag_lib.tasks.likelihoods import measure_choices
from sciqag_lib.tasks.questions import rank
from sciqag_lib.tasks.task import Row, Task
from sciqag_lib.training.data import Example

VERSION = 1  # of what moves a number here
FOLDER = "evaluations"
LEAST = {"max_length": 2, "context_size": 2, "shots": 0, "answers": 0, "max_new_tokens": 1, "batch_size": 1}


@dataclass(frozen=True)
class Settings:
    """How tasks are put to a model."""

    prompt_form: str = "alpaca"  # as in training
    max_length: int = 512  # tokens of question and reference answer, as in training
    context_size: int = 2048  # tokens of a prompt with its examples and reply
    shots: int = 4  # train rows shown as examples; 0 none
    answers: int | None = 0  # held-out questions, drawn by seed, that are answered; None all
    max_new_tokens: int = 128  # of these answers
    batch_size: int = 8  # prompts decoded together
    dtype: str | None = None  # of likelihoods; None: the engine's, bfloat16 where it is faster here
    seed: int = 0

    def __post_init__(self) -> None:
        values = ((name, getattr(self, name), least) for name, least in LEAST.items())
        check_parameters(*((name, it, it is None or it >= least, f"at least {least}") for name, it, least in values))

    def fingerprint(self, task: Task) -> dict[str, Any]:
        """Settings and versions that change what is measured of a task."""
        form = load_form(self.prompt_form)
        return {
            "job": "downstream",
            "version": VERSION,
            "tasks_version": kinds.VERSION,
            "prompt": load_prompt(task.prompt).digest,
            "prompt_form": digest_of(form) if form else "chat",
            **{name: value for name, value in asdict(self).items() if name in task.kind.settings},
        }


class Model:
    """A model's folder, opened when it is needed first, in one form at a time: it may fill the memory."""

    def __init__(self, source: str | Path, settings: Settings, cache_dir: str | None = None) -> None:
        from sciqag_lib.engines.common import hash_files

        self.source, self.settings, self.cache_dir = str(source), settings, cache_dir
        folder = Path(self.source)
        files = [file for file in folder.glob("*") if file.suffix in (".safetensors", ".bin", ".json", ".model")]
        self.model_id = f"{folder.name} {hash_files(files)}" if files else self.source

    @cached_property
    def weights(self) -> tuple[Any, Any]:
        """(tokenizer, model), for likelihoods."""
        # It makes torch's threads patient, and must be imported before the harness, or whatever else, imports torch.
        from sciqag_lib.engines.loading import choose_dtype, load_model, torch

        self.close()
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        dtype = getattr(torch, self.settings.dtype) if self.settings.dtype else choose_dtype(device)
        tokenizer, model = load_model(self.source, self.cache_dir, dtype, "sdpa")
        return tokenizer, model.to(device).eval()

    @cached_property
    def engine(self) -> Engine:
        self.close()
        size, batch_size = self.settings.context_size, self.settings.batch_size
        return open_engine("transformers", self.source, size, cache_dir=self.cache_dir, batch_size=batch_size)

    def close(self) -> None:
        self.__dict__.pop("weights", None)
        if engine := self.__dict__.pop("engine", None):
            engine.close()
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
    found: dict[str, dict[str, dict[str, Any]]] = {task.name: {} for task in tasks}
    model = Model(source, settings, cache_dir)
    try:
        with name_full_disk(Path(output_dir)):
            for probe in PROBES:
                for task in (task for task in tasks if probe in task.kind.probes):
                    for row_id, line in _measure_task(probe, task, side, model, Path(output_dir)):
                        found[task.name].setdefault(row_id, {}).update(line)
    finally:
        model.close()
    return found


def _measure_task(probe: str, task: Task, side: str, model: Model, output_dir: Path) -> Lines:
    settings, rows = model.settings, task.test
    if probe == "answers" and settings.answers is not None:
        rows = heapq.nsmallest(settings.answers, rows, key=lambda row: rank(settings.seed, "answer", row.row_id))
    fingerprint = {**settings.fingerprint(task), "model": model.model_id, "task": task.digest}
    slug = re.sub(r"[^A-Za-z0-9]+", "_", task.name)[:40]  # a name never is a path; the digest tells tasks apart
    name = f"{side}.{slug}.{probe}.{digest_of([task.name, fingerprint])[:8]}.jsonl"
    path = output_dir / FOLDER / name
    if not rows:
        return iter(())
    if probe in READERS:
        shots = draw_shots(task, settings.shots, settings.seed) if task.kind.needs_train else []
        how = (settings.prompt_form, shots, settings.max_new_tokens, READERS[probe])
        job = RowJob(task, rows, lambda: model.engine, fingerprint, *how)
        return iter(run_job(job, path, Budget()).items())
    return measure_rows(
        rows, path, fingerprint, partial(MEASURES[probe], task=task, model=model), f"{side}, {task.name}: {probe}"
    )


def _measure_likelihood(rows: Sequence[Row], task: Task, model: Model) -> Lines:
    """-ln p of each reference answer, in nats over its tokens, after its question and after the next one's."""
    tokenizer, network = model.weights
    from sciqag_lib.engines.likelihood import Scorer
    from sciqag_lib.training.encoding import ExampleEncoder

    scorer = Scorer(network, tokenizer, model.model_id)
    encoder = ExampleEncoder(tokenizer, model.settings.max_length, model.settings.prompt_form)
    instruction = load_prompt(task.prompt).texts["instruction"]
    following = dict(zip((row.row_id for row in task.test), [*task.test[1:], task.test[0]]))
    for row in rows:
        questions = {"nll": row.question, "nll_other": following[row.row_id].question}
        line: dict[str, Any] = {}
        for key in list(questions)[: len(task.test)]:  # the only question of a task has no other
            [encoded] = encoder.encode([Example(instruction, questions[key], row.answer)])
            if encoded.fault:
                line = {"reason": f"it is {encoded.fault}"}
                break
            tokens = len(encoded.ids) - encoded.prompt_length
            nll = float(scorer.score(np.array([encoded.ids], np.int64), tokens).sum())
            line |= {"tokens": tokens, key: nll if math.isfinite(nll) else None}
        yield row.row_id, line


def _measure_choice(rows: Sequence[Row], task: Task, model: Model) -> Lines:
    return measure_choices(rows, *model.weights)


MEASURES: dict[str, Callable[[Sequence[Row], Task, Model], Lines]] = {
    "likelihood": _measure_likelihood,
    "choice": _measure_choice,
}
READERS: dict[str, Callable[[str], dict[str, Any]]] = {  # what is kept of a reply
    "answers": lambda text: {"answer": read_answer(text)},  # without what reads as reasoning or a label
    "replies": lambda text: {"reply": text},
}
PROBES = (*MEASURES, *READERS)  # likelihoods first: the model is loaded once for them, and once to write
