"""TEI as GROBID writes it from a PDF -> Document (grobid.readthedocs.io, "TEI encoding of the results").

    <TEI xmlns="http://www.tei-c.org/ns/1.0"><teiHeader>...<idno type="DOI">10.1186/s12984-016-0129-6</idno>...
      <text><body><div><head n="2.1">Participants</head><p>Nine subjects <ref type="bibr">[3]</ref> ...</p></div>
      <figure type="table"><head>Table 1</head><figDesc>...</figDesc><table><row><cell>...

GROBID nests no divisions: the level of a heading is read off its number; where no heading has one, those that are
no usual name of a section ("Methods") stand below the last one that is. TEI by other hands is read too: nested
divisions, tables and lists in the text, line and page breaks, footnotes in their places.
"""

import re
from typing import Any

from sciqag_lib.ingest.document import Document, cut_boilerplate, join_abstract
from sciqag_lib.ingest.headings import split_keywords
from sciqag_lib.ingest.running_text.captions import cut_object_doi, drop_object_doi, join_cut_label
from sciqag_lib.ingest.running_text.inline import formula_text, inline_text, list_number, tidy_line
from sciqag_lib.ingest.running_text.nodes import (
    child_elements,
    child_named,
    find_all,
    find_first,
    local_name,
    own_language,
    text_size,
)
from sciqag_lib.ingest.running_text.tables import format_table
from sciqag_lib.ingest.xml.keyword_groups import KeywordGroup, choose_keywords

# What a formula set in the font MathematicalPi becomes in the text of a PDF.
_PI_FONT = str.maketrans({"¼": "=", "þ": "+", "ð": "(", "Þ": ")"})
# Headings that are never below another; "Experimental setup" and the like may be.
_TOP_LEVEL = re.compile(
    r"introduction|background|(?:(?:materials?|patients?|subjects?) (?:and|&) )?methods?|conclusions?|limitations"
    r"|results?(?: (?:and|&) discussion)?|discussion(?: (?:and|&) conclusions?)?",
    re.IGNORECASE,
)
# Back matter by the type of its division; "annex" may be an appendix and is judged by its headings.
BACK_MATTER = {"acknowledgement": "acknowledgements", "references": "references", "funding": "funding",
               "availability": "data availability", "contribution": "author contributions",
               "conflict": "competing interests", "involvement": "author contributions", "notes": "notes",
               "acknowledgements": "acknowledgements", "acknowledgments": "acknowledgements", "ack": "acknowledgements",
               "bibliography": "references", "bibliographie": "references"}  # fmt: skip
_DIVISIONS = {"div", "div1", "div2", "div3", "div4", "div5", "div6", "div7", "listBibl"}
# Elements that a paragraph or a quotation may hold and that are paragraphs of their own.
_BLOCKS = _DIVISIONS | {"p", "ab", "figure", "table", "list", "lg", "quote", "cit", "sp", "floatingText", "note"}
_INLINE_QUOTES = {"quote", "cit"}


def read_tei(root: Any) -> Document:
    """The document of a <TEI> element."""
    document = Document()
    _part_sentences(root)
    _join_lines(root)
    header = find_first(root, "teiHeader")
    text = child_named(root, "text")
    language = own_language(text if text is not None else root) or own_language(root)
    if header is not None:
        _read_header(header, document, language)
    if text is not None:
        _read_text(text, document)
    _nest_headings(document)
    return document


def _part_sentences(root: Any) -> None:
    """White space around sentences, which GROBID writes without it: <s>One.</s><s>Two.</s>"""
    for node in root.iter("{*}s", "{*}seg"):
        if local_name(node) == "s" or node.get("type", "").lower() in ("s", "sentence"):
            node.text, node.tail = f" {node.text or ''}", f" {node.tail or ''}"


