"""What a build did, in numbers that add up: every pair of the file is kept, or dropped for one reason of the list.

build.json, shortened: {"asked": 38, "kept": 27, "dropped": {"score_accuracy": 3, "duplicate": 2, ...},
"splits": {"train": {"papers": 9, "asked": 28, "kept": 21, "hits": {"score_accuracy": 2, ...}, ...}, "test": {...}},
"categories": [{"name": "Energy & Fuels", "papers": 3, "test_papers": 1, "asked": 9, "train": 5, "test": 2}, ...], ...}
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sciqag_lib.dataset.card import CardFacts, JudgeFacts
from sciqag_lib.dataset.filters import PAIR_REASONS, REASONS
from sciqag_lib.dataset.pairs import SPLITS
from sciqag_lib.records.categories import Category

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1
NO_CATEGORY = "no category"
SHOWN = 20  # notes in the card, and matches in build.json


@dataclass
class SplitCounts:
    papers: int = 0  # placed here
    papers_kept: int = 0  # of which a pair is kept
    asked: int = 0  # pairs of these papers
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)  # by the first reason that applies; asked = kept + these
    hits: dict[str, int] = field(default_factory=dict)  # pairs to which a reason applies, first or not


@dataclass
class CategoryCounts:
    name: str
    field: str
    papers: int = 0
    test_papers: int = 0
    asked: int = 0  # pairs
    train: int = 0  # kept
    test: int = 0


@dataclass
class BuildReport:
    """What stands in build.json."""

    file: str
    num_records: int  # that could be read
    num_bad: int  # records and pairs that could not; each is named in notes, none is among the pairs asked
    papers: int
    asked: int
    kept: int
    dropped: dict[str, int]  # of filters.REASONS, in their order
    splits: dict[str, SplitCounts]
    categories: list[CategoryCounts]  # those that occur, in the list's order, "no category" last
    matches: dict[str, dict[str, int]]  # reason -> split of the later question -> matches found
    examples: list[dict[str, Any]]  # the first matches, as in matches.csv
    benchmark: dict[str, Any]  # file, questions, bad; {} where none was given
    filters: dict[str, str]  # of train and test, in words
    test_size: float
    seed: int
    split_version: int
    encoder: str  # "" where near questions were not looked for
    near_duplicate: float | None
    scored: int  # pairs with a score of every dimension that was judged
    checked: int  # pairs with a row of checks
    judge: dict[str, Any]  # model, prompt, scale, null_means; {} where nobody scored
    useless: list[str]  # dimensions on which the judge does not tell pairs from a null baseline
    licences: dict[str, int]  # kept pairs, "unknown" where the record says nothing
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    version: int = VERSION

    def check_sums(self) -> None:
        """RuntimeError where the counts do not add up: then they can't be trusted, and neither can the files."""
        for name, part in {"the file": self, **self.splits}.items():
            if part.asked != part.kept + sum(part.dropped.values()):
                raise RuntimeError(
                    f"{name}: {part.asked} pairs asked, {part.kept} kept and "
                    f"{sum(part.dropped.values())} dropped do not add up: please report this"
                )

    def list_categories(self) -> list[Category]:
        """Those with a kept pair, as the donuts take them."""
        return [
            Category(row.name, row.field, row.papers, row.train, row.test)
            for row in self.categories
            if row.train + row.test
        ]

    def to_frame(self) -> "pd.DataFrame":
        """Papers and pairs of train and test, how many pairs each reason dropped, and to how many it applies."""
        import pandas as pd

        left = {
            split: {
                "papers": counts.papers,
                "pairs asked": counts.asked,
                **{f"- {text}": counts.dropped.get(reason, 0) for reason, text in REASONS.items()},
                "pairs kept": counts.kept,
                "of papers": counts.papers_kept,
            }
            for split, counts in self.splits.items()
        }
        hits = {
            f"applies to {split}": {f"- {text}": counts.hits.get(reason, 0) for reason, text in PAIR_REASONS.items()}
            for split, counts in self.splits.items()
        }
        frame = pd.DataFrame(left).join(pd.DataFrame(hits)).astype("Int64")
        return frame[(frame.fillna(0) != 0).any(axis=1) | ~frame.index.str.startswith("- ")]

    def list_steps(self) -> list[tuple[str, int, int]]:
        """The way through the filters: what is done, and the pairs of train and of test that are left after it; only
        steps that drop a pair."""
        left = {split: self.splits[split].asked for split in SPLITS}
        steps = [("in the file", left["train"], left["test"])]
        for reason, text in REASONS.items():
            found = [self.splits[split].dropped.get(reason, 0) for split in SPLITS]
            if any(found):
                left = {split: left[split] - number for split, number in zip(SPLITS, found)}
                steps.append((text, left["train"], left["test"]))
        return steps

    def make_card_facts(self, name: str = "", licence: str = "") -> CardFacts:
        """What the card of an export says of this build."""
        judge = None
        if self.judge:
            notes = [f"useless on {name}: it does not tell pairs from a null baseline" for name in self.useless]
            judge = JudgeFacts("", self.judge["model"], self.judge["prompt"], self.judge["scale"], notes)
        facts = CardFacts(
            licence=licence,
            source=self.file,
            judge=judge,
            filters=self._describe_filters(),
            null_means=self.judge.get("null_means", {}),
            split=self._describe_split(),
            contamination=self._describe_matches(),
            notes=[*self.warnings, *self.notes[:SHOWN]],
        )
        facts.name = name or facts.name
        return facts

    def _describe_filters(self) -> list[str]:
        near = f", or with a cosine of {self.near_duplicate} or more" if self.encoder else ""
        benchmark = "of the benchmark, " if self.benchmark else ""
        return [
            *(f"{split}: {text}" for split, text in self.filters.items()),
            f"train: no question {benchmark}of test or of train again (alike but for case and white space{near})",
            f"test: no question again (alike{near})",
        ]

    def _describe_split(self) -> str:
        size = f"{self.test_size:g} of the papers" if self.test_size < 1 else f"{self.test_size:g} papers a category"
        return (
            f"by paper, within each category: {size} for test, chosen by a hash of the DOI and seed {self.seed} "
            f"(rule version {self.split_version})"
        )

    def _describe_matches(self) -> dict[str, int]:
        return {
            f"{REASONS[reason]} ({split})": count
            for reason, counts in self.matches.items()
            for split, count in counts.items()
        }


