"""A dataset of 188,000 pairs against one of 18,800: time and memory of a build, its export and the near search.

    python benchmarks/build_speed.py [--pairs 188000] [--turns 1]

The corpus is made up: papers of 23,000 characters (the mean of 25 released papers) with nine pairs each, in the 24
categories, with 1,000 planted copies of questions, all of them exact but for case, and scores of all five dimensions,
which pass the filter, so that every planted copy must be found.

1. `build_dataset` and `export_dataset` in all formats, each size in a process of its own, with scores, filters and a
   benchmark file, without an encoder: seconds, the ratio of the two (goal: at most 13 for ten times the pairs), peak
   memory (goal: under 1 GB).
2. The same search with vectors that cost nothing (drawn at random, one in a hundred planted near): what comparing all
   questions takes on top. It grows with the square; with a real encoder, encoding takes most of the time, as measured.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from overhead import read_peak

from sciqag_lib.dataset.build import build_dataset
from sciqag_lib.dataset.exports import export_dataset
from sciqag_lib.engines.embeddings import Embedder, open_embedder
from sciqag_lib.racar.judging import DIMENSIONS
from sciqag_lib.records.categories import read_categories
from sciqag_lib.tables import write_table

TEXT_LENGTH, PAIRS_A_PAPER, NUM_PLANTED = 23_000, 9, 1000
GOAL_RATIO, GOAL_MB, SHARE = 13, 1000, 10
WIDTH, THRESHOLD = 384, 0.95
SENTENCE = "The sample numbered {} was annealed at {} degrees for {} hours and its conductivity rose by {} percent. "
SCORE_COLUMNS = {
    "record": "text",
    "doi": "text",
    "pair": "whole",
    "arm": "text",
    "dimension": "text",
    "repeat": "whole",
    "scale": "text",
    "score": "whole",
}


def write_corpus(folder: Path, num_pairs: int) -> None:
    """qas.json, benchmark.json and scores.parquet; the last NUM_PLANTED pairs repeat the questions of the first."""
    names = list(read_categories())
    num_papers = -(-num_pairs // PAIRS_A_PAPER)
    path = folder / "qas.json"
    with path.open("w", encoding="utf-8") as file, write_table(folder, "scores", SCORE_COLUMNS) as table:
        for paper in range(num_papers):
            first = paper * PAIRS_A_PAPER
            numbers = range(first, min(first + PAIRS_A_PAPER, num_pairs))
            text = "".join(SENTENCE.format(paper, place, paper % 97, place % 89) for place in range(250))[:TEXT_LENGTH]
            doi = f"10.1000/made.up.{paper}"
            pairs = [
                {"Q": make_question(number, num_pairs), "A": f"By {number % 89} percent after {number} hours."}
                for number in numbers
            ]
            record = {
                "doi": doi,
                "txt": text,
                "title": f"Paper {paper}",
                "category": names[paper % len(names)],
                "num_Q&A": len(pairs),
                "Q&A": pairs,
            }
            file.write(("," if paper else "[") + json.dumps(record) + "\n")
            table.add(
                {
                    "record": f"record {paper + 1}",
                    "doi": doi,
                    "pair": pair,
                    "arm": "own",
                    "dimension": dimension,
                    "repeat": 0,
                    "scale": "1-3",
                    "score": 3,
                }
                for pair in range(len(pairs))
                for dimension in DIMENSIONS
            )
        file.write("]\n")
    known = range(NUM_PLANTED, num_pairs - NUM_PLANTED, num_pairs // 100)  # none of those that are planted
    questions = [{"Q": make_question(number, num_pairs), "A": "It rose."} for number in known]
    (folder / "benchmark.json").write_text(json.dumps(questions), encoding="utf-8")


def make_question(number: int, num_pairs: int) -> str:
    planted = number >= num_pairs - NUM_PLANTED
    number = number - (num_pairs - NUM_PLANTED) if planted else number
    text = f"Why did the conductivity of sample {number} rise by {number % 89} percent after {number % 97} hours?"
    return text.upper() if planted else text


class FreeEncoder:
    """Vectors drawn from the question's number; every hundredth is nearly that of the one before."""

    prompts: dict[str, str] = {}
    default_prompt_name = None

    def encode(self, texts: list[str], **options: Any) -> Any:
        import torch

        rows = np.empty((len(texts), WIDTH), np.float32)
        for row, text in zip(rows, texts):
            number = int(text.split()[6])
            source = number - 1 if number % 100 == 1 else number
            row[:] = np.random.default_rng(source).standard_normal(WIDTH, np.float32)
            if source != number:
                row[0] += 0.5
        return torch.from_numpy(rows)

    def to(self, dtype: Any) -> "FreeEncoder":
        return self


