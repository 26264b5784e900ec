"""Counts over the lines of a ledger."""

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sciqag_lib.inference.loop import show_stopped
from sciqag_lib.tables import show_notes

SHOWN = 20  # notes that are printed
LISTED = 1000  # papers that failed or are unfinished, and bad records, listed one by one in report.json


class Tally:
    """Counts over the ledger's lines."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.reasons = {name: Counter() for name in ("failed", "unfinished", "missing", "rejected")}
        self.counts: Counter[str] = Counter()
        self.not_done: list[dict[str, str]] = []
        self.spans: list[tuple[float, float]] = []  # in which each was under way

    def add(self, line: dict[str, Any]) -> None:
        status = line["status"]
        self.statuses[status] += 1
        self.counts["prompt_tokens"] += line["prompt_tokens"]
        self.counts["new_tokens"] += line["new_tokens"]
        self.counts["reused_tokens"] += line.get("reused_tokens", 0)
        self.spans.append((line["started"], line["ended"]))
        if status != "done":
            self.reasons[status][line["reason"]] += 1
            if len(self.not_done) < LISTED:
                found = {key: line[key] for key in ("status", "reason", "message")}
                self.not_done.append({"doi": line["paper"]["doi"], **found})
        if status != "unfinished":
            self.counts["asked"] += line["asked"]
            self.counts["delivered"] += line.get("delivered", 0)
            self.reasons["missing"].update(line.get("missing", [line["reason"]] * line["asked"]))
            self.reasons["rejected"].update(line.get("rejected", {}))

    def busy_seconds(self) -> float:
        """Wall time in which at least one paper was under way, over all runs on this ledger."""
        total, until = 0.0, float("-inf")
        for start, end in sorted(self.spans):
            total += max(0.0, end - max(start, until))
            until = max(until, end)
        return total

    def count_items(self, considered: int) -> dict[str, int]:
        """considered = done + failed + unfinished + not_asked."""
        statuses = {name: self.statuses[name] for name in ("done", "failed", "unfinished")}
        return {"considered": considered, **statuses, "not_asked": considered - sum(statuses.values())}

    def count_scores(self) -> dict[str, int]:
        """asked = delivered + missing."""
        asked, delivered = self.counts["asked"], self.counts["delivered"]
        return {"asked": asked, "delivered": delivered, "missing": asked - delivered}

    def count_tokens(self) -> dict[str, int]:
        return {"prompt": self.counts["prompt_tokens"], "new": self.counts["new_tokens"]}

    def list_notes(self) -> list[str]:
        """A sentence about each item that is not done."""
        return [f"{entry['doi']}: {entry['status']}: {entry['reason']} {entry['message']}" for entry in self.not_done]

    def summarize(self) -> dict[str, Any]:
        """Tokens, seconds, and the day on which the last of the lines was written, UTC; "" where there is none."""
        last = max((end for _, end in self.spans), default=None)
        date = "" if last is None else datetime.datetime.fromtimestamp(last, datetime.UTC).date().isoformat()
        return {"tokens": self.count_tokens(), "seconds": round(self.busy_seconds(), 1), "date": date}


def show_run(counts: Mapping[str, Mapping[str, Any]], notes: Sequence[str], file: str, stopped: str) -> None:
    """Print what came of a job: of each thing that is counted its whole numbers by name, the first notes, of which
    `file` holds all, and why the run ended early."""
    for title, numbers in counts.items():
        whole = {name.replace("_", " "): number for name, number in numbers.items() if isinstance(number, int)}
        print(f"{title}: " + ", ".join(f"{number:,} {name}" for name, number in whole.items()))
    show_notes(notes, SHOWN, file)
    show_stopped(stopped)
