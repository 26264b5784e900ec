"""The dataset card: its header as the Hub reads it, its numbers, and texts that try to break the page."""

import re
from pathlib import Path
from typing import Any

import pytest

from sciqag_lib.dataset.card import (
    SHOWN_PAPERS,
    CardFacts,
    JudgeFacts,
    count_pairs,
    escape,
    name_size,
    write_card,
)
from sciqag_lib.dataset.pairs import read_pairs
from tests.conftest import skip_without
from tests.export_table import make_row, write_table

FILES = {"train": ["data/train-00000-of-00001.parquet"], "test": ["data/test-00000-of-00001.parquet"]}
NASTY = '---\n| a |\n# "Title": <script>alert(1)</script> *b* `c` [d](http://e) $f$ & \\'
ESCAPED = (
    r'--- \| a \| \# "Title": &lt;script&gt;alert(1)&lt;/script&gt; \*b\* \`c\` \[d\](http://e) \$f\$ &amp; ' + "\\\\"
)


def make_card(folder: Path, rows: list[dict[str, Any]], **facts: Any) -> str:
    counts = count_pairs(read_pairs(write_table(folder, rows)))
    write_card(folder / "README.md", counts, FILES, CardFacts(**facts))
    return (folder / "README.md").read_text(encoding="utf-8")


def read_header(folder: Path) -> dict[str, Any]:
    """As the Hub's own library reads it."""
    skip_without("huggingface_hub")
    from huggingface_hub import DatasetCard

    return DatasetCard.load(folder / "README.md").data.to_dict()


def read_section(card: str, name: str) -> str:
    return re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", card, re.MULTILINE | re.DOTALL)[1]


def read_table(section: str, first_column: str) -> list[list[str]]:
    """The rows of the table that begins with this column, their cells."""
    lines = section.split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


ROWS = [
    make_row(0, 0, licence="CC BY", score_accuracy=3.0, evidence="It is so."),
    make_row(0, 1, licence="CC BY", score_accuracy=2.0, dropped_by="score_accuracy"),
    make_row(1, 0, category=None, score_accuracy=2.0, score_relevance=1.0),
    make_row(1, 1, category=None),
    make_row(2, 0, category="Chemistry, Organic"),
    make_row(2, 1, category="Chemistry, Organic", dropped_by="duplicate"),
    make_row(3, 0, dropped_by="duplicate"),
    make_row(4, 0, doi="", category=None),
]


def test_counts_by_hand(tmp_path: Path) -> None:
    counts = count_pairs(read_pairs(write_table(tmp_path, ROWS)))
    assert (counts.rows, counts.kept, counts.unnamed, counts.evidence) == (8, 5, 1, 1)
    assert counts.pairs == {"train": 4, "test": 1} and counts.papers == {"train": 2, "test": 1}
    assert counts.categories == {
        "Energy & Fuels": {"papers": 1, "train": 1}, "": {"papers": 1, "train": 3},
        "Chemistry, Organic": {"papers": 1, "test": 1}}  # fmt: skip
    assert counts.dropped == {"duplicate": 2, "score_accuracy": 1}
    assert counts.licences == {"CC BY": 1, "": 2}
    assert counts.scores == {"accuracy": (2.5, 2), "relevance": (1.0, 1)}
    assert [paper["doi"] for paper in counts.shown] == ["10.1000/t.0", "10.1000/t.1", "10.1000/t.2"]


def test_the_header_is_one_that_the_hub_reads(tmp_path: Path) -> None:
    make_card(tmp_path, ROWS, name="Pairs", licence="cc-by-4.0")
    header = read_header(tmp_path)
    assert header["license"] == "cc-by-4.0" and header["pretty_name"] == "Pairs"
    assert header["size_categories"] == ["n<1K"] and "sciqag" in header["tags"]
    assert header["task_categories"] == ["question-answering", "text-generation"]
    assert header["configs"] == [{"config_name": "default", "data_files": [
        {"split": split, "path": paths} for split, paths in FILES.items()]}]  # fmt: skip


@pytest.mark.parametrize(("licence", "expected"), [("", "unknown"), ("CC BY 4.0: mine", "other"), ("mit", "mit")])
def test_a_licence_that_the_hub_does_not_know_is_another(tmp_path: Path, licence: str, expected: str) -> None:
    card = make_card(tmp_path, ROWS, licence=licence)
    assert read_header(tmp_path)["license"] == expected
    assert f"own licence: {licence or 'unknown, its maker has named none'}." in card


def test_the_numbers_stand_in_the_card(tmp_path: Path) -> None:
    card = make_card(tmp_path, ROWS)
    assert "5 question-answer pairs from 3 scientific papers; for 1 of them" in card
    assert "1 of them name no paper." in card
    assert read_table(card, "Split") == [["train", "2", "4"], ["test", "1", "1"], ["both", "3", "5"]]
    assert read_table(card, "Category") == [
        ["Chemistry, Organic", "1", "0", "1"],
        ["Energy &amp; Fuels", "1", "1", "0"],
        ["unknown", "1", "3", "0"],
    ]
    sources = read_section(card, "Sources and licences")
    assert read_table(sources, "Licence") == [["unknown", "2"], ["CC BY", "1"]]
    assert read_table(sources, "DOI")[0] == ["[10.1000/t.0](https://doi.org/10.1000/t.0)", "Title 0", "J", "CC BY"]
    made = read_section(card, "How it was made")
    assert "Of 8 pairs 5 were kept:" in made
    assert read_table(made, "Dropped because of") == [
        ["question asked before", "2"],
        ["accuracy below the threshold", "1"],
    ]


