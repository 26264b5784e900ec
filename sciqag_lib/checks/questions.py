"""Whether a text is one whole question, and whether it can be understood without the paper it was asked about.

Two of the rules of rules.py, and the vocabulary that all of them share. A question that passes both:

    "In rats fed a high-fat diet, how does metformin change hepatic triglyceride content?"
"""

import re
from functools import lru_cache

from sciqag_lib.checks.languages import names_its_paper, opens_as_question
from sciqag_lib.text.scripts import ends_as_question
from sciqag_lib.text.sentences import list_content_words, list_words, stem_word

MAX_QUESTION_CHARS = 600  # longer ones are no questions; it also bounds the time of every rule

AUXILIARY = (
    "is|are|was|were|am|do|does|did|can|could|has|have|had|will|would|should|may|might|must|shall|"
    "isn't|aren't|doesn't|don't|didn't|can't"
)
_WH = "what|which|why|how|when|where|who|whom|whose"
_PREPOSITION = (
    "in|at|by|to|under|from|for|on|with|of|into|through|during|over|within|between|among|after|before|against|via|upon|"
    "towards?|along"
)


def _words_of(text: str) -> frozenset[str]:
    return frozenset(stem_word(word) for word in text.split())


# Words that say nothing by themselves.
GENERIC = _words_of(
    "important importance role roles play plays significant significance significantly crucial critical key "
    "essential vital various several different many factor factors aspect aspects field topic way ways useful "
    "wide variety range application applications benefit benefits effect effects affect affects influence impact "
    "parameter parameters consider considered carefully contribute contributes research further need needed "
    "better understand understanding help helps necessary relevant interesting involve involved determine "
    "determines occur occurs exist exists step following process certain kind type thing things fact reason cause "
    "result results called known specific give property properties main major possible general generally overall "
    "depend depends provide provides show shows find become study investigate include includes fundamental area "
    "great interest good particular case"
)
# Words that only frame a question: without them "what effect does X have on Y" is "how does X affect Y".
FRAME = _words_of(
    "effect effects affect affects influence impact role play factor factors mechanism mechanisms cause causes "
    "reason way give explain happen happens main type kind process"
)


# ---------------------------------------------------------------------------------------------- not_a_question


@lru_cache(maxsize=256)
def read_content(text: str) -> tuple[str, ...]:
    """The content words of a text, remembered because several rules ask for the same ones."""
    return tuple(list_content_words(text))


OPENING = re.compile(rf"(?:(?:{_PREPOSITION})\s(?:{_WH})|(?:{_WH})|{AUXILIARY})\b", re.I)
_LATER_CLAUSE = re.compile(
    rf"[,;:–—.]\s(?:and\s|then\s)?(?:(?:{_PREPOSITION})\s(?:{_WH})|(?:{_WH})|{AUXILIARY})\b", re.I
)
_LATE_WH = re.compile(rf"\b(?:{_PREPOSITION})\s(?:which|what|whose|how\s(?:many|much))\b(?:\s\S+){{0,5}}\s?\?$", re.I)
_INSTRUCTION = re.compile(
    r"(?:please\s|describe|explain|list|name|generate|discuss|summari[sz]e|provide|write|give|identify|state|define|"
    r"compare|calculate|outline|tell|consider|discover|find out|ask|create|"
    r"answer|question|q|a)\b(?!-)(?!\s+(?:of|in)\b)",
    re.I,
)
_HOW_WHY = re.compile(r"(?:how(?!\s(?:many|much|few)\b)|why)\b", re.I)
_HAS_AUXILIARY = re.compile(rf"\b(?:{AUXILIARY}|cannot)\b", re.I)
_TEMPLATE = re.compile(
    r"(?<=\s)\[[A-Za-z][a-z _]{3,30}\](?=[\s?,.])"
    r"|<[a-z _]{3,30}>|\{[a-z _]{2,30}\}|_{3,}|\.\.\.\s?\?$"
)
_CUT = re.compile(r"\b(?:the|a|an|and|or|than|its|their|our|very|whose)\s?\?$")
_HOLE = re.compile(
    r"\b(?:role|effect|impact|importance|influence|function|value|purpose|amount|number|concentration) of "
    r"(?:in|on|for|by|to|and|,|\?)(?![\w-])|\b(?:the|an) (?:of|and|is|are|for|\?)(?![\w-])|,\s?,|\bof\s?,"
)
REPEATED = re.compile(r"\b([a-z]{2,20})(?:\s\1){2}\b", re.I)
_SECOND_PART = re.compile(r"\?\s+")
_REFERS_BACK = re.compile(r"\b(?:it|its|they|their|them|this|these|those|he|she|his|her|one|ones|that)\b", re.I)


