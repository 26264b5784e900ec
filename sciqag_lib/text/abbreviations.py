"""Abbreviations that a paper defines; expansion.py writes them out.

Definitions of the form "long form (SF)" are found by the algorithm of Schwartz and Hearst (Biocomputing 2003, pp
451-462), as the package `abbreviations` has it. That algorithm accepts any words whose letters happen to spell the
short form ("more developed soils (ME)"), so what it proposes is kept only where it is plausible: see `_is_plausible`.

    >>> definitions = find_abbreviations("Carbon nanotubes (CNTs) were seen by scanning electron microscopy (SEM).")
    >>> definitions
    {'CNTs': 'carbon nanotubes', 'SEM': 'scanning electron microscopy'}
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator

from sciqag_lib.text.sentences import STOP_WORDS, list_content_words

logging.getLogger().addHandler(handler := logging.NullHandler())  # or the library configures the root logger
from abbreviations.schwartz_hearst import Candidate, select_definition  # noqa: E402

logging.getLogger().removeHandler(handler)

HYPHENS = "‐‑–-"  # the plain one last: they appear in character classes
_DEFINED = re.compile(rf" \([\"“]?([^\W_](?:[\w/&{HYPHENS}]{{0,8}}[^\W_]))[\"”]?[);:]")
_LOCANT = re.compile(r"(?<!\S)(?:(?:[^\W_](?:,[^\W_])*['′]?|tert|sec|iso|bis|cis|trans)-)+$")  # 2-, 2,4-, N,N-, α-
_ADJECTIVE = re.compile(r"(graph|scop|metr)ic(?:al)?$")  # "high-performance liquid chromatographic (HPLC) methods"
_SEPARATOR = re.compile(rf"[\s/{HYPHENS}]+")
_INSIDE = frozenset("of and in for to by with on at per from the a an between under over after as".split())
_BAD_IN_LONG = re.compile(r"[;:=<>≤≥±~%|]|,\s|\b(?:Figs?|Tables?|Eqs?|Refs?)\b|\s[–—-]\s|[.?!]\s")
_QUOTES = str.maketrans("", "", '"“”')
_NUMBER = re.compile(r"(?<![\w,])\d+(?:\.\d+)?(?![\w,-])")


def find_abbreviations(txt: str) -> dict[str, str]:
    """The abbreviations that `txt` defines and their long forms, in the order of their first definition.

    Where one is defined in several ways, the most common counts, the first of equals; where the ways share no word
    ("PS" polystyrene and phosphatidylserine, as often) the abbreviation is left out. A long form that opens a
    sentence loses its capital, unless it looks like a proper name. Only "long form (SF)" is read, not "SF (long
    form)". Time is linear in the text.
    """
    ways: dict[str, Counter[str]] = {}
    for short, long, following in _propose(txt):
        if _is_plausible(short, long, following):
            ways.setdefault(short, Counter())[_lower_first(_ADJECTIVE.sub(r"\1y", long), txt)] += 1
    return {short: counter.most_common(1)[0][0] for short, counter in ways.items() if _is_decided(counter)}


def _propose(txt: str) -> Iterator[tuple[str, str, str]]:
    """Short and long forms by the algorithm, and the text that follows.

    The library's function for whole texts is not used: its time is quadratic, one open bracket costs it the paragraph,
    and it expects as many words with the short form's first letter as that has ("polypyrrole (PPy)" fails).
    """
    for match in _DEFINED.finditer(txt):
        short = match[1]
        words = re.split(r"\n|[.?!] ", txt[max(0, match.start() - 300) : match.start()])[-1].translate(_QUOTES).split()
        before = " ".join(words[-min(len(short) + 5, len(short) * 2) :])  # the published bound
        try:
            long = str(select_definition(Candidate(before), Candidate(short)))
        except (ValueError, IndexError):
            continue  # how the library says that the letters are not there
        locant = _LOCANT.search(before[: len(before) - len(long)])
        yield short, (locant[0] if locant else "") + long, txt[match.end() : match.end() + 50]


def _is_plausible(short: str, long: str, following: str) -> bool:
    """Whether the long form may define `short`, which looks like an abbreviation and is no word of everyday English."""
    if short.isdigit() or not re.search(r"[A-Z\d]", short) or re.fullmatch("[A-Z][a-z]{3,}", short):
        return False  # "et" for electron transfer would be replaced in "et al."
    if short.lower() in STOP_WORDS and not short.isupper():  # "As", "In", "No", "At" open sentences
        return False
    if _BAD_IN_LONG.search(long) or any(number not in short for number in _NUMBER.findall(long)):
        return False  # a value; the 2 of "type 2 diabetes (T2D)" is none
    words = [word.strip("([),") for word in _SEPARATOR.split(long.lower())]
    if words[0] in STOP_WORDS or any(word in STOP_WORDS - _INSIDE and word[0] not in short.lower() for word in words):
        return False
    return len(words) == 1 or _ends_well(words, short, following.split(maxsplit=1))


def _ends_well(words: list[str], short: str, following: list[str]) -> bool:
    """Whether the last word belongs to the short form: its initial is in it, and where the last letter lies inside
    that word it is not the initial of what follows: "ion-exchange (IEC) chromatography"."""
    letters = re.sub(r"[\W_]", "", short.removesuffix("s") if words[-1].endswith("s") else short).lower()
    initials = [word[:1] for word in words]
    if letters[-1] not in words[-1] or initials[-1] not in letters and not words[-1].startswith("ex"):
        return False
    next_word = following[0].lower() if following else ""
    if next_word[:1] == letters[-1] != initials[-1] and next_word not in STOP_WORDS:
        return False
    return _SEPARATOR.split(short.lower())[-1][0] in initials  # "gas chromatography (GC-O)" lacks the O


def _lower_first(long: str, txt: str) -> str:
    """Takes the capital off a long form that has it only as the first word of a sentence."""
    first = re.match(r"(?:(?:[\d,'′]+|[a-z])-)?([A-Z][a-z]+)(?!\w)", long)
    if not first or re.search(r"[\s-][A-Z][a-z]", long[first.end() :]):
        return long  # "European Union", "COnsortium for MEtabonomic ..."
    word = first[1]
    inside = len(re.findall(rf"[a-z,] {word}\b", txt))  # inside a sentence: Raman, Brillouin
    opens = re.search(rf"(?:^|\n|[.?!] ){re.escape(long)}", txt)
    if len(re.findall(rf"\b{word.lower()}\b", txt)) <= inside and (inside or not opens):
        return long
    return long[: first.start(1)] + word.lower() + long[first.end() :]


def _is_decided(ways: Counter[str]) -> bool:
    """False where two equally common long forms mean different things."""
    (best, count), *others = ways.most_common()
    return all(share_word(best, way) for way, times in others if times == count)


def share_word(left: str, right: str) -> bool:
    """Whether two phrases share a content word, or the start of one."""
    stems = [{stem[:6] for stem in list_content_words(re.sub(r"[()]", "", text))} for text in (left, right)]
    return bool(stems[0] & stems[1])
