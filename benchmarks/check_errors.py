"""Error rates of the checks on hand-written pairs: good pairs turned away, bad pairs let through.

    python benchmarks/check_errors.py            # the table for benchmarks/RESULTS.md
    python benchmarks/check_errors.py --list     # and each pair on which a check errs

The pairs of data/checks/<reason>.jsonl were written before the check and it was tuned on them; those of
data/checks/held_out/<reason>.jsonl were written afterwards and nothing was changed for them. One row:

    {"label": "bad", "question": "Why did it increase?", "answer": "Low oxygen inhibits prolyl hydroxylases."}

`txt` is the paper where the check needs one, `accepted` the questions asked before.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sciqag_lib.checks import rules as checks  # noqa: E402

CHECKS = {
    "not_a_question": lambda row: checks.is_not_question(row["question"]),
    "not_self_contained": lambda row: checks.is_not_self_contained(row["question"], row["answer"]),
    "empty_talk": lambda row: checks.is_empty_talk(row["question"], row["answer"]),
    "copies_answer": lambda row: checks.copies_answer(row["question"], row["answer"]),
    "duplicate": lambda row: checks.is_duplicate(row["question"], row["accepted"]),
    "wrong_number": lambda row: checks.has_wrong_number(row["answer"], row["txt"]),
    "unsupported": lambda row: checks.is_unsupported(row["answer"], row["txt"]),
}


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def list_errors(reason: str, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows on which the check for `reason` disagrees with the label."""
    for row in rows:
        if CHECKS[reason](row) != (row["label"] == "bad"):
            yield row


def count_errors(reason: str, rows: list[dict[str, Any]]) -> tuple[int, int, int, int]:
    """Good pairs rejected, good pairs, bad pairs passed, bad pairs."""
    errors = list(list_errors(reason, rows))
    good = sum(row["label"] == "good" for row in rows)
    rejected = sum(row["label"] == "good" for row in errors)
    return rejected, good, len(errors) - rejected, len(rows) - good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="also print the pairs on which a check errs")
    arguments = parser.parse_args()
    folder = ROOT / "data" / "checks"
    print(
        "| check | good rejected | bad passed | held out: good rejected | held out: bad passed |\n|---|---|---|---|---|"
    )
    for reason in checks.REASONS:
        cells = []
        for path in (folder / f"{reason}.jsonl", folder / "held_out" / f"{reason}.jsonl"):
            rejected, good, passed, bad = count_errors(reason, read_rows(path))
            cells += [f"{rejected} of {good}", f"{passed} of {bad}"]
        print(f"| {reason} | " + " | ".join(cells) + " |")
    if arguments.list:
        for reason in checks.REASONS:
            for path in (folder / f"{reason}.jsonl", folder / "held_out" / f"{reason}.jsonl"):
                for row in list_errors(reason, read_rows(path)):
                    place = path.relative_to(ROOT)
                    answer = row["answer"] or row.get("accepted")
                    print(f"\n{place}: {row['label']}\n  Q: {row['question']}\n  A: {answer}")


if __name__ == "__main__":
    main()
