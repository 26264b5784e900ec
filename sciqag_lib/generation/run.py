"""Papers to question-answer pairs: the run. Plans it, keeps the engine busy, and puts every paper on the ledger.

with open_engine("llama_cpp", None, 8192) as engine:
    report = generate("papers.json", "out", engine, recipe)
"""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sciqag_lib.engines import Engine, EngineError
from sciqag_lib.generation.outputs import write_outputs
from sciqag_lib.generation.planning import iterate_papers, plan_run, text_digest
from sciqag_lib.generation.recipe import Recipe
from sciqag_lib.generation.strategies import STRATEGIES, Outcome
from sciqag_lib.inference.ledger import Ledger, name_full_disk
from sciqag_lib.inference.loop import Asking, Budget, Run
from sciqag_lib.records.papers import Paper, paper_record, read_records

log = logging.getLogger(__name__)


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
    Raises InputError where there is nothing to ask, FingerprintMismatch where the folder's results were made
    with other settings, LedgerError where the disk is full or another run is at work, and EngineError where the
    engine failed for good (no server, a refused key); in each case what was done before is kept and written out.
    """
    output_dir = Path(output_dir)
    next(read_records(file_path), None)  # a file that cannot be read leaves no folder with a ledger behind
    with name_full_disk(output_dir):
        return _generate(file_path, output_dir, engine, recipe, limit, Budget(max_total_tokens, max_minutes))


def _generate(
    file_path: str | Path, output_dir: Path, engine: Engine, recipe: Recipe, limit: int | None, budget: Budget
) -> dict[str, Any]:
    with Ledger(output_dir / "ledger.jsonl", recipe.fingerprint(engine)) as ledger:
        plan = plan_run(file_path, output_dir, engine, recipe, ledger, limit)
        plan.show()
        run = Run(engine, ledger, GenerationJob(engine, recipe), budget)
        try:
            run.go(iterate_papers(file_path, limit), plan.num_to_ask)
        except BaseException:
            try:
                write_outputs(ledger, plan, output_dir)
            except OSError as error:  # the same full disk, most likely: what failed first is what counts
                log.error("%s: the files could not be brought up to date: %s", output_dir, error)
            raise
        report = write_outputs(ledger, plan, output_dir, run.stopped)
    if run.fatal:
        raise EngineError(
            f"{run.fatal}; {report['papers']['done']:,} papers are done and kept; mend the cause and run again to go on"
        )
    return report


class GenerationJob:
    """What to ask of a paper, and what its ledger line holds."""

    unit = "paper"

    def __init__(self, engine: Engine, recipe: Recipe) -> None:
        self.engine, self.recipe = engine, recipe

    def ask(self, paper: Paper) -> Asking:
        return STRATEGIES[self.recipe.strategy](paper, self.recipe, self.engine)

    def describe(self, paper: Paper) -> dict[str, Any]:
        prompt = self.recipe.prompt
        return {
            "digest": text_digest(paper.txt),
            "asked": self.recipe.n_qa,
            "paper": paper_record(paper),
            "prompt": f"{prompt.name} v{prompt.version}",
            "seed": self.recipe.seed,
        }

    def finish(self, paper: Paper, outcome: Outcome) -> dict[str, Any]:
        if len(outcome.pairs) + len(outcome.missing) != self.recipe.n_qa:
            raise AssertionError(
                f"{len(outcome.pairs)} pairs and {len(outcome.missing)} missing of {self.recipe.n_qa} asked"
            )
        status = "done" if outcome.pairs else "failed"
        return {
            "status": status,
            "reason": "" if outcome.pairs else "no_pairs",
            "message": "",
            "delivered": len(outcome.pairs),
            "missing": outcome.missing,
            "rejected": outcome.rejected,
            "keywords": outcome.keywords,
            "input": outcome.input,
            "output": outcome.output,
            "cut_characters": outcome.cut_characters,
            "pairs": [asdict(pair) for pair in outcome.pairs],
        }
