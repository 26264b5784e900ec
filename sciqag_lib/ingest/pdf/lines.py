"""PDF -> lines of text in reading order, by pdfminer.six (MIT): characters chosen, laid out, scripts written out.

    Line("Oxygen fell in August.", size=10.0, is_bold=False, page=0, box=3, x0=72.0, x1=176.0, top=0.32, lead="")

Text in Form XObjects belongs to the page where a form is a page of its own (stamped or imposed files) or holds prose;
labels inside figures do not. Text set at an angle is a stamp or a watermark, unless most of the page is turned.
"""

import io
import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sciqag_lib.errors import InputError
from sciqag_lib.ingest.pdf.scripts import Run, join_runs
from sciqag_lib.ingest.running_text.inline import clean_text

PAGE_SHARE = 0.4  # of the page's area: a form that covers it may be the page (two pages on one sheet cover half each)
GUTTER = 1.2  # of the type's size: a wider gap parts two columns or cells, a narrower one is a justified line's
WIDE_GAP = 4  # of the type's size: the widest gap between two words of one line
LINE_OVERLAP = 0.3  # of a character's height, with the one before it: raised numbers are on the line
PROSE_WORDS = 6  # words in a line: labels of axes have fewer
_BOLD = re.compile(r"bold|black|heavy|semibold|-bd|\.b\b|cmbx|nimbusromno9l-medi")
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\u00a0": " "}
)


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
    lead: str = ""  # the bold words that a line of ordinary type begins with


@dataclass
class PdfText:
    lines: list[Line]
    title: str  # as the file's metadata have it, "" where they have none
    pages: int
    cut: Counter[str]  # characters removed, by kind


def read_pdf_text(data: bytes) -> PdfText:
    """The lines of a PDF. InputError: broken, or locked by a password."""
    from pdfminer.pdfdocument import PDFEncryptionError, PDFPasswordIncorrect

    logging.getLogger("pdfminer").setLevel(logging.ERROR)  # it warns of every odd font
    text = PdfText([], "", 0, Counter())
    try:
        for page in _read_pages(data, text):
            text.lines += _read_lines(page, text.pages, text.cut)
            text.pages += 1
    except (PDFPasswordIncorrect, PDFEncryptionError) as error:
        raise InputError("an encrypted PDF: save it without its password first") from error
    except Exception as error:  # pdfminer lets KeyError, TypeError, struct.error... through for a broken file
        raise InputError(f"a PDF that cannot be read ({type(error).__name__}: {error!s:.100}): repair it") from error
    return text


def _read_pages(data: bytes, text: PdfText) -> Iterator[Any]:
    """The pages, laid out; the title of the metadata goes to `text`."""
    from pdfminer.pdfdocument import PDFDocument
    from pdfminer.pdfinterp import PDFPageInterpreter, PDFResourceManager
    from pdfminer.pdfpage import PDFPage
    from pdfminer.pdfparser import PDFParser

    document = PDFDocument(PDFParser(io.BytesIO(data)))
    text.title = _read_title(document.info)
    manager = PDFResourceManager()
    device = _make_device(manager)
    interpreter = PDFPageInterpreter(manager, device)
    for page in PDFPage.create_pages(document):
        interpreter.process_page(page)
        yield _lay_out(device.get_result(), text.cut)


def _read_title(infos: list[dict[str, Any]]) -> str:
    from pdfminer.pdftypes import resolve1
    from pdfminer.utils import decode_text

    titles = (resolve1(info.get("Title")) for info in infos)
    return next((clean_text(decode_text(title)) for title in titles if isinstance(title, bytes) and title.strip()), "")


def _make_device(manager: Any) -> Any:
    """A device that keeps where each character's baseline is, raised by its rise."""
    from pdfminer.converter import PDFPageAggregator

    class Device(PDFPageAggregator):
        def render_char(
            self, matrix: Any, font: Any, fontsize: float, scaling: float, rise: float, *rest: Any
        ) -> float:
            advance = super().render_char(matrix, font, fontsize, scaling, rise, *rest)
            char: Any = self.cur_item._objs[-1]  # the one just added; pdfminer hands it to nobody
            char.baseline = matrix[5] + rise * matrix[3]
            return advance

    return Device(manager, laparams=None)


