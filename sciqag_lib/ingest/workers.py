"""Tasks spread over processes, their results in order: how notebook 01 uses all cores.

with Workers(4) as workers:
    for path, items in workers.map(read_file, paths, on_death, name=str):  # read_file(path) in one of four processes
        ...

Each worker is a Python of its own that answers one pickled task at a time: unlike a forked or spawned child it
neither inherits the threads of a notebook's kernel nor imports the caller's script again. A worker that dies (killed,
out of memory, a crash in a C library) costs its task one more try in a new one. A task that a second worker dies of
goes to `on_death`, and the others go on.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from sciqag_lib.paths import REPO_ROOT

Task, Result = TypeVar("Task"), TypeVar("Result")
NUM_TRIES = 2
_COMMAND = [sys.executable, "-c", "from sciqag_lib.ingest.workers import answer_tasks; answer_tasks()"]


class WorkerDied(Exception):
    """A worker ended in the middle of a task; the message says how: "signal SIGKILL"."""


class Workers:
    """`number` processes, each started with its first task; 1 works in this process. Close it, or use `with`."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.deaths: list[str] = []  # "a.xml: signal SIGKILL", one entry per worker that died
        self._threads = ThreadPoolExecutor(number) if number > 1 else None  # one waits for each process
        self._own, self._lock = threading.local(), threading.Lock()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._is_closed = False

    def map(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        on_death: Callable[[Task, WorkerDied], Result],
        name: Callable[[Task], str],
    ) -> Iterator[tuple[Task, Result]]:
        """Each task with its result, in the order of the tasks, of which no more than a few are under way at once.

        `function` is defined in a module, tasks and results can be pickled. What it raises is raised here.
        """
        if self._threads is None:
            yield from ((task, function(task)) for task in tasks)
            return
        waiting: deque[tuple[Task, Future[Result]]] = deque()
        for task in tasks:
            waiting.append((task, self._threads.submit(self._run, function, task, on_death, name(task))))
            if len(waiting) > self.number + 2:
                task, future = waiting.popleft()
                yield task, future.result()
        yield from ((task, future.result()) for task, future in waiting)

    def _run(
        self,
        function: Callable[[Task], Result],
        task: Task,
        on_death: Callable[[Task, WorkerDied], Result],
        name: str,
    ) -> Result:
        for tries_left in reversed(range(NUM_TRIES)):
            try:
                return self._ask(function, task)
            except WorkerDied as death:
                if self._is_closed:
                    raise
                self.deaths.append(f"{name}: {death}")
                if not tries_left:
                    return on_death(task, death)
        raise AssertionError("unreachable")

    def _ask(self, function: Callable[[Task], Result], task: Task) -> Result:
        process = self._find_process()
        try:
            pickle.dump((function, task), process.stdin)
            process.stdin.flush()
            failure, result = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            code = process.wait()
            raise WorkerDied(f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}") from None
        if failure is not None:
            raise failure
        return result

    def _find_process(self) -> Any:
        """This thread's process, started where there is none or it has died."""
        process = getattr(self._own, "process", None)
        if process is not None and process.poll() is None:
            return process
        path = os.pathsep.join(filter(None, [str(REPO_ROOT), os.environ.get("PYTHONPATH")]))
        with self._lock:
            if self._is_closed:
                raise WorkerDied("closed")
            process = subprocess.Popen(
                _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
            )
            self._processes.append(process)
        self._own.process = process
        return process

    def close(self) -> None:
        """End all processes, also in the middle of their tasks."""
        if self._threads is None:
            return
        with self._lock:
            self._is_closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.wait()
            with suppress(OSError):  # what a task had left to send
                process.stdin.close()
            process.stdout.close()

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def count_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def answer_tasks() -> None:
    """What a worker does, until its parent closes the pipe or dies: (failure or None, result) for each task."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who ends us
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between the replies
    while True:
        try:
            function, task = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            reply = None, function(task)
        except Exception as error:  # raised again in the parent
            reply = error, None
        replies.write(pickle.dumps(reply))
        replies.flush()
