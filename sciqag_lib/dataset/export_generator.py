r"""Training data for a generator: a build's kept train pairs, put together with their papers' texts.

train_generator.json, as SciQAG (arXiv 2405.09939) publishes it and train.py takes it with params/train.generator.yaml:

    [{"instruction": "Read the scientific paper ...", "input": "The paper: ...", "output": "Keywords: ...\n\nQ1: ..."}]
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sciqag_lib.dataset.card import is_kept, read_groups
from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.generation.parsing import format_pairs, split_keywords
from sciqag_lib.inference.prompts import PromptFile, fill, load_prompt
from sciqag_lib.paths import write_atomic
from sciqag_lib.records.papers import QAPair, read_records
from sciqag_lib.tables import JsonList


def write_generator_data(
    pairs_path: Path,
    papers_path: Path,
    output_path: Path,
    note: Callable[[BadRecord], None],
    prompt: str = "whole_paper",
) -> int:
    """A record for each paper of the train split: `prompt` with its text in it, and its kept pairs; their number.

    Both files are read once, side by side: the table says at which place of the processed output a record stands. A
    paper without text goes to `note`. InputError: the file cannot be read, or another paper stands in that place.
    """
    template, written = load_prompt(prompt), 0
    records = enumerate(read_records(papers_path))
    with write_atomic(output_path) as file:
        made = JsonList(file)
        for rows in read_groups(pairs_path):
            kept = [QAPair(pair.question, pair.answer) for pair in rows if is_kept(pair) and pair.split == "train"]
            if not kept or not rows[0].doi:
                continue
            where, paper = next((item for number, item in records if number == rows[0].record), ("its end", None))
            if not isinstance(paper, dict) or paper.get("doi") != rows[0].doi:
                found = paper.get("doi") if isinstance(paper, dict) else "no paper"
                raise InputError(
                    f"{papers_path}, {where}: expected {rows[0].doi}, the record {rows[0].record + 1} of "
                    f"{pairs_path}, found {found!r:.80}; give the processed output that the build read"
                )
            if not _read_text(paper, "txt").strip():
                note(BadRecord(str(papers_path), where, "txt", "it is missing or empty: nothing to learn from"))
                continue
            values = {
                "paper": paper["txt"],
                "title": _read_text(paper, "title"),
                "num_pairs": str(len(kept)),
                "again": "",
            }
            made.add(fill_record(template, values, format_pairs(_list_keywords(paper.get("keywords")), kept)))
            written += 1
        made.end()
    return written


def fill_record(prompt: PromptFile, values: dict[str, str], output: str) -> dict[str, str]:
    """A training record, its instruction and input from a prompt file."""
    parts = {key: fill(prompt.texts[key], values, f"prompt {prompt.name}, {key}") for key in ("instruction", "input")}
    return {**parts, "output": output}


def _read_text(paper: dict[str, Any], key: str) -> str:
    return paper[key] if isinstance(paper.get(key), str) else ""


def _list_keywords(keywords: Any) -> list[str]:
    """Of a list or a string; what is neither is left out, they are optional."""
    if isinstance(keywords, str):
        return split_keywords(keywords)
    return [word for word in keywords if isinstance(word, str)] if isinstance(keywords, list) else []
