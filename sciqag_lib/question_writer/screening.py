"""Which sentences of a paper a question may be made of, told before they are parsed, and why others are refused.

"Fig. 2 shows the yields."  -> points_elsewhere
"Gli alberi crescono."      -> not_english
"""

import re

from sciqag_lib.text.scripts import is_mostly_unspaced
from sciqag_lib.text.sentences import list_words

REASONS = (
    "not_english",
    "not_a_sentence",  # a heading, a question, a fragment
    "caption_or_row",
    "skipped_section",  # ethics, funding, abbreviations, references
    "too_short",
    "too_long",
    "symbols",  # a formula, a list of values
    "unbalanced_brackets",
    "points_elsewhere",  # to a figure, to other parts of the paper, to the study itself
    "no_clause",  # no finite verb with a subject, or the parser sees two sentences
    "two_statements",  # a second clause with a subject of its own: one question would ask for half
    "procedure",  # what was done, in the section on methods
    "open_reference",  # "it", "these", "the mutants": named nowhere near
    "no_rule",
    "too_general",  # it names nothing of what the paper is about
    "poor_question",  # what the rules made is too short, too long or lopsided
    "asked_twice",  # two sentences of the paper answer it
)
MIN_WORDS, MAX_WORDS = 6, 45
MIN_LETTERS = 0.75  # of the characters
SKIPPED_SECTIONS = re.compile(
    r"ethic|consent|abbreviation|availab|conflict|competing|funding|acknowledg|supplement|supporting|reference|permit"
    r"|author contribution|data (?:deposition|access)|nomenclatur",
    re.IGNORECASE,
)
METHODS = re.compile(
    r"\b(?:methods?|materials?|procedures?|experimental|participants|protocols?|implementation)\b", re.I
)
CITATION = re.compile(r"\s?\[\s?\d{1,4}(?:\s?[,;–-]\s?\d{1,4}){0,40}\s?\]")
# "(Figure 2)", "(see Table S1 and Fig. 3A)", "(data not shown)": brackets that hold nothing but a pointer.
_POINTER = re.compile(
    r"\s?\((?:see |cf\.? |also |and |shown in |summarized in ){0,4}"
    r"(?:supp\w{0,12}\.? |supporting |additional |extended data )?"
    r"(?:figs?\b|figures?|tables?|eqs?\b|equations?|text|movies?|videos?|datasets?|files?|box|appendix|sections?|methods"
    r"|materials and methods|information|s\d+ (?:fig|table|text|file)|data not shown|not shown|unpublished)"
    r"[^()]{0,80}\)",
    re.IGNORECASE,
)
_BRACKET = re.compile(r"\s\([^()]{0,300}\)|\s\[[^\[\]]{0,300}\]")
_ELSEWHERE = re.compile(
    r"\b(?:figs?|figures?|tables?|eqs?|equations?|sections?|appendix|supplementary|supporting information|panels?)\b"
    r"|\b(?:this|the present|our|the current|these) (?:study|work|paper|article|report|review|manuscript|studies)\b"
    r"|\b(?:see|as|described|mentioned|shown|discussed|defined|listed) (?:above|below|elsewhere|previously|earlier)\b"
    r"|https?:|www\."
    r"|\bdata not shown\b|\bin (?:this|that|each|both) cases?\b|\bet al\b|\bas follows\b|\bthe following\b"
    r"|\brespective(?:ly)?\b"
    r"|\b(?:experiment|study|sequence|model|site|example|simulation|scenario|condition|cohort|sample)"
    r" (?:\d|(?-i:[A-Z])\b)"
    r"|\bfor (?:example|instance)\b|\be\.g\.|\bi\.e\.",
    re.IGNORECASE,
)
_NOTE = re.compile(r"\(?[A-Z](?:\s?[-–,]\s?[A-Z])?\)|[*†‡§¶#•]|\(?(?:left|right|top|bottom|inset)\b\W", re.IGNORECASE)
_ENGLISH = frozenset(
    "the of and in to by with for that is are was were be been which from than not as at on this these has have had "
    "it an can when because but between after more".split()
)
_OTHER = frozenset(
    "der die das und ist nicht mit den von zu ein eine für auf dem des wird wurde el la los las del que y por con una "
    "para se su le les et du une est dans pour qui sur il della di e per che sono het een van de met voor niet och "
    "att som av med är til og af na do da em os um não".split()
)


# ", p = .02" and "F(1, 20) = 3.4" without brackets
_STATISTIC = re.compile(
    r",?\s(?:[pPrRtFzZdnN]|β|χ2|χ²|OR|HR|RR|SD|SE|95% CI)"
    r"(?:\s?\([\d., ]{1,20}\))?\s?[=<>≤≥:]\s?[-−–]?\d*\.?\d+"
    r"(?:\s?[-–]\s?\d*\.?\d+)?"
)


def strip_citations(text: str) -> str:
    """The sentence as an answer shows it: on one line, without the marks of citations and brackets that only point to
    a figure or table. What else is in brackets stays."""
    return " ".join(_POINTER.sub("", CITATION.sub("", text)).split())


def is_english(text: str) -> bool:
    """Whether the little words of a text are English: one in twelve or more, and more than those of others."""
    words = list_words(text)
    english = sum(word in _ENGLISH for word in words)
    return english >= max(1, len(words) // 12) and english > sum(word in _OTHER for word in words)


def find_reason(text: str) -> str:
    """Why no question can be made of a sentence, one of REASONS; "" where one may be."""
    text = strip_citations(text)
    words = text.split()
    if is_mostly_unspaced(text):
        return "not_english"
    if len(words) > MAX_WORDS:
        return "too_long"
    if _NOTE.match(text) or " | " in text:
        return "caption_or_row"
    if len(words) < MIN_WORDS:
        return "too_short"
    if not is_english(text):
        return "not_english"
    if not text.endswith(".") or not (text[0].isupper() or text[0].isdigit() or text[:1] in "αβγδ"):
        return "not_a_sentence"
    if sum(character.isalpha() or character == " " for character in text) < MIN_LETTERS * len(text):
        return "symbols"
    if any(text.count(left) != text.count(right) for left, right in ("()", "[]", "{}", "“”")) or text.count('"') % 2:
        return "unbalanced_brackets"
    return "points_elsewhere" if _ELSEWHERE.search(text) else ""


def strip_brackets(text: str) -> str:
    """The sentence as it is parsed: without citation marks, and without what stands in brackets of its own."""
    text = _BRACKET.sub("", CITATION.sub("", text))
    text = _STATISTIC.sub("", text)
    return " ".join(_BRACKET.sub("", text).split())  # brackets within brackets
