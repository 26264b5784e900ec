"""Two kinds of task that are scored by likelihood: held-out questions and multiple choice.

Held-out questions are read from test files in the forms of questions.py; multiple choice in SciQ's form, as a JSON list
or JSON Lines, whose `support` may be empty:

    {"Q": "Why ...?", "A": "Because ..."}
    {"question": "Which gas ...?", "distractor1": "oxygen", "distractor2": "neon", "distractor3": "argon",
     "correct_answer": "nitrogen", "support": ""}
"""

import contextlib
import io
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.metrics.text_overlap import WordScorer
from sciqag_lib.tasks.questions import STOP, read_questions
from sciqag_lib.tasks.task import Guesses, Kind, Measure, Readings, Row, Task, read_rows

CHOICE_KEYS = ("distractor1", "distractor2", "distractor3", "correct_answer")
BATCH_ROWS = 8  # of the harness


def read_column(task: Task, lines: Readings, key: str) -> np.ndarray:
    """(test rows,), nan where a line has no such number."""
    return np.array([line.get(key) for line in lines], float)


# Held-out questions --------------------------------------------------------------------------------------------------


def read_held_out(path: Path, seed: int) -> Iterator[Row | BadRecord]:
    named = ""  # the question whose reference was found unusable, and which then comes without it
    for entry in read_questions(path):
        if isinstance(entry, BadRecord):
            named = entry.record if entry.field == "A" else ""
            yield entry
        elif entry.reference:
            yield Row(entry.where, entry.question, entry.reference, group=entry.group, category=entry.category)
        elif entry.where != named:
            yield BadRecord(str(path), entry.where, "A", "expected the reference answer, found none; left out")


def score_nats(task: Task, lines: Readings, key: str = "nll") -> np.ndarray:
    """-ln p per token of the reference answer."""
    return read_column(task, lines, key) / read_column(task, lines, "tokens")


def guess_nats(task: Task, sides: Mapping[str, Readings]) -> Guesses:
    return {
        f"the same behind another question, {side}": [[{**line, "nll": line.get("nll_other")} for line in lines]]
        for side, lines in sides.items()
    }


def score_saved(task: Task, lines: Readings) -> np.ndarray:
    """-ln p per token after another question less that after its own."""
    return score_nats(task, lines, "nll_other") - score_nats(task, lines)


def guess_saved(task: Task, sides: Mapping[str, Readings]) -> Guesses:
    return {"no use of the question": [[{"tokens": 1, "nll": 0, "nll_other": 0}] * len(task.test)]}


def score_overlap(task: Task, lines: Readings, key: str) -> np.ndarray:
    scorer, answers = WordScorer(), [line.get("answer") for line in lines]
    pairs = zip((row.answer for row in task.test), answers)
    return np.array([math.nan if text is None else scorer.score(known, text)[key] for known, text in pairs])


def guess_answers(task: Task, sides: Mapping[str, Readings]) -> Guesses:
    """The question as its answer and the next question's reference, for the rows that any model answered."""
    answered = [place for place in range(len(task.test)) if any("answer" in lines[place] for lines in sides.values())]
    questions, references = ([{}] * len(task.test) for _ in range(2))
    for place, following in zip(answered, answered[1:] + answered[:1]):
        questions[place] = {"answer": task.test[place].question}
        references[place] = {"answer": task.test[following].answer}
    return {"the question as its answer": [questions], "another question's reference": [references]}


QUESTIONS = Kind(
    "questions",
    read_held_out,
    (
        Measure("nats a token", score_nats, guess_nats, higher_is_better=False, compared=False),
        Measure("nats a token saved by the question", score_saved, guess_saved),
        Measure("token F1", partial(score_overlap, key="token_f1"), guess_answers),
        Measure("ROUGE-L", partial(score_overlap, key="rouge_l"), guess_answers),
    ),
    probes=("likelihood", "answers"),
    settings=("max_length", "context_size", "answers", "max_new_tokens", "dtype", "seed"),
    stop=STOP,
)


# Multiple choice -----------------------------------------------------------------------------------------------------


def make_choice(where: str, record: dict[str, Any]) -> Row | tuple[str, str]:
    choices = tuple(record[key].strip() for key in CHOICE_KEYS)
    question, support = record["question"].strip(), record.get("support")
    if len({choice.casefold() for choice in choices}) < len(choices):
        return "", f"expected four different choices, found {', '.join(choices):.120}"
    if support is not None and not isinstance(support, str):
        return "support", f"expected a text, which may be empty, found {support!r:.60}"
    return Row(where, question, choices[-1], choices=choices, support=(support or "").strip(), group=where)


def measure_choices(rows: Sequence[Row], tokenizer: Any, network: Any) -> Iterator[tuple[str, dict[str, float]]]:
    """By row id, whether SciQ of lm-evaluation-harness, its task file with our rows, finds the right choice the
    likeliest. InputError: the harness is not installed."""
    local = read_harness_task()
    from datasets import Dataset
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    keys = ("question", *CHOICE_KEYS, "support")
    data = Dataset.from_list([dict(zip(keys, (row.question, *row.choices, row.support))) for row in rows])
    local |= {"custom_dataset": lambda **_: {"test": data}}
    local |= dict.fromkeys(("training_split", "validation_split", "metadata"))
    # It warns about everything that makes a file local, and draws bars; both would fill a notebook.
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with contextlib.redirect_stderr(io.StringIO()):
        model = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=BATCH_ROWS)
        manager = TaskManager(include_defaults=False)
        found = simple_evaluate(model=model, tasks=[local], num_fewshot=0, bootstrap_iters=0, task_manager=manager)
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


def guess_choices(task: Task, sides: Mapping[str, Readings]) -> Guesses:
    """The chance to be right for one who draws, and for one who takes the longest choice, or one of the longest."""
    longest = [[text for text in row.choices if len(text) == max(map(len, row.choices))] for row in task.test]
    shares = [(row.answer in texts) / len(texts) for row, texts in zip(task.test, longest)]
    return {
        "a random choice": [[{"correct": 1 / len(row.choices)} for row in task.test]],
        "the longest choice": [[{"correct": share} for share in shares]],
    }


CHOICE = Kind(
    "choice",
    lambda path, seed: read_rows(path, ("question", *CHOICE_KEYS), make_choice),
    (Measure("accuracy", partial(read_column, key="correct"), guess_choices),),
    probes=("choice",),
    settings=("dtype",),
)
