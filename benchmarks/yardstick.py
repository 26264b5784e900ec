"""Which check finds which fault, and what a judge makes of them: 100 pairs of ten papers, read and scored by hand.

    python benchmarks/yardstick.py
    python benchmarks/yardstick.py --judge openai --model NAME --base_url http://127.0.0.1:8000/v1

data/yardstick/pairs.jsonl holds ten pairs of each paper (PLOS, from the package allofplos), half of them bad in one
known way each, scored 1 to 3 on RACAR's dimensions by the levels in prompts/racar.yaml, with a reason for each score:

    {"doi": "10.1371/journal.pone.0111971", "pair": 3, "question": "...", "answer": "...", "fault": "changed_number",
     "change": "0.2 Å became 2 Å", "evidence": ["sentences of the paper ..."], "scores": {"relevance": 3, ...},
     "reasons": {"relevance": "...", ...}}

second_reader.jsonl holds the scores of a reader who saw the pairs in another order, without fault, evidence or scores.
Both readers are language models that read the papers whole, the first of them wrote the pairs: take their agreement for
what it is. The model-free checks were written before these pairs, which changed one rule of them (RESULTS.md).
"""

import argparse
import csv
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sciqag_lib.agreement.analysis import analyse_agreement
from sciqag_lib.agreement.score_table import COLUMNS
from sciqag_lib.checks.pair_checks import write_pair_checks
from sciqag_lib.checks.rules import REASONS
from sciqag_lib.engines import open_engine
from sciqag_lib.ingest import PreparedPaper, read_papers
from sciqag_lib.paths import resolve_path
from sciqag_lib.racar.judging import DIMENSIONS, make_judging
from sciqag_lib.racar.report import show_racar
from sciqag_lib.racar.run import score_file
from sciqag_lib.records.papers import Paper
from sciqag_lib.tables import show_notes

DATA = "data/yardstick"
FAULTS = ("swapped_answer", "changed_number", "context_bound", "incomplete", "contradiction")
READERS = {"first reader": "pairs.jsonl", "second reader": "second_reader.jsonl"}

Row = dict[str, Any]


