"""What a rater gave, on disk at once: one append-only file for each rater, raters/<name>.jsonl, a line for each step.

    {"rater": "anna", "paper": "10.5555/sciqag.sample.1", "pair": 3, "digest": "9f0c...", "scale": "1-3",
     "dimension": "accuracy", "score": 2, "at": "2026-11-21T20:31:05+00:00"}

Instead of dimension and score a line may hold "skipped": true, which takes back the pair's scores, or "comment". The
last line counts. A line that was torn by a crash never counted; it is named and passed over. No rater's session opens
another rater's file: only export_scores reads them all, into the table that the analysis of agreement reads
(agreement/score_table.py).
"""

import csv
import json
import os
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sciqag_lib.agreement.analysis import NO_JUDGES
from sciqag_lib.agreement.score_table import COLUMNS, LENGTH
from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.paths import write_atomic
from sciqag_lib.racar.judging import SCALES
from sciqag_lib.records.dois import normalize_doi
from sciqag_lib.records.papers import read_records
from sciqag_lib.review.pairs import DIMENSIONS, Review, ReviewPair

if TYPE_CHECKING:
    import pandas

RATERS_DIR = "raters"
SCORES, COMMENTS = "scores.csv", "comments.csv"
MAX_NAME = 80  # bytes; quoted they are up to 240, and a file name with more than 255 can't be written
Key = tuple[str, int]  # ReviewPair.key


class ReviewError(RuntimeError):
    """A step could not be taken or kept; the message says why and what to do."""


@dataclass
class PairMarks:
    """What one rater gave one pair."""

    scores: dict[str, int] = field(default_factory=dict)  # by dimension
    skipped: bool = False
    comment: str = ""

    @property
    def complete(self) -> bool:
        return len(self.scores) == len(DIMENSIONS)


@dataclass
class Marks:
    """What one rater's file says about the pairs of a review."""

    pairs: dict[Key, PairMarks] = field(default_factory=dict)
    trail: list[tuple[Key, str]] = field(default_factory=list)  # pair and dimension of each step, "" where skipped
    raters: Counter[str] = field(default_factory=Counter)  # names in its lines, and how often
    scales: Counter[str] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)  # "paper pair n: why": lines about other pairs or texts
    bad: list[BadRecord] = field(default_factory=list)

    def score(self, key: Key, dimension: str, score: int) -> None:
        pair = self.pairs.setdefault(key, PairMarks())
        pair.scores[dimension], pair.skipped = score, False
        self.trail.append((key, dimension))

    def skip(self, key: Key) -> None:
        pair = self.pairs.setdefault(key, PairMarks())
        pair.scores, pair.skipped = {}, True
        self.trail[:] = [step for step in self.trail if step[0] != key] + [(key, "")]

    def comment(self, key: Key, text: str) -> None:
        self.pairs.setdefault(key, PairMarks()).comment = text


def clean_rater(rater: str) -> str:
    """The name as it is written into the tables; InputError where it can't be one."""
    name = unicodedata.normalize("NFC", " ".join(rater.split()))
    if not name or len(name.encode()) > MAX_NAME or not name.isprintable() or name in NO_JUDGES:
        raise InputError(
            f"rater: expected a short name of printable characters other than {' and '.join(NO_JUDGES)}, "
            f"found {rater[:MAX_NAME]!r}"
        )
    return name


def rater_path(output_dir: str | Path, rater: str) -> Path:
    """Where a rater's file lies: inside `output_dir`, whatever the name holds."""
    return Path(output_dir) / RATERS_DIR / f"{quote(clean_rater(rater), safe='').replace('.', '%2E')}.jsonl"


