"""Rules that a question-answer pair must pass, and a score that ranks candidate questions.

Each rule answers one reason of a closed list and looks at words only; none of them measures quality. What each
lets through and turns away is measured on hand-written pairs (data/checks, benchmarks/check_errors.py). One row:

    {"label": "bad", "question": "Why did it increase?", "answer": "Low oxygen inhibits prolyl hydroxylases."}

    >>> check_pair(QAPair("What does Figure 3 show?", "It shows the growth of zirconia grains."), "", [])
    'not_self_contained'
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from sciqag_lib.checks.grounding import PaperIndex, check_numbers, find_evidence, list_terms
from sciqag_lib.checks.languages import YES_OR_NO, offers_choice, says_nothing
from sciqag_lib.checks.questions import (
    AUXILIARY,
    FRAME,
    GENERIC,
    MAX_QUESTION_CHARS,
    OPENING,
    REPEATED,
    is_not_question,
    is_not_self_contained,
    read_content,
)
from sciqag_lib.records.papers import QAPair
from sciqag_lib.text.sentences import STOP_WORDS, list_words, split_sentences

REASONS = (
    "not_a_question",
    "not_self_contained",
    "copies_answer",
    "empty_talk",
    "duplicate",
    "wrong_number",
    "unsupported",
)
# Of 250 released answers 2.0% score below this against their own paper, of 750 against another paper 99.6%
# (select_25.json). A single sentence may score less: below the floor lie 1% of sentences in their own paper, 80% of
# those in another.
MIN_SUPPORT = 0.4
MIN_SENTENCE_SUPPORT = 0.2


# ---------------------------------------------------------------------------------------------- empty_talk

_DOCUMENT = "paper|text|passage|study|article|document|context|excerpt|authors?|information"
_MISSING = (
    "specified|mentioned|provided|stated|given|reported|described|discussed|available|indicated|applicable|clear|known"
)
_REFUSAL = re.compile(
    rf"\b(?:not|n't|never)\s(?:\w+\s){{0,2}}(?:specified|mentioned|provided|stated|given|reported|described|discussed|"
    rf"available|indicated)\s(?:\w+\s){{0,3}}(?:{_DOCUMENT})\b"
    rf"|\b(?:{_DOCUMENT})\s(?:do(?:es)?|did)(?:\snot|n't)\s(?:\w+\s)?(?:provide|mention|specify|contain|give|state|"
    r"include|discuss|describe|say|report)"
    r"|\bas\san\sai\b|\bi(?:['’]m|\sam)\s(?:sorry|unable|not\sable)"
    r"|\bi\s(?:cannot|can['’]t|do\snot|don['’]t)\s(?:have|know|answer|find|provide)"
    r"|\bcannot\sbe\s(?:answered|determined)\sfrom\b",
    re.I,
)
_NO_ANSWER = re.compile(
    rf"^(?:it\sis\s|this\sis\s|the\s\w+\sis\s)?(?:n/?a|none|unknown|not\s(?:{_MISSING})"
    r"|no\s(?:answer|information|data))\W*$",
    re.I,
)


def is_empty_talk(question: str, answer: str) -> bool:
    """Whether the answer says nothing that the question did not: refusals, "plays an important role", loops."""
    text = " ".join(answer.split())
    words = list_words(text)
    if not words or _NO_ANSWER.match(text) or _REFUSAL.search(text) or says_nothing(text) or _is_loop(text, words):
        return True
    if _is_choice(question) and len(words) >= 4:
        return False
    return not _list_news(question, answer)


def _list_news(question: str, answer: str) -> list[str]:
    """Stems of the answer that are neither in the question nor empty by themselves."""
    asked = set(read_content(question))
    return [word for word in dict.fromkeys(read_content(answer)) if word not in asked and word not in GENERIC]


def _is_loop(text: str, words: list[str]) -> bool:
    if REPEATED.search(text):
        return True
    variety = len(set(words)) / len(words)
    if len(words) < 12 or variety > 0.5:
        return False
    sentences = [text[start:end] for start, end in split_sentences(text)]
    return variety < 0.3 or len(set(sentences)) <= len(sentences) / 2


def _is_choice(question: str) -> bool:
    """Whether naming one of what the question holds answers it: yes or no, or this or that."""
    return re.match(rf"(?:{AUXILIARY})\b", question.strip(), re.I) is not None or (
        re.search(r"\bor\b|\bof the two\b", question) is not None or offers_choice(question)
    )


# ---------------------------------------------------------------------------------------------- copies_answer

MAX_SHARED = 0.8  # of the answer's content words, the share that a question may hold without asking for a certain thing
_YES_NO = re.compile(r"(?:yes|no|not|neither|both)\b", re.I)
_ASKS_REASON = re.compile(
    r"^(?:.*[,;]\s)?(?:why|how\s(?:do|does|did|is|are|was|were|can|could|has|have|had|will|would)\b)", re.I
)


def copies_answer(question: str, answer: str) -> bool:
    """Whether the question holds its own answer. Sharing words is natural ("Why did X rise?" "X rose because ...");
    what counts is what the answer adds: one word where a thing or number is asked for, two where a reason is."""
    question = question[:MAX_QUESTION_CHARS]
    stated = set(read_content(answer))
    if not stated:
        return False  # empty_talk's business
    shared = len(stated & set(read_content(question))) / len(stated)
    if _is_choice(question) and (
        _YES_NO.match(answer.strip()) or YES_OR_NO.match(answer.strip()) or (" or " in question and len(stated) < 12)
    ):
        return False
    news = _list_news(question, answer)
    if not news:
        return shared > 0.5
    wanted = 2 if _ASKS_REASON.match(question) or not OPENING.match(question) else 1
    return shared >= MAX_SHARED and len(news) < wanted


# ---------------------------------------------------------------------------------------------- duplicate

_KINDS = (
    ("cause", re.compile(r"\bwhy\b|\bwhat (?:is|are|was|were) the (?:\w+ )?(?:cause|reason)s?\b"
                         r"|\bwhat causes?d?\b", re.I)),
    ("quantity", re.compile(r"\bhow (?:many|much|long|far|often|fast|large|high|deep|thick|old|big)\b", re.I)),
    ("place", re.compile(r"\bwhere\b|\bwhat is the location\b", re.I)),
    ("time", re.compile(r"\bwhen\b(?!.*\b(?:what|how|which)\b)", re.I)),
    ("person", re.compile(r"^who(?:m|se)?\b", re.I)),
)  # fmt: skip


@lru_cache(maxsize=256)
def _read_question(question: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """What kind of thing is asked for, the content stems without framing words, and the skeleton of function words."""
    text = " ".join(question[:MAX_QUESTION_CHARS].split())
    kind = next((name for name, rule in _KINDS if rule.search(text)), "open")
    content = tuple(word for word in read_content(text) if word not in FRAME)
    skeleton = tuple(word if word in STOP_WORDS else "_" for word in list_words(text))
    return kind, content, skeleton


def is_duplicate(question: str, accepted: Sequence[str]) -> bool:
    """Whether one of the accepted questions asks the same: the same content words in any order, or all of one
    question's in the other with hardly any more. One word exchanged for another, a number above all, makes another
    question, and so do exchanged roles in the same sentence."""
    return any(_ask_the_same(question, other) for other in accepted)


def _ask_the_same(question: str, other: str) -> bool:
    if list_words(question) == list_words(other):
        return True
    kind, content, skeleton = _read_question(question)
    other_kind, other_content, other_skeleton = _read_question(other)
    if kind != other_kind or not content or not other_content:
        return False
    if skeleton == other_skeleton and content != other_content:
        return False  # "how does A affect B", "how does B affect A"
    ours, theirs = set(content) - set(other_content), set(other_content) - set(content)
    if ours and theirs:
        return False
    extra = ours or theirs
    return len(extra) <= 0.2 * max(len(content), len(other_content)) and not any(c.isdigit() for w in extra for c in w)


# ---------------------------------------------------------------------------------- unsupported, wrong_number


def has_wrong_number(answer: str, txt: str | PaperIndex) -> bool:
    """Whether the answer holds a number that the paper does not, or has with other units only. A count in words
    without a unit ("two methods") may be the answer's own summary."""
    return any(
        not number["found"] and (number["unit"] != "" or not number["number"].isalpha())
        for number in check_numbers(answer, txt)
    )


