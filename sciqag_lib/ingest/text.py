"""Plain text -> Document; the same rules for lines serve text taken out of a PDF. Markdown goes to markdown.py.

    Growth of strain A at low temperature
    <blank line>
    Abstract
    Strain A grows at 4 °C ...
    Keywords: psychrophile; growth rate
    1. Introduction

Paragraphs are what stands between blank lines (or, without any, lines); lines broken by hand are joined, words
broken by a hyphen too. A heading is a short line without a full stop that is numbered, in capitals, marked
(Markdown) or one of the names that sections of papers have.
"""

import re
from collections import Counter

from sciqag_lib.errors import InputError
from sciqag_lib.ingest.document import Document
from sciqag_lib.ingest.front import take_front
from sciqag_lib.ingest.headings import (
    NUMBERED,
    SECTION_NAMES,
    bare_heading,
    find_boilerplate_kind,
    find_keywords_language,
    is_caption,
    is_other_abstract,
    match_abstract_line,
    match_keywords_line,
)
from sciqag_lib.ingest.pages.html import read_page
from sciqag_lib.ingest.pages.markdown import is_markdown, make_page
from sciqag_lib.ingest.running_text.inline import clean_text
from sciqag_lib.records.dois import find_doi

MAX_HEADING = 90  # characters
_STARTS_PLAIN = re.compile(r"[^\W\d_]+(?!-)\b")  # with a word that is no compound's first part


