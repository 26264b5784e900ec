"""A processed output with the abbreviations of its questions and answers written out, for 04_sentence_coverage."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciqag_lib.errors import BadRecord
from sciqag_lib.paths import write_atomic
from sciqag_lib.records.papers import read_records
from sciqag_lib.tables import JsonList
from sciqag_lib.text.abbreviations import find_abbreviations
from sciqag_lib.text.expansion import expand_abbreviations


def expand_file(file_path: str | Path, output_path: str | Path) -> int:
    """Write a copy of a processed output in which the abbreviations that each paper defines are written out in its
    questions and answers (abbreviations.py); returns how many texts changed. Whatever else a record holds is kept;
    a record that cannot be read is left out, and named where the copy's source is analyzed."""
    changed = 0
    with write_atomic(output_path) as file:
        copy = JsonList(file)
        for _, record in read_records(file_path):
            if isinstance(record, BadRecord):
                continue
            if isinstance(record.get("txt"), str) and isinstance(record.get("Q&A"), list):
                definitions = find_abbreviations(record["txt"])
                changed += sum(_expand_pair(pair, definitions) for pair in record["Q&A"])
            copy.add(record)
        copy.end()
    return changed


def _expand_pair(pair: Any, definitions: Mapping[str, str]) -> int:
    """Expands the texts of a pair in place; how many changed."""
    changed = 0
    for key in ("Q", "A"):
        if isinstance(pair, dict) and isinstance(before := pair.get(key), str):
            pair[key] = expand_abbreviations(before, definitions)
            changed += pair[key] != before
    return changed
