"""The card of an exported dataset: what is in it, where it came from, how it was judged, and what it does not say.

The README.md of a Hugging Face dataset folder: a YAML header, which the Hub and datasets read, and Markdown. What
stands in pairs.parquet is counted there; what only the build knows comes as CardFacts. Texts of papers and of
users are escaped, so that a title cannot break a table, the header or the page.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from sciqag_lib.dataset.filters import REASONS
from sciqag_lib.dataset.pairs import SPLITS, DatasetPair, read_pairs
from sciqag_lib.paths import write_atomic
from sciqag_lib.racar.judging import DIMENSIONS
from sciqag_lib.racar.report import ARM_NAMES
from sciqag_lib.records.papers import normalize_doi

SHOWN_PAPERS = 50  # in the card; papers.csv has them all
SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)  # the Hub's words, up to below so many rows
UNKNOWN = "unknown"
MARKUP = re.compile(r"([\\`*_\[\]|~$#!])")
LOADING = """```python
from datasets import load_dataset

pairs = load_dataset("this folder, or its name on the Hub")
```
"""
COLUMN_TEXTS = {
    "doi": "of the paper, as the input spells it; empty for a pair without a paper",
    "pair": "the pair's place among those of its paper, from 0",
    "title, journal": "of the paper, where known",
    "category": "of the paper, or null",
    "licence": "of the paper as its file states it, or null",
    "question, answer": "the pair",
    "evidence": "the paper's own sentences that the answer rests on, where known",
    "score_*": "the judge's mean over its repeats, or null",
}
LIMITS = (
    "A language model wrote the pairs and no person read them all: an answer can be wrong, or right for another paper.",
    "A judge's score is a model's opinion. What it is worth shows beside its null baselines, which are pairs "
    "that deserve a low score; scores of different judges or scales are never to be compared.",
    "Evidence is found by comparing words and numbers. It says where to look, and is no proof of an answer.",
    "The contamination check compares this dataset's questions. It cannot know what a model saw in its own training: "
    "the papers themselves may well be in there.",
    "Categories are those of journals or of the input, not of the single paper's subject.",
    "The papers remain under their own licences. Evidence quotes them: who passes the data on has to keep to these.",
)


@dataclass
class JudgeFacts:
    """Who scored the pairs."""

    engine: str  # "openai"; "" where it is not known
    model: str
    prompt: str  # its name, version and digest: "racar, version 1 (0f3a...)"
    scale: str  # "1-3"
    notes: list[str] = field(default_factory=list)  # such as the dimensions on which it is useless


@dataclass
class CardFacts:
    """What the card says beyond what stands in pairs.parquet. The export counts papers, pairs, categories, splits,
    licences, reasons and mean scores there itself; all of these may be left empty, and the card then says "unknown"."""

    name: str = "Questions and answers from scientific papers"  # the card's title
    licence: str = ""  # the dataset's own, as the Hub spells it ("cc-by-4.0"): its maker decides
    source: str = ""  # the processed output: a name, no machine's path
    generator: str = ""  # engine, model and prompt that wrote the pairs
    judge: JudgeFacts | None = None  # None: nobody scored them
    null_means: dict[str, dict[str, float]] = field(default_factory=dict)  # dimension -> null baseline -> mean score
    filters: list[str] = field(default_factory=list)  # each rule in words, in the order in which it was applied
    split: str = ""  # the rule, its version and its seed
    contamination: dict[str, int] | None = None  # what was found twice -> how often; None: nobody looked
    notes: list[str] = field(default_factory=list)  # what was left out, what could not be checked


@dataclass
class DatasetCounts:
    """Of one pairs.parquet; "" stands for a category, licence or doi that is not known."""

    rows: int = 0  # kept and dropped
    pairs: Counter[str] = field(default_factory=Counter)  # kept, by split
    papers: Counter[str] = field(default_factory=Counter)  # with a doi and a kept pair, by split
    unnamed: int = 0  # kept pairs without a doi
    categories: dict[str, Counter[str]] = field(default_factory=dict)  # kept pairs by split, and "papers"
    dropped: Counter[str] = field(default_factory=Counter)  # rows, by reason
    licences: Counter[str] = field(default_factory=Counter)  # papers with a kept pair
    scores: dict[str, tuple[float, int]] = field(default_factory=dict)  # of kept pairs: sum and number, by dimension
    evidence: int = 0  # kept pairs that have some
    shown: list[DatasetPair] = field(default_factory=list)  # the first kept pair of the first papers

    @property
    def kept(self) -> int:
        return self.pairs.total()


def is_kept(pair: DatasetPair) -> bool:
    return pair.dropped_by is None and pair.split in SPLITS


def read_groups(path: Path) -> Iterator[list[DatasetPair]]:
    """The rows of each record, dropped ones too, in the table's order. InputError as read_pairs."""
    for _, rows in groupby(read_pairs(path), key=lambda pair: pair.record):
        yield list(rows)


