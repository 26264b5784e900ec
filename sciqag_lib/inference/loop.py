"""Any job on a ledger: an engine is asked about many items, and each is on the ledger before the next counts as done.

A job says which items there are, what to ask about one, what its ledger line holds, and what is rebuilt from the ledger
at the end. Its `ask` is a generator: it yields Rounds of requests, is sent the list of their Completions, and returns
its outcome; it never waits and never writes, so many items can be under way at once:

    asking = job.ask(item)
    requests = next(asking).requests          # [Request(...)]
    requests = asking.send(replies).requests  # the next round, or StopIteration with the outcome

Of what a run needs to know in order to resume, only the items under way are in memory.
"""

import logging
import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from sciqag_lib.engines import Completion, Engine, EngineError, Request
from sciqag_lib.errors import InputError
from sciqag_lib.inference.ledger import Ledger, name_full_disk
from sciqag_lib.inference.replies import replace_surrogates
from sciqag_lib.inference.seeds import digest_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Round:
    requests: list[Request]
    cut_characters: int = 0  # how much of the paper's text did not fit into these prompts


Asking = Generator[Round, list[Completion], Any]


class Job(Protocol):
    unit: str  # what an item is called: "paper"
    digested: str  # what of an item must not change once it is on the ledger: "its text"
    engine: Engine

    def fingerprint(self) -> dict[str, Any]:
        """Whatever changes an item's result, and nothing else: a flat dict of JSON values."""

    def list_items(self) -> Iterator[tuple[int, str, Any]]:
        """(position in the file, id, item) of each, streamed anew at every call."""

    def plan(self, ledger: Ledger) -> int:
        """Show what is about to be asked; how many items that is. FingerprintMismatch: a finished one has changed."""

    def ask(self, item: Any) -> Asking:
        """Raises InputError where the item's own prompt does not fit: it is then failed for good."""

    def finish(self, item: Any, outcome: Any) -> dict[str, Any]:
        """The part of a ledger line that the outcome decides; `status` is "done" or "failed"."""

    def describe(self, item: Any) -> dict[str, Any]:
        """What every line of the item holds, finished or not."""

    def digest(self, item: Any) -> str:
        """Of what the item's result is made from, as `describe` puts it on the line; "" where it may change."""

    def write(self, ledger: Ledger, stopped: str) -> Any:
        """Rebuild the job's files from the ledger and return its report; `stopped` says why the run ended early."""


@dataclass
class Budget:
    """When to stop cleanly; None is no limit."""

    max_total_tokens: int | None = None  # prompt and new tokens of this run
    max_minutes: float | None = None
    spent_tokens: int = 0
    reserved_tokens: int = 0  # of the requests in flight
    started: float = field(default_factory=time.monotonic)

    def refuses(self, tokens: int) -> str:
        """Why a request of at most `tokens` tokens must not be sent, or ""."""
        total = self.spent_tokens + self.reserved_tokens + tokens
        if self.max_total_tokens is not None and total > self.max_total_tokens:
            return f"max_total_tokens {self.max_total_tokens:,} would be passed"
        if self.max_minutes is not None and time.monotonic() - self.started > 60 * self.max_minutes:
            return f"max_minutes {self.max_minutes:g} are over"
        return ""


def run_job(job: Job, ledger_path: Path, budget: Budget) -> Any:
    """Ask about every item that the ledger does not hold as finished, and return the job's report.

    Raises FingerprintMismatch where the ledger was made with other settings, LedgerError where the disk is full or
    another run is at work, and EngineError where the engine failed for good (no server, a refused key); in each case
    what was finished before is kept, and the files are brought up to date.
    """
    with name_full_disk(ledger_path.parent), Ledger(ledger_path, job.fingerprint()) as ledger:
        num_to_ask = job.plan(ledger)
        run = Run(ledger, job, budget)
        try:
            if num_to_ask:  # else the engine need not even be open
                run.go(job.list_items(), num_to_ask)
        except BaseException:
            try:
                job.write(ledger, run.stopped)
            except OSError as error:  # the same full disk, most likely: what failed first is what counts
                log.error("%s: the files could not be brought up to date: %s", ledger_path.parent, error)
            raise
        report = job.write(ledger, run.stopped)
        num_done = sum(ledger.status(item_id) == "done" for item_id in ledger.ids())
    if run.fatal:
        raise EngineError(
            f"{run.fatal}; kept: {num_done:,} finished {job.unit}{'s' * (num_done != 1)}; "
            "fix the cause, then rerun to resume"
        )
    return report


