"""Citation and footnote marks in a line of text: which of them go, and what goes with them.

A reader puts every citation between two characters that no text may hold, here shown as { and }, and puts a third
in the place of each footnote mark. They are judged when the line is complete:

    shown [{12},{13}].           shown.               as in [{12}].                as in [12].
    grew {(Li, 2004;}{Xu, 2005)}  grew                lakes (e.g., {Li, 2004)}, old  lakes, old
    {Li et al. (2004}) found     Li et al. (2004) found
"""

import re
from collections import Counter

_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_LEFT = "\ufdd2"  # after a bracket whose first words were citations: "([12] and Figure 3)"
FOOTNOTE_MARK = "\ufdd3"
_MARK = rf"{_OPEN}[^{_OPEN}{_CLOSE}]*{_CLOSE}"
_BETWEEN = r"(?:, ?pp?\. ?[\d–-]+)? ?(?:,|;|–|-|—|−|and|or|&|to)? ?"
_INTRO = (
    r"(?:(?:for (?:a |an )?reviews?|reviewed (?:in|by)|see|e\.g\.|cf\.|i\.e\.|refs?\.?|references?"
    r"|also|in|and),?\s*)*"
)
_CITATION = re.compile(
    # A match starts where a word may: without this, a line without spaces would be searched from its every letter.
    rf"(?:(?<=[\s(\[\]){_CLOSE}])|^)"
    rf"(?P<before>[^\s(\[{_OPEN}]*)(?P<gap>\s*)(?P<open>[\[(]\s*{_INTRO}[\[(]?\s*)?"
    rf"(?P<marks>{_MARK}(?:{_BETWEEN}{_MARK})*)"
    rf"(?P<close>\s*(?:[,;:]?(?:\s*and references therein|\s*pp?\.?\s*[\d–-]+\.?)\s*|[,;]\s*)?[\])]{{1,2}})?",
    re.IGNORECASE,
)
LONGEST_INTRO = 120  # characters of the word and the bracket before a mark: "silt (for reviews see also refs. [1]"
_NEEDS_OBJECT = {"in", "by", "from", "of", "to", "with", "on", "as", "between", "about", "than", "that", "and", "or",
                 "including", "see", "e.g.", "e.g", "cf.", "follow", "follows", "following", "ref", "ref.", "refs",
                 "refs.", "reference", "references"}  # fmt: skip
_ABBREVIATIONS = {"al.", "al", "sp.", "spp.", "vs.", "etc.", "fig.", "figs.", "eq.", "i.e."}
_VERB = r"\s+(?:(?:also|first|later|recently|then) )?(?:ha(?:s|ve|d)|was|were|is|are|found|shows?|shown|[a-z]+ed)\b"
_PARTNERS = {"(": ")", "[": "]", ")": "(", "]": "["}
_NAME = re.compile(r"[^\W\d_]{2}")
_RAISED_WORDS = re.compile(r"\b(?:refs?|references?|see|also|e\.g|cf|in|and)\b[.,:]?", re.IGNORECASE)


def mark_citation(text: str) -> str:
    """A citation as `remove_marks` finds it; what it holds loses marks and carets of its own."""
    return _OPEN + re.sub(rf"[{_OPEN}{_CLOSE}^]", "", text) + _CLOSE


def has_citation(text: str) -> bool:
    return _OPEN in text


def mark_raised(text: str) -> str:
    """The content of a superscript that is all citations, as one mark: brackets, commas and "refs" go with it."""
    bare = re.sub(rf"[{_OPEN}{_CLOSE}^]", "", _RAISED_WORDS.sub("", text)).strip()
    if _NAME.search(bare) and bare[:1] not in "[(［（【〔":
        bare = f"({bare})"  # what is raised is no part of the sentence, even where it names authors
    return mark_citation(bare)


def split_raised(text: str) -> tuple[str, str]:
    """What a superscript holds before its first citation, and the rest: "5[{3}]" -> "5", "[{3}]"."""
    head, opening, tail = text.partition(_OPEN)
    own = head.rstrip(" ,;[(［（【〔")
    return own, head[len(own) :] + opening + tail


def is_plain_list(text: str) -> bool:
    """Whether a superscript with citations holds nothing but their numbers, brackets and commas."""
    rest = re.sub(_MARK, "", _RAISED_WORDS.sub("", text))
    return re.fullmatch(r"[\s,;.:–\-—−()\[\]［］（）【】〔〕，、\d]*", rest) is not None


def remove_marks(text: str, cut: Counter[str]) -> str:
    """The line without citations, where the sentence can do without them, and without footnote marks."""
    if FOOTNOTE_MARK in text:
        text = re.sub(rf"[\[(]\s*(?:{FOOTNOTE_MARK}[\s,;–-]*)+[\])]", "", text)
        text = re.sub(rf"{FOOTNOTE_MARK}\s*[,;–-]\s*(?={FOOTNOTE_MARK})|{FOOTNOTE_MARK}", "", text)
    if _OPEN in text:
        text = _settle_brackets(" ".join(text.split()))
        text = _judge_citations(text, cut)
        text = re.sub(rf"{_LEFT}\s*(?:[,;]|and\b|or\b)?\s*", "", text).replace(_OPEN, "").replace(_CLOSE, "")
        text = re.sub(r" +(?=:(?:\s|$))|[,;]\s*(?=\))|(?<=[\[(])[,;]\s*|[,;](?=\s*[,;.](?:\s|$))", "", text)
        text = re.sub(r"^\s*[,;]\s*", "", text)  # a cell that began with citations
        text = re.sub(r"(?<!\.)\.\.(?=\s|$)", ".", text)  # "et al. [12]."
    return text


