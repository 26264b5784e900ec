"""PDF -> Document: the lines of `lines` in reading order, then the rules of plain text.

Running heads and page numbers that come back on page after page are dropped, lines are joined to paragraphs across
boxes, columns and pages, and a short line set larger or bolder than the running text is a heading. What a PDF does
not say (tables' cells, formulas) stays lines. What is dropped is counted in `document.cut`.
"""

import re
from collections import Counter

from sciqag_lib.errors import InputError
from sciqag_lib.ingest.document import Block, Document
from sciqag_lib.ingest.headings import (
    KEYWORDS_LINE,
    SECTION_NAMES,
    bare_heading,
    find_boilerplate_kind,
    is_caption,
)
from sciqag_lib.ingest.pdf.lines import Line, read_pdf_text
from sciqag_lib.ingest.pdf.scripts import drop_bracketed
from sciqag_lib.ingest.pdf.title import take_title
from sciqag_lib.ingest.text import count_words, heading_level, join_lines, take_front_matter
from sciqag_lib.records.dois import find_doi

MIN_CHARACTERS = 200  # fewer in the whole file: pages that are pictures of text
MARGIN = 0.15  # of the page: where running heads and feet are
MAX_HEADING_LINES = 3
_LAST_SECTIONS = ("references", "supporting information")  # bold lines in them open no new section
_SENTENCE_END = (".", ":", "?", "!", ".”", ".)", '."')
_FOOTNOTE = re.compile(
    r"[*∗†‡§¶#]|\d{1,2} ?[A-Z]|e-?mails?\b|correspond|received\b|accepted\b|published\b|©|copyright|to whom|edited by",
    re.IGNORECASE,
)


def read_pdf(data: bytes) -> Document:
    """The document of a PDF. InputError: broken, locked by a password, or pages without text (scans)."""
    text = read_pdf_text(data)
    characters = sum(len(line.text) for line in text.lines)
    if characters < MIN_CHARACTERS:
        pages = max(text.pages, 1)
        raise InputError(f"a PDF with no text ({characters} characters, {pages} pages): scanned? run OCR over it first")
    document = Document(cut=text.cut)
    edges = [line for line in text.lines if line.page == 0 and _at_edge(line)]
    body = find_body_size(text.lines)
    lines = _drop_running_heads(text.lines, body, document)
    take_title(lines, text.title, body, document)
    lines = _drop_footnotes(lines, body, document)
    words = count_words(" ".join(line.text for line in lines))
    _add_blocks(lines, body, words, document)
    document.blocks = _join_torn(document.blocks, words)
    _drop_citations(lines, document)
    take_front_matter(document)
    document.doi = document.doi or next(filter(None, (find_doi(line.text) for line in edges)), "")
    document.notes.append("from a PDF: tables and formulas are the lines that the PDF has")
    return document


def find_body_size(lines: list[Line]) -> float:
    """The size of the running text, in points: the commonest before the references, in lines as long as prose has."""
    end = next((n for n, line in enumerate(lines) if find_boilerplate_kind(line.text) == "references"), len(lines))
    prose = [line for line in lines[:end] if len(line.text) > 30 and not line.is_bold]
    sizes: Counter[float] = Counter()
    for line in prose if len(prose) > 2 else lines:
        sizes[line.size] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def _drop_running_heads(lines: list[Line], body: float, document: Document) -> list[Line]:
    """Without what comes back, but for its digits, on a third of the pages: at the edge, or as large as a watermark."""
    pages = max(line.page for line in lines) + 1
    seen = Counter(shape for _, shape in {(line.page, _shape(line.text)) for line in lines if _is_apart(line, body)})
    kept = []
    for line in lines:
        repeats = seen[_shape(line.text)] >= max(2, pages / 3)
        is_number = _at_edge(line) and re.fullmatch(r"(?:page )?\d+(?: of \d+)?|[ivx]+", line.text, re.IGNORECASE)
        if (_is_apart(line, body) and repeats) or is_number:
            document.cut["running heads"] += len(line.text)
        else:
            kept.append(line)
    return kept


def _is_apart(line: Line, body: float) -> bool:
    return _at_edge(line) or line.size > 2 * body


def _at_edge(line: Line) -> bool:
    return line.top < MARGIN or line.top > 1 - MARGIN


def _shape(text: str) -> str:
    return re.sub(r"\d+", "#", text.lower())


