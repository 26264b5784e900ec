"""Text in which a paper's abbreviations are written out.

>>> expand_abbreviations("An SEM image of a CNT-based film.", {"CNTs": "carbon nanotubes", "SEM": "scanning ..."})
'A scanning ... image of a carbon nanotube-based film.'
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from sciqag_lib.errors import BadRecord
from sciqag_lib.paths import write_atomic
from sciqag_lib.records.papers import read_records
from sciqag_lib.text.abbreviations import HYPHENS, SHORT_FORM, WORD_BREAK, find_abbreviations, share_word, spells
from sciqag_lib.text.sentences import split_sentences

# A neighbour that makes the match part of another word, a formula or the name of a sample: CL2, PPy(Cl), CE=5, IL-6.
_BEFORE = r"(?<![\w.'’^\\$)\]}=−·•@#+&])"
_AFTER = r"(?![\w(\[{^\\=−⁻⁺·•@#&$+])(?![-‐‑–]\d)(?!\.\w)"
_SEPARATOR = re.compile(rf"[\s/&{HYPHENS}]+")
_SAME = r"(?:or|i\.?e\.?|also|known|called|abbreviated|termed|as|hereafter)[\s,]+"
_GAP = rf"[\s,;:(\[\"'“”‘’–—-]*(?:{_SAME})*[\"'“‘(\[]*"
_LEFT_GAP = re.compile(_GAP + r"$")
_RIGHT_GAP = re.compile(r"[)\]]?" + _GAP)
_BRACKET = re.compile(r"\s*[(\[]([^()\[\]]*)")
_NEXT_WORD = re.compile(r" ([A-Za-z]+)\b")
_CHAIN_LEFT = re.compile(rf"(?:\w+[{HYPHENS}])*$")
_CHAIN_RIGHT = re.compile(rf"(?:[{HYPHENS}]\w+)*")
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
            long = re.sub(r"[^\s-]+$", lambda _, word=following[1]: word, long)
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
        table = {
            short: pattern.sub(lambda m, t=table, s=short: m[0] if _plain(m[0]) == s else t[_plain(m[0])], long)
            for short, long in table.items()
        }
    return {short: long for short, long in table.items() if _is_closed(long, tuple(sorted(table)))}


def _is_usable(short: str, long: str) -> bool:
    return len(short) > 1 and bool(long.strip()) and SHORT_FORM.fullmatch(short) is not None and short.lower() != "an"


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
    return "".join(f"[{HYPHENS}]" if character == "-" else re.escape(character) for character in short)


def _plain(text: str) -> str:
    """With one kind of hyphen."""
    return re.sub(f"[{HYPHENS}]", "-", text)


def _leave_out_own(table: Mapping[str, str], text: str) -> dict[str, str]:
    """The table without the abbreviations that the text itself defines in another sense."""
    own = find_abbreviations(text) if " (" in text else {}
    foreign = {short for short, long in own.items() if short in table and not share_word(long, table[short])}
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
        words = [word.lower() for word in WORD_BREAK.split(bracket[1].strip()) if word]
        if share_word(bracket[1], long) or spells(words, list(short.lower())):
            return True
    num_words = len(WORD_BREAK.split(long))
    if re.search(r"[(\[][\"'“‘]?$", before) and re.match(r"[\"'”’]?[)\],;]", after):
        clause = re.split(r"[.?!;]\s", before)[-1]
        return share_word(" ".join(clause.split()[-num_words - 2 :]), long)
    previous = _LAST_WORD.search(before)
    return previous is not None and previous[1].lower() == WORD_BREAK.split(long)[0].lower()


def _is_part_of_chain(before: str, after: str, table: Mapping[str, str]) -> bool:
    """Whether another part of a hyphened name is an abbreviation that nobody explains: HS-SPME-GC, ICP-MS."""
    others = _CHAIN_LEFT.search(before)[0] + _CHAIN_RIGHT.match(after)[0]  # type: ignore[index]
    return any(re.fullmatch("[A-Z]{2,}", part) and part not in table for part in re.split(f"[{HYPHENS}]", others))


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


def expand_file(file_path: str | Path, output_path: str | Path) -> int:
    """Write a copy of a processed output in which the abbreviations that each paper defines are written out in its
    questions and answers (abbreviations.py); returns how many texts changed. Whatever else a record holds is kept;
    a record that cannot be read is left out, and named where the copy's source is analysed."""
    changed = 0
    with write_atomic(output_path) as file:
        opened = False
        for _, record in read_records(file_path):
            if isinstance(record, BadRecord):
                continue
            if isinstance(record.get("txt"), str) and isinstance(record.get("Q&A"), list):
                definitions = find_abbreviations(record["txt"])
                for pair in (pair for pair in record["Q&A"] if isinstance(pair, dict)):
                    for key in ("Q", "A"):
                        before = pair.get(key)
                        if isinstance(before, str):
                            pair[key] = expand_abbreviations(before, definitions)
                            changed += pair[key] != before
            file.write(",\n" if opened else "[\n")
            file.write(json.dumps(record, ensure_ascii=False, indent=1))
            opened = True
        file.write("\n]\n" if opened else "[]\n")
    return changed
