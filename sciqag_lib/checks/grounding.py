"""What in a paper an answer rests on: evidence spans, a support score per answer sentence, and its numbers.

Support is lexical: the share of an answer sentence's content words and numbers, weighted by how rare each is in
the paper (idf over its sentences), that the best one to three neighbouring sentences of the paper contain. It needs
no model and costs about a millisecond an answer. It sees an altered number, a dropped "not" and "rose" for "fell".
It cannot see a relation turned round ("A inhibits B" for "B inhibits A"), a true-sounding claim built from words
that stand together in the paper, a wrong attribution inside one passage, nor that a free paraphrase is faithful:
a low score is a reason to doubt, a high one no proof.

    >>> txt = "The films were annealed at 550 °C. The band gap fell to 2.87 eV."
    >>> find_evidence("The band gap dropped to 2.87 eV.", txt)
    ([(35, 64)], [1.0])
    >>> check_numbers("at 450 °C", txt)
    [{'number': '450', 'unit': 'C', 'found': False, 'unit_found': False, 'start': 3, 'end': 6}]
"""

import math
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from sciqag_lib.records.papers import QAPair
from sciqag_lib.text.quantities import Quantity, find_quantities, same_unit
from sciqag_lib.text.sentences import Span, list_content_words, split_sentences

MAX_WINDOW = 3  # neighbouring sentences that may support one answer sentence together
MIN_GAIN = 0.1  # a further sentence becomes evidence where it adds at least this share
MAX_PLACES = 500  # a term in more sentences than this says little about where the evidence is; it bounds the time
FLIP_FACTOR = 0.6  # what remains of the support of "rose" where the paper says only "fell"
NEGATION_REACH = 3  # content words after "not" that it negates

UP = "<up>"
DOWN = "<down>"
_DIRECTIONS = {
    **dict.fromkeys("increas rise grow elev enhanc rais improv higher boost augment upregul".split(), UP),
    **dict.fromkeys("decreas fall drop reduc declin diminish lower lessen suppress downregul".split(), DOWN),
    **dict.fromkeys("增加 增大 增强 增長 增长 上升 升高 提高 加快 增強 増加 増大 上昇 向上 증가 상승 향상".split(), UP),
    **dict.fromkeys("减少 减小 减弱 減少 減小 減弱 下降 降低 减慢 低下 감소 하락 저하".split(), DOWN),
}
_NEGATIONS = frozenset("not no never neither nor without cannot n't nothing none".split())
_PAUSES = frozenset(".;:!?,")
_TOKEN = re.compile(r"[.;:!?,]|[^\s.;:!?,]+(?:[.,:][^\s.;:!?,]+)*")


def list_terms(text: str, quantities: Sequence[Quantity] | None = None) -> list[str]:
    """The terms of a sentence that support is counted in: content stems, with words for a rise or a fall unified
    and those in the reach of a negation marked ("not:<up>"), and numbers as "#3.2". `quantities` are the sentence's
    where they are known."""
    terms: list[str] = []
    negated = 0
    for token in _TOKEN.findall(text):
        if token in _PAUSES:
            negated = 0
            continue
        is_negation, words = _read_token(token)
        if is_negation:
            negated = NEGATION_REACH
        for word in words:
            terms.append("not:" + word if negated > 0 else word)
            negated -= 1
    found = find_quantities(text) if quantities is None else quantities
    return terms + ["#" + quantity.values[0] for quantity in found]


@lru_cache(maxsize=4096)  # the words of a paper; more would be memory that grows with their number
def _read_token(token: str) -> tuple[bool, tuple[str, ...]]:
    """Whether a token negates what follows, and its terms. A term that opens with a digit is left out: it is counted
    as a quantity, or belongs to a name such as "2-propanol"."""
    lowered = token.lower()
    if lowered in _NEGATIONS or lowered.endswith(("n't", "n’t")):
        return True, ()
    stems = (word for word in list_content_words(token) if not word[0].isdigit())
    return False, tuple(_DIRECTIONS.get(word, word) for word in stems)


class PaperIndex:
    """The terms and numbers of one paper, read once and asked often."""

    def __init__(self, txt: str, sentence_spans: Sequence[Span] | None = None) -> None:
        self.txt = txt
        self.spans: list[Span] = list(split_sentences(txt) if sentence_spans is None else sentence_spans)
        self.quantities: dict[str, list[Quantity]] = defaultdict(list)  # by canonical value
        by_sentence: list[list[Quantity]] = [[] for _ in self.spans]
        starts = [start for start, _ in self.spans]
        for quantity in find_quantities(txt):
            for value in quantity.values:
                self.quantities[value].append(quantity)
            number = bisect_right(starts, quantity.start) - 1
            if number >= 0:
                by_sentence[number].append(quantity)
        self.terms = [frozenset(list_terms(txt[a:b], found)) for (a, b), found in zip(self.spans, by_sentence)]
        self.places: dict[str, list[int]] = defaultdict(list)  # term -> the sentences that hold it
        for number, terms in enumerate(self.terms):
            for term in terms:
                self.places[term].append(number)

    def weigh(self, term: str) -> float:
        """The idf of a term; one that the paper does not hold weighs most."""
        return math.log(1 + (len(self.spans) + 1) / (len(self.places.get(term, ())) + 0.5))

    def credit(self, term: str, window: frozenset[str]) -> float:
        """1 where the window holds the term, a third where only with the opposite polarity, else 0."""
        if term in window:
            return 1.0
        opposite = term[4:] if term.startswith("not:") else "not:" + term
        return 1 / 3 if opposite in window else 0.0


@lru_cache(maxsize=2)
def index_paper(txt: str) -> PaperIndex:
    """The index of a paper whose sentences are those of split_sentences; the last two are remembered."""
    return PaperIndex(txt)


