"""The card of an exported dataset: what is in it, where it came from, how it was judged, and what it does not say.

The README.md of a Hugging Face dataset folder: a YAML header, which the Hub and datasets read, and Markdown. What
stands in pairs.parquet is counted there; what only the build knows comes as CardFacts. Texts of papers and of
users are escaped, so that a title cannot break a table, the header or the page. Its text is card_template.md, in Jinja.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sciqag_lib.dataset.filters import REASONS
from sciqag_lib.dataset.pairs import SPLITS
from sciqag_lib.paths import write_atomic
from sciqag_lib.racar.judging import DIMENSIONS
from sciqag_lib.racar.report import ARM_NAMES
from sciqag_lib.records.dois import DOI, normalize_doi

if TYPE_CHECKING:
    import pandas as pd

TEMPLATE = Path(__file__).with_name("card_template.md")
SHOWN_PAPERS = 50  # in the card; papers.csv has them all
SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)  # the Hub's words, up to below so many rows
MARKUP = re.compile(r"([\\`*_\[\]|~$#!])")


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
    """Of one pairs.parquet; "" is a category, licence or DOI that is not known."""

    rows: int = 0  # kept and dropped
    pairs: Counter[str] = field(default_factory=Counter)  # kept, by split
    papers: Counter[str] = field(default_factory=Counter)  # with a DOI and a kept pair, by split
    unnamed: int = 0  # kept pairs without a DOI
    categories: dict[str, Counter[str]] = field(default_factory=dict)  # kept pairs by split, and "papers"
    dropped: dict[str, int] = field(default_factory=dict)  # rows by reason, most frequent first
    licences: dict[str, int] = field(default_factory=dict)  # papers with a kept pair, most frequent first
    scores: dict[str, tuple[float, int]] = field(default_factory=dict)  # of kept pairs: mean and number, by dimension
    evidence: int = 0  # kept pairs that have some
    shown: list[dict[str, Any]] = field(default_factory=list)  # doi, title, journal, licence of the first papers

    @property
    def kept(self) -> int:
        return self.pairs.total()


def is_kept(pairs: "pd.DataFrame") -> "pd.Series":
    """(pairs,) bool"""
    return pairs["dropped_by"].isna() & pairs["split"].isin(SPLITS)


def count_pairs(pairs: "pd.DataFrame") -> DatasetCounts:
    """Of a frame of pairs.COLUMNS."""
    texts = ["doi", "title", "journal", "category", "licence", "evidence"]
    kept = pairs[is_kept(pairs)]
    kept = kept.assign(**kept[texts].fillna(""))
    named = kept[kept["doi"] != ""].drop_duplicates("record")
    categories = {name: Counter(found["split"]) for name, found in kept.groupby("category", sort=False)}
    for name, number in Counter(named["category"]).items():
        categories[name]["papers"] = number
    scores = {name: kept[f"score_{name}"].dropna() for name in DIMENSIONS}
    return DatasetCounts(
        len(pairs),
        Counter(kept["split"]),
        Counter(named["split"]),
        int((kept["doi"] == "").sum()),
        categories,
        dict(Counter(pairs.loc[~is_kept(pairs), "dropped_by"].fillna("no_split")).most_common()),
        dict(Counter(named["licence"]).most_common()),
        {name: (found.mean(), len(found)) for name, found in scores.items() if len(found)},
        int((kept["evidence"] != "").sum()),
        named.head(SHOWN_PAPERS)[["doi", "title", "journal", "licence"]].to_dict("records"),
    )


def write_card(path: Path, counts: DatasetCounts, data_files: dict[str, list[str]], facts: CardFacts) -> None:
    """The README.md of a dataset folder; `data_files` are its Parquet files by split, relative to the folder."""
    import jinja2

    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters |= {
        "escape": escape,
        "link_doi": _link_doi,
        "comma": "{:,}".format,
        "two_places": lambda value: "–" if value is None else f"{value:.2f}",
    }
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        facts=facts,
        counts=counts,
        header=_header(counts, data_files, facts),
        num_papers=counts.papers.total(),
        categories=sorted(counts.categories.items(), key=lambda item: (not item[0], item[0])),
        dimensions=[name for name in DIMENSIONS if name in counts.scores or name in facts.null_means],
        nulls=sorted({name for means in facts.null_means.values() for name in means}),
        reasons=REASONS,
        arms=ARM_NAMES,
    )
    with write_atomic(path) as file:
        file.write(text)


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
        license=licence if facts.licence else "unknown",
        task_categories=["question-answering", "text-generation"],
        size_categories=[name_size(counts.kept)],
        tags=["science", "synthetic", "sciqag"],
        configs=[{"config_name": "default", "data_files": files}],
    )
    return data.to_yaml()


def _link_doi(doi: str) -> str:
    """A link where it is a DOI; the released spelling with a hyphen and .json is one too."""
    known = normalize_doi(doi)
    if not DOI.fullmatch(known):
        return escape(doi)
    return f"[{escape(doi)}](https://doi.org/{quote(known, safe='/')})"