def decode_text(data: bytes) -> str:
    """A text file's content: UTF-8, or UTF-16 with its byte order mark. InputError names the first bad byte."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        found = f"0x{data[error.start]:02x}" if error.start < len(data) else "the end of the file"
        raise InputError(
            f"not valid {error.encoding} at byte {error.start} ({found}): save the file as UTF-8"
        ) from error


def read_text(data: bytes) -> Document:
    """The document of a text or Markdown file. InputError as `decode_text`."""
    text = decode_text(data).replace("\r\n", "\n").replace("\r", "\n")
    document = Document()
    if is_markdown(text):
        return read_page(make_page(text, document.cut), document)
    for lines in _split_chunks(text):
        _add_chunk(lines, document)
    take_front_matter(document)
    return document


def _split_chunks(text: str) -> list[list[str]]:
    """Runs of lines between blank lines; in a text without blank lines each line is a paragraph."""
    chunks = [chunk.split("\n") for chunk in re.split(r"\n[ \t\f\v]*(?:\n[ \t\f\v]*)+", text.strip("\n"))]
    if len(chunks) == 1 and len(chunks[0]) > 1 and not is_table(chunks[0]):
        chunks = [[line] for line in chunks[0]]
    return [[line.rstrip() for line in chunk if line.strip()] for chunk in chunks]


def _add_chunk(lines: list[str], document: Document) -> None:
    if not lines:
        return
    if is_table(lines):
        document.add("table", format_lines(lines))
        return
    if len(lines) > 1 and re.fullmatch(r"\s*(=+|-+|~+)\s*", lines[1]) and len(lines[1].strip()) > 2:  # underlined
        level = 1 if "=" in lines[1] else 2
        document.add("heading", clean_text(lines[0]), level)
        return _add_chunk(lines[2:], document)
    level = heading_level(lines[0])
    if level and (len(lines) == 1 or not lines[0].rstrip().endswith((",", "-")) and _is_certain(lines[0])):
        document.add("heading", bare_heading(lines[0]), level)
        return _add_chunk(lines[1:], document)
    document.add("caption" if is_caption(lines[0]) else "paragraph", join_lines(lines))


def is_table(lines: list[str]) -> bool:
    """Whether at least two lines, and all of them, have cells: set apart by tabs or bars."""
    return len(lines) > 1 and all(
        "\t" in line.strip() or " | " in line or line.strip().startswith("|") for line in lines
    )


def format_lines(lines: list[str]) -> str:
    rows = []
    for line in lines:
        cells = [clean_text(cell) for cell in re.split(r"\t+|\s*\|\s*", line.strip().strip("|"))]
        if any(not re.fullmatch(r"[:=-]*", cell) for cell in cells):  # not Markdown's |---|---|
            rows.append(" | ".join(cells))
    return "\n".join(rows)


def join_lines(lines: list[str], words: Counter[str] | None = None) -> str:
    """One paragraph of lines broken at the margin; a word broken by a hyphen is put together again.

    `words`, those of the whole text by `count_words`, tell a broken word from a compound.

    >>> join_lines(["The tempera-", "ture of pH-", "7 buffer"])
    'The temperature of pH-7 buffer'
    >>> join_lines(["of long-", "term effects"], count_words("long-term aims"))
    'of long-term effects'
    """
    text = ""
    for line in lines:
        line = clean_text(line)
        # "state-of-the-" and "art" are compounds whatever their words
        broken = (
            re.search(r"(?<![\w-])[^\W\d_]{2,}-$", text[-40:])
            if _STARTS_PLAIN.match(line) and line[0].islower()
            else None
        )
        if broken and not _is_compound(broken[0][:-1], re.match(r"[^\W\d_]*", line)[0], words or Counter()):
            text = text[:-1] + line
        elif line and (re.search(r"\S[-–—/]$", text) or re.match(r"[,.;:)\]]+(?:\s|$)|—\S", line)):
            text += line
        else:
            text += (" " if text else "") + line
    return text


def count_words(text: str) -> Counter[str]:
    """Words in lower case; of a compound also its first part, "long-", and its last."""
    counts: Counter[str] = Counter()
    for word in re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", text.lower()):
        counts[word] += 1
        if "-" in word:
            first, _, last = word.partition("-")
            counts.update((f"{first}-", last))
    return counts


def _is_compound(left: str, right: str, words: Counter[str]) -> bool:
    """Whether a hyphen at the end of a line belongs to the word: the text writes it so, or knows both halves."""
    if left.isupper():  # "DNA-" and "binding"
        return True
    left, right = left.lower(), right.lower()
    whole, compound = words[left + right], words[f"{left}-{right}"]
    if whole != compound:
        return compound > whole
    return len(right) > 3 and words[right] > 0 and (words[f"{left}-"] > 0 or (len(left) > 2 and words[left] > 0))


def heading_level(line: str) -> int:
    """1 for a top-level heading, 2 and more below, 0 where the line is none.

    >>> [heading_level(line) for line in ("2.1 Cell culture", "RESULTS", "The cells grew.", "## Setup", "3.5 g")]
    [2, 1, 0, 2, 0]
    """
    marks = re.match(r"(#{1,6})\s+\S", line.strip())
    if marks:
        return len(marks.group(1))
    text = line.strip().strip("*_ ")
    numbered = NUMBERED.match(text)
    level = numbered.group(1).count(".") + 1 if numbered else 1
    rest = text[numbered.end() :] if numbered else text
    if not rest[:1].isupper() or len(text) > MAX_HEADING:
        return 0
    if _is_certain(text):
        return level
    if not re.search(r"[^\W\d_]{2}", rest) or re.search(r"[=<>;,|]|[.?!\d]$", rest) or len(rest.split()) > 14:
        return 0
    if numbered and not re.fullmatch(r"[A-Z]", numbered.group(1)):  # "A. Smith" is a name
        return level
    return 2 if text.isupper() and len(rest.split()) <= 10 else 0


def _is_certain(line: str) -> bool:
    """A heading by its name or mark alone, even with text in the next line."""
    bare = bare_heading(line)
    return (
        line.lstrip().startswith("#")
        or SECTION_NAMES.fullmatch(bare) is not None
        or find_boilerplate_kind(bare) != ""
        or find_keywords_language(bare) != ""
        or is_other_abstract(bare)
    )


def take_front_matter(document: Document) -> None:
    """Title, DOI, keywords and abstract are taken out of the first blocks, authors and addresses with them."""
    blocks = document.blocks
    first = next(
        (n for n, b in enumerate(blocks[:20]) if b.kind == "heading" and SECTION_NAMES.fullmatch(b.text)), None
    )
    document.doi = document.doi or next(
        filter(None, (find_doi(block.text) for block in blocks[: (first or 3) + 3])), ""
    )
    if not document.title and first != 0 and blocks and len(blocks[0].text) <= 300 and not blocks[0].text.endswith("."):
        document.title = blocks[0].text
        document.cut["title and authors"] += len(blocks.pop(0).text)
        first = first - 1 if first else first
    # Without a section named after the title, what follows may be the text itself.
    size = sum(len(b.text) < 120 and find_doi(b.text) != "" for b in blocks[:1]) if first is None else first
    front = blocks[:size]
    lines = (match_keywords_line, match_abstract_line)
    kept = [block for block in front if len(block.text) > 400 or any(match(block.text)[0] for match in lines)]
    document.cut["title and authors"] += sum(len(block.text) for block in blocks[:size] if block not in kept)
    blocks[:size] = kept
    take_front(document, has_levels=False)
