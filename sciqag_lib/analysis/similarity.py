"""How alike a paper's questions are: every pair of them scored, beside questions of different papers.

SciQAG (arXiv 2405.09939) scores the 45 pairs of a paper's 10 questions. Two modes, whose scores are never mixed:
"embedding", the cosine of two question vectors, from -1 to 1, and "llm", a model's judgement of whether two questions
ask for the same (question_judge.py), from 0 to 1. A row of similarity.parquet, indices from 0, i above j:

    doi,i,j,score
    10.1371/journal.pone.0000217,1,0,0.4127
"""

import hashlib
import heapq
import json
import math
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sciqag_lib.checks.duplicates import QuestionStore, check_threshold, write_near_duplicates
from sciqag_lib.engines.embeddings import Embedder
from sciqag_lib.errors import InputError
from sciqag_lib.metrics.intervals import Estimate, estimate_between, estimate_mean
from sciqag_lib.records.papers import Paper
from sciqag_lib.records.qa_records import read_usable
from sciqag_lib.tables import TableWriter, show_notes, write_report, write_table

VERSION = 1
REPORT = "similarity.json"
EDGES = {"embedding": np.linspace(-1, 1, 81), "llm": np.linspace(-0.025, 1.025, 22)}  # judges like multiples of 5
LOW, HIGH = 0.3, 0.7  # the published shares: below and above, of judged scores only
MAX_NULL_PAPERS = 300  # 3,000 questions, 4.5 million pairs: more would not move the baseline's third digit
LISTED = 20
PAIR_COLUMNS = {"doi": "text", "i": "whole", "j": "whole", "score": "real"}
PAPER_COLUMNS = {
    "doi": "text",
    "questions": "whole",
    "pairs": "whole",
    "missing": "whole",
    "mean": "real",
    "max": "real",
}


@dataclass
class SimilarityReport:
    """What stands in similarity.json."""

    mode: str
    model: str
    within: Estimate  # mean score of two questions of one paper, 95% interval over papers
    null: Estimate  # the same of two questions of different papers: what no likeness at all looks like
    num_papers: int
    num_pairs: int
    num_missing: int  # pairs without a score
    share_low: float | None  # of scores under 0.3 and over 0.7, "llm" only
    share_high: float | None
    edges: list[float]
    within_counts: list[int]  # pairs in each bin between edges
    null_counts: list[int]
    most_similar: list[dict[str, Any]]  # doi, i, j, score, question_i, question_j
    notes: list[str]  # what was left out, and why
    num_near_duplicates: int | None = None  # in the whole file, "embedding" only
    near_duplicate: float | None = None  # the score from which two questions count as near-duplicates
    version: int = VERSION


class SimilarityTables:
    """Takes each paper's scores as they come; of the pairs only counts and the most similar stay in memory."""

    def __init__(self, mode: str, pairs: TableWriter, papers: TableWriter) -> None:
        self.mode, self._pairs, self._papers = mode, pairs, papers
        self.sums, self.counts = array("d"), array("d")
        self.missing = self.low = self.high = 0
        self.histogram = np.zeros(len(EDGES[mode]) - 1, np.int64)
        self.notes: list[str] = []
        self._best: list[tuple[float, tuple[int, int], dict[str, Any]]] = []  # score, order in the file, pair

    def add(self, doi: str, questions: list[str], scores: np.ndarray) -> None:
        """`scores` (n, n), of which what is below the diagonal counts; nan is a missing score."""
        rows, columns = np.tril_indices(len(questions), -1)
        values = scores[rows, columns].astype(float)
        known = values[np.isfinite(values)]
        self._pairs.add(
            {"doi": doi, "i": int(i), "j": int(j), "score": round(float(value), 4)}
            for i, j, value in zip(rows, columns, values)
        )
        self._papers.add(
            [
                {
                    "doi": doi,
                    "questions": len(questions),
                    "pairs": len(values),
                    "missing": len(values) - len(known),
                    "mean": round(float(known.mean()), 4) if len(known) else math.nan,
                    "max": round(float(known.max()), 4) if len(known) else math.nan,
                }
            ]
        )
        self.sums.append(known.sum())
        self.counts.append(len(known))
        self.missing += len(values) - len(known)
        self.low += int((known < LOW).sum())
        self.high += int((known > HIGH).sum())
        self.histogram += count_scores(known, self.mode)
        self._keep_best(doi, questions, rows, columns, values)

    def _keep_best(
        self, doi: str, questions: list[str], rows: np.ndarray, columns: np.ndarray, values: np.ndarray
    ) -> None:
        floor = self._best[0][0] if len(self._best) == LISTED else -math.inf
        for place in np.flatnonzero(values > floor):
            i, j, score = int(rows[place]), int(columns[place]), float(values[place])
            entry = {
                "doi": doi,
                "i": i,
                "j": j,
                "score": round(score, 4),
                "question_i": questions[i],
                "question_j": questions[j],
            }
            push = heapq.heappush if len(self._best) < LISTED else heapq.heappushpop
            push(self._best, (score, (-len(self.sums), -int(place)), entry))

    def report(self, model: str, null: Estimate, null_counts: np.ndarray, seed: int) -> SimilarityReport:
        judged = sum(self.counts) if self.mode == "llm" else 0
        return SimilarityReport(
            self.mode,
            model,
            estimate_mean(self.sums, self.counts, seed),
            null,
            len(self.sums),
            int(sum(self.counts)) + self.missing,
            self.missing,
            self.low / judged if judged else None,
            self.high / judged if judged else None,
            [round(float(edge), 4) for edge in EDGES[self.mode]],
            self.histogram.tolist(),
            null_counts.tolist(),
            [entry for _, _, entry in sorted(self._best, reverse=True)],
            self.notes,
        )


