"""Superscripts and subscripts as one types them, and superscripts that are citations or footnote marks.

10<sup>5</sup> -> 10^5     Ca<sup>2+</sup> -> Ca2+     x<sub>i</sub> -> x_i     silt<sup>[1]</sup> -> silt
"""

import re

from sciqag_lib.ingest.running_text.citations import (
    FOOTNOTE_MARK,
    has_citation,
    is_plain_list,
    mark_citation,
    mark_raised,
    split_raised,
)

# The end of a word or of a sentence: what is raised after it is a mark, and no exponent.
_WORD_END = re.compile(r"[^\W\d_]{3}[.,;:!?)\]\"'’”%]*\s*$")
_BRACKETED_NUMBERS = re.compile(r"\[\d{1,3}(?:\s?[,;–-]\s?\d{1,3})*\]")


def superscript(text: str, before: str) -> str:
    """The text of a superscript as it follows `before`, the text in front of it."""
    bare = text.strip()
    if FOOTNOTE_MARK in bare:
        bare = bare.replace(FOOTNOTE_MARK, "").strip(" ,;–-")
        return superscript(bare, before) + FOOTNOTE_MARK if re.search(r"\w", bare) else FOOTNOTE_MARK
    if not bare or bare.startswith("^"):  # raised twice: a footnote's mark inside <sup>
        return text
    if has_citation(bare):
        return text.replace(bare, _raised_citations(bare, before))
    if _BRACKETED_NUMBERS.fullmatch(bare) and _ends_word(before):
        return mark_citation(bare)
    last = before.rstrip()[-1:] if before[-1:].strip() else ""  # "" at the start of a word
    is_sign = re.fullmatch(r"[+\-−–/±]+", bare) is not None
    is_charge = re.fullmatch(r"\d?[+\-−–]", bare) is not None and last.isalpha()
    is_ordinal = bare in ("st", "nd", "rd", "th") and last.isdigit()
    is_symbol = not re.search(r"\w", bare) and not is_sign
    is_isotope = re.fullmatch(r"\d+\s?m?", bare) is not None and last in ("", "(", "[")
    if is_charge or is_sign or is_ordinal or is_symbol or is_isotope:
        return text
    return text.replace(bare, "^" + wrap_script(bare))  # white space around it stays


def _raised_citations(bare: str, before: str) -> str:
    own, rest = split_raised(bare)
    if is_plain_list(bare) and (not own or _ends_word(before)):
        return mark_raised(bare)
    return (superscript(own, before) if own else "") + mark_raised(rest)


def _ends_word(text: str) -> bool:
    return _WORD_END.search(text[-40:]) is not None


def subscript(text: str, before: str) -> str:
    """The text of a subscript as it follows `before`."""
    bare, last = text.strip(), before[-1:]
    if not bare or (re.fullmatch(r"[\d.,+\-−]+", bare) and (last.isalpha() or last in ")]")):
        return text
    script = bare.rstrip(",;:") or bare
    return text.replace(bare, f"_{wrap_script(script)}{bare[len(script) :]}")


def wrap_script(text: str) -> str:
    """Brackets around an exponent or index of more than one word or sign: (n+1), but -1, 2+ and max as they are."""
    return text if re.fullmatch(r"[−–+-]?[\w.∞′'*]+[+−–-]?|\([^()]*\)|\[[^\[\]]*\]|\S", text) else f"({text})"
