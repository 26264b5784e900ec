"""Plain text, HTML and PDF: headings, front matter, columns, and files that cannot be read."""

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciqag_lib.errors import InputError
from sciqag_lib.ingest.document import Document, cut_boilerplate
from sciqag_lib.ingest.headings import split_keywords
from sciqag_lib.ingest.pages.html import read_html
from sciqag_lib.ingest.pdf.pdf import read_pdf
from sciqag_lib.ingest.text import heading_level, join_lines, read_text
from sciqag_lib.records.dois import find_doi

PAPERS = Path(__file__).resolve().parents[1] / "data" / "papers"


def texts(document: Document) -> list[str]:
    return [f"{block.kind[0]}{block.level or ''}:{block.text}" for block in document.blocks]


TEXT = """A cold-loving strain

A. Author, doi:10.1000/x.1.

Abstract

Strain A grows
at 4 °C.

Keywords: psychrophile; growth, slow

1. Introduction

It is known that growth of bac-
teria slows down.
Yes.

2.1 Growth rates

Table 1. Rates.

T (°C)\trate
4\t0.1

REFERENCES

1. Someone. A paper.
"""


def test_plain_text() -> None:
    document = read_text(TEXT.encode())
    cut_boilerplate(document)
    assert (document.title, document.doi, document.abstract) == (
        "A cold-loving strain",
        "10.1000/x.1",
        "Strain A grows at 4 °C.",
    )
    assert document.keywords == ["psychrophile", "growth, slow"]
    assert texts(document) == [
        "h1:Introduction",
        "p:It is known that growth of bacteria slows down. Yes.",
        "h2:Growth rates",
        "c:Table 1. Rates.",
        "t:T (°C) | rate\n4 | 0.1",
    ]
    assert document.cut == {"title and authors": 20 + 27, "references": 10 + 20}


def test_text_without_blank_lines_and_windows_line_ends() -> None:
    document = read_text("Title here\r\nIntroduction\r\nFirst one.\r\nSecond one.\r\n".encode("utf-16"))
    assert document.title == "Title here"
    assert texts(document) == ["h1:Introduction", "p:First one.", "p:Second one."]


def test_markdown() -> None:
    document = read_text(
        b"# Title\n\n## Methods\n\nWe did.\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\nSetup\n-----\nIt ran.\n"
    )
    assert document.title == "Title"
    assert texts(document) == ["h1:Methods", "p:We did.", "t:a | b\n1 | 2", "h1:Setup", "p:It ran."]


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("Introduction", 1),
        ("2. Materials and methods", 1),
        ("2.1.3 Cell culture", 3),
        ("II. Results", 1),
        ("RESULTS AND DISCUSSION", 1),
        ("STUDY AREA AND CLIMATE", 2),
        ("## Methods", 2),
        ("Conclusions.", 1),
        ("A. Sample and B. Other", 0),
        ("Funding", 1),
        ("The cells were grown.", 0),
        ("It was cold", 0),
        ("3.5 g of salt and 2 g", 0),
        ("2 Smith et al., 2004", 0),
        ("x = 5", 0),
        ("", 0),
        ("A mixture of two salts", 0),
        ("17 mice were used and 12", 0),
    ],
)
def test_headings(line: str, level: int) -> None:
    assert heading_level(line) == level


def test_small_parts() -> None:
    assert (
        join_lines(["The tempera-", "ture of pH-", "7 buffer", "non-", "Gaussian"])
        == "The temperature of pH-7 buffer non-Gaussian"
    )
    assert find_doi("see (https://doi.org/10.1016/S0003-2670(03)00060-6).") == "10.1016/S0003-2670(03)00060-6"
    assert find_doi("10.1/x and no DOI") == ""
    assert split_keywords("a, b; c d.; a, b") == ["a, b", "c d"]
    assert split_keywords("one, two · three") == ["one, two", "three"]