def _judge_citations(text: str, cut: Counter[str]) -> str:
    """Each match of _CITATION judged. Searched from a little before each mark: a text holds few of them."""
    pieces: list[str] = []
    end = 0
    while (mark := text.find(_OPEN, end)) >= 0:
        match = _CITATION.search(text, max(end, mark - LONGEST_INTRO))
        if match is None or match.start() > mark:
            match = _CITATION.search(text, end)
        if match is None:
            break
        pieces += [text[end : match.start()], _judge_citation(match, cut)]
        end = match.end()
    return "".join(pieces) + text[end:]


def _settle_brackets(text: str) -> str:
    """Marks with whole brackets: one shared with the text around moves out, one without a partner gets it.

    GROBID cuts marks so: (see {Li, 2004)}, {(Li, 2004;}{Xu, 2005)}, {(Li, 2004}.
    """
    marks = [match.group() for match in re.finditer(_MARK, text)]
    if all(mark.count("(") == mark.count(")") and mark.count("[") == mark.count("]") for mark in marks):
        return text
    shared, lonely = _pair_brackets(text)

    def settle(match: re.Match[str]) -> str:
        content, start = match.group()[1:-1], match.start() + 1
        first, last = start + len(content) - len(content.lstrip()), start + len(content.rstrip()) - 1
        left = right = ""
        if last in shared and text[last] in ")]":
            content, right = content.rstrip()[:-1], text[last]
        if first in shared and text[first] in "([":
            content, left = content.lstrip()[1:], text[first]
        for position in range(start, match.end() - 1):
            if position in lonely:
                partner = _PARTNERS[text[position]]
                content = content + partner if partner in ")]" else partner + content
        return left + _OPEN + content + _CLOSE + right

    return re.sub(_MARK, settle, text)


def _pair_brackets(text: str) -> tuple[set[int], set[int]]:
    """Positions of brackets in marks whose partner is not in the same mark, and of those that have no partner."""
    opened: dict[str, list[tuple[int, int]]] = {"(": [], "[": []}  # position, number of the mark (0: outside)
    shared: set[int] = set()
    lonely: set[int] = set()
    number = mark = 0
    for match in re.finditer(rf"[{_OPEN}{_CLOSE}()\[\]]|(?<=\s)(?:\d{{1,2}}|[a-z]|[ivx]{{2,4}})\)", text):
        sign, position = match.group(), match.start()
        if sign == _OPEN:
            number += 1
            mark = number
        elif sign == _CLOSE:
            mark = 0
        elif sign in opened:
            opened[sign].append((position, mark))
        elif len(sign) > 1 and not mark and not (opened["("] and not opened["("][-1][1]):
            continue  # "a) silt": the number of an item
        elif opened[_PARTNERS[sign[-1]]]:
            start, start_mark = opened[_PARTNERS[sign[-1]]].pop()
            if start_mark != mark:
                shared |= {start, match.end() - 1}
        elif mark:
            lonely.add(match.end() - 1)
    return shared, lonely | {start for stack in opened.values() for start, mark in stack if mark}


def _judge_citation(match: re.Match[str], cut: Counter[str]) -> str:
    raw = match["marks"].replace(_OPEN, "").replace(_CLOSE, "").strip()
    opening, closing, before = match["open"] or "", match["close"] or "", match["before"]
    whole = f"{opening}{raw}{closing}"
    bracketed = whole.lstrip()[:1] in ("[", "(") and whole.rstrip()[-1:] in ("]", ")")
    names_author = _NAME.search(raw) is not None
    if (names_author and not bracketed) or _carries_sentence(match):
        return match[0]
    # Brackets without a partner belong to the text around: "([12]; data not shown)", "(Fig. 1, [12])".
    opened, closed = re.findall(r"[\[(]", opening), re.findall(r"[\])]", closing)
    pairs = min(len(opened), len(closed))
    left, right = "".join(opened[: len(opened) - pairs]), "".join(closed[pairs:])
    cut["citation marks"] += len(whole) - len(left) - len(right)
    return before + (match["gap"] + left + _LEFT if left else "") + right


def _carries_sentence(match: re.Match[str]) -> bool:
    """Whether a mark stands where a noun would: "as in [12].", "[12] showed that", "(see [12] for a review)"."""
    before, after = match["before"].lstrip("(["), match.string[match.end() :]
    word = before.rstrip(",").lower()
    is_object = match["gap"] != "" and word in _NEEDS_OBJECT and not before.isupper()  # OR is an odds ratio
    is_owner = after.startswith(("'s", "’s"))
    is_subject = (not before or before.endswith((".", "?", "!", ","))) and word not in _ABBREVIATIONS
    goes_on = re.match(_VERB if before.endswith(",") else r"\s+[a-z]{2}", after) is not None
    opening, closing = match["open"] or "", match["close"] or ""
    is_unclosed = len(re.findall(r"[\[(]", opening)) > len(re.findall(r"[\])]", closing))
    is_read_on = is_unclosed and re.search(r"[a-z]", opening) and re.match(r"\s+[a-z]{2}", after)
    return is_object or is_owner or (is_subject and goes_on) or bool(is_read_on)