class RaterFile:
    """One rater's file, opened for appending; `marks` is what it says of the review.

    InputError: the file is another rater's, whose name differs in capitals only or who renamed it, or it was scored on
    another scale, or no folder can be made for it.
    """

    def __init__(self, output_dir: str | Path, rater: str, review: Review) -> None:
        self.rater, self.path, self._scale = clean_rater(rater), rater_path(output_dir, rater), review.judging.scale
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); give an output_dir that can"
            ) from error
        self._size = self._file.seek(0, os.SEEK_END)
        self.marks = read_marks(self.path, review)
        _check_owner(self.path, self.marks, self.rater, self._scale)
        if self._size and not self.path.read_bytes().endswith(b"\n"):
            self._write(b"\n")  # what a crash tore off must not spoil the next line

    def append(self, pair: ReviewPair, **what: Any) -> None:
        """Write one step and wait until it is on the disk.

        ReviewError: the disk is full, or the file has grown since this session last wrote: another session of the same
        rater is open, and what is shown here is out of date. Nothing that was written is lost.
        """
        record = {
            "rater": self.rater,
            "paper": pair.doi,
            "pair": pair.number,
            "digest": pair.digest,
            "scale": self._scale,
            **what,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._write((json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", "replace"))

    def _write(self, data: bytes) -> None:
        try:
            size = self.path.stat().st_size
            if size != self._size:
                raise ReviewError(
                    f"not saved: {self.path.name} was written to elsewhere, {self.rater!r} is reviewing "
                    f"in another window; continue there, or run this cell again"
                )
            self._file.write(data)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ReviewError(
                f"not saved: {self.path.name} cannot be written ({error.strerror}); free some space and "
                f"run this cell again: what was scored before is kept"
            ) from error
        self._size += len(data)


def read_marks(path: Path, review: Review) -> Marks:
    """What a rater's file says of a review's pairs; lines at fault are named in `bad`, and the others count."""
    marks, pairs = Marks(), {pair.key: pair for pair in review.pairs}
    for where, record in read_records(path) if path.exists() and path.stat().st_size else ():
        if isinstance(record, BadRecord):
            marks.bad.append(BadRecord(str(path), where, "", f"{record.message}; this step does not count"))
            continue
        problem = _find_problem(record)
        if problem:
            marks.bad.append(BadRecord(str(path), where, *problem))
            continue
        marks.raters[record["rater"]] += 1
        marks.scales[record["scale"]] += 1
        key = (normalize_doi(record["paper"]), record["pair"])
        if key not in pairs or pairs[key].digest != record["digest"]:
            why = "its text has changed since" if key in pairs else "it is not under review"
            marks.strange[f"{record['paper']} pair {record['pair']}: {why}"] += 1
        elif "comment" in record:
            marks.comment(key, record["comment"])
        elif "skipped" in record:
            marks.skip(key)
        else:
            marks.score(key, record["dimension"], record["score"])
    return marks


def _find_problem(record: dict[str, Any]) -> tuple[str, str] | None:
    """Field and message, or None."""
    expected = {"rater": str, "paper": str, "pair": int, "digest": str, "scale": str}
    step = next((name for name in ("comment", "skipped") if name in record), "")
    if step:
        expected[step] = str if step == "comment" else bool
    for name, kind in expected.items():
        if type(record.get(name)) is not kind:
            return name, f"expected {kind.__name__}, found {record.get(name)!r:.60}; this line does not count"
    choices = {"scale": SCALES}
    if not step and record["scale"] in SCALES:
        choices |= {"dimension": DIMENSIONS, "score": range(1, SCALES[record["scale"]] + 1)}
    for name, allowed in choices.items():
        if record.get(name) not in allowed or isinstance(record[name], (bool, float)):
            found = f"found {record.get(name)!r:.60}; this line does not count"
            return name, f"expected one of {', '.join(map(str, allowed))}, {found}"
    return None


def _check_owner(path: Path, marks: Marks, rater: str, scale: str) -> None:
    others = sorted(set(marks.raters) - {rater})
    if others:
        raise InputError(
            f"{path}: expected the file of {rater!r}, found lines of {', '.join(map(repr, others))}; give "
            f"that name as it is spelled there, or another one"
        )
    scales = sorted(set(marks.scales) - {scale})
    if scales:
        raise InputError(
            f"{path}: {rater!r} began on the scale {scales[0]}; continue with that, or give another "
            f"output_dir for the scale {scale}"
        )


# All raters together -------------------------------------------------------------------------------------------------


@dataclass
class Export:
    """What export_scores found and wrote."""

    path: Path | None  # scores.csv; None where nobody has scored a pair of this review
    raters: dict[str, Marks]
    notes: list[str]  # what is missing, and what could not be used

    def to_frame(self) -> "pandas.DataFrame":
        """How many pairs each rater has scored in full and skipped, and the comments."""
        import pandas

        columns = ["scored", "skipped", "comments"]
        rows = {}
        for rater, marks in self.raters.items():
            pairs = marks.pairs.values()
            comments = [f"{doi} pair {n}: {pair.comment}" for (doi, n), pair in marks.pairs.items() if pair.comment]
            counts = sum(pair.complete for pair in pairs), sum(pair.skipped for pair in pairs)
            rows[rater] = (*counts, "; ".join(comments))
        return pandas.DataFrame.from_dict(rows, orient="index", columns=columns)


def export_scores(review: Review, output_dir: str | Path) -> Export:
    """Write scores.csv, as score_table.py reads it, and comments.csv from the files of all raters in `output_dir`.

    What can't be used is named in the notes: lines at fault, pairs that are not under review or whose text has
    changed, a file on another scale or of more than one rater, pairs that lack a dimension.
    """
    folder, scale = Path(output_dir), review.judging.scale
    raters: dict[str, Marks] = {}
    notes: list[str] = []
    for path in sorted((folder / RATERS_DIR).glob("*.jsonl")):
        try:
            marks = read_marks(path, review)
            rater = next(iter(marks.raters), "")
            notes += [str(record) for record in marks.bad]
            if not rater:
                notes.append(f"{path}: holds no step that can be used")
                continue
            _check_owner(path, marks, rater, scale)
            if rater in raters or rater in NO_JUDGES:
                raise InputError(f"{path}: {rater!r} is the rater of another file or row; leave one")
        except InputError as error:
            notes.append(f"{error}; not used")
            continue
        raters[rater] = marks
        notes += _describe_marks(rater, marks)
    rows = [row for rater, marks in raters.items() for row in _list_rows(review, rater, marks)]
    _write_table(folder / COMMENTS, ("paper", "pair", "rater", "comment"), _list_comments(review, raters))
    _write_table(folder / SCORES, (*COLUMNS, LENGTH), rows)
    return Export(folder / SCORES if rows else None, raters, notes)


def _describe_marks(rater: str, marks: Marks) -> list[str]:
    notes = []
    if marks.strange:
        some = "; ".join(list(marks.strange)[:3]) + "; ..." * (len(marks.strange) > 3)
        notes.append(
            f"{rater}: {sum(marks.strange.values()):,} steps are not used, of {len(marks.strange):,} pairs "
            f"that are not those of this review; have file_path, seed, num_pairs or pairs_per_paper changed? "
            f"{some}"
        )
    gaps = Counter(name for pair in marks.pairs.values() if pair.scores for name in DIMENSIONS
                   if name not in pair.scores)  # fmt: skip
    if gaps:
        notes.append(
            f"{rater}: pairs that lack a dimension: " + ", ".join(f"{name} {count:,}" for name, count in gaps.items())
        )
    return notes


def _list_rows(review: Review, rater: str, marks: Marks) -> list[tuple[Any, ...]]:
    rows = []
    for pair in sorted(review.pairs, key=lambda pair: pair.key):
        scores = marks.pairs.get(pair.key, PairMarks()).scores
        length = len(pair.answer.split())
        rows += [(pair.doi, pair.number, name, rater, "expert", scores[name], length)
                 for name in DIMENSIONS if name in scores]  # fmt: skip
    return rows


def _list_comments(review: Review, raters: dict[str, Marks]) -> list[tuple[Any, ...]]:
    return [(pair.doi, pair.number, rater, marks.pairs[pair.key].comment) for rater, marks in raters.items()
            for pair in review.pairs if pair.key in marks.pairs and marks.pairs[pair.key].comment]  # fmt: skip


def _write_table(path: Path, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    if rows or path.exists():
        with write_atomic(path) as file:
            csv.writer(file, lineterminator="\n").writerows([columns, *rows])
