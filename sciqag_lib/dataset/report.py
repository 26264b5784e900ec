"""What a build did, in numbers that add up: every pair of the file is kept, or dropped for one reason of the list.

build.json, shortened: {"asked": 38, "kept": 27, "dropped": {"score_accuracy": 3, "duplicate": 2, ...},
"splits": {"train": {"papers": 9, "asked": 28, "kept": 21, "hits": {"score_accuracy": 2, ...}, ...}, "test": {...}},
"categories": [{"name": "Energy & Fuels", "papers": 3, "test_papers": 1, "asked": 9, "train": 5, "test": 2}, ...], ...}
"""

from dataclasses import dataclass, field
from typing import Any

from sciqag_lib.dataset.card import CardFacts, JudgeFacts
from sciqag_lib.dataset.filters import REASONS
from sciqag_lib.dataset.pairs import SPLITS
from sciqag_lib.records.categories import Category
from sciqag_lib.tables import show_notes

VERSION = 1
NO_CATEGORY = "no category"
SHOWN = 20  # warnings, notes and matches that are printed


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


def show_build(report: BuildReport) -> None:
    """Print the way of all pairs: asked = kept + dropped, by split, reason and category, and every warning."""
    print(
        f"{report.file}: {report.num_records:,} records, {report.papers:,} papers, {report.asked:,} pairs; "
        f"{report.num_bad:,} bad records or pairs"
    )
    print(f"{report.asked:,} asked = {report.kept:,} kept + {sum(report.dropped.values()):,} dropped")
    print(f"train: {report.filters['train']}\ntest:  {report.filters['test']}")
    print(f"split: {report._describe_split()}\n")
    print(f"{'':44} {'train':>9} {'test':>9}")
    _show_row("papers", [report.splits[split].papers for split in SPLITS])
    _show_row("pairs asked", [report.splits[split].asked for split in SPLITS])
    for reason, text in REASONS.items():
        found = [report.splits[split].dropped.get(reason, 0) for split in SPLITS]
        hits = [report.splits[split].hits.get(reason, 0) for split in SPLITS]
        if any(found) or any(hits):
            more = f"   (applies to {hits[0]:,} and {hits[1]:,})" if hits != found and any(hits) else ""
            _show_row(f"- {text}", found, more)
    _show_row("pairs kept", [report.splits[split].kept for split in SPLITS])
    _show_row("of papers", [report.splits[split].papers_kept for split in SPLITS])
    if report.dropped.get("same_doi"):
        print(f"without a split, since the paper stands in the file before: {report.dropped['same_doi']:,} pairs")
    for title, lines in (("warning", report.warnings), ("note", report.notes)):
        show_notes(lines, SHOWN, "build.json", title)


def _show_row(name: str, numbers: list[int], more: str = "") -> None:
    print(f"{name:44} {numbers[0]:>9,} {numbers[1]:>9,}{more}")


def show_categories(report: BuildReport) -> None:
    """Print papers and pairs of each category."""
    print(f"{'category':44} {'papers':>7} {'in test':>7} {'pairs':>8} {'train':>8} {'test':>8}")
    for row in report.categories:
        print(f"{row.name:44} {row.papers:>7,} {row.test_papers:>7,} {row.asked:>8,} {row.train:>8,} {row.test:>8,}")


def show_matches(report: BuildReport, number: int = SHOWN) -> None:
    """Print how many questions were found twice, and where, and the first of them; all are in matches.csv."""
    if report.benchmark:
        print(
            f"benchmark: {report.benchmark['file']}, {report.benchmark['questions']:,} questions read, "
            f"{report.benchmark['bad']:,} could not be"
        )
    looked = f"cosine of {report.near_duplicate} or more" if report.encoder else "not looked for, that needs an encoder"
    print(f"near questions: {looked}")
    total = 0
    for reason, counts in report.matches.items():
        for split, count in counts.items():
            total += count
            print(f"{split}: {REASONS[reason]}: {count:,}")
    if not total:
        print("no question was found twice")
    for match in report.examples[:number]:
        fate = "dropped" if match["dropped"] else "listed, stays"
        print(f"\n{match['reason']} {match['score']:.2f}")
        for side in "ab":
            note = f" ({fate})" if side == "b" else ""
            print(
                f"   {match['side_' + side]}, {match['doi_' + side]}, pair {match['pair_' + side]}: "
                f"{match['question_' + side]}{note}"
            )
    if total > number:
        print(f"\n... {total - min(number, len(report.examples)):,} more in matches.csv")
