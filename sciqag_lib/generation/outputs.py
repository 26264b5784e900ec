"""The files of a run, rebuilt from its ledger one line at a time: the published JSON, the evidence, the report.

- original_output.json: {"doi", "input", "output"}, as published: the complete prompt and the text that came of it.
- processed_output.json: {"source", "doi", "abstract", "keywords", "txt", "title", "num_Q&A", "Q&A": [{"Q", "A"}]}.
- evidence.json: beside each record of the latter, where each answer stands in `txt`:
  {"doi", "journal", "license", "sections", "pairs": [{"Q", "A", "origin", "evidence": [{"start", "end", "text"}],
  "support", "numbers"}], "missing": ["duplicate"]}.
- report.json: what was done, what was not and why, computed from what is on disk.
"""

from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciqag_lib.inference.forecast import Plan
from sciqag_lib.inference.ledger import Ledger
from sciqag_lib.inference.tally import LISTED, Tally, show_run
from sciqag_lib.paths import write_atomic
from sciqag_lib.records.papers import PAPER_KEYS, read_records
from sciqag_lib.tables import JsonList, write_report

if TYPE_CHECKING:  # pandas takes a second to import
    from pandas import DataFrame


def write_outputs(ledger: Ledger, plan: Plan, output_dir: Path, stopped: str = "") -> dict[str, Any]:
    """Rebuild all files of `output_dir` from the ledger and return the report; each file is replaced whole or not."""
    tally = Tally()
    with ExitStack() as stack:
        original, processed, evidence = (
            JsonList(stack.enter_context(write_atomic(output_dir / f"{name}.json")))
            for name in ("original_output", "processed_output", "evidence")
        )
        # What an earlier run with another file or limit put on the ledger stays there, and is not mixed in.
        for line in filter(None, map(ledger.read, plan.item_ids)):
            tally.add(line)
            if line.get("input"):
                original.add({"doi": line["paper"]["doi"], "input": line["input"], "output": line["output"]})
            if line["status"] == "done":
                processed.add(processed_record(line))
                evidence.add(evidence_record(line))
        for writer in (original, processed, evidence):
            writer.end()
    report = make_report(tally, ledger, plan, stopped)
    write_report(output_dir / "report.json", report)
    return report


def processed_record(line: dict[str, Any]) -> dict[str, Any]:
    """The published record of a finished paper; the model's keywords where it wrote some, else the paper's."""
    record = {key: line["paper"][key] for key in PAPER_KEYS}
    record["keywords"] = line["keywords"] or record["keywords"]
    record["num_Q&A"] = len(line["pairs"])
    record["Q&A"] = [{"Q": pair["question"], "A": pair["answer"]} for pair in line["pairs"]]
    return record


def evidence_record(line: dict[str, Any]) -> dict[str, Any]:
    paper, pairs = line["paper"], []
    for pair in line["pairs"]:
        spans = [{"start": start, "end": end, "text": paper["txt"][start:end]} for start, end in pair["evidence"]]
        names = {"Q": pair["question"], "A": pair["answer"], "origin": pair["origin"]}
        pairs.append({**names, "evidence": spans, "support": pair["support"], "numbers": pair["numbers"]})
    known = {"doi": paper["doi"], "journal": paper.get("journal", ""), "license": paper.get("license", "")}
    return {**known, "sections": paper.get("sections", []), "pairs": pairs, "missing": line["missing"]}


def make_report(tally: Tally, ledger: Ledger, plan: Plan, stopped: str) -> dict[str, Any]:
    seconds, tokens = tally.busy_seconds(), tally.counts["prompt_tokens"] + tally.counts["new_tokens"]
    finished = tally.statuses["done"] + tally.statuses["failed"]
    return {
        "file_path": plan.file_path,
        "settings": plan.settings,
        "stopped": stopped,
        "papers": {
            **tally.count_items(len(plan.item_ids)),
            "only_on_ledger": len(ledger) - sum(tally.statuses.values()),
            "duplicates": len(plan.duplicates),
            "not_usable": len(plan.bad_records),
            "failed_by_reason": dict(tally.reasons["failed"]),
            "unfinished_by_reason": dict(tally.reasons["unfinished"]),
        },
        "pairs": {
            **tally.count_scores(),
            "missing_by_reason": dict(tally.reasons["missing"].most_common()),
            "rejected_by_reason": dict(tally.reasons["rejected"].most_common()),
        },
        "tokens": {
            **tally.count_tokens(),
            "per_second": round((tokens - tally.counts["reused_tokens"]) / seconds, 1) if seconds else None,
        },
        "seconds": {"total": round(seconds, 1), "per_paper": round(seconds / finished, 1) if finished else None},
        "not_done": tally.not_done,
        "duplicates": plan.duplicates[:LISTED],
        "not_usable": plan.bad_records[:LISTED],
    }


def show_report(report: dict[str, Any]) -> None:
    """Print what was done of a run, and what was not."""
    notes = [f"{entry['status']}: {entry['doi']}: {entry['reason']} {entry['message']}" for entry in report["not_done"]]
    counts = {name: report[name] for name in ("papers", "pairs", "tokens")}
    show_run(counts, notes + report["not_usable"], "report.json", report["stopped"])


def list_reasons(report: dict[str, Any]) -> "DataFrame":
    """Why pairs are missing, and why pairs that the model wrote were rejected, with their numbers."""
    import pandas

    rows = [
        (name, reason, count)
        for name in ("missing", "rejected")
        for reason, count in report["pairs"][f"{name}_by_reason"].items()
    ]
    return pandas.DataFrame(rows, columns=["pairs", "reason", "number"])


def list_pairs(output_dir: Path, num_papers: int = 3) -> "DataFrame":
    """The pairs of a run's first papers with the support of each answer sentence (0-1) and the characters of their
    evidence in the paper."""
    import pandas

    papers = zip(read_records(output_dir / "processed_output.json"), read_records(output_dir / "evidence.json"))
    rows = [
        {
            "paper": paper["title"] or paper["doi"],
            "question": pair["Q"],
            "answer": pair["A"],
            "support": ", ".join(f"{score:.2f}" for score in pair["support"]),
            "evidence": ", ".join(f"{span['start']:,} to {span['end']:,}" for span in pair["evidence"]),
            "origin": pair["origin"],
        }
        for (_, paper), (_, evidence) in islice(papers, num_papers)
        for pair in evidence["pairs"]
    ]
    return pandas.DataFrame(rows)