PAGE = """<!DOCTYPE html><html><head><meta charset="utf-8"><title>T | J</title>
<meta name="citation_doi" content="doi:10.1000/h">
<meta name="citation_keywords" content="foam; copper"><script>var x = "<p>no</p>";</script></head><body><nav>
<p>Home</p></nav>
<main><h1>On foam</h1><p>A. Author</p><h2>Abstract</h2><p>Short.</p><h2>1. Results</h2>Loose <b>text</b> here
<p>Slope 5 cm<sup>2</sup> &lt; 6 <a href="#ref1">[1]</a>.<p>Unclosed <ul><li>one</li><li>two</li></ul>
<figure><img src="x"><figcaption>Figure 1. Foam.</figcaption></figure><table><caption>Table 1</caption><tr>
<th>a<th>b<tr><td>1<td>2</table>
<h3>1.1 More</h3><div class="share-buttons share">Tweet</div><p>End.</p><h2>References</h2><ol><li>R</li></ol>
</main><footer>Cookies</footer></body></html>"""


def test_web_page() -> None:
    document = read_html(PAGE.encode())
    cut_boilerplate(document)
    assert (document.title, document.doi, document.abstract, document.keywords) == (
        "On foam",
        "10.1000/h",
        "Short.",
        ["foam", "copper"],
    )
    assert texts(document) == [
        "h1:Results",
        "p:Loose text here",
        "p:Slope 5 cm^2 < 6.",
        "p:Unclosed",
        "p:one",
        "p:two",
        "c:Figure 1. Foam.",
        "c:Table 1",
        "t:a | b\n1 | 2",
        "h2:More",
        "p:End.",
    ]
    assert document.cut["page furniture"] == 5 and document.cut["references"] == len("References") + len("1. R")


# How PubMed Central builds a page (the words are invented).
PMC = """<html><body><main><article><section class="front-matter"><h1>Limpets at noon</h1><p>Ann Orr</p>
<div class="d-panel">*Corresponding author. Author Contributions: {long}</div></section>
<section class="body main-article-body"><section class="abstract" id="abstract1"><h2>Abstract</h2><p>They were hot.</p>
<section class="kwd-group"><p><strong>Keywords:</strong> limpet, noon</p></section></section>
<section id="S1"><h2 class="pmc_sec_title">1. Methods</h2><p>On rock
[<a href="#B1-ijms-20-1" class="usa-link">1</a>] they
live (<a href="#CR4" class="usa-link">Xu 2004</a>).</p><table class="disp-formula p" id="FD1"><tr><td class="formula">
<math><mi>M</mi><mo>=</mo><mn>2</mn></math></td><td class="label">(1)</td></tr></table>
<section class="tw xbox font-sm" id="T1"><h4 class="obj_head">Table 1.</h4><div class="caption p"><p>Shells at noon.</p>
</div><div class="tbl-box p"><table class="content"><tr><th></th><th>Sun<sup><a href="#TFN1">a</a></sup></th></tr><tr>
<td>Noon</td><td>27</td></tr></table></div><div class="p text-right"><a href="table/T1/">Open in a new tab</a></div>
<div class="tw-foot p"><div class="fn" id="TFN1"><sup>a</sup><p>No wind.</p></div></div></section><p>Then:</p>
<ol class="list"><li><p>lift</p></li><li><p>clamp</p></li></ol></section>
<section id="S2"><h2 class="pmc_sec_title">2. Results</h2><figure class="fig" id="F1">
<h3 class="obj_head">Figure 1.</h3><p class="img-box"><img src="x"></p>
<div class="p"><a href="figure/F1/">Open in a new tab</a></div>
<figcaption><p>Warmth over the day</p></figcaption></figure><p>It rose.</p></section>
<section class="fn-group"><h2>Footnotes</h2><p>Equal work.</p></section>
<section class="associated-data"><h2>Associated Data</h2><p>On request.</p></section></section></article></main>
</body></html>"""


