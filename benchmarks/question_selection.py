"""The strict selection of question_writing.py: which questions of the base model are fit to learn from.

Whether a small model's question is good cannot be told in general, but for a sentence of a known kind it can be told
when it is: then it is the shown part of the sentence turned round, no word added, and what it asks for is the rest.
Everything else is turned away, good ones too. The reasons are those of checks.py and, for "Why do elephants move
closer?" made from "In the dry season, elephants move closer to the river":

    >>> find_fault(sentence, sentence.shown, "Why do elephants move closer?")
    'leaves_out'
"""

import re
from collections import Counter
from collections.abc import Sequence

from question_data import begin_question

from sciqag_lib.checks.questions import FRAME, GENERIC
from sciqag_lib.checks.rules import check_pair
from sciqag_lib.generation.evidence_first import Sentence, is_garbled
from sciqag_lib.records.papers import QAPair
from sciqag_lib.text.sentences import list_content_words, stem_word

AUXILIARIES = frozenset("is are was were has have had can could may might will would should must do does did".split())
ARTICLES = frozenset("the a an of in on at for to from by with and".split())
BASE_FORMS = dict(
    pair.split("/")
    for pair in (
        "fell/fall rose/rise took/take gave/give showed/show grew/grow became/become began/begin chose/choose "
        "found/find had/have held/hold kept/keep led/lead left/leave lost/lose made/make met/meet ran/run saw/see "
        "spent/spend went/go came/come knew/know thought/think bound/bind underwent/undergo arose/arise "
        "broke/break"
    ).split()
)
ADVERBS = frozenset("not also often usually always still only then now less more most very so".split())
MIN_WORDS, MAX_WORDS = 5, 32
MIN_CONTENT = 2  # content words, those that only frame a question left out
MIN_COVERAGE = 0.6  # of what is asked about, for the kinds whose question is the sentence turned round
# Words a question must not bring in: the sentence has to say them.
LOADED = re.compile(
    r"\b(most|least|main|mainly|primary|best|worst|maximum|minimum|only|first|all|every|always|never|significant\w*|"
    r"important|importance|purpose|role|author\w*|sentence|paragraph|paper|question)\b",
    re.I,
)
POINTING = re.compile(r"\b(it|they|we|our|us|this|these|those|their|its|his|her|following|former|latter|same)\b", re.I)
UNCLEAR = re.compile(r"\bsomething\b|\bwhich\?|['\"]", re.I)


def choose_question(sentence: Sentence, shown: str, questions: Sequence[str]) -> tuple[str, Counter]:
    """The first of a sentence's candidate questions that is fit, "" where none is, and why those before it are not.

    `shown` is what the model saw when it wrote them.
    """
    faults: Counter = Counter()
    for question in questions:
        fault = find_fault(sentence, shown, question)
        if not fault:
            return question, faults
        faults[fault] += 1
    return "", faults


def find_fault(sentence: Sentence, shown: str, question: str) -> str:
    """Why a question is not fit to learn from, "" where it is; `shown` as in choose_question."""
    pair = QAPair(question, sentence.answer, origin="extracted", evidence=[(sentence.start, sentence.end)])
    fault = check_pair(pair, "", [])
    if fault:
        return fault
    if is_garbled(question, sentence.answer) or not MIN_WORDS <= len(question.split()) <= MAX_WORDS:
        return "garbled"
    if POINTING.search(question) or UNCLEAR.search(question):
        return "not_self_contained"
    if set(re.findall(r"(?<= )[A-Z][\w.-]*", question.rstrip("?"))) - set(re.findall(r"[A-Z][\w.-]*", sentence.answer)):
        return "invented"  # "A. cerevisiae" for "S. cerevisiae"
    return _find_invention(question, sentence, shown) or FORMS[sentence.kind.name](sentence, shown, question)


def _find_invention(question: str, sentence: Sentence, shown: str) -> str:
    said = {word.lower() for word in re.findall(r"\w+", sentence.answer)}
    if any(word.lower() not in said for word in LOADED.findall(question)):
        return "invented"
    times, shown_times = Counter(list_content_words(question)), Counter(list_content_words(shown))
    if any(number > max(1, shown_times[word]) for word, number in times.items()):
        return "garbled"  # "How was DNA extracted from blood extracted?"
    if len(set(times) - FRAME - VAGUE_WORDS) < MIN_CONTENT:
        return "too_general"
    return "invented" if set(times) - set(shown_times) - FRAME - EXTRA_WORDS else ""


def _content(text: str) -> set[str]:
    return set(list_content_words(text))


