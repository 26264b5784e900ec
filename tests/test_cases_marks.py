"""Marks in running text: citations in raised brackets, brackets parted by GROBID, calls of footnotes."""

import time
from collections import Counter
from pathlib import Path

import pytest
from lxml import etree

from sciqag_lib.ingest.pages.html import read_html
from sciqag_lib.ingest.readers import read_papers
from sciqag_lib.ingest.running_text.inline import inline_text

CASES = Path(__file__).resolve().parent / "cases"
CITE = '<xref ref-type="bibr" rid="B1">%s</xref>'
NOTE = '<xref ref-type="fn" rid="fn1">%s</xref>'


def inline(xml: str) -> str:
    return inline_text(etree.fromstring(f"<p>{xml}</p>"), Counter())


def read_text(name: str) -> str:
    (prepared,) = read_papers(CASES / name)
    return prepared.paper.txt


# Citations in superscripts


def test_case_of_bracketed_superscripts() -> None:
    text = read_text("supcite.xml")
    for part in (
        "carry silt. Silt settles, and lakes fill. Beds rise slowly. One more here.",
        "Also text. Spaced. Refs.",
    ):
        assert part in text
    assert "^" not in text and "(" not in text and "[" not in text


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        (f"silt<sup>[{CITE % 1}–{CITE % 3}]</sup>, and", "silt, and"),
        (f"silt <sup>[</sup>{CITE % '<sup>2</sup>'}<sup>]</sup>.", "silt."),
        (f"silt<sup>({CITE % 1}</sup>,<sup>{CITE % 2})</sup> settles", "silt settles"),
        (f"silt<sup><italic>(</italic>{CITE % 1}<italic>)</italic></sup>. Next", "silt. Next"),
        (f"silt{CITE % '<sup>[1]</sup>'}<sup>,</sup>{CITE % '<sup>[2]</sup>'} settles", "silt settles"),
        (f"silt(<sup>{CITE % 1}</sup>) settles", "silt settles"),
        (f"silt<sup>(1-{CITE % 3})</sup> settles", "silt settles"),
        (f"silt<sup>refs. {CITE % 1} and {CITE % 2}</sup>.", "silt."),
        (f"silt<sup>({CITE % 'Alpha, 2014'})</sup> settles", "silt settles"),
        (f"silt<sup>{CITE % 'Alpha, 2014'}</sup> settles", "silt settles"),
        (f"silt<sup>&#160;{CITE % 1} </sup> .", "silt."),
        ("silt<sup>[1,2]</sup> settles", "silt settles"),
        (f"silt<sup>［{CITE % 1}，{CITE % 2}］</sup> settles", "silt settles"),
        (f'silt<hi rend="sup">({CITE % 1})</hi> at 10<hi rend="sup">5</hi> m<hi rend="sub">x</hi>', "silt at 10^5 m_x"),
        (f"10<sup>5[{CITE % 3}]</sup> cells", "10^5 cells"),
        (f"5 m<sup>-1,{CITE % 3}</sup> wide", "5 m^-1 wide"),
        ("10<sup>(n+1)</sup> and f<sup>[2]</sup>, f<sup>(2)</sup>", "10^(n+1) and f^[2], f^(2)"),
        ("m<sup>-1</sup> and CD4<sup>+</sup>", "m^-1 and CD4+"),
        (f"as in <sup>({CITE % 12})</sup>.", "as in (12)."),
    ],
)
def test_superscripts_of_citations_leave_nothing_and_exponents_stay(xml: str, text: str) -> None:
    assert inline(xml) == text


@pytest.mark.parametrize(
    "mark",
    [
        '<sup>[<a href="#B1">1</a>]</sup>',
        '<a href="#B1"><sup>(1)</sup></a>',
        '<sup>(</sup><a href="#B1">1</a><sup>)</sup>',
    ],
)
def test_bracketed_superscripts_of_a_web_page(mark: str) -> None:
    page = f"<html><body><article><h1>T</h1><h2>Results</h2><p>Silt{mark} settles.</p></article></body></html>"
    assert read_html(page.encode()).blocks[-1].text == "Silt settles."


# Brackets that GROBID parts from their partners


def test_case_of_brackets_inside_and_outside_refs() -> None:
    text = read_text("refparen.tei.xml")
    assert "Rivers and lakes, which carry silt, are old. Beds rise. Silt settles (see Figure 1 and Alpha 2014)" in text
    assert "slowly. Methods vary. Rates rose and fell." in text


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        (f"lakes (see {CITE % 'Alpha, 2014)'}, old", "lakes, old"),
        (f"lakes {CITE % '(Alpha, 2014'}; {CITE % 'Beta, 2015'}), old", "lakes, old"),
        (f"lakes {CITE % '(Alpha, 2014;'}{CITE % 'Beta, 2015)'}, old", "lakes, old"),
        (f"lakes [{CITE % '1]'}, {CITE % '[2'}], old", "lakes, old"),
        (f"lakes ({CITE % 'Alpha, 2014'}, p.23-50; {CITE % 'Beta, 2015'}, p. 3) are old", "lakes are old"),
        (f"lakes {CITE % 'Alpha, 2014)'} are old", "lakes are old"),
        (f"lakes {CITE % '(Alpha, 2014'} are old", "lakes are old"),
        (f"{CITE % 'Alpha et al. (2014'}) found lakes", "Alpha et al. (2014) found lakes"),
        (f"1) lakes {CITE % '(Alpha, 2014'} and 2) seas", "1) lakes and 2) seas"),
        (f"lakes (old; {CITE % 'Alpha, 2014)'} fill", "lakes (old; Alpha, 2014) fill"),
    ],
)
def test_brackets_shared_with_the_text(xml: str, text: str) -> None:
    assert inline(xml) == text


@pytest.mark.parametrize(
    "xml",
    ["a" * 100_000 + CITE % 1, "(see also " * 20_000 + CITE % 1, "1) " * 30_000 + CITE % "(1", " " * 90_000 + CITE % 1,
     CITE % "(1" * 1000, "( " * 30_000 + CITE % "(1"],
)  # fmt: skip
def test_hostile_lines_take_linear_time(xml: str) -> None:
    start = time.process_time()
    inline(xml)
    assert time.process_time() - start < 3


# Footnotes


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        (f"silt<sup>{NOTE % 1}</sup>, sand", "silt, sand"),
        (f"silt<sup>{NOTE % 1},{NOTE % 2}</sup> and", "silt and"),
        (f"silt{NOTE % '<sup>*</sup>'}.", "silt."),
        (f"silt [{NOTE % 1}]. Sand", "silt. Sand"),
        (f"silt{NOTE % 1},{NOTE % 2} and", "silt and"),
        (f"cm<sup>2,{NOTE % 1}</sup> and", "cm^2 and"),
        (f"silt<sup>{CITE % 1},{NOTE % 'a'}</sup> and", "silt and"),
        (f"see footnote {NOTE % 1}.", "see footnote 1."),
        (f"see {NOTE % 'the notes below'}.", "see the notes below."),
        ("silt<fn><label>1</label><p>Mud.</p></fn> settles", "silt settles"),
    ],
)
def test_marks_of_footnotes_leave_nothing(xml: str, text: str) -> None:
    assert inline(xml) == text
