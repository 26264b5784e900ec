"""Tables of scores given to question-answer pairs by experts and judges: CSV or Parquet, one score a row.

    paper,pair,dimension,rater,kind,score,answer_words
    10.5555/sciqag.sample.1,0,relevance,expert 1,expert,3,29

paper: the DOI; pair: its number within the paper; dimension: one of RACAR's five; rater: a name, the same in all rows
of one person or judge; kind: expert or judge; score: a number from 1 to the scale's end, whole or the mean of repeats,
empty where the rater gave none. answer_words, the answer's length, may be left out, and other columns are ignored. A
row that can't be used is named with its file, line and column, and the rest goes on. The scores.parquet (or .csv) of
05_evaluation is read as it is, as a judge under a name of its own.
"""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.racar.judging import DIMENSIONS
from sciqag_lib.records.papers import normalize_doi

KINDS = ("expert", "judge")
COLUMNS = ("paper", "pair", "dimension", "rater", "kind", "score")
LENGTH = "answer_words"
JUDGED_COLUMNS = ("record", "doi", "pair", "arm", "dimension", "scale", "score")  # of racar/report.py
SCALES = (3, 5)

Pair = tuple[str, str]  # paper, number within it
PlacedRows = Iterator[tuple[str, dict[str, Any] | BadRecord]]  # each with its place, "line 3" or "row 3"
Paths = str | Path | Sequence[str | Path]


@dataclass
class ScoreTable:
    """What the raters gave, as one array of all pairs for each dimension and rater."""

    scale: int
    pairs: list[Pair]  # sorted, so that the order of the file changes no number
    papers: np.ndarray  # (pairs,) the number of each pair's paper
    raters: dict[str, str]  # name: "expert" or "judge", in the order of their names
    scores: dict[tuple[str, str], np.ndarray]  # dimension and rater: (pairs,), nan where there is no score
    lengths: np.ndarray  # (pairs,) words of the answer, nan where not given
    bad: list[BadRecord]  # rows that could not be used
    notes: list[str]  # what was found twice or is missing

    def of_kind(self, kind: str) -> list[str]:
        return [rater for rater, found in self.raters.items() if found == kind]

    def experts_mean(self, dimension: str) -> np.ndarray:
        """(pairs,) mean of the experts, nan where fewer than two scored the pair, or none if only one scores at all.

        Means of one and of several experts are not mixed: they differ in how far they can be relied on.
        """
        scores = self.ratings(dimension, [name for name in self.of_kind("expert") if (dimension, name) in self.scores])
        counts = np.isfinite(scores).sum(1)
        enough = (counts > 0) & (counts >= min(2, scores.shape[1]))
        return np.where(enough, np.nansum(scores, axis=1) / np.maximum(counts, 1), math.nan)

    def ratings(self, dimension: str, raters: Sequence[str]) -> np.ndarray:
        """(pairs, raters), nan where there is no score."""
        none = np.full(len(self.pairs), math.nan)
        return np.array([self.scores.get((dimension, rater), none) for rater in raters]).reshape(-1, len(none)).T


@dataclass
class _Rows:
    """What has been read so far."""

    scale: int
    names: dict[str, str] = field(default_factory=dict)  # paper: its DOI as first written
    raters: dict[str, str] = field(default_factory=dict)
    scores: dict[tuple[str, str, Pair], tuple[float, str]] = field(default_factory=dict)  # and where it stands
    conflicts: set[tuple[str, str, Pair]] = field(default_factory=set)
    lengths: dict[Pair, tuple[float, str]] = field(default_factory=dict)
    bad: list[BadRecord] = field(default_factory=list)
    repeated: int = 0
    empty: int = 0


def read_scores(path: Paths, scale: int = 3, judges: Mapping[str, str | Path] | None = None) -> ScoreTable:
    """The scores of one file, or of several: CSV, or Parquet where the name ends in .parquet.

    judges: a name, and the scores.parquet that 05_evaluation wrote with this judge; repeats count by their mean, null
    baselines not. A score given twice counts once; where the two differ neither is used. InputError: a file can't be
    read, lacks a column or has another scale, or no row of all files can be used, or `scale` is neither 3 nor 5.
    """
    if scale not in SCALES:
        raise InputError(f"scale: expected {' or '.join(map(str, SCALES))}, the highest score, found {scale!r}")
    paths = [path] if isinstance(path, (str, Path)) else list(path)
    rows = _Rows(scale)
    sources = [(Path(file), _read_rows(Path(file), COLUMNS)) for file in paths]
    sources += [(Path(file), _read_judged(Path(file), name, scale)) for name, file in (judges or {}).items()]
    for file, found in sources:
        for where, row in found:
            problem = row if isinstance(row, BadRecord) else _add_row(rows, str(file), where, row)
            if problem:
                rows.bad.append(problem)
    if not rows.scores:
        first = f"; the first of {len(rows.bad)} rows at fault: {rows.bad[0]}" if rows.bad else ""
        raise InputError(f"{', '.join(map(str, paths))}: no score in it can be used{first}")
    return _make_table(rows)


