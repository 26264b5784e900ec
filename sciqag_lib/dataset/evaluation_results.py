"""What 05_evaluation found of the pairs of a file, looked up pair by pair: the judge's scores and the checks.

    results = read_results(Path("runs/demo/05_evaluation"))     # scores and checks, .parquet or .csv, what is there
    results.find_check("10.1/x", "How ...?", "It ...")          # Check or None
    results.find_scores("record 1", "10.1/x", 3, "How ...?", "It ...")  # {"accuracy": 2.5}

Checks are found by the pair's own words, so that a file which was cut or sorted since then has those that still hold.
Scores stand by number: they are used where the checks beside them have the same words under that number, or, where
there are no checks, as they are.
"""

import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sciqag_lib.dataset.filters import Check
from sciqag_lib.errors import InputError
from sciqag_lib.racar.judging import DIMENSIONS
from sciqag_lib.records.papers import normalize_doi

SCORE_COLUMNS = {
    "record": "text",
    "doi": "text",
    "pair": "whole",
    "arm": "text",
    "dimension": "text",
    "scale": "text",
    "score": "real",
}
CHECK_COLUMNS = {
    "doi": "text",
    "pair": "whole",
    "question": "text",
    "answer": "text",
    "support": "real",
    "rejected_by": "text",
}
AMBIGUOUS = -1  # under this key stand pairs of several records


@dataclass
class EvaluationResults:
    scale: str = ""  # "1-3", "1-5"; "" where nothing is scored
    dimensions: tuple[str, ...] = ()  # of which there is a score
    judge: dict[str, Any] = field(default_factory=dict)  # model, prompt, scale and null_means, as racar.json has them
    useless: list[str] = field(default_factory=list)  # dimensions on which it does not tell pairs from a baseline
    num_checks: int = 0
    num_foreign: int = 0  # pairs that stood under a number of the file, but with other words: not used
    _sums: array = field(default_factory=lambda: array("d"), repr=False)  # five a pair
    _counts: array = field(default_factory=lambda: array("L"), repr=False)
    _rows: dict[bytes, int] = field(default_factory=dict, repr=False)  # key of a pair: its place in these
    _checks: dict[bytes, Check] = field(default_factory=dict, repr=False)
    _words: dict[bytes, bytes | None] = field(default_factory=dict, repr=False)  # None: several pairs

    @property
    def top(self) -> int | None:
        return int(self.scale.rpartition("-")[2]) if self.scale else None

    def find_check(self, name: str, question: str, answer: str) -> Check | None:
        return self._checks.get(_digest(normalize_doi(name), question, answer))

    def find_scores(self, where: str, doi: str, pair: int, question: str, answer: str) -> dict[str, float]:
        """By dimension, the mean of the repeats; {} where the pair was not judged."""
        paper = normalize_doi(doi)
        row = self._rows.get(_digest(where, paper, str(pair)))
        if row is None and paper:
            row = self._rows.get(_digest(paper, str(pair)))
        if row is None or row == AMBIGUOUS:
            return {}
        words = self._words.get(_digest(paper or where, str(pair)))
        if words is not None and words != _digest(question, answer):
            self.num_foreign += 1
            return {}
        places = range(len(DIMENSIONS) * row, len(DIMENSIONS) * (row + 1))
        return {
            name: self._sums[place] / self._counts[place]
            for name, place in zip(DIMENSIONS, places)
            if self._counts[place]
        }

    def add_score(self, row: dict[str, Any]) -> None:
        paper = normalize_doi(row["doi"] or "")
        key = _digest(row["record"], paper, str(row["pair"]))
        known = self._rows.get(key)
        if known is None:
            known = self._rows[key] = len(self._sums) // len(DIMENSIONS)
            self._sums.extend([0.0] * len(DIMENSIONS))
            self._counts.extend([0] * len(DIMENSIONS))
        if paper and self._rows.setdefault(_digest(paper, str(row["pair"])), known) != known:
            self._rows[_digest(paper, str(row["pair"]))] = AMBIGUOUS
        place = len(DIMENSIONS) * known + DIMENSIONS.index(row["dimension"])
        self._sums[place] += row["score"]
        self._counts[place] += 1

    def add_check(self, row: dict[str, Any]) -> None:
        name, words = normalize_doi(row["doi"]), _digest(row["question"], row["answer"])
        reasons = tuple((row["rejected_by"] or "").split())
        self._checks[_digest(name, row["question"], row["answer"])] = Check(reasons, row["support"])
        key = _digest(name, str(row["pair"]))
        self._words[key] = None if self._words.get(key, words) != words else words
        self.num_checks += 1


