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

from sciqag_lib.ingest.running_text.citations import FOOTNOTE_MARK, mark_citation, remove_marks
from sciqag_lib.ingest.running_text.mathml import mathml_text, tex_text
from sciqag_lib.ingest.running_text.nodes import child_elements, find_first, local_name, resolve_entity
from sciqag_lib.ingest.running_text.scripts import subscript, superscript

# By element name, or by what TEI's <hi rend="..."> says.
SUPERSCRIPT = ("sup", re.compile(r"super|\bsup\b|exposant", re.IGNORECASE))
SUBSCRIPT = ("sub", re.compile(r"subscript|\bsub\b|indice", re.IGNORECASE))
DROPPED = frozenset(
    "graphic inline-graphic object-id media fn script style img svg button noscript"
    " target milestone-start milestone-end index-term col".split()
)
FORMULAS = {"inline-formula", "disp-formula", "alternatives", "formula"}
SPACES = frozenset(
    "break br lb pb hr td th cell row p li list-item item title div x verse-line l speaker attrib caption head"
    " SENT".split()  # Europe PMC's sentences
)
NO_FORMULA = "[formula]"
_FORMULA_IMAGE = re.compile(r"formula|equation|inline-graphic|mwe-math")
# Links into a reference list: #B12, #B12-ijms-20-01, #R3, #CR4, #ref-CR5, #bib.bib6, #pone.0118238.ref007
_TO_REFERENCE = re.compile(
    r"#(?:(?:bb?|r|cr|cit|cite_note)[-_.]?\d|(?:bib|ref|cite)[-_.]?\w*\d|[\w.-]*[.-](?:ref|bib|b)[-_.]?\d)",
    re.IGNORECASE,
)

_FOOTNOTE_KINDS = {"fn", "foot", "footnote", "noteAnchor", "note", "doc-noteref"}  # of JATS, GROBID, TEI and HTML
_TO_FOOTNOTE = re.compile(r"#(?:fn|footnote|_?ftn)[-_.]?\w*\d", re.IGNORECASE)
_SIGN = r"(?:\d{1,3}|[A-Za-z]|[ivx]{1,5}|[^\w\s,;–()\[\]-]{1,4})"
_MARK_TEXT = re.compile(rf"[\[(]?{_SIGN}(?:\s?[,;–-]\s?{_SIGN})*[\])]?")


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
    text = clean_text(remove_marks(text, cut))
    return re.sub(r"([\[(]) ", r"\1", re.sub(r" ([.,;)\]])(?=[ .,;)\]]|$)", r"\1", text))


def clean_text(text: str) -> str:
    """White space made single; invisible and control characters removed."""
    text = re.sub(r"[\u00ad\u200b-\u200d\u2060\ufeff\ufdd0-\ufdd3\x00-\x08\x0e-\x1f\x7f]", "", text)
    return " ".join(text.split())


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
    elif name in skip:
        return
    elif name in ("fn", "note"):
        cut["footnotes"] += len(clean_text("".join(child.itertext())))
    elif name == "inline-graphic" and not _is_icon(child):
        cut["formulas that are images (number)"] += 1
        pieces.append(NO_FORMULA)
    elif name in DROPPED:
        return
    elif name == "def" and local_name(child.getparent()) == "abbrev":
        pieces.append(f" ({_part(child, cut, skip).strip()})")
    elif "mathjax-tex" in child.get("class", ""):
        pieces.append(tex_text("".join(child.itertext())))
    elif is_footnote_mark(child, _last_piece(pieces)):
        cut["footnote marks"] += len(clean_text("".join(child.itertext())))
        pieces.append(FOOTNOTE_MARK)
    elif is_script(child, SUPERSCRIPT) or is_note_mark(child):
        pieces.append(superscript(_part(child, cut, skip), _last_piece(pieces)))
    elif is_script(child, SUBSCRIPT):
        pieces.append(subscript(_part(child, cut, skip), _last_piece(pieces)))
    elif name == "math":
        pieces.append(mathml_text(child))
    elif name == "tex-math":
        pieces.append(tex_text("".join(child.itertext())))
    elif name in FORMULAS:
        pieces.append(formula_text(child, cut))
    elif is_citation(child):
        pieces.append(mark_citation(_part(child, cut, skip)))
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


def is_script(node: Any, kinds: tuple[str, re.Pattern[str]]) -> bool:
    """Whether an element is a superscript (or a subscript): <sup>, or TEI's <hi rend="superscript">."""
    if local_name(node) != "hi":
        return local_name(node) == kinds[0]
    return kinds[1].search(f"{node.get('rend', '')} {node.get('rendition', '')} {node.get('style', '')}") is not None


def is_footnote_mark(node: Any, before: str) -> bool:
    """Whether an element calls out a footnote of the page: "^1", but not "see note 1" and not a mark in a table."""
    kind = node.get("ref-type") or node.get("type") or node.get("role") or ""
    if kind not in _FOOTNOTE_KINDS and not (local_name(node) == "a" and _TO_FOOTNOTE.match(node.get("href", ""))):
        return False
    is_named = re.search(r"notes?\s+$", before[-10:], re.IGNORECASE) is not None
    return not is_named and _is_mark("".join(node.itertext())) and not _in_table(node)


def _is_icon(graphic: Any) -> bool:
    """Whether a small image is that of a link, or a tick in a table, and no formula."""
    return local_name(graphic.getparent()) in ("xref", "ext-link", "uri", "a") or _in_table(graphic)


def _in_table(node: Any) -> bool:
    return any(local_name(above) in ("table", "table-wrap") for above in node.iterancestors())


def is_note_mark(node: Any) -> bool:
    """Whether an element points to a table's footnote, as "a" in a cell does, and is not raised by its own markup."""
    is_mark = local_name(node) == "xref" and node.get("ref-type") in ("fn", "table-fn")
    return is_mark and find_first(node, "sup") is None and _is_mark("".join(node.itertext()))


def _is_mark(text: str) -> bool:
    return len(text) < 30 and _MARK_TEXT.fullmatch(text.strip()) is not None


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
        _collect(node, pieces, cut, frozenset({"label", "inline-graphic"}))
        text = "".join(pieces).strip()
    if not text.strip():
        cut["formulas that are images (number)"] += 1
        text = NO_FORMULA
    label = next((child for child in child_elements(node) if local_name(child) == "label"), None)
    if local_name(node) in ("disp-formula", "formula"):
        number = "".join(label.itertext()).strip() if label is not None else ""
        return f" {text} {number} "
    return text
