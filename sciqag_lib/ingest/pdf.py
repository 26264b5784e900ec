"""PDF -> Document: text boxes in reading order by pdfminer.six (MIT), then the rules of plain text.

pdfminer groups lines into boxes and orders them column by column. Here: running heads and page numbers that come
back on page after page are dropped, lines are joined to paragraphs across boxes and pages, and a short line set
larger or bolder than the text is a heading. What a PDF does not say (tables' cells, formulas) stays lines.
"""

import io
import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sciqag_lib.errors import InputError
from sciqag_lib.ingest.document import Document, find_boilerplate_kind
from sciqag_lib.ingest.inline import clean_text
from sciqag_lib.ingest.text import SECTION_NAMES, bare_heading, heading_level, is_caption, join_lines, take_front_matter

MIN_CHARACTERS = 200  # fewer in the whole file: pages that are pictures of text
MARGIN = 0.15  # of the page: where running heads and feet stand
_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})


@dataclass
class Line:
    text: str
    size: float  # points, the commonest of its characters
    is_bold: bool
    page: int
    box: int  # lines of one box are one paragraph, or part of one
    x0: float
    x1: float
    top: float  # 0 at the upper edge of the page, 1 at the lower one


def read_pdf(data: bytes) -> Document:
    """The document of a PDF. InputError: broken, locked by a password, or pages without text (scans)."""
    lines = list(_read_lines(data))
    characters = sum(len(line.text) for line in lines)
    if characters < MIN_CHARACTERS:
        pages = max((line.page for line in lines), default=0) + 1
        raise InputError(f"a PDF with no text ({characters} characters, {pages} pages): scanned? run OCR over it first")
    document = Document()
    lines = _drop_running_heads(lines, document)
    _take_title(lines, document)
    _add_blocks(lines, document)
    take_front_matter(document)
    document.notes.append("from a PDF: tables and formulas are the lines that the PDF has")
    return document


def _read_lines(data: bytes) -> Iterator[Line]:
    from pdfminer.high_level import extract_pages
    from pdfminer.layout import LAParams
    from pdfminer.pdfdocument import PDFEncryptionError, PDFPasswordIncorrect

    logging.getLogger("pdfminer").setLevel(logging.ERROR)  # it warns of every odd font
    try:
        for number, page in enumerate(extract_pages(io.BytesIO(data), laparams=LAParams())):
            yield from _read_page(page, number)
    except (PDFPasswordIncorrect, PDFEncryptionError) as error:
        raise InputError("an encrypted PDF: save it without its password first") from error
    except InputError:
        raise
    except Exception as error:  # pdfminer lets KeyError, TypeError, struct.error... through for a broken file
        raise InputError(f"a PDF that cannot be read ({type(error).__name__}: {error!s:.100}): repair it") from error


def _read_page(page: Any, number: int) -> Iterator[Line]:
    from pdfminer.layout import LTTextBox, LTTextLine

    for box_number, box in enumerate(item for item in page if isinstance(item, LTTextBox)):
        for line in (item for item in box if isinstance(item, LTTextLine)):
            text = clean_text(line.get_text().translate(_LIGATURES).replace("\u00a0", " "))
            if text:
                size, bold = _find_font(line)
                top = 1 - (line.y1 - page.y0) / max(page.height, 1)
                yield Line(text, size, bold, number, box_number, line.x0, line.x1, top)


def _find_font(line: Any) -> tuple[float, bool]:
    from pdfminer.layout import LTChar

    fonts = Counter((round(char.size, 1), char.fontname) for char in line if isinstance(char, LTChar))
    if not fonts:
        return 0.0, False
    size, name = fonts.most_common(1)[0][0]
    return size, re.search(r"bold|black|heavy|semibold|-bd|\.b\b|cmbx|nimbusromno9l-medi", name.lower()) is not None


