"""Counts over the lines of a ledger."""

import datetime
from array import array
from collections import Counter
from typing import Any

LISTED = 1000  # papers that failed or are unfinished, and bad records, listed one by one in report.json


class Tally:
    """Counts over the ledger's lines."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.reasons: dict[str, Counter[str]] = {
            name: Counter() for name in ("failed", "unfinished", "missing", "rejected")
        }
        self.counts: Counter[str] = Counter()
        self.not_done: list[dict[str, str]] = []
        self.started, self.ended = array("d"), array("d")

    def add(self, line: dict[str, Any]) -> None:
        status = line["status"]
        self.statuses[status] += 1
        self.counts["prompt_tokens"] += line["prompt_tokens"]
        self.counts["new_tokens"] += line["new_tokens"]
        self.counts["reused_tokens"] += line.get("reused_tokens", 0)
        self.started.append(line["started"])
        self.ended.append(line["ended"])
        if status != "done":
            self.reasons[status][line["reason"]] += 1
            if len(self.not_done) < LISTED:
                self.not_done.append(
                    {
                        "doi": line["paper"]["doi"],
                        "status": status,
                        "reason": line["reason"],
                        "message": line["message"],
                    }
                )
        if status != "unfinished":
            self.counts["asked"] += line["asked"]
            self.counts["delivered"] += line.get("delivered", 0)
            self.reasons["missing"].update(line.get("missing", [line["reason"]] * line["asked"]))
            self.reasons["rejected"].update(line.get("rejected", {}))

    def busy_seconds(self) -> float:
        """Wall time in which at least one paper was under way, over all runs on this ledger."""
        total, until = 0.0, float("-inf")
        for place in sorted(range(len(self.started)), key=self.started.__getitem__):
            start, end = self.started[place], self.ended[place]
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

    def format_date(self) -> str:
        """The day on which the last of the lines was written, UTC; "" where there is none."""
        if not self.ended:
            return ""
        return datetime.datetime.fromtimestamp(max(self.ended), datetime.UTC).date().isoformat()
