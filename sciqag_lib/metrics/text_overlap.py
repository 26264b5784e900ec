"""Answers beside the reference answers: token F1, ROUGE-L and embedding similarity, 0-1, with null baselines.

Both counts of shared words are rouge-score's, Google's own implementation of ROUGE. ROUGE-L takes its default words, as
published numbers elsewhere do: letters a-z and digits, so that a Greek letter is lost, 21.4 is two words and a Chinese
answer has none. Token F1 is its ROUGE-1 over words of any script and whole numbers; in Chinese, Japanese and Korean a
character is a word. Embedding similarity is the cosine of sentence embeddings.

None of them says whether an answer is right: "rises" and "falls" differ by one word. Beside the answers ("own") stand
the answer to another question ("other") and the question itself in place of its answer ("question").
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from sciqag_lib.engines.embeddings import Embedder
from sciqag_lib.text.scripts import UNSPACED

VERSION = 2
MEASURES = {"token_f1": "token F1", "rouge_l": "ROUGE-L", "embedding_similarity": "embedding similarity"}  # as shown
NULLS = ("other", "question")
BLOCK = 64  # questions that are embedded together, and kept in one file of the cache
# A word, formula or number, with its inner hyphens and apostrophes, its decimals and groups of digits; of a script
# without spaces one character.
_LETTERS = rf"[^\W_{UNSPACED}]+"
WORD = re.compile(rf"[{UNSPACED}]|{_LETTERS}(?:(?<=\d)[.,](?=\d){_LETTERS}|[-'’]{_LETTERS})*")

Texts = dict[str, str]  # by arm: "own", "other" where there is one, "question"


class WholeWords:
    """A tokenizer for rouge-score.

    >>> WholeWords().tokenize("The α-phase of Al2O3 forms at 21.4 °C.")
    ['the', 'α-phase', 'of', 'al2o3', 'forms', 'at', '21.4', 'c']
    """

    def tokenize(self, text: str) -> list[str]:
        return WORD.findall(text.casefold())


class WordScorer:
    """Token F1 and ROUGE-L, F-measures, of two texts; 0 where either has no word."""

    def __init__(self) -> None:
        from rouge_score.rouge_scorer import RougeScorer  # a second: its stemmer comes with nltk

        self._tokens = RougeScorer(["rouge1"], tokenizer=WholeWords())
        self._longest = RougeScorer(["rougeL"])

    def score(self, reference: str, answer: str) -> dict[str, float]:
        return {
            "token_f1": float(self._tokens.score(reference, answer)["rouge1"].fmeasure),
            "rouge_l": float(self._longest.score(reference, answer)["rougeL"].fmeasure),
        }


def score_references(
    entries: Iterable[tuple[Any, str, Texts]], embedder: Embedder | None = None
) -> Iterator[tuple[Any, dict[str, dict[str, float]]]]:
    """For each (item, reference, texts by arm) the item and its scores, by arm and measure; {} where the reference is
    empty. Without an embedder there is no embedding similarity. In flat memory."""
    words, entries = WordScorer(), iter(entries)
    while block := list(islice(entries, BLOCK)):
        cosines = _embed_block(block, embedder) if embedder else [{} for _ in block]
        for (item, reference, texts), similar in zip(block, cosines):
            if not reference:
                yield item, {}
                continue
            scores = {arm: words.score(reference, text) for arm, text in texts.items()}
            for arm, value in similar.items():
                scores[arm]["embedding_similarity"] = value
            yield item, scores


def _embed_block(block: list[tuple[Any, str, Texts]], embedder: Embedder) -> list[dict[str, float]]:
    """Cosines by arm; an empty text is like nothing: 0."""
    flat = [text for _, reference, texts in block if reference for text in (reference, *texts.values())]
    vectors = iter(embedder.embed(flat) if flat else ())
    found = []
    for _, reference, texts in block:
        own = next(vectors) if reference else None
        pairs = zip(texts.items(), vectors) if reference else ()
        found.append({arm: float(own @ vector) if text else 0.0 for (arm, text), vector in pairs})
    return found