def test_page_of_pubmed_central() -> None:
    document = read_html(PMC.replace("{long}", "x" * 500).encode())
    cut_boilerplate(document)
    assert (document.title, document.abstract, document.keywords) == (
        "Limpets at noon",
        "They were hot.",
        ["limpet", "noon"],
    )
    assert texts(document) == [
        "h1:Methods",
        "p:On rock they live.",
        "e:M = 2 (1)",
        "c:Table 1. Shells at noon.",
        "t: | Sun^a\nNoon | 27",
        "p:^a No wind.",
        "p:Then:",
        "p:1. lift",
        "p:2. clamp",
        "h1:Results",
        "c:Figure 1. Warmth over the day.",
        "p:It rose.",
    ]
    assert document.cut["citation marks"] == len("[1](Xu 2004)")
    assert document.cut["page furniture"] == 2 * len("Open in a new tab")


PLOS = """<html><head><meta name="citation_title" content="Limpets at noon"></head><body><main><h1>Limpets at noon</h1>
<p>Published: March 3, 2015</p><div id="floatTitleTop"><h1>Limpets at noon</h1></div><h2>Figures</h2>
<div class="article-text" id="artText"><div class="abstract toc-section abstract-type-"><h2>Abstract</h2>
<div class="abstract-content"><h3>Aims</h3><p>To see.</p></div></div>
<div class="articleinfo"><p><strong>Citation: </strong>Orr A (2015)</p></div>
<div class="section toc-section"><h2>Results</h2><p>They live on rock
[<a href="#" class="ref-tip">1</a>, <a href="#pone.9999999.ref002">2</a>]. They warm by
<span class="inline-formula"><img src="e1" class="inline-graphic"></span> as <span class="equation"><img src="e2"
class="inline-graphic"><span class="note">(1)</span></span> says.</p>
<div class="figure"><div class="img-box"><img src="f"></div>
<div class="figure-inline-download">Download: <ul><li>PPT</li></ul></div><div class="figcaption"><span>Fig 1.</span>
Warmth.</div><p>Lines are means.</p><p><a>https://doi.org/10.1371/x.g001</a></p></div></div>
</div></main></body></html>"""


def test_page_of_plos() -> None:
    document = read_html(PLOS.encode())
    cut_boilerplate(document)
    assert (document.title, document.abstract) == ("Limpets at noon", "Aims: To see.")
    assert texts(document) == [
        "h1:Results",
        "p:They live on rock. They warm by [formula] as [formula] (1) says.",
        "c:Fig 1. Warmth. Lines are means.",
    ]
    assert document.cut["formulas that are images (number)"] == 2
    assert document.cut["citation marks"] == len("[1, 2]")


SPRINGER = r"""<html><body><main><article><h1>Limpets at noon</h1><section>
<h2>Abstract</h2><p>Hot.</p></section>
<section><h2>Introduction</h2><p>On rock [<a data-test="citation-ref" href="/a#ref-CR1">1</a>] let
<span class="mathjax-tex">\(x_{i} = 2\)</span>:</p>
<div class="c-article-equation"><div class="c-article-equation__content">
<span class="mathjax-tex">$$\begin{aligned} E = m\,c^2 \end{aligned}$$</span></div><div>(1)</div></div>
<div class="c-article-section__figure"><figure><figcaption><b>Fig. 1</b></figcaption><div><p>Warmth.</p></div>
<a href="f"><span>Full size image</span></a></figure></div>
<ol class="u-list-style-none"><li><span>1.</span><p>lift</p></li><li><span>2.</span><p>clamp</p></li></ol></section>
<section><h2>About this article</h2><h3>Keywords</h3><ul><li>Limpet</li><li>Noon, day</li></ul></section>
</article></main></body></html>"""


def test_page_of_springer() -> None:
    document = read_html(SPRINGER.encode())
    cut_boilerplate(document)
    assert (document.abstract, document.keywords) == ("Hot.", ["Limpet", "Noon, day"])
    assert texts(document) == [
        "h1:Introduction",
        "p:On rock let x_{i} = 2:",
        "e:E = m c^2 (1)",
        "c:Fig. 1. Warmth.",
        "p:1. lift",
        "p:2. clamp",
    ]


def test_a_summary_that_ends_a_page_is_no_abstract() -> None:
    page = "<h1>Foam</h1><h2>Idea</h2><p>Foam is light.</p><h2>Summary</h2><p>It floats.</p>"
    document = read_html(page.encode())
    assert document.abstract == ""
    assert texts(document) == ["h1:Idea", "p:Foam is light.", "h1:Summary", "p:It floats."]


