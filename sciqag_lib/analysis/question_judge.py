"""Question similarity judged by a model: how alike the intent of two questions is, 0 to 100, one call a pair.

Published with SciQAG (arXiv 2405.09939): the 45 pairs of a paper's 10 questions, opposite intent 0, the same 100. The
same job on any engine, on a ledger of its own, so that it resumes; the instructions are the same for every pair and
come first, so an engine with a prefix cache reads them once. Beside the pairs of a paper each of its questions is
judged against one question of the paper before it in the file: the null baseline.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sciqag_lib.analysis.similarity import (
    COLUMNS,
    REPORT,
    SimilarityReport,
    SimilarityTables,
    claim_folder,
    estimate_scores,
    usable_records,
)
from sciqag_lib.engines import Engine, Prompt, Request
from sciqag_lib.errors import InputError, first_note
from sciqag_lib.inference.judge import Call, Judge, Readings, ask_judge, finish_scores, list_scores
from sciqag_lib.inference.ledger import Ledger
from sciqag_lib.inference.loop import Asking, Budget, run_job, show_stopped
from sciqag_lib.inference.prompts import load_prompt, plain_text, render
from sciqag_lib.inference.seeds import digest_of
from sciqag_lib.records.papers import Paper
from sciqag_lib.tables import write_report, write_tables

MAX_OTHER = 400  # characters of another paper's question: one that fits into no context must not fail its neighbour too


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


@dataclass
class JudgeJob:
    """The questions of a file's papers, two at a time; see loop.Job."""

    unit = "paper"
    digested = "its questions, or those of the paper before it,"

    file_path: str | Path
    output_dir: Path
    engine: Engine
    judge: Judge
    limit: int | None = None
    notes: list[str] = field(default_factory=list)

    def fingerprint(self) -> dict[str, Any]:
        prompt = self.judge.prompt
        return {
            "job": "question_similarity",
            "engine": self.engine.name,
            "model": self.engine.model_id,
            "prompt": f"{prompt.name} v{prompt.version} {prompt.digest}",
            "seed": self.judge.seed,
        }

    def list_items(self, notes: list[str] | None = None) -> Iterator[tuple[int, str, JudgeItem]]:
        """Position, id and item of each paper with at least two questions."""
        before: list[str] = []
        records = usable_records(self.file_path, [] if notes is None else notes, self.limit)
        for position, record in enumerate(records):
            if record.doi and len(record.pairs) > 1:
                yield position, record.key, JudgeItem(record, before)
                before = [question[:MAX_OTHER] for question in record.questions]

    def plan(self, ledger: Ledger) -> int:
        num_to_ask = num_calls = 0
        for _, item_id, item in self.list_items(self.notes):
            ledger.check_unchanged(item_id, self.digest(item), f"{item.record.doi}: {self.digested}")
            if not ledger.finished(item_id):
                num_to_ask += 1
                num_calls += len(item.pairs())
        if not num_calls and not len(ledger):
            raise InputError(f"{self.file_path}: holds no pair of questions that can be judged{first_note(self.notes)}")
        print(f"{num_calls:,} pairs to judge in {num_to_ask:,} papers, one call each; unreadable ones are asked again")
        return num_to_ask

    def ask(self, item: JudgeItem) -> Asking:
        pairs, doi = item.pairs(), item.record.doi
        self._check_length(max(pairs, key=lambda pair: len(pair[0]) + len(pair[1])))
        calls = [Call(("similarity",))] * len(pairs)

        def make_request(number: int, places: list[int], attempt: int) -> Request:
            prompt = self._write_prompt(pairs[number], attempt)
            request_id = f"{doi}#{number}.{attempt}"
            return self.judge.make_request(request_id, prompt, calls[number], 1, attempt, doi, number, attempt)

        readings = yield from ask_judge(self.judge, calls, make_request)
        return calls, readings

    def _write_prompt(self, pair: tuple[str, str], attempt: int) -> Prompt:
        again = self.judge.prompt.texts.get("unreadable", "") if attempt else ""
        values = {"first": plain_text(pair[0]), "second": plain_text(pair[1]), "again": again}
        schema = self.judge.make_schema(("similarity",), 1)
        return replace(render(self.judge.prompt, "", values), json_schema=schema)

    def _check_length(self, longest: tuple[str, str]) -> None:
        [tokens] = self.engine.count_tokens([self.engine.format(self._write_prompt(longest, 1))])
        room = self.judge.reply_room(("similarity",), 1)
        if tokens + room > self.engine.context_size:
            raise InputError(
                f"two of its questions make a prompt of {tokens:,} tokens, and with {room} for the reply "
                f"the context of {self.engine.context_size:,} is too short; raise context_size"
            )

    def digest(self, item: JudgeItem) -> str:
        return digest_of(item.pairs())

    def describe(self, item: JudgeItem) -> dict[str, Any]:
        prompt = self.judge.prompt
        return {
            "paper": {"doi": item.record.doi},
            "questions": item.record.questions,
            "digest": self.digest(item),
            "prompt": f"{prompt.name} v{prompt.version}",
            "seed": self.judge.seed,
        }

    def finish(self, item: JudgeItem, outcome: tuple[list[Call], Readings]) -> dict[str, Any]:
        found = [score for _, _, score in list_scores(*outcome)]
        scores = [score["score"] for score in found]
        num_own = len(item.record.pairs) * (len(item.record.pairs) - 1) // 2
        return {**finish_scores(found), "scores": scores[:num_own], "null_scores": scores[num_own:]}

    def write(self, ledger: Ledger, stopped: str) -> SimilarityReport:
        show_stopped(stopped)
        nulls: list[np.ndarray] = []
        with write_tables(self.output_dir, COLUMNS) as writers:
            tables = SimilarityTables("llm", writers)
            tables.notes = notes = list(self.notes)
            for _, item_id, item in self.list_items():
                line = ledger.read(item_id)
                if not line or not ledger.finished(item_id):
                    reason = f" ({line['reason']}: {line['message']})" if line else ""
                    notes.append(f"{item.record.doi}: not judged yet{reason}")
                elif "scores" not in line:
                    notes.append(f"{item.record.doi}: {line['message']}")
                else:
                    tables.add(item.record.doi, item.record.questions, _matrix(line["scores"], len(item.record.pairs)))
                    nulls.append(np.array([score / 100 for score in line["null_scores"] if score is not None]))
            by = f"{self.engine.name} {self.engine.model_id}"
            report = tables.report(by, *estimate_scores(nulls, "llm", self.judge.seed), self.judge.seed)
        write_report(self.output_dir / REPORT, report)
        return report


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
    """Have `engine` judge all pairs of each paper's questions; resumes an earlier run on `output_dir`.

    Writes ledger.jsonl, similarity and papers (.parquet and .csv) and similarity.json. A score that cannot be read in
    three attempts is missing. Raises InputError where there is no pair or `output_dir` holds scores of the other mode,
    and what loop.run_job raises.
    """
    output_dir = claim_folder(output_dir, "llm")
    judge = Judge(prompt=load_prompt(prompt), dimensions=("similarity",), low=0, top=100, seed=seed, with_reasons=False)
    job = JudgeJob(file_path, output_dir, engine, judge, limit)
    return run_job(job, output_dir / "ledger.jsonl", Budget(max_total_tokens, max_minutes))


def _matrix(scores: list[int | None], size: int) -> np.ndarray:
    """float (size, size), 0 to 1, below the diagonal; nan where there is no score."""
    matrix = np.full((size, size), np.nan)
    matrix[np.tril_indices(size, -1)] = [np.nan if score is None else score / 100 for score in scores]
    return matrix