def _join_lines(root: Any) -> None:
    """Line, column and page breaks as white space, or as nothing where they part a word: "exam-<lb/>ple"."""
    for node in root.iter("{*}lb", "{*}pb", "{*}cb"):
        previous, parent = node.getprevious(), node.getparent()
        before = ((parent.text if previous is None else previous.tail) or "").rstrip()
        after = (node.tail or "").lstrip()
        is_hyphenated = before[-1:] in ("-", "‐", "\u00ad") and before[-2:-1].isalpha() and after[:1].islower()
        if node.get("break") != "no" and not is_hyphenated:
            node.tail = " " + (node.tail or "")
        else:
            node.tail, joined = after, before.rstrip("-‐\u00ad")
            if previous is None:
                parent.text = joined
            else:
                previous.tail = joined
        node.tag = "milestone"


def _read_text(text: Any, document: Document) -> None:
    for part in child_elements(text):
        if local_name(part) in ("body", "back"):
            _read_blocks(part, document, 1)
        elif local_name(part) == "front":
            _read_front(part, document)
        elif local_name(part) == "group":
            for inner in child_elements(part):
                _read_text(inner, document)


def _read_front(front: Any, document: Document) -> None:
    """Title page and the like; an abstract is taken where the header has none."""
    abstracts = [node for node in find_all(front, "div") if node.get("type", "").lower() in ("abstract", "summary")]
    language = own_language(front.getparent())
    abstracts.sort(key=lambda node: own_language(node) not in ("", language))
    size = text_size(front)
    if abstracts and not document.abstract:
        document.abstract = _read_abstract(abstracts[0], document)
        size -= text_size(abstracts[0])
    if size:
        document.cut["front matter"] += size


def _nest_headings(document: Document) -> None:
    headings = [block for block in document.blocks if block.kind == "heading"]
    named = [_TOP_LEVEL.fullmatch(block.text) is not None for block in headings]
    if sum(named) < 2 or any(block.level > 1 for block in headings):
        return
    for number, block in enumerate(headings):
        block.level = 2 if any(named[:number]) and not named[number] else 1


def _read_header(header: Any, document: Document, language: str) -> None:
    def first_text(path: str) -> str:
        node = find_first(header, path)
        return inline_text(node, document.cut) if node is not None else ""

    source = find_first(header, "sourceDesc")
    identifiers = find_all(source, "idno") if source is not None else []
    dois = [node for node in [*identifiers, *find_all(header, "idno")] if node.get("type", "").upper() == "DOI"]
    document.doi = "".join(dois[0].itertext()).strip() if dois else ""
    document.title = first_text("titleStmt/title") or first_text("analytic/title")
    journals = [node for node in find_all(header, "monogr/title") if node.get("level") == "j"]
    document.journal = inline_text(journals[0], document.cut) if journals else ""
    abstracts = find_all(header, "profileDesc/abstract")
    abstracts.sort(key=lambda node: own_language(node) not in ("", language))
    if abstracts:
        document.abstract = _read_abstract(abstracts[0], document)
    for other in abstracts[1:]:
        document.cut["other abstracts"] += text_size(other)
    groups = [_read_keywords(node, document) for node in find_all(header, "keywords")]
    document.keywords = choose_keywords(groups, language, document.cut)


def _read_abstract(abstract: Any, document: Document) -> str:
    part = Document(cut=document.cut)
    _read_blocks(abstract, part, 1)
    for block in part.blocks:
        block.text = cut_object_doi(block.text, document.cut)
    return join_abstract([block for block in part.blocks if block.text]) or inline_text(abstract, document.cut)


def _read_keywords(node: Any, document: Document) -> KeywordGroup:
    head = child_named(node, "head")
    title = f"{inline_text(head, document.cut) if head is not None else ''} ({node.get('scheme', '')})"
    words = [inline_text(word, document.cut) for word in node.iterdescendants("{*}term", "{*}item")]
    return KeywordGroup(own_language(node), title, "", words or split_keywords(inline_text(node, document.cut)))


def _read_blocks(parent: Any, document: Document, level: int) -> None:
    below = level + (child_named(parent, "head") is not None)
    for child in child_elements(parent):
        name = local_name(child)
        if name in _DIVISIONS:
            _read_division(child, document, below)
        elif name == "head":
            document.add("heading", inline_text(child, document.cut), _heading_level(child, level))
        elif name == "formula":
            text = re.sub(r"(?:ffi|ﬃ)(?:ffi|ﬃ)+", "√", formula_text(child, document.cut).translate(_PI_FONT))
            document.add("equation", tidy_line(text, document.cut))
        else:
            _read_block(child, document, level)


