"""Papers to question-answer pairs: the run.

with open_engine("llama_cpp", None, 8192) as engine:
    report = generate("papers.json", "out", engine, make_recipe())
"""

import hashlib
import os.path
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sciqag_lib.engines import Engine, EngineError
from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.generation.outputs import write_outputs
from sciqag_lib.generation.recipe import Recipe
from sciqag_lib.generation.strategies import STRATEGIES, Outcome
from sciqag_lib.inference.forecast import EXPECTED_FILL, Cost, Plan, plan_items
from sciqag_lib.inference.ledger import Ledger
from sciqag_lib.inference.loop import Asking, Budget, run_job
from sciqag_lib.records.papers import Paper, paper_record, read_papers_json, read_records


def generate(
    file_path: str | Path,
    output_dir: str | Path,
    engine: Engine,
    recipe: Recipe,
    limit: int | None = None,
    max_total_tokens: int | None = None,
    max_minutes: float | None = None,
) -> dict[str, Any]:
    """Ask every paper of `file_path` that the ledger in `output_dir` does not hold as finished; return the report.

    Writes ledger.jsonl, plan.csv, original_output.json, processed_output.json, evidence.json and report.json.
    Raises InputError where there is nothing to ask, and what loop.run_job raises.
    """
    next(read_records(file_path), None)  # a file that cannot be read leaves no folder with a ledger behind
    job = GenerationJob(file_path, Path(output_dir), engine, recipe, limit)
    return run_job(job, Path(output_dir) / "ledger.jsonl", Budget(max_total_tokens, max_minutes))


@dataclass
class GenerationJob:
    """A file's papers, asked for pairs; see loop.Job."""

    unit = "paper"
    digested = "its text"

    file_path: str | Path
    output_dir: Path
    engine: Engine
    recipe: Recipe
    limit: int | None = None

    def fingerprint(self) -> dict[str, Any]:
        return self.recipe.fingerprint(self.engine)

    def list_items(self, plan: Plan | None = None) -> Iterator[tuple[int, str, Paper]]:
        """The papers; what else the file holds is noted in `plan`. The first record of a DOI, in whatever spelling,
        counts; `limit` counts papers."""
        seen: dict[str, int] = {}
        for position, entry in enumerate(read_papers_json(self.file_path)):
            if self.limit is not None and len(seen) >= self.limit:
                return
            if isinstance(entry, BadRecord):
                if plan:
                    plan.bad_records.append(str(entry))
                continue
            item_id = sys.intern(entry.key)  # the plan and the ledger then share one string
            if item_id not in seen:
                seen[item_id] = position
                yield position, item_id, entry
            elif plan:
                plan.duplicates.append(
                    f"record {position + 1} ({entry.doi}) has the DOI of record {seen[item_id] + 1} and is not asked"
                )

    def plan(self, ledger: Ledger) -> int:
        settings = {**self.fingerprint(), "seq_len": self.recipe.seq_len}
        self.planned = Plan(str(self.file_path), self.recipe.context_size, settings)
        return plan_items(self, self.planned, self.list_items(self.planned), ledger, "no paper that can be asked")

    def estimate(self, paper: Paper) -> Cost:
        try:
            first_round = next(self.ask(paper))
        except StopIteration:  # nothing in it to ask about
            return Cost(status="nothing to ask")
        except InputError as error:
            return Cost(status=f"does not fit: {error}")
        except EngineError:
            raise
        except Exception as error:  # a fault of ours: the run meets it again, and records it for this paper alone
            return Cost(status=f"internal error: {type(error).__name__}: {error}")
        texts = [self.engine.format(request.prompt) for request in first_round.requests]
        counts = self.engine.count_tokens([paper.txt, *texts])
        rooms = [request.sampling.max_new_tokens for request in first_round.requests]
        return Cost(
            paper_tokens=counts[0],
            calls=len(texts),
            prompt_tokens=sum(counts[1:]),
            fresh_tokens=_fresh_tokens(texts, counts[1:]) if self.engine.reuses_prefix else sum(counts[1:]),
            new_tokens=int(EXPECTED_FILL * sum(rooms)),
            room=max(rooms),
            cut_characters=first_round.cut_characters,
            is_cut=bool(first_round.cut_characters),
        )

    def ask(self, paper: Paper) -> Asking:
        return STRATEGIES[self.recipe.strategy](paper, self.recipe, self.engine)

    def digest(self, paper: Paper) -> str:
        return text_digest(paper.txt)

    def describe(self, paper: Paper) -> dict[str, Any]:
        prompt = self.recipe.prompt
        return {
            "digest": self.digest(paper),
            "asked": self.recipe.n_qa,
            "paper": paper_record(paper),
            "prompt": f"{prompt.name} v{prompt.version}",
            "seed": self.recipe.seed,
        }

    def finish(self, paper: Paper, outcome: Outcome) -> dict[str, Any]:
        found, missing = len(outcome.pairs), len(outcome.missing)
        if found + missing != self.recipe.n_qa:
            raise AssertionError(f"{found} pairs and {missing} missing of {self.recipe.n_qa} asked")
        return {
            "status": "done" if found else "failed",
            "reason": "" if found else "no_pairs",
            "message": "",
            "delivered": found,
            **asdict(outcome),
        }

    def write(self, ledger: Ledger, stopped: str) -> dict[str, Any]:
        return write_outputs(ledger, self.planned, self.output_dir, stopped)


def text_digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _fresh_tokens(texts: list[str], counts: list[int]) -> float:
    """Tokens of each prompt after what it has in common with the one before it."""
    fresh, before = 0.0, ""
    for text, count in zip(texts, counts):
        fresh += count * (1 - len(os.path.commonprefix([before, text])) / max(1, len(text)))
        before = text
    return fresh
