"""SIGKILL while a benchmark answers, judges or writes: nothing that was answered or judged is asked again or lost."""

import json
import random
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.benchmark_factory import fact, make_records, write
from tests.fake_server import FakeServer
from tests.killed_run import KilledRun, serve

NUMBER = 6
CHILD = Path(__file__).with_name("benchmark_kill_child.py")
# The answers take writes 1 to 7 and renames 1 and 2; then come the judgements, and renames 3 to 6.
POINTS = [("write", 4, "inside"), ("write", 15, "inside"), ("rename", 5, "before")]
MORE_POINTS = [
    ("write", 1, "inside"),
    ("write", 4, "before"),
    ("fsync", 4, "after"),
    ("rename", 1, "before"),
    ("rename", 2, "after"),
    ("fsync", 20, "before"),
    ("rename", 3, "before"),
]


def answer(path, body):
    """Nearly the fact to a question, 4 to whatever is judged; slowly enough to be killed in between."""
    time.sleep(0.01)
    text = body.get("prompt") or body["messages"][-1]["content"]
    numbers = re.findall(r"What is fact (\d+)\?", text)
    reply = (
        json.dumps({"scores": [{"score": 4, "reasons": "ok"}]})
        if "BEGIN ITEM" in text
        else (about(int(numbers[-1])) if numbers else "one two")
    )
    choice = {"message": {"content": reply}, "text": reply, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 90, "completion_tokens": 15}}


def about(number):
    return fact(number).replace("is ", "is about ")  # not the reference's text, so that the two can be told apart


@pytest.fixture
def server():
    with serve(answer) as running:
        yield running


class Folder(KilledRun):
    """A run's folder, and what the server was asked for it."""

    def __init__(self, path: Path, server: FakeServer):
        super().__init__(path, server, CHILD, write(path / "test.json", make_records(NUMBER)))

    def finished(self) -> set[str]:
        """What is whole on disk: a question, or an answer and its dimension, as the server sees them."""
        found = set()
        for name in ("answers", "judging"):
            path = self.path / "out" / f"{name}.ledger.jsonl"
            for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
                record = json.loads(line) if line.endswith(b"\n") else {}
                if record.get("status") == "done" and name == "answers":
                    found.add(record["question"])
                elif record.get("status") == "done":
                    found |= {
                        f"{score['dimension']}|{record['question']}|{record['answer']}" for score in record["scores"]
                    }
        return found

    def asked(self, since: int = 0) -> Counter:
        return Counter(filter(None, (describe(body) for _, body in self.server.calls[since:])))

    def run_and_check(self, *point: object, kill_after: "float | None" = None) -> int:
        before, calls = self.finished(), len(self.server.calls)
        process = self.start(*point)
        if kill_after is not None:
            try:
                process.wait(kill_after)
            except subprocess.TimeoutExpired:
                process.kill()
        _, errors = process.communicate(timeout=120)
        assert process.returncode in (0, -signal.SIGKILL), errors.decode()
        asked = self.asked(calls)
        assert not before & asked.keys() and before <= self.finished()
        assert max(asked.values(), default=0) <= 1
        return process.returncode

    def check_complete(self) -> None:
        assert self.run_and_check() == 0
        answers = json.loads((self.path / "out" / "answers.json").read_text())
        assert [(each["index"], each["answer"]) for each in answers] == [(n, about(n)) for n in range(NUMBER)]
        report = json.loads((self.path / "out" / "benchmark.json").read_text())
        assert report["dimensions"]["accuracy"]["counts"] == [0, 0, 0, NUMBER, 0]
        arms = 4 * NUMBER - 1  # the first in the drawing order has no other answer
        assert len(self.finished()) == NUMBER + 3 * arms
        calls = len(self.server.calls)
        assert self.run_and_check() == 0 and len(self.server.calls) == calls


def describe(body) -> str:
    """A question asked, or dimension, question and answer judged; "" for what probes the speed."""
    text = body.get("prompt") or body["messages"][-1]["content"]
    item = re.search(r"BEGIN ITEM \w+\n(.*)\nEND ITEM", text)
    if item:
        quoted = json.loads(item[1])
        return f"{re.search(r'to 5 for its (.+) alone', text)[1]}|{quoted['question']}|{quoted['answer']}"
    found = re.search(r"What is fact \d+\?", text)
    return found[0] if found else ""


@pytest.mark.parametrize(
    "point, number, when", [*POINTS, *(pytest.param(*point, marks=pytest.mark.slow) for point in MORE_POINTS)]
)
def test_killed_inside_write_fsync_and_rename(tmp_path, server, point, number, when):
    folder = Folder(tmp_path, server)
    assert folder.run_and_check(point, number, when) == -signal.SIGKILL
    folder.check_complete()


@pytest.mark.slow
def test_killed_at_random_three_times(tmp_path, server):
    folder, chance = Folder(tmp_path, server), random.Random(1)
    started = time.monotonic()
    folder.start().wait(120)
    duration = time.monotonic() - started
    for name in ("answers", "judging"):
        (tmp_path / "out" / f"{name}.ledger.jsonl").unlink()
    codes = [folder.run_and_check(kill_after=chance.uniform(0.4, 0.9) * duration) for _ in range(3)]
    assert -signal.SIGKILL in codes
    folder.check_complete()
