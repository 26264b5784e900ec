"""Numbers in scientific prose: their value and their unit, however they are written.

`find_quantities` reads 1,000 and 1 000, 10^5, 10⁵, 1 × 10^5 and 1e5, −5 and -5, .5 and 0.5, "seven", ranges and ±,
and leaves out the digits that belong to a name: PM2.5, IL-6, H2O2, Cas9, 2-propanol, cm−2, 3rd.

    >>> [(q.text, q.values, q.unit) for q in find_quantities("from 48.2 ± 5.1 to 1,200 mg/kg of IL-6")]
    [('48.2', ('48.2',), ('mg', 'kg-1')), ('5.1', ('5.1',), ('mg', 'kg-1')), ('1,200', ('1.2E+3',), ('mg', 'kg-1'))]
"""

import re
from dataclasses import dataclass, replace
from decimal import Context, Decimal, InvalidOperation

from sciqag_lib.text.scripts import UNSPACED


@dataclass(frozen=True)
class Quantity:
    text: str  # as written
    start: int  # offsets of the number, its unit not included
    end: int
    values: tuple[str, ...]  # the readings of it, canonical: more than one where an exponent lost its superscript
    unit: tuple[str, ...]  # canonical factors: mg/kg is ("mg", "kg-1"); () where there is none
    is_word: bool = False  # "seven"


NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty".split()
    )
}
# Every character is replaced by one character, so that offsets stay true.
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("−‐‑‒–—﹣－", "-"),
        **dict.fromkeys("\u00a0\u2009\u202f\u2007\u200a\u2002\u2003", " "),
        "µ": "u",
        "μ": "u",
        "·": "*",
        "⋅": "*",
        "×": "*",
        "∗": "*",
        "℃": "C",
        "′": "'",
        "，": ",",
        "．": ".",
        "％": "%",
        "：": ":",
        **dict(zip("０１２３４５６７８９", "0123456789")),
        **dict.fromkeys("～〜", "-"),
        "\u2126": "Ω",
    }
)
# Text without spaces: a number there begins after a character that is no part of it, and a range may be in words.
_UNSPACED = re.compile(f"[{UNSPACED}]")
_RANGE_WORDS = str.maketrans(dict.fromkeys("至到和或及与與、", "¦"))
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_NUMBER = re.compile(
    r"""(?<![\w.^])(?<!\^\d/)                                                # not inside a word or another number
    (?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,]) | \d{1,3}(?:\ \d{3})+(?![\d.]) | \d+(?:\.\d+)? | \.\d+)
    (?P<e>[eE][-+]?\d{1,3}\b)?
    (?:\s?[*x]\s?10\s?(?:\^\s?[({]?(?P<caret>[-+]?\d{1,3})[)}]? | (?P<sup>[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3})
                      | (?P<lost>-?\d{1,2}))(?!\d))?
    """, re.X)  # fmt: skip
_POWER = re.compile(r"\^\s?[({]?([-+]?\d{1,3})[)}]?|([⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3})")  # after a bare 10
_NAME_AFTER = re.compile(r"[A-Za-z_]|\.\d|(?:,\d{1,2}){0,5}'?-?(?:\(?[A-Za-z]{1,3}\)?-|[a-zA-Z])")
_JOIN_AFTER = re.compile(r"(?:,\d|\s)?-?(?:and|or|to)\b")
_DECADE = re.compile(r"(?:1[5-9]|20)\d0s\b")  # 1990s, not 1990 seconds
_WORD_NUMBER = re.compile(r"\b(?:" + "|".join(NUMBER_WORDS) + r")\b", re.I)
_CONTEXT = Context(prec=60)