def is_unsupported(answer: str, txt: str | PaperIndex, support: Sequence[float] = ()) -> bool:
    """Whether too little of a model-written answer stands in the paper; see grounding.find_evidence, whose scores
    may be given as `support`. Sentences count by their length; "Yes." counts nothing."""
    scores = list(support) or find_evidence(answer, txt)[1]
    sizes = [len(list_terms(answer[start:end])) for start, end in split_sentences(answer)]
    if not sum(sizes):
        return False  # it claims nothing that could be looked up
    mean = sum(score * size for score, size in zip(scores, sizes)) / sum(sizes)
    return mean < MIN_SUPPORT or any(score < MIN_SENTENCE_SUPPORT and size >= 4 for score, size in zip(scores, sizes))


def check_pair(pair: QAPair, paper_txt: str | PaperIndex, accepted: Sequence[QAPair]) -> str:
    """The first of REASONS for which `pair` fails, or "" where it passes all.

    An extracted answer is the paper's own text: its numbers and support are not looked up. `accepted` are the pairs
    already kept; only their questions count.
    """
    if is_not_question(pair.question):
        return "not_a_question"
    if is_not_self_contained(pair.question, pair.answer):
        return "not_self_contained"
    if copies_answer(pair.question, pair.answer):
        return "copies_answer"
    if is_empty_talk(pair.question, pair.answer):
        return "empty_talk"
    if is_duplicate(pair.question, [other.question for other in accepted]):
        return "duplicate"
    if pair.origin == "extracted":
        return ""
    if has_wrong_number(pair.answer, paper_txt):
        return "wrong_number"
    return "unsupported" if is_unsupported(pair.answer, paper_txt, pair.support) else ""