def test_numbered_lists_of_pages() -> None:
    page = '<h2>A</h2><ol type="a" start="2">loose<li>x<ol><li>y</li></ol></li><li>z</li></ol><ul><li>u</li></ul>'
    assert texts(read_html(page.encode()))[1:] == ["p:loose", "p:b. x", "p:1. y", "p:c. z", "p:u"]
    bare = '<h2>A</h2><ol class="u-list-style-none"><li>x</li></ol><ol style="list-style-type: none"><li>y</li></ol>'
    assert texts(read_html(bare.encode()))[1:] == ["p:x", "p:y"]
    for start in ("9" * 5000, "-1", "x"):
        assert texts(read_html(f'<h2>A</h2><ol start="{start}"><li>x</li></ol>'.encode()))[1] == "p:1. x"


def test_image_of_a_formula_with_tex_beside_it() -> None:
    image = '<span class="mwe-math-element"><img class="mwe" alt="{\\displaystyle a=b}"></span>'
    page = f"<h2>A</h2><p>so {image} holds</p>"
    assert texts(read_html(page.encode()))[1] == "p:so { a=b} holds"


def test_formulas_and_citations_of_arxiv_pages() -> None:
    page = (
        '<article><h2>1 Model</h2><p>We obtain <cite class="ltx_cite">[<a href="#bib.bib3">3</a>]</cite> a rule'
        ' <cite class="ltx_cite">[<a href="#bib.bib4">4</a>]</cite>:</p><table class="ltx_equation"><tr><td></td><td>'
        '<math alttext="E=mc^{2}"><semantics><mrow><mi>E</mi><mo>=</mo><msup><mi>c</mi><mn>2</mn></msup></mrow>'
        '<annotation encoding="application/x-tex">E=c^{2}</annotation></semantics></math></td><td>(1)</td></tr></table>'
        "</article>"
    )
    assert texts(read_html(page.encode())) == ["h1:Model", "p:We obtain a rule:", "e:E = c^2 (1)"]


def test_page_in_its_declared_encoding_or_refused() -> None:
    page = '<html><head><meta charset="iso-8859-1"></head><body><h1>T</h1><h2>Results</h2><p>Café.</p></body></html>'
    assert texts(read_html(page.encode("latin-1"))) == ["h1:Results", "p:Café."]
    with pytest.raises(InputError, match="not valid utf-8 at byte"):
        read_html(page.replace("iso-8859-1", "utf-8").encode("latin-1"))
    with pytest.raises(InputError):
        read_html(b"")


@pytest.mark.parametrize(
    ("reader", "data"), [(read_text, b"abc \xff"), (read_text, b"\xff\xfea"), (read_html, b"<p>\xff</p>")]
)
def test_invalid_bytes_are_named(reader: object, data: bytes) -> None:
    with pytest.raises(InputError, match=r"at byte \d+"):
        reader(data)


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.sampled_from("Ab1.-\n\t|#= ,:;é<>/&{}"), max_size=200))
def test_any_text_is_read(text: str) -> None:
    for reader in (read_text, read_html):
        try:
            document = reader(text.encode())
        except InputError:
            continue
        cut_boilerplate(document)
        assert all("\n" not in block.text for block in document.blocks if block.kind != "table")


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300), head=st.sampled_from([b"", b"%PDF-1.4\n", b"<html>", b"\xff\xfe"]))
def test_any_bytes_are_read_or_refused(data: bytes, head: bytes) -> None:
    for reader in (read_text, read_html, read_pdf):
        try:
            reader(head + data)
        except InputError as error:
            assert str(error)


SENTENCE = "Foam of copper number {n} grows within 25 s when hydrogen bubbles act as a template at the surface."


