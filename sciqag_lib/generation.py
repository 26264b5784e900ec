"""Papers to question-answer pairs: the run. Plans it, keeps the engine busy, and puts every paper on the ledger.

    with open_engine("llama_cpp", None, 8192) as engine:
        report = generate("papers.json", "out", engine, recipe)

Of what a run needs to know while it goes on, only the papers under way are in memory.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

from tqdm import tqdm

from sciqag_lib.engines import Completion, Engine, EngineError, Request
from sciqag_lib.ledger import Ledger, LedgerError
from sciqag_lib.outputs import write_outputs
from sciqag_lib.papers import InputError, Paper, paper_record, read_records
from sciqag_lib.planning import iterate_papers, plan_run, text_digest
from sciqag_lib.prompts import digest_of
from sciqag_lib.recipe import Recipe
from sciqag_lib.strategies import STRATEGIES, Asking, Outcome

log = logging.getLogger(__name__)


@dataclass
class Budget:
    """When to stop cleanly; None is no limit."""

    max_total_tokens: Optional[int] = None  # prompt and new tokens of this run
    max_minutes: Optional[float] = None
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


@dataclass
class Task:
    """One paper under way."""

    item_id: str
    position: int  # in the input file
    paper: Paper
    asking: Asking
    recorded: dict[str, dict[str, Any]]  # calls that an earlier run got answered, by request digest
    started: float = field(default_factory=time.time)
    calls: list[dict[str, Any]] = field(default_factory=list)
    replies: list[Optional[Completion]] = field(default_factory=list)  # of the current round
    failure: tuple[str, str] = ("", "")  # reason and message, where the engine or the budget failed the paper
    outstanding: int = 0


def generate(file_path: Union[str, Path], output_dir: Union[str, Path], engine: Engine, recipe: Recipe,
             limit: Optional[int] = None, max_total_tokens: Optional[int] = None,
             max_minutes: Optional[float] = None) -> dict[str, Any]:
    """Ask every paper of `file_path` that the ledger in `output_dir` does not hold as finished; return the report.

    Writes ledger.jsonl, plan.csv, original_output.json, processed_output.json, evidence.json and report.json.
    Raises InputError where there is nothing to ask, FingerprintMismatch where the folder's results were made
    with other settings, LedgerError where the disk is full or another run is at work, and EngineError where the
    engine failed for good (no server, a refused key); in each case what was done before is kept and written out.
    """
    output_dir = Path(output_dir)
    next(read_records(file_path), None)  # a file that cannot be read leaves no folder with a ledger behind
    try:
        return _generate(file_path, output_dir, engine, recipe, limit, Budget(max_total_tokens, max_minutes))
    except OSError as error:
        raise LedgerError(f"{error.filename or output_dir}: could not be written ({error.strerror}); free some space "
                          "and run again: every finished paper is kept") from error


def _generate(file_path: Union[str, Path], output_dir: Path, engine: Engine, recipe: Recipe, limit: Optional[int],
              budget: Budget) -> dict[str, Any]:
    with Ledger(output_dir / "ledger.jsonl", recipe.fingerprint(engine)) as ledger:
        plan = plan_run(file_path, output_dir, engine, recipe, ledger, limit)
        plan.show()
        run = Run(engine, ledger, recipe, budget)
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
        raise EngineError(f"{run.fatal}; {report['papers']['done']:,} papers are done and kept; "
                          "mend the cause and run again to go on")
    return report


class Run:
    """The loop that keeps up to `engine.concurrency` requests in flight and advances papers as replies come."""

    def __init__(self, engine: Engine, ledger: Ledger, recipe: Recipe, budget: Budget):
        self.engine, self.ledger, self.recipe, self.budget = engine, ledger, recipe, budget
        self.stopped = ""  # why no more requests are sent
        self.fatal = ""  # the same, where it is the engine's failure
        self._queue: deque[tuple[Task, int, Request, str]] = deque()  # task, place in its round, request, digest
        self._in_flight: dict[str, tuple[Task, int, str, int]] = {}  # by request id; the last is reserved tokens
        self._count_tokens = budget.max_total_tokens is not None

    def go(self, papers: Iterator[tuple[int, str, Paper]], num_to_ask: int) -> None:
        papers = ((position, item_id, paper) for position, item_id, paper in papers
                  if not self.ledger.finished(item_id))
        with tqdm(total=num_to_ask, unit="paper", desc="asking") as bar:
            self._bar = bar
            while True:
                self._fill(papers)
                if not self._in_flight:
                    break
                for completion in self.engine.wait():
                    self._take(completion)
            self._abandon_queue()

    def _fill(self, papers: Iterator[tuple[int, str, Paper]]) -> None:
        while not self.stopped and len(self._in_flight) < self.engine.concurrency:
            if not self._queue:
                following = next(papers, None)
                if following is None:
                    return
                self._start(*following)
            elif not self._submit(*self._queue[0]):
                return
            else:
                self._queue.popleft()

    def _start(self, position: int, item_id: str, paper: Paper) -> None:
        earlier = self.ledger.read(item_id) or {}
        recorded = {call["request"]: call for call in earlier.get("calls", []) if not call["error"]}
        asking = STRATEGIES[self.recipe.strategy](paper, self.recipe, self.engine)
        self._advance(Task(item_id, position, paper, asking, recorded), None)

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
        completion.text = _whole_characters(completion.text)
        self.budget.reserved_tokens -= reserved
        self.budget.spent_tokens += completion.prompt_tokens + completion.new_tokens
        task.outstanding -= 1
        task.calls.append(_call_record(completion, digest))
        task.replies[place] = completion
        if completion.finish_reason == "error":
            task.failure = ("engine_error", completion.error)
            log.warning("%s: %s", task.item_id, completion.error)
            if completion.fatal:
                self.fatal = self.stopped = completion.error
        if task.failure[0]:
            self._queue = deque(entry for entry in self._queue if entry[0] is not task)
            if not task.outstanding:
                self._record_unfinished(task)
        elif all(task.replies):
            self._advance(task, task.replies)

    def _advance(self, task: Task, replies: Optional[list[Completion]]) -> None:
        """Send replies to the paper's strategy until it waits for the engine or is done."""
        while True:
            try:
                asked = next(task.asking) if replies is None else task.asking.send(replies)
                replies = task.replies = self._enqueue(task, asked.requests)
            except StopIteration as end:
                self._record(task, _finished_record(self.recipe, end.value))
                return
            except InputError as error:  # its prompt does not fit
                self._record(task, {"status": "failed", "reason": "prompt_too_long", "message": str(error)})
                return
            except EngineError as error:  # a server that counts tokens and is gone
                task.failure = ("engine_error", str(error))
                if getattr(error, "fatal", False):
                    self.fatal = self.stopped = str(error)
                self._queue = deque(entry for entry in self._queue if entry[0] is not task)
                self._record_unfinished(task)
                return
            except Exception as error:
                # One paper that trips a fault of ours must not take the others with it; it is asked again.
                log.exception("%s: this paper could not be processed", task.item_id)
                task.failure = ("internal_error", f"{type(error).__name__}: {error}")
                self._record_unfinished(task)
                return
            if not all(replies):
                return

    def _enqueue(self, task: Task, requests: list[Request]) -> list[Optional[Completion]]:
        """Queue what is not yet answered; what an earlier run already paid for is taken from the ledger."""
        replies: list[Optional[Completion]] = []
        for place, request in enumerate(requests):
            digest = digest_of([self.engine.format(request.prompt), asdict(request.sampling)])
            call = task.recorded.get(digest)
            replies.append(_recorded_completion(request.id, call) if call else None)
            if call:
                task.calls.append(call)
            else:
                self._queue.append((task, place, request, digest))
        return replies

    def _record(self, task: Task, result: dict[str, Any]) -> None:
        record = {
            "id": task.item_id, "position": task.position, **result, "digest": text_digest(task.paper.txt),
            "asked": self.recipe.n_qa, "paper": paper_record(task.paper),
            "prompt_tokens": sum(call["prompt_tokens"] for call in task.calls),
            "new_tokens": sum(call["new_tokens"] for call in task.calls),
            # Of calls that an earlier run paid for: their time is on that run's line.
            "reused_tokens": sum(call["prompt_tokens"] + call["new_tokens"] for call in task.calls
                                 if call["request"] in task.recorded),
            "started": round(task.started, 3), "ended": round(time.time(), 3),
            "engine": self.engine.name, "model": self.engine.model_id,
            "prompt": f"{self.recipe.prompt.name} v{self.recipe.prompt.version}", "seed": self.recipe.seed,
            "calls": task.calls,
        }
        self.ledger.append(record)
        if result["status"] != "unfinished":
            self._bar.update()

    def _record_unfinished(self, task: Task) -> None:
        reason, message = task.failure
        self._record(task, {"status": "unfinished", "reason": reason, "message": message})

    def _abandon_queue(self) -> None:
        """Papers that were under way when the run stopped keep their answered calls on the ledger."""
        for task in {id(entry[0]): entry[0] for entry in self._queue}.values():
            task.failure = ("engine_error" if self.fatal else "budget", self.stopped)
            self._record_unfinished(task)
        self._queue.clear()