# ---------------------------------------------------------------------------------------------- candidate questions

_SUPERLATIVE = re.compile(
    r"\b(?:most|least|best|worst|main|primary|maximum|minimum|largest|smallest|highest|lowest|greatest|"
    r"major|only|first|all|every|always|never|optimal|entire|total|average)\b", re.I
)  # fmt: skip
_CAUSE = re.compile(
    r"\b(?:because|since|due to|owing to|as a result|therefore|thus|thereby|hence|caus\w+|lead\w* to|led to|so that|"
    r"result\w* (?:in|from)|attribut\w+|explain\w*|allow\w*|enabl\w+|prevent\w*|"
    r"in order to|reason|consequen\w+|arises?)\b", re.I
)  # fmt: skip
_TIME = re.compile(
    r"\b(?:when|after|before|during|until|while|once|following|at|days?|weeks?|hours?|years?|min|h|s|\d{4})\b", re.I
)
_COUNT = re.compile(
    r"\bhow (?:many|much|long|far|high|large|fast|often|old)\b|\bwhat (?:percentage|fraction|proportion|number)\b", re.I
)
_NAME = re.compile(r"\b(?=\w*[A-Z0-9])(?:[A-Z]\w*[A-Z0-9]\w*|\w+\d\w*|[a-z]+[A-Z]\w*)\b")


def score_question(question: str, sentence: str, context: str) -> float:
    """How promising a model's question is for a sentence of a paper that answers it; higher is better, good ones lie
    about 1 to 3. It only ranks candidates: a question with a high score may still be bad.

    `context` is the passage around the sentence: words from there are grounded, words from neither are invented.
    """
    asked = set(read_content(question)) - FRAME
    said = set(read_content(sentence))
    around = said | set(read_content(context))
    if not asked or not said or is_not_question(question):
        return -3.0
    shared, invented = asked & said, asked - around
    score = min(len(shared), 5) / 5 + len(shared) / len(asked) - 2 * len(invented) / len(asked)
    score -= 6 * max(0.0, len(shared) / len(said) - 0.6)  # then hardly anything is left to ask for
    score += 0.2 * min(2, len({*_NAME.findall(question)} & {*_NAME.findall(sentence)}))
    said_words = set(list_words(sentence))
    score -= 0.7 * len({w.lower() for w in _SUPERLATIVE.findall(question)} - said_words)
    if is_not_self_contained(question, "") or copies_answer(question, sentence):
        score -= 1.5
    num_words = len(list_words(question))
    score -= 1.0 if num_words < 6 or num_words > 35 else 0.0
    return round(score + _score_form(question, sentence), 4)


def _score_form(question: str, sentence: str) -> float:
    """Whether the sentence holds what the question word asks for."""
    if _COUNT.search(question):
        return 0.3 if any(character.isdigit() for character in sentence) else -1.0
    if re.search(r"\bwhy\b", question, re.I):
        return 0.6 if _CAUSE.search(sentence) else -0.4
    if re.match(r"when\b", question, re.I):
        return 0.1 if _TIME.search(sentence) else -1.0
    if re.match(r"who\b", question, re.I):
        return -0.5
    if re.search(r"\bhow\b", question, re.I):
        return 0.4
    if re.match(r"what (?:is|are|was|were)\b", question, re.I):
        return -0.2 if len(read_content(question)) > 3 else -0.7  # "What is X?" asks for a definition
    return 0.1 if OPENING.match(question) and not re.match(rf"(?:{AUXILIARY})\b", question, re.I) else -0.4
