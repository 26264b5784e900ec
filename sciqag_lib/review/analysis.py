"""From a review's scores to the analysis of agreement: which tables take part, and under which names.

report = analyse_review(export_scores(review, folder), review, folder, judged=["runs/05_evaluation"])
"""

from collections.abc import Sequence
from pathlib import Path

from sciqag_lib.agreement.analysis import AgreementReport, analyse_agreement
from sciqag_lib.agreement.comparison import Comparison, compare_sets
from sciqag_lib.agreement.score_table import read_scores
from sciqag_lib.errors import InputError
from sciqag_lib.paths import resolve_path
from sciqag_lib.review.pairs import Review
from sciqag_lib.review.scores import Export

FOLDER = "agreement"
JUDGED_FILE = "scores.parquet"
SAMPLE, SAMPLE_SCORES = "data/qas.json", "data/expert_scores.csv"  # both invented


def find_sample_scores(file_path: Path) -> Path | None:
    """The invented scores, which are shown beside the invented pairs; None for any other file."""
    return resolve_path(SAMPLE_SCORES) if file_path.resolve() == resolve_path(SAMPLE) else None


def analyse_review(
    export: Export | None,
    review: Review,
    output_dir: str | Path,
    scores_path: Path | None = None,
    judged: Sequence[Path] = (),
    sample: Path | None = None,
) -> AgreementReport:
    """Agreement of the raters of a review, of the table `scores_path` and of the judges in the folders `judged`, which
    05_evaluation wrote. Written into agreement/ of `output_dir`.

    As long as there is no score at all `sample` is analysed, and a note says that it is a sample. Where there is
    nobody to compare with, and for an export of None, the report is empty but for a note. InputError: as
    analyse_agreement and name_judges.
    """
    top, seed = review.judging.top, review.judging.seed
    if export is None:
        return AgreementReport(top, notes=["a review is open: agreement is shown where rater is None"])
    tables = [path for path in (export.path, scores_path) if path]
    judges = name_judges(judged)
    if not tables and sample:
        report = analyse_agreement(sample, Path(output_dir) / FOLDER, top, seed)
        report.notes.insert(0, f"nobody has scored a pair yet; {sample.name} is an invented sample, and no result")
        return report
    if not tables:
        return AgreementReport(top, notes=["nobody has scored a pair yet"])
    for name, path in judges.items():
        _check_words(name, path, review)
    table = read_scores(tables, top, judges)
    if not table.of_kind("expert") or len(table.raters) < 2:
        note = f"only {', '.join(table.raters)} has scored: agreement needs a second person, or a judge"
        return AgreementReport(top, notes=[note])
    return analyse_agreement(tables, Path(output_dir) / FOLDER, top, seed, judges)


def _check_words(name: str, path: Path, review: Review) -> None:
    """InputError where the judge scored other words under the number of a pair that people scored."""
    import pandas

    if not path.is_file():
        return  # read_scores says so
    rows = pandas.read_parquet(path)
    if "digest" not in rows:
        raise InputError(
            f"{path}: has no column digest: run 05_evaluation on its folder again, which asks nothing twice"
        )
    digests = {(pair.doi, pair.number): pair.digest for pair in review.pairs}
    others = {
        (doi, number)
        for doi, number, digest in zip(rows["doi"], rows["pair"], rows["digest"])
        if digest and digests.get((doi, number), digest) != digest
    }
    if others:
        doi, number = min(others)
        raise InputError(
            f"judged: {name} scored other words, or another text of the paper, under the numbers of "
            f"{len(others):,} of the {len(digests):,} pairs reviewed, the first {doi}, pair {number}: have "
            f"it judge the file that is reviewed"
        )


def name_judges(folders: Sequence[Path]) -> dict[str, Path]:
    """Each judge's name, that of its folder, with the folder above where two are alike, and the path of its scores.

    InputError: two have the same name nevertheless.
    """
    names = [folder.name for folder in folders]
    judges: dict[str, Path] = {}
    for folder, name in zip(folders, names):
        name = f"{folder.parent.name}/{name}" if names.count(name) > 1 else name
        if name in judges:
            raise InputError(
                f"judged: two folders are called {name!r}, {judges[name].parent} and {folder}: rename "
                f"one, since a judge is called by its folder"
            )
        judges[name] = folder / JUDGED_FILE
    return judges


def compare_with_set(
    export: Export | None, review: Review, scores_path: Path | None, other_path: Path | None
) -> list[Comparison]:
    """The experts' mean scores of these pairs, less those of other pairs written about the same papers; [] where there
    is no `other_path`, or a review is open."""
    if export is None or other_path is None:
        return []
    tables = [path for path in (export.path, scores_path) if path]
    if not tables:
        raise InputError("other_scores: expected scores in output_dir or scores_path to compare them with, found none")
    first, second = (read_scores(paths, review.judging.top) for paths in (tables, other_path))
    return compare_sets(first, second, ("these pairs", other_path.stem), seed=review.judging.seed)
