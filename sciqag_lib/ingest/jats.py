"""JATS and its ancestor NLM (the XML of PubMed Central and most publishers) -> Document.

Follows the JATS Journal Archiving tag set (jats.nlm.nih.gov); element names are met with or without a namespace.

    <article article-type="research-article">
      <front><article-meta><article-id pub-id-type="doi">10.1371/journal.pone.0000217</article-id>...
      <body><sec sec-type="methods"><title>Methods</title><p>Cells were grown ...</p></sec></body>
"""

import re
from collections.abc import Iterator
from typing import Any

from sciqag_lib.ingest.document import Document, join_abstract
from sciqag_lib.ingest.inline import formula_text, inline_text, list_number, tidy_line
from sciqag_lib.ingest.nodes import child_elements, find_all, find_first, local_name
from sciqag_lib.ingest.tables import format_table

# Elements that stand between paragraphs, or break one in two when they stand inside it.
BLOCKS = frozenset(
    "sec p fig fig-group table-wrap table-wrap-group list def-list disp-quote boxed-text supplementary-material"
    " disp-formula-group verse-group statement preformat code array app ref-list speech chem-struct-wrap media"
    " fn-group ack glossary graphic".split()
)
# Back matter that is no section, and the heading under which it is cut.
BACK_MATTER = {
    "ack": "acknowledgements",
    "ref-list": "references",
    "glossary": "abbreviations",
    "fn-group": "footnotes",
    "bio": "author contributions",
    "notes": "notes",
    "supplementary-material": "supporting information",
}
# How a list-type numbers items that bear no label.
_LIST_STYLES = {"order": "1", "alpha-lower": "a", "alpha-upper": "A", "roman-lower": "i", "roman-upper": "I"}


def read_jats(article: Any) -> Document:
    """The document of an <article> element."""
    document = Document(article_type=article.get("article-type", ""))
    _read_front(article, document)
    body = next((child for child in child_elements(article) if local_name(child) == "body"), None)
    if body is not None:
        _read_blocks(body, document, 1)
    for child in child_elements(article):
        name = local_name(child)
        if name == "back":
            _read_back(child, document)
        elif name == "floats-group":
            document.add("heading", "Figures and tables", 1)
            _read_blocks(child, document, 2)
        elif name in ("sub-article", "response"):
            document.cut["sub-articles"] += _size(child)
    return document


def _read_front(article: Any, document: Document) -> None:
    meta = find_first(article, "front/article-meta")
    meta = find_first(article, "front-stub") if meta is None else meta
    journal = find_first(article, "journal-title")
    document.journal = inline_text(journal, document.cut) if journal is not None else ""
    if meta is None:
        return
    dois = [node for node in find_all(meta, "article-id") if node.get("pub-id-type") == "doi"]
    document.doi = "".join(dois[0].itertext()).strip() if dois else ""
    title = find_first(meta, "title-group/article-title")
    document.title = inline_text(title, document.cut, frozenset({"xref"})) if title is not None else ""
    document.abstract = _read_abstract(meta, document)
    document.keywords = _read_keywords(meta, document)
    document.license = _read_license(meta)


def _read_abstract(meta: Any, document: Document) -> str:
    """The abstract proper; summaries for editors or lay readers carry an abstract-type."""
    abstracts = [child for child in child_elements(meta) if local_name(child) == "abstract"]
    if not abstracts:
        return ""
    chosen = next((node for node in abstracts if not node.get("abstract-type")), abstracts[0])
    document.cut["other abstracts"] += sum(_size(node) for node in abstracts if node is not chosen)
    part = Document(cut=document.cut)
    _read_blocks(chosen, part, 1)
    return join_abstract(part.blocks)


def _read_keywords(meta: Any, document: Document) -> list[str]:
    keywords: list[str] = []
    for group in find_all(meta, "kwd-group"):
        if group.get("kwd-group-type", "author").lower().startswith(("author", "keyword", "kwd")):
            keywords += [inline_text(node, document.cut) for node in find_all(group, "kwd")]
    return list(dict.fromkeys(keyword for keyword in keywords if keyword))


def _read_license(meta: Any) -> str:
    permissions = find_first(meta, "license")
    permissions = find_first(meta, "copyright-statement") if permissions is None else permissions
    if permissions is None:
        return ""
    text = " ".join("".join(permissions.itertext()).split())
    if re.search(r"public domain|free of all copyright|\bCC0\b", text, re.IGNORECASE):
        return "public domain"
    links = " ".join(value for node in permissions.iter() for value in node.attrib.values()) + text
    terms = re.search(r"creativecommons\.org/licenses/([a-z-]+)/", links)
    plain = re.search(r"Creative Commons Attribution Licen[cs]e", text)
    return f"CC {terms.group(1).upper()}" if terms else "CC BY" if plain else text[:80]


def _read_back(back: Any, document: Document) -> None:
    for child in child_elements(back):
        name = local_name(child)
        if name == "sec":
            _read_section(child, document, 1)
        elif name in ("app-group", "app"):
            for appendix in [child] if name == "app" else child_elements(child):
                _read_section(appendix, document, 1)
        elif name in BACK_MATTER:
            document.cut[BACK_MATTER[name]] += _size(child)
        else:
            document.cut["back matter"] += _size(child)


def _size(node: Any) -> int:
    return len(" ".join("".join(node.itertext()).split()))