def _drop_footnotes(lines: list[Line], body: float, document: Document) -> list[Line]:
    """Without the small type at the foot of a page that begins as footnotes do; the paragraph above may go on."""
    boxes: dict[tuple[int, int], list[Line]] = {}
    for line in lines:
        boxes.setdefault((line.page, line.box), []).append(line)
    kept = []
    for box in boxes.values():
        is_small = all(line.size < body - 0.7 for line in box)
        if is_small and box[0].top > 0.6 and _FOOTNOTE.match(box[0].text):
            document.cut["footnotes"] += sum(len(line.text) for line in box)
        else:
            kept += box
    return kept


def _add_blocks(lines: list[Line], body: float, words: Counter[str], document: Document) -> None:
    paragraph: list[Line] = []
    headings: list[tuple[Block, Line]] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        length = _heading_length(lines, number, body)
        if length:
            _end_paragraph(paragraph, words, document)
            heading = join_lines([part.text for part in lines[number : number + length]], words)
            document.add("heading", bare_heading(heading), _line_level(line, body))
            headings.append((document.blocks[-1], line))
        else:
            if paragraph and not _continues(paragraph, line):
                _end_paragraph(paragraph, words, document)
            paragraph.append(line)
        number += length or 1
    _end_paragraph(paragraph, words, document)
    _set_levels(headings)


def _set_levels(headings: list[tuple[Block, Line]]) -> None:
    """Levels of headings without numbers by the size of their type, where names of sections show the first level's."""
    names = Counter(line.size for block, line in headings if SECTION_NAMES.fullmatch(block.text))
    if not names:
        return
    main = names.most_common(1)[0][0]
    smaller = sorted({line.size for _, line in headings if line.size < main - 0.3}, reverse=True)
    for block, line in headings:
        kind = find_boilerplate_kind(block.text)
        if heading_level(line.text) > 1 or bare_heading(line.text) != line.text.rstrip(" :.") or kind in _LAST_SECTIONS:
            continue
        if line.size in smaller:
            block.level = min(2 + smaller.index(line.size), 3)
        elif not SECTION_NAMES.fullmatch(block.text):
            block.level = 1 if smaller else 2


def _heading_length(lines: list[Line], number: int, body: float) -> int:
    """How many lines the heading at `number` has, 0 for text. More lines in one type than headings have are text."""
    first = lines[number]
    if not _line_level(first, body):
        return 0
    run = 1
    while number + run < len(lines) and _same_type(lines[number + run - 1], lines[number + run]):
        run += 1
    if _is_name(first.text):
        right = max(line.x1 for line in lines[number : number + run])
        is_full = run > 1 and first.x1 > right - 4 * first.size
        return 0 if is_full and not _stands_out(first, body) else 1  # "Ethical approval was granted by the" is text
    before = lines[number - 1] if number else None
    is_inside = before is not None and (before.page, before.box) == (first.page, first.box)
    if run > MAX_HEADING_LINES or (is_inside and _is_torn(before, first)):
        return 0
    length = 1
    while length < run and len(lines[number + length - 1].text) > 25 and _is_second(lines[number + length], body):
        length += 1
    return length


def _is_torn(before: Line, line: Line) -> bool:
    """Whether a bold line follows a line of the same size that ends in the middle of a sentence."""
    return before.size == line.size and before.text.endswith((",", "-")) and not before.is_bold


def _is_second(line: Line, body: float) -> bool:
    """Whether a line in a heading's type goes on with the heading."""
    return not _is_name(line.text) and bare_heading(line.text) == line.text.rstrip(" :.") and len(line.text) < 90


def _same_type(line: Line, other: Line) -> bool:
    """Whether a line is set like the one before it and follows it closely."""
    is_near = line.box == other.box or (0 < other.top - line.top < 0.03 and other.x0 < line.x1 and other.x1 > line.x0)
    return (line.page, line.size, line.is_bold) == (other.page, other.size, other.is_bold) and is_near


def _is_name(text: str) -> bool:
    name = bare_heading(text)
    return SECTION_NAMES.fullmatch(name) is not None or find_boilerplate_kind(name) != ""


def _stands_out(line: Line, body: float) -> bool:
    return line.is_bold or line.size > body + 0.7


def _line_level(line: Line, body: float) -> int:
    """The level of a heading; 0 for text. A line set like the text must be a name that sections have."""
    level = heading_level(line.text)
    stands_out = _stands_out(line, body)
    if _is_name(line.text):
        return level or (1 if stands_out else 0)
    if not stands_out or is_caption(line.text) or not re.search(r"[^\W\d_]{3}", line.text):
        return 0
    if level:
        return level
    is_label = line.is_bold and len(line.text) <= 60 and line.text.count(".") == 1  # "Statistical methods." on its line
    is_closed = len(line.text) <= 90 and (is_label or not line.text.endswith((".", ",", ";", "-")))
    is_begun = line.text[0].isupper() or re.match(r"\d-[a-z]", line.text) is not None  # "2-way networks"
    return 2 if is_closed and is_begun and line.size >= body - 0.2 else 0