def _whole_characters(text: str) -> str:
    """`text` without half surrogate pairs, which some servers' JSON holds and no UTF-8 file can store."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _call_record(completion: Completion, digest: str) -> dict[str, Any]:
    return {"request": digest, "raw": completion.text, "finish_reason": completion.finish_reason,
            "prompt_tokens": completion.prompt_tokens, "new_tokens": completion.new_tokens,
            "seconds": round(completion.seconds, 3), "error": completion.error}


def _recorded_completion(request_id: str, call: dict[str, Any]) -> Completion:
    return Completion(request_id, call["raw"], call["finish_reason"], call["prompt_tokens"], call["new_tokens"],
                      call["seconds"])


def _finished_record(recipe: Recipe, outcome: Outcome) -> dict[str, Any]:
    """The part of a ledger line that a strategy's outcome decides."""
    if len(outcome.pairs) + len(outcome.missing) != recipe.n_qa:
        raise AssertionError(f"{len(outcome.pairs)} pairs and {len(outcome.missing)} missing of {recipe.n_qa} asked")
    status = "done" if outcome.pairs else "failed"
    return {
        "status": status, "reason": "" if outcome.pairs else "no_pairs", "message": "",
        "delivered": len(outcome.pairs), "missing": outcome.missing, "rejected": outcome.rejected,
        "keywords": outcome.keywords, "input": outcome.input, "output": outcome.output,
        "cut_characters": outcome.cut_characters, "pairs": [asdict(pair) for pair in outcome.pairs],
    }