def _drop_running_heads(lines: list[Line], document: Document) -> list[Line]:
    """Lines at the edge of the page that come back, but for their digits, on a third of the pages; page numbers."""
    pages = max(line.page for line in lines) + 1
    seen: Counter[str] = Counter()
    for line in {(line.page, _shape(line.text)): line for line in lines if _at_edge(line)}.values():
        seen[_shape(line.text)] += 1
    kept = []
    for line in lines:
        repeats = seen[_shape(line.text)] >= max(2, pages / 3) or re.fullmatch(
            r"(?:page )?\d+(?: of \d+)?|[ivx]+", line.text, re.IGNORECASE
        )
        if _at_edge(line) and repeats:
            document.cut["running heads"] += len(line.text)
        else:
            kept.append(line)
    return kept


def _at_edge(line: Line) -> bool:
    return line.top < MARGIN or line.top > 1 - MARGIN


def _shape(text: str) -> str:
    return re.sub(r"\d+", "#", text.lower())


def _take_title(lines: list[Line], document: Document) -> None:
    """The largest lines of the first page's upper half, which are removed from `lines`."""
    upper = [line for line in lines if line.page == 0 and line.top < 0.5 and len(line.text) > 3]
    size = max((line.size for line in upper), default=0)
    title = [line for line in upper if line.size > size - 0.5]
    if size > _body_size(lines) + 1 and sum(len(line.text) for line in title) < 400:
        document.title = join_lines([line.text for line in title])
        for line in title:
            lines.remove(line)


def _body_size(lines: list[Line]) -> float:
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[line.size] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def _add_blocks(lines: list[Line], document: Document) -> None:
    body = _body_size(lines)
    paragraph: list[Line] = []
    for line in lines:
        level = _line_level(line, body)
        if level:
            _end_paragraph(paragraph, document)
            document.add("heading", bare_heading(line.text), level)
        elif paragraph and not _continues(paragraph, line):
            _end_paragraph(paragraph, document)
            paragraph.append(line)
        else:
            paragraph.append(line)
    _end_paragraph(paragraph, document)


def _end_paragraph(paragraph: list[Line], document: Document) -> None:
    if len(paragraph) > 1 and sum(_is_row(line.text) for line in paragraph) > len(paragraph) / 2:
        document.add("table", "\n".join(line.text for line in paragraph))
    elif paragraph:
        text = join_lines([line.text for line in paragraph])
        document.add("caption" if is_caption(text) else "paragraph", text)
    paragraph.clear()


def _is_row(text: str) -> bool:
    """A line of a table: mostly numbers."""
    words = [word for word in text.split() if word != "|"]
    return len(words) > 2 and sum(re.search(r"\d", word) is not None for word in words) >= 0.6 * len(words)


def _continues(paragraph: list[Line], line: Line) -> bool:
    """Whether a line goes on with the paragraph: in its box not indented, or in the next box mid-sentence."""
    last = paragraph[-1]
    if is_caption(line.text) or abs(line.size - last.size) > 1:
        return False
    ended = last.text.endswith((".", ":", "?", "!", ".”", ".)"))
    if (line.page, line.box) == (last.page, last.box):
        indented = line.x0 > last.x0 + 0.8 * line.size
        return not (ended and (indented or last.x1 < max(part.x1 for part in paragraph) - 4 * line.size))
    # The next column or page: a sentence that goes on starts no new one. Captions end with their box.
    return not ended and not is_caption(paragraph[0].text) and len(last.text) > 25 and line.text[:1].islower()


def _line_level(line: Line, body: float) -> int:
    """The level of a heading; 0 for text. A line set like the text must be a name that sections have."""
    level = heading_level(line.text)
    name = bare_heading(line.text)
    stands_out = line.is_bold or line.size > body + 0.7
    if SECTION_NAMES.fullmatch(name) or find_boilerplate_kind(name):
        return level or (1 if stands_out else 0)
    if not stands_out or is_caption(line.text) or not re.search(r"[^\W\d_]{3}", line.text):
        return 0
    if level:
        return level
    short = len(line.text) <= 90 and not line.text.endswith((".", ",", ";", "-")) and line.text[0].isupper()
    return 2 if short and line.size >= body - 0.2 else 0
