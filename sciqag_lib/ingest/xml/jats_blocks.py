"""The blocks of a JATS body: sections, paragraphs, boxes, figures, tables, lists, quotations, formulas.

    <sec><title>Methods</title><p>Cells were grown ...</p><fig><label>Figure 1</label><caption>...</caption></fig></sec>

becomes a heading, a paragraph and a caption. What ends in the middle of a section (a box, a glossary) ends there:
its title becomes a paragraph, and where the title is boilerplate, the box alone is cut.
"""

from collections.abc import Iterator
from typing import Any

from sciqag_lib.ingest.document import Document, cut_boilerplate
from sciqag_lib.ingest.headings import find_boilerplate_kind
from sciqag_lib.ingest.running_text.captions import cut_object_doi, drop_object_doi, join_caption
from sciqag_lib.ingest.running_text.inline import formula_text, inline_text, list_number, tidy_line
from sciqag_lib.ingest.running_text.nodes import child_elements, child_named, find_all, local_name, text_size
from sciqag_lib.ingest.running_text.tables import format_table

SECTIONS = frozenset({"sec", "boxed-text", "app"})
# Elements between paragraphs, which break a paragraph in two when they are inside it.
BLOCKS = SECTIONS | frozenset(
    "p fig fig-group table-wrap table-wrap-group list def-list disp-quote supplementary-material"
    " disp-formula-group verse-group statement preformat code array ref-list speech chem-struct-wrap media"
    " fn fn-group ack glossary graphic".split()
)
# Parts of a block that its own reader takes, or that are no text.
_PARTS = frozenset(
    "title label subtitle caption object-id alt-text long-desc sec-meta speaker table-wrap-foot kwd-group"
    " textual-form".split()
)
# Elements after which a section is over all the same.
_CLOSING = SECTIONS | {"ref-list", "ack", "fn-group", "supplementary-material", "sig-block"}
_OUTERMOST = SECTIONS | {"body", "back", "abstract", "floats-group", "app-group", "article"}
# How a list-type numbers items that bear no label.
_LIST_STYLES = {"order": "1", "alpha-lower": "a", "alpha-upper": "A", "roman-lower": "i", "roman-upper": "I"}
_CUT = {
    "supplementary-material": "supporting information",
    "ref-list": "references",
    "ack": "acknowledgements",
    "fn": "footnotes",
    "fn-group": "footnotes",
    "attrib": "credits",
    "permissions": "credits",
}


def read_blocks(parent: Any, document: Document, level: int) -> None:
    """Everything below `parent` in order; each paragraph or block becomes one of the document."""
    for child in child_elements(parent):
        _read_block(child, document, level)


def read_section(section: Any, document: Document, level: int) -> None:
    """A section, appendix or box; what follows it stays with the section around it."""
    if not _is_interrupted(section):
        _read_titled(section, document, level)
        return
    part = Document(cut=document.cut)
    _read_titled(section, part, level)
    cut_boilerplate(part)
    for block in part.blocks:
        if block.kind == "heading" and local_name(section) == "boxed-text":
            block.kind, block.level = "paragraph", 0
    document.blocks += part.blocks


def _read_titled(section: Any, document: Document, level: int) -> None:
    heading = _heading(section, document)
    if heading:
        document.add("heading", heading, level)
    read_blocks(section, document, level + 1 if heading else level)


def _heading(section: Any, document: Document) -> str:
    """The title; boxes and appendices are named by their labels too ("Box 1. Key points")."""
    title = _part_text(section, "title", document) or _part_text(child_named(section, "caption"), "title", document)
    label = _part_text(section, "label", document)
    if not title and section.get("sec-type") == "supplementary-material":
        return "Supporting information"
    is_number = sum(map(str.isalpha, label)) < 3
    if find_boilerplate_kind(title) or (title and (is_number or local_name(section) == "sec")):
        return title
    return join_caption("" if is_number else label, title).removesuffix(".")


def _part_text(node: Any, name: str, document: Document) -> str:
    part = child_named(node, name) if node is not None else None
    return inline_text(part, document.cut) if part is not None else ""


def _is_interrupted(node: Any) -> bool:
    """Whether the section around a section or box has more text of its own after it."""
    for around in node.iterancestors():
        siblings = [local_name(sibling) for sibling in node.itersiblings()]
        if (node.tail or "").strip() or any(name and name not in _CLOSING for name in siblings):
            return True
        if local_name(around) in _OUTERMOST:
            return False
        node = around
    return False


def _read_block(child: Any, document: Document, level: int) -> None:
    name = local_name(child)
    if name in _PARTS:
        return
    if name in _CUT:
        document.cut[_CUT[name]] += text_size(child)
    elif name in _READERS:
        _READERS[name](child, document, level)
    elif any(local_name(below) in BLOCKS for below in child_elements(child)):
        _read_paragraph(child, document, level)
    else:
        document.add("paragraph", inline_text(child, document.cut))


def _read_paragraph(node: Any, document: Document, level: int) -> None:
    """A paragraph; figures, tables and lists inside it follow the text that they interrupt."""
    inside = list(_find_blocks(node))
    text = inline_text(node, document.cut, frozenset(local_name(block) for block in inside))
    document.add("paragraph", drop_object_doi(text, document.cut))
    for block in inside:
        _read_block(block, document, level)


def _find_blocks(node: Any) -> Iterator[Any]:
    """The outermost block elements below a node."""
    for child in child_elements(node):
        if local_name(child) in BLOCKS:
            yield child
        elif local_name(child) != "abbrev":
            yield from _find_blocks(child)


