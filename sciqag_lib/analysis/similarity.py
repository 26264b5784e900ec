"""How alike a paper's questions are: every pair of them scored, beside questions of different papers.

SciQAG (arXiv 2405.09939) scores the 45 pairs of a paper's 10 questions. Two modes, whose scores are never mixed:
"embedding", the cosine of two question vectors, from -1 to 1, and "llm", a model's judgement of whether two questions
ask for the same (question_judge.py), from 0 to 1. A row of similarity.parquet, indices from 0, i above j:

    doi,i,j,score
    10.1371/journal.pone.0000217,1,0,0.4127
"""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nlargest
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from sciqag_lib.checks.duplicates import QuestionStore, check_threshold, write_near_duplicates
from sciqag_lib.engines.embeddings import Embedder
from sciqag_lib.errors import InputError, first_note
from sciqag_lib.metrics.intervals import Estimate, estimate_between, estimate_mean
from sciqag_lib.records.papers import Paper
from sciqag_lib.records.qa_records import read_usable
from sciqag_lib.tables import TableWriter, write_report, write_tables

if TYPE_CHECKING:
    import pandas

VERSION = 1
REPORT = "similarity.json"
EDGES = {"embedding": np.linspace(-1, 1, 81), "llm": np.linspace(-0.025, 1.025, 22)}  # judges like multiples of 5
LOW, HIGH = 0.3, 0.7  # the published shares: below and above, of judged scores only
MAX_NULL_PAPERS = 300  # 3,000 questions, 4.5 million pairs: more would not move the baseline's third digit
LISTED = 20
COLUMNS = {
    "similarity": {"doi": "text", "i": "whole", "j": "whole", "score": "real"},
    "papers": {"doi": "text"}
    | dict.fromkeys(("questions", "pairs", "missing"), "whole")
    | {"mean": "real", "max": "real"},
}


@dataclass
class SimilarityReport:
    """Contents of similarity.json."""

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

    def to_frame(self) -> "pandas.DataFrame":
        """The mean score beside its null baseline, and, of judged scores, the shares beside the published ones."""
        import pandas

        rows = {"two questions of one paper": self.within, "two questions of different papers": self.null}
        if self.share_low is not None:
            rows[f"under {LOW} (published: 87.29%)"] = f"{self.share_low:.2%}"
            rows[f"over {HIGH} (published: 2.27%)"] = f"{self.share_high:.2%}"
        return pandas.DataFrame({"score": rows}).map(str)


class SimilarityTables:
    """Takes each paper's scores as they come; of the pairs only scores and the most similar stay in memory."""

    def __init__(self, mode: str, tables: dict[str, TableWriter]) -> None:
        self.mode, self._tables = mode, tables
        self._papers: list[np.ndarray] = []  # the scores of each, nan where one is missing
        self.notes: list[str] = []
        self._best: list[tuple[float, str, int, int, str, str]] = []  # score, doi, i, j and the questions

    def add(self, doi: str, questions: list[str], scores: np.ndarray) -> None:
        """`scores` (n, n), of which what is below the diagonal counts; nan is a missing score."""
        rows, columns = np.tril_indices(len(questions), -1)
        values = scores[rows, columns].astype(float)
        known = values[np.isfinite(values)]
        scored = list(zip(rows.tolist(), columns.tolist(), values.tolist()))
        pairs = ({"doi": doi, "i": i, "j": j, "score": round(value, 4)} for i, j, value in scored)
        self._tables["similarity"].add(pairs)
        pairs = ((value, doi, i, j, questions[i], questions[j]) for i, j, value in scored if not math.isnan(value))
        self._best = nlargest(LISTED, chain(self._best, pairs), key=itemgetter(0))
        mean, best = (round(known.mean(), 4), round(known.max(), 4)) if len(known) else (math.nan, math.nan)
        missing = len(values) - len(known)
        self._tables["papers"].add_row(doi, len(questions), len(values), missing, float(mean), float(best))
        self._papers.append(values)

    def report(self, model: str, null: Estimate, null_counts: np.ndarray, seed: int) -> SimilarityReport:
        known = [values[np.isfinite(values)] for values in self._papers]
        scores = np.concatenate([np.zeros(0), *known])
        judged = len(scores) if self.mode == "llm" else 0
        within, counts = estimate_scores(known, self.mode, seed)
        return SimilarityReport(
            mode=self.mode,
            model=model,
            within=within,
            null=null,
            num_papers=len(known),
            num_pairs=sum(map(len, self._papers)),
            num_missing=sum(map(len, self._papers)) - len(scores),
            share_low=float((scores < LOW).mean()) if judged else None,
            share_high=float((scores > HIGH).mean()) if judged else None,
            edges=[round(float(edge), 4) for edge in EDGES[self.mode]],
            within_counts=counts.tolist(),
            null_counts=null_counts.tolist(),
            most_similar=[
                {"doi": doi, "i": i, "j": j, "score": round(score, 4), "question_i": first, "question_j": second}
                for score, doi, i, j, first, second in self._best
            ],
            notes=self.notes,
        )


