"""The files of a run, rebuilt from its ledger one line at a time: the published JSON, the evidence, the report.

- original_output.json: {"doi", "input", "output"}, as published: the complete prompt and the text that came of it.
- processed_output.json: {"source", "doi", "abstract", "keywords", "txt", "title", "num_Q&A", "Q&A": [{"Q", "A"}]}.
- evidence.json: beside each record of the latter, where each answer stands in `txt`:
  {"doi", "journal", "license", "sections", "pairs": [{"Q", "A", "origin", "evidence": [{"start", "end", "text"}],
  "support", "numbers"}], "missing": ["duplicate"]}.
- report.json: what was done, what was not and why, computed from what is on disk.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from sciqag_lib.inference.forecast import Plan, format_seconds
from sciqag_lib.inference.ledger import Ledger
from sciqag_lib.inference.tally import LISTED, Tally
from sciqag_lib.paths import write_atomic
from sciqag_lib.records.papers import PAPER_KEYS, read_records
from sciqag_lib.tables import JsonList


def write_outputs(ledger: Ledger, plan: Plan, output_dir: Path, stopped: str = "") -> dict[str, Any]:
    """Rebuild all files of `output_dir` from the ledger and return the report; each file is replaced whole or not."""
    tally = Tally()
    with ExitStack() as stack:
        original, processed, evidence = (
            JsonList(stack.enter_context(write_atomic(output_dir / f"{name}.json")))
            for name in ("original_output", "processed_output", "evidence")
        )
        for line in ordered_lines(ledger, plan.item_ids):
            tally.add(line)
            if line.get("input"):
                original.add({"doi": line["paper"]["doi"], "input": line["input"], "output": line["output"]})
            if line["status"] == "done":
                processed.add(processed_record(line))
                evidence.add(evidence_record(line))
        for writer in (original, processed, evidence):
            writer.end()
    report = make_report(tally, ledger, plan, stopped)
    with write_atomic(output_dir / "report.json") as file:
        json.dump(report, file, ensure_ascii=False, indent=1)
        file.write("\n")
    return report


def ordered_lines(ledger: Ledger, item_ids: list[str]) -> Iterator[dict[str, Any]]:
    """The latest line of each item of this input, in its order. What an earlier run with another file or limit put
    on the ledger stays there, and is not mixed in."""
    for item_id in item_ids:
        line = ledger.read(item_id)
        if line:
            yield line


def processed_record(line: dict[str, Any]) -> dict[str, Any]:
    """The published record of a finished paper; the model's keywords where it wrote some, else the paper's."""
    record = {key: line["paper"][key] for key in PAPER_KEYS}
    record["keywords"] = line["keywords"] or record["keywords"]
    record["num_Q&A"] = len(line["pairs"])
    record["Q&A"] = [{"Q": pair["question"], "A": pair["answer"]} for pair in line["pairs"]]
    return record


def evidence_record(line: dict[str, Any]) -> dict[str, Any]:
    paper = line["paper"]
    pairs = [
        {
            "Q": pair["question"],
            "A": pair["answer"],
            "origin": pair["origin"],
            "evidence": [
                {"start": start, "end": end, "text": paper["txt"][start:end]} for start, end in pair["evidence"]
            ],
            "support": pair["support"],
            "numbers": pair["numbers"],
        }
        for pair in line["pairs"]
    ]
    return {
        "doi": paper["doi"],
        "journal": paper.get("journal", ""),
        "license": paper.get("license", ""),
        "sections": paper.get("sections", []),
        "pairs": pairs,
        "missing": line["missing"],
    }


def make_report(tally: Tally, ledger: Ledger, plan: Plan, stopped: str) -> dict[str, Any]:
    seconds, tokens = tally.busy_seconds(), tally.counts["prompt_tokens"] + tally.counts["new_tokens"]
    finished = tally.statuses["done"] + tally.statuses["failed"]
    return {
        "file_path": plan.file_path,
        "settings": plan.settings,
        "stopped": stopped,
        "papers": {
            "considered": len(plan.item_ids),
            "done": tally.statuses["done"],
            "failed": tally.statuses["failed"],
            "unfinished": tally.statuses["unfinished"],
            "not_asked": len(plan.item_ids) - sum(tally.statuses.values()),
            "only_on_ledger": len(ledger) - sum(tally.statuses.values()),
            "duplicates": len(plan.duplicates),
            "not_usable": len(plan.bad_records),
            "failed_by_reason": dict(tally.reasons["failed"]),
            "unfinished_by_reason": dict(tally.reasons["unfinished"]),
        },
        "pairs": {
            "asked": tally.counts["asked"],
            "delivered": tally.counts["delivered"],
            "missing": tally.counts["asked"] - tally.counts["delivered"],
            "missing_by_reason": dict(tally.reasons["missing"].most_common()),
            "rejected_by_reason": dict(tally.reasons["rejected"].most_common()),
        },
        "tokens": {
            "prompt": tally.counts["prompt_tokens"],
            "new": tally.counts["new_tokens"],
            "per_second": round((tokens - tally.counts["reused_tokens"]) / seconds, 1) if seconds else None,
        },
        "seconds": {"total": round(seconds, 1), "per_paper": round(seconds / finished, 1) if finished else None},
        "not_done": tally.not_done,
        "duplicates": plan.duplicates[:LISTED],
        "not_usable": plan.bad_records[:LISTED],
    }


def show_report(report: dict[str, Any], times: bool = True) -> None:
    """Print a report; `times=False` leaves out what differs from machine to machine."""
    papers, pairs, tokens = report["papers"], report["pairs"], report["tokens"]
    print(
        f"papers: {papers['done']:,} done, {papers['failed']:,} failed, {papers['unfinished']:,} unfinished, "
        f"{papers['not_asked']:,} not asked, of {papers['considered']:,}"
    )
    if papers["only_on_ledger"]:
        print(f"        {papers['only_on_ledger']:,} more are on the ledger, from runs with another file_path or limit")
    print(f"pairs:  {pairs['asked']:,} asked = {pairs['delivered']:,} delivered + {pairs['missing']:,} missing")
    for name in ("missing", "rejected"):
        reasons = pairs[f"{name}_by_reason"]
        if reasons:
            print(f"{name}: " + ", ".join(f"{count:,} {reason}" for reason, count in reasons.items()))
    if times and report["seconds"]["total"]:
        print(
            f"tokens: {tokens['prompt']:,} prompt + {tokens['new']:,} new in "
            f"{format_seconds(report['seconds']['total'])}, {tokens['per_second']:,}/s"
            + (f", {report['seconds']['per_paper']} s a paper" if report["seconds"]["per_paper"] else "")
        )
    for entry in report["not_done"][:20]:
        print(f"{entry['status']}: {entry['doi']}: {entry['reason']} {entry['message']}")
    for line in report["not_usable"][:20]:
        print(f"not usable: {line}")
    if report["stopped"]:
        print(f"stopped: {report['stopped']}. Run again with the same output_dir to go on")


def show_pairs(output_dir: Path, num_papers: int = 3, num_pairs: int = 3) -> None:
    """Print the first pairs of the first papers of a run with the place of their evidence."""
    papers = zip(read_records(output_dir / "processed_output.json"), read_records(output_dir / "evidence.json"))
    for (_, paper), (_, evidence) in islice(papers, num_papers):
        print(f"\n{paper['title'] or paper['doi']}\n{paper['doi']}, {paper['num_Q&A']} pairs")
        for pair in evidence["pairs"][:num_pairs]:
            _show_pair(pair)


def _show_pair(pair: dict[str, Any]) -> None:
    print(f"\n  Q: {pair['Q']}\n  A: {pair['A']}")
    for span in pair["evidence"]:
        text = "the answer is this sentence" if pair["origin"] == "extracted" else f"“{span['text']}”"
        print(f"     evidence: characters {span['start']:,} to {span['end']:,}, {text}")
    if pair["support"]:
        print(f"     support of each answer sentence: {', '.join(f'{score:.2f}' for score in pair['support'])}")