def _lay_out(page: Any, cut: Counter[str]) -> Any:
    """A page of the characters that are text, grouped into lines and boxes in reading order."""
    from pdfminer.layout import LAParams

    chars = _collect_chars(page, page, cut)
    turned = [char for char in chars if abs(char.matrix[1]) > 0.1 * abs(char.matrix[0])]
    dropped = {id(char) for char in turned}
    width, height = page.width, page.height
    if len(turned) > len(chars) / 2:
        width, height = height, width
        dropped = {id(char) for char in chars} - dropped
        for char in turned:
            _turn(char, page)
    cut["stamps set at an angle"] += sum(len(char.get_text().strip()) for char in chars if id(char) in dropped)
    result = _make_page(page.pageid, width, height)
    for char in chars:
        if id(char) not in dropped:
            result.add(char)
    result.analyze(LAParams())
    return result


def _make_page(number: int, width: float, height: float) -> Any:
    """A page whose lines are grouped by the size of the type: pdfminer measures gaps in letters, i as well as m."""
    from pdfminer.layout import LTPage

    class Page(LTPage):
        def group_objects(self, laparams: Any, objs: Any) -> Iterator[Any]:
            pieces = _group_chars(objs, laparams.word_margin)
            return iter(_join_pieces(pieces, _find_columns(pieces)))

    return Page(number, (0, 0, width, height))


def _group_chars(chars: Any, word_margin: float) -> list[Any]:
    from pdfminer.layout import LTTextLineHorizontal

    pieces: list[Any] = []
    last = None
    for char in chars:
        if last is None or not _is_next(pieces[-1], last, char):
            pieces.append(LTTextLineHorizontal(word_margin))
        pieces[-1].add(char)
        last = char
    return pieces


def _find_columns(pieces: list[Any]) -> list[tuple[float, float]]:
    """Left and right edges of the text, in points: those that three long lines share."""
    edges = Counter((round(p.x0 / 2), round(p.x1 / 2)) for p in pieces if p.width > 12 * p.height)
    return [(2 * left, 2 * right) for (left, right), number in edges.items() if number > 2]


def _join_pieces(pieces: list[Any], columns: list[tuple[float, float]]) -> list[Any]:
    """Pieces of a justified line with wide gaps are one line, where both are in one column of the text."""
    joined: list[Any] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last is not None and _is_same_row(last, piece, columns):
            for char in piece:
                if hasattr(char, "baseline"):
                    last.add(char)
        else:
            joined.append(piece)
    return joined


def _is_same_row(last: Any, piece: Any, columns: list[tuple[float, float]]) -> bool:
    overlap = min(last.y1, piece.y1) - max(last.y0, piece.y0)
    gap = piece.x0 - last.x1
    if overlap < 0.8 * min(last.height, piece.height) or not 0 < gap < WIDE_GAP * piece.height:
        return False
    return any(left - 2 < last.x0 and piece.x1 < right + 2 for left, right in columns)


def _is_next(line: Any, last: Any, char: Any) -> bool:
    """Whether a character is on the line: no gutter after the last one, raised or lowered by less than its height."""
    overlap = min(line.y1, char.y1) - max(line.y0, char.y0)
    return overlap > LINE_OVERLAP * char.height and last.hdistance(char) < GUTTER * max(last.size, char.size)


def _turn(char: Any, page: Any) -> None:
    """Turn a character of a page that is set sideways, reading upwards or downwards, by a quarter."""
    upwards = char.matrix[1] > 0
    x0, y0, x1, y1 = char.bbox
    box = (y0, page.width - x1, y1, page.width - x0) if upwards else (page.height - y1, x0, page.height - y0, x1)
    char.set_bbox(box)
    char.size = char.height
    char.baseline = page.width - char.matrix[4] if upwards else char.matrix[4]


def _collect_chars(container: Any, page: Any, cut: Counter[str]) -> list[Any]:
    """The characters of a page or form in drawing order, with those of the forms in it that are no figures."""
    from pdfminer.layout import LTChar, LTFigure

    parts = [
        (item, [item] if isinstance(item, LTChar) else _collect_chars(item, page, cut))
        for item in container
        if isinstance(item, LTChar | LTFigure)
    ]
    own = sum(isinstance(item, LTChar) for item, _ in parts)
    chars = []
    for item, found in parts:
        if isinstance(item, LTChar) or _is_page(item, found, own, page):
            chars += found
        else:
            cut["text inside figures"] += sum(len(char.get_text().strip()) for char in found)
    return chars