def make_pdf(pages: list[list[tuple[float, float, int, bool, str]]], password: str = "") -> bytes:
    """A PDF of lines (x, y from the top in points, size, bold, text) on A4 pages."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    kids = []
    for lines in pages:
        stream = b"".join(
            b"BT /F%d %d Tf %.1f %.1f Td (%s) Tj ET\n"
            % (2 if bold else 1, size, x, 842 - y, text.replace("(", r"\(").replace(")", r"\)").encode("cp1252"))
            for x, y, size, bold, text in lines
        )
        objects.append(b"<< /Length %d >>\nstream\n%sendstream" % (len(stream), stream))
        page = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << /Font "
            b"<< /F1 3 0 R /F2 4 0 R >> >> >>"
        )
        objects.append(page % len(objects))
        kids.append(len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(b"%d 0 R" % kid for kid in kids), len(kids))
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1,
        table,
        len(objects) + 1,
        len(out),
    )
    return _lock(out, password) if password else out


def _lock(data: bytes, password: str) -> bytes:
    from pypdf import PdfWriter

    writer, locked = PdfWriter(clone_from=io.BytesIO(data)), io.BytesIO()
    writer.encrypt(password, algorithm="AES-256")
    writer.write(locked)
    return locked.getvalue()


def set_column(x: float, y: float, words: str, width: int = 44) -> list[tuple[float, float, int, bool, str]]:
    import textwrap

    return [(x, y + 12 * number, 9, False, line) for number, line in enumerate(textwrap.wrap(words, width))]


def make_two_columns() -> bytes:
    """Three pages; each line of the left column is drawn right before its neighbour in the right one."""
    pages = []
    for number in range(3):
        left = [
            (50, 160, 9, True, "2. Results"),
            *set_column(50, 180, " ".join(SENTENCE.format(n=f"{number}L{k}") for k in range(9))),
        ]
        right = set_column(310, 160, " ".join(SENTENCE.format(n=f"{number}R{k}") for k in range(9)))
        lines = (
            [line for pair in zip(left, right, strict=False) for line in pair] + left[len(right) :] + right[len(left) :]
        )
        head = [(200, 40, 8, False, f"A. Author / J Foam {number + 7}"), (290, 815, 8, False, str(number + 1))]
        title = (
            [(90, 90, 16, True, "Copper foam as a sensor"), (200, 108, 9, False, "doi:10.1000/pdf.1")]
            if number == 0
            else []
        )
        pages.append([head[0], *title, *lines, head[1]])
    return make_pdf(pages)


def test_pdf_in_two_columns() -> None:
    document = read_pdf(make_two_columns())
    assert (document.title, document.doi) == ("Copper foam as a sensor", "10.1000/pdf.1")
    text = " ".join(block.text for block in document.blocks)
    for number in range(3):
        for side in "LR":
            for k in range(9):
                assert SENTENCE.format(n=f"{number}{side}{k}") in text
    assert text.index("0L8") < text.index("0R0") < text.index("0R8") < text.index("1L0")
    assert [block.text for block in document.blocks if block.kind == "heading"] == ["Results"] * 3
    assert "J Foam" not in text and document.cut["running heads"] == 3 * (20 + 1)


def test_pdf_lines_broken_by_hyphens_and_captions() -> None:
    lines = set_column(50, 120, SENTENCE.format(n=1) + " It was a hydro-") + [
        (50, 156, 9, False, "gen bubble."),
        (50, 190, 9, False, "Figure 1. A foam."),
    ]
    page = [(50, 80, 9, True, "Results"), *lines, *set_column(50, 230, SENTENCE.format(n=2))]
    document = read_pdf(make_pdf([page]))
    assert texts(document) == [
        "h1:Results",
        f"p:{SENTENCE.format(n=1)} It was a hydrogen bubble.",
        "c:Figure 1. A foam.",
        f"p:{SENTENCE.format(n=2)}",
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (make_pdf([[(50, 100, 9, False, "x" * 300)]], password="secret"), "encrypted PDF"),
        (make_pdf([[], []]), "no text .0 characters, .* scanned"),
        (make_pdf([[(50, 100, 9, False, "Page 1")]]), "no text .6 characters"),
        (make_pdf([[(50, 100, 9, False, "x" * 300)]])[:300], "no text|cannot be read"),
        (b"%PDF-1.7 and nothing else", "cannot be read|no text"),
    ],
)
def test_pdf_that_cannot_be_used(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_pdf(data)
