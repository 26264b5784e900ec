"""The ledger survives torn lines, refuses other settings and a second run, and stops cleanly on a full disk."""

import json
import resource
import subprocess
import sys

import pytest

from sciqag_lib.inference.ledger import FingerprintMismatch, Ledger, LedgerError

FINGERPRINT = {"engine": "fake", "n_qa": 10}


def open_ledger(tmp_path, **changes):
    return Ledger(tmp_path / "ledger.jsonl", {**FINGERPRINT, **changes})


def item(item_id, status="done", **more):
    return {"id": item_id, "status": status, **more}


def test_latest_line_counts_and_survives_reopening(tmp_path):
    with open_ledger(tmp_path) as ledger:
        ledger.append(item("a", "unfinished"))
        ledger.append(item("b"))
        ledger.append(item("a", "done", value="ä\u2028{}"))
        assert ledger.finished("a") and not ledger.finished("c")
    with open_ledger(tmp_path) as ledger:
        assert ledger.ids() == ["a", "b"] and len(ledger) == 2
        assert ledger.read("a")["value"] == "ä\u2028{}"
        assert ledger.status("a") == "done" and ledger.read("missing") is None


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_torn_last_line_is_dropped_and_the_next_append_is_whole(tmp_path, cut):
    with open_ledger(tmp_path) as ledger:
        ledger.append(item("a"))
        ledger.append(item("b"))
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    with open_ledger(tmp_path) as ledger:
        assert ledger.finished("a") and not ledger.finished("b")
        ledger.append(item("b"))
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines()] == ["run", "item", "item"]


def test_torn_header_is_written_again(tmp_path):
    (tmp_path / "ledger.jsonl").write_text('{"kind": "ru')
    with open_ledger(tmp_path) as ledger:
        assert len(ledger) == 0
    with pytest.raises(FingerprintMismatch):
        open_ledger(tmp_path, n_qa=3)


def test_unreadable_line_in_the_middle_costs_only_its_item(tmp_path):
    with open_ledger(tmp_path) as ledger:
        for name in "abc":
            ledger.append(item(name))
    path = tmp_path / "ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = b"\0" * 20 + b"\n"
    path.write_bytes(b"".join(lines))
    with open_ledger(tmp_path) as ledger:
        assert ledger.unreadable == 1 and ledger.ids() == ["a", "c"]


def test_other_settings_are_refused_and_each_is_named(tmp_path):
    open_ledger(tmp_path).close()
    with pytest.raises(FingerprintMismatch, match=r"engine: was 'fake', now 'real'; n_qa: was 10, now 3"):
        open_ledger(tmp_path, engine="real", n_qa=3)
    open_ledger(tmp_path).close()  # the refusal let go of the lock


def test_second_run_is_refused_while_the_first_lives(tmp_path):
    code = (
        f"from sciqag_lib.inference.ledger import Ledger\nLedger({str(tmp_path / 'ledger.jsonl')!r}, {FINGERPRINT!r})"
    )
    with open_ledger(tmp_path):
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert second.returncode == 1 and "another run is writing" in second.stderr
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_full_disk_keeps_what_was_there(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ledger = open_ledger(tmp_path)
    ledger.append(item("a"))
    whole = (tmp_path / "ledger.jsonl").read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 50, hard))
    try:
        with pytest.raises(LedgerError, match="could not be written .*free some space"):
            ledger.append(item("b", text="x" * 1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "ledger.jsonl").read_bytes() == whole
    ledger.append(item("c"))  # space again: the ledger goes on
    ledger.close()
    with open_ledger(tmp_path) as ledger:
        assert ledger.ids() == ["a", "c"]


def test_unknown_status_is_a_programming_error(tmp_path):
    with open_ledger(tmp_path) as ledger, pytest.raises(ValueError, match="maybe"):
        ledger.append(item("a", "maybe"))
