"""Sentences and words of scientific prose, as exact character spans.

Sentence boundaries come from sentencex (Wikimedia, MIT; linear time, 2 MB in about 0.2 s), corrected by a few short
rules for what scientific papers do to full stops. A newline always ends a sentence, as it ends a paragraph. Full-width
marks have a rule of their own: text without spaces takes sentencex quadratic time.

    >>> text = "The rate fell (Fig. 3). We used approx. 5 mL of H. pylori culture."
    >>> [text[start:end] for start, end in split_sentences(text)]
    ['The rate fell (Fig. 3).', 'We used approx. 5 mL of H. pylori culture.']
"""

import re
from functools import lru_cache

import sentencex
import snowballstemmer

from sciqag_lib.text.scripts import OTHER_STOPS, WIDE_CLOSING, WIDE_STOPS, cut_unspaced, is_function_word, is_unspaced

Span = tuple[int, int]  # start and end, offsets into the text: text[start:end]

# After these a sentence goes on, whatever follows.
_ABBREVIATIONS = frozenset(
    "approx ca cf eq eqs fig figs ref refs no nos vol vols suppl supp sec sect ch pp tab resp dept vs e.g i.e viz "
    "sp spp subsp ssp var cv f.sp wt mol at prof dr mr mrs ms st jr incl excl dil conc temp max min avg rel ver".split()
)
# Of those, the ones that are also words or units and may well end a sentence: a capital after them starts a new one.
_MAY_END = frozenset("sp spp no at ch min max temp var sec mol conc ms vol tab resp".split())
_LAST_WORD = re.compile(r"([^\s(\[,;]{1,12})\.$")
_CONTINUES = re.compile(r"[a-z]+(?![A-Za-z0-9-])|[%,;:)\]]|\(\d|\[\d")  # not "pH", "mRNA", "p53", "p-values"
# "for 2 h. They", "to 0.15 M. KCl": the full stop after a value's one-letter unit does not belong to an initial.
_UNIT_STOP = re.compile(r"(?<=\d)(?:\s|\u00a0)?(?:[hdsgLlMKVAWNJTCF]|[mk]?eV|min)\.(?=\s+[A-Z0-9][A-Za-z0-9]*)")
# "0.48 W/m K. Bricks": the same after a unit of several parts.
_RATE_STOP = re.compile(r"/(?:[a-zµμ]{1,3}[²³\d]?[\s·\u00a0])?[hdsgLlMKVAWNJTCF]\.(?=\s+[A-Z0-9][A-Za-z0-9]*)")
# "in buffer A. The", "vitamin C. It": a one-letter name before a word that opens sentences.
_NAME_STOP = re.compile(
    r"(?<=[a-z] )[A-Z]\.(?=\s+(?:The|This|These|Those|It|Its|In|We|They|Both|However|Thus|After|When|As|For|A|An)\s)"
)
# The plainest end of all, which sentencex leaves alone in paragraphs that open with "(A)" like a list.
_PLAIN_STOP = re.compile(r"(?<=[a-z0-9)\]%])\.(?=\s+[A-Z][a-z]*\s+[a-z(])")
# A terminator, closing marks, citations.
_ENDS = re.compile(rf"[.!?…{WIDE_STOPS}{OTHER_STOPS}][\"'”’)\]{WIDE_CLOSING}]*(?:\s?\[[\d,，、\s–-]+\][,\s]?)*$")
# "測定した。」", "下降。[3]", but not "３．５", nor a title in 《》 or a quotation that is part of a longer sentence.
_WIDE_END = re.compile(
    rf"(?:[。！？｡]|(?<!\d)．|．(?!\d))[{WIDE_STOPS}!?…]*(?P<closed>[{WIDE_CLOSING}”’\"')\]]*)(?P<more>[{WIDE_STOPS}]*)"
    r"(?:\s?\[[\d,，、\s–-]{1,60}\])*"
)
_WIDE_CONTINUES = re.compile(
    r"[、，；：,;]|[とのがをはにでもやへ]|的(?![确確])|[地等之是为與与和或]|[이을를은는가라고]"
)
_NARROW_BRACKETS = str.maketrans("（）", "()")
# "(A) Growth of cells. (B-D) Loss": a bracketed letter opens a list for sentencex, and a list it leaves in one piece.
_PANEL = re.compile(r"(?:^|(?<=[.:;?!)\]] ))\((?P<letters>[A-Za-z](?:\s?[-–,]\s?[A-Za-z]){0,6})\)(?=\s)")
_PANEL_STOP = re.compile(rf"(?<=[\w)\]%])\.(?=\s+{_PANEL.pattern})")  # "for 16 h. (H) Cells"
_NO_STOPS = str.maketrans(dict.fromkeys(WIDE_STOPS, ","))


def split_sentences(text: str) -> list[Span]:
    """Spans of the sentences of `text`, in order, without surrounding white space and never across a newline.

    Nothing but white space lies between two spans. Runs in linear time.
    """
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate (from a broken JSON escape) cannot be encoded
    spans: list[Span] = []
    for match in re.finditer(r"[^\r\n\u2028\u2029\x0b\x0c\x85]+", text):
        spans.extend(_split_paragraph(text, match.start(), match.end()))
    return spans


