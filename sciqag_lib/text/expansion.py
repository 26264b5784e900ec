"""Text in which a paper's abbreviations are written out.

>>> expand_abbreviations("An SEM image of a CNT-based film.", {"CNTs": "carbon nanotubes", "SEM": "scanning ..."})
'A scanning ... image of a carbon nanotube-based film.'
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sciqag_lib.text.abbreviations import HYPHENS, find_abbreviations, share_word

# A neighbor that makes the match part of another word, a formula or the name of a sample: CL2, PPy(Cl), CE=5, IL-6,
# or part of a hyphenated name: HS-SPME-GC.
_BEFORE = rf"(?<![\w.'’^\\$)\]}}=−·•@#+&])(?<![A-Z][{HYPHENS}])"
_AFTER = rf"(?![\w(\[{{^\\=−⁻⁺·•@#&$+])(?![{HYPHENS}](?:\d|[A-Z]{{2}}))(?!\.\w)"
_ARTICLE = r"(?:(?<![\w.-])(?P<article>an?|(?:^|(?<=[.?!] ))An?) )?"


def expand_abbreviations(text: str, definitions: Mapping[str, str]) -> str:
    """`text` with every abbreviation of `definitions` ({"CL": "chemiluminescence"}) written out.

    Whole words are replaced, in their own case: "CNTs" and "CNT" by each other's plural and singular, "CL-based" by
    "chemiluminescence-based", at the start of a sentence with a capital, "an SEM" by "a scanning ...". An
    abbreviation beside its long form, or beside or inside brackets of its own, stays as it is: the text explains
    itself. "PCA analysis" becomes "principal component analysis". Left alone is what may be a formula or another name
    (CL2, IL-6, PPy(Cl)), and what the text itself defines otherwise.
    """
    table = _make_table(tuple(definitions.items()))
    own = find_abbreviations(text) if " (" in text else {}
    foreign = {short for short, long in own.items() if not share_word(long, definitions.get(short, ""))}
    table = {short: long for short, long in table.items() if not {short, short.removesuffix("s")} & foreign}
    return _compile(tuple(table)).sub(lambda match: _write_out(match, table), text) if table else text


@lru_cache(maxsize=8)
def _make_table(items: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """What replaces each abbreviation and its plural or singular; "dPS": "deuterated PS" is written out too."""
    plain = {_plain(short): long for short, long in items}
    nested, table = _compile(tuple(plain)), {}
    for short, long in plain.items():
        table[short] = nested.sub(lambda match: match[0].replace(match["short"], plain[_plain(match["short"])]), long)
    for short, long in list(table.items()):
        if short[-1] != "s":
            is_plural = re.search(r"[^sui]s$", long)
            table.setdefault(short + "s", long if is_plural else _inflector().plural_noun(long))
        elif not short[-2:-1].islower():
            table.setdefault(short[:-1], _inflector().singular_noun(long) or long)
    return table


@lru_cache(maxsize=8)
def _compile(shorts: tuple[str, ...]) -> re.Pattern[str]:
    names = [re.escape(short).replace(r"\-", f"[{HYPHENS}]") for short in sorted(shorts, key=len, reverse=True)]
    return re.compile(rf"{_ARTICLE}{_BEFORE}(?P<short>{'|'.join(names)}){_AFTER}(?=(?: (?P<next>[A-Za-z]+)\b)?)")


@lru_cache(maxsize=1)
def _inflector() -> Any:
    import inflect  # takes two seconds

    return inflect.engine()


def _write_out(match: re.Match[str], table: Mapping[str, str]) -> str:
    text, (start, end), long = match.string, match.span("short"), table[_plain(match["short"])]
    reach = len(long) + 20
    if _is_explained(text[max(0, start - reach) : start], text[end : end + reach], long.lower()):
        return match[0]
    *first, last = long.split()
    if first and match["next"] and _inflector().compare_nouns(match["next"].lower(), last):
        long = " ".join(first)  # "PCA analysis"
    if match["article"]:
        return match["article"][0] + _inflector().a(long)[1:]
    opens = start == 0 or re.fullmatch(r"[.?!]\s", text[start - 2 : start])
    # "mRNA", "n-dodecyl maltoside" and "α-Fe" stay
    return re.sub(r"^[a-z](?=[a-z]{2})", lambda letter: letter[0].upper(), long) if opens else long


def _is_explained(before: str, after: str, long: str) -> bool:
    """Whether the long form is near, or brackets explain: "the reaction (CL)", "CL (cathodic light)"."""
    if long.removesuffix("s") in (before + after).lower() or re.match(r" \([^()\d]+\)", after):
        return True
    return bool(re.search(r"[(\[][\"'“]?$", before) and re.match(r"[\"'”]?[)\]]", after))


def _plain(text: str) -> str:
    """With one kind of hyphen."""
    return re.sub(f"[{HYPHENS}]", "-", text)
