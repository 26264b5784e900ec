"""From a review's scores to the analysis of agreement: which tables take part, and under which names.

report = analyse_review(export_scores(review, folder), review, folder, judged=["runs/05_evaluation"])
"""

from collections.abc import Sequence
from pathlib import Path

from sciqag_lib.agreement.analysis import AgreementReport, analyse_agreement
from sciqag_lib.agreement.comparison import Comparison, compare_sets
from sciqag_lib.agreement.score_table import ScoreTable, read_scores
from sciqag_lib.errors import InputError
from sciqag_lib.review.pairs import Review
from sciqag_lib.review.scores import Export

FOLDER = "agreement"
JUDGED_FILE = "scores.parquet"


def analyse_review(
    export: Export,
    review: Review,
    output_dir: str | Path,
    scores_path: Path | None = None,
    judged: Sequence[Path] = (),
    sample: Path | None = None,
) -> AgreementReport | None:
    """Agreement of the raters of a review, of the table `scores_path` and of the judges in the folders `judged`, which
    05_evaluation wrote. Written into agreement/ of `output_dir`.

    As long as there is no score at all `sample` is analysed, and said to be a sample. None where there is nobody to
    compare with. InputError: as analyse_agreement and name_judges.
    """
    tables = [path for path in (export.path, scores_path) if path]
    judges = name_judges(judged)
    if not tables and sample:
        print(f"nobody has scored a pair yet; what follows is an invented sample, {sample.name}, and no result")
        tables, judges = [sample], {}
    if not tables:
        print("nobody has scored a pair yet")
        return None
    for name, path in judges.items():
        _check_words(name, path, review)
    table = read_scores(tables, review.judging.top, judges)
    if not table.of_kind("expert") or len(table.raters) < 2:
        print(f"only {', '.join(table.raters)} has scored: agreement needs a second person, or a judge")
        return None
    seed = review.judging.seed
    return analyse_agreement(tables, Path(output_dir) / FOLDER, review.judging.top, seed, judges)


def _check_words(name: str, path: Path, review: Review) -> None:
    """InputError where the judge scored other words under the number of a pair that people scored."""
    import pyarrow.parquet

    if not path.is_file():
        return  # read_scores says so
    file = pyarrow.parquet.ParquetFile(path)
    if "digest" not in file.schema_arrow.names:
        raise InputError(
            f"{path}: has no column digest: run 05_evaluation on its folder again, which asks nothing twice"
        )
    digests = {(pair.doi, pair.number): pair.digest for pair in review.pairs}
    others = {
        (row["doi"], row["pair"])
        for batch in file.iter_batches(columns=["doi", "pair", "digest"])
        for row in batch.to_pylist()
        if row["digest"] and digests.get((row["doi"], row["pair"]), row["digest"]) != row["digest"]
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


def compare_with_set(export: Export, review: Review, scores_path: Path | None, other_path: Path) -> list[Comparison]:
    """The experts' mean scores of these pairs, less those of other pairs written about the same papers."""
    tables = [path for path in (export.path, scores_path) if path]
    if not tables:
        raise InputError("other_scores: expected scores in output_dir or scores_path to compare them with, found none")
    first: ScoreTable = read_scores(tables, review.judging.top)
    second = read_scores(other_path, review.judging.top)
    return compare_sets(first, second, ("these pairs", other_path.stem), seed=review.judging.seed)