def count_scores(values: np.ndarray, mode: str) -> np.ndarray:
    """Scores in each bin; what rounding put outside the scale counts at its end."""
    edges = EDGES[mode]
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]


def usable_records(file_path: str | Path, notes: list[str], limit: int | None = None) -> Iterator[Paper]:
    """The records with at least two questions; `notes` says what the others are. `limit` counts records used."""
    number = 0
    for record in read_usable(file_path, notes):
        if record.pairs and limit is not None and number >= limit:
            return
        if record.doi and len(record.pairs) < 2:
            notes.append(f"{record.name}: {len(record.pairs) or 'no'} question, so there is no pair to score")
        if record.pairs:
            number += 1
            record.txt = ""  # hundreds of records wait for their vectors together, and only questions are scored
            yield record


def embed_similarity(
    file_path: str | Path,
    output_dir: str | Path,
    embedder: Embedder,
    near_duplicate: float = 0.95,
    limit: int | None = None,
    seed: int = 0,
) -> SimilarityReport:
    """Score all pairs of each paper's questions by cosine, and find near-duplicate questions in the whole file.

    Writes similarity, papers and near_duplicates (.parquet and .csv) and similarity.json into `output_dir`. Raises
    InputError where the file holds no question, or `output_dir` holds judged scores.
    """
    check_threshold(near_duplicate)  # before the hours, not after them
    output_dir = claim_folder(output_dir, "embedding")
    sample = NullSample(seed)
    with ExitStack() as stack:
        tables = SimilarityTables(
            "embedding",
            stack.enter_context(write_table(output_dir, "similarity", PAIR_COLUMNS)),
            stack.enter_context(write_table(output_dir, "papers", PAPER_COLUMNS)),
        )
        store = QuestionStore()
        records = usable_records(file_path, tables.notes, limit)
        groups = ((record, record.questions) for record in records)
        for record, vectors in tqdm(embedder.embed_groups(groups, "similarity"), unit="paper", desc="scoring"):
            if not np.isfinite(vectors).all():
                tables.notes.append(f"{record.name}: the model gives no numbers (nan) for its questions; left out")
                continue
            store.add(record, vectors)
            if record.doi and len(record.pairs) > 1:
                tables.add(record.doi, record.questions, vectors @ vectors.T)
                sample.add(record.doi, vectors)
        if not len(store):
            raise InputError(f"{file_path}: holds no question that can be scored" + first_note(tables.notes))
        null, null_counts = sample.measure()
        report = tables.report(embedder.model_id, null, null_counts, seed)
        report.near_duplicate, report.num_near_duplicates = (
            near_duplicate,
            write_near_duplicates(store, output_dir, near_duplicate),
        )
    write_report(output_dir / REPORT, report)
    return report