def run_build(folder: Path, near: bool) -> None:
    """In a process of its own; prints what was measured as JSON."""
    embedder = Embedder(FreeEncoder(), "free", None) if near else None
    output = folder / "out"
    started = time.perf_counter()
    report = build_dataset(
        folder / "qas.json",
        output,
        train_filter={"context_bound": "strict"},
        test_filter={"min_score": 3},
        test_size=50,
        evaluation_dir=folder,
        benchmark=folder / "benchmark.json",
        embedder=embedder,
        near_duplicate=THRESHOLD,
    )
    built = time.perf_counter()
    if not near:
        export_dataset(output / "pairs.parquet", output, None, report.make_card_facts(), folder / "qas.json")
    found = {reason: sum(counts.values()) for reason, counts in report.matches.items()}
    check_planted(found, report.asked, near)
    print(
        json.dumps(
            {
                "pairs": report.asked,
                "kept": report.kept,
                "found": found,
                "build": built - started,
                "export": time.perf_counter() - built,
                "MB": read_peak() / 1024,
            }
        )
    )


def check_planted(found: dict[str, int], num_pairs: int, near: bool) -> None:
    exact = found["in_test"] + found["duplicate"]
    neighbours = len(range(1, num_pairs - NUM_PLANTED, 100))
    found_near = sum(count for reason, count in found.items() if reason.startswith("near_"))
    if exact != NUM_PLANTED or (near and found_near < neighbours):
        raise SystemExit(
            f"planted {NUM_PLANTED} copies and {neighbours} near questions, found {exact} and {found_near}"
        )


def measure(folder: Path, near: bool) -> dict[str, Any]:
    command = [sys.executable, __file__, "--run", str(folder), "near" if near else "exact"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def show(title: str, found: dict[str, Any]) -> None:
    matches = ", ".join(f"{reason} {count:,}" for reason, count in found["found"].items())
    print(
        f"{title}: {found['pairs']:,} pairs, {found['kept']:,} kept: build {found['build']:.1f} s, export "
        f"{found['export']:.1f} s, peak {found['MB']:.0f} MB (goal: under {GOAL_MB}); matches: {matches}",
        flush=True,
    )


def compare_sizes(folders: list[Path], turns: int) -> None:
    for near in (False, True):
        ratios = []
        for _ in range(turns):
            small, large = (measure(folder, near) for folder in folders)
            for found in (small, large):
                show("with vectors" if near else "exact", found)
            ratios.append((large["build"] + large["export"]) / (small["build"] + small["export"]))
        goal = f" (goal: {GOAL_RATIO})" if not near else ", all pairs compared"
        print(
            f"{'with vectors' if near else 'exact'}: {SHARE} times the pairs take {statistics.median(ratios):.1f} "
            f"times as long{goal}; all {[round(ratio, 2) for ratio in ratios]}",
            flush=True,
        )


def show_encoding() -> None:
    texts = [make_question(number, 10**9) for number in range(1500)]
    embedder = open_embedder()
    embedder.embed(texts[:300])
    started = time.perf_counter()
    embedder.embed(texts[300:])
    print(
        f"the packaged encoder: {1200 / (time.perf_counter() - started):,.0f} questions a second, so 188,000 take "
        f"{188_000 * (time.perf_counter() - started) / 1200 / 60:.0f} minutes"
    )


def main() -> None:
    if sys.argv[1:2] == ["--run"]:
        run_build(Path(sys.argv[2]), sys.argv[3] == "near")
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=188_000)
    parser.add_argument("--turns", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folders = [Path(folder) / "small", Path(folder) / "large"]
        for path, size in zip(folders, (options.pairs // SHARE, options.pairs)):
            path.mkdir()
            write_corpus(path, size)
        compare_sizes(folders, options.turns)
    show_encoding()


if __name__ == "__main__":
    main()