def _read_blocks(parent: Any, document: Document, level: int) -> None:
    """Everything below `parent` in order; text that stands directly in it becomes paragraphs."""
    for child in child_elements(parent):
        name = local_name(child)
        if name in ("sec", "boxed-text", "app"):
            _read_section(child, document, level)
        elif name in ("title", "label", "object-id", "attrib", "permissions", "alt-text", "long-desc", "sec-meta"):
            continue
        elif name in _READERS:
            _READERS[name](child, document, level)
        elif any(local_name(below) in BLOCKS for below in child_elements(child)) or name == "p":
            _read_paragraph(child, document, level)
        else:
            document.add("paragraph", inline_text(child, document.cut))


def _read_section(section: Any, document: Document, level: int) -> None:
    caption = next((child for child in child_elements(section) if local_name(child) == "caption"), section)
    title = next((child for child in child_elements(caption) if local_name(child) == "title"), None)
    text = inline_text(title, document.cut) if title is not None else ""
    if not text and section.get("sec-type") == "supplementary-material":
        text = "Supporting information"
    if text:
        document.add("heading", text, level)
    _read_blocks(section, document, level + 1 if text else level)


def _read_paragraph(node: Any, document: Document, level: int) -> None:
    """A paragraph; figures, tables and lists inside it follow the text that they interrupt."""
    inside = list(_find_blocks(node))
    document.add("paragraph", inline_text(node, document.cut, frozenset(local_name(block) for block in inside)))
    for block in inside:
        if local_name(block) in _READERS:
            _READERS[local_name(block)](block, document, level)
        elif local_name(block) in ("sec", "boxed-text", "app"):
            _read_section(block, document, level)
        else:
            _read_blocks(block, document, level)


def _find_blocks(node: Any) -> Iterator[Any]:
    """The outermost block elements below a node."""
    for child in child_elements(node):
        if local_name(child) in BLOCKS:
            yield child
        else:
            yield from _find_blocks(child)


def _read_figure(node: Any, document: Document, level: int) -> None:
    document.add("caption", _caption(node, document))


def _caption(node: Any, document: Document) -> str:
    """ "Figure 1. Title. The text of the caption." """
    label = next((child for child in child_elements(node) if local_name(child) == "label"), None)
    caption = next((child for child in child_elements(node) if local_name(child) == "caption"), None)
    parts = [inline_text(label, document.cut)] if label is not None else []
    for child in child_elements(caption) if caption is not None else []:
        parts.append(inline_text(child, document.cut))
    ended = [part if part.endswith((".", ":", "?", "!")) else part + "." for part in parts if part]
    return " ".join(ended)


def _read_table(node: Any, document: Document, level: int) -> None:
    document.add("caption", _caption(node, document))
    tables = [table for table in find_all(node, "table")]
    for table in tables:
        rows = [
            [cell for cell in child_elements(row) if local_name(cell) in ("td", "th")] for row in find_all(table, "tr")
        ]
        document.add("table", format_table(rows, lambda cell: inline_text(cell, document.cut)))
    if not tables:
        document.cut["tables that are images (number)"] += 1
    for foot in find_all(node, "table-wrap-foot"):
        for child in child_elements(foot):
            document.add("paragraph", _footnote(child, document))


def _footnote(node: Any, document: Document) -> str:
    """The footnote of a table, its mark in front as the cells show it: "^a Measured at 25 °C." """
    if local_name(node) != "fn":
        return inline_text(node, document.cut)
    parts = [inline_text(child, document.cut) for child in child_elements(node)]
    if parts and parts[0].isalnum() and len(parts[0]) <= 2:
        parts[0] = "^" + parts[0]
    return " ".join(filter(None, parts))


def _read_list(node: Any, document: Document, level: int) -> None:
    number = 0
    for item in child_elements(node):
        if local_name(item) == "title":
            document.add("paragraph", inline_text(item, document.cut))
        elif local_name(item) in ("list-item", "def-item"):
            number += 1
            _read_item(item, document, level, list_number(number, _LIST_STYLES.get(node.get("list-type", ""), "")))


def _read_item(item: Any, document: Document, level: int, number: str) -> None:
    """An item behind its label, or else the number that its list gives it."""
    label = next((child for child in child_elements(item) if local_name(child) == "label"), None)
    number = inline_text(label, document.cut) if label is not None else number
    start = len(document.blocks)
    if local_name(item) == "def-item":
        document.add("paragraph", ": ".join(inline_text(child, document.cut) for child in child_elements(item)))
    else:
        _read_blocks(item, document, level)
    if number and len(document.blocks) > start:
        document.blocks[start].text = f"{number} {document.blocks[start].text}"


def _read_equation(node: Any, document: Document, level: int) -> None:
    document.add("equation", tidy_line(formula_text(node, document.cut), document.cut))


def _cut_supplement(node: Any, document: Document, level: int) -> None:
    document.cut["supporting information"] += _size(node)


def _cut_references(node: Any, document: Document, level: int) -> None:
    document.cut["references"] += _size(node)


def _cut_acknowledgements(node: Any, document: Document, level: int) -> None:
    document.cut["acknowledgements"] += _size(node)


def _cut_footnotes(node: Any, document: Document, level: int) -> None:
    document.cut["footnotes"] += _size(node)


def _ignore(node: Any, document: Document, level: int) -> None:
    """An image, which has no text."""


_READERS = {
    "p": _read_paragraph,
    "fig": _read_figure,
    "table-wrap": _read_table,
    "list": _read_list,
    "def-list": _read_list,
    "disp-formula": _read_equation,
    "supplementary-material": _cut_supplement,
    "ref-list": _cut_references,
    "ack": _cut_acknowledgements,
    "fn-group": _cut_footnotes,
    "graphic": _ignore,
    "media": _ignore,
}
