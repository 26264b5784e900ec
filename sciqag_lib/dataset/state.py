"""What is held in memory of the pairs of a build, some hundred bytes each and no texts, and who is dropped by what."""

import logging
from array import array
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sciqag_lib.dataset.filters import NUMBERS, PAIR_REASONS, REASONS
from sciqag_lib.dataset.input import InputRecord
from sciqag_lib.dataset.pairs import SPLITS
from sciqag_lib.dataset.report import NO_CATEGORY, CategoryCounts, SplitCounts
from sciqag_lib.records.categories import Category

log = logging.getLogger(__name__)

KEPT = 255  # in the place of a reason's number
LISTED, MAX_NOTES = 20, 1000


@dataclass(slots=True)
class BuildPaper:
    key: str  # the normalised doi, or a hash of its question
    doi: str  # as written
    title: str
    journal: str
    category: str | None
    split: str = ""


class BuildState:
    """Papers and pairs by number; reasons as bits by filters.NUMBERS."""

    def __init__(self) -> None:
        self.papers: list[BuildPaper] = []
        self._places: dict[str, int] = {}
        self._paper_of = array("q")  # of each pair
        self._masks = {split: array("q") for split in SPLITS}  # what would keep it out of either split
        self.digests: list[bytes] = []  # of each question
        self.num_records = self.num_bad = self.num_scored = self.num_found = self.num_checked = 0
        self.warnings: list[str] = []
        self.notes: list[str] = []

    def __len__(self) -> int:
        return len(self.digests)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def note(self, message: str) -> None:
        """The first of them: a file may be bad from end to end."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(message)

    def place_paper(self, record: InputRecord) -> int:
        """The number of the record's paper; records of single pairs may share one."""
        number = self._places.setdefault(record.paper, len(self.papers))
        if number == len(self.papers):
            self.papers.append(BuildPaper(record.paper, record.doi, record.title, record.journal, record.category))
        return number

    def add_pair(self, paper: int, digest: bytes, reasons: dict[str, list[str]]) -> None:
        """`reasons`: those that would keep the pair out of each split."""
        self._paper_of.append(paper)
        self.digests.append(digest)
        for split, found in reasons.items():
            self._masks[split].append(sum(1 << NUMBERS[reason] for reason in found))

    def decide(self) -> None:
        """Once the papers have their split: the first reason of each pair, the warnings where a filter leaves none."""
        self.paper_of = np.frombuffer(self._paper_of, np.int64)
        self.is_test = np.array([paper.split == "test" for paper in self.papers])[self.paper_of]
        train, test = (np.frombuffer(self._masks[split], np.int64) for split in SPLITS)
        self.masks = np.where(self.is_test, test, train)
        self.reasons = np.full(len(self), KEPT, np.uint8)
        for reason in PAIR_REASONS:
            self.drop(self._applies(reason), reason)

    def _applies(self, reason: str) -> np.ndarray:
        """(pairs,) bool"""
        return (self.masks >> NUMBERS[reason]) & 1 == 1

    def drop(self, hit: np.ndarray, reason: str) -> None:
        """Drop the pairs of `hit` (pairs, bool) that are still kept; first it is said where that leaves nothing."""
        kept = self.reasons == KEPT
        dropped = kept & hit
        if not dropped.any():
            return
        for split in SPLITS:
            side = self.is_test == (split == "test")
            self._warn_empty(split, REASONS[reason], kept & side, dropped & side)
        self.reasons[dropped] = NUMBERS[reason]

    def _warn_empty(self, split: str, filter_name: str, kept: np.ndarray, dropped: np.ndarray) -> None:
        """Said at once, before anything is written, and in the report."""
        names, codes = self._category_codes
        before, gone = (np.bincount(codes[self.paper_of[rows]], minlength=len(names)) for rows in (kept, dropped))
        emptied = [f"{names[number]} ({before[number]:,})" for number in np.flatnonzero((gone > 0) & (gone == before))]
        if not emptied:
            return
        which = f"; {kept.sum():,} came to it" if dropped.sum() == kept.sum() else f" of {', '.join(emptied)}"
        self.warn(f'{split}: the filter "{filter_name}" leaves no pair{which}')
        log.warning(self.warnings[-1])

    @cached_property
    def _category_codes(self) -> tuple[list[str], np.ndarray]:
        """The names that occur, and the number of each paper's; asked for once all papers are there."""
        names = list(dict.fromkeys(paper.category or NO_CATEGORY for paper in self.papers))
        places = {name: place for place, name in enumerate(names)}
        return names, np.array([places[paper.category or NO_CATEGORY] for paper in self.papers])

    @property
    def has_split(self) -> np.ndarray:
        """(pairs,) not those of a record whose paper stands in the file before"""
        return self.reasons != NUMBERS["same_doi"]

    def list_kept(self, split: str) -> list[int]:
        return np.flatnonzero((self.reasons == KEPT) & (self.is_test == (split == "test"))).tolist()

    def count_all(self, categories: dict[str, Category]) -> dict[str, Any]:
        """The fields of a BuildReport that are known here."""
        return {
            "num_records": self.num_records,
            "num_bad": self.num_bad,
            "papers": len(self.papers),
            "asked": len(self),
            "kept": int((self.reasons == KEPT).sum()),
            "dropped": self.count_dropped(),
            "splits": {split: self.count_split(split) for split in SPLITS},
            "categories": self.count_categories(categories),
            "scored": self.num_scored,
            "checked": self.num_checked,
            "warnings": self.warnings,
            "notes": self.notes,
        }

    def count_dropped(self, rows: np.ndarray | None = None) -> dict[str, int]:
        reasons = self.reasons if rows is None else self.reasons[rows]
        counts = np.bincount(reasons, minlength=KEPT + 1)
        return {reason: int(counts[number]) for reason, number in NUMBERS.items() if counts[number]}

    def count_split(self, split: str) -> SplitCounts:
        rows = self.has_split & (self.is_test == (split == "test"))
        kept = rows & (self.reasons == KEPT)
        hits = {reason: int((self._applies(reason) & rows).sum()) for reason in PAIR_REASONS}
        papers = sum(paper.split == split for paper in self.papers)
        return SplitCounts(
            papers,
            len(np.unique(self.paper_of[kept])),
            int(rows.sum()),
            int(kept.sum()),
            self.count_dropped(rows),
            {reason: count for reason, count in hits.items() if count},
        )

    def count_categories(self, categories: dict[str, Category]) -> list[CategoryCounts]:
        """Those that occur, in the order of `categories`; papers without one last."""
        found, codes = self._category_codes
        fields = {**{name: category.field for name, category in categories.items()}, NO_CATEGORY: ""}
        counts = {name: CategoryCounts(name, field) for name, field in fields.items() if name in found}
        for paper in self.papers:
            row = counts[paper.category or NO_CATEGORY]
            row.papers += 1
            row.test_papers += paper.split == "test"
        of_pair = codes[self.paper_of]
        kept = self.reasons == KEPT
        for name, row in counts.items():
            here = of_pair == found.index(name)
            row.asked = int(here.sum())
            row.train, row.test = (int((here & kept & (self.is_test == test)).sum()) for test in (False, True))
        return list(counts.values())

    def count_kept(self) -> np.ndarray:
        """(papers,) kept pairs"""
        return np.bincount(self.paper_of[self.reasons == KEPT], minlength=len(self.papers))

    def count_pairs(self) -> np.ndarray:
        """(papers,) pairs"""
        return np.bincount(self.paper_of, minlength=len(self.papers))

    def warn_of_papers(self) -> None:
        """Categories with one paper, an empty split, one title under two DOIs."""
        names, codes = self._category_codes
        alone = [name for name, size in zip(names, np.bincount(codes)) if size == 1]
        if alone:
            self.warn(f"categories with one paper, which stays in train, so that test has none: {', '.join(alone)}")
        for split in SPLITS:
            if not any(paper.split == split for paper in self.papers):
                self.warn(f"{split}: no paper was placed here, so the split is empty")
        self._warn_of_titles()

    def _warn_of_titles(self) -> None:
        """A paper that stands in the file under two DOIs, as a preprint and its article do, may be on both sides."""
        seen: dict[str, BuildPaper] = {}
        both = []
        for paper in self.papers:
            title = " ".join(paper.title.casefold().split())
            other = seen.setdefault(title, paper) if title else paper
            if other.split != paper.split:
                both.append(f"{other.doi} ({other.split}) and {paper.doi} ({paper.split})")
        if both:
            more = f" and {len(both) - LISTED:,} more" if len(both) > LISTED else ""
            self.warn(f"papers of one title on both sides: {'; '.join(both[:LISTED])}{more}; are they the same paper?")
