"""What keeps a pair out of a dataset, pair by pair, and the closed list of all reasons.

    PairFilter from {"min_score": 3, "context_bound": "strict", "checks": ["wrong_number"], "min_support": 0.4}

- `min_score`: the least score, one number for all five dimensions or {dimension: number}. SciQAG's rule for its test
  set is 3 of 3 on every dimension.
- `context_bound`: "strict" or "loose", the forms of pair_checks.py: pairs that speak of "this study". SciQAG's rule for
  its train set.
- `checks`: reasons of checks.REASONS, or "all" of them; `min_support`: 0-1. Both are columns of 05_evaluation's
  checks.parquet.
- `missing`: what happens to a pair that has no score, or no row of checks, where the filter asks for it: "drop" or
  "keep". Either way such pairs are counted.

Train and test have a filter each, so that the test set can be chosen more strictly.
"""

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sciqag_lib.checks import rules as checks
from sciqag_lib.checks.pair_checks import find_context_phrase
from sciqag_lib.errors import InputError
from sciqag_lib.racar.judging import DIMENSIONS

if TYPE_CHECKING:
    import pandas as pd

PAIR_REASONS = {  # in the order in which they are asked: reason -> how it is printed
    "same_doi": "its paper stands in the file before",
    "unscored": "a score is missing",
    **{f"score_{dimension}": f"{dimension} below the threshold" for dimension in DIMENSIONS},
    "context_bound": "speaks of its paper",
    "unchecked": "no checks",
    **{f"check_{reason}": f"check: {reason.replace('_', ' ')}" for reason in checks.REASONS},
    "low_support": "support below the threshold",
}
SET_REASONS = {  # what only the other pairs tell (contamination.py)
    "in_benchmark": "question of the benchmark",
    "in_test": "question of test",
    "duplicate": "question asked before",
    "near_benchmark": "near a question of the benchmark",
    "near_test": "near a question of test",
    "near_duplicate": "near a question asked before",
}
REASONS = {**PAIR_REASONS, **SET_REASONS}
KEYS = ("min_score", "context_bound", "checks", "min_support", "missing")


@dataclass(frozen=True)
class PairFilter:
    min_score: tuple[tuple[str, float], ...]  # dimension and threshold, those that are asked for
    context_bound: str | None  # "strict", "loose"
    checks: tuple[str, ...]  # of checks.REASONS
    min_support: float | None
    missing: str  # "drop" or "keep"

    @property
    def needs_checks(self) -> bool:
        return bool(self.checks) or self.min_support is not None

    @property
    def dimensions(self) -> list[str]:
        return [dimension for dimension, _ in self.min_score]

    def find_hits(self, pairs: "pd.DataFrame") -> "pd.DataFrame":
        """Which of PAIR_REASONS keep each pair out, one bool column per reason, but for "same_doi". `pairs` have
        question, answer, score_*, support and rejected_by; the last is null where a pair has no row of checks."""
        import pandas as pd

        drops = self.missing == "drop"
        hits = {f"score_{name}": pairs[f"score_{name}"] < least for name, least in self.min_score}
        if drops and self.min_score:
            hits["unscored"] = pairs[[f"score_{name}" for name in self.dimensions]].isna().any(axis=1)
        if self.context_bound:
            texts, strict = zip(pairs["question"], pairs["answer"]), self.context_bound == "strict"
            hits["context_bound"] = [bool(find_context_phrase(*pair, strict)) for pair in texts]
        if self.needs_checks:
            if drops:
                hits["unchecked"] = pairs["rejected_by"].isna()
            given = [reasons.split() for reasons in pairs["rejected_by"].fillna("")]
            hits |= {f"check_{reason}": [reason in reasons for reasons in given] for reason in self.checks}
        if self.min_support is not None:
            hits["low_support"] = pairs["support"] < self.min_support
        return pd.DataFrame(hits, pairs.index).reindex(columns=list(PAIR_REASONS), fill_value=False).astype(bool)

    def describe(self) -> str:
        parts = [f"{name} at least {least:g}" for name, least in self.min_score]
        if len(parts) == len(DIMENSIONS) and len({least for _, least in self.min_score}) == 1:
            parts = [f"every dimension at least {self.min_score[0][1]:g}"]
        parts += [f"not context-bound ({self.context_bound})"] if self.context_bound else []
        parts += [f"checks passed: {', '.join(self.checks)}"] if self.checks else []
        parts += [f"support at least {self.min_support:g}"] if self.min_support is not None else []
        needed = bool(self.min_score) or self.needs_checks
        return ("; ".join(parts) or "all kept") + (f"; without a score or checks: {self.missing}" if needed else "")


def make_filter(settings: dict[str, Any], name: str = "filter", top: int | None = None) -> PairFilter:
    """A filter from the parameters' dictionary; {} keeps all. `name` and `top`, the scale's highest score, serve the
    messages. InputError: an unknown key, or a value that cannot be meant."""
    unknown = [key for key in settings if key not in KEYS]
    if unknown:
        near = difflib.get_close_matches(str(unknown[0]), KEYS, n=1)
        raise InputError(
            f"{name}: unknown key {unknown[0]!r}{f' (did you mean {near[0]!r}?)' if near else ''}; "
            f"expected some of {', '.join(KEYS)}"
        )
    missing = settings.get("missing", "drop")
    context_bound = settings.get("context_bound")
    support = settings.get("min_support")
    _check_choice(f"{name}.missing", missing, ("drop", "keep"))
    _check_choice(f"{name}.context_bound", context_bound, (None, "strict", "loose"))
    if support is not None and not (_is_number(support) and 0 <= support <= 1):
        raise InputError(f"{name}.min_support: expected a number from 0 to 1, found {support!r}")
    return PairFilter(
        _read_thresholds(settings.get("min_score"), name, top),
        context_bound,
        _read_checks(settings.get("checks"), name),
        support,
        missing,
    )


def _check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name}: expected {' or '.join(map(repr, choices))}, found {value!r}")


def _read_thresholds(value: Any, name: str, top: int | None) -> tuple[tuple[str, float], ...]:
    if value is None:
        return ()
    given = value if isinstance(value, dict) else dict.fromkeys(DIMENSIONS, value)
    for dimension, least in given.items():
        if dimension not in DIMENSIONS:
            raise InputError(f"{name}.min_score: expected one of {', '.join(DIMENSIONS)}, found {dimension!r}")
        if not _is_number(least) or least < 1 or least > (top or least):
            end = f" to {top}, the judge's scale" if top else " on"
            raise InputError(f"{name}.min_score: expected a number from 1{end}, found {least!r} for {dimension}")
    return tuple((dimension, float(given[dimension])) for dimension in DIMENSIONS if dimension in given)


def _read_checks(value: Any, name: str) -> tuple[str, ...]:
    given = list(checks.REASONS) if value == "all" else [] if value is None else value
    wrong = [reason for reason in given if reason not in checks.REASONS] if isinstance(given, list) else [given]
    if wrong:
        raise InputError(f'{name}.checks: expected "all" or a list of {", ".join(checks.REASONS)}, found {wrong[0]!r}')
    return tuple(reason for reason in checks.REASONS if reason in given)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
