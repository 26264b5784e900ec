"""Tables of scores given to question-answer pairs by experts and judges: CSV or Parquet, one score a row.

    paper,pair,dimension,rater,kind,score,answer_words
    10.5555/sciqag.sample.1,0,relevance,expert 1,expert,3,29

paper: the DOI; pair: its number within the paper; dimension: one of RACAR's five; rater: a name, the same in all rows
of one person or judge; kind: expert or judge; score: a number from 1 to the scale's end, whole or the mean of repeats,
empty where the rater gave none. answer_words, the answer's length, may be left out, and other columns are ignored. A
row that can't be used is named with its file, line and column, and the rest is read. The scores.parquet (or .csv) of
05_evaluation is read as it is, as a judge under a name of its own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.racar.judging import DIMENSIONS
from sciqag_lib.records.dois import normalize_doi

if TYPE_CHECKING:
    import pandas

KINDS = ("expert", "judge")
COLUMNS = ("paper", "pair", "dimension", "rater", "kind", "score")
LENGTH = "answer_words"
JUDGED_COLUMNS = ("record", "doi", "pair", "arm", "dimension", "scale", "score")  # of racar/report.py
SCALES = (3, 5)

Paths = str | Path | Sequence[str | Path]


@dataclass
class ScoreTable:
    """What the raters gave, as one table of all pairs by dimension and rater."""

    scale: int
    pairs: list[tuple[str, str]]  # paper, number within it; sorted, so that the order of the file changes no number
    papers: np.ndarray  # (pairs,) the number of each pair's paper
    raters: dict[str, str]  # name: "expert" or "judge", in the order of their names
    scores: "pandas.DataFrame"  # (pairs, columns by dimension and rater), nan where there is no score
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
        return self.scores.reindex(columns=[(dimension, rater) for rater in raters]).to_numpy(float)


def read_scores(path: Paths, scale: int = 3, judges: Mapping[str, str | Path] | None = None) -> ScoreTable:
    """The scores of one file, or of several: CSV, or Parquet where the name ends in .parquet.

    judges: a name, and the scores.parquet that 05_evaluation wrote with this judge; repeats count by their mean, null
    baselines not. A score given twice counts once; where the two differ neither is used. InputError: a file can't be
    read, lacks a column or has another scale, or no row of all files can be used, or `scale` is neither 3 nor 5.
    """
    import pandas

    if scale not in SCALES:
        raise InputError(f"scale: expected {' or '.join(map(str, SCALES))}, the highest score, found {scale!r}")
    paths = [path] if isinstance(path, (str, Path)) else list(path)
    frames = [_read_table(Path(file), COLUMNS) for file in paths]
    frames += [_read_judged(Path(file), name, scale) for name, file in (judges or {}).items()]
    rows, bad, raters = pandas.concat(frames, ignore_index=True), [], {}
    rows = rows.assign(dimension=rows["dimension"].str.lower(), kind=rows["kind"].str.lower())
    problems = [_find_problem(row, raters, scale) for row in rows.to_dict("records")]
    bad += [BadRecord(*place, *problem) for *place, problem in zip(rows["file"], rows["where"], problems) if problem]
    rows = rows[np.array([problem is None for problem in problems], bool)]
    rows = rows.assign(key=rows["paper"].map(normalize_doi), score=pandas.to_numeric(rows["score"]))
    scored = rows.dropna(subset="score")
    if scored.empty:
        first = f"; the first of {len(bad)} rows at fault: {bad[0]}" if bad else ""
        raise InputError(f"{', '.join(map(str, paths))}: no score in it can be used{first}")
    notes = [f"rows without a score, counted as not scored: {empty:,}"] if (empty := len(rows) - len(scored)) else []
    kept = _drop_repeated(scored, bad, notes)
    pairs = sorted(set(zip(scored["key"], scored["pair"])), key=lambda pair: (pair[0], len(pair[1]), pair[1]))
    names = rows.groupby("key")["paper"].first()
    table = ScoreTable(
        scale,
        [(names[key], pair) for key, pair in pairs],
        np.unique([key for key, _ in pairs], return_inverse=True)[1],
        dict(sorted(raters.items())),
        kept.pivot(index=["key", "pair"], columns=["dimension", "rater"], values="score").reindex(pairs),
        _read_lengths(rows, bad).reindex(pairs).to_numpy(float),
        bad,
        notes,
    )
    table.notes += _describe_gaps(table)
    return table


def _read_table(path: Path, columns: Sequence[str]) -> "pandas.DataFrame":
    """The cells of `columns` and LENGTH as text, "" where empty, with the file and place of each row."""
    import pandas
    import pyarrow

    is_parquet = path.suffix.lower() == ".parquet"
    try:
        if is_parquet:
            frame = pandas.read_parquet(path)
        else:
            text = {"dtype": str, "keep_default_na": False, "skip_blank_lines": False, "index_col": False}
            frame = pandas.read_csv(path, encoding="utf-8-sig", **text)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        kind = "Parquet" if is_parquet else "CSV in UTF-8 with commas"
        raise InputError(f"{path}: cannot be read as {kind} ({str(error).strip()})") from error
    frame.columns = frame.columns.str.strip()
    missing = [name for name in columns if name not in frame]
    if missing or any(f"{name}.1" in frame for name in (*columns, LENGTH)):
        split = "; its cells seem to be divided by another character than a comma" if frame.shape[1] == 1 else ""
        raise InputError(
            f"{path}: expected the columns {', '.join(columns)}, each once, missing {', '.join(missing) or 'none'}, "
            f"found {', '.join(map(repr, frame))}{split}"
        )
    numbers = range(1, len(frame) + 1)
    places = [f"row {number}" if is_parquet else f"line {number + 1}" for number in numbers]
    frame = frame.reindex(columns=[*columns, LENGTH]).map(_clean)
    return frame.assign(file=str(path), where=places)[(frame != "").any(axis=1)]


def _clean(cell: Any) -> str:
    """A cell as text; nan is empty, and 3.0, which a table with gaps makes of 3, is 3."""
    if cell is None or cell != cell:
        return ""
    text = str(cell).strip()
    return text[:-2] if text.endswith(".0") and text[:-2].isdecimal() else text


def _read_judged(path: Path, name: str, scale: int) -> "pandas.DataFrame":
    """The rows of a judge: one for each pair and dimension, the mean of its repeats."""
    import pandas

    frame = _read_table(path, JUDGED_COLUMNS)
    for _, row in frame[frame["scale"] != f"1-{scale}"].iterrows():
        raise InputError(
            f"{path}, {row['where']}, column scale: expected 1-{scale}, found {row['scale']!r}; scores of two scales "
            "can't be compared: set scale to that of all files"
        )
    own = frame[frame["arm"] == "own"]
    own = own.assign(paper=own["doi"].where(own["doi"] != "", own["record"]), score=pandas.to_numeric(own["score"]))
    groups = own.groupby(["paper", "pair", "dimension", "file"], sort=False)
    rows = groups.agg(score=("score", "mean"), where=("where", "first")).reset_index()
    return rows.assign(rater=name, kind="judge", score=rows["score"].map(_clean), **{LENGTH: ""})


def _find_problem(cells: dict[str, str], raters: dict[str, str], scale: int) -> tuple[str, str] | None:
    """The column at fault and what is wrong with it; of a usable row the rater's kind is kept in `raters`."""
    for name in ("paper", "pair", "rater"):
        if not cells[name]:
            return name, "expected a name, found an empty cell"
    for name, choices in (("dimension", DIMENSIONS), ("kind", KINDS)):
        if cells[name] not in choices:
            return name, f"expected one of {', '.join(choices)}, found {cells[name]!r}"
    before = raters.get(cells["rater"], cells["kind"])
    if before != cells["kind"]:
        return "kind", f"{cells['rater']!r} is called {before} in rows above and {cells['kind']} here; choose one"
    try:
        number = float(cells["score"] or 1)
    except ValueError:
        number = math.nan
    if not 1 <= number <= scale:
        wider = "; was it scored from 1 to 5? Then set scale to 5" if scale < number <= max(SCALES) else ""
        return "score", f"expected a number from 1 to {scale}, found {cells['score']!r}{wider}"
    raters[cells["rater"]] = cells["kind"]
    return None