def is_not_question(question: str) -> bool:
    """Whether the text is anything but one whole question: a statement, an instruction, a torn or garbled one, an
    unfilled template, or two sentences that have nothing to do with each other. Two parts of one sentence often share
    no word ("Which mutants lacked it, and how was that mended?"), so they are not compared."""
    text = " ".join(question.split())
    if not ends_as_question(text) or len(text) > MAX_QUESTION_CHARS or len(list_words(text)) < 3:
        return True
    if opens_as_question(text):
        return _TEMPLATE.search(text) is not None or REPEATED.search(text) is not None
    if _INSTRUCTION.match(text) or any(rule.search(text) for rule in (_TEMPLATE, _CUT, _HOLE, REPEATED)):
        return True
    opening = OPENING.match(text)
    if not (opening or _LATER_CLAUSE.search(text) or _LATE_WH.search(text)):
        return True
    if _HOW_WHY.match(text) and not _HAS_AUXILIARY.search(text):
        return True  # "How nitrogen narrows the gap?"
    return _holds_unrelated_parts(text)


def _holds_unrelated_parts(text: str) -> bool:
    parts = [part for part in _SECOND_PART.split(text) if part.strip(" ?")]
    for first, second in zip(parts, parts[1:]):
        words = set(read_content(second)) - FRAME - GENERIC
        if len(words) >= 3 and not words & set(read_content(first)) and not _REFERS_BACK.search(second):
            return True
    return False


# ---------------------------------------------------------------------------------------------- not_self_contained

