"""What every reader makes of a file, and how it becomes a Paper: boilerplate cut, text put together, sections found.

A reader fills a Document with blocks in reading order; nothing here knows a file format:

    Block("heading", "Methods", level=1), Block("paragraph", "Cells were grown at 37 °C."),
    Block("caption", "Table 1. Growth rates."), Block("table", "strain | rate\\nA | 0.3")

`txt` is the blocks' texts, one a line (a table's rows one a line each). Sections partition it: each runs from
its heading to the line before the next one; text before the first heading is a section titled "".
"""

import re
from collections import Counter
from dataclasses import dataclass, field

from sciqag_lib.ingest.headings import find_abstract_language, find_boilerplate_kind
from sciqag_lib.records.papers import Paper, Section


@dataclass
class Block:
    kind: str  # "heading", "paragraph", "caption", "table" or "equation"
    text: str  # one line; a table has one a row
    level: int = 0  # of a heading: 1 is a top-level section
    group: int = 0  # other than 0: of an element that holds an abstract and nothing else


@dataclass
class Document:
    title: str = ""
    doi: str = ""
    abstract: str = ""
    journal: str = ""
    license: str = ""  # "CC BY", "public domain" or the first words of what the paper says
    keywords: list[str] = field(default_factory=list)
    article_type: str = ""  # JATS's article-type, "" where the format has none
    blocks: list[Block] = field(default_factory=list)
    cut: Counter[str] = field(default_factory=Counter)  # characters removed, by kind
    notes: list[str] = field(default_factory=list)  # what a person should know, "2 formulas are images"

    def add(self, kind: str, text: str, level: int = 0) -> None:
        """Append a block; a text of nothing but white space is no block."""
        if text.strip():  # a table's first and last cell may be empty: its line ends are kept
            self.blocks.append(Block(kind, text.strip("\n") if kind == "table" else text.strip(), level))


# What PLOS Medicine's abstracts end with.
_POINTER = re.compile(r"please see later in the article for the editors['’]? summary", re.IGNORECASE)


def cut_boilerplate(document: Document) -> None:
    """Remove sections that are no part of the paper's text, with their subsections; their size goes to `cut`."""
    kept: list[Block] = []
    kind, level = "", 0  # of the section being cut
    for block in document.blocks:
        if block.kind == "heading" and (not kind or block.level <= level):
            kind, level = find_boilerplate_kind(block.text), block.level
        if kind:
            document.cut[kind] += len(block.text)
        else:
            kept.append(block)
    document.blocks = _drop_empty_headings(kept)


def _drop_empty_headings(blocks: list[Block]) -> list[Block]:
    """Without headings under which nothing is left, neither text nor a deeper heading with text."""
    kept: list[Block] = []
    for block in reversed(blocks):
        following = kept[-1] if kept else None
        if block.kind == "heading":
            if following is None or (following.kind == "heading" and following.level <= block.level):
                continue
        kept.append(block)
    return kept[::-1]


def join_abstract(blocks: list[Block]) -> str:
    """An abstract's text, headings before their first paragraphs ("Methods: ..."), without pointers to elsewhere."""
    lines: list[str] = []
    heading = ""
    for block in blocks:
        if block.kind == "heading":
            heading = "" if find_abstract_language(block.text) else block.text.rstrip(".: ")
        elif not _POINTER.match(block.text):
            lines.append(f"{heading}: {block.text}" if heading else block.text)
            heading = ""
    return "\n".join(lines)


def make_paper(document: Document, source: str) -> Paper:
    """The Paper of a document as it stands; keywords are the paper's own, `doi` is empty where none was found."""
    txt, sections = join_blocks(document.blocks)
    return Paper(
        doi=document.doi,
        txt=txt,
        keywords=document.keywords,
        source=source,
        abstract=document.abstract,
        title=document.title,
        journal=document.journal,
        license=document.license,
        sections=sections,
    )


def join_blocks(blocks: list[Block]) -> tuple[str, list[Section]]:
    """The text, one block after the other, and the sections that partition it, titled "Methods / Cell culture"."""
    lines: list[str] = []
    sections: list[Section] = []
    path: list[tuple[int, str]] = []  # the open headings, outermost first, with their levels
    offset = 0
    for block in blocks:
        if block.kind == "heading":
            path = [(level, title) for level, title in path if level < block.level] + [(block.level, block.text)]
        if block.kind == "heading" or not sections:
            sections.append(Section(" / ".join(title for _, title in path), offset, offset))
        lines.append(block.text)
        sections[-1].end = offset + len(block.text)
        offset += len(block.text) + 1
    return "\n".join(lines), sections
