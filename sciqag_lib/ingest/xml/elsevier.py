"""Elsevier's journal articles (ja DTD, as its text-mining service gives them) in the terms of JATS.

    <article docsubtype="fla"><item-info><ce:doi>10.1016/...</ce:doi></item-info><head><ce:title>...</ce:title></head>
      <body><ce:sections><ce:section><ce:section-title>Methods</ce:section-title><ce:para>Cells were ...</ce:para>

Elements are renamed and put where JATS has them; `read_jats` does the rest.
"""

import re
from typing import Any

from lxml import etree

from sciqag_lib.ingest.running_text.nodes import child_elements, child_named, find_all, find_first, local_name

ROOTS = {"article", "converted-article", "simple-article"}
_NAMES = {
    "para": "p", "simple-para": "p", "note-para": "p", "textbox-para": "p", "section": "sec", "section-title": "title",
    "inf": "sub", "br": "break", "hsp": "x", "figure": "fig", "table": "table-wrap", "tgroup": "table", "row": "tr",
    "entry": "td", "formula": "disp-formula", "inline-figure": "inline-graphic", "footnote": "fn",
    "table-footnote": "fn", "legend": "table-wrap-foot", "bibliography": "ref-list", "further-reading": "ref-list",
    "acknowledgment": "ack", "textbox": "boxed-text", "enunciation": "statement", "displayed-quote": "disp-quote",
    "nomenclature": "glossary", "e-component": "media", "def-term": "term", "def-description": "def",
    "keywords": "kwd-group", "biography": "bio", "link": "graphic", "source": "attrib",
    "cross-ref": "xref", "cross-refs": "xref", "appendices": "app-group", "abstract-sec": "sec",
    "floats": "floats-group",
}  # fmt: skip
# Elements that only hold others: their children take their places.
_WRAPPERS = ("sections", "display", "textbox-head", "textbox-body", "chem")
_BONDS = {"sbnd": "–", "dbnd": "=", "tbnd": "≡"}  # glyphs that chemical formulas use
_TYPES = {"err": "correction", "add": "addendum", "edi": "editorial", "brv": "book-review", "nws": "news",
          "ann": "announcement", "cal": "calendar", "ret": "retraction"}  # fmt: skip


def is_elsevier(article: Any) -> bool:
    """Whether an element is an article of this DTD."""
    is_named = "elsevier.com" in article.tag or child_named(article, "item-info") is not None
    return local_name(article) in ROOTS and is_named


def convert_elsevier(article: Any) -> Any:
    """The article as a JATS <article>, made of its own elements."""
    kinds = _reference_kinds(article)
    service = article.getroottree().getroot()  # around the article: its journal and license
    for node in list(article.iter(etree.Element)):
        _rename(node, kinds)
    for name, complete in (("def-list", _pair_terms), ("table", _set_spans), ("table-wrap", _gather_notes)):
        for node in find_all(article, name):
            complete(node)
    return _arrange(article, service)


def _reference_kinds(article: Any) -> dict[str, str]:
    names = {"bib-reference": "bibr", "footnote": "fn", "table-footnote": "table-fn"}
    return {node.get("id", ""): names[local_name(node)] for name in names for node in find_all(article, name)}


def _rename(node: Any, kinds: dict[str, str]) -> None:
    name = local_name(node)
    node.tag = _NAMES.get(name, name)
    if name in ("cross-ref", "cross-refs"):
        target = node.get("refid", "").split(" ")[0]
        guess = "bibr" if re.fullmatch(r"b(?:ib|b|r)?\d+\w*", target) else ""
        node.set("ref-type", kinds.get(target, guess))
    elif name == "glyph":
        node.text = _BONDS.get(node.get("name", ""))
    elif name == "hsp":
        node.text = " "
    elif name == "keyword":
        text = child_named(node, "text")
        node.tag = "kwd" if text is not None else "keyword"
    elif name in _WRAPPERS and node.getparent() is not None:
        _unwrap(node)


def _unwrap(node: Any) -> None:
    """Put an element's children in its place; the text around stays in order."""
    etree.strip_tags(node.getparent(), node.tag)


def _pair_terms(node: Any) -> None:
    """<term/><def/> side by side -> <def-item>, as JATS has them."""
    item = None
    for child in list(child_elements(node)):
        if local_name(child) == "term" or (item is None and local_name(child) == "def"):
            item = etree.Element("def-item")
            child.addprevious(item)
        if local_name(child) in ("term", "def"):
            child.tail = None
            item.append(child)


def _set_spans(table: Any) -> None:
    """The spans of a CALS table ("namest", "nameend", "morerows") as colspan and rowspan."""
    columns = {node.get("colname"): number for number, node in enumerate(find_all(table, "colspec"))}
    for cell in find_all(table, "td"):
        first, last = columns.get(cell.get("namest")), columns.get(cell.get("nameend"))
        if first is not None and last is not None:
            cell.set("colspan", str(last - first + 1))
        more = cell.get("morerows", "")
        if more.isascii() and more.isdigit():
            cell.set("rowspan", str(min(int(more[:6]), 9999) + 1))


def _gather_notes(table: Any) -> None:
    foot = etree.SubElement(table, "table-wrap-foot")
    for note in [child for child in child_elements(table) if local_name(child) == "fn"]:
        foot.append(note)


def _arrange(article: Any, service: Any) -> Any:
    """Front, body and back as JATS has them."""
    jats = etree.Element("article", {"article-type": _TYPES.get(article.get("docsubtype", ""), "research-article")})
    language = article.get("{http://www.w3.org/XML/1998/namespace}lang")
    if language:
        jats.set("{http://www.w3.org/XML/1998/namespace}lang", language)
    front, body, back = (etree.SubElement(jats, name) for name in ("front", "body", "back"))
    _fill_front(front, article, service)
    floats = child_named(article, "floats-group")
    if floats is not None:
        jats.append(floats)
    for name, part in (("body", body), ("tail", back)):
        for child in list(child_elements(node)) if (node := child_named(article, name)) is not None else []:
            is_back = local_name(child) in ("ack", "app-group", "ref-list", "bio")
            (back if is_back else part).append(child)
    return jats


def _fill_front(front: Any, article: Any, service: Any) -> None:
    meta = etree.SubElement(front, "article-meta")
    doi, journal = find_first(article, "doi"), find_first(service, "publicationName")
    if doi is not None:
        etree.SubElement(meta, "article-id", {"pub-id-type": "doi"}).text = "".join(doi.itertext())
    if journal is not None:
        etree.SubElement(front, "journal-title").text = journal.text
    license_url = find_first(service, "openaccessUserLicense")
    rights = license_url if license_url is not None else find_first(article, "copyright")
    if rights is not None:
        rights.tag = "license" if rights is license_url else "copyright-statement"
        meta.append(rights)
    head = child_named(article, "head")
    head = child_named(article, "simple-head") if head is None else head
    for child in list(child_elements(head)) if head is not None else []:
        if local_name(child) == "title":
            child.tag = "article-title"
            etree.SubElement(meta, "title-group").append(child)
        elif local_name(child) in ("abstract", "kwd-group"):
            kind = child.get("class", "")
            child.set("kwd-group-type" if local_name(child) == "kwd-group" else "abstract-type",
                      "" if kind == "author" else kind)  # fmt: skip
            meta.append(child)