def count_pairs(path: Path) -> DatasetCounts:
    """One pass over the table. InputError as read_pairs."""
    counts = DatasetCounts()
    for rows in read_groups(path):
        counts.rows += len(rows)
        counts.dropped.update(pair.dropped_by or "no_split" for pair in rows if not is_kept(pair))
        kept = [pair for pair in rows if is_kept(pair)]
        if kept:
            _add_kept(counts, kept)
    return counts


def _add_kept(counts: DatasetCounts, kept: list[DatasetPair]) -> None:
    first = kept[0]
    in_category = counts.categories.setdefault(first.category or "", Counter())
    if first.doi:
        in_category["papers"] += 1
        counts.licences[first.licence or ""] += 1
        counts.papers[first.split] += 1
        if len(counts.shown) < SHOWN_PAPERS:
            counts.shown.append(first)
    else:
        counts.unnamed += len(kept)
    for pair in kept:
        counts.pairs[pair.split] += 1
        in_category[pair.split] += 1
        counts.evidence += bool(pair.evidence)
        for dimension, score in pair.scores.items():
            total, number = counts.scores.get(dimension, (0.0, 0))
            counts.scores[dimension] = (total + score, number + 1)


def write_card(path: Path, counts: DatasetCounts, data_files: dict[str, list[str]], facts: CardFacts) -> None:
    """The README.md of a dataset folder; `data_files` are its Parquet files by split, relative to the folder."""
    sections = [
        _header(counts, data_files, facts),
        f"# {escape(facts.name)}\n",
        _introduction(counts),
        _list_columns(),
        _describe_sources(counts, facts),
        _describe_making(counts, facts),
        _describe_scores(counts, facts),
        _describe_contamination(facts),
        *(["## Notes of the build\n\n" + _list_items(map(escape, facts.notes))] if facts.notes else []),
        "## Limits\n\n" + _list_items(LIMITS),
    ]
    with write_atomic(path) as file:
        file.write("\n".join(sections))


def escape(text: str) -> str:
    """One line of Markdown that shows `text` as it is: no table cell, heading, link, formula or tag comes of it."""
    line = MARKUP.sub(r"\\\1", " ".join(text.split()))
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def name_size(rows: int) -> str:
    """The Hub's size category: "n<1K", "1K<n<10K", ..."""
    return next((name for limit, name in SIZES if rows < limit), "10M<n<100M")