# Counting ------------------------------------------------------------------------------------------------------------


def count_all(
    pairs: "pd.DataFrame", hits: "pd.DataFrame", papers: "pd.DataFrame", categories: dict[str, Category]
) -> dict[str, Any]:
    """The fields of a BuildReport that the frames tell: `pairs` with split, shelf and dropped_by, `hits` bool (pairs,
    PAIR_REASONS), `papers` with split and shelf."""
    kept = pairs["dropped_by"].isna()
    return {
        "papers": len(papers),
        "asked": len(pairs),
        "kept": int(kept.sum()),
        "dropped": count_reasons(pairs),
        "splits": {split: count_split(split, pairs, hits, papers) for split in SPLITS},
        "categories": count_categories(pairs, papers, categories),
        "checked": int(pairs["rejected_by"].notna().sum()),
        "licences": dict(Counter(pairs.loc[kept, "licence"].fillna("unknown")).most_common()),
    }


def count_reasons(pairs: "pd.DataFrame") -> dict[str, int]:
    """Dropped pairs by reason, in the order of REASONS."""
    counts = pairs["dropped_by"].value_counts().to_dict()
    return {reason: counts[reason] for reason in REASONS if reason in counts}


def count_split(split: str, pairs: "pd.DataFrame", hits: "pd.DataFrame", papers: "pd.DataFrame") -> SplitCounts:
    here = pairs.loc[pairs["split"] == split, ["paper", "dropped_by"]]
    kept = here[here["dropped_by"].isna()]
    found = hits.loc[here.index].sum().to_dict()
    return SplitCounts(
        int((papers["split"] == split).sum()),
        kept["paper"].nunique(),
        len(here),
        len(kept),
        count_reasons(here),
        {reason: count for reason, count in found.items() if count},
    )


def count_categories(
    pairs: "pd.DataFrame", papers: "pd.DataFrame", categories: dict[str, Category]
) -> list[CategoryCounts]:
    """Those that occur, in the order of `categories`; papers without one last."""
    fields = {**{name: category.field for name, category in categories.items()}, NO_CATEGORY: ""}
    is_kept = pairs["dropped_by"].isna()
    rows = (
        papers,
        papers[papers["split"] == "test"],
        pairs,
        *(pairs.loc[is_kept & (pairs["split"] == split), ["shelf"]] for split in SPLITS),
    )
    counts = [found["shelf"].value_counts().to_dict() for found in rows]
    return [
        CategoryCounts(name, field, *(count.get(name, 0) for count in counts))
        for name, field in fields.items()
        if name in counts[0]
    ]
