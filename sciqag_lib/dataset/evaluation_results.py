"""What 05_evaluation found of the pairs of a file, put beside them: the judge's scores and the checks.

    results = read_results(Path("runs/demo/05_evaluation"))     # scores and checks, .parquet or .csv, what is there
    pairs = results.add_to(pairs)                               # with score_*, support, rejected_by

Checks are found by the pair's own words, so that a file which was cut or sorted since then has those that still hold.
Scores are found by number: they are used where the checks beside them have the same words under that number, or, where
there are no checks, as they are.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciqag_lib.errors import InputError
from sciqag_lib.racar.judging import DIMENSIONS
from sciqag_lib.records.dois import normalize_doi
from sciqag_lib.tables import make_schema

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow

TABLES = ("scores", "checks")  # .parquet or .csv
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
SCORES = [f"score_{dimension}" for dimension in DIMENSIONS]
CHECKS = ["support", "rejected_by"]


@dataclass
class EvaluationResults:
    scale: str = ""  # "1-3", "1-5"; "" where nothing is scored
    dimensions: tuple[str, ...] = ()  # of which there is a score
    judge: dict[str, Any] = field(default_factory=dict)  # model, prompt, scale and null_means, as racar.json has them
    useless: list[str] = field(default_factory=list)  # dimensions on which it does not tell pairs from a baseline
    scores: "pd.DataFrame | None" = None  # where, key, pair, and SCORES: the means of the repeats
    checks: "pd.DataFrame | None" = None  # name (key or where), pair, question, answer, and CHECKS
    num_foreign: int = 0  # pairs with scores under their number, but of other words: not used

    @property
    def top(self) -> int | None:
        return int(self.scale.rpartition("-")[2]) if self.scale else None

    @property
    def num_checks(self) -> int:
        return 0 if self.checks is None else len(self.checks)

    def add_to(self, pairs: "pd.DataFrame") -> "pd.DataFrame":
        """`pairs` (input.py) with the columns of SCORES and CHECKS, null where nothing is known; pairs of a record that
        is not used have none."""
        pairs = pairs.assign(name=pairs["key"].where(pairs["key"] != "", pairs["where"]))
        found = pairs.assign(**dict.fromkeys(SCORES, float("nan")), support=float("nan"), rejected_by=None)
        found["rejected_by"] = found["rejected_by"].astype("str")
        if self.checks is not None:
            last = self.checks.drop_duplicates(["name", "question", "answer"], keep="last")
            found[CHECKS] = pairs.merge(last, "left", ["name", "question", "answer"])[CHECKS]
        if self.scores is not None:
            found[SCORES] = self._find_scores(pairs)
        found.loc[pairs["same_doi"], SCORES + CHECKS] = None
        if self.scores is not None and self.checks is not None:
            foreign = self._has_other_words(pairs) & found[SCORES].notna().any(axis=1)
            found.loc[foreign, SCORES] = None
            self.num_foreign = int(foreign.sum())
        return found.drop(columns="name")

    def _find_scores(self, pairs: "pd.DataFrame") -> "pd.DataFrame":
        """By record, DOI and number; by DOI and number where one record alone has them."""
        found = pairs.merge(self.scores, "left", ["where", "key", "pair"], indicator=True)
        single = self.scores[self.scores["key"] != ""].drop_duplicates(["key", "pair"], keep=False)
        other = pairs.merge(single, "left", ["key", "pair"])
        return found[SCORES].where(found["_merge"] == "both", other[SCORES])

    def _has_other_words(self, pairs: "pd.DataFrame") -> "pd.Series":
        """Whether the checks have one pair under the same number, and it is another."""
        names = ["name", "pair"]
        single = self.checks.drop_duplicates([*names, "question", "answer"]).drop_duplicates(names, keep=False)
        known = pairs[names].merge(single, "left", names)
        same = (known["question"] == pairs["question"]) & (known["answer"] == pairs["answer"])
        return known["question"].notna() & ~same


def read_results(folder: Path | None) -> EvaluationResults:
    """What lies in the folder of a 05_evaluation run; None is nothing.

    InputError: there is no such folder or neither table in it, or one cannot be read or has scores of two scales.
    """
    results = EvaluationResults()
    if folder is None:
        return results
    paths = {name: find_table(folder, name) for name in TABLES}
    if not any(paths.values()):
        raise InputError(
            f"{folder}: expected the scores or checks that 05_evaluation writes (.parquet or .csv), found "
            f"neither; give its output_dir, or null"
        )
    if paths["scores"]:
        _read_scores(results, paths["scores"])
    if paths["checks"]:
        checks = read_table(paths["checks"], CHECK_COLUMNS).to_pandas().rename(columns={"doi": "name"})
        results.checks = checks.assign(
            name=normalize_dois(checks["name"]), rejected_by=checks["rejected_by"].fillna("")
        )
    _read_judge(results, folder / "racar.json")
    return results


def find_table(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.parquet", folder / f"{name}.csv") if path.exists()), None)


def _read_scores(results: EvaluationResults, path: Path) -> None:
    table = read_table(path, SCORE_COLUMNS).to_pandas(strings_to_categorical=True)  # a row per dimension and repeat
    table = table[(table["arm"] == "own") & table["score"].notna()]
    unknown, scales = sorted({*table["dimension"]} - {*DIMENSIONS}), list(table["scale"].unique())
    if unknown:
        raise InputError(f"{path}: expected the dimensions {', '.join(DIMENSIONS)}, found {unknown[0]!r}")
    if len(scales) > 1:
        raise InputError(
            f"{path}: expected scores of one scale, found {scales[0]} and {scales[1]}; judge all pairs on the same"
        )
    results.scale = scales[0] if scales else ""
    results.dimensions = tuple(name for name in DIMENSIONS if name in {*table["dimension"]})
    keys = ["record", "doi", "pair"]
    means = table.groupby([*keys, "dimension"], observed=True, dropna=False)["score"].mean().unstack()
    means = means.set_axis([f"score_{name}" for name in means.columns], axis=1).reindex(columns=SCORES).reset_index()
    scores = means.astype({"record": "str", "doi": "str"}).rename(columns={"record": "where", "doi": "key"})
    scores["key"] = normalize_dois(scores["key"].fillna(""))
    results.scores = scores.groupby(["where", "key", "pair"], as_index=False).mean()  # a DOI may have two spellings


def normalize_dois(dois: "pd.Series") -> "pd.Series":
    return dois.map({doi: normalize_doi(doi) for doi in dois.unique()}).astype("str")


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


def read_table(path: Path, columns: dict[str, str]) -> "pyarrow.Table":
    """These columns of a .parquet or .csv file. InputError: it cannot be read, or one is missing."""
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    repeated = [name for name in ("record", "doi", "arm", "dimension", "scale") if name in columns]
    try:
        if path.suffix == ".parquet":
            return pyarrow.parquet.ParquetFile(path, read_dictionary=repeated).read(list(columns)).select(list(columns))
        schema = make_schema(columns)
        convert = pyarrow.csv.ConvertOptions(column_types=schema, include_columns=list(columns))
        parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
        return pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert)
    except KeyError as error:
        raise InputError(f"{path}: expected the columns {', '.join(columns)}: {error}") from error
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as a table of 05_evaluation: {error}") from error
