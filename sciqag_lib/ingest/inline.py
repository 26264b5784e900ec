"""The running text of an element, as one line, for JATS, TEI and HTML alike.

What happens to marked-up text, by example:

    10<sup>5</sup> cells            10^5 cells          x<sub>i</sub>, H<sub>2</sub>O      x_i, H2O
    Ca<sup>2+</sup>, CD4<sup>+</sup>  Ca2+, CD4+        <sup>13</sup>C, 2<sup>nd</sup>     13C, 2nd
    shown [<xref>12</xref>,13].     shown.              as in [<xref>12</xref>].           as in [12].
    1.2<xref ref-type="table-fn">a</xref>  1.2^a    s<sup>-1</sup>and               s^-1 and
    (<xref>Li et al. 2004</xref>)   (removed)           <xref>Li et al. 2004</xref> found  Li et al. 2004 found

Citation marks are removed with their brackets, because they mean nothing without the reference list; they stay
where the sentence needs them: after a preposition, as its subject, and where an author's name is part of it.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from sciqag_lib.ingest.mathml import mathml_text, tex_text
from sciqag_lib.ingest.nodes import child_elements, find_first, local_name, resolve_entity

SUPERSCRIPT, SUBSCRIPT = ("sup", "superscript"), ("sub", "subscript")
DROPPED = frozenset(
    "graphic inline-graphic inline-supplementary-material object-id media fn script style img svg button noscript"
    " target milestone-start milestone-end index-term col".split()
)
FORMULAS = {"inline-formula", "disp-formula", "alternatives", "formula"}
SPACES = {"break", "br", "lb", "hr", "td", "th", "cell", "p", "li", "list-item", "title", "div", "x"}
NO_FORMULA = "[formula]"
_FORMULA_IMAGE = re.compile(r"formula|equation|inline-graphic|mwe-math")
# Links into a reference list: #B12, #B12-ijms-20-01, #R3, #CR4, #ref-CR5, #bib.bib6, #pone.0118238.ref007
_TO_REFERENCE = re.compile(
    r"#(?:(?:bb?|r|cr|cit|cite_note)[-_.]?\d|(?:bib|ref|cite)[-_.]?\w*\d|[\w.-]*[.-](?:ref|bib|b)[-_.]?\d)",
    re.IGNORECASE,
)

# Citations are collected between two characters that no text may hold, and judged when the line is complete.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_LEFT = "\ufdd2"  # after a bracket whose first words were citations: "([12] and Figure 3)"
_MARK = rf"{_OPEN}[^{_OPEN}{_CLOSE}]*{_CLOSE}"
_BETWEEN = r"\s*(?:,|;|–|-|—|−|and|or|&|to)?\s*"
_INTRO = (
    r"(?:(?:for (?:a |an )?reviews?|reviewed (?:in|by)|see(?: also)?|e\.g\.|cf\.|i\.e\.|refs?\.?|references?"
    r"|also|in|and),?\s*)*"
)
_CITATION = re.compile(
    rf"(?P<before>[^\s(\[{_OPEN}]*)(?P<gap>\s*)(?P<open>[\[(]\s*{_INTRO}[\[(]?\s*)?"
    rf"(?P<marks>{_MARK}(?:{_BETWEEN}{_MARK})*)"
    rf"(?P<close>\s*(?:[,;:]?(?:\s*and references therein|\s*pp?\.?\s*[\d–-]+\.?)\s*|[,;]\s*)?[\])]{{1,2}})?",
    re.IGNORECASE,
)
_NEEDS_OBJECT = {"in", "by", "from", "of", "to", "with", "on", "as", "between", "about", "than", "that", "and", "or",
                 "including", "see", "e.g.", "e.g", "cf.", "follow", "follows", "following", "ref", "ref.", "refs",
                 "refs.", "reference", "references"}  # fmt: skip
_ABBREVIATIONS = {"al.", "al", "sp.", "spp.", "vs.", "etc.", "fig.", "figs.", "eq.", "i.e."}
_VERB = r"\s+(?:(?:also|first|later|recently|then) )?(?:ha(?:s|ve|d)|was|were|is|are|found|shows?|shown|[a-z]+ed)\b"


def inline_text(node: Any, cut: Counter[str], skip: frozenset[str] = frozenset()) -> str:
    """Text of an element and all below it on one line; elements named in `skip` are left out.

    Characters of removed citation marks and formulas that are images are counted in `cut`.
    """
    pieces: list[str] = []
    _collect(node, pieces, cut, skip)
    return tidy_line("".join(pieces), cut)


def inline_parts(parts: Iterable[Any], cut: Counter[str]) -> str:
    """As `inline_text`, for strings and elements that stand one after the other without one around them."""
    pieces: list[str] = []
    for part in parts:
        if isinstance(part, str):
            pieces.append(part)
        else:
            _collect_child(part, pieces, cut, frozenset())
    return tidy_line("".join(pieces), cut)


def tidy_line(text: str, cut: Counter[str]) -> str:
    """One line: citations judged, white space single, none before a comma or inside brackets."""
    if _OPEN in text:
        text = _CITATION.sub(lambda match: _judge_citation(match, cut), text)
        text = re.sub(rf"{_LEFT}\s*(?:[,;]|and\b|or\b)?\s*", "", text).replace(_OPEN, "").replace(_CLOSE, "")
        text = re.sub(r" +(?=:(?:\s|$))|[,;]\s*(?=\))|(?<=[\[(])[,;]\s*|[,;](?=\s*[,;.](?:\s|$))", "", text)
        text = re.sub(r"^\s*[,;]\s*", "", text)  # a cell that began with citations
        text = re.sub(r"(?<!\.)\.\.(?=\s|$)", ".", text)  # "et al. [12]."
    return re.sub(r"(?<=\S) (?=[.,;)\]](?:[ .,;)\]]|$))|(?<=[\[(]) ", "", clean_text(text))


def clean_text(text: str) -> str:
    """White space made single; invisible and control characters removed."""
    text = re.sub(r"[\u00ad\u200b-\u200d\u2060\ufeff\ufdd0-\ufdd2\x00-\x08\x0e-\x1f\x7f]", "", text)
    return re.sub(r"\s+", " ", text).strip()


def _collect(node: Any, pieces: list[str], cut: Counter[str], skip: frozenset[str]) -> None:
    pieces.append(node.text or "" if isinstance(node.tag, str) else "")
    for child in node:
        _collect_child(child, pieces, cut, skip)
        tail = child.tail or ""
        # "s<sup>-1</sup>and": without its markup the exponent needs a space to end it
        pieces.append(" " + tail if pieces[-1].startswith("^") and tail[:1].isalnum() else tail)


def _collect_child(child: Any, pieces: list[str], cut: Counter[str], skip: frozenset[str]) -> None:
    name = local_name(child)
    if not name:
        pieces.append(resolve_entity(child))
    elif name == "img" and _FORMULA_IMAGE.search(f"{child.get('class', '')} {child.getparent().get('class', '')}"):
        pieces.append(_image_text(child, cut))
    elif name in skip or name in DROPPED:
        return
    elif "mathjax-tex" in child.get("class", ""):
        pieces.append(tex_text("".join(child.itertext())))
    elif is_script(child, SUPERSCRIPT) or is_note_mark(child):
        pieces.append(_superscript(_part(child, cut, skip), _last_piece(pieces)))
    elif is_script(child, SUBSCRIPT):
        pieces.append(_subscript(_part(child, cut, skip), _last_piece(pieces)))
    elif name == "math":
        pieces.append(mathml_text(child))
    elif name == "tex-math":
        pieces.append(tex_text("".join(child.itertext())))
    elif name in FORMULAS:
        pieces.append(formula_text(child, cut))
    elif is_citation(child):
        pieces.append(_OPEN + _part(child, cut, skip).replace(_OPEN, "").replace(_CLOSE, "") + _CLOSE)
    else:
        space = " " if name in SPACES else ""
        pieces.append(space)
        _collect(child, pieces, cut, skip)
        pieces.append(space)


def _last_piece(pieces: list[str]) -> str:
    return next((piece for piece in reversed(pieces) if piece), "")


def _part(node: Any, cut: Counter[str], skip: frozenset[str]) -> str:
    pieces: list[str] = []
    _collect(node, pieces, cut, skip)
    return "".join(pieces)


def is_script(node: Any, kinds: tuple[str, str]) -> bool:
    """Whether an element is a superscript (or a subscript): <sup>, or TEI's <hi rend="superscript">."""
    return local_name(node) == kinds[0] or (local_name(node) == "hi" and kinds[1] in node.get("rend", ""))