def _continues(paragraph: list[Line], line: Line) -> bool:
    """Whether a line goes on with the paragraph: in its box not indented, or in the next box mid-sentence."""
    last = paragraph[-1]
    if is_caption(line.text) or abs(line.size - last.size) > 1:
        return False
    ended = last.text.endswith(_SENTENCE_END)
    if (line.page, line.box) == (last.page, last.box):
        indented = line.x0 > last.x0 + 0.8 * line.size
        return not (ended and (indented or last.x1 < max(part.x1 for part in paragraph) - 4 * line.size))
    # The next column or page: a sentence that goes on starts no new one. Captions end with their box.
    if ended or is_caption(paragraph[0].text) or len(last.text) <= 25:
        return False
    is_full = len(paragraph) > 1 and last.x1 > max(part.x1 for part in paragraph) - line.size
    is_same = line.size == last.size and line.is_bold == last.is_bold
    return line.text[:1].islower() or (is_full and is_same and re.match(r"[\w(“‘]", line.text) is not None)


def _end_paragraph(paragraph: list[Line], words: Counter[str], document: Document) -> None:
    if len(paragraph) > 1 and sum(_is_row(line.text) for line in paragraph) > len(paragraph) / 2:
        document.add("table", "\n".join(line.text for line in paragraph))
    elif paragraph:
        text = re.sub(
            r" (?:\(\s?\)|\[\s?\])", "", join_lines([line.text for line in paragraph], words)
        )  # held citations
        lead = _find_run_in(paragraph[0], text, document)
        if lead:
            document.add("heading", bare_heading(lead), 3)
            text = text[len(lead) :].lstrip(" .:—–")
        document.add("caption" if is_caption(text) else "paragraph", text)
    paragraph.clear()


def _find_run_in(line: Line, text: str, document: Document) -> str:
    """The bold words that a paragraph begins with, where they are a heading: "Study area. The river ...", else ""."""
    lead = line.lead
    rest = text[len(lead) :].lstrip(" .:—–")
    is_body = any(block.kind == "heading" and block.text.lower() != "abstract" for block in document.blocks)
    is_label = is_caption(text) or KEYWORDS_LINE.match(text) or re.match(r"(?:abstract|summary)\b", text, re.IGNORECASE)
    is_closed = lead.endswith(".") or text[len(lead) :].lstrip()[:1] in tuple(".—–")
    if not is_body or is_label or not is_closed or not text.startswith(lead) or not rest[:1].isupper():
        return ""
    return lead if lead[:1].isupper() and 4 < len(lead) <= 90 and len(rest) > 40 else ""


def _drop_citations(lines: list[Line], document: Document) -> None:
    """Citations in square brackets go from the text where the reference list is numbered."""
    highest = _count_references(lines)
    for block in document.blocks:
        if find_boilerplate_kind(block.text) == "references":
            return
        if highest and block.kind in ("paragraph", "caption"):
            block.text = drop_bracketed(block.text, highest, document.cut)


def _count_references(lines: list[Line]) -> int:
    """The highest number of a numbered reference list; 0 where there is none, or where its numbers leap."""
    start = next((n for n, line in enumerate(lines) if find_boilerplate_kind(line.text) == "references"), len(lines))
    highest = 0
    for line in lines[start:]:
        number = re.match(r"\[?(\d{1,3})(?:\]|\.)", line.text)
        if number and highest < int(number[1]) <= highest + 5:
            highest = int(number[1])
    return highest if highest > 2 else 0


def _is_row(text: str) -> bool:
    """A line of a table: mostly numbers."""
    words = [word for word in text.split() if word != "|"]
    return len(words) > 2 and sum(re.search(r"\d", word) is not None for word in words) >= 0.6 * len(words)


def _join_torn(blocks: list[Block], words: Counter[str]) -> list[Block]:
    """Paragraphs torn by a table or caption between their halves, put together before it."""
    kept: list[Block] = []
    for block in blocks:
        torn = _find_torn(kept) if block.kind == "paragraph" and block.text[:1].islower() else None
        if torn:
            torn.text = join_lines([torn.text, block.text], words)
        else:
            kept.append(block)
    return kept


def _find_torn(blocks: list[Block]) -> Block | None:
    """The last paragraph, where only captions and tables follow it and its last sentence is open."""
    for block in reversed(blocks[-8:]):
        if block.kind == "paragraph":
            is_open = len(block.text) > 60 and not block.text.endswith(_SENTENCE_END)
            return block if is_open else None
        if block.kind == "heading":
            return None
    return None
