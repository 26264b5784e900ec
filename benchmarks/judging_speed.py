"""RACAR's five dimensions, each judged alone, against one dimension alone: prompt tokens processed, and time.

    python benchmarks/judging_speed.py [--papers 3] [--tokens 3000] [--turns 2]

The embedded engine, which has a prefix cache, judges the ten pairs of each paper, without null baselines, once on
accuracy (paper and pairs) and once on all five dimensions. Papers are those of the package allofplos, cut to `--tokens`
by the engine's tokenizer; the answers are sentences of them. Every side opens the engine anew and takes its turn first
and last. Processed are the tokens of a prompt that the cache did not hold, as llama.cpp counts them. Beside that, the
prompt tokens sent: what an engine without a prefix cache would process.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from pair_checks_speed import CORPUS, make_record

from sciqag_lib.engines import open_engine
from sciqag_lib.ingest import PreparedPaper, read_papers
from sciqag_lib.paths import resolve_path
from sciqag_lib.racar.judging import DIMENSIONS, make_judging
from sciqag_lib.racar.run import score_file

TOKENS_GOAL, TIME_GOAL = 1.5, 3.5
SIDES = {"accuracy": ["accuracy"], "all five": list(DIMENSIONS)}


def write_papers(path: Path, num_papers: int, num_tokens: int) -> None:
    """A processed output of papers of `num_tokens` tokens, ten pairs each."""
    records: list[dict[str, Any]] = []
    with open_engine("llama_cpp", context_size=8192) as engine:
        for item in read_papers([resolve_path(CORPUS)]):
            if not isinstance(item, PreparedPaper) or len(item.paper.txt) < 6 * num_tokens:
                continue
            length = len(item.paper.txt)
            while engine.count_tokens([item.paper.txt[:length]])[0] > num_tokens:
                length = int(0.97 * length)
            records.append({"doi": item.paper.doi, **make_record(item.paper.txt[:length])})
            if len(records) == num_papers:
                break
    path.write_text(json.dumps(records), encoding="utf-8")


def judge(papers: Path, dimensions: list[str]) -> dict[str, float]:
    """Tokens and seconds of one side; only time spent on calls that the ledger holds, so no forecast and no opening."""
    with tempfile.TemporaryDirectory() as folder, open_engine("llama_cpp", context_size=8192) as engine:
        started = time.perf_counter()
        report = score_file(papers, folder, engine, make_judging(dimensions, null_papers=0))
        wall = time.perf_counter() - started
        lines = [json.loads(line) for line in (Path(folder) / "ledger.jsonl").read_text().splitlines()]
    calls = [call for line in lines for call in line.get("calls", [])]
    if report.papers["done"] + report.papers["failed"] != report.papers["considered"]:
        raise SystemExit(f"not every paper was judged: {report.papers}")
    sent = sum(call["prompt_tokens"] for call in calls)
    return {
        "sent": sent,
        "processed": sent - sum(call["cached_tokens"] for call in calls),
        "calls": len(calls),
        "new": sum(call["new_tokens"] for call in calls),
        "engine seconds": sum(call["seconds"] for call in calls),
        "wall seconds": wall,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--papers", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=3000)
    parser.add_argument("--turns", type=int, default=2)
    args = parser.parse_args()
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        papers = Path(folder) / "papers.json"
        write_papers(papers, args.papers, args.tokens)
        for turn in range(args.turns):
            for name in list(SIDES)[:: 1 if turn % 2 == 0 else -1]:
                seen[name].append(judge(papers, SIDES[name]))
                print(name, {key: round(value, 1) for key, value in seen[name][-1].items()}, flush=True)
    one, five = ({key: statistics.median(side[key] for side in seen[name]) for key in seen[name][0]} for name in SIDES)
    print("\n| | accuracy alone | all five | ratio | goal |\n|---|---|---|---|---|")
    for key, goal in (
        ("processed", TOKENS_GOAL),
        ("sent", None),
        ("new", None),
        ("calls", None),
        ("engine seconds", None),
        ("wall seconds", TIME_GOAL),
    ):
        print(f"| {key} | {one[key]:,.0f} | {five[key]:,.0f} | {five[key] / one[key]:.2f} | {goal or ''} |")


if __name__ == "__main__":
    main()