def read_lines(name: str) -> list[Row]:
    with (resolve_path(DATA) / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read_yardstick_papers(pairs: list[Row]) -> Iterator[Paper]:
    """The papers of the pairs, in their order; SystemExit where the package lacks one."""
    for doi in dict.fromkeys(pair["doi"] for pair in pairs):
        path = resolve_path(f"package://allofplos/starter_corpus/{doi.removeprefix('10.1371/')}.xml")
        papers = [item.paper for item in read_papers([path]) if isinstance(item, PreparedPaper)]
        if len(papers) != 1:
            raise SystemExit(f"{path}: expected one paper, found {len(papers)}")
        yield papers[0]


def write_processed(path: Path, pairs: list[Row]) -> None:
    """The pairs with their papers as a processed output."""
    records = [
        {
            "doi": paper.doi,
            "title": paper.title,
            "txt": paper.txt,
            "Q&A": [{"Q": pair["question"], "A": pair["answer"]} for pair in pairs if pair["doi"] == paper.doi],
        }
        for paper in read_yardstick_papers(pairs)
    ]
    path.write_text(json.dumps(records), encoding="utf-8")


def check_pairs(processed: Path, folder: Path) -> list[Row]:
    """Rows of checks.parquet, in the order of the pairs."""
    import pyarrow.parquet

    write_pair_checks(processed, folder)
    return pyarrow.parquet.read_table(folder / "checks.parquet").to_pylist()


# What is looked for in a row of checks.parquet. rejected_by is also what a generated pair would be dropped for.
FINDERS: dict[str, Callable[[Row], bool]] = {
    "context_bound_strict": lambda row: row["context_bound_strict"],
    "context_bound_loose": lambda row: row["context_bound_loose"],
    "numbers not in the paper": lambda row: row["numbers_found"] < row["numbers_total"],
    **{reason: lambda row, reason=reason: reason in (row["rejected_by"] or "").split() for reason in REASONS},
    "any of rejected_by": lambda row: bool(row["rejected_by"]),
}


def count_finds(pairs: list[Row], rows: list[Row]) -> dict[str, dict[str, int]]:
    """For each check, how many pairs of each fault it names; "none" are the sound pairs."""
    counts = {name: dict.fromkeys((*FAULTS, "none"), 0) for name in FINDERS}
    for pair, row in zip(pairs, rows, strict=True):
        for name, finds in FINDERS.items():
            counts[name][pair["fault"] or "none"] += finds(row)
    return counts


def count_lowered(pairs: list[Row], scores: dict[tuple[str, int], dict[str, int]]) -> dict[str, dict[str, int]]:
    """For each dimension, how many pairs of each fault a reader gave less than the highest score."""
    counts = {name: dict.fromkeys((*FAULTS, "none"), 0) for name in (*DIMENSIONS, "any dimension")}
    for pair in pairs:
        given = scores[pair["doi"], pair["pair"]]
        for name in DIMENSIONS:
            counts[name][pair["fault"] or "none"] += given[name] < 3
        counts["any dimension"][pair["fault"] or "none"] += min(given.values()) < 3
    return counts


def show_counts(title: str, pairs: list[Row], counts: dict[str, dict[str, int]]) -> None:
    kinds = (*FAULTS, "none")
    totals = {kind: sum((pair["fault"] or "none") == kind for pair in pairs) for kind in kinds}
    print(f"\n| {title} | " + " | ".join(f"{kind}, of {totals[kind]}" for kind in kinds) + " |")
    print("|---" * (len(kinds) + 1) + "|")
    for name, found in counts.items():
        if any(found.values()):
            print(f"| {name} | " + " | ".join(str(found[kind]) for kind in kinds) + " |")
    silent = [name for name, found in counts.items() if not any(found.values())]
    print(f"Found in no pair: {', '.join(silent)}." if silent else "")


def write_scores(path: Path, pairs: list[Row]) -> None:
    """Both readers' scores as a table that the agreement analysis takes."""
    words = {(pair["doi"], pair["pair"]): len(pair["answer"].split()) for pair in pairs}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*COLUMNS, "answer_words"))
        for reader, name in READERS.items():
            for line in read_lines(name):
                key = line["doi"], line["pair"]
                writer.writerows(
                    (*key, dimension, reader, "expert", line["scores"][dimension], words[key])
                    for dimension in DIMENSIONS
                )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", default="none", help="llama_cpp, transformers or openai: an engine")
    parser.add_argument("--model", default=None, help="None is the packaged model, or what the server serves")
    parser.add_argument("--base_url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--context_size", type=int, default=16384)
    parser.add_argument("--null_papers", type=int, default=None, help="papers that get null baselines; None is all ten")
    parser.add_argument("--output_dir", type=Path, default=None, help="keeps the judge's scores, and goes on there")
    args = parser.parse_args(arguments)
    pairs = read_lines(READERS["first reader"])
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.output_dir or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        processed, judges = folder / "pairs.json", {}
        write_processed(processed, pairs)
        show_counts("check", pairs, count_finds(pairs, check_pairs(processed, folder / "checks")))
        for reader, name in READERS.items():
            scores = {(line["doi"], line["pair"]): line["scores"] for line in read_lines(name)}
            show_counts(f"{reader}: less than 3", pairs, count_lowered(pairs, scores))
        if args.judge != "none":
            with open_engine(args.judge, args.model, args.context_size, base_url=args.base_url) as engine:
                report = score_file(processed, folder / "judge", engine, make_judging(null_papers=args.null_papers))
            show_racar(report)
            print(report.to_frame().to_string(index=False))
            judges[args.judge] = folder / "judge" / "scores.parquet"
        write_scores(folder / "readers.csv", pairs)
        report = analyse_agreement(folder / "readers.csv", folder / "agreement", judges=judges)
        print(f"agreement on {report.num_pairs} pairs of {report.num_papers} papers")
        print(report.to_frame().to_string())
        show_notes(report.notes, 20, "agreement.json")


if __name__ == "__main__":
    main()