def _read_rows(path: Path, columns: tuple[str, ...]) -> PlacedRows:
    reader: Callable[..., PlacedRows] = _read_parquet if path.suffix.lower() == ".parquet" else _read_csv
    return reader(path, columns)


def _read_judged(path: Path, name: str, scale: int) -> PlacedRows:
    """The rows of a judge: one for each pair and dimension, the mean of its repeats."""
    found: dict[tuple[str, str, str], tuple[str, list[float]]] = {}
    for where, row in _read_rows(path, JUDGED_COLUMNS):
        if isinstance(row, BadRecord):
            yield where, row
            continue
        cells = {column: _clean(row[column]) for column in JUDGED_COLUMNS}
        if cells["scale"] != f"1-{scale}":
            raise InputError(
                f"{path}, {where}, column scale: expected 1-{scale}, found {cells['scale']!r}; scores of "
                f"two scales can't be compared: set scale to that of all files"
            )
        if cells["arm"] == "own":
            key = (cells["doi"] or cells["record"], cells["pair"], cells["dimension"])
            scores = found.setdefault(key, (where, []))[1]
            scores += [_number(cells["score"])] if cells["score"] else []
    for (paper, pair, dimension), (where, scores) in found.items():
        mean = sum(scores) / len(scores) if scores else None
        yield where, dict(zip(COLUMNS, (paper, pair, dimension, name, "judge", mean)))


def _read_csv(path: Path, columns: tuple[str, ...]) -> PlacedRows:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)  # an open quotation mark must not swallow the rest unnoticed
            header = [name.strip() for name in _read_header(path, reader)]
            _check_header(path, header, columns)
            while True:
                where = f"line {reader.line_num + 1}"
                try:
                    cells = next(reader, None)
                except csv.Error as error:
                    yield (
                        where,
                        BadRecord(
                            str(path),
                            where,
                            "",
                            f"cannot be read as CSV ({error}); look for a "
                            f"quotation mark that is not closed, up to line {reader.line_num}",
                        ),
                    )
                    continue
                if cells is None:
                    return
                if len(cells) == len(header):
                    yield where, dict(zip(header, cells))
                elif any(cell.strip() for cell in cells):
                    yield (
                        where,
                        BadRecord(
                            str(path),
                            where,
                            "",
                            f"expected {len(header)} cells as in the header, "
                            f"found {len(cells)}; a text that holds a comma needs quotation marks",
                        ),
                    )
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected UTF-8 text, found {error.object[error.start : error.start + 1]!r}; save it "
            f"as CSV in UTF-8"
        ) from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give the path of a CSV or Parquet file"
        ) from error


def _read_header(path: Path, reader: Any) -> list[str]:
    try:
        return next(reader, [])
    except csv.Error as error:
        raise InputError(f"{path}: line 1: cannot be read as CSV ({error}); expected the names of columns") from error


def _read_parquet(path: Path, columns: tuple[str, ...]) -> PlacedRows:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        _check_header(path, file.schema_arrow.names, columns)
        wanted = [name for name in (*columns, LENGTH) if name in file.schema_arrow.names]
        number = 0
        for batch in file.iter_batches(columns=wanted):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); give the path of a CSV or Parquet file"
        ) from error
    except pyarrow.ArrowException as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error}); write it again") from error


def _check_header(path: Path, header: list[str], columns: tuple[str, ...]) -> None:
    missing = [name for name in columns if name not in header]
    if missing:
        split = "; its cells seem to be divided by another character than a comma" if len(header) == 1 else ""
        raise InputError(
            f"{path}: expected the columns {', '.join(columns)}, missing {', '.join(missing)}, found "
            f"{', '.join(map(repr, header)) or 'an empty file'}{split}"
        )
    twice = next((name for name in (*columns, LENGTH) if header.count(name) > 1), None)
    if twice:
        raise InputError(f"{path}: the column {twice!r} stands twice in its header; leave one")


def _add_row(rows: _Rows, file: str, where: str, row: dict[str, Any]) -> BadRecord | None:
    """Keep one row; or the reason why it, or its length, was not used."""
    cells = {name: _clean(row[name]) for name in COLUMNS}
    cells["dimension"], cells["kind"] = cells["dimension"].lower(), cells["kind"].lower()
    problem = _check_cells(rows, cells)
    if problem:
        return BadRecord(file, where, *problem)
    rows.raters[cells["rater"]] = cells["kind"]
    paper = normalize_doi(cells["paper"])
    rows.names.setdefault(paper, cells["paper"])
    pair = (paper, cells["pair"])
    problem = _add_length(rows, pair, _clean(row.get(LENGTH)), f"{file}, {where}")
    if not cells["score"]:
        rows.empty += 1
    else:
        problem = (
            _add_score(rows, (cells["dimension"], cells["rater"], pair), float(cells["score"]), f"{file}, {where}")
            or problem
        )
    return BadRecord(file, where, *problem) if problem else None