def _read_figure(node: Any, document: Document, level: int) -> None:
    """The caption of a figure, video or group of them, and what is inside: further figures, tables, paragraphs."""
    document.add("caption", _caption(node, document))
    read_blocks(node, document, level)


def _caption(node: Any, document: Document) -> str:
    caption = child_named(node, "caption")
    parts = [inline_text(child, document.cut) for child in child_elements(caption)] if caption is not None else []
    parts = [cut_object_doi(part, document.cut) for part in parts]
    return join_caption(_part_text(node, "label", document), *parts)


def _read_table(node: Any, document: Document, level: int) -> None:
    document.add("caption", _caption(node, document))
    tables = [table for table in find_all(node, "table") if next(table.iterancestors("{*}td", "{*}th"), None) is None]
    for table in tables:
        _add_table(table, document)
    if not tables:
        start = len(document.blocks)
        read_blocks(node, document, level)  # a list or paragraphs set as a table
        if len(document.blocks) == start:
            document.cut["tables that are images (number)"] += 1
    for foot in find_all(node, "table-wrap-foot"):
        for child in child_elements(foot):
            for note in child_elements(child) if local_name(child) == "fn-group" else [child]:
                document.add("paragraph", _footnote(note, document))


def _add_table(table: Any, document: Document) -> None:
    own = [row for row in find_all(table, "tr") if next(row.iterancestors("{*}table", "{*}array")) is table]
    rows = [[cell for cell in child_elements(row) if local_name(cell) in ("td", "th")] for row in own]
    document.add("table", format_table(rows, lambda cell: inline_text(cell, document.cut)))


def _footnote(node: Any, document: Document) -> str:
    """The footnote of a table, its mark in front as the cells show it: "^a Measured at 25 °C." """
    if local_name(node) != "fn":
        return inline_text(node, document.cut)
    parts = [inline_text(child, document.cut) for child in child_elements(node)]
    if parts and parts[0].isalnum() and len(parts[0]) <= 2:
        parts[0] = "^" + parts[0]
    return " ".join(filter(None, parts))


def _read_list(node: Any, document: Document, level: int) -> None:
    title = _part_text(node, "title", document)
    kind = find_boilerplate_kind(title)
    if kind:
        document.cut[kind] += text_size(node)
        return
    document.add("paragraph", title)
    number = 0
    for item in child_elements(node):
        if local_name(item) in ("list-item", "def-item"):
            number += 1
            _read_item(item, document, level, list_number(number, _LIST_STYLES.get(node.get("list-type", ""), "")))
        elif local_name(item) == "def-list":
            _read_list(item, document, level)


def _read_item(item: Any, document: Document, level: int, number: str) -> None:
    """An item behind its label, or else the number that its list gives it."""
    number = _part_text(item, "label", document) or number
    start = len(document.blocks)
    if local_name(item) == "def-item":
        document.add("paragraph", ": ".join(inline_text(child, document.cut) for child in child_elements(item)))
    else:
        read_blocks(item, document, level)
    _prefix_block(document, start, number)


def _prefix_block(document: Document, start: int, text: str) -> None:
    if text and len(document.blocks) > start:
        document.blocks[start].text = f"{text} {document.blocks[start].text}"


def _read_glossary(node: Any, document: Document, level: int) -> None:
    """A glossary in the text; one without a title is a list of abbreviations, as in the back matter."""
    title = _part_text(node, "title", document)
    kind = find_boilerplate_kind(title or "Abbreviations")
    if kind:
        document.cut[kind] += text_size(node)
    else:
        document.add("paragraph", title)
        read_blocks(node, document, level)


def _read_statement(node: Any, document: Document, level: int) -> None:
    """A theorem, a proof: label and title ("Theorem 1. Rivers."), then its text."""
    title = _part_text(node, "title", document)
    document.add("paragraph", join_caption(_part_text(node, "label", document), title))
    read_blocks(node, document, level)


def _read_quotation(node: Any, document: Document, level: int) -> None:
    """A quotation or verse, its source after it."""
    document.add("paragraph", _part_text(node, "title", document))
    if not any(local_name(child) in BLOCKS for child in child_elements(node)):
        document.add("paragraph", inline_text(node, document.cut, frozenset({"title", "label", "attrib"})))
    else:
        for child in child_elements(node):
            if local_name(child) != "attrib":
                _read_block(child, document, level)
    for child in child_elements(node):
        if local_name(child) == "attrib":
            document.add("paragraph", inline_text(child, document.cut))


def _read_speech(node: Any, document: Document, level: int) -> None:
    start = len(document.blocks)
    read_blocks(node, document, level)
    _prefix_block(document, start, _part_text(node, "speaker", document))


def _read_equation(node: Any, document: Document, level: int) -> None:
    document.add("equation", tidy_line(formula_text(node, document.cut), document.cut))


_READERS = {
    "sec": read_section,
    "app": read_section,
    "boxed-text": read_section,
    "p": _read_paragraph,
    "fig": _read_figure,
    "fig-group": _read_figure,
    "table-wrap-group": _read_figure,
    "chem-struct-wrap": _read_figure,
    "media": _read_figure,
    "graphic": _read_figure,
    "table-wrap": _read_table,
    "array": lambda node, document, level: _add_table(node, document),
    "list": _read_list,
    "def-list": _read_list,
    "glossary": _read_glossary,
    "statement": _read_statement,
    "disp-quote": _read_quotation,
    "verse-group": _read_quotation,
    "speech": _read_speech,
    "disp-formula": _read_equation,
    "disp-formula-group": read_blocks,
    "alternatives": read_blocks,
}