_PREFIXED = {
    "m": "nupmck", "g": "npumk", "L": "nupmd", "mol": "pnumk", "M": "pnum", "s": "fpnum", "eV": "umkMGT", "J": "numkM",
    "cal": "k", "Pa": "mhkMG", "bar": "m", "V": "numkM", "A": "pnumk", "W": "numkMG", "Hz": "mkMGT", "F": "pnum",
    "S": "num", "Da": "kM", "T": "num", "Gy": "mcu", "Bq": "kMG", "N": "numkM", "B": "d", "H": "num", "b": "kM",
}  # fmt: skip
_UNITS = set(_PREFIXED) | {prefix + unit for unit, prefixes in _PREFIXED.items() for prefix in prefixes}
_UNITS |= set("h d min K C % fold U IU Torr mmHg atm psi rpm ppm ppb ppt bp kbp kb Mb ° Å rad sr Wh kWh mAh Ci".split())
_SYNONYMS = {
    "percent": "%", "percentage": "%", "wt%": "%", "at%": "%", "vol%": "%", "mol%": "%", "hr": "h", "hrs": "h",
    "hour": "h", "hours": "h", "minute": "min", "minutes": "min", "mins": "min", "second": "s", "seconds": "s",
    "sec": "s", "secs": "s", "day": "d", "days": "d", "week": "week", "weeks": "week", "wk": "week", "month": "month",
    "months": "month", "year": "year", "years": "year", "yr": "year", "yrs": "year", "°C": "C", "degC": "C",
    "degree": "°", "degrees": "°", "deg": "°", "folds": "fold", "times": "fold", "x": "fold", "kelvin": "K",
    "Ω": "ohm", "ohm": "ohm", "ohms": "ohm", "kΩ": "kohm", "MΩ": "Mohm", "angstrom": "Å", "A°": "Å",
    "gram": "g", "grams": "g", "metre": "m", "metres": "m", "meter": "m", "meters": "m", "litre": "L", "litres": "L",
    "liter": "L", "liters": "L", "micron": "um", "microns": "um", "units": "U", "cells": "cells", "torr": "Torr",
    "kilometers": "km", "kilometres": "km", "micrometers": "um", "nanometers": "nm", "millimeters": "mm",
    "nanometer": "nm", "micrometer": "um", "kilograms": "kg", "milligrams": "mg", "volts": "V", "hertz": "Hz",
}  # fmt: skip
_UNIT = re.compile(
    r"\s?-?\s?(?:(?P<percent>(?:wt|at|vol|mol)\.?\s?-?%|%|per\s?cent\b|percent(?:age)?\b)"
    r"|°\s?C\b|degrees?\s(?:C|Celsius)\b|(?P<plain>°|[A-Za-zΩΩÅ]{1,11}))"
)
_FACTOR = re.compile(
    r"\s?(?:(?P<per>/|\sper\s)\s?|\*\s?|\s)(?P<unit>[A-Za-zΩ]{1,6})"
    r"(?P<power>\^?\{?-?\d|[⁻]?[¹²³])?(?![\w])\}?"
)
_OWN_POWER = re.compile(r"(?:\^?\{?(-?\d)\}?|([⁻]?[¹²³]))(?![\w.])")
_LINK = re.compile(r"\s?(?:±|\+/?-|-|¦|to|and|or|,|/|versus|vs\.?|from|,\sand)\s?(?:\+/-)?$")


def find_quantities(text: str) -> list[Quantity]:
    """Every number of `text` that is no part of a name, in order, with its unit. Linear time."""
    plain = _UNSPACED.sub("¤", text.translate(_RANGE_WORDS)).translate(_PLAIN)
    found = [quantity for match in _NUMBER.finditer(plain) if (quantity := _read_number(plain, match)) is not None]
    for match in _WORD_NUMBER.finditer(plain):
        if (quantity := _read_word(plain, match)) is not None:
            found.append(quantity)
    found.sort(key=lambda quantity: quantity.start)
    return _share_units(plain, [replace(q, text=text[q.start : q.end]) for q in found])


def _read_number(plain: str, match: "re.Match[str]") -> "Quantity | None":
    """The quantity at a match of _NUMBER, or None where the digits belong to a name."""
    start, end = match.start(), match.end()
    sign, before = "", plain[max(0, start - 2) : start]
    if before[-1:] == "-":
        if before[:1].isalpha() or before[:1] in ")]'":
            return None  # IL-6, cm-2, poly(A)-1
        if not before[:1].isdigit() and before[:1] not in "-.%°":
            sign = "-"
    digits = match["digits"].replace(",", "").replace(" ", "")
    superscript = (match["sup"] or "").translate(_SUPERSCRIPTS)
    exponent = (match["e"] or "")[1:] or match["caret"] or superscript or match["lost"]
    values = [_canonical(sign + digits, exponent or "0")]
    if match["lost"]:  # "4 × 105" may be 4 times 10^5 or 4 by 105
        values += [_canonical(sign + digits, "0"), _canonical("10" + match["lost"].lstrip("-"), "0")]
    elif digits == "10" and not exponent and (power := _POWER.match(plain, end)):
        exponent = power[1] or power[2].translate(_SUPERSCRIPTS)
        end = power.end()
        values = [_canonical("1", exponent), _canonical("10" + exponent.lstrip("+"), "0")]
    unit, unit_end = ((), end + 1) if _DECADE.match(plain, start) else _read_unit(plain, end)
    if unit_end == end and _inside_name(plain, end):
        return None
    return Quantity("", start, end, tuple(value for value in values if value), unit)


