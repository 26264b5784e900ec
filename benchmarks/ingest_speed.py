"""01 over 300 papers: keywords in batches against KeyBERT for each paper, and several processes against one.

    python benchmarks/ingest_speed.py [--papers 300] [--workers 2]

The baseline is what 01 does without batches and processes: each file read, KeyBERT asked to embed the paper's own
candidates, one paper at a time. The papers are allofplos's 122, repeated under other DOIs. Start-up (importing torch,
loading the encoder, starting processes) is left out: each way runs over a third of the files too, and the difference
of the two runs counts. `agreement` is the share of the baseline's keywords that a way finds as well.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from sciqag_lib.ingest import PreparedPaper, prepare_papers, read_papers
from sciqag_lib.ingest import keywords as ours
from sciqag_lib.paths import resolve_path
from sciqag_lib.records.papers import Paper, read_papers_json

Keywords = list[list[str]]


def write_papers(folder: Path, number: int) -> list[Path]:
    """`number` files: the corpus's papers in turn, from the second time on under DOIs of their own."""
    sources = sorted(resolve_path("package://allofplos/starter_corpus").glob("*.xml"))
    paths = []
    for place in range(number):
        text = sources[place % len(sources)].read_text(encoding="utf-8")
        if place >= len(sources):
            text = text.replace('pub-id-type="doi">', f'pub-id-type="doi">10.9999/copy.{place}.', 1)
        paths.append(folder / f"{place:04d}.xml")
        paths[-1].write_text(text, encoding="utf-8")
    return paths


def ask_keybert(paper: Paper) -> list[str]:
    """The same candidates and the same choice, the embeddings left to KeyBERT."""
    head = ours._find_head(paper)
    candidates = ours.find_candidates(head, paper.txt)
    if not candidates:
        return []
    with ours._one_thread():
        chosen = ours._load_keybert().extract_keywords(
            head,
            vectorizer=ours._make_vectorizer(list(candidates)),
            top_n=min(2 * ours.NUM_KEYWORDS, len(candidates)),
            use_mmr=True,
            diversity=ours.DIVERSITY,
        )
    return ours._drop_near_copies([candidates[phrase] for phrase, _ in chosen])[: ours.NUM_KEYWORDS]


def run_baseline(paths: list[Path]) -> Keywords:
    papers = [item.paper for item in read_papers(list(paths)) if isinstance(item, PreparedPaper)]
    return [paper.keywords or ask_keybert(paper) for paper in tqdm(papers, unit="paper", desc="baseline")]


def run_workers(number: int) -> Callable[[list[Path]], Keywords]:
    def run(paths: list[Path]) -> Keywords:
        with tempfile.TemporaryDirectory() as folder:
            report = prepare_papers(list(paths), folder, workers=number)
            return [paper.keywords for paper in read_papers_json(report.papers_path)]

    return run


def measure(run: Callable[[list[Path]], Keywords], paths: list[Path]) -> tuple[float, Keywords]:
    """Seconds over the last two thirds of the files, and the keywords of all papers."""
    seconds = []
    for part in (paths[: len(paths) // 3], paths):
        started = time.perf_counter()
        keywords = run(part)
        seconds.append(time.perf_counter() - started)
    return seconds[1] - seconds[0], keywords


def measure_agreement(found: Keywords, expected: Keywords) -> float:
    common = sum(len(set(mine) & set(theirs)) for mine, theirs in zip(found, expected, strict=True))
    return common / sum(len(set(theirs)) for theirs in expected)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--papers", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    ways = {"baseline, KeyBERT per paper": run_baseline, "1 process": run_workers(1)}
    ways[f"{args.workers} processes"] = run_workers(args.workers)
    ours._load_keybert()
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = write_papers(Path(folder), args.papers)
        for name, run in ways.items():
            rows[name] = measure(run, paths)
    seconds = pd.Series({name: row[0] for name, row in rows.items()})
    first, second, third = rows
    table = pd.DataFrame({"seconds": seconds, "papers/s": args.papers * 2 / 3 / seconds})
    table["times baseline"] = seconds[first] / seconds
    table["times 1 process"] = seconds[second] / seconds
    table["agreement"] = [measure_agreement(row[1], rows[first][1]) for row in rows.values()]
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