def score_support(sentence: str, index: PaperIndex) -> tuple[list[int], float]:
    """The sentences of the paper (numbers, at most MAX_WINDOW neighbours) that support `sentence` best, and how well
    they do, 0-1. A sentence without content is supported by nothing: ([], 0.0)."""
    weights = {term: index.weigh(term) for term in list_terms(sentence)}
    total = sum(weights.values())
    if not total or not index.spans:
        return [], 0.0
    single: dict[int, float] = defaultdict(float)
    for term, weight in weights.items():
        bare = term.removeprefix("not:")
        for number in {*index.places.get(bare, ())[:MAX_PLACES], *index.places.get("not:" + bare, ())[:MAX_PLACES]}:
            single[number] += weight
    if not single:
        return [], 0.0
    best: tuple[list[int], float] = ([], 0.0)
    for number in sorted(single, key=lambda n: (-single[n], n))[:12]:
        found = _grow_window(number, weights, total, index)
        if found[1] > best[1] + 1e-9:
            best = found
    return best


def _grow_window(number: int, weights: dict[str, float], total: float, index: PaperIndex) -> tuple[list[int], float]:
    """Starts at one sentence and takes in neighbours as long as each adds at least MIN_GAIN."""
    window, terms = [number], index.terms[number]
    score = _score_terms(weights, total, terms, index)
    while len(window) < MAX_WINDOW:
        options = [n for n in (window[0] - 1, window[-1] + 1) if 0 <= n < len(index.spans)]
        scored = [(_score_terms(weights, total, terms | index.terms[n], index), -n) for n in options]
        if not scored or max(scored)[0] < score + MIN_GAIN:
            break
        score, added = max(scored)
        window = sorted([*window, -added])
        terms = terms | index.terms[-added]
    return window, score


def _score_terms(weights: dict[str, float], total: float, terms: frozenset[str], index: PaperIndex) -> float:
    score = sum(weight * index.credit(term, terms) for term, weight in weights.items()) / total
    flipped = (UP in weights and DOWN not in weights and DOWN in terms and UP not in terms) or (
        DOWN in weights and UP not in weights and UP in terms and DOWN not in terms
    )
    return score * FLIP_FACTOR if flipped else score


def find_evidence(
    answer: str, txt: str | PaperIndex, sentence_spans: Sequence[Span] | None = None
) -> tuple[list[Span], list[float]]:
    """Evidence of a model-written answer: spans into `txt`, in order and without repeats, of the sentences that
    support it best, and a support score 0-1 for each sentence of the answer.

    `txt` may be a PaperIndex; with a string, `sentence_spans` are its sentences where they are known already.
    """
    if isinstance(txt, PaperIndex):
        index = txt
    else:
        index = index_paper(txt) if sentence_spans is None else PaperIndex(txt, sentence_spans)
    numbers: set[int] = set()
    support = []
    known: dict[str, tuple[list[int], float]] = {}  # an answer caught in a loop repeats its sentences
    for start, end in split_sentences(answer):
        sentence = answer[start:end]
        if sentence not in known:
            known[sentence] = score_support(sentence, index)
        window, score = known[sentence]
        numbers.update(window)
        support.append(round(score, 4))
    return [index.spans[number] for number in sorted(numbers)], support


def find_extract(answer: str, txt: str | PaperIndex) -> list[Span]:
    """The span of an answer that is word for word whole sentences of the paper, in one piece; else []."""
    index = txt if isinstance(txt, PaperIndex) else index_paper(txt)
    wanted = answer.strip()
    start = index.txt.find(wanted) if wanted else -1
    starts = {span[0] for span in index.spans}
    ends = {span[1] for span in index.spans}
    while start >= 0:
        if start in starts and start + len(wanted) in ends:
            return [(start, start + len(wanted))]
        start = index.txt.find(wanted, start + 1)
    return []


def check_numbers(answer: str, txt: str | PaperIndex) -> list[dict[str, Any]]:
    """Each number of the answer, looked up in the paper as a whole number:

        {"number": "12", "unit": "mg kg-1", "found": True, "unit_found": True, "start": 17, "end": 19}

    `start` and `end` are offsets into the answer. `found` is False where the value is absent, and where the paper has
    it with other units only; `unit_found` is False in both cases. A value that stands without a unit on either side
    agrees with any. Units are not converted: 60 min is not 1 h.
    """
    index = txt if isinstance(txt, PaperIndex) else index_paper(txt)
    checked = []
    for quantity in find_quantities(answer):
        places = [place for value in quantity.values for place in index.quantities.get(value, ())]
        agrees = any(same_unit(quantity.unit, place.unit) for place in places)
        record = {"number": quantity.text, "unit": " ".join(quantity.unit), "found": agrees, "unit_found": agrees}
        if places and not agrees:
            record["reason"] = "other unit: " + ", ".join(sorted({" ".join(place.unit) for place in places}))
        checked.append({**record, "start": quantity.start, "end": quantity.end})
    return checked


def ground_pair(pair: QAPair, txt: str | PaperIndex) -> QAPair:
    """`pair` with its origin, evidence, support and numbers filled in. An answer that is the paper's own sentences
    becomes "extracted", with its place as evidence and without support scores, which would all be 1."""
    index = txt if isinstance(txt, PaperIndex) else index_paper(txt)
    numbers = check_numbers(pair.answer, index)
    if extract := find_extract(pair.answer, index):
        return replace(pair, origin="extracted", evidence=extract, support=[], numbers=numbers)
    evidence, support = find_evidence(pair.answer, index)
    return replace(pair, origin="generated", evidence=evidence, support=support, numbers=numbers)
