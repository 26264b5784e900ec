"""Question similarity judged by a model: how alike the intent of two questions is, 0 to 100, one call a pair.

Published with SciQAG (arXiv 2405.09939): the 45 pairs of a paper's 10 questions, opposite intent 0, the same 100. The
same job on any engine, on a ledger of its own, so that it resumes; the instructions are the same for every pair and
come first, so an engine with a prefix cache reads them once. Beside the pairs of a paper each of its questions is
judged against one question of the paper before it in the file: the null baseline.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sciqag_lib.analysis.similarity import (
    PAIR_COLUMNS,
    PAPER_COLUMNS,
    REPORT,
    SimilarityReport,
    SimilarityTables,
    claim_folder,
    count_scores,
    first_note,
    usable_records,
)
from sciqag_lib.engines import Completion, Engine, EngineError, Prompt, Request, Sampling
from sciqag_lib.errors import InputError
from sciqag_lib.inference.ledger import FingerprintMismatch, Ledger
from sciqag_lib.inference.loop import Asking, Budget, Round, Run
from sciqag_lib.inference.prompts import PromptFile, load_prompt, plain_text, render
from sciqag_lib.inference.seeds import derive_seed, digest_of
from sciqag_lib.metrics.intervals import estimate_mean
from sciqag_lib.records.papers import Paper
from sciqag_lib.tables import write_report, write_table

SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 100}},
    "required": ["score"],
    "additionalProperties": False,
}
MAX_ROUNDS = 3  # the first time and twice for scores that could not be read
REPLY_TOKENS = 16
MAX_OTHER = 400  # characters of another paper's question: one that fits into no context must not fail its neighbour too
SCORE = re.compile(r'"?score"?\s*:\s*"?(\d{1,3})(?!\d|\.\d)')


@dataclass(frozen=True)
class JudgeItem:
    record: Paper
    others: list[str]  # questions of another paper, for the null baseline; [] where there is none

    def pairs(self) -> list[tuple[str, str]]:
        """The paper's own pairs in the order of np.tril_indices, then one pair for each question against `others`."""
        questions = self.record.questions
        rows, columns = np.tril_indices(len(questions), -1)
        own = [(questions[i], questions[j]) for i, j in zip(rows, columns)]
        return own + [
            (question, self.others[number % len(self.others)])
            for number, question in enumerate(questions if self.others else [])
        ]


class JudgeJob:
    """What to ask of a paper's questions; see asking.Job."""

    unit = "paper"

    def __init__(self, engine: Engine, prompt: PromptFile, seed: int) -> None:
        self.engine, self.prompt, self.seed = engine, prompt, seed

    def ask(self, item: JudgeItem) -> Asking:
        pairs = item.pairs()
        self._check_length(item.record.doi, max(pairs, key=lambda pair: len(pair[0]) + len(pair[1])))
        scores: list[int | None] = [None] * len(pairs)
        for attempt in range(MAX_ROUNDS):
            open_places = [place for place, score in enumerate(scores) if score is None]
            requests = [self._request(item.record.doi, pairs[place], place, attempt) for place in open_places]
            completions = yield Round(requests)
            for place, completion in zip(open_places, completions):
                scores[place] = read_score(completion)
            if None not in scores:
                break
        return scores

    def _check_length(self, doi: str, longest: tuple[str, str]) -> None:
        [tokens] = self.engine.count_tokens([self.engine.format(self._request(doi, longest, 0, 1).prompt)])
        if tokens + REPLY_TOKENS > self.engine.context_size:
            raise InputError(
                f"two of its questions make a prompt of {tokens:,} tokens, and with {REPLY_TOKENS} for the reply "
                f"the context of {self.engine.context_size:,} is too short; raise context_size"
            )

    def _request(self, doi: str, pair: tuple[str, str], place: int, attempt: int) -> Request:
        again = self.prompt.texts.get("unreadable", "") if attempt else ""
        values = {"first": plain_text(pair[0]), "second": plain_text(pair[1]), "again": again}
        prompt: Prompt = replace(render(self.prompt, "", values), json_schema=SCHEMA)
        # Greedy at first; a reply that could not be read is asked for again with another prompt and a little chance.
        sampling = Sampling(REPLY_TOKENS, 0.3 if attempt else 0.0, 1.0, derive_seed(self.seed, doi, place, attempt))
        return Request(f"{doi}#{place}.{attempt}", prompt, sampling)

    def describe(self, item: JudgeItem) -> dict[str, Any]:
        return {
            "doi": item.record.doi,
            "questions": item.record.questions,
            "digest": _digest(item),
            "prompt": f"{self.prompt.name} v{self.prompt.version}",
            "seed": self.seed,
        }

    def finish(self, item: JudgeItem, scores: list[int | None]) -> dict[str, Any]:
        num_own = len(item.record.pairs) * (len(item.record.pairs) - 1) // 2
        status = "done" if any(score is not None for score in scores) else "failed"
        return {
            "status": status,
            "reason": "" if status == "done" else "no_readable_score",
            "message": "",
            "scores": scores[:num_own],
            "null_scores": scores[num_own:],
        }


def read_score(completion: Completion) -> int | None:
    """The score of a reply, or None where it holds none from 0 to 100."""
    match = SCORE.search(completion.text)
    if match and completion.finish_reason == "length" and match.end() == len(completion.text):
        return None  # cut off in the number, for all we know: 1 of 100
    return int(match[1]) if match and int(match[1]) <= 100 else None


