"""Abbreviations that a paper defines, and text in which they are written out.

Definitions of the form "long form (SF)" are found by the algorithm of Schwartz and Hearst (Biocomputing 2003, pp
451-462), as the package `abbreviations` has it. That algorithm accepts any words whose letters happen to spell the
short form ("more developed soils (ME)"), so what it proposes is kept only where it is plausible: see `_judge`.

    >>> definitions = find_abbreviations("Carbon nanotubes (CNTs) were seen by scanning electron microscopy (SEM).")
    >>> definitions
    {'CNTs': 'carbon nanotubes', 'SEM': 'scanning electron microscopy'}
    >>> expand_abbreviations("An SEM image of a CNT-based film.", definitions)
    'A scanning electron microscopy image of a carbon nanotube-based film.'
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache

from sciqag_lib.quantities import find_quantities
from sciqag_lib.sentences import STOP_WORDS, list_content_words, split_sentences


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
_HYPHENS = "‐‑–-"  # the plain one last: they stand in character classes
_SHORT = re.compile(rf"[^\W_](?:[\w/&{_HYPHENS}]*[^\W_])?(?: [^\W_]+)?")
_LOCANT = re.compile(  # 2-, 2,4-, N,N-, 1-n-, α-, tert-
    r"(?:^|[\s(\[])((?:(?:(?:\d{1,2}[A-Z]?|[A-Zα-ω])['′]?(?:,(?:\d{1,2}|[A-Zα-ω])['′]?)*|[a-z]|tert|sec|iso|bis|cis"
    r"|trans)[-‐‑–])+)$"
)
_ADJECTIVE = re.compile(r"(graph|scop|metr)ic(?:al)?$")  # "high-performance liquid chromatographic (HPLC) methods"
_WORD_BREAK = re.compile(rf"[\s/{_HYPHENS}]+")
_INSIDE = frozenset("of and in for to by with on at per from the a an between under over after as".split())
_BAD_IN_LONG = re.compile(r"[;:=<>≤≥±~%|]|\b(?:Figs?|Tables?|Eqs?|Refs?)\b|\s[–—-]\s|[.?!]\s")
_NUMBER = re.compile(r"(?<![\w,])\d+(?:\.\d+)?(?![\w,-])")


# ---------------------------------------------------------------------------------------------- definitions


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
    words = [word for word in _WORD_BREAK.split(long) if word]
    if not words or (" " in short and short.split()[-1] != words[-1]):
        return ""  # "tylosin A (TYL A)", not "soils (TB soils)"
    lowered = [word.lower().strip("(),") for word in words]
    letters = [character.lower() for character in short if character.isalnum()]
    talk = (word for word in lowered if word in STOP_WORDS - _INSIDE and word[0] not in letters)
    if lowered[0] in STOP_WORDS or any(talk):
        return ""
    if letters[-1] == "s" and short[-1] == "s" and lowered[-1].endswith("s"):
        letters.pop()  # a plural
    if "," in long.replace("-", "").strip() and re.search(r",\s", long) and not _spells(lowered, letters):
        return ""  # a list, and no name such as "Grain Inspection, Packers and Stockyards Administration"
    if len(words) > 1 and not _ends_well(words, letters, sentence, short):
        return _cut_to_initials(long, words, letters)
    return long


def _is_short_form(short: str) -> bool:
    """Whether it looks like an abbreviation: a capital or digit beside a letter, and no word of everyday English."""
    if not _SHORT.fullmatch(short) or not any(character.isalpha() for character in short):
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
    last_part = _WORD_BREAK.split(short)[-1].lower()  # "gas chromatography (GC-O)" lacks the O
    return not taken_by_next and letters[-1] in words[-1].lower() and last_part[0] in initials


def _spells(words: list[str], letters: list[str]) -> bool:
    return [word[:1] for word in words if word not in _INSIDE] == letters


def _cut_to_initials(long: str, words: list[str], letters: list[str]) -> str:
    """The first words of the long form where their initials spell the short form: "solid-phase extraction" of
    "solid-phase extraction techniques" for SPE; else ""."""
    for count in range(len(words) - 1, 0, -1):
        if words[count - 1] not in _INSIDE and _spells([word.lower() for word in words[:count]], letters):
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
    return "" if any(not _share_word(best, way) for way in rivals) else best


def _share_word(left: str, right: str) -> bool:
    """Whether two phrases share a content word, or the start of one."""
    stems = [{stem[:6] for stem in list_content_words(re.sub(r"[()]", "", text))} for text in (left, right)]
    return bool(stems[0] & stems[1])


# ---------------------------------------------------------------------------------------------- expansion

# A neighbour that makes the match part of another word, a formula or the name of a sample: CL2, PPy(Cl), CE=5, IL-6.
_BEFORE = r"(?<![\w.'’^\\$)\]}=−·•@#+&])"
_AFTER = r"(?![\w(\[{^\\=−⁻⁺·•@#&$+])(?![-‐‑–]\d)(?!\.\w)"
_SEPARATOR = re.compile(rf"[\s/&{_HYPHENS}]+")
_SAME = r"(?:or|i\.?e\.?|also|known|called|abbreviated|termed|as|hereafter)[\s,]+"
_GAP = rf"[\s,;:(\[\"'“”‘’–—-]*(?:{_SAME})*[\"'“‘(\[]*"
_LEFT_GAP = re.compile(_GAP + r"$")
_RIGHT_GAP = re.compile(r"[)\]]?" + _GAP)
_BRACKET = re.compile(r"\s*[(\[]([^()\[\]]*)")
_NEXT_WORD = re.compile(r" ([A-Za-z]+)\b")
_CHAIN_LEFT = re.compile(rf"(?:\w+[{_HYPHENS}])*$")
_CHAIN_RIGHT = re.compile(rf"(?:[{_HYPHENS}]\w+)*")
_LAST_WORD = re.compile(r"([^\W_]+)[ -]$")
_ARTICLE = re.compile(r"(?:^|(?<=[\s(\"“]))(a|an|An|(?:^|(?<=[.?!] ))A) $")
_AN = re.compile(r"[ai]|e(?!u)|o(?!n(?:e|ce)\b)|u(?!ni[^mn]|[st][aei]|r[aeio]|bi)|hour|hono", re.I)


def expand_abbreviations(text: str, definitions: Mapping[str, str]) -> str:
    """`text` with every abbreviation of `definitions` ({"CL": "chemiluminescence"}) written out.

    Whole words are replaced, in their own case: "CNTs" and "CNT" by each other's plural and singular, "CL-based" by
    "chemiluminescence-based", at the start of a sentence with a capital, "an SEM" by "a scanning ...". An
    abbreviation whose long form stands right beside it stays as it is, and so do "chemiluminescence (CL)" and
    "CL (chemiluminescence)": the text explains itself. "PCA analysis" becomes "principal component analysis".
    Left alone is what may be a formula or another name (CL2, IL-6, PPy(Cl)), and what the text itself defines
    otherwise. Abbreviations inside a long form are written out too, those that contain themselves or each other are
    not used at all. A second expansion changes nothing.
    """
    table = _build_table(tuple(definitions.items()))
    table = _leave_out_own(table, text)
    if not table:
        return text
    pattern = _compile_table(tuple(sorted(table)))
    for _ in range(len(text)):  # one more pass where an expansion changed what its neighbours stand beside
        expanded = _expand_once(text, table, pattern)
        if expanded == text:
            break
        text = expanded
    return text


def _expand_once(text: str, table: Mapping[str, str], pattern: "re.Pattern[str]") -> str:
    starts: frozenset[int] = frozenset()
    out, position = "", 0
    for match in pattern.finditer(text):
        starts = starts or frozenset(start for start, _ in split_sentences(text))
        out += text[position : match.start()]
        position = match.end()
        long = table[_plain(match[0])]
        before, after = out[-len(long) - 200 :], text[position : position + len(long) + 200]
        if _is_explained(before, after, match[0], long) or _is_part_of_chain(before, after, table):
            out += match[0]
            continue
        following = _NEXT_WORD.match(text, position)
        last = long.split()[-1]
        if following and last != long and following[1].lower() in (last, _singularize(last), _pluralize(last)):
            long = re.sub(r"[^\s-]+$", lambda _: following[1], long)
            position = following.end()
        out = _fit_article(out, long)
        out += _capitalize(long) if match.start() in starts else long
    return out + text[position:]


@lru_cache(maxsize=8)
def _build_table(items: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """What replaces each abbreviation and its plural or singular, abbreviations inside long forms written out."""
    table = {_plain(short): long.strip() for short, long in items if _is_usable(short, long)}
    for short, long in list(table.items()):
        if short[-1] == "s" and not short[-2].islower():
            table.setdefault(short[:-1], _singularize(long))
        elif short[-1] != "s" and (plural := _pluralize(long)):
            table.setdefault(short + "s", plural)
    table = {short: long for short, long in table.items() if len(short) > 1}
    for _ in range(4):  # "dPS": "deuterated PS"
        pattern = _compile_table(tuple(sorted(table)))
        table = {short: pattern.sub(lambda m: table[_plain(m[0])] if _plain(m[0]) != short else m[0], long)
                 for short, long in table.items()}  # fmt: skip
    return {short: long for short, long in table.items() if _is_closed(long, tuple(sorted(table)))}


def _is_usable(short: str, long: str) -> bool:
    return len(short) > 1 and bool(long.strip()) and _SHORT.fullmatch(short) is not None and short.lower() != "an"


def _is_closed(long: str, shorts: tuple[str, ...]) -> bool:
    """Whether a long form, put into a text, brings no abbreviation with it, nor makes one with its neighbours."""
    first = {_SEPARATOR.split(_plain(form))[0] for form in (long, _capitalize(long))}
    last = _SEPARATOR.split(_plain(long))[-1]
    for short in shorts:
        parts = _SEPARATOR.split(short)
        if last in parts[:-1] or first & set(parts[1:]):
            return False
    whole = re.compile(r"(?<!\w)(?:" + "|".join(map(_short_pattern, shorts)) + r")(?!\w)")
    return not whole.search(long) and not whole.search(_capitalize(long))


@lru_cache(maxsize=8)
def _compile_table(shorts: tuple[str, ...]) -> "re.Pattern[str]":
    longest_first = sorted(shorts, key=len, reverse=True)
    return re.compile(_BEFORE + "(?:" + "|".join(map(_short_pattern, longest_first)) + ")" + _AFTER)


def _short_pattern(short: str) -> str:
    return "".join(f"[{_HYPHENS}]" if character == "-" else re.escape(character) for character in short)


def _plain(text: str) -> str:
    """With one kind of hyphen."""
    return re.sub(f"[{_HYPHENS}]", "-", text)


def _leave_out_own(table: Mapping[str, str], text: str) -> dict[str, str]:
    """The table without the abbreviations that the text itself defines in another sense."""
    own = find_abbreviations(text) if " (" in text else {}
    foreign = {short for short, long in own.items() if short in table and not _share_word(long, table[short])}
    return {short: long for short, long in table.items() if not {short, short + "s", short[:-1]} & foreign}


def _is_explained(before: str, after: str, short: str, long: str) -> bool:
    """Whether the long form, or words that mean it, stand directly beside the abbreviation."""
    forms = {long.lower(), _singularize(long).lower(), (_pluralize(long) or long).lower()}
    near = _plain(before[-len(long) - 60 :])
    if near[: _LEFT_GAP.search(near).start()].lower().endswith(tuple(map(_plain, forms))):  # type: ignore[union-attr]
        return True
    beyond = _plain(after[: len(long) + 60]).lower()
    if beyond.startswith(tuple(map(_plain, forms)), _RIGHT_GAP.match(beyond).end()):  # type: ignore[union-attr]
        return True
    if (bracket := _BRACKET.match(after)) is not None:
        words = [word.lower() for word in _WORD_BREAK.split(bracket[1].strip()) if word]
        if _share_word(bracket[1], long) or _spells(words, list(short.lower())):
            return True
    num_words = len(_WORD_BREAK.split(long))
    if re.search(r"[(\[][\"'“‘]?$", before) and re.match(r"[\"'”’]?[)\],;]", after):
        clause = re.split(r"[.?!;]\s", before)[-1]
        return _share_word(" ".join(clause.split()[-num_words - 2 :]), long)
    previous = _LAST_WORD.search(before)
    return previous is not None and previous[1].lower() == _WORD_BREAK.split(long)[0].lower()


def _is_part_of_chain(before: str, after: str, table: Mapping[str, str]) -> bool:
    """Whether another part of a hyphened name is an abbreviation that nobody explains: HS-SPME-GC, ICP-MS."""
    others = _CHAIN_LEFT.search(before)[0] + _CHAIN_RIGHT.match(after)[0]  # type: ignore[index]
    return any(re.fullmatch("[A-Z]{2,}", part) and part not in table for part in re.split(f"[{_HYPHENS}]", others))


def _fit_article(before: str, long: str) -> str:
    """`before`, whose last word may be "a" or "an", made to fit the long form that follows."""
    article = _ARTICLE.search(before)
    if not article or not long[0].isalpha():
        return before
    fitting = article[1][0] + ("n" if _AN.match(long) else "")
    return before[: article.start(1)] + fitting + " "


def _capitalize(long: str) -> str:
    """As the first words of a sentence: "Carbon nanotube", "n-Dodecyl maltoside"; "mRNA" and "α-Fe" stay."""
    first = re.match(r"(?:(?:[a-z]|[\d,'′]+)-)?(?=[a-z]{3,}(?![A-Z\d]))", long)
    return long[: first.end()] + long[first.end()].upper() + long[first.end() + 1 :] if first else long


def _pluralize(long: str) -> str:
    """The plural, "" where the last word has none; "limits of detection" of "limit of detection"."""
    head, of, rest = long.partition(" of ")
    if not re.search(r"[A-Za-z]{2}$", head):
        return ""
    if re.search(r"[^sui]s$", head) and not head.endswith("as"):
        return long
    if head.endswith("is"):
        head = head[:-2] + "es"
    elif re.search(r"(?:[sxz]|[cs]h)$", head):
        head += "es"
    elif re.search(r"[^aeiou]y$", head):
        head = head[:-1] + "ies"
    else:
        head += "s"
    return head + of + rest


def _singularize(long: str) -> str:
    """The singular; a word that is no regular plural stays as it is."""
    head, of, rest = long.partition(" of ")
    if re.search(r"(?:[sui]s|species|series)$", head):
        return long
    for plural, singular in ((r"([^aeiou])ies$", r"\1y"), (r"([ye])ses$", r"\1sis"), (r"(ss|x|ch|sh)es$", r"\1")):
        if re.search(plural, head):
            return re.sub(plural, singular, head) + of + rest
    return head.removesuffix("s") + of + rest
