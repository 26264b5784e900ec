"""The checks of a whole file against checking one pair at a time: seconds, and the memory of 188,000 pairs.

    python benchmarks/pair_checks_speed.py [--turns 5] [--papers 60] [--pairs 188000]

Papers are the research articles of the package allofplos, cut to 23,000 characters (the mean of 25 released papers),
each with ten pairs whose answers are sentences of it, one word left out of each, so that they have to be looked up.

1. The straightforward way takes each pair with its paper, splits and indexes the paper, and does the same checks; it
   finds no duplicates in the file and measures no null baseline. Ours is `write_pair_checks` whole: both of those, the
   report and all files included. The sides take turns, the first of a turn now one and now the other; the ratio is
   the median of the turns, of wall and of CPU time. Both must give the same rows.
2. `write_pair_checks` on `--pairs` pairs, in a process of its own: seconds and peak memory, imports included.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from overhead import read_peak

from sciqag_lib.checks.grounding import PaperIndex
from sciqag_lib.checks.pair_checks import COLUMNS, check_one_pair, write_pair_checks
from sciqag_lib.ingest import PreparedPaper, read_papers
from sciqag_lib.paths import resolve_path
from sciqag_lib.records.papers import QAPair
from sciqag_lib.text.sentences import split_sentences

CORPUS = "package://allofplos/starter_corpus"
TEXT_LENGTH, NUM_PAIRS = 23_000, 10
MEMORY_GOAL_MB, GOAL_RATIO = 1000, 3
IN_FILE = ("doi", "pair", "duplicate_of", "near_duplicate_of")  # what the straightforward way does not know


def make_papers() -> list[dict[str, Any]]:
    """Processed records of the package's papers."""
    found = (item.paper for item in read_papers([resolve_path(CORPUS)]) if isinstance(item, PreparedPaper))
    return [make_record(paper.txt[:TEXT_LENGTH]) for paper in found if len(paper.txt) >= TEXT_LENGTH]


def make_record(txt: str) -> dict[str, Any]:
    spans = [span for span in split_sentences(txt) if 60 < span[1] - span[0] < 300]
    pairs = []
    for start, end in spans[:: max(1, len(spans) // NUM_PAIRS)][:NUM_PAIRS]:
        words = txt[start:end].split()
        question = "How does " + " ".join(words[2:10]).rstrip(".,;") + " change?"
        pairs.append({"Q": question, "A": " ".join(words[:5] + words[6:])})
    return {"txt": txt, "title": "", "num_Q&A": len(pairs), "Q&A": pairs}


def write_corpus(path: Path, papers: list[dict[str, Any]], num_pairs: int) -> None:
    """The papers again and again under other dois until there are `num_pairs` pairs, a list of JSON."""
    with path.open("w", encoding="utf-8") as file:
        for number, paper in enumerate(itertools.cycle(papers)):
            pairs = paper["Q&A"][:num_pairs]
            record = {"doi": f"10.1000/copy.{number}", **paper, "Q&A": pairs}
            file.write(("," if number else "[") + json.dumps(record, ensure_ascii=False) + "\n")
            num_pairs -= len(pairs)
            if num_pairs <= 0:
                break
        file.write("]\n")


def check_pairwise(path: Path, output: Path) -> None:
    """The straightforward way: each pair on its own, a list of rows, one table at the end."""
    rows = []
    for doi, number, pair, earlier, txt in _list_pairs(path):
        rows.append(
            {**dict.fromkeys(COLUMNS), "doi": doi, "pair": number, **check_one_pair(pair, earlier, PaperIndex(txt))}
        )
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), output)


def _list_pairs(path: Path) -> Iterator[tuple[str, int, QAPair, list[str], str]]:
    for record in json.loads(path.read_text(encoding="utf-8")):
        questions = [pair["Q"] for pair in record["Q&A"]]
        for number, pair in enumerate(record["Q&A"]):
            yield record["doi"], number, QAPair(pair["Q"], pair["A"]), questions[:number], record["txt"]


def compare_sides(papers: list[dict[str, Any]], turns: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, pairwise = Path(folder) / "qas.json", Path(folder) / "pairwise.parquet"
        num_pairs = sum(len(paper["Q&A"]) for paper in papers)
        write_corpus(path, papers, num_pairs)
        sides = {
            "pair at a time": lambda: check_pairwise(path, pairwise),
            "write_pair_checks": lambda: write_pair_checks(path, Path(folder) / "out"),
        }
        write_pair_checks(path, Path(folder) / "out")  # loads what both need
        ratios, cpu_ratios = [], []
        for turn in range(turns):
            seconds, cpu = {}, {}
            for name in list(sides)[:: -1 if turn % 2 else 1]:  # neither side is always the first
                started, worked = time.perf_counter(), time.process_time()
                sides[name]()
                seconds[name], cpu[name] = time.perf_counter() - started, time.process_time() - worked
            ratios.append(seconds["pair at a time"] / seconds["write_pair_checks"])
            cpu_ratios.append(cpu["pair at a time"] / cpu["write_pair_checks"])
            print(
                f"turn {turn + 1}: "
                + ", ".join(f"{name} {spent:.2f} s" for name, spent in sorted(seconds.items()))
                + f" for {num_pairs} pairs",
                flush=True,
            )
        rows, other = (
            pyarrow.parquet.read_table(file).drop_columns(IN_FILE).to_pylist()
            for file in (Path(folder) / "out" / "checks.parquet", pairwise)
        )
    if rows != other:
        raise SystemExit("the two sides differ: their times cannot be compared")
    print(
        f"write_pair_checks: {statistics.median(ratios):.1f} times as fast, the same rows (goal: {GOAL_RATIO}); all "
        f"{[round(ratio, 2) for ratio in ratios]}; in CPU time {statistics.median(cpu_ratios):.1f}, all "
        f"{[round(ratio, 2) for ratio in cpu_ratios]}"
    )


def run_in_memory(path: Path, folder: Path) -> None:
    """In a process of its own."""
    started = time.perf_counter()
    report = write_pair_checks(path, folder)
    print(json.dumps({"pairs": report.num_pairs, "seconds": time.perf_counter() - started, "kB": read_peak()}))


def measure_memory(papers: list[dict[str, Any]], num_pairs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "qas.json"
        write_corpus(path, papers, num_pairs)
        size = path.stat().st_size / 1e6
        command = [sys.executable, __file__, "--memory", str(path), str(Path(folder) / "out")]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found = json.loads(output.splitlines()[-1])
    print(
        f"{found['pairs']:,} pairs ({size:,.0f} MB): {found['seconds']:.0f} s, "
        f"{1000 * found['seconds'] / found['pairs']:.2f} ms a pair, peak {found['kB'] / 1024:.0f} MB "
        f"(goal: under {MEMORY_GOAL_MB})"
    )


def main() -> None:
    if sys.argv[1:2] == ["--memory"]:
        run_in_memory(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--papers", type=int, default=60, help="of the comparison")
    parser.add_argument("--pairs", type=int, default=188_000, help="of the memory measurement; 0 leaves it out")
    options = parser.parse_args()
    papers = make_papers()
    compare_sides(papers[: options.papers], options.turns)
    if options.pairs:
        measure_memory(papers, options.pairs)


if __name__ == "__main__":
    main()