class NullSample:
    """Up to MAX_NULL_PAPERS papers, chosen by a hash of their doi, so that the order of the file does not matter."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._kept: list[tuple[int, str, np.ndarray]] = []

    def add(self, doi: str, vectors: np.ndarray) -> None:
        rank = int.from_bytes(hashlib.sha256(f"{self._seed}\0{doi}".encode()).digest()[:8], "big")
        push = heapq.heappush if len(self._kept) < MAX_NULL_PAPERS else heapq.heappushpop
        push(self._kept, (-rank, doi, vectors))

    def measure(self) -> tuple[Estimate, np.ndarray]:
        """The mean score of questions of different papers, and its histogram; each pair counts once there."""
        groups = [vectors for _, _, vectors in sorted(self._kept, key=lambda entry: entry[:2])]
        counts, sums = np.zeros(len(EDGES["embedding"]) - 1, np.int64), np.zeros((len(groups), len(groups)))
        sizes = np.array([len(vectors) for vectors in groups], int)
        starts = np.cumsum(sizes) - sizes
        every = np.concatenate(groups) if groups else np.zeros((0, 1), np.float32)
        for number, vectors in enumerate(groups):
            scores = vectors @ every.T
            sums[number] = np.add.reduceat(scores.sum(axis=0, dtype=float), starts)
            counts += count_scores(scores[:, starts[number] + len(vectors) :], "embedding")
        return estimate_between(sums, np.outer(sizes, sizes), self._seed), counts


def check_mode(mode: str) -> None:
    if mode not in EDGES:
        raise InputError(f"mode: expected one of {', '.join(EDGES)}, found {mode!r}")


def claim_folder(output_dir: str | Path, mode: str) -> Path:
    """The folder, made where it is missing; InputError where it holds the other mode's scores."""
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    found = read_report(output_dir)
    before = found.get("mode") if found else "llm" if (output_dir / "ledger.jsonl").exists() else mode
    if before != mode:
        raise InputError(
            f"{output_dir}: holds scores of mode {before!r}, which are never mixed with those of mode "
            f"{mode!r}; choose another output_dir"
        )
    return output_dir


def read_report(output_dir: Path) -> dict[str, Any] | None:
    try:
        return json.loads((output_dir / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # no run ended there


def first_note(notes: list[str]) -> str:
    return f"; the first of {len(notes)} notes: {notes[0]}" if notes else ""


def read_scores(output_dir: str | Path, doi: str | None = None) -> tuple[str, np.ndarray]:
    """A paper's scores from similarity.parquet as a matrix (n, n), nan on and above the diagonal; None is the first."""
    import pyarrow.parquet

    path = Path(output_dir) / "similarity.parquet"
    if doi is None:
        file = pyarrow.parquet.ParquetFile(path)
        if not file.metadata.num_rows:
            raise InputError(f"{path}: holds no scores")
        doi = next(file.iter_batches(1, columns=["doi"])).column(0)[0].as_py()
    rows = pyarrow.parquet.read_table(path, filters=[("doi", "=", doi)]).to_pylist()
    if not rows:
        raise InputError(f"{path}: holds no scores of {doi!r}")
    size = max(row["i"] for row in rows) + 1
    scores = np.full((size, size), np.nan)
    for row in rows:
        scores[row["i"], row["j"]] = math.nan if row["score"] is None else row["score"]
    return doi, scores


def show_similarity(report: SimilarityReport) -> None:
    """Print the corpus numbers, each beside its null baseline."""
    print(f"mode {report.mode} | {report.model}")
    print(
        f"papers: {report.num_papers:,}, pairs: {report.num_pairs:,}, of them without a score: {report.num_missing:,}"
    )
    print(f"two questions of one paper:          mean {report.within}")
    print(f"two questions of different papers:   mean {report.null}   <- the null baseline")
    if report.within.low <= report.null.high:  # not so where one of them is nan
        print("The intervals overlap: these scores do not tell questions of one paper from questions of two.")
    if report.share_low is not None:
        print(f"under {LOW}: {report.share_low:.2%}, over {HIGH}: {report.share_high:.2%} (published: 87.29%, 2.27%)")
    if report.num_near_duplicates is not None:
        print(
            f"near-duplicates in the whole file (cosine of {report.near_duplicate:g} or more): "
            f"{report.num_near_duplicates:,} pairs, all in near_duplicates.csv"
        )
    show_notes(report.notes, LISTED, REPORT, "left out")


def show_pairs(pairs: Iterable[dict[str, Any]], number: int = 5) -> None:
    for pair in list(pairs)[:number]:
        print(f"{pair['score']:.2f}  {pair['doi']}")
        print(f"      {pair['i']}: {pair['question_i']}\n      {pair['j']}: {pair['question_j']}")
