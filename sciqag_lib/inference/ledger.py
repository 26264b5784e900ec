"""The run ledger: one append-only JSON line per paper, on disk before the paper counts as done.

    {"kind": "run", "version": 1, "fingerprint": {"engine": "llama_cpp", "n_qa": 10, ...}}
    {"kind": "item", "id": "10.1371/journal.pone.0000217", "position": 0, "status": "done", ...}

The first line says what the results depend on. After it, the latest line of an id counts. An item is finished
when its status is "done", or "failed" for a reason in itself; "unfinished" (the engine, the network, the disk
or the budget failed it) is asked again by the next run. Everything else on disk is rebuilt from this file.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from sciqag_lib.errors import InputError

VERSION = 1
FINISHED = ("done", "failed")
STATUSES = (*FINISHED, "unfinished")
log = logging.getLogger(__name__)


class LedgerError(RuntimeError):
    """The ledger cannot be used or written; the message names the file and what to do."""


@contextmanager
def name_full_disk(output_dir: Path) -> Iterator[None]:
    """A LedgerError that says what to do, for whatever a run could not write; what it had finished is on its ledger."""
    try:
        yield
    except OSError as error:
        raise LedgerError(
            f"{error.filename or output_dir}: could not be written ({error.strerror}); free some space "
            "and run again: every finished paper is kept"
        ) from error


class FingerprintMismatch(LedgerError):
    """The ledger holds results made with other settings, or from another text."""


class Ledger:
    """One run's ledger, opened for appending and locked against a second run.

    `path` is created where it is not there. `fingerprint` is a flat dict of JSON values: whatever changes an
    item's result and nothing else. Raises FingerprintMismatch naming each difference, LedgerError where another
    run holds the file. In memory: per id its line's offset and status, never the lines themselves.
    """

    def __init__(self, path: "str | Path", fingerprint: dict[str, Any]):
        self.path = Path(path)
        self.unreadable = 0  # lines that were no JSON: their items are asked again
        self._lines: dict[str, int] = {}  # offset * len(STATUSES) + the status's number: half as large as a tuple
        self._lock = filelock.FileLock(f"{self.path}.lock")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise LedgerError(
                f"{self.path}: another run is writing to this folder; wait for it, or choose another output_dir"
            ) from None
        except OSError as error:
            raise LedgerError(
                f"{self.path.parent}: cannot be written to ({error.strerror}); give an output_dir that can"
            ) from error
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self._open(fingerprint)
        except BaseException:
            self.close()
            raise

    def _open(self, fingerprint: dict[str, Any]) -> None:
        header, self._size = None, 0
        with open(self.path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):  # torn by a crash: the item never counted as done
                    os.ftruncate(self._descriptor, self._size)
                    break
                record = _parse_line(line)
                if record is None:
                    self.unreadable += 1
                    place = f"the line at byte {self._size}"
                    log.warning("%s: %s cannot be read; its item is asked again", self.path, place)
                elif record["kind"] == "run":
                    header = header or record
                else:
                    self._note(record, self._size)
                self._size += len(line)
        if header is None:
            if self._lines:
                raise LedgerError(f"{self.path}: has items but no readable first line; use another output_dir")
            self._write({"kind": "run", "version": VERSION, "fingerprint": fingerprint})
        else:
            _compare_fingerprints(self.path, header, fingerprint)

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._lines

    def status(self, item_id: str) -> str:
        """The latest status of an id, or "" where it has none."""
        return STATUSES[self._lines[item_id] % len(STATUSES)] if item_id in self._lines else ""

    def finished(self, item_id: str) -> bool:
        return self.status(item_id) in FINISHED

    def append(self, record: dict[str, Any]) -> None:
        """Write one item's line and wait until it is on disk. `record` needs `id` and `status`.

        Raises LedgerError where the disk is full or the file cannot grow; what was on disk before stays whole.
        """
        if record["status"] not in STATUSES:
            raise ValueError(f"status {record['status']!r} is none of {', '.join(STATUSES)}")
        offset = self._write({"kind": "item", **record})
        self._note(record, offset)

    def _note(self, record: dict[str, Any], offset: int) -> None:
        self._lines[sys.intern(record["id"])] = offset * len(STATUSES) + STATUSES.index(record["status"])

    def _write(self, record: dict[str, Any]) -> int:
        data = (json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")
        offset = self._size
        try:
            written = 0
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, offset)
            raise LedgerError(
                f"{self.path}: a line of {len(data):,} bytes could not be written ({error.strerror}); "
                "free some space and run again: everything before it is kept"
            ) from error
        self._size = offset + len(data)
        return offset

    def read(self, item_id: str) -> dict[str, Any] | None:
        """The latest line of an id, or None."""
        if item_id not in self._lines:
            return None
        with open(self.path, "rb") as file:
            file.seek(self._lines[item_id] // len(STATUSES))
            return _parse_line(file.readline())

    def check_unchanged(self, item_id: str, digest: str, what: str) -> None:
        """FingerprintMismatch where an id's line was made from something else than what has `digest`."""
        earlier = self.read(item_id)
        if earlier and digest and earlier["digest"] != digest:
            raise FingerprintMismatch(
                f"{self.path}: {what} changed since its result was made; use another output_dir, or the input as it was"
            )

    def ids(self) -> list[str]:
        return list(self._lines)

    def close(self) -> None:
        descriptor, self._descriptor = getattr(self, "_descriptor", None), None
        if descriptor is not None:
            os.close(descriptor)
        self._lock.release()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _parse_line(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line.decode("utf-8", "surrogatepass"))
    except ValueError:
        return None
    kind = record.get("kind") if isinstance(record, dict) else ""
    is_item = kind == "item" and isinstance(record.get("id"), str) and record.get("status") in STATUSES
    return record if is_item or kind == "run" else None


def _compare_fingerprints(path: Path, header: dict[str, Any], fingerprint: dict[str, Any]) -> None:
    if header.get("version") != VERSION:
        raise FingerprintMismatch(
            f"{path}: ledger version {header.get('version')}, expected {VERSION}; use another output_dir"
        )
    before = header["fingerprint"]
    now = json.loads(json.dumps(fingerprint))
    differences = [
        f"{key}: was {before.get(key)!r}, now {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    if differences:
        raise FingerprintMismatch(
            f"{path}: this folder's results were made with other settings: "
            + "; ".join(differences)
            + ". Use another output_dir, or the settings as they were"
        )


def read_settings(path: Path) -> dict[str, Any]:
    """The fingerprint that a ledger was made with. InputError: it is not there, or cannot be read."""
    try:
        with path.open(encoding="utf-8") as file:
            return json.loads(file.readline())["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: expected the ledger of a run, found none that can be read ({error}); "
            "answer the questions first, in this output_dir"
        ) from error