def test_scores_stand_beside_their_null_baselines(tmp_path: Path) -> None:
    judge = JudgeFacts("openai", "judge-7b", "racar, version 1", "1-3", ["accuracy: not told apart"])
    nulls = {"accuracy": {"swapped": 1.234, "other_paper": 2.0}, "completeness": {"swapped": 1.0}}
    scores = read_section(make_card(tmp_path, ROWS, judge=judge, null_means=nulls), "Scores")
    assert "Judge: judge-7b through openai; prompt racar, version 1; scale 1-3." in scores
    assert "| Null: another paper's | Null: answers swapped |" in scores
    assert read_table(scores, "Dimension") == [
        ["relevance", "1.00", "1 of 5", "–", "–"], ["completeness", "–", "0 of 5", "–", "1.00"],
        ["accuracy", "2.50", "2 of 5", "2.00", "1.23"]]  # fmt: skip
    assert "Judge: judge-7b; prompt" in make_card(tmp_path, ROWS, judge=JudgeFacts("", "judge-7b", "racar", "1-3"))
    assert "- accuracy: not told apart" in scores and "Null baselines: unknown" not in scores


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    card = make_card(tmp_path, ROWS)
    assert "Made from: unknown." in card and "Split: unknown." in card and "No filters are known." in card
    assert "Judge: none is known." in card and "Null baselines: unknown." in card
    assert "Not checked, or not known." in read_section(card, "Contamination")
    unscored = make_card(tmp_path, [make_row(0, 0)])
    assert "Judge: none. Nobody scored these pairs." in unscored and "| Dimension |" not in unscored
    assert "none was dropped." in unscored


def test_what_the_build_knows_is_said(tmp_path: Path) -> None:
    card = make_card(
        tmp_path,
        ROWS,
        source="processed_output.json",
        generator="llama_cpp, SmolLM2",
        filters=["accuracy >= 3"],
        split="by paper, seed 7",
        contamination={"train and test, same question": 1234},
        notes=["Two papers failed."],
    )
    assert "Made from: processed\\_output.json." in card and "llama\\_cpp, SmolLM2." in card
    assert "- accuracy &gt;= 3\n" in card and "Split: by paper, seed 7." in card
    assert read_table(read_section(card, "Contamination"), "Found") == [["train and test, same question", "1,234"]]
    assert "- Two papers failed.\n" in read_section(card, "Notes of the build")
    clean = make_card(tmp_path, ROWS, contamination={})
    assert "none was found twice" in clean and "Notes of the build" not in clean


def test_no_text_breaks_the_page(tmp_path: Path) -> None:
    rows = [
        make_row(0, 0, doi=NASTY, title=NASTY, journal=NASTY, category=NASTY, licence=NASTY),
        make_row(1, 0, doi="10.1000/a(b)<c>|\"d'", dropped_by=None),
    ]
    judge = JudgeFacts(NASTY, NASTY, NASTY, NASTY, [NASTY])
    card = make_card(tmp_path, rows, name=NASTY, licence=NASTY, source=NASTY, generator=NASTY, judge=judge,
                     null_means={"accuracy": {NASTY: 1.0}}, filters=[NASTY], split=NASTY, notes=[NASTY],
                     contamination={NASTY: 1})  # fmt: skip
    header = read_header(tmp_path)
    assert header["pretty_name"] == " ".join(NASTY.split()) and header["license"] == "other"
    body = card.split("\n---\n", 1)[1]
    assert "<" not in body and body.count(ESCAPED) >= 15
    sections = (
        "Columns",
        "Sources and licences",
        "How it was made",
        "Scores",
        "Contamination",
        "Notes of the build",
        "Limits",
    )
    assert re.findall(r"^#+ .*$", body, re.MULTILINE) == [f"# {ESCAPED}", *(f"## {name}" for name in sections)]
    papers = read_table(read_section(card, "Sources and licences"), "DOI")
    assert papers[0] == [ESCAPED] * 4
    assert papers[1][0].endswith("(https://doi.org/10.1000/a%28b%29%3Cc%3E%7C%22d%27)")


def test_a_long_list_of_papers_is_cut_and_the_rest_counted(tmp_path: Path) -> None:
    card = make_card(tmp_path, [make_row(number, 0) for number in range(SHOWN_PAPERS + 7)])
    assert len(read_table(read_section(card, "Sources and licences"), "DOI")) == SHOWN_PAPERS
    assert "All papers are in papers.csv, 7 more than stand here." in card


def test_pairs_without_papers_say_so(tmp_path: Path) -> None:
    card = make_card(tmp_path, [make_row(0, 0, doi=""), make_row(0, 1, doi=""), make_row(2, 0, doi="")])
    assert "The pairs name no papers." in card and "3 question-answer pairs from 0 scientific papers" in card
    assert "3 of them name no paper." in card


@pytest.mark.parametrize(("text", "expected"), [(NASTY, ESCAPED), ("  a\n\tb ", "a b"), ("", "")])
def test_escape(text: str, expected: str) -> None:
    assert escape(text) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(999, "n<1K"), (1000, "1K<n<10K"), (188_042, "100K<n<1M"), (1_000_000, "1M<n<10M"), (10**7, "10M<n<100M")],
)
def test_name_size(rows: int, expected: str) -> None:
    assert name_size(rows) == expected