def _clean(cell: Any) -> str:
    """A cell as text; nan is empty, and 3.0, which a table with gaps makes of 3, is 3."""
    if cell is None or cell != cell:
        return ""
    text = str(cell).strip()
    return text[:-2] if text.endswith(".0") and text[:-2].isdecimal() else text


def _check_cells(rows: _Rows, cells: dict[str, str]) -> tuple[str, str] | None:
    """The column at fault and what is wrong with it."""
    for name in ("paper", "pair", "rater"):
        if not cells[name]:
            return name, "expected a name, found an empty cell"
    for name, choices in (("dimension", DIMENSIONS), ("kind", KINDS)):
        if cells[name] not in choices:
            return name, f"expected one of {', '.join(choices)}, found {cells[name]!r}"
    before = rows.raters.get(cells["rater"], cells["kind"])
    if before != cells["kind"]:
        return "kind", f"{cells['rater']!r} is called {before} in rows above and {cells['kind']} here; choose one"
    if cells["score"]:
        number = _number(cells["score"])
        if math.isnan(number):
            return "score", f"expected a number from 1 to {rows.scale}, found {cells['score']!r}"
        if not 1 <= number <= rows.scale:
            wider = "; was it scored from 1 to 5? Then set scale to 5" if rows.scale < number <= max(SCALES) else ""
            return "score", f"expected a number from 1 to {rows.scale}, found {cells['score']}{wider}"
    return None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _add_length(rows: _Rows, pair: Pair, text: str, where: str) -> tuple[str, str] | None:
    if not text:
        return None
    number = _number(text)
    if not 0 <= number < math.inf:
        return LENGTH, f"expected a number of words, found {text!r}; the score is used without it"
    first, there = rows.lengths.setdefault(pair, (number, where))
    if first != number:
        return LENGTH, f"found {text}, but {first:g} for the same pair in {there}, which is used"
    return None


def _add_score(rows: _Rows, key: tuple[str, str, Pair], score: float, where: str) -> tuple[str, str] | None:
    first, there = rows.scores.setdefault(key, (score, where))
    if there == where:
        return None
    if first == score:
        rows.repeated += 1
        return None
    rows.conflicts.add(key)
    return "score", (
        f"{key[1]!r} gives this pair {score:g} for {key[0]}, and {first:g} in {there}; neither is used: "
        f"leave the one that holds"
    )


def _make_table(rows: _Rows) -> ScoreTable:
    kept = {key: score for key, (score, _) in rows.scores.items() if key not in rows.conflicts}
    pairs = sorted({pair for _, _, pair in rows.scores}, key=lambda pair: (pair[0], len(pair[1]), pair[1]))
    places = {pair: place for place, pair in enumerate(pairs)}
    scores: dict[tuple[str, str], np.ndarray] = {}
    for (dimension, rater, pair), score in kept.items():
        array = scores.setdefault((dimension, rater), np.full(len(pairs), math.nan))
        array[places[pair]] = score
    lengths = np.array([rows.lengths.get(pair, (math.nan, ""))[0] for pair in pairs])
    numbers = {paper: number for number, paper in enumerate(sorted({paper for paper, _ in pairs}))}
    table = ScoreTable(
        rows.scale,
        [(rows.names[paper], pair) for paper, pair in pairs],
        np.array([numbers[paper] for paper, _ in pairs]),
        dict(sorted(rows.raters.items())),
        scores,
        lengths,
        rows.bad,
        [],
    )
    table.notes = _describe_gaps(table, rows)
    return table


def _describe_gaps(table: ScoreTable, rows: _Rows) -> list[str]:
    notes = []
    if rows.empty:
        notes.append(f"rows without a score, counted as not scored: {rows.empty:,}")
    if rows.repeated:
        notes.append(f"scores that stand there twice, counted once: {rows.repeated:,}")
    if rows.conflicts:
        notes.append(f"scores given again with another value, none of them used: {len(rows.conflicts):,}")
    missing = [name for name in DIMENSIONS if not any(dimension == name for dimension, _ in table.scores)]
    if missing:
        notes.append(f"nobody scored {', '.join(missing)}")
    for rater, kind in table.raters.items():
        gaps = [name for name in DIMENSIONS if name not in missing and (name, rater) not in table.scores]
        if gaps:
            notes.append(f"{kind} {rater!r} gives no score for {', '.join(gaps)}")
    return notes
