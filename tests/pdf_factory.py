"""PDF files for tests: lines at given places on A4 pages, in forms, at an angle.

make_pages([Page([(60, 100, 9, False, "A line of text")])], title="Silt in rivers")
"""

import math
import textwrap
from dataclasses import dataclass, field

PdfLine = tuple[float, float, float, bool, str]  # a line: x, y from the top in points, size, bold, text
WIDTH, HEIGHT = 595, 842


@dataclass
class Page:
    """A page, or a Form XObject of one, with what is drawn on it."""

    lines: list[PdfLine]
    forms: "list[Page]" = field(default_factory=list)
    turned: list[tuple[PdfLine, int]] = field(default_factory=list)  # lines with the angle at which each is set
    box: tuple[float, float, float, float] = (0, 0, WIDTH, HEIGHT)  # of a form: x, y from the top, width, height


def set_lines(x: float, y: float, text: str, width: int, size: float = 9) -> list[PdfLine]:
    """A paragraph of lines of at most `width` characters."""
    return [(x, y + 1.3 * size * number, size, False, line) for number, line in enumerate(textwrap.wrap(text, width))]


def make_pages(pages: list[Page], title: str = "") -> bytes:
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
        b"<< /Title (%s) >>" % title.encode("cp1252"),
    ]
    kids = []
    for page in pages:
        content, resources = _draw(page, objects)
        objects.append(b"<< /Length %d >>\nstream\n%sendstream" % (len(content), content))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R /Resources %s >>"
            % (WIDTH, HEIGHT, len(objects), resources)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    return _join_objects(objects)


def _draw(page: Page, objects: list[bytes]) -> tuple[bytes, bytes]:
    """The content of a page and its resources; its forms are added to `objects`."""
    names = []
    content = b"".join(_draw_line(line, 0) for line in page.lines)
    content += b"".join(_draw_line(line, angle) for line, angle in page.turned)
    for form in page.forms:
        inner, resources = _draw(form, objects)
        x, y, width, height = form.box
        box = b"%.1f %.1f %.1f %.1f" % (x, HEIGHT - y - height, x + width, HEIGHT - y)
        objects.append(
            b"<< /Type /XObject /Subtype /Form /BBox [%s] /Resources %s /Length %d >>\nstream\n%sendstream"
            % (box, resources, len(inner), inner)
        )
        names.append(b"/X%d %d 0 R" % (len(objects), len(objects)))
        content += b"q /X%d Do Q\n" % len(objects)
    fonts = b"/Font << /F1 3 0 R /F2 4 0 R >>"
    return content, b"<< %s /XObject << %s >> >>" % (fonts, b" ".join(names))


def _draw_line(line: PdfLine, angle: int) -> bytes:
    x, y, size, bold, text = line
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    shown = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("cp1252")
    place = b"%.4f %.4f %.4f %.4f %.1f %.1f" % (cos, sin, -sin, cos, x, HEIGHT - y)
    return b"BT /F%d %.1f Tf %s Tm (%s) Tj ET\n" % (2 if bold else 1, size, place, shown)


def _join_objects(objects: list[bytes]) -> bytes:
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R /Info 5 0 R >>\nstartxref\n%d\n%%%%EOF" % (size, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n%s%s" % (size, table, trailer)
