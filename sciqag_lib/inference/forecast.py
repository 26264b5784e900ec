"""What a run is about to do, and how long it will take: which items there are, what is cut, tokens and time.

A row of plan.csv:

    position,doi,characters,paper_tokens,calls,prompt_tokens,new_tokens,cut_characters,status
    0,10.1371/journal.pone.0000217,41234,9871,1,6832,650,12044,to ask
"""

import csv
import os.path
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tqdm import tqdm

from sciqag_lib.engines import Engine, Prompt, Request, Sampling, complete
from sciqag_lib.errors import InputError
from sciqag_lib.inference.ledger import Ledger
from sciqag_lib.paths import write_atomic
from sciqag_lib.tables import show_notes

HEADER = "position,doi,characters,paper_tokens,calls,prompt_tokens,new_tokens,cut_characters,status"  # of plan.csv
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
    """What a run is about to do; each paper has its row in plan.csv."""

    file_path: str
    context_asked: int  # tokens; the engine's own context may be smaller
    settings: dict = field(default_factory=dict)  # the run's fingerprint, and what is recorded beside it
    item_ids: list[str] = field(default_factory=list)  # in the order of the file
    costs: list[Cost] = field(default_factory=list)  # of the items that are to be asked about
    duplicates: list[str] = field(default_factory=list)
    bad_records: list[str] = field(default_factory=list)
    seconds: float | None = None

    def total(self, name: str) -> Any:
        """The sum of one of the numbers of Cost."""
        return sum(getattr(cost, name) for cost in self.costs)

    def show(self, engine: Engine) -> None:
        """Print what is asked, left out and cut, and the forecast."""
        kind = "tokens" if engine.tokens_exact else "tokens, estimated: this server does not count them"
        room = max((cost.room for cost in self.costs), default=0)
        print(
            f"context: {engine.context_size:,} tokens ({self.context_asked:,} asked for); "
            f"kept for a reply: {f'{room:,}' if room else 'nothing to ask'}; counts are in {kind}"
        )
        show_notes(self.bad_records, LISTED, "report.json", "not usable")
        show_notes(self.duplicates, LISTED, "report.json", "duplicate")
        print(
            f"papers: {len(self.item_ids):,}, finished before: {len(self.item_ids) - len(self.costs):,}, "
            f"to ask: {len(self.costs):,}, cut to fit: {self.total('is_cut'):,}, "
            f"duplicates: {len(self.duplicates):,}, not usable: {len(self.bad_records):,}"
        )
        if self.costs:
            tokens = [self.total(name) for name in ("prompt_tokens", "fresh_tokens", "new_tokens")]
            self.seconds = show_forecast(engine, *tokens, "pairs that are asked again come on top")


def plan_items(job: Any, plan: Plan, items: Iterator[tuple[int, str, Any]], ledger: Ledger, nothing: str) -> int:
    """Fill in `plan` from the items of a job with `estimate(item) -> Cost`, write plan.csv beside the ledger, forecast
    tokens and time, and print it all; how many items are to be asked about.

    InputError: there is no item, `nothing` in words. FingerprintMismatch: a finished item has changed.
    """
    with write_atomic(ledger.path.parent / "plan.csv") as file:
        writer = csv.DictWriter(file, HEADER.split(","), lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for position, item_id, item in tqdm(items, desc="counting tokens", unit=job.unit):
            plan.item_ids.append(item_id)
            name = _check_unchanged(job, item_id, item, ledger)
            finished = ledger.finished(item_id)
            cost = Cost(status=f"{ledger.status(item_id)} before") if finished else job.estimate(item)
            writer.writerow({"position": position, "doi": name, "characters": len(item.txt), **vars(cost)})
            plan.costs += [] if finished else [cost]
    if not plan.item_ids:
        detail = f"; the first of {len(plan.bad_records)} faults: {plan.bad_records[0]}" if plan.bad_records else ""
        raise InputError(f"{plan.file_path}: holds {nothing}{detail}")
    plan.show(job.engine)
    return len(plan.costs)


def plan_prompts(
    job: Any, ledger: Ledger, unit: str, make_prompt: Callable[[Any], Prompt], new_tokens: int, calls: int = 1
) -> int:
    """Print what is about to be asked, in tokens and time, from the first prompts; how many items that is. `new_tokens`
    are expected of each reply, and `calls` prompts like that of `make_prompt` are asked about an item.

    FingerprintMismatch: a finished item has changed.
    """
    considered = to_ask = 0
    for _, item_id, item in job.list_items():
        _check_unchanged(job, item_id, item, ledger)
        considered += 1
        to_ask += not ledger.finished(item_id)
    print(f"{unit}: {considered:,}, finished before: {considered - to_ask:,}, to ask: {to_ask:,}")
    if to_ask:
        engine = job.engine
        texts = [engine.format(make_prompt(item)) for _, _, item in islice(job.list_items(), SAMPLED)]
        prompt_tokens = int(calls * to_ask * sum(engine.count_tokens(texts)) / len(texts))
        shared = len(os.path.commonprefix(texts)) * len(texts) / sum(map(len, texts)) if engine.reuses_prefix else 0.0
        fresh_tokens, new_tokens = prompt_tokens * (1 - shared), calls * to_ask * new_tokens
        show_forecast(engine, prompt_tokens, fresh_tokens, new_tokens, f"from the first {len(texts)} prompts")
    return to_ask


def _check_unchanged(job: Any, item_id: str, item: Any, ledger: Ledger) -> str:
    """What to call the item. FingerprintMismatch: it is finished and has changed."""
    name = job.describe(item)["paper"]["doi"]
    ledger.check_unchanged(item_id, job.digest(item), f"{name}: {job.digested}")
    return name


def show_forecast(
    engine: Engine, prompt_tokens: int, fresh_tokens: float, new_tokens: int, remark: str
) -> float | None:
    """Print what a run will take; the seconds, None where they are not known."""
    seconds = forecast_seconds(engine, fresh_tokens, new_tokens)
    time_needed = format_seconds(seconds) if seconds else "an unknown time"
    print(f"forecast: {prompt_tokens:,} prompt and about {new_tokens:,} new tokens, about {time_needed}; {remark}")
    return seconds


def format_seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def forecast_seconds(engine: Engine, fresh_tokens: float, new_tokens: float) -> float | None:
    """From the speed of two short requests about nothing: one prompt with 1 new token, one with 17. None where
    one of them fails: the run then meets the same error and reports it."""
    size = min(PROBE_WORDS, engine.context_size // 4)
    seconds = []
    for number, asked in enumerate((1, 17)):
        prompt = Prompt(text=" ".join(f"{number} {word}" for word in range(size // 2)))
        started = time.perf_counter()
        [completion] = complete(engine, [Request(f"speed#{number}", prompt, Sampling(min(asked, size)))])
        seconds.append(time.perf_counter() - started)
        if completion.finish_reason == "error":
            return None
        if number == 0:
            prompt_rate = max(1, completion.prompt_tokens) / max(1e-6, seconds[0])
        elif completion.new_tokens > 1:
            new_rate = (completion.new_tokens - 1) / max(1e-6, seconds[1] - seconds[0])
            return (fresh_tokens / prompt_rate + new_tokens / new_rate) / engine.concurrency
    return fresh_tokens / prompt_rate / engine.concurrency