def estimate_scores(papers: list[np.ndarray], mode: str, seed: int) -> tuple[Estimate, np.ndarray]:
    """The mean of the scores of all papers, and how many are in each bin."""
    mean = estimate_mean([scores.sum() for scores in papers], [len(scores) for scores in papers], seed)
    return mean, count_scores(np.concatenate([np.zeros(0), *papers]), mode)


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
    vectors_of: dict[str, np.ndarray] = {}  # by doi
    with write_tables(output_dir, COLUMNS) as writers:
        tables, store = SimilarityTables("embedding", writers), QuestionStore()
        records = usable_records(file_path, tables.notes, limit)
        groups = ((record, record.questions) for record in records)
        for record, vectors in tqdm(embedder.embed_groups(groups, "similarity"), unit="paper", desc="scoring"):
            if not np.isfinite(vectors).all():
                tables.notes.append(f"{record.name}: the model gives no numbers (nan) for its questions; left out")
                continue
            store.add(record, vectors)
            if record.doi and len(record.pairs) > 1:
                tables.add(record.doi, record.questions, vectors @ vectors.T)
                vectors_of[record.doi] = vectors
        if not len(store):
            raise InputError(f"{file_path}: holds no question that can be scored" + first_note(tables.notes))
        null, null_counts = measure_null(vectors_of, seed)
        report = tables.report(embedder.model_id, null, null_counts, seed)
        report.near_duplicate = near_duplicate
        report.num_near_duplicates = write_near_duplicates(store, output_dir, near_duplicate)
    write_report(output_dir / REPORT, report)
    return report


def measure_null(vectors: dict[str, np.ndarray], seed: int) -> tuple[Estimate, np.ndarray]:
    """The mean score of questions of different papers, and its histogram; each pair counts once there.

    `vectors` by doi; of more than MAX_NULL_PAPERS papers those with the lowest hash of their doi are taken, so that the
    order of the file does not matter.
    """
    by_hash = sorted(vectors, key=lambda doi: hashlib.sha256(f"{seed}\0{doi}".encode()).digest()[:8])
    groups = [vectors[doi] for doi in reversed(by_hash[:MAX_NULL_PAPERS])]
    counts, sums = np.zeros(len(EDGES["embedding"]) - 1, np.int64), np.zeros((len(groups), len(groups)))
    sizes = np.array([len(vectors) for vectors in groups], int)
    starts = np.cumsum(sizes) - sizes
    every = np.concatenate(groups) if groups else np.zeros((0, 1), np.float32)
    for number, vectors in enumerate(groups):
        scores = vectors @ every.T
        sums[number] = np.add.reduceat(scores.sum(axis=0, dtype=float), starts)
        counts += count_scores(scores[:, starts[number] + len(vectors) :], "embedding")
    return estimate_between(sums, np.outer(sizes, sizes), seed), counts


def check_mode(mode: str) -> None:
    if mode not in EDGES:
        raise InputError(f"mode: expected one of {', '.join(EDGES)}, found {mode!r}")


def claim_folder(output_dir: str | Path, mode: str) -> Path:
    """The folder, made where it is missing; InputError where it holds the other mode's scores."""
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    before = "llm" if (output_dir / "ledger.jsonl").exists() else mode
    try:
        before = json.loads((output_dir / REPORT).read_text(encoding="utf-8")).get("mode")
    except (OSError, ValueError):
        pass  # no run ended there
    if before != mode:
        raise InputError(
            f"{output_dir}: holds scores of mode {before!r}, which are never mixed with those of mode "
            f"{mode!r}; choose another output_dir"
        )
    return output_dir


def read_scores(output_dir: str | Path, doi: str | None = None) -> tuple[str, np.ndarray]:
    """A paper's scores from similarity.parquet as a matrix (n, n), nan on and above the diagonal; None is the first."""
    import pandas

    path = Path(output_dir) / "similarity.parquet"
    frame = pandas.read_parquet(path)
    rows = frame[frame["doi"] == (doi or next(iter(frame["doi"]), ""))]
    if rows.empty:
        raise InputError(f"{path}: holds no scores" + (f" of {doi!r}" if doi else ""))
    size = rows["i"].max() + 1
    scores = np.full((size, size), np.nan)
    scores[rows["i"], rows["j"]] = rows["score"]
    return rows["doi"].iloc[0], scores
