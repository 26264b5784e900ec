"""The committed verdicts on question_writer's questions: whole, consistent, and their papers named."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAULTS = {"garbled", "answer_does_not_fit", "false_premise", "gives_away", "not_self_contained", "trivial",
          "answer_not_standing", "too_general"}  # fmt: skip


def test_verdicts_are_whole_and_their_papers_are_named() -> None:
    lines = (ROOT / "data" / "question_verdicts" / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 947 and len({(row["doi"], row["start"]) for row in rows}) == 816
    assert len({(row["doi"], row["start"], row["question"], row["rule"]) for row in rows}) == len(rows)
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert all(f"\n{row['doi']} | " in notice for row in rows)
    for row in rows:
        assert 0 <= row["start"] < row["end"] and row["question"].endswith("?") and len(row["digest"]) == 12
        for reader in ("reader_1", "reader_2"):
            verdict = row[reader]
            assert (verdict["fault"] in FAULTS) != verdict["good"] and (verdict["fair"] or not verdict["good"]), row