_PAPER = "paper|study|article|work|manuscript|investigation|report|review|thesis|publication"
_PARTS = (
    f"{_PAPER}|experiments?|analys[ie]s|research|findings?|results?|data|dataset|section|chapter|survey|figures?|"
    "tables?|equations?|passage|text|excerpt|samples?|method|model|approach|observations?"
)
_PAPER_VERBS = "|".join(  # with an ending: "the paper tests", not "the paper test strips"
    [verb + "[sd]" for verb in "demonstrate describe propose investigate conclude provide examine observe indicate "
     "explore introduce analyse analyze evaluate compare state argue outline note measure use".split()]
    + [verb + "(?:e?s|ed)" for verb in "show report suggest present discuss aim mention focus reveal highlight employ "
       "develop establish call address claim confirm test".split()]
    + ["finds", "found", "impl(?:ies|ied)", "appl(?:ies|ied)", "did", "does", "was", "were", "is", "has", "had"]
)  # fmt: skip
_THIS_PAPER = re.compile(
    rf"\b(?:this|these|our|(?:the\s)?present|the\scurrent)\s(?:\w+\s)?(?:{_PARTS})\b(?!-)"
    r"|\bcurrent\s(?:study|paper|investigation)\b(?!-)"
    r"|\bthe\s(?:authors?|manuscript|passage|excerpt|article|researchers|investigators)\b"
    r"|\bthe\s(?:given|provided)\s(?:text|paper|study|context|information)\b"
    rf"|\b(?:according\sto|in|from|throughout|by|of|per)\sthe\s(?:text|paper|study|report|above)\b"
    r"(?!\s(?:of|on|industry|machine|mill|making|sheets?|web|pulp|surface|strips?|fib(?:er|re)s?|matrix|substrate|"
    r"electrode)\b|-)"
    r"|\bin\sthe\sexperiments?\b"
    rf"|\bthe\s(?:study|paper|report)(?:['’]s|\s(?:also\s|further\s)?(?:{_PAPER_VERBS}))\b"
    r"|\bthe\s(?:results|findings)\s(?:show|suggest|indicate|reveal|demonstrate|obtained|presented|reported|say|tell|"
    r"imply)"
    r"|\b(?:the|our)\sproposed\s(?:\w+\s)?(?:methods?|models?|approach|algorithms?|framework|systems?|scheme|technique|"
    r"strategy)\b",
    re.I,
)  # fmt: skip
_NUMBERED_PART = re.compile(
    r"\b(?:(?:Fig(?:ure)?s?|Tables?|Eq(?:uatio)?ns?|Eqs?|Scheme|Sections?|Chapters?|Appendix|Algorithm|Box|Movie|Video|"
    r"Supplementary\s\w{3,12}|Supp(?:l)?)\.?\s?\(?S?\d|(?:Table|Figure|Scheme|Section|Appendix)\s[IVX]+\b|"
    r"S\d+\s(?:Fig|Table|Text|File))|\b(?:fig(?:ure)?s?|table|eqs?|equation|ref|refs|section)\.?\s\(?S?\d"
)
_POINTER = re.compile(
    r"\b(?:shown|mentioned|described|discussed|seen|noted|stated|reported|defined|given|listed)\s"
    r"(?:above|below|earlier|previously)\b"
    r"|\babove-mentioned\b|\bafore-?mentioned\b|\bof\sthe\sfollowing\b"
    r"|\b(?:see|in)\sthe\s(?:figure|table|diagram|graph)s?\b"
    r"|\bas\s(?:we|reported|shown)\s(?:earlier|before|here)\b",
    re.I,
)
_FIRST_PERSON = re.compile(
    r"\b(?:we|our|ours|my)\b(?!-)|\b(?:do|did|can|could|should|would|have|had|may|might|must|will|shall|am)\sI\b"
)  # case matters, and "I" alone may be a numeral: angiotensin I
_BARE_SUBJECT = re.compile(
    rf"^(?:(?:{_PREPOSITION})\s)?(?:{_WH})\s(?:(?!(?:{AUXILIARY})\b)[\w-]+\s){{0,5}}(?:{AUXILIARY})\s"
    rf"(?P<pronoun>it|they|he|she|we|this|these|those|that)\b(?P<rest>.*)"
    rf"|^(?:{AUXILIARY})\s(?:it|they|he|she|we|this|these|those)\b",
    re.I,
)
_EXPLETIVE = re.compile(
    r"\s(?:[a-z]+ly\s|so\s|more\s|not\s)?(?:\w+\s)(?:to|that|for|if|whether|when)\b|\s(?:take|mean|follow|come)\b", re.I
)
_DEMONSTRATIVE = re.compile(
    rf"\b(?:this|these)(?:\s(?:[\w-]+\s){{0,2}}?(?P<noun>[\w-]+))?"
    rf"(?=\s?(?:$|[?,;.:])|\s(?:{AUXILIARY}|{_PREPOSITION}|and|or|that|than|as)\b)",
    re.I,
)
_CLAUSE_END = re.compile(r"[,;:.]\s|\b(?:and|when|if|while|although|because|that|which|than)\b", re.I)


def is_not_self_contained(question: str, answer: str) -> bool:
    """Whether the pair leans on the paper it comes from: names it, its parts or authors, points elsewhere in its text,
    or asks about an "it" or "these results" that the question does not introduce."""
    asked = " ".join(question[:MAX_QUESTION_CHARS].split())
    for text in (asked, " ".join(answer.split())):
        if _THIS_PAPER.search(text) or _NUMBERED_PART.search(text) or _POINTER.search(text) or names_its_paper(text):
            return True
    if _FIRST_PERSON.search(asked):
        return True
    return _lacks_antecedent(asked)


def _lacks_antecedent(question: str) -> bool:
    if (match := _BARE_SUBJECT.match(question)) and not (
        (match["pronoun"] or "").lower() == "it" and _EXPLETIVE.match(match["rest"])
    ):
        return True
    for match in _DEMONSTRATIVE.finditer(question):
        before = question[: match.start()]
        introduced = set(read_content(before)) - GENERIC - FRAME
        if introduced and (_CLAUSE_END.search(before) or stem_word((match["noun"] or "").lower()) in introduced):
            continue  # "Why do corals bleach, and can this process be slowed?"
        return True
    return False