def _drop_repeated(scored: "pandas.DataFrame", bad: list[BadRecord], notes: list[str]) -> "pandas.DataFrame":
    """A row for each score; what was given again with another value is not used at all."""
    keys = ["dimension", "rater", "key", "pair"]
    groups = scored.groupby(keys, sort=False)
    first = groups[["score", "file", "where"]].transform("first")
    differs = scored["score"] != first["score"]
    for row, before in zip(scored[differs].to_dict("records"), first[differs].to_dict("records")):
        message = (
            f"{row['rater']!r} gives this pair {row['score']:g} for {row['dimension']}, and {before['score']:g} in "
            f"{before['file']}, {before['where']}; neither is used: keep the right one"
        )
        bad.append(BadRecord(row["file"], row["where"], "score", message))
    if repeated := (~differs & scored.duplicated(keys)).sum():
        notes.append(f"scores that appear twice, counted once: {repeated:,}")
    if conflicts := len(scored[differs].drop_duplicates(keys)):
        notes.append(f"scores given again with another value, none of them used: {conflicts:,}")
    return scored[groups["score"].transform("nunique") == 1].drop_duplicates(keys)


def _read_lengths(rows: "pandas.DataFrame", bad: list[BadRecord]) -> "pandas.Series":
    """Words of the answer by key and pair, the first that is given; others are named."""
    import pandas

    rows = rows[rows[LENGTH] != ""]
    numbers = pandas.to_numeric(rows[LENGTH], errors="coerce")
    rows = rows.assign(length=numbers.where((numbers >= 0) & (numbers < math.inf)))
    groups = rows.groupby(["key", "pair"])["length"]
    for row, first in zip(rows.to_dict("records"), groups.transform("first")):
        if row["length"] != first:
            message = f"expected a number of words, the same in all rows of a pair, found {row[LENGTH]!r}; not used"
            bad.append(BadRecord(row["file"], row["where"], LENGTH, message))
    return groups.first()


def _describe_gaps(table: ScoreTable) -> list[str]:
    notes = []
    missing = [name for name in DIMENSIONS if not any(dimension == name for dimension, _ in table.scores)]
    if missing:
        notes.append(f"nobody scored {', '.join(missing)}")
    for rater, kind in table.raters.items():
        gaps = [name for name in DIMENSIONS if name not in missing and (name, rater) not in table.scores]
        if gaps:
            notes.append(f"{kind} {rater!r} gives no score for {', '.join(gaps)}")
    return notes
