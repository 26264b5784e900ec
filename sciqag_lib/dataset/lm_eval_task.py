r"""Answers to a test set, scored against the reference answers, for the lm-evaluation-harness.

An exported task folder carries a copy of this file as utils.py beside sciqag.yaml, and the harness calls its functions;
it therefore imports nothing of this project. From where the folder lies:

    lm_eval run --model hf --model_args pretrained=MODEL --tasks sciqag --include_path FOLDER --num_fewshot 3

test.jsonl holds the questions and fewshot.jsonl pairs of the train split, which examples are drawn from:

    {"question": "How does ...?", "answer": "It ...", "doi": "10.1016/j.ab.2008.07.041", "category": "Energy & Fuels"}

- token_f1: F1 over the words of any script and whole numbers that answer and reference share, counted as often as they
  occur, case aside.
- rouge_l: F1 of the longest common subsequence, over rouge_score's own words: letters a-z and digits.

Both reward wording, not truth: a right answer in other words gets little, a wrong one in the reference's words much.
benchmark/reference_scores.py measures the same, in the same way.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

VERSION = 3
# A word, formula or number, with its inner hyphens and apostrophes, its decimals and groups of digits; in Chinese,
# Japanese and Korean one character.
UNSPACED = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f"
UNSPACED += "\U00020000-\U0003ffff"
LETTERS = rf"[^\W_{UNSPACED}]+"
WORD = re.compile(rf"[{UNSPACED}]|{LETTERS}(?:(?<=\d)[.,](?=\d){LETTERS}|[-'’]{LETTERS})*")


class WholeWords:
    """A tokenizer for rouge_score."""

    def tokenize(self, text: str) -> list[str]:
        return WORD.findall(text.casefold())


def load_data(**_: Any) -> Any:
    """The splits whose files lie beside this one, as a datasets.DatasetDict."""
    from datasets import Dataset, DatasetDict

    splits = {}
    for path in sorted(Path(__file__).parent.glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            splits[path.stem] = Dataset.from_list([json.loads(line) for line in file])
    return DatasetDict(splits)


def score_answer(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Both metrics, 0-1, of the reply to one question."""
    return score_texts(doc["answer"], results[0])


def score_texts(reference: str, answer: str) -> dict[str, float]:
    """0-1; 0 where either has no word."""
    words, longest = _open_scorers()
    return {
        "token_f1": float(words.score(reference, answer)["rouge1"].fmeasure),
        "rouge_l": float(longest.score(reference, answer)["rougeL"].fmeasure),
    }


@cache
def _open_scorers() -> tuple[Any, Any]:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1"], tokenizer=WholeWords()), RougeScorer(["rougeL"])
