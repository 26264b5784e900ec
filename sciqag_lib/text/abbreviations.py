"""Abbreviations that a paper defines; expansion.py writes them out.

Definitions of the form "long form (SF)" are found by the algorithm of Schwartz and Hearst (Biocomputing 2003, pp
451-462), as the package `abbreviations` has it. That algorithm accepts any words whose letters happen to spell the
short form ("more developed soils (ME)"), so what it proposes is kept only where it is plausible: see `_judge`.

    >>> definitions = find_abbreviations("Carbon nanotubes (CNTs) were seen by scanning electron microscopy (SEM).")
    >>> definitions
    {'CNTs': 'carbon nanotubes', 'SEM': 'scanning electron microscopy'}
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator

from sciqag_lib.text.quantities import find_quantities
from sciqag_lib.text.sentences import STOP_WORDS, list_content_words, split_sentences


def _import_library():  # type: ignore[no-untyped-def]
    """The library configures the root logger when it is imported, unless that has a handler: here it has one."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        from abbreviations import schwartz_hearst
    finally:
        root.removeHandler(handler)
    return schwartz_hearst


_library = _import_library()

MAX_SENTENCE = 2000  # characters; the library's time grows with the square, and no sentence is that long
HYPHENS = "‐‑–-"  # the plain one last: they stand in character classes
SHORT_FORM = re.compile(rf"[^\W_](?:[\w/&{HYPHENS}]*[^\W_])?(?: [^\W_]+)?")
_LOCANT = re.compile(  # 2-, 2,4-, N,N-, 1-n-, α-, tert-
    r"(?:^|[\s(\[])((?:(?:(?:\d{1,2}[A-Z]?|[A-Zα-ω])['′]?(?:,(?:\d{1,2}|[A-Zα-ω])['′]?)*|[a-z]|tert|sec|iso|bis|cis"
    r"|trans)[-‐‑–])+)$"
)
_ADJECTIVE = re.compile(r"(graph|scop|metr)ic(?:al)?$")  # "high-performance liquid chromatographic (HPLC) methods"
WORD_BREAK = re.compile(rf"[\s/{HYPHENS}]+")
_INSIDE = frozenset("of and in for to by with on at per from the a an between under over after as".split())
_BAD_IN_LONG = re.compile(r"[;:=<>≤≥±~%|]|\b(?:Figs?|Tables?|Eqs?|Refs?)\b|\s[–—-]\s|[.?!]\s")
_NUMBER = re.compile(r"(?<![\w,])\d+(?:\.\d+)?(?![\w,-])")


def find_abbreviations(txt: str) -> dict[str, str]:
    """The abbreviations that `txt` defines and their long forms, in the order of their first definition.

    Where one is defined in several ways, the most common counts, the first of equals; where the ways share no word
    ("PS" polystyrene and phosphatidylserine, as often) the abbreviation is left out. A long form that opens a
    sentence loses its capital, unless it looks like a proper name. Only "long form (SF)" is read, not "SF (long
    form)". Time is linear in the text.
    """
    found: dict[str, Counter[str]] = {}
    for sentence in _cut_sentences(txt):
        for short, long in _propose(sentence):
            if kept := _judge(short, long, sentence):
                kept = _ADJECTIVE.sub(r"\1y", kept)
                found.setdefault(short, Counter())[_lower_first(kept, sentence, txt)] += 1
    chosen = ((short, _choose(ways)) for short, ways in found.items())
    return {short: long for short, long in chosen if long}