def _split_paragraph(text: str, start: int, end: int) -> list[Span]:
    """Spans of the sentences of one line, corrected."""
    paragraph = text[start:end]
    plain = _PANEL.sub(r"X\g<letters>X", paragraph.translate(_NO_STOPS))
    boundaries = sentencex.get_sentence_boundaries("en", plain)
    cuts = {boundary["end_index"] for boundary in boundaries} | {len(paragraph)}
    cuts.update(match.end() for match in _WIDE_END.finditer(paragraph) if _ends_wide(match))
    for rule in (_UNIT_STOP, _RATE_STOP, _NAME_STOP, _PLAIN_STOP, _PANEL_STOP):
        cuts.update(match.end() for match in rule.finditer(paragraph))
    spans: list[Span] = []
    first = 0
    for cut in sorted(cuts):
        piece = _strip_span(paragraph, first, cut)
        first = cut
        if piece[0] == piece[1]:
            continue
        if spans and _belongs_together(paragraph, spans[-1], piece):
            piece = (spans.pop()[0], piece[1])
        spans.append(piece)
    return [(start + a, start + b) for a, b in spans]


def _ends_wide(match: "re.Match[str]") -> bool:
    """Whether a full-width stop ends a sentence: after a closing mark, the sentence around a quotation may continue."""
    if not match["closed"] or match["more"]:
        return True
    return match["closed"][-1] not in "》〉" and not _WIDE_CONTINUES.match(match.string, match.end())


def _belongs_together(paragraph: str, left: Span, right: Span) -> bool:
    """Whether the boundary between two pieces is no end of a sentence."""
    tail = paragraph[max(left[0], left[1] - 60) : left[1]]
    head = paragraph[right[0] : min(right[1], right[0] + 24)]
    if not any(character.isalnum() for character in head):
        return True  # a stray bracket or quotation mark
    if not _ENDS.search(tail):
        return True  # an item of a list, not a sentence
    word = _LAST_WORD.search(tail)
    if word and word.group(1).lower() in _ABBREVIATIONS:
        return not (word.group(1) in _MAY_END and head[0].isupper())
    near = paragraph[max(left[0], left[1] - 300) : left[1]]  # bounded, or unclosed brackets cost quadratic time
    near = near.translate(_NARROW_BRACKETS)
    if near.count("(") > near.count(")") and near.rfind("(") > near.rfind(")"):
        return True
    return tail[-1] in ".])" and bool(_CONTINUES.match(head))


def _strip_span(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    lead = len(piece) - len(piece.lstrip())
    stripped = piece.strip()
    return start + lead, start + lead + len(stripped)


# ---------------------------------------------------------------------------------------------- words

STOP_WORDS = frozenset(
    "a about above across after again against all along also although am among an and any are as at be because been "
    "before being below between both but by can could did do does doing done down due during each either else ever "
    "every few for from further had has have having he her here hers him his how however i if in into is it its itself "
    "just least less like made make makes many may me might more most much must my neither no nor not now of off on "
    "once one only onto or other others our out over own per quite rather s same shall she should since so some such "
    "than that the their them then there thereby therefore these they this those through thus to too toward towards "
    "under until up upon us use used using very via was we were what when where whereas whether which while who whom "
    "whose why will with within without would yet you your yes".split()
)
# A word may hold hyphens, primes and dots inside (HIF-1α, PM2.5, N,N-dimethyl is two words) but not end in one.
_WORD = re.compile(r"[^\W_]+(?:[-'’.‐‑–][^\W_]+)*[+]?")
_HYPHENS = str.maketrans({"‐": "-", "‑": "-", "–": "-", "’": "'", "µ": "μ"})
# Past forms that share no stem with their verb, the ones usual in papers.
_IRREGULAR = {
    "fell": "fall", "fallen": "fall", "rose": "rise", "risen": "rise", "grew": "grow", "grown": "grow", "gave": "give",
    "given": "give", "became": "become", "shown": "show", "held": "hold", "led": "lead", "lost": "lose", "kept": "keep",
    "took": "take", "taken": "take", "began": "begin", "begun": "begin", "bound": "bind", "broke": "break",
    "broken": "break", "driven": "drive", "drove": "drive", "chosen": "choose", "chose": "choose", "felt": "feel",
    "found": "find", "froze": "freeze", "frozen": "freeze", "bent": "bend", "built": "build", "sought": "seek",
}  # fmt: skip
_stemmer = snowballstemmer.stemmer("english")


def list_words(text: str) -> list[str]:
    """The words of `text` in order, lower case, hyphens and apostrophes unified; of a script without spaces those of
    scripts.cut_unspaced."""
    words = (part for word in _WORD.findall(text) for part in (cut_unspaced(word) if is_unspaced(word) else (word,)))
    return [word.translate(_HYPHENS).lower() for word in words]


@lru_cache(maxsize=4096)  # the words of a paper; more would be memory that grows with their number
def stem_word(word: str) -> str:
    """The Snowball stem of a lower-case word; names that hold digits or symbols stay as they are."""
    word = word.removesuffix("'s")
    word = _IRREGULAR.get(word, word)
    return _stemmer.stemWord(word) if word.isalpha() and len(word) > 3 else word


def list_content_words(text: str) -> list[str]:
    """Stems of the words of `text` that are no stop words, in order; a hyphened word gives its parts as well
    where they are words ("nitrogen-doped" gives "nitrogen" and "dope"), but a name such as "il-6" stays whole."""
    stems = []
    for word in list_words(text):
        if word in STOP_WORDS or is_function_word(word):
            continue
        parts = word.split("-")
        if len(parts) > 1 and all(len(part) > 2 and part.isalpha() for part in parts):
            stems.extend(stem_word(part) for part in parts if part not in STOP_WORDS)
        else:
            stems.append(stem_word(word))
    return stems