def _is_page(form: Any, chars: list[Any], own: int, page: Any) -> bool:
    """Whether a form's characters are text of the page: it is most of the page, or half of them stand in prose."""
    width = min(form.x1, page.x1) - max(form.x0, page.x0)
    height = min(form.y1, page.y1) - max(form.y0, page.y0)
    covers = width > 0 and height > 0 and width * height > PAGE_SHARE * page.width * page.height
    if covers and len(chars) > own:
        return True
    rows = [list(row) for _, row in groupby(chars, key=lambda char: round(char.baseline))]
    prose = sum(len(row) for row in rows if len(_row_words(row)) >= PROSE_WORDS)
    return prose > len(chars) / 2


def _row_words(row: list[Any]) -> list[str]:
    """The words of two letters or more in characters that follow one another on a line."""
    text = ""
    for last, char in zip([None, *row], row, strict=False):
        gap = last is not None and char.x0 - last.x1 > 0.15 * char.size
        text += (" " if gap else "") + char.get_text()
    return re.findall(r"[^\W\d_]{2,}", text)


def _read_lines(page: Any, number: int, cut: Counter[str]) -> Iterator[Line]:
    from pdfminer.layout import LTTextBox, LTTextLine

    for box_number, box in enumerate(item for item in page if isinstance(item, LTTextBox)):
        previous = ""
        for line in (item for item in box if isinstance(item, LTTextLine)):
            size, bold = _find_font(line)
            text = join_runs(_split_runs(line, size), previous, cut)
            if text:
                top = 1 - (line.y1 - page.y0) / max(page.height, 1)
                lead = "" if bold else _find_lead(line)
                yield Line(text, size, bold, number, box_number, line.x0, line.x1, top, lead)
                previous = text


def _find_font(line: Any) -> tuple[float, bool]:
    """Size of the type and whether it is bold, as most of the line's characters have it; of two, the larger.

    Type that most of them are raised above is the line's, as in "fish." with four citations.
    """
    chars = [char for char in line if hasattr(char, "baseline")]
    fonts = Counter((round(char.size, 1), _is_bold(char)) for char in chars)
    if not fonts:
        return 0.0, False
    size, bold = max(fonts, key=lambda font: (fonts[font], font))
    base = min(char.baseline for char in chars if round(char.size, 1) == size)
    larger = [c for c in chars if 1.1 * size < c.size < 1.8 * size and c.baseline < base - 0.15 * size]
    return (round(larger[0].size, 1), _is_bold(larger[0])) if larger else (size, bold)


def _is_bold(char: Any) -> bool:
    return _BOLD.search(char.fontname.lower()) is not None


def _find_lead(line: Any) -> str:
    """The bold words at the start of a line whose type is not bold."""
    text = ""
    for char in line:
        if hasattr(char, "baseline") and char.get_text().strip() and not _is_bold(char):
            break
        text += char.get_text()
    return clean_text(text.translate(_LIGATURES))


def _split_runs(line: Any, size: float) -> list[Run]:
    """The line's characters in runs on, above and below its baseline; white space between two shifts is on it."""
    heights = Counter(round(c.baseline, 1) for c in line if hasattr(c, "baseline") and abs(c.size - size) < 0.1)
    base = heights.most_common(1)[0][0] if heights else 0.0
    runs: list[tuple[int, str]] = []
    space = ""
    for char in line:
        text = char.get_text().translate(_LIGATURES)
        if not text.strip():
            space += text
            continue
        shift = _find_shift(char, base, size) if hasattr(char, "baseline") else 0
        if runs and runs[-1][0] == shift:
            runs[-1] = (shift, runs[-1][1] + space + text)
        elif space and shift:
            runs += [(0, space), (shift, text)]
        else:
            runs.append((shift, space + text))
        space = ""
    return runs


def _find_shift(char: Any, base: float, size: float) -> int:
    """1 for a character smaller than the line's type and raised above its baseline, -1 for a lowered one, else 0."""
    if char.size > 0.9 * size:
        return 0
    rise = (char.baseline - base) / max(size, 0.1)
    return 1 if rise > 0.15 else -1 if rise < -0.05 else 0