def _cut_sentences(txt: str) -> Iterator[str]:
    """The sentences that hold a bracket: the library knows only lines, joins their sentences, and gives a whole line
    up for one bracket that is not closed."""
    for start, end in split_sentences(txt):
        while start < end:
            cut = min(end, start + MAX_SENTENCE)
            if cut < end:
                cut = max(txt.rfind(")", start, cut), start + MAX_SENTENCE // 2) + 1  # behind a definition
            if " (" in txt[start:cut]:
                yield _tidy_sentence(txt[start:cut])
            start = cut


def _propose(sentence: str) -> Iterator[tuple[str, str]]:
    """Short and long forms by the algorithm. The library's function for whole texts is passed by: it wants as many
    words with the short form's first letter as that has ("polypyrrole (PPy)" fails), and takes them from afar."""
    for candidate in _library.best_candidates(sentence):
        words = list(re.finditer(r"\S+", sentence[: candidate.start - 1]))
        if not words:
            continue
        first = words[-min(len(words), len(candidate) + 5, len(candidate) * 2)].start()  # the published bound
        before = _library.Candidate(sentence[first : words[-1].end()])
        try:
            yield str(candidate), str(_library.select_definition(before, candidate))
        except (ValueError, IndexError):
            continue  # how the library says that the letters are not there


def _tidy_sentence(sentence: str) -> str:
    """The sentence without quotation marks, with a space for each round bracket that has no partner and a dot in each
    empty pair, which the library cannot take."""
    sentence = re.sub('["“”]', "", sentence)
    opened: list[int] = []
    alone: list[int] = []
    for match in re.finditer(r"[()]", sentence):
        if match[0] == "(":
            opened.append(match.start())
        elif opened:
            opened.pop()
        else:
            alone.append(match.start())
    characters = list(sentence)
    for place in opened + alone:
        characters[place] = " "
    return re.sub(r"\((?=\s*[);:])", "(.", "".join(characters))


def _judge(short: str, long: str, sentence: str) -> str:
    """The long form, mended, or "" where it is not plausible as a definition of `short`."""
    if not _is_short_form(short) or _BAD_IN_LONG.search(long):
        return ""
    if any(number not in short for number in _NUMBER.findall(long)):
        return ""  # a value; the 2 of "type 2 diabetes (T2D)" is none
    long = _fill_locant(long, short, sentence)
    words = [word for word in WORD_BREAK.split(long) if word]
    if not words or (" " in short and short.split()[-1] != words[-1]):
        return ""  # "tylosin A (TYL A)", not "soils (TB soils)"
    lowered = [word.lower().strip("(),") for word in words]
    letters = [character.lower() for character in short if character.isalnum()]
    talk = (word for word in lowered if word in STOP_WORDS - _INSIDE and word[0] not in letters)
    if lowered[0] in STOP_WORDS or any(talk):
        return ""
    if letters[-1] == "s" and short[-1] == "s" and lowered[-1].endswith("s"):
        letters.pop()  # a plural
    if "," in long.replace("-", "").strip() and re.search(r",\s", long) and not spells(lowered, letters):
        return ""  # a list, and no name such as "Grain Inspection, Packers and Stockyards Administration"
    if len(words) > 1 and not _ends_well(words, letters, sentence, short):
        return _cut_to_initials(long, words, letters)
    return long


def _is_short_form(short: str) -> bool:
    """Whether it looks like an abbreviation: a capital or digit beside a letter, and no word of everyday English."""
    if not SHORT_FORM.fullmatch(short) or not any(character.isalpha() for character in short):
        return False
    if not any(character.isupper() or character.isdigit() for character in short):
        return False  # "et" for electron transfer would be replaced in "et al."
    if short.isalpha() and any(quantity.unit for quantity in find_quantities("1 " + short)):
        return False  # "kDa", "mM": units are known and read better short
    return short.isupper() or short.lower() not in STOP_WORDS  # "As", "In", "No", "At" open sentences


def _ends_well(words: list[str], letters: list[str], sentence: str, short: str) -> bool:
    """Whether the last word belongs to the short form: its initial is in it, and where the last letter lies inside
    that word it is not the initial of what follows: "ion-exchange (IEC) chromatography"."""
    initials = [word.strip("([")[:1].lower() for word in words]
    if initials[-1] not in letters and not (words[-1].lower().startswith("ex") and "x" in letters):
        return False
    following = re.search(re.escape(f"({short})") + r"\s+(\w+)", sentence)
    next_word = following[1].lower() if following and following[1].lower() not in STOP_WORDS else ""
    taken_by_next = next_word[:1] == letters[-1] and initials[-1] != letters[-1]
    last_part = WORD_BREAK.split(short)[-1].lower()  # "gas chromatography (GC-O)" lacks the O
    return not taken_by_next and letters[-1] in words[-1].lower() and last_part[0] in initials


def spells(words: list[str], letters: list[str]) -> bool:
    return [word[:1] for word in words if word not in _INSIDE] == letters


def _cut_to_initials(long: str, words: list[str], letters: list[str]) -> str:
    """The first words of the long form where their initials spell the short form: "solid-phase extraction" of
    "solid-phase extraction techniques" for SPE; else ""."""
    for count in range(len(words) - 1, 0, -1):
        if words[count - 1] not in _INSIDE and spells([word.lower() for word in words[:count]], letters):
            end = 0
            for word in words[:count]:
                end = long.index(word, end) + len(word)
            return long[:end]
    return ""


def _fill_locant(long: str, short: str, sentence: str) -> str:
    """Gives a chemical name back what stands before its first letter: "2-" of 2-nitrophenyl octyl ether."""
    place = sentence.find(f"{long} ({short}")
    before = _LOCANT.search(sentence[max(0, place - 20) : place]) if place > 0 else None
    return before[1] + long if before else long


def _lower_first(long: str, sentence: str, txt: str) -> str:
    """Takes the capital off a long form that has it only as the first word of a sentence."""
    first = re.match(r"((?:[\d,'′]+|[a-z])-)?([A-Z][a-z]+)(?!\w)", long)
    if not first or re.search(r"[\s-][A-Z][a-z]", long[first.end() :]):
        return long  # "European Union", "COnsortium for MEtabonomic ..."
    word = first[2]
    lower = len(re.findall(rf"\b{word.lower()}\b", txt))
    inside = len(re.findall(rf"[a-z,] {word}\b", txt))  # inside a sentence: Raman, Brillouin
    opens = sentence.lstrip().startswith(long)
    if lower > inside or (opens and not inside):
        return long[: first.start(2)] + word.lower() + long[first.end() :]
    return long


def _choose(ways: Counter[str]) -> str:
    """The long form that is used, or "" where two equally common ones mean different things."""
    (best, count), *others = ways.most_common()
    rivals = (way for way, times in others if times == count)
    return "" if any(not share_word(best, way) for way in rivals) else best


def share_word(left: str, right: str) -> bool:
    """Whether two phrases share a content word, or the start of one."""
    stems = [{stem[:6] for stem in list_content_words(re.sub(r"[()]", "", text))} for text in (left, right)]
    return bool(stems[0] & stems[1])
