"""What a run is about to do, and how long it will take: which items there are, what is cut, tokens and time.

A row of plan.csv:

    position,doi,characters,paper_tokens,calls,prompt_tokens,new_tokens,cut_characters,status
    0,10.1371/journal.pone.0000217,41234,9871,1,6832,650,12044,to ask
"""

import csv
import os.path
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tqdm import tqdm

from sciqag_lib.engines import Engine, Prompt, Request, Sampling, complete
from sciqag_lib.errors import InputError
from sciqag_lib.inference.ledger import Ledger
from sciqag_lib.paths import write_atomic
from sciqag_lib.tables import show_notes

COLUMNS = (
    "position",
    "doi",
    "characters",
    "paper_tokens",
    "calls",
    "prompt_tokens",
    "new_tokens",
    "cut_characters",
    "status",
)
# Replies fill about half of the room kept for them (120 tokens a pair, where the published pairs need 60 to 75).
EXPECTED_FILL = 0.5
LISTED = 20  # faults of the input
PROBE_WORDS = 80  # of each of the two requests that a forecast is made from: about a second together on a laptop
SAMPLED = 64  # requests whose tokens are counted for the forecast of many short ones


@dataclass
class Cost:
    """What asking about one item is expected to take, in tokens."""

    paper_tokens: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    fresh_tokens: float = 0.0  # prompt tokens that a prefix cache does not spare
    new_tokens: int = 0
    room: int = 0  # kept free for a reply, at most
    cut_characters: int = 0
    is_cut: bool = False
    status: str = "to ask"


@dataclass
class Plan:
    """What a run is about to do, in totals; each paper has its row in plan.csv."""

    file_path: str
    context_size: int
    context_asked: int
    tokens_exact: bool
    room: int = 0  # tokens kept free for a reply, at most
    item_ids: list[str] = field(default_factory=list)  # in the order of the file
    num_to_ask: int = 0
    num_cut: int = 0
    prompt_tokens: int = 0
    fresh_tokens: float = 0.0  # prompt tokens that a prefix cache does not spare
    new_tokens: int = 0
    seconds: float | None = None
    duplicates: list[str] = field(default_factory=list)
    bad_records: list[str] = field(default_factory=list)
    settings: dict = field(default_factory=dict)  # the run's fingerprint, and what is recorded beside it

    def add(self, cost: Cost) -> None:
        """Count an item that is to be asked about."""
        self.num_to_ask += 1
        self.room = max(self.room, cost.room)
        self.prompt_tokens += cost.prompt_tokens
        self.fresh_tokens += cost.fresh_tokens
        self.new_tokens += cost.new_tokens
        self.num_cut += cost.is_cut

    def show(self) -> None:
        """Print what is asked, left out and cut, and the forecast."""
        kind = "tokens" if self.tokens_exact else "tokens, estimated: this server does not count them"
        print(
            f"context: {self.context_size:,} tokens ({self.context_asked:,} asked for); "
            f"kept for a reply: {f'{self.room:,}' if self.room else 'nothing to ask'}; counts are in {kind}"
        )
        show_notes(self.bad_records, LISTED, "report.json", "not usable")
        show_notes(self.duplicates, LISTED, "report.json", "duplicate")
        finished = len(self.item_ids) - self.num_to_ask
        print(
            f"papers: {len(self.item_ids):,}, finished before: {finished:,}, to ask: {self.num_to_ask:,}, "
            f"cut to fit: {self.num_cut:,}, duplicates: {len(self.duplicates):,}, "
            f"not usable: {len(self.bad_records):,}"
        )
        if self.num_to_ask:
            time_needed = format_seconds(self.seconds) if self.seconds else "an unknown time"
            print(
                f"forecast: {self.prompt_tokens:,} prompt and about {self.new_tokens:,} new tokens, "
                f"about {time_needed}; pairs that are asked again come on top"
            )


