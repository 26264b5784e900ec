"""A run in a process of its own, to be killed: its folder, and the server that it asks. The child takes the file, the
output folder, the server's address, and where to die."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fake_server import FakeServer


@contextmanager
def serve(answer: Any) -> Iterator[FakeServer]:
    with FakeServer() as running:
        running.models = [{"id": "small", "max_model_len": 8192}]
        running.reply = answer
        yield running


class KilledRun:
    def __init__(self, path: Path, server: FakeServer, child: Path, file: Any) -> None:
        self.path, self.server, self.child, self.file = path, server, child, file

    def start(self, *point: object) -> subprocess.Popen:
        command = [
            sys.executable,
            str(self.child),
            self.file,
            str(self.path / "out"),
            self.server.url,
            *map(str, point),
        ]
        environment = {"PYTHONPATH": str(self.child.parents[1]), "PATH": "", "TQDM_DISABLE": "1"}
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