def show_stopped(stopped: str) -> None:
    """Say why a run ended early, if it did."""
    if stopped:
        print(f"stopped: {stopped}. Rerun with the same output_dir to resume")


@dataclass
class Task:
    """One item under way."""

    item_id: str
    position: int  # in the input file
    item: Any
    asking: Asking
    recorded: dict[str, dict[str, Any]]  # calls that an earlier run got answered, by request digest
    started: float = field(default_factory=time.time)
    calls: list[dict[str, Any]] = field(default_factory=list)
    replies: list[Completion | None] = field(default_factory=list)  # of the current round
    failure: tuple[str, str] = ("", "")  # reason and message, where the engine or the budget failed the item
    outstanding: int = 0


class Run:
    """Keeps up to `engine.concurrency` requests in flight and advances items as replies come."""

    def __init__(self, ledger: Ledger, job: Job, budget: Budget):
        self.ledger, self.job, self.budget = ledger, job, budget
        self.stopped = ""  # why no more requests are sent
        self.fatal = ""  # the same, where it is the engine's failure
        self._queue: deque[tuple[Task, int, Request, str]] = deque()  # task, place in its round, request, digest
        self._in_flight: dict[str, tuple[Task, int, str, int]] = {}  # by request id; the last is reserved tokens
        self._count_tokens = budget.max_total_tokens is not None

    def go(self, items: Iterator[tuple[int, str, Any]], num_to_ask: int) -> None:
        """Ask every one of (position in the file, id, item) that the ledger does not hold as finished."""
        self.engine = self.job.engine
        items = ((position, item_id, item) for position, item_id, item in items if not self.ledger.finished(item_id))
        with tqdm(total=num_to_ask, unit=self.job.unit, desc="asking") as bar:
            self._bar = bar
            while True:
                self._fill(items)
                if not self._in_flight:
                    break
                for completion in self.engine.wait():
                    self._take(completion)
            # Items that were under way when the run stopped keep their answered calls on the ledger.
            for task in {id(entry[0]): entry[0] for entry in self._queue}.values():
                self._fail(task, "engine_error" if self.fatal else "budget", self.stopped)

    def _fill(self, items: Iterator[tuple[int, str, Any]]) -> None:
        while not self.stopped and len(self._in_flight) < self.engine.concurrency:
            if not self._queue:
                following = next(items, None)
                if following is None:
                    return
                self._start(*following)
            elif not self._submit(*self._queue[0]):
                return
            else:
                self._queue.popleft()

    def _start(self, position: int, item_id: str, item: Any) -> None:
        earlier = self.ledger.read(item_id) or {}
        recorded = {call["request"]: call for call in earlier.get("calls", []) if not call["error"]}
        self._advance(Task(item_id, position, item, self.job.ask(item), recorded), None)

    def _submit(self, task: Task, place: int, request: Request, digest: str) -> bool:
        tokens = 0
        if self._count_tokens:
            tokens = self.engine.count_tokens([self.engine.format(request.prompt)])[0] + request.sampling.max_new_tokens
        self.stopped = self.budget.refuses(tokens)
        if self.stopped:
            return False
        self.budget.reserved_tokens += tokens
        self._in_flight[request.id] = (task, place, digest, tokens)
        task.outstanding += 1
        self.engine.submit(request)
        return True

    def _take(self, completion: Completion) -> None:
        task, place, digest, reserved = self._in_flight.pop(completion.id)
        completion.text = replace_surrogates(completion.text)
        self.budget.reserved_tokens -= reserved
        self.budget.spent_tokens += completion.prompt_tokens + completion.new_tokens
        task.outstanding -= 1
        task.calls.append(_call_record(completion, digest))
        task.replies[place] = completion
        if completion.finish_reason == "error":
            log.warning("%s: %s", task.item_id, completion.error)
            self._fail(task, "engine_error", completion.error, completion.fatal)
        elif task.failure[0]:
            self._fail(task, *task.failure)
        elif all(task.replies):
            self._advance(task, task.replies)

    def _advance(self, task: Task, replies: list[Completion] | None) -> None:
        """Send replies to the item's asking until it waits for the engine or is done."""
        while True:
            try:
                asked = next(task.asking) if replies is None else task.asking.send(replies)
                replies = task.replies = self._enqueue(task, asked.requests)
            except StopIteration as end:
                self._record(task, self.job.finish(task.item, end.value))
                return
            except InputError as error:  # its prompt does not fit
                self._record(task, {"status": "failed", "reason": "prompt_too_long", "message": str(error)})
                return
            except EngineError as error:  # a server that counts tokens and is gone
                self._fail(task, "engine_error", str(error), getattr(error, "fatal", False))
                return
            except Exception as error:
                # One item that trips a fault of ours must not take the others with it; it is asked again.
                log.exception("%s: this item could not be processed", task.item_id)
                self._fail(task, "internal_error", f"{type(error).__name__}: {error}")
                return
            if not all(replies):
                return

    def _enqueue(self, task: Task, requests: list[Request]) -> list[Completion | None]:
        """Queue what is not yet answered; what an earlier run already paid for is taken from the ledger."""
        replies: list[Completion | None] = []
        for place, request in enumerate(requests):
            digest = digest_of([self.engine.format(request.prompt), asdict(request.sampling)])
            if call := task.recorded.get(digest):
                task.calls.append(call)
                known = (call[name] for name in ("raw", "finish_reason", "prompt_tokens", "new_tokens", "seconds"))
                replies.append(Completion(request.id, *known))
            else:
                replies.append(None)
                self._queue.append((task, place, request, digest))
        return replies

    def _record(self, task: Task, result: dict[str, Any]) -> None:
        record = {
            "id": task.item_id,
            "position": task.position,
            **result,
            **self.job.describe(task.item),
            "prompt_tokens": sum(call["prompt_tokens"] for call in task.calls),
            "new_tokens": sum(call["new_tokens"] for call in task.calls),
            # Of calls that an earlier run paid for: their time is on that run's line.
            "reused_tokens": sum(
                call["prompt_tokens"] + call["new_tokens"] for call in task.calls if call["request"] in task.recorded
            ),
            "started": round(task.started, 3),
            "ended": round(time.time(), 3),
            "engine": self.engine.name,
            "model": self.engine.model_id,
            "calls": task.calls,
        }
        self.ledger.append(record)
        if result["status"] != "unfinished":
            self._bar.update()

    def _fail(self, task: Task, reason: str, message: str, fatal: bool = False) -> None:
        """Ask no more about an item, and record it as unfinished once all that is under way has come back."""
        task.failure = (reason, message)
        if fatal:
            self.fatal = self.stopped = message
        self._queue = deque(entry for entry in self._queue if entry[0] is not task)
        if not task.outstanding:
            self._record(task, {"status": "unfinished", "reason": reason, "message": message})


def _call_record(completion: Completion, digest: str) -> dict[str, Any]:
    return {
        "request": digest,
        "raw": completion.text,
        "finish_reason": completion.finish_reason,
        "prompt_tokens": completion.prompt_tokens,
        "cached_tokens": completion.cached_tokens,
        "new_tokens": completion.new_tokens,
        "seconds": round(completion.seconds, 3),
        "error": completion.error,
    }