def _header(counts: DatasetCounts, data_files: dict[str, list[str]], facts: CardFacts) -> str:
    from huggingface_hub import DatasetCardData

    files = [{"split": split, "path": paths} for split, paths in data_files.items()]
    # The Hub takes its own identifiers only; whatever else the maker wrote stands in the text below.
    licence = facts.licence if re.fullmatch(r"[a-z0-9][a-z0-9.-]*", facts.licence) else "other"
    data = DatasetCardData(
        pretty_name=" ".join(facts.name.split()),
        license=licence if facts.licence else UNKNOWN,
        task_categories=["question-answering", "text-generation"],
        size_categories=[name_size(counts.kept)],
        tags=["science", "synthetic", "sciqag"],
        configs=[{"config_name": "default", "data_files": files}],
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _introduction(counts: DatasetCounts) -> str:
    papers = counts.papers.total()
    unnamed = f" {counts.unnamed:,} of them name no paper." if counts.unnamed else ""
    rows = [(split, f"{counts.papers[split]:,}", f"{counts.pairs[split]:,}") for split in SPLITS]
    rows.append(("both", f"{papers:,}", f"{counts.kept:,}"))
    by_category = [
        (escape(name) or UNKNOWN, f"{found['papers']:,}", *(f"{found[split]:,}" for split in SPLITS))
        for name, found in sorted(counts.categories.items(), key=lambda item: (not item[0], item[0]))
    ]
    return "\n".join(
        [
            f"{counts.kept:,} question-answer pairs from {papers:,} scientific papers; for {counts.evidence:,} of them "
            f"it is known on which sentences of the paper the answer rests.{unnamed}\n",
            LOADING,
            _table(("Split", "Papers", "Pairs"), rows),
            _table(("Category", "Papers", "Train pairs", "Test pairs"), by_category),
        ]
    )


def _list_columns() -> str:
    rows = [(f"`{name}`".replace(", ", "`, `"), text) for name, text in COLUMN_TEXTS.items()]
    return "## Columns\n\n" + _table(("Column", "What it is"), rows)


def _describe_sources(counts: DatasetCounts, facts: CardFacts) -> str:
    licences = [(escape(name) or UNKNOWN, f"{number:,}") for name, number in counts.licences.most_common()]
    papers = [
        (
            _link_doi(pair.doi),
            escape(pair.title) or UNKNOWN,
            escape(pair.journal) or UNKNOWN,
            escape(pair.licence or "") or UNKNOWN,
        )
        for pair in counts.shown
    ]
    rest = counts.papers.total() - len(papers)
    lines = [
        f"Made from: {escape(facts.source) or UNKNOWN}. The dataset's own licence: "
        f"{escape(facts.licence) or f'{UNKNOWN}, its maker has named none'}.\n",
        *(
            [
                "Licences of the papers, as their files state them:\n",
                _table(("Licence", "Papers"), licences),
                f"All papers are in papers.csv{f', {rest:,} more than stand here' if rest else ''}.\n",
                _table(("DOI", "Title", "Journal", "Licence"), papers),
            ]
            if papers
            else ["The pairs name no papers.\n"]
        ),
    ]
    return "## Sources and licences\n\n" + "\n".join(lines)


def _describe_making(counts: DatasetCounts, facts: CardFacts) -> str:
    dropped = [(escape(REASONS.get(reason, reason)), f"{number:,}") for reason, number in counts.dropped.most_common()]
    filters = _list_items(map(escape, facts.filters)) if facts.filters else "No filters are known.\n"
    lines = [
        f"A language model read each paper and wrote questions and answers about it: "
        f"{escape(facts.generator) or UNKNOWN}. Filters then dropped pairs, in this order:\n",
        filters,
        f"Of {counts.rows:,} pairs {counts.kept:,} were kept" + (":\n" if dropped else ", none was dropped.\n"),
        *([_table(("Dropped because of", "Pairs"), dropped)] if dropped else []),
        f"Split: {escape(facts.split) or UNKNOWN}.\n",
    ]
    return "## How it was made\n\n" + "\n".join(lines)


def _describe_scores(counts: DatasetCounts, facts: CardFacts) -> str:
    judge = facts.judge
    if judge is None:
        who = "Judge: none is known.\n" if counts.scores else "Judge: none. Nobody scored these pairs.\n"
    else:
        through = f" through {escape(judge.engine)}" if judge.engine else ""
        who = f"Judge: {escape(judge.model)}{through}; prompt {escape(judge.prompt)}; scale {escape(judge.scale)}.\n"
    nulls = sorted({name for means in facts.null_means.values() for name in means})
    rows = [
        _score_row(dimension, counts, facts, nulls)
        for dimension in DIMENSIONS
        if dimension in counts.scores or dimension in facts.null_means
    ]
    columns = [f"Null: {escape(ARM_NAMES.get(name, name))}" for name in nulls]
    table = _table(("Dimension", "Mean of kept pairs", "Scored", *columns), rows)
    explained = (
        "\nA null baseline is what the same judge gave to pairs that deserve a low score. Where a filter "
        "chose pairs by these scores, the mean of the kept ones flatters.\n"
        if nulls
        else "\nNull baselines: unknown. Without them nobody can tell what these means are worth.\n"
    )
    notes = _list_items(map(escape, judge.notes)) if judge and judge.notes else ""
    return "## Scores\n\n" + who + ("\n" + table + explained if rows else "") + ("\n" + notes if notes else "")


def _score_row(dimension: str, counts: DatasetCounts, facts: CardFacts, nulls: list[str]) -> tuple[str, ...]:
    total, number = counts.scores.get(dimension, (0.0, 0))
    means = facts.null_means.get(dimension, {})
    return (
        dimension,
        f"{total / number:.2f}" if number else "–",
        f"{number:,} of {counts.kept:,}",
        *(f"{means[name]:.2f}" if name in means else "–" for name in nulls),
    )


def _describe_contamination(facts: CardFacts) -> str:
    if facts.contamination is None:
        found = "Not checked, or not known.\n"
    elif not any(facts.contamination.values()):
        found = "Questions were compared within and between the splits: none was found twice.\n"
    else:
        rows = [(escape(name), f"{number:,}") for name, number in facts.contamination.items()]
        found = "Questions that were found twice; the filters above say which of the two was dropped.\n\n" + _table(
            ("Found", "Matches"), rows
        )
    return f"## Contamination\n\n{found}"


def _link_doi(doi: str) -> str:
    """A link where it is a DOI; the released spelling with a hyphen and .json is one too."""
    known = normalize_doi(doi)
    if not re.fullmatch(r"10\.\d{4,9}/\S+", known):
        return escape(doi)
    return f"[{escape(doi)}](https://doi.org/{quote(known, safe='/')})"


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(columns), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def _list_items(items: Iterable[str]) -> str:
    return "".join(f"- {item}\n" for item in items)