def _digest(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=12).digest()


def read_results(folder: Path | None) -> EvaluationResults:
    """What lies in the folder of a 05_evaluation run; None is nothing.

    InputError: there is no such folder or neither table in it, or one cannot be read or has scores of two scales.
    """
    results = EvaluationResults()
    if folder is None:
        return results
    paths = {name: _find_table(folder, name) for name in ("scores", "checks")}
    if not any(paths.values()):
        raise InputError(
            f"{folder}: expected the scores or checks that 05_evaluation writes (.parquet or .csv), found "
            f"neither; give its output_dir, or null"
        )
    if paths["scores"]:
        _read_scores(results, paths["scores"])
    if paths["checks"]:
        for row in read_table(paths["checks"], CHECK_COLUMNS):
            results.add_check(row)
    _read_judge(results, folder / "racar.json")
    return results


def find_evaluation(folder: Path | None, output_dir: Path) -> Path | None:
    """The folder; where none is named the 05_evaluation beside `output_dir`, as a chain of notebooks leaves it."""
    beside = output_dir.parent / "05_evaluation"
    return folder or (beside if beside.is_dir() else None)


def _find_table(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.parquet", folder / f"{name}.csv") if path.exists()), None)


def _read_scores(results: EvaluationResults, path: Path) -> None:
    seen = set()
    for row in read_table(path, SCORE_COLUMNS):
        if row["arm"] != "own" or row["score"] is None:
            continue
        if row["dimension"] not in DIMENSIONS:
            raise InputError(f"{path}: expected the dimensions {', '.join(DIMENSIONS)}, found {row['dimension']!r}")
        if results.scale not in ("", row["scale"]):
            raise InputError(
                f"{path}: expected scores of one scale, found {results.scale} and {row['scale']}; "
                f"judge all pairs on the same"
            )
        results.scale = row["scale"]
        seen.add(row["dimension"])
        results.add_score(row)
    results.dimensions = tuple(name for name in DIMENSIONS if name in seen)


def _read_judge(results: EvaluationResults, path: Path) -> None:
    if not path.exists():
        return
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        results.judge = {key: str(report[key]) for key in ("model", "prompt", "scale")}
        results.judge["null_means"] = {
            name: {arm: null["score"]["mean"] for arm, null in dimension["nulls"].items() if null["score"]["mean"]}
            for name, dimension in report["dimensions"].items()
        }
        results.useless = [name for name in report["useless"] if name in results.dimensions]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: expected the report of 05_evaluation's judge, found {type(error).__name__}: {error}"
            f"; run 05_evaluation again"
        ) from error


def read_table(path: Path, columns: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The rows of a .parquet or .csv file, these columns only, streamed. InputError: not read, or one is missing."""
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    types = {"text": pyarrow.string(), "whole": pyarrow.int64(), "real": pyarrow.float64()}
    try:
        if path.suffix == ".parquet":
            batches = pyarrow.parquet.ParquetFile(path).iter_batches(columns=list(columns))
        else:
            convert = pyarrow.csv.ConvertOptions(
                column_types={name: types[kind] for name, kind in columns.items()}, include_columns=list(columns)
            )
            parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
            batches = pyarrow.csv.open_csv(path, parse_options=parse, convert_options=convert)
        for batch in batches:
            missing = [name for name in columns if name not in batch.schema.names]
            if missing:
                raise InputError(f"{path}: expected the columns {', '.join(columns)}, missing {', '.join(missing)}")
            yield from batch.to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as a table of 05_evaluation: {error}") from error
