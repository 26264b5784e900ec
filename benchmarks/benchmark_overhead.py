"""What 07_benchmark itself costs, as a share of the engines' time: with an engine of known latency, and in memory.

    python benchmarks/benchmark_overhead.py

1. An engine that keeps 16 requests in flight and answers each after a known time, drawn around 2.0 s for an answer (120
   tokens at 60 tokens/s) and 0.8 s for a judgement (40 tokens at 50 tokens/s). The baseline is the same requests given
   to the bare engine, first all answers and then all judgements. The share is the run's wall time above it: the two
   short requests of each forecast, files and report included.
2. An engine that answers at once: seconds of our own work for 8,531 questions, the size of SciQAG's test set, all of
   them judged and 300 of them beside their baselines; as a share of what the engine of 1. would take for them, and what
   of it is waiting until each line is on the disk. The embedding model's own time is left out: vectors come from a
   stand-in.
3. Peak memory above the imported process for 1,000 and for 8,531 questions.
"""

import contextlib
import heapq
import io
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from sciqag_lib.benchmark.answers import answer_file, make_answering
from sciqag_lib.benchmark.judging import judge_answers, make_car_judging
from sciqag_lib.benchmark.report import write_benchmark
from sciqag_lib.engines import Completion, Request, complete
from tests.fakes import FakeEngine

SLOTS = 16
ANSWERING, JUDGING, AT_ONCE = (120, 60.0), (40, 50.0), (1, math.inf)  # new tokens of a reply, tokens per second
NUM_QUESTIONS, NUM_NULLS, NUM_TIMED = 8531, 300, 240
WORDS = (
    "anneal oxide lattice strain modulus yield phase grain band gap carrier field spectrum polymer matrix fibre "
    "solvent catalyst ligand electrode ion current plasma flow vortex wall shear isotope decay neutron"
).split()


class TimedEngine(FakeEngine):
    """Answers each request 0.6 to 1.4 times (new tokens / speed) after it was given it."""

    def __init__(self, reply: Callable[[Request], str], pace: tuple[int, float]) -> None:
        super().__init__(reply, concurrency=SLOTS)
        self.pace, self.num_requests = pace, 0
        self._chance = np.random.default_rng(0)
        self._due: list[tuple[float, int, Request]] = []  # a heap

    def submit(self, request: Request) -> None:
        tokens, speed = self.pace
        seconds = min(tokens, request.sampling.max_new_tokens) / speed * self._chance.uniform(0.6, 1.4)
        self.num_requests += 1
        if seconds:  # only a timed run is repeated
            self.requests.append(request)
        heapq.heappush(self._due, (time.perf_counter() + seconds, self.num_requests, request))

    def wait(self) -> list[Completion]:
        if not self._due:
            return []
        time.sleep(max(0.0, self._due[0][0] - time.perf_counter()))
        now, done = time.perf_counter(), []
        while self._due and self._due[0][0] <= now:
            done.append(self._answer(heapq.heappop(self._due)[2]))
        return done


class StandIn:
    """An embedder whose vectors cost nothing."""

    model_id = "none"

    def embed(self, texts: list[str]) -> np.ndarray:
        return np.full((len(texts), 2), 0.5**0.5, np.float32)


def write_questions(path: Path, number: int) -> Path:
    chance = np.random.default_rng(0)

    def sentence(length: int) -> str:
        return " ".join(WORDS[place] for place in chance.integers(len(WORDS), size=length))

    with path.open("w") as file:
        for place in range(number):
            file.write(
                ("[" if place == 0 else ",\n")
                + json.dumps(
                    {
                        "Q": f"How does sample {place} {sentence(10)}?",
                        "A": f"It {sentence(40)}.",
                        "category": f"C{place % 24}",
                    }
                )
            )
        file.write("]")
    return path


def run(
    folder: Path, number: int, answering: tuple[int, float], judging: tuple[int, float], nulls: int
) -> tuple[float, list[TimedEngine]]:
    """Wall time of a whole run, and its engines."""
    path = write_questions(folder / "test.json", number)
    answerer = TimedEngine(lambda request: f"It {request.id} " + " ".join(WORDS * 2)[:250], answering)
    judge = TimedEngine(lambda request: '{"scores": [{"score": 4, "reasons": "A unit is missing."}]}', judging)
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        answer_file(path, folder / "out", answerer, make_answering())
        judge_answers(folder / "out", judge, make_car_judging(), null_questions=nulls)
        write_benchmark(folder / "out", StandIn())
    return time.perf_counter() - started, [answerer, judge]


def repeat_requests(engines: list[TimedEngine]) -> float:
    """Wall time of the same requests on bare engines; those of the forecast are the run's own cost."""
    started = time.perf_counter()
    for engine in engines:
        requests = [request for request in engine.requests if not request.id.startswith("speed#")]
        sum(1 for _ in complete(TimedEngine(engine.reply, engine.pace), requests))
    return time.perf_counter() - started


def compare_with_engine() -> None:
    run_once(50, AT_ONCE, AT_ONCE, 10)  # imports what is imported when it is needed
    wall, engines = run_once(NUM_TIMED, ANSWERING, JUDGING, NUM_TIMED // 3)
    bare = repeat_requests(engines)
    print(
        f"{NUM_TIMED} questions, {SLOTS} at once: the run {wall:.1f} s, its requests on a bare engine {bare:.1f} s, "
        f"{wall / bare - 1:+.1%}",
        flush=True,
    )
    with timed_disk() as disk:
        own, (answerer, judge) = run_once(NUM_QUESTIONS, AT_ONCE, AT_ONCE, NUM_NULLS)
    needed = (
        sum(
            engine.num_requests * tokens / speed
            for engine, (tokens, speed) in ((answerer, ANSWERING), (judge, JUDGING))
        )
        / SLOTS
    )
    print(
        f"{NUM_QUESTIONS:,} questions, engines that answer at once: own work {own:.1f} s, {sum(disk):.1f} s of it "
        f"waiting for the disk; the engines of above would take {needed:.0f} s: {own / needed:.1%} if none of it "
        "went on beside them",
        flush=True,
    )


@contextlib.contextmanager
def timed_disk() -> Iterator[list[float]]:
    """The seconds of each os.fsync in the block."""
    real, seconds = os.fsync, []

    def fsync(descriptor: int) -> None:
        started = time.perf_counter()
        real(descriptor)
        seconds.append(time.perf_counter() - started)

    os.fsync = fsync
    try:
        yield seconds
    finally:
        os.fsync = real


def run_once(*arguments: Any) -> tuple[float, list[TimedEngine]]:
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), *arguments)


def measure_memory(number: int) -> None:
    """In a process of its own: kB of peak memory above what the imports and a small run took."""
    run_once(50, AT_ONCE, AT_ONCE, 10)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = read_peak()
    run_once(number, AT_ONCE, AT_ONCE, NUM_NULLS)
    print(read_peak() - before)


def read_peak() -> int:
    """kB; Linux only."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])


def compare_memory() -> None:
    peaks = {}
    for number in (1000, NUM_QUESTIONS):
        command = [sys.executable, __file__, "--memory", str(number)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peaks[number] = int(output.split()[-1]) / 1024
    print(
        f"peak memory above the imported process: {peaks[1000]:.1f} MB for 1,000 questions, "
        f"{peaks[NUM_QUESTIONS]:.1f} MB for {NUM_QUESTIONS:,}"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        measure_memory(int(sys.argv[2]))
    else:
        compare_with_engine()
        compare_memory()