def is_note_mark(node: Any) -> bool:
    """Whether an element points to a footnote, as "a" in a table's cell does, and is not raised by its own markup."""
    is_mark = local_name(node) == "xref" and node.get("ref-type") in ("fn", "table-fn")
    return is_mark and find_first(node, "sup") is None


def is_citation(node: Any) -> bool:
    """Whether an element calls out a reference: JATS xref, TEI ref, or a link into an HTML reference list."""
    name = local_name(node)
    if name in ("xref", "ref"):
        return (node.get("ref-type") or node.get("type")) == "bibr"
    if name in ("a", "cite"):
        kind = f"{node.get('class', '')} {node.get('role', '')} {node.get('data-test', '')} {node.get('epub:type', '')}"
        target = node.get("href", "")
        is_marked = re.search(r"bibr|biblioref|citation-ref|ltx_cite|doc-biblioref|cite[-_]?ref|ref-tip", kind)
        return is_marked is not None or _TO_REFERENCE.match(target) is not None
    return False


def _image_text(image: Any, cut: Counter[str]) -> str:
    """A formula that a page shows as an image: the TeX in its alternative text, or "[formula]"."""
    tex = tex_text(image.get("alt", ""))
    if re.search(r"[\\=^_]", tex):
        return f" {tex} "
    cut["formulas that are images (number)"] += 1
    return f" {NO_FORMULA} "