def plan_items(job: Any, plan: Plan, items: Iterator[tuple[int, str, Any]], ledger: Ledger, nothing: str) -> None:
    """Fill in `plan` from the items of a job with `estimate(item) -> Cost`, write plan.csv beside the ledger, forecast
    tokens and time, and print it all.

    InputError: there is no item, `nothing` in words. FingerprintMismatch: a finished item has changed.
    """
    with write_atomic(ledger.path.parent / "plan.csv") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for position, item_id, item in tqdm(items, desc="counting tokens", unit=job.unit):
            plan.item_ids.append(item_id)
            name = job.describe(item)["paper"]["doi"]
            ledger.check_unchanged(item_id, job.digest(item), f"{name}: {job.digested}")
            finished = ledger.finished(item_id)
            cost = Cost(status=f"{ledger.status(item_id)} before") if finished else job.estimate(item)
            writer.writerow({"position": position, "doi": name, "characters": len(item.txt), **vars(cost)})
            if not finished:
                plan.add(cost)
    if not plan.item_ids:
        detail = f"; the first of {len(plan.bad_records)} faults: {plan.bad_records[0]}" if plan.bad_records else ""
        raise InputError(f"{plan.file_path}: holds {nothing}{detail}")
    if plan.num_to_ask:
        plan.seconds = forecast_seconds(plan, job.engine)
    plan.show()


def count_items(job: Any, ledger: Ledger) -> tuple[int, int]:
    """How many items a job has, and how many of them are to be asked. FingerprintMismatch: a finished one changed."""
    considered = to_ask = 0
    for _, item_id, item in job.list_items():
        ledger.check_unchanged(item_id, job.digest(item), f"{job.describe(item)['paper']['doi']}: {job.digested}")
        considered += 1
        to_ask += not ledger.finished(item_id)
    return considered, to_ask


def format_seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def forecast_seconds(plan: Plan, engine: Engine) -> float | None:
    """From the speed of two short requests about nothing: one prompt with 1 new token, one with 17. None where
    one of them fails: the run then meets the same error and reports it."""
    size = min(PROBE_WORDS, engine.context_size // 4)
    seconds = []
    for number, new_tokens in enumerate((1, 17)):
        prompt = Prompt(text=" ".join(f"{number} {word}" for word in range(size // 2)))
        started = time.perf_counter()
        [completion] = complete(engine, [Request(f"speed#{number}", prompt, Sampling(min(new_tokens, size)))])
        seconds.append(time.perf_counter() - started)
        if completion.finish_reason == "error":
            return None
        if number == 0:
            prompt_rate = max(1, completion.prompt_tokens) / max(1e-6, seconds[0])
        elif completion.new_tokens > 1:
            new_rate = (completion.new_tokens - 1) / max(1e-6, seconds[1] - seconds[0])
            return (plan.fresh_tokens / prompt_rate + plan.new_tokens / new_rate) / engine.concurrency
    return plan.fresh_tokens / prompt_rate / engine.concurrency


def show_forecast(
    engine: Engine, unit: str, considered: int, to_ask: int, prompts: Iterator[Prompt], new_tokens: int, calls: int = 1
) -> None:
    """Print what is about to be asked, in tokens and time, from the first prompts; `new_tokens` are expected of each
    reply, and `calls` of these prompts are asked about one thing."""
    print(f"{unit}: {considered:,}, finished before: {considered - to_ask:,}, to ask: {to_ask:,}")
    if not to_ask:
        return
    texts = [engine.format(prompt) for prompt in islice(prompts, SAMPLED)]
    counts = engine.count_tokens(texts)
    plan = Plan("", engine.context_size, engine.context_size, engine.tokens_exact)
    plan.prompt_tokens = int(calls * to_ask * sum(counts) / len(counts))
    plan.new_tokens = calls * to_ask * new_tokens
    shared = len(os.path.commonprefix(texts)) * len(texts) / sum(map(len, texts)) if engine.reuses_prefix else 0.0
    plan.fresh_tokens = plan.prompt_tokens * (1 - shared)
    seconds = forecast_seconds(plan, engine)
    time_needed = format_seconds(seconds) if seconds else "an unknown time"
    print(
        f"forecast: about {plan.prompt_tokens:,} prompt and {plan.new_tokens:,} new tokens, at most about "
        f"{time_needed}; from the first {len(counts)} prompts"
    )
