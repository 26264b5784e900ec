"""Keywords of papers that name none: phrases of their own text, chosen with KeyBERT (MIT) and MiniLM embeddings.

Candidates are runs of up to three words without stop words that the text repeats, those of title and abstract
first. KeyBERT compares them with the title and abstract (the model reads 256 tokens at a time) and picks diverse
ones by maximal marginal relevance (Grootendorst 2020, doi 10.5281/zenodo.4461265). The encoder takes nearly all of
the time, so the phrases of several papers are encoded together, each once, in batches of one length, in 8 bits.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from sciqag_lib.engines.embeddings import encode_texts, find_packaged_encoder, load_encoder
from sciqag_lib.records.papers import Paper

NUM_KEYWORDS = 15
MAX_CANDIDATES = 120
DIVERSITY = 0.35  # 0 lets near-copies through, at 0.7 the last ones are off the subject
_WORD = r"[^\W\d_][\w'’]*(?:[-–][\w'’]+)*"
_RUN = re.compile(f"{_WORD}(?: {_WORD})*")
_GENERIC = frozenset(
    "figure fig table section paper study studies result results show shown shows found using used use based et"
    " al eq  equation ref data value values method methods approach analysis respectively however thus therefore"
    " moreover also may  number order case high low higher lower large small different significant significantly"
    " similar total new first second  observed obtained performed measured compared increase increased decrease"
    " decreased effect effects formula sample samples mean median average averages estimate estimates estimated".split()
)


def extract_keywords(papers: Sequence[Paper], number: int = NUM_KEYWORDS) -> list[list[str]]:
    """Up to `number` keywords per paper, most central first, written as the paper writes them most often."""
    heads = [_find_head(paper) for paper in papers]
    candidates = [find_candidates(head, paper.txt) for head, paper in zip(heads, papers)]
    texts = dict.fromkeys(text for head, found in zip(heads, candidates) if found for text in (head, *found))
    with _one_thread():
        vectors = (
            dict(zip(texts, encode_texts(_load_keybert().model.embedding_model, list(texts), ""))) if texts else {}
        )
        return [_choose_keywords(head, found, vectors, number) for head, found in zip(heads, candidates)]


def _find_head(paper: Paper) -> str:
    """What the model compares the candidates with: title and abstract, or where the text begins."""
    return f"{paper.title}. {paper.abstract if len(paper.abstract) > 200 else paper.txt[:2500]}"[:4000]


def _choose_keywords(head: str, candidates: dict[str, str], vectors: dict[str, np.ndarray], number: int) -> list[str]:
    if not candidates:
        return []
    chosen = _load_keybert().extract_keywords(
        head,
        vectorizer=_make_vectorizer(list(candidates)),
        top_n=min(2 * number, len(candidates)),
        use_mmr=True,
        diversity=DIVERSITY,
        doc_embeddings=vectors[head][None],
        word_embeddings=np.stack([vectors[phrase] for phrase in candidates]),
    )
    return _drop_near_copies([candidates[phrase] for phrase, _ in chosen])[:number]


def find_candidates(head: str, body: str) -> dict[str, str]:
    """Phrases in lower case -> as written most often: those that come up again and again, best first.

    A phrase must stand in `head` and somewhere else, or four times anywhere: what is written once is mostly a
    piece of a sentence. In a short text that repeats nothing, the phrases of `head` must do.
    """
    in_head, forms = Counter(find_phrases(head)), Counter(find_phrases(body))
    forms.update(in_head)
    counts: Counter[str] = Counter()
    for form, count in forms.items():
        counts[form.lower()] += count
    head_phrases = {form.lower() for form in in_head}
    # Longer phrases are more specific: one of three words counts as much as a word three times as frequent.
    weights = {
        phrase: count * len(phrase.split()) * (2 if phrase in head_phrases else 1)
        for phrase, count in counts.items()
        if count >= (3 if phrase in head_phrases else 4) and _is_sound(phrase, count)
    }
    longer = _count_longer({phrase: count for phrase, count in counts.items() if count >= 3})  # 0.7 of 3 or more
    # "infected stem" of "infected stem cells": most of its occurrences are part of one longer phrase
    weights = {phrase: weight for phrase, weight in weights.items() if longer[phrase] < 0.7 * counts[phrase]}
    weights = weights or {phrase: counts[phrase] for phrase in head_phrases}
    best = sorted(weights, key=lambda phrase: (-weights[phrase], phrase))[:MAX_CANDIDATES]
    # The model need not be asked about "cells" beside "cell": of two numbers of a phrase the better one is enough.
    distinct = {tuple(map(_stem, phrase.split())): phrase for phrase in reversed(best)}
    written: dict[str, tuple[int, str]] = {phrase: (0, "") for phrase in reversed(distinct.values())}
    for form, count in forms.items():
        phrase = form.lower()
        if phrase in written:
            written[phrase] = max(written[phrase], (count, form))
    return {phrase: form for phrase, (_, form) in written.items()}


def _count_longer(counts: dict[str, int]) -> Counter[str]:
    """Phrase -> how often the most frequent longer phrase comes up that it is part of."""
    longer: Counter[str] = Counter()
    for phrase, count in counts.items():
        words = phrase.split()
        for length in range(1, len(words)):
            for start in range(len(words) - length + 1):
                part = " ".join(words[start : start + length])
                longer[part] = max(longer[part], count)
    return longer


def _is_sound(phrase: str, count: int) -> bool:
    """Not an adverb at either end; a participle in front ("estimating white matter") only where it is frequent."""
    first, *_, last = [*phrase.split(), phrase.split()[-1]]
    return not first.endswith("ly") and not last.endswith("ly") and (not first.endswith("ing") or count >= 6)


def find_phrases(text: str) -> list[str]:
    """Every run of one to three words that no stop word, number or punctuation interrupts."""
    phrases: list[str] = []
    for run in _find_runs(text):
        for length in (1, 2, 3):
            for start in range(len(run) - length + 1):
                phrase = run[start : start + length]
                if length > 1 or len(phrase[0]) > 3 or phrase[0].isupper():
                    phrases.append(" ".join(phrase))
    return phrases


def _find_runs(text: str) -> Iterator[list[str]]:
    stop = _stop_words()
    for match in _RUN.finditer(text):
        run: list[str] = []
        for word in match[0].split(" "):
            word = word[:-2] if word.endswith(("'s", "’s")) else word
            if len(word) > 1 and word.lower() not in stop:
                run.append(word)
            elif run:
                yield run
                run = []
        if run:
            yield run


def _stem(word: str) -> str:
    """A word without the ending of its plural or adjective: enough to tell that two are forms of one."""
    return re.sub(r"(?:ies|es|ic|y|e|s)$", "", word)


def _drop_near_copies(keywords: list[str]) -> list[str]:
    """Without those whose words all stand in one kept before, plural or not."""
    kept: list[str] = []
    seen: list[set[str]] = []
    for keyword in keywords:
        stems = {_stem(word.lower()) for word in keyword.split()}
        if not any(stems <= other or other <= stems and len(other) > 1 for other in seen):
            kept.append(keyword)
            seen.append(stems)
    return kept


@lru_cache(maxsize=1)
def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return ENGLISH_STOP_WORDS | _GENERIC


def _make_vectorizer(candidates: list[str]) -> Any:
    """KeyBERT takes candidates from a vectorizer that finds them in the text; its own joins words across stop words."""
    from sklearn.feature_extraction.text import CountVectorizer

    return CountVectorizer(vocabulary=candidates, analyzer=lambda text: candidates, lowercase=False)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Batches this small gain nothing from threads, and wait for each other where another process needs a core."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def _load_keybert() -> Any:
    # First: what its import warns of is hushed there. On the CPU: a GPU would be shared by all workers.
    encoder = load_encoder(str(find_packaged_encoder()), device="cpu")
    from sciqag_lib.engines.int8 import quantize_linears

    quantize_linears(encoder)
    from keybert import KeyBERT

    return KeyBERT(encoder)
