"""A small table of pairs, as a build writes it, for the tests of the exports."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from sciqag_lib.dataset.exports import ExportReport, export_dataset
from sciqag_lib.dataset.pairs import COLUMNS, write_pairs

NASTY = 'Is "x" < {{y}} | a\\b </s> \U0001f9ea?\n---\nYes, [INST] it is'


def make_row(record: int, pair: int, **changes: Any) -> dict[str, Any]:
    row = dict.fromkeys(COLUMNS) | {
        "record": record,
        "doi": f"10.1000/t.{record}",
        "pair": pair,
        "title": f"Title {record}",
        "journal": "J",
        "category": "Energy & Fuels",
        "question": f"Why {record}.{pair}?",
        "answer": f"Because of {record}.{pair}.",
        "split": "test" if record % 3 == 2 else "train",
    }
    return row | changes


def write_table(folder: Path, rows: list[dict[str, Any]]) -> Path:
    with (folder / "pairs.parquet").open("wb") as file:
        write_pairs(pd.DataFrame(rows, columns=list(COLUMNS)), file)
    return folder / "pairs.parquet"


def write_papers(folder: Path, num_papers: int = 4) -> Path:
    """A processed output with three pairs a paper, those of write_example but for what it changes."""
    records = []
    for number in range(num_papers):
        pairs = [{"Q": f"Why {number}.{pair}?", "A": f"Because of {number}.{pair}."} for pair in range(3)]
        records.append(
            {
                "doi": f"10.1000/t.{number}",
                "txt": f"Text {{{{of}}}} {number}.",
                "title": f"Title {number}",
                "keywords": ["a", "b c"],
                "Q&A": pairs,
            }
        )
    (folder / "processed_output.json").write_text(json.dumps(records), encoding="utf-8")
    return folder / "processed_output.json"


def write_example(folder: Path) -> Path:
    """Four papers of three pairs, the third one in test; two of the twelve are dropped, one is hard to write."""
    rows = [make_row(record, pair) for record in range(4) for pair in range(3)]
    rows[1]["dropped_by"] = rows[7]["dropped_by"] = "duplicate"
    rows[4] |= {"question": NASTY, "answer": NASTY[::-1], "score_accuracy": 2.5, "evidence": NASTY, "licence": "CC BY"}
    return write_table(folder, rows)


def list_expected(split: str) -> list[tuple[str, str]]:
    """The kept pairs of write_example."""
    numbers = {"train": [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2), (3, 0), (3, 1), (3, 2)], "test": [(2, 0), (2, 2)]}
    pairs = [(f"Why {record}.{pair}?", f"Because of {record}.{pair}.") for record, pair in numbers[split]]
    return [(NASTY, NASTY[::-1]) if question == "Why 1.1?" else (question, answer) for question, answer in pairs]


def list_files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def export_one(table: Path, name: str, **more: Any) -> ExportReport:
    return export_dataset(table, table.parent / "out", [name], **more)
