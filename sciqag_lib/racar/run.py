"""The judge at work: every paper's pairs and null baselines scored, on a ledger, and the files that come of it.

    with open_engine("llama_cpp", None, 8192) as judge:
        report = score_file("processed_output.json", "out", judge, make_judging())
    show_racar(report)

One of the scores on a ledger line, pairs and repeats from 0:

    {"arm": "own", "dimension": "accuracy", "repeat": 0, "pair": 4, "score": 2, "reasons": "The unit is wrong.",
     "missing": "", "judged_on": "paper", "attempts": 1}
"""

import csv
import logging
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sciqag_lib.engines import Completion, Engine, EngineError, Request, Sampling
from sciqag_lib.errors import InputError
from sciqag_lib.inference.forecast import COLUMNS, EXPECTED_FILL, SHOWN_ROWS, Plan, forecast_seconds
from sciqag_lib.inference.ledger import FingerprintMismatch, Ledger, name_full_disk
from sciqag_lib.inference.loop import Asking, Budget, Round, Run
from sciqag_lib.inference.seeds import derive_seed
from sciqag_lib.paths import write_atomic
from sciqag_lib.racar.calls import NULLS, Call, CallPlanner, Item, list_items
from sciqag_lib.racar.judging import Judging, Reading, read_scores, reply_room
from sciqag_lib.racar.report import RacarReport, write_results
from sciqag_lib.records.papers import read_records

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3  # the first time, and twice for scores that could not be read
HINTS = {"cut_off": " (a model that thinks before it answers needs thinking_tokens)"}
RETRY_TEMPERATURE = 0.3  # at the least: a greedy judge would write the same again

Readings = dict[tuple[int, int], tuple[dict[str, Reading], int]]  # by call and pair: what was read, attempts
Outcome = tuple[list[Call], Readings]


class RacarJob:
    """What to ask about a paper, and what its ledger line holds; see asking.Job."""

    unit = "paper"

    def __init__(self, engine: Engine, judging: Judging) -> None:
        self.engine, self.judging = engine, judging

    def ask(self, item: Item) -> Asking:
        planner = CallPlanner(item, self.judging, self.engine)
        calls = planner.plan()
        readings: Readings = {}
        open_places = {number: list(call.places) for number, call in enumerate(calls) if not call.problem}
        for attempt in range(MAX_ATTEMPTS):
            for numbers in self._order_calls(list(open_places), attempt):
                completions = yield Round(
                    [self._request(planner, calls[number], number, open_places[number], attempt) for number in numbers]
                )
                for number, completion in zip(numbers, completions):
                    open_places[number] = self._read(calls[number], number, open_places[number], completion, readings)
            open_places = {number: places for number, places in open_places.items() if places}
            if not open_places:
                break
        return calls, readings

    def _order_calls(self, numbers: list[int], attempt: int) -> list[list[int]]:
        """Calls that may be under way at once. An engine that reuses prefixes finds them among those it is given; a
        server can only do so once the first of them has been read."""
        if self.engine.reuses_prefix or attempt or len(numbers) < 2:
            return [numbers]
        return [numbers[:1], numbers[1:]]

    def _request(self, planner: CallPlanner, call: Call, number: int, places: list[int], attempt: int) -> Request:
        temperature = max(self.judging.temperature, RETRY_TEMPERATURE) if attempt else self.judging.temperature
        seed = derive_seed(
            self.judging.seed, planner.item.item_id, call.arm, *call.dimensions, call.repeat, call.places[0], attempt
        )
        room = reply_room(call.dimensions, len(places), self.judging.thinking_tokens)
        return Request(
            f"{planner.item.item_id}#{number}.{attempt}",
            planner.write_prompt(call, places, attempt > 0),
            Sampling(room, temperature, 1.0, seed),
        )

    def _read(
        self, call: Call, number: int, places: list[int], completion: Completion, readings: Readings
    ) -> list[int]:
        """Note what a reply says; the pairs of which a score is still missing."""
        entries = read_scores(completion, call.dimensions, len(places), self.judging.top)
        still_open = []
        for place, entry in zip(places, entries):
            before, attempts = readings.get((number, place), ({}, 0))
            entry = {
                name: before[name] if name in before and not before[name].missing else entry[name] for name in call.kept
            }
            readings[number, place] = entry, attempts + 1
            if any(reading.missing for reading in entry.values()):
                still_open.append(place)
        return still_open

    def describe(self, item: Item) -> dict[str, Any]:
        prompt = self.judging.prompt
        return {
            "paper": {"doi": item.name},
            "digest": item.digest(),
            "asked": count_scores(item, self.judging),
            "scale": self.judging.scale,
            "prompt": f"{prompt.name} v{prompt.version}",
            "seed": self.judging.seed,
        }

    def finish(self, item: Item, outcome: Outcome) -> dict[str, Any]:
        scores = list_scores(*outcome)
        if len(scores) != count_scores(item, self.judging):
            raise AssertionError(f"{len(scores)} scores of {count_scores(item, self.judging)}")
        missing = [score["missing"] for score in scores if score["missing"]]
        done = len(missing) < len(scores)
        first = "" if done else missing[0] + HINTS.get(missing[0], "")
        return {
            "status": "done" if done else "failed",
            "reason": "" if done else "no_readable_score",
            "message": "" if done else f"no score could be read; the first reason: {first}",
            "delivered": len(scores) - len(missing),
            "missing": missing,
            "scores": scores,
        }


