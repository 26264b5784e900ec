"""TEI as GROBID writes it from a PDF -> Document (grobid.readthedocs.io, "TEI encoding of the results").

    <TEI xmlns="http://www.tei-c.org/ns/1.0"><teiHeader>...<idno type="DOI">10.1186/s12984-016-0129-6</idno>...
      <text><body><div><head n="2.1">Participants</head><p>Nine subjects <ref type="bibr">[3]</ref> ...</p></div>
      <figure type="table"><head>Table 1</head><figDesc>...</figDesc><table><row><cell>...

GROBID nests no divisions: the level of a heading is read off its number; where no heading has one, those that are
no usual name of a section ("Methods") stand below the last one that is.
"""

import re
from typing import Any

from sciqag_lib.ingest.document import Document
from sciqag_lib.ingest.inline import formula_text, inline_text, tidy_line
from sciqag_lib.ingest.nodes import child_elements, find_all, find_first, local_name
from sciqag_lib.ingest.tables import format_table

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
               "conflict": "competing interests", "involvement": "author contributions", "notes": "notes"}  # fmt: skip


def read_tei(root: Any) -> Document:
    """The document of a <TEI> element."""
    document = Document()
    header = find_first(root, "teiHeader")
    if header is not None:
        _read_header(header, document)
    text = next((child for child in child_elements(root) if local_name(child) == "text"), None)
    for part in child_elements(text) if text is not None else []:
        if local_name(part) in ("body", "back"):
            _read_blocks(part, document, 1)
    _nest_headings(document)
    return document


def _nest_headings(document: Document) -> None:
    headings = [block for block in document.blocks if block.kind == "heading"]
    named = [_TOP_LEVEL.fullmatch(block.text) is not None for block in headings]
    if sum(named) < 2 or any(block.level > 1 for block in headings):
        return
    for number, block in enumerate(headings):
        block.level = 2 if any(named[:number]) and not named[number] else 1


def _read_header(header: Any, document: Document) -> None:
    def first_text(path: str) -> str:
        node = find_first(header, path)
        return inline_text(node, document.cut) if node is not None else ""

    source = find_first(header, "sourceDesc")
    identifiers = find_all(source, "idno") if source is not None else []
    dois = [node for node in identifiers if node.get("type", "").upper() == "DOI"]
    document.doi = "".join(dois[0].itertext()).strip() if dois else ""
    document.title = first_text("titleStmt/title")
    journals = [node for node in find_all(header, "monogr/title") if node.get("level") == "j"]
    document.journal = inline_text(journals[0], document.cut) if journals else ""
    abstract = find_first(header, "profileDesc/abstract")
    if abstract is not None:
        lines = [inline_text(node, document.cut) for node in find_all(abstract, "p")]
        document.abstract = "\n".join(filter(None, lines)) or inline_text(abstract, document.cut)
    terms = [inline_text(node, document.cut) for node in find_all(header, "keywords/term")]
    document.keywords = list(dict.fromkeys(filter(None, terms)))


def _read_blocks(parent: Any, document: Document, level: int) -> None:
    for child in child_elements(parent):
        name = local_name(child)
        if name in ("div", "div1", "div2", "div3", "listBibl"):
            _read_division(child, document, level)
        elif name == "head":
            document.add("heading", inline_text(child, document.cut), _heading_level(child, level))
        elif name == "figure":
            _read_figure(child, document)
        elif name == "formula":
            text = re.sub(r"(?:ffi|ﬃ)(?:ffi|ﬃ)+", "√", formula_text(child, document.cut).translate(_PI_FONT))
            document.add("equation", tidy_line(text, document.cut))
        elif name == "note":
            document.cut["footnotes"] += len(inline_text(child, document.cut))
        elif name == "list":
            for item in child_elements(child):
                document.add("paragraph", inline_text(item, document.cut))
        else:
            document.add("paragraph", inline_text(child, document.cut, frozenset({"figure", "note"})))
            for figure in find_all(child, "figure"):
                _read_figure(figure, document)


def _read_division(node: Any, document: Document, level: int) -> None:
    kind = BACK_MATTER.get(node.get("type", "")) or ("references" if local_name(node) == "listBibl" else "")
    if kind:
        document.cut[kind] += len(" ".join("".join(node.itertext()).split()))
    else:
        has_head = any(local_name(child) == "head" for child in child_elements(node))
        nests = any(local_name(child).startswith("div") for child in child_elements(node))
        _read_blocks(node, document, level + 1 if has_head and nests else level)


def _heading_level(head: Any, level: int) -> int:
    number = head.get("n", "").strip().rstrip(".")
    return max(level, number.count(".") + 1) if number else level


def _read_figure(node: Any, document: Document) -> None:
    def part_text(name: str) -> str:
        parts = (child for child in child_elements(node) if local_name(child) == name)
        return " ".join(inline_text(part, document.cut) for part in parts)

    head, description = part_text("head"), part_text("figDesc")
    # GROBID cuts "Fig. 2 M-waves during ..." after the M.
    joined = head + description if description.startswith("-") else " ".join(filter(None, (head, description)))
    document.add("caption", joined)
    for table in find_all(node, "table"):
        rows = [list(child_elements(row)) for row in child_elements(table)]
        document.add("table", format_table(rows, lambda cell: inline_text(cell, document.cut)))
    for note in find_all(node, "note"):
        document.add("paragraph", inline_text(note, document.cut))
