"""Superscripts and subscripts that are known by their place alone, as in a PDF: citation, exponent or mark?

A line is a list of runs (shift, text): shift 1 is raised, -1 lowered, 0 on the line.

    [(0, "fell in August"), (1, "12,13"), (0, ".")]          fell in August.      the citations are counted
    [(0, "an area of 10"), (1, "5"), (0, " m"), (1, "2")]    an area of 10^5 m^2
    [(0, "with H"), (-1, "2"), (0, "O and "), (1, "14"), (0, "C")]    with H2O and 14C

Exponents, charges, ordinals and indices are written as in `scripts`, so that a paper reads the same from XML and PDF.
"""

import re
from collections import Counter

from sciqag_lib.ingest.running_text.citations import mark_citation
from sciqag_lib.ingest.running_text.inline import tidy_line
from sciqag_lib.ingest.running_text.scripts import subscript, superscript

Run = tuple[int, str]
_MARK = "\ufdd4"  # where a citation was, until the line is complete
_NUMBER = r"\d{1,3}[a-z]?"
_SYMBOL = r"[*∗⁎†‡§¶‖#✉]{1,4}"
_CITATIONS = re.compile(
    rf"[\[(]?(?:{_NUMBER}|{_SYMBOL}|[a-z])(?:\s?[,;–‒−-]\s?(?:{_NUMBER}|{_SYMBOL}|[a-z]))*[,;–‒-]?[\])]?"
)
_INTRO = r"(?:(?:e\.g\.|i\.e\.|cf\.|see|also|reviewed in|reviewed by|refs?\.?),?\s?){0,2}"
_UNITS = set("m cm mm km dm nm pm µm μm um Å ft yd mi s sec min h hr ms kg g mg".split())
_FUNCTIONS = set("sin cos tan cot sec csc sinh cosh tanh log ln exp".split())
_SHORT_WORDS = set("al am an as at be by do go he if in is it me my no of on or so to up us we".split())
_BASES = {"2", "10"}  # numbers that have exponents of two digits
_ISOTOPE = re.compile(r"\]?(?:[A-Z][a-z]?)(?![a-z])")
_BRACKETED = re.compile(r"\[\d{1,3}(?:\s?[,;–‒-]\s?\d{1,3})*\]")
_PRINTED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_PRINTED_RUN = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹]+(?:[,–-][⁰¹²³⁴⁵⁶⁷⁸⁹]+)*")


def join_runs(runs: list[Run], previous: str, cut: Counter[str]) -> str:
    """The text of a line; `previous` is the line before it in its paragraph, or "". Citations are counted in `cut`."""
    text = ""
    for number, (shift, part) in enumerate(runs):
        after = runs[number + 1][1] if number + 1 < len(runs) else ""
        before = (text or previous)[-100:]
        if shift == 0:
            text += _drop_printed_marks(part, before, cut)
        elif shift < 0:
            text += subscript(part, before)
        elif is_citation(part, before, after):
            cut["citation marks"] += len(part.strip())
            text += _MARK
        else:
            raised = superscript(part, text)
            # Without its size the exponent needs a space to end it, as in XML.
            text += raised + (" " if raised.startswith("^") and after[:1].isalnum() else "")
    return tidy_line(_close_marks(text), cut)


def _drop_printed_marks(text: str, before: str, cut: Counter[str]) -> str:
    """Citations printed as the characters ¹ to ⁹ are dropped; the exponents in m² and 10⁵ stay as they are."""

    def judge(match: re.Match[str]) -> str:
        number = match[0].translate(_PRINTED)
        if is_citation(number, before + text[: match.start()], text[match.end() : match.end() + 9]):
            cut["citation marks"] += len(match[0])
            return _MARK
        return match[0]

    return _PRINTED_RUN.sub(judge, text)


def _close_marks(text: str) -> str:
    """The line without its marks, the commas between two of them, and brackets around nothing else."""
    text = re.sub(rf"{_MARK}(?:\s?[,;–‒-]?\s?{_MARK})+", _MARK, text)
    text = re.sub(rf"\s?[\[(]{_INTRO}{_MARK}[\])]", "", text)
    text = re.sub(rf"([,;]){_MARK}(?=\1)", "", text)
    return re.sub(rf"\.{_MARK}\.(?=\s|$)", ".", text).replace(_MARK, "")  # "et al.^12."


def drop_bracketed(text: str, highest: int, cut: Counter[str]) -> str:
    """A paragraph without citations such as [3] and [4, 7-9], where they are numbers of `highest` references.

    They stay where the sentence needs them, as in XML: "as in [12]". An interval that begins with 0 is none.

    >>> drop_bracketed("Silt settles [3, 4] as in [5] for x in [0, 1] and [80].", 40, Counter())
    'Silt settles as in [5] for x in [0, 1] and [80].'
    """

    def mark(match: re.Match[str]) -> str:
        numbers = [int(number) for number in re.findall(r"\d+", match[0])]
        return f"[{mark_citation(match[0][1:-1])}]" if all(0 < number <= highest for number in numbers) else match[0]

    return tidy_line(_BRACKETED.sub(mark, text), cut)


def is_citation(raised: str, before: str, after: str) -> bool:
    """Whether a superscript calls out references or notes, judged by the text before and after it.

    >>> [is_citation("2", "the silt", "."), is_citation("2", "an area of 3 m", "."), is_citation("2,3", "m", "")]
    [True, False, True]
    """
    mark = re.sub(r"\s+", " ", raised.strip())
    if not _CITATIONS.fullmatch(mark) or not re.search(r"\d", mark):
        return "," in mark and _CITATIONS.fullmatch(mark) is not None  # "A. Nobody^a,*"
    is_list = re.search(r"\d[a-z]?\s?[,;–‒-]|[\[(]", mark) is not None
    token = re.search(r"\S*\s*$", before[-100:].replace(_MARK, ""))[0]  # type: ignore[index]
    if not token or token[-1].isspace():
        is_base = token.strip() in ("10", "e") and not is_list  # "10 ^5" with a gap before the exponent
        return not is_base and (is_list or not _ISOTOPE.match(after))
    return is_list or _follows_word(mark, token, before, after)


def _follows_word(mark: str, token: str, before: str, after: str) -> bool:
    """Whether one number after `token` is a citation, because `token` is nothing that has an exponent."""
    last, letters = token[-1], re.search(r"[^\W\d_]*$", token)[0]  # type: ignore[index]
    small = mark in ("2", "3", "4", "5", "6")
    if last in "([{/=×·-–−~":  # "[^14C]", "U-^13C"
        return not _ISOTOPE.match(after)
    if last.isdigit():
        number = re.search(r"[\d.,]*$", token)[0]  # type: ignore[index]
        if re.search(r"[^\W\d_]{2}-?|[^\W\d_]$", token[: -len(number)]):  # CD4, H2O, HCT-116, but not m_2
            return "_" not in token and not number.endswith("10")
        return re.fullmatch(r"(?:19|20)\d\d", number) is not None or (len(mark) > 1 and number not in _BASES)
    if last in ")]}":
        inside = before.rsplit("(", 1)[-1]
        return not (small or len(mark) == 1) or re.search(r"[^\W\d_]{3}|\d{4}|%", inside) is not None
    if not letters:
        return last in ".,;:?!%°\"'”’»…*"
    if letters in _UNITS or letters in _FUNCTIONS:
        return not small or (letters in ("min", "h", "g") and token == letters and int(mark) > 3)
    is_symbol = len(letters) == 1 or (len(letters) == 2 and letters.islower() and letters not in _SHORT_WORDS)
    return not (small and is_symbol)  # R^2, E = mc^2
