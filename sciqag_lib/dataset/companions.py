"""What a build takes where nothing is named: tables that lie beside the pairs, and filters that ask of what was judged.

    found = find_companions(Path("02/processed_output.json"), Path("06"), None, None, None)
    build_dataset(path, folder, **found.paths, **choose_filters(found, None, None))

Scores and checks, as 05_evaluation writes them, are looked for in the folder of the pairs, in 05_evaluation beside
the output folder, and in 05_evaluation beside the folder of the pairs; they count only where they are of these pairs.
journals.csv and benchmark.json are taken from the folder of the pairs. Whatever is found or chosen is said in a row:

    setting,used,why
    evaluation_dir,"build_sample: checks.csv, scores.csv",found: it is of these pairs
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciqag_lib.dataset.evaluation_results import TABLES, EvaluationResults, find_table, read_results
from sciqag_lib.dataset.filters import make_filter
from sciqag_lib.errors import InputError
from sciqag_lib.paths import resolve_path
from sciqag_lib.records.categories import read_categories, read_journals
from sciqag_lib.records.qa_records import read_usable

if TYPE_CHECKING:
    import pandas as pd

EVALUATION = "05_evaluation"
NAMED = "as named"


@dataclass
class Companions:
    """The paths of build_dataset's arguments, the results in the first of them, and a row for each setting."""

    paths: dict[str, Path | None] = field(default_factory=dict)  # evaluation_dir, journals, benchmark
    results: EvaluationResults = field(default_factory=EvaluationResults)
    rows: list[dict[str, str]] = field(default_factory=list)

    def to_frame(self) -> "pd.DataFrame":
        """What is used for each setting, and why."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=["setting", "used", "why"]).set_index("setting")

    def add(self, setting: str, used: str, why: str) -> None:
        self.rows.append({"setting": setting, "used": used, "why": why})


def find_companions(
    file_path: Path, output_dir: Path, evaluation_dir: str | None, journals: str | None, benchmark: str | None
) -> Companions:
    """What is named is taken as it is; None is looked for. InputError: a file that was named cannot be read."""
    found = Companions()
    _find_results(found, file_path, output_dir, evaluation_dir)
    for setting, named, name in (("journals", journals, "journals.csv"), ("benchmark", benchmark, "benchmark.json")):
        path = resolve_path(named) if named else file_path.parent / name
        why = NAMED if named else _find_fault(setting, path)
        found.paths[setting] = path if why in (NAMED, "") else None
        found.add(setting, path.name if found.paths[setting] else "none", why or "found beside the pairs")
    return found


def _find_fault(setting: str, path: Path) -> str:
    """Why a file that nobody named is not used, "" where it is."""
    if not path.is_file():
        return f"there is no {path.name} beside the pairs"
    try:
        if setting == "journals":
            read_journals(path, read_categories())
    except InputError as error:
        return str(error).replace(str(path), path.name)
    return ""


def _find_results(found: Companions, file_path: Path, output_dir: Path, named: str | None) -> None:
    folder, why = resolve_path(named) if named else None, NAMED
    if folder:
        found.results = read_results(folder)
    else:
        folder, found.results, why = find_evaluation(file_path, output_dir)
    tables = [path.name for path in (find_table(folder, name) for name in TABLES) if path] if folder else []
    found.paths["evaluation_dir"] = folder
    found.add("evaluation_dir", f"{folder.name}: {', '.join(tables)}" if folder else "none", why)


def find_evaluation(file_path: Path, output_dir: Path) -> tuple[Path | None, EvaluationResults, str]:
    """The first folder with scores or checks of the file's pairs, what is in it, and why; None where there is none."""
    places = [file_path.parent, output_dir.parent / EVALUATION, file_path.parent.parent / EVALUATION]
    faults = []
    for folder in dict.fromkeys(places):
        if not any(find_table(folder, name) for name in TABLES):
            continue
        try:
            results = read_results(folder)
        except InputError as error:
            faults.append(str(error).replace(f"{folder}/", f"{folder.name}/"))
            continue
        if is_of_file(results, file_path):
            return folder, results, "found: it is of these pairs"
        faults.append(f"{folder.name} is of other pairs")
    found = "; ".join(["no scores or checks of these pairs were found", *faults])
    return None, EvaluationResults(), f"{found}; 05_evaluation makes them"


def is_of_file(results: EvaluationResults, file_path: Path) -> bool:
    """Whether a pair of the file has checks, by its words, or, without checks, scores, by its paper."""
    papers = read_usable(file_path, [])
    if results.checks is not None:
        words = set(zip(results.checks["question"], results.checks["answer"]))
        return any((pair.question, pair.answer) in words for paper in papers for pair in paper.pairs)
    keys = {""} if results.scores is None else {"", *results.scores["key"]}
    return any(paper.key in keys for paper in papers if paper.key)


def choose_filters(
    found: Companions, train_filter: dict[str, Any] | None, test_filter: dict[str, Any] | None
) -> dict[str, dict[str, Any]]:
    """build_dataset's two filters: as they are named, or, for None, by what was found; adds their rows to `found`.

    Train loses the pairs that are known to be bad, test takes only those that are known to be good: the highest score
    of each dimension, as published, that was judged by a judge who tells pairs from worse ones.
    """
    results = found.results
    trusted = [name for name in results.dimensions if name not in results.useless]
    checks = {"checks": ["wrong_number"]} if results.num_checks else {}
    scores = {"min_score": dict.fromkeys(trusted, results.top)} if trusted else {}
    lacks = ["no checks to filter by"] * (not checks)
    no_scores = ["no scores to filter by"] * (not results.dimensions)
    useless = [f"{name} does not count: its judge does not tell pairs from worse ones" for name in results.useless]
    chosen = {
        "train_filter": ({"context_bound": "strict", **checks, "missing": "keep"}, lacks),
        "test_filter": ({"context_bound": "strict", **checks, **scores}, [*lacks, *no_scores, *useless]),
    }
    filters = {}
    for setting, named in (("train_filter", train_filter), ("test_filter", test_filter)):
        default, remarks = chosen[setting]
        filters[setting] = default if named is None else named
        used = make_filter(filters[setting], setting, results.top).describe()
        found.add(setting, used, "; ".join(["by default", *remarks]) if named is None else NAMED)
    return filters