def list_number(number: int, style: str) -> str:
    """What a list prints before an item that bears no label, by HTML's list types; "" for a list without numbers.

    >>> [list_number(4, style) for style in ("1", "a", "A", "i", "I", "")]
    ['4.', 'd.', 'D.', 'iv.', 'IV.', '']
    """
    if style in ("a", "A") and 0 < number <= 26:
        return f"{chr(ord(style) + number - 1)}."
    if style in ("i", "I") and 0 < number < 40:
        roman = "x" * (number // 10) + ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")[number % 10]
        return f"{roman if style == 'i' else roman.upper()}."
    return f"{number}." if style else ""


def formula_text(node: Any, cut: Counter[str]) -> str:
    """A formula from the best of its forms: MathML, TeX, plain text; an image alone becomes "[formula]"."""
    math, tex = find_first(node, "math"), find_first(node, "tex-math")
    if math is not None:
        text = mathml_text(math)
    elif tex is not None:
        text = tex_text("".join(tex.itertext()))
    else:
        pieces: list[str] = []
        _collect(node, pieces, cut, frozenset({"label"}))
        text = "".join(pieces).strip()
    if not text.strip():
        cut["formulas that are images (number)"] += 1
        text = NO_FORMULA
    label = next((child for child in child_elements(node) if local_name(child) == "label"), None)
    if local_name(node) in ("disp-formula", "formula"):
        number = "".join(label.itertext()).strip() if label is not None else ""
        return f" {text} {number} "
    return text


def _superscript(text: str, before: str) -> str:
    bare = text.strip()
    if not bare or bare.startswith("^"):  # raised twice: a footnote's mark inside <sup>
        return text
    if _OPEN in bare:  # citations; other text in the same superscript would be marks between them
        rest = re.sub(_MARK, "", bare)
        return bare if re.fullmatch(r"[\s,;–\-—−]*", rest) else "^" + wrap_script(bare)
    last = before.rstrip()[-1:] if before[-1:].strip() else ""  # "" at the start of a word
    is_sign = re.fullmatch(r"[+\-−–/±]+", bare) is not None
    is_charge = re.fullmatch(r"\d?[+\-−–]", bare) is not None and last.isalpha()
    is_ordinal = bare in ("st", "nd", "rd", "th") and last.isdigit()
    is_symbol = not re.search(r"\w", bare) and not is_sign
    is_isotope = re.fullmatch(r"\d+\s?m?", bare) is not None and last in ("", "(", "[")
    if is_charge or is_sign or is_ordinal or is_symbol or is_isotope:
        return text
    return text.replace(bare, "^" + wrap_script(bare))  # white space around it stays


def _subscript(text: str, before: str) -> str:
    bare, last = text.strip(), before[-1:]
    if not bare or (re.fullmatch(r"[\d.,+\-−]+", bare) and (last.isalpha() or last in ")]")):
        return text
    script = bare.rstrip(",;:") or bare
    return text.replace(bare, f"_{wrap_script(script)}{bare[len(script) :]}")


def wrap_script(text: str) -> str:
    """Brackets around an exponent or index of more than one word or sign: (n+1), but -1, 2+ and max as they are."""
    return text if re.fullmatch(r"[−–+-]?[\w.∞′'*]+[+−–-]?|\([^()]*\)|\[[^\[\]]*\]|\S", text) else f"({text})"


def _judge_citation(match: re.Match[str], cut: Counter[str]) -> str:
    raw = match["marks"].replace(_OPEN, "").replace(_CLOSE, "").strip()
    opening, closing, before = match["open"] or "", match["close"] or "", match["before"]
    whole = f"{opening}{raw}{closing}"
    bracketed = whole.lstrip()[:1] in ("[", "(") and whole.rstrip()[-1:] in ("]", ")")
    names_author = re.search(r"[^\W\d_]{2}", raw) is not None
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


def citation_text(text: str) -> str:
    """A citation's text, marked so that `tidy_line` judges whether the sentence needs it."""
    return f"{_OPEN}{text}{_CLOSE}"


def raised_text(text: str, before: str) -> str:
    """A superscript after the text `before` that is no citation: "^5" after "10", "2+" after "Ca", "nd" after "2"."""
    return _superscript(text, before)


def lowered_text(text: str, before: str) -> str:
    """A subscript after the text `before`: "2" after "H", "_max" after "T"."""
    return _subscript(text, before)
