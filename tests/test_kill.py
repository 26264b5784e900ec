"""SIGKILL at any moment, as often as one likes: no finished paper is asked twice, none is lost or doubled."""

import json
import random
import re
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from factory import answer_all, write_papers
from fake_server import FakeServer

from tests.killed_run import KilledRun, serve

NUM_PAPERS = 12
CHILD = Path(__file__).with_name("kill_child.py")
POINTS = [
    ("write", 4, "before"),
    ("write", 4, "inside"),
    ("write", 4, "after"),
    ("fsync", 5, "before"),
    ("fsync", 5, "after"),
    ("rename", 3, "before"),
    ("rename", 3, "after"),
    ("write", 1, "inside"),
]


def answer(path, body):
    """What the server says: good pairs to a paper's prompt, slowly enough to be killed in between."""
    time.sleep(0.03)
    text = body.get("prompt") or body["messages"][-1]["content"]
    pairs = (
        "three words only"
        if "pairs" not in text
        else answer_all()(SimpleNamespace(prompt=SimpleNamespace(text=text, user="")))
    )
    choice = {"message": {"content": pairs}, "text": pairs, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 900, "completion_tokens": 150}}


@pytest.fixture
def server():
    with serve(answer) as running:
        yield running


class Folder(KilledRun):
    """A run's folder, and what the server was asked for it."""

    def __init__(self, path: Path, server: FakeServer):
        super().__init__(path, server, CHILD, write_papers(path / "papers.json", NUM_PAPERS))

    def finished(self) -> set[str]:
        """Papers whose line is whole on disk."""
        path = self.path / "out" / "ledger.jsonl"
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        records = [json.loads(line) for line in lines if line.endswith(b"\n")]
        return {record["id"] for record in records if record.get("status") == "done"}

    def asked(self, since: int = 0) -> set[str]:
        texts = [json.dumps(body) for _, body in self.server.calls[since:]]
        return {f"10.1000/test.{number}" for text in texts for number in re.findall(r"alloy A(\d+)\d\d reached", text)}

    def run_and_check(self, *point: object, kill_after: "float | None" = None) -> int:
        """Run once, killed or not; papers finished before must not be asked. Returns the exit code."""
        before, calls = self.finished(), len(self.server.calls)
        process = self.start(*point)
        if kill_after is not None:
            try:
                process.wait(kill_after)
            except subprocess.TimeoutExpired:
                process.kill()
        _, errors = process.communicate(timeout=120)
        assert process.returncode in (0, -signal.SIGKILL), errors.decode()
        assert not before & self.asked(calls)
        assert before <= self.finished()
        return process.returncode

    def check_complete(self) -> None:
        assert self.run_and_check() == 0
        expected = [f"10.1000/test.{number}" for number in range(NUM_PAPERS)]
        for name in ("processed_output.json", "original_output.json", "evidence.json"):
            assert [record["doi"] for record in json.loads((self.path / "out" / name).read_text())] == expected
        lines = [json.loads(line) for line in (self.path / "out" / "ledger.jsonl").read_text().splitlines()]
        assert sorted(line["id"] for line in lines[1:] if line["status"] == "done") == sorted(expected)
        calls = len(self.server.calls)
        assert self.run_and_check() == 0 and len(self.server.calls) == calls


def kill_often(folder: Folder, num_kills: int, seed: int) -> None:
    chance = random.Random(seed)
    started = time.monotonic()
    folder.start().wait(120)
    duration = time.monotonic() - started
    (folder.path / "out" / "ledger.jsonl").unlink()
    codes = [folder.run_and_check(kill_after=chance.uniform(0.3, 1.0) * duration) for _ in range(num_kills)]
    assert -signal.SIGKILL in codes
    folder.check_complete()


def test_killed_at_random_three_times(tmp_path, server):
    kill_often(Folder(tmp_path, server), 3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_twenty_times(tmp_path, server, seed):
    kill_often(Folder(tmp_path, server), 5, seed=seed)


@pytest.mark.parametrize("point, number, when", POINTS)
def test_killed_inside_write_fsync_and_rename(tmp_path, server, point, number, when):
    folder = Folder(tmp_path, server)
    assert folder.run_and_check(point, number, when) == -signal.SIGKILL
    folder.check_complete()
