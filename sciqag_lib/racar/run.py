"""The judge at work: every paper's pairs and null baselines scored, on a ledger, and the files that come of it.

    with open_engine("llama_cpp", None, 8192) as judge:
        report = score_file("processed_output.json", "out", judge, make_judging())

One of the scores on a ledger line, pairs and repeats from 0:

    {"arm": "own", "dimension": "accuracy", "repeat": 0, "pair": 4, "score": 2, "reasons": "The unit is wrong.",
     "missing": "", "judged_on": "paper", "attempts": 1}
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciqag_lib.engines import Engine, Request
from sciqag_lib.inference.forecast import EXPECTED_FILL, Cost, Plan, plan_items
from sciqag_lib.inference.judge import Readings, ask_judge, finish_scores, list_scores
from sciqag_lib.inference.ledger import Ledger
from sciqag_lib.inference.loop import Asking, Budget, run_job
from sciqag_lib.racar.calls import CallPlanner, Item, PairCall, list_dimensions, list_items
from sciqag_lib.racar.judging import Judging
from sciqag_lib.racar.report import RacarReport, write_results
from sciqag_lib.records.papers import read_records

Outcome = tuple[list[PairCall], Readings]


def score_file(
    file_path: str | Path,
    output_dir: str | Path,
    engine: Engine,
    judging: Judging,
    limit: int | None = None,
    max_total_tokens: int | None = None,
    max_minutes: float | None = None,
) -> RacarReport:
    """Have `engine` score every pair of `file_path`, a processed output or a list of {"Q", "A"}; resumes an earlier
    run on `output_dir`.

    Writes ledger.jsonl, plan.csv, scores (.parquet and .csv), scored_output.json and racar.json. A score that cannot
    be read in three attempts is missing, with its reason. Raises InputError where there is nothing to judge, and what
    loop.run_job raises.
    """
    next(read_records(file_path), None)  # a file that cannot be read leaves no folder with a ledger behind
    job = RacarJob(file_path, Path(output_dir), engine, judging, limit)
    return run_job(job, Path(output_dir) / "ledger.jsonl", Budget(max_total_tokens, max_minutes))


@dataclass
class RacarJob:
    """A file's pairs, judged; see loop.Job."""

    unit = "paper"
    digested = "its text or pairs, or those of the paper before it,"

    file_path: str | Path
    output_dir: Path
    engine: Engine
    judging: Judging
    limit: int | None = None

    def fingerprint(self) -> dict[str, Any]:
        return self.judging.fingerprint(self.engine)

    def list_items(self) -> Iterator[tuple[int, str, Item]]:
        return list_items(self.file_path, self.judging, [], self.limit)

    def plan(self, ledger: Ledger) -> int:
        self.planned = Plan(str(self.file_path), self.engine.context_size, self.fingerprint())
        items = list_items(self.file_path, self.judging, self.planned.bad_records, self.limit)
        return plan_items(self, self.planned, items, ledger, "no question-answer pair that can be judged")

    def estimate(self, item: Item) -> Cost:
        planner = CallPlanner(item, self.judging, self.engine)
        calls = [call for call in planner.plan() if not call.problem]
        rooms = [self.judging.reply_room(call.dimensions, len(call.places)) for call in calls]
        prompt_tokens, fresh_tokens = _count_prompts(planner, calls, self.engine)
        excerpts = [len(call.block) for call in calls if call.judged_on == "excerpt"]
        return Cost(
            paper_tokens=planner.paper_tokens if item.txt else 0,
            calls=len(calls),
            prompt_tokens=prompt_tokens,
            fresh_tokens=fresh_tokens if self.engine.reuses_prefix else prompt_tokens,
            new_tokens=int(EXPECTED_FILL * sum(rooms)),
            room=max(rooms, default=0),
            cut_characters=max(0, len(item.txt) - max(excerpts)) if excerpts else 0,
            is_cut=bool(excerpts),
            status="to ask" if calls else "nothing fits",
        )

    def ask(self, item: Item) -> Asking:
        planner = CallPlanner(item, self.judging, self.engine)
        calls = planner.plan()

        def make_request(number: int, places: list[int], attempt: int) -> Request:
            call = calls[number]
            prompt = planner.write_prompt(call, places, attempt > 0)
            parts = (item.item_id, call.arm, *call.dimensions, call.repeat, call.places[0], attempt)
            name = f"{item.item_id}#{number}.{attempt}"
            return self.judging.make_request(name, prompt, call, len(places), attempt, *parts)

        readings = yield from ask_judge(self.judging, calls, make_request, first_alone=not self.engine.reuses_prefix)
        return calls, readings

    def describe(self, item: Item) -> dict[str, Any]:
        prompt = self.judging.prompt
        return {
            "paper": {"doi": item.name},
            "digest": self.digest(item),
            "asked": count_scores(item, self.judging),
            "scale": self.judging.scale,
            "prompt": f"{prompt.name} v{prompt.version}",
            "seed": self.judging.seed,
        }

    def digest(self, item: Item) -> str:
        return item.digest()

    def finish(self, item: Item, outcome: Outcome) -> dict[str, Any]:
        scores = [
            {"arm": call.arm, "repeat": call.repeat, "pair": place, **score, "judged_on": call.judged_on}
            for call, place, score in list_scores(*outcome)
        ]
        if len(scores) != count_scores(item, self.judging):
            raise AssertionError(f"{len(scores)} scores of {count_scores(item, self.judging)}")
        return finish_scores(scores)

    def write(self, ledger: Ledger, stopped: str) -> RacarReport:
        return write_results(self, ledger, self.planned, stopped)


def count_scores(item: Item, judging: Judging) -> int:
    """How many scores an item has, found or missing."""
    counts = {arm: len(pairs) * len(list_dimensions(item, arm, judging)) for arm, pairs in item.arms().items()}
    return sum(counts.values()) + counts["own"] * (judging.repeats - 1)


def _count_prompts(planner: CallPlanner, calls: list[PairCall], engine: Engine) -> tuple[int, int]:
    """Tokens of all prompts, and of what is new in each after the one before it. A paper is counted once."""
    blocks = {block: planner.count_beginning(block) for block in {call.block for call in calls}}
    tasks = engine.count_tokens([planner.write_task(call, list(call.places)) for call in calls]) if calls else []
    every = sum(blocks[call.block] for call in calls) + sum(tasks)
    changed = [call for call, before in zip(calls, [None, *calls]) if not before or before.block != call.block]
    return every, sum(blocks[call.block] for call in changed) + sum(tasks)