def list_scores(calls: list[Call], readings: Readings) -> list[dict[str, Any]]:
    """Every score that was asked for, with its reason or with why it is missing."""
    scores = []
    for number, call in enumerate(calls):
        unasked = {name: Reading(None, "", call.problem) for name in call.kept}, 0
        for place in call.places:
            entry, attempts = readings.get((number, place), unasked)
            scores += [
                {
                    "arm": call.arm,
                    "dimension": name,
                    "repeat": call.repeat,
                    "pair": place,
                    "score": reading.score,
                    "reasons": reading.reasons,
                    "missing": reading.missing,
                    "judged_on": call.judged_on,
                    "attempts": attempts,
                }
                for name, reading in entry.items()
            ]
    return scores


def count_scores(item: Item, judging: Judging) -> int:
    """How many scores an item has, found or missing."""
    total = 0
    for arm, pairs in item.arms().items():
        for name in judging.dimensions:
            applies = (arm == "own" or name in NULLS[arm]) and (item.txt or name == "agnosticism")
            total += len(pairs) * (judging.repeats if arm == "own" else 1) * bool(applies)
    return total


def score_file(
    file_path: str | Path,
    output_dir: str | Path,
    engine: Engine,
    judging: Judging,
    limit: int | None = None,
    max_total_tokens: int | None = None,
    max_minutes: float | None = None,
) -> RacarReport:
    """Have `engine` score every pair of `file_path`, a processed output or a list of {"Q", "A"}; go on where an
    earlier run on `output_dir` stopped.

    Writes ledger.jsonl, plan.csv, scores (.parquet and .csv), scored_output.json and racar.json. A score that cannot
    be read in three attempts is missing, with its reason. Raises InputError where there is nothing to judge,
    FingerprintMismatch where the folder's scores were made with other settings or from other texts, LedgerError where
    the disk is full or another run is at work, EngineError where the engine failed for good; what was judged before
    is kept and written out.
    """
    output_dir = Path(output_dir)
    next(read_records(file_path), None)  # a file that cannot be read leaves no folder with a ledger behind
    with name_full_disk(output_dir):
        return _score_file(file_path, output_dir, engine, judging, limit, Budget(max_total_tokens, max_minutes))


def _score_file(
    file_path: str | Path, output_dir: Path, engine: Engine, judging: Judging, limit: int | None, budget: Budget
) -> RacarReport:
    with Ledger(output_dir / "ledger.jsonl", judging.fingerprint(engine)) as ledger:
        plan = plan_judging(file_path, output_dir, engine, judging, ledger, limit)
        plan.show()
        run = Run(engine, ledger, RacarJob(engine, judging), budget)

        def write() -> RacarReport:
            items = list_items(file_path, judging, [], limit)
            return write_results(file_path, items, ledger, output_dir, engine, judging, plan, run.stopped)

        try:
            run.go(list_items(file_path, judging, [], limit), plan.num_to_ask)
        except BaseException:
            try:
                write()
            except OSError as error:  # the same full disk, most likely: what failed first is what counts
                log.error("%s: the files could not be brought up to date: %s", output_dir, error)
            raise
        report = write()
    if run.fatal:
        raise EngineError(
            f"{run.fatal}; {report.papers['done']:,} papers are judged and kept; mend the cause and run again to go on"
        )
    return report