# "How was the statistical analysis performed?" could be asked of any paper.
VAGUE_WORDS = GENERIC | frozenset(
    stem_word(word)
    for word in (
        "statistical statistics analysis analyses analysed analyzed data work study studies experiment experiments "
        "samples number performed conducted carried done made used obtained calculated computed collected "
        "measured assessed"
    ).split()
)
EXTRA_WORDS = frozenset([stem_word("expression")])  # "What regulates the expression of ...": of a gene, as good


# What the sentence must hold, kind by kind ----------------------------------------------------------------------------


def _check_turned(sentence: Sentence, shown: str, question: str) -> str:
    """Why, how: the shown sentence with its auxiliary first, or with do, does, did and the verb's base form."""
    words, said = _words(question)[1:], _words(shown)
    if not words or words[0] not in AUXILIARIES:
        return "wrong_form"
    auxiliary, rest = words[0], words[1:]
    if auxiliary in ("do", "does", "did") and auxiliary not in said:
        fault = _check_base_form(auxiliary, rest, said)
    else:
        fault = _check_moved(auxiliary, rest, said)
    if fault:
        return fault
    opening, _, main_clause = shown.partition(", ")  # "In May, birds sing." -> Why do birds sing in May?
    if max(_common_length(rest, said), _common_length(rest, _words(f"{main_clause} {opening}"))) < 0.8 * len(rest):
        return "garbled"
    return _check_coverage(shown, question)


def _check_moved(auxiliary: str, rest: list[str], said: list[str]) -> str:
    """ "The plots were covered" -> were | the plots covered"""
    if auxiliary not in said:
        return "garbled"
    place = said.index(auxiliary)
    following = next((word for word in said[place + 1 :] if word not in ADVERBS and not word.endswith("ly")), "")
    if following not in rest or rest.index(following) == 0 or rest.count(auxiliary) >= said.count(auxiliary):
        return "garbled"
    return "" if set(rest) <= set(said) | ARTICLES else "garbled"


def _check_base_form(auxiliary: str, rest: list[str], said: list[str]) -> str:
    """ "Beetles formed a swarm" -> did | beetles form a swarm: no word changes but the verb, and that by its ending"""
    changed = [word for word in rest if word not in said and word not in ARTICLES]
    if auxiliary == "do":
        return "garbled" if changed else ""
    if len(changed) != 1 or rest[0] == changed[0]:
        return "garbled"
    verb = changed[0]
    if auxiliary == "does":
        forms = {verb + "s", verb + "es", verb.removesuffix("y") + "ies"} | ({"has"} if verb == "have" else set())
    else:
        forms = {verb + "d", verb + "ed", verb + verb[-1] + "ed", verb.removesuffix("y") + "ied"}
        forms |= {past for past, base in BASE_FORMS.items() if base == verb}
    if not forms & set(said) or forms & set(rest):
        return "garbled"
    clause = " ".join(rest)  # "Why did the yield was low?": a second verb is right only in a clause of its own
    return "garbled" if set(rest) & AUXILIARIES and not re.search(r"\b(that|which|who|when|if)\b", clause) else ""


def _check_agent(sentence: Sentence, shown: str, question: str) -> str:
    """ "X is limited by Y" -> What limits X?, with nothing of Y in it"""
    left = sentence.shown[: sentence.kind.pattern.search(sentence.shown).start()]
    begun = begin_question(sentence)
    rest = question.removeprefix(begun)
    if rest == question or re.match(r" (?:and|or|by)\b", rest) or stem_word(begun.split()[-1]) in _content(rest):
        return "wrong_form"
    if not set(_words(rest)) <= set(_words(left)) | ARTICLES | {"expression"}:
        return "invented"
    if _common_length(_words(rest), _words(left)) < 0.6 * len(_words(rest)):
        return "garbled"
    if len(_content(rest) - FRAME) < MIN_CONTENT:
        return "too_general"
    return _check_coverage(left, question)


def _check_coverage(text: str, question: str) -> str:
    wanted = _content(text) - FRAME
    return "leaves_out" if len(wanted & _content(question)) < MIN_COVERAGE * len(wanted) else ""


FORMS = {"agent": _check_agent, "cause": _check_turned, "purpose": _check_turned, "method": _check_turned}


def _words(text: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[^\W_][\w.%°/-]*[^\W_]|[^\W_]", text)]


def _common_length(one: list[str], other: list[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        last = 0
        for place, also in enumerate(other, start=1):
            last, row[place] = row[place], last + 1 if word == also else max(row[place], row[place - 1])
    return row[-1]
