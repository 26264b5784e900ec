"""Tasks for the workers of sciqag_lib.ingest.workers, in a module that they can import."""

import os
import signal
import time
from pathlib import Path


def square(number: int) -> int:
    time.sleep(0.05 if number == 0 else 0)  # the first is the last to be ready
    return number * number


def find_process(number: int) -> int:
    time.sleep(0.2)
    return os.getpid()


def refuse(number: int) -> int:
    print("a library's chatter")
    if number == 3:
        raise ValueError(f"no {number}")
    return number


def die_once(path: Path) -> str:
    """Killed as by the kernel, the first time that it is given this path."""
    if path.name == "killer" and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def die_always(name: str) -> str:
    if name == "killer":
        os._exit(7)
    return name


def wait_long(number: int) -> int:
    time.sleep(60)
    return number