# Before anything is asked --------------------------------------------------------------------------------------------


def plan_judging(
    file_path: str | Path, output_dir: Path, engine: Engine, judging: Judging, ledger: Ledger, limit: int | None = None
) -> Plan:
    """Count every item's calls and tokens, write plan.csv, and forecast tokens and time. InputError where nothing can
    be judged, FingerprintMismatch where a judged paper's text or pairs changed."""
    plan = Plan(str(file_path), engine.context_size, engine.context_size, engine.tokens_exact)
    plan.settings = judging.fingerprint(engine)
    with write_atomic(output_dir / "plan.csv") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        items = list_items(file_path, judging, plan.bad_records, limit)
        for position, item_id, item in tqdm(items, desc="counting tokens", unit="paper"):
            writer.writerow(_plan_item(plan, position, item_id, item, engine, judging, ledger))
    if not plan.item_ids:
        detail = f"; the first of {len(plan.bad_records)} notes: {plan.bad_records[0]}" if plan.bad_records else ""
        raise InputError(f"{file_path}: holds no question-answer pair that can be judged{detail}")
    if plan.num_to_ask:
        plan.seconds = forecast_seconds(plan, engine)
    return plan


def _plan_item(
    plan: Plan, position: int, item_id: str, item: Item, engine: Engine, judging: Judging, ledger: Ledger
) -> dict[str, Any]:
    plan.item_ids.append(item_id)
    row = dict.fromkeys(COLUMNS, 0) | {"position": position, "doi": item.name, "characters": len(item.txt)}
    earlier = ledger.read(item_id)
    if earlier and earlier["digest"] != item.digest():
        raise FingerprintMismatch(
            f"{ledger.path}: the text or the pairs of {item.name}, or of the paper before it, "
            "are not those its scores were made from; use another output_dir"
        )
    if ledger.finished(item_id):
        return row | {"status": f"{ledger.status(item_id)} before"}
    plan.num_to_ask += 1
    planner = CallPlanner(item, judging, engine)
    calls = [call for call in planner.plan() if not call.problem]
    rooms = [reply_room(call.dimensions, len(call.places), judging.thinking_tokens) for call in calls]
    prompt_tokens, fresh_tokens = _count_prompts(planner, calls, engine)
    excerpts = [len(call.block) for call in calls if call.judged_on == "excerpt"]
    row |= {
        "paper_tokens": planner.paper_tokens if item.txt else 0,
        "calls": len(calls),
        "prompt_tokens": prompt_tokens,
        "new_tokens": int(EXPECTED_FILL * sum(rooms)),
        "cut_characters": max(0, len(item.txt) - max(excerpts)) if excerpts else 0,
        "status": "to ask" if calls else "nothing fits",
    }
    plan.room = max(plan.room, *rooms, 0)
    plan.prompt_tokens += prompt_tokens
    plan.fresh_tokens += fresh_tokens if engine.reuses_prefix else prompt_tokens
    plan.new_tokens += row["new_tokens"]
    plan.num_cut += bool(excerpts)
    if len(plan.shown) < SHOWN_ROWS or excerpts and len(plan.shown) < 5 * SHOWN_ROWS:
        plan.shown.append(row)
    return row


def _count_prompts(planner: CallPlanner, calls: list[Call], engine: Engine) -> tuple[int, int]:
    """Tokens of all prompts, and of what is new in each after the one before it. A paper is counted once."""
    blocks = {block: planner.count_beginning(block) for block in {call.block for call in calls}}
    tasks = engine.count_tokens([planner.write_task(call, list(call.places)) for call in calls]) if calls else []
    every = sum(blocks[call.block] for call in calls) + sum(tasks)
    changed = [call for call, before in zip(calls, [None, *calls]) if not before or before.block != call.block]
    return every, sum(blocks[call.block] for call in changed) + sum(tasks)
