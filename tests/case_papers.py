"""Papers for the tests of cases: the committed ones, and pages built around a body."""

from pathlib import Path

from sciqag_lib.ingest.document import Document, cut_boilerplate
from sciqag_lib.ingest.pages.html import read_html
from sciqag_lib.ingest.readers import PreparedPaper, read_papers

CASES = Path(__file__).parent / "cases"
FIRST = "The river was sampled every week"  # how the paragraph begins that makes each case long enough


def read_case(name: str) -> PreparedPaper:
    (item,) = read_papers(CASES / name)
    assert isinstance(item, PreparedPaper), item
    return item


def lines(item: PreparedPaper) -> list[str]:
    return [line for line in item.paper.txt.split("\n") if not line.startswith(FIRST)]


def titles(item: PreparedPaper) -> list[str]:
    return [section.title for section in item.paper.sections]


def texts(document: Document) -> list[str]:
    return [f"{block.kind[0]}{block.level or ''}:{block.text}" for block in document.blocks]


def read_page(body: str, head: str = "") -> Document:
    page = f'<html><head><meta name="citation_title" content="T">{head}</head><body><h1>T</h1>{body}</body></html>'
    document = read_html(page.encode())
    cut_boilerplate(document)
    return document