def _read_block(node: Any, document: Document, level: int) -> None:
    name = local_name(node)
    if name == "figure":
        _read_figure(node, document, level)
    elif name == "table":
        head = child_named(node, "head")
        document.add("caption", join_cut_label("", inline_text(head, document.cut) if head is not None else ""))
        _add_table(node, document)
    elif name == "note":
        document.cut["footnotes"] += text_size(node)
    elif name == "list":
        _read_list(node, document, level)
    else:
        _read_paragraph(node, document, level)


def _read_paragraph(node: Any, document: Document, level: int) -> None:
    """A paragraph, the blocks inside it after its text; an element without text of its own is read part by part."""
    loose = [node.text, *(child.tail for child in node)]
    inside = [child for child in child_elements(node) if _is_block(child)]
    if inside and not any((text or "").strip() for text in loose):
        _read_blocks(node, document, level)
        return
    text = inline_text(node, document.cut, frozenset(local_name(child) for child in inside))
    document.add("paragraph", drop_object_doi(text, document.cut))
    for child in inside:
        _read_blocks(child, document, level) if local_name(child) in _DIVISIONS else _read_block(child, document, level)


def _is_block(node: Any) -> bool:
    name = local_name(node)
    holds_blocks = any(local_name(child) in _BLOCKS for child in child_elements(node))
    return holds_blocks if name in _INLINE_QUOTES else name in _BLOCKS


def _read_division(node: Any, document: Document, level: int) -> None:
    kind = BACK_MATTER.get(node.get("type", "").lower()) or ("references" if local_name(node) == "listBibl" else "")
    if kind:
        document.cut[kind] += text_size(node)
        return
    part = Document(cut=document.cut)
    _read_blocks(node, part, level)
    if any(local_name(sibling) in ("p", "ab", "list") for sibling in node.itersiblings()):
        cut_boilerplate(part)  # what follows belongs to the division around
    document.blocks += part.blocks


def _heading_level(head: Any, level: int) -> int:
    number = head.get("n", "").strip().rstrip(".")
    return max(level, number.count(".") + 1) if number else level


def _read_list(node: Any, document: Document, level: int) -> None:
    is_numbered = {node.get("type"), node.get("rend")} & {"ordered", "numbered"}
    number, label = 0, ""
    for child in child_elements(node):
        if local_name(child) == "label":
            label = inline_text(child, document.cut)
        elif local_name(child) == "item":
            number += 1
            label = label or list_number(number, "1" if is_numbered else "")
            start = len(document.blocks)
            _read_paragraph(child, document, level)
            if label and len(document.blocks) > start:
                document.blocks[start].text = f"{label} {document.blocks[start].text}"
            label = ""
        else:
            document.add("paragraph", inline_text(child, document.cut))


def _read_figure(node: Any, document: Document, level: int) -> None:
    def part_text(name: str) -> str:
        parts = (child for child in child_elements(node) if local_name(child) == name)
        return " ".join(inline_text(part, document.cut) for part in parts)

    # GROBID repeats the number of the head as a label.
    description = cut_object_doi(part_text("figDesc"), document.cut)
    document.add("caption", join_cut_label(part_text("head") or part_text("label"), description))
    for child in child_elements(node):
        name = local_name(child)
        if name == "table":
            _add_table(child, document)
        elif name == "note":  # of a table
            document.add("paragraph", inline_text(child, document.cut))
        elif name not in ("head", "label", "figDesc", "graphic", "binaryObject"):
            _read_block(child, document, level)


def _add_table(table: Any, document: Document) -> None:
    rows = [
        [cell for cell in child_elements(row) if local_name(cell) == "cell"]
        for row in child_elements(table)
        if local_name(row) == "row"
    ]
    document.add("table", format_table(rows, lambda cell: inline_text(cell, document.cut)))
    for note in child_elements(table):
        if local_name(note) == "note":
            document.add("paragraph", inline_text(note, document.cut))