def _inside_name(plain: str, end: int) -> bool:
    """Whether what follows the digits makes them part of a name: 2-propanol, 2,4-D, 3D, 1.5.2, 5'-end."""
    return _NAME_AFTER.match(plain, end) is not None and _JOIN_AFTER.match(plain, end) is None


def _read_word(plain: str, match: "re.Match[str]") -> "Quantity | None":
    unit, unit_end = _read_unit(plain, match.end())
    hyphened = plain[match.end() : match.end() + 1] == "-" or plain[max(0, match.start() - 1) : match.start()] == "-"
    if hyphened and not unit:
        return None  # three-dimensional, twenty-one
    value = _canonical(NUMBER_WORDS[match.group().lower()], "0")
    return Quantity("", match.start(), match.end(), (value,), unit, is_word=True)


def _read_unit(plain: str, end: int) -> tuple[tuple[str, ...], int]:
    """The unit that follows offset `end`, as canonical factors, and where it ends; (() and `end`) where none does."""
    match = _UNIT.match(plain, end)
    if not match:
        return (), end
    name = "%" if match["percent"] else "C" if match["plain"] is None else _name_unit(match["plain"])
    if not name or (match["plain"] == "x" and match.start("plain") > end):
        return (), end  # "3 x 4" is a product, "3x" a factor
    if match.start("plain") == end and match["plain"] in ("A", "C", "F", "S", "B", "H", "T", "d", "b", "cells"):
        return (), end  # "2A" and "3b" are names of figures and samples
    position, factors = match.end(), [name]
    if power := _OWN_POWER.match(plain, position):
        factors[0] += (power[1] or power[2].translate(_SUPERSCRIPTS)).replace("^", "")
        position = power.end()
    while len(factors) < 4 and (factor := _FACTOR.match(plain, position)):
        unit = _name_unit(factor["unit"])
        power_text = (factor["power"] or "").translate(_SUPERSCRIPTS).strip("^{")
        if not unit or (not factor["per"] and not power_text):
            break  # "5 mg h" is no compound unit, "5 mg h-1" is
        if factor["per"]:
            power_text = "-" + (power_text or "1")
        factors.append(unit + power_text)
        position = factor.end()
    return tuple(factors), position


def _name_unit(word: str) -> str:
    """The canonical name of a unit, or "" where the word is none."""
    word = _SYNONYMS.get(word, _SYNONYMS.get(word.lower(), word)) if len(word) > 2 or word in _SYNONYMS else word
    if word[-1:] == "l" and len(word) <= 2:
        word = word[:-1] + "L"  # ml
    return word if word in _UNITS or word in _SYNONYMS.values() else ""


def _share_units(plain: str, quantities: list[Quantity]) -> list[Quantity]:
    """Gives "5" in "5 to 10 mg" and "48.2" in "48.2 ± 5.1 mg" the unit that follows the last of them."""
    for i in range(len(quantities) - 2, -1, -1):
        here, following = quantities[i], quantities[i + 1]
        gap = plain[here.end : following.start]
        is_year = re.fullmatch("(?:19|20)\\d\\d", here.text) is not None
        if not here.unit and following.unit and not is_year and len(gap) < 10 and _LINK.fullmatch(gap):
            quantities[i] = replace(here, unit=following.unit)
    return quantities


def _canonical(digits: str, exponent: str) -> str:
    """One spelling for equal values: "3.20" is "3.2", "1" with exponent 5 is "1E+5" as "100000" is."""
    try:
        return str(Decimal(digits + "E" + exponent).normalize(_CONTEXT))
    except InvalidOperation:  # an exponent beyond what Decimal holds
        return digits + "E" + exponent


def same_unit(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    """Whether two units agree as far as both go: unknown agrees with all, "mg" with "mg/kg", never "mg" with "g"."""
    return all(a == b for a, b in zip(left, right))