def judge_similarity(
    file_path: str | Path,
    output_dir: str | Path,
    engine: Engine,
    limit: int | None = None,
    seed: int = 0,
    max_total_tokens: int | None = None,
    max_minutes: float | None = None,
    prompt: str = "question_similarity",
) -> SimilarityReport:
    """Have `engine` judge all pairs of each paper's questions; go on where an earlier run on `output_dir` stopped.

    Writes ledger.jsonl, similarity and papers (.parquet and .csv) and similarity.json. A score that cannot be read in
    three attempts is missing. Raises InputError where there is no pair or `output_dir` holds scores of the other mode,
    FingerprintMismatch where its scores were made with another model, prompt or seed, or from other questions, and
    EngineError where the engine failed for good; what was judged before is kept.
    """
    output_dir = claim_folder(output_dir, "llm")
    prompt_file = load_prompt(prompt)
    fingerprint = {
        "job": "question_similarity",
        "engine": engine.name,
        "model": engine.model_id,
        "prompt": f"{prompt_file.name} v{prompt_file.version} {prompt_file.digest}",
        "seed": seed,
    }
    notes: list[str] = []
    with Ledger(output_dir / "ledger.jsonl", fingerprint) as ledger:
        num_to_ask, num_calls = _plan(list_items(file_path, notes, limit), ledger)
        if not num_calls and not len(ledger):
            raise InputError(f"{file_path}: holds no pair of questions that can be judged{first_note(notes)}")
        print(f"{num_calls:,} pairs to judge in {num_to_ask:,} papers, one call each; unreadable ones are asked again")
        run = Run(engine, ledger, JudgeJob(engine, prompt_file, seed), Budget(max_total_tokens, max_minutes))
        try:
            run.go(list_items(file_path, [], limit), num_to_ask)
        finally:
            report = _write_tables(list_items(file_path, [], limit), ledger, output_dir, engine, notes, seed)
    if run.fatal:
        raise EngineError(
            f"{run.fatal}; {report.num_papers:,} papers are judged and kept; mend the cause and run again to go on"
        )
    if run.stopped:
        print(f"stopped: {run.stopped}. Run again with the same output_dir to go on")
    return report


def list_items(file_path: str | Path, notes: list[str], limit: int | None) -> Iterator[tuple[int, str, JudgeItem]]:
    """Position, id and item of each paper with at least two questions."""
    before: list[str] = []
    for position, record in enumerate(usable_records(file_path, notes, limit)):
        if record.doi and len(record.pairs) > 1:
            yield position, record.key, JudgeItem(record, before)
            before = [question[:MAX_OTHER] for question in record.questions]


def _plan(items: Iterator[tuple[int, str, JudgeItem]], ledger: Ledger) -> tuple[int, int]:
    """How many papers are to be asked, and how many calls that is. Raises FingerprintMismatch."""
    num_to_ask = num_calls = 0
    for _, item_id, item in items:
        line = ledger.read(item_id)
        if line and line["digest"] != _digest(item):
            raise FingerprintMismatch(
                f"{ledger.path}: the questions of {item.record.doi}, or of the paper before it, are "
                "not those its scores were made from; use another output_dir"
            )
        if not ledger.finished(item_id):
            num_to_ask += 1
            num_calls += len(item.pairs())
    return num_to_ask, num_calls


def _digest(item: JudgeItem) -> str:
    return digest_of(item.pairs())


def _write_tables(
    items: Iterator[tuple[int, str, JudgeItem]],
    ledger: Ledger,
    output_dir: Path,
    engine: Engine,
    notes: list[str],
    seed: int,
) -> SimilarityReport:
    sums, numbers, null_counts = [], [], count_scores(np.zeros(0), "llm")
    with ExitStack() as stack:
        tables = SimilarityTables(
            "llm",
            stack.enter_context(write_table(output_dir, "similarity", PAIR_COLUMNS)),
            stack.enter_context(write_table(output_dir, "papers", PAPER_COLUMNS)),
        )
        tables.notes = notes
        for _, item_id, item in items:
            line = ledger.read(item_id)
            if not line or not ledger.finished(item_id):
                reason = f" ({line['reason']}: {line['message']})" if line else ""
                notes.append(f"{item.record.doi}: not judged yet{reason}")
                continue
            if "scores" not in line:
                notes.append(f"{item.record.doi}: {line['message']}")
                continue
            tables.add(item.record.doi, item.record.questions, _matrix(line["scores"], len(item.record.pairs)))
            null = np.array([score / 100 for score in line["null_scores"] if score is not None])
            sums.append(null.sum())
            numbers.append(len(null))
            null_counts = null_counts + count_scores(null, "llm")
        report = tables.report(
            f"{engine.name} {engine.model_id}", estimate_mean(sums, numbers, seed), null_counts, seed
        )
    write_report(output_dir / REPORT, report)
    return report


def _matrix(scores: list[int | None], size: int) -> np.ndarray:
    """float (size, size), 0 to 1, below the diagonal; nan where there is no score."""
    matrix = np.full((size, size), np.nan)
    matrix[np.tril_indices(size, -1)] = [np.nan if score is None else score / 100 for score in scores]
    return matrix
