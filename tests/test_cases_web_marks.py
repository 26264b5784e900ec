"""Cases of web pages: formulas that are drawn, footnotes, boxes, captions of videos; any page is read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciqag_lib.ingest.document import cut_boilerplate
from sciqag_lib.ingest.pages.html import read_html
from sciqag_lib.ingest.text import read_text
from tests.case_papers import read_case, read_page, texts

# Formulas -------------------------------------------------------------------------------------------------------------


def test_formulas_that_are_drawings_or_images() -> None:
    item = read_case("svg_formula.html")
    assert item.paper.txt.endswith("Oxygen fell ([formula]) in August. It rose ([formula]) in May. Also (n = 5) here.")
    assert item.cut["formulas that are images (number)"] == 2


MATH = "<math><msup><mi>c</mi><mn>2</mn></msup></math>"


@pytest.mark.parametrize(
    ("formula", "text", "counted"),
    [
        ("<svg><path d='M1'/></svg>", "[formula]", 1),
        ("<svg aria-label='x = 1'><path d='M1'/></svg>", "x = 1", 0),
        ("<svg><title>x = 1</title><path d='M1'/></svg>", "x = 1", 0),
        ("<span class='MathJax_SVG'><svg aria-hidden='true'><path d='M1'/></svg></span>", "[formula]", 1),
        (
            f"<mjx-container><svg aria-hidden='true'/><mjx-assistive-mml>{MATH}</mjx-assistive-mml></mjx-container>",
            "c^2",
            0,
        ),
        (f'<span class="MathJax" data-mathml="{MATH.replace("<", "&lt;")}"><span>c2</span></span>', "c^2", 0),
        (
            f"<span class='katex'><span class='katex-mathml'>{MATH}</span><span class='katex-html'>c2</span></span>",
            "c^2",
            0,
        ),
        ("<span class='MathJax'>c2</span><script type='math/tex'>c^2</script>", "c^2", 0),
        ("<script type='math/tex; mode=display'>c^2</script>", "c^2", 0),
        ("<img src='e1.gif' alt='n = 5'>", "n = 5", 0),
        ("<img src='a/math-001.gif' alt=''>", "[formula]", 1),
        ("<img class='inline-formula' alt='Inline graphic'>", "[formula]", 1),
        ("<img class='inline-formula' alt='e001.jpg'>", "[formula]", 1),
        ("<img class='inline-formula' alt='alpha'>", "alpha", 0),
        ("<img class='inline-formula' alt='$$x_1$$'>", "x_1", 0),
        ("<span class='inline-equation'><img alt='α &gt; 3'></span>", "α > 3", 0),
        ("<svg class='icon'><path/></svg>", "", 0),
        ("<svg aria-hidden='true'><path/></svg>", "", 0),
        ("<svg><use href='#pdf'/></svg>", "", 0),
        ("<svg aria-label='Open in a new tab'><path/></svg>", "", 0),
        ("<a href='x'><svg><path/></svg></a>", "", 0),
        ("<img src='orcid.png' alt='ORCID logo'>", "", 0),
        ("<img src='figure_1.png' alt='figure_1.png'>", "", 0),
    ],
)
def test_formulas_in_pages(formula: str, text: str, counted: int) -> None:
    document = read_page(f"<h2>Results</h2><p>It fell ({formula}) here.</p>")
    assert document.blocks[1].text == f"It fell ({text}) here."
    assert document.cut["formulas that are images (number)"] == counted


def test_drawings_beside_the_text_are_no_formulas() -> None:
    document = read_page("<h2>Results</h2><svg><path/></svg><p><svg><path/></svg></p><figure><svg/></figure><p>A.</p>")
    assert texts(document) == ["h1:Results", "p:A."]
    assert document.cut["formulas that are images (number)"] == 0


# Footnotes, boxes, videos ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "notes"),
    [
        ('<sup><a href="#fn1">1</a></sup>', '<section class="footnotes"><ol><li id="fn1">Dry.</li></ol></section>'),
        ('<a href="#fn1"><sup>1</sup></a>', '<div><p id="fn1">Dry.</p></div>'),
        ('<a role="doc-noteref" href="#x">1</a>', '<aside role="doc-footnote" id="x">Dry.</aside>'),
        ('<a class="footnote-ref" href="#x">*</a>', '<div role="doc-endnotes"><p id="x">Dry.</p></div>'),
        ('<a href="#_ftn1">[1]</a>', '<p><a name="_ftn1"></a>Dry.</p>'),
        ('[<a href="#note-1">1</a>]', '<h2>Notes</h2><p id="note-1">Dry.</p>'),
        ('<span class="ltx_note ltx_role_footnote"><sup>1</sup><span>Dry.</span></span>', ""),
    ],
)
def test_footnotes_of_pages(mark: str, notes: str) -> None:
    document = read_page(f"<h2>Results{mark}</h2><p>Silt{mark} settles.{mark} It is old.</p>{notes}")
    assert texts(document) == ["h1:Results", "p:Silt settles. It is old."]
    assert document.cut["footnotes"] >= len("Dry.")


def test_marks_in_tables_stay() -> None:
    page = (
        '<h2>Results</h2><p>A.</p><table><tr><td>1<sup><a href="#fn1">a</a></sup></td><td>2</td></tr></table>'
        '<div class="table-foot"><p id="fn1"><sup>a</sup>Dry.</p></div>'
    )
    assert texts(read_page(page))[2:] == ["t:1^a | 2", "p:^a Dry."]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("It fell in August<sup>12,13</sup>.", "It fell in August."),
        ("It fell.<sup>4</sup> It rose.", "It fell. It rose."),
        ("It fell (in May).<sup>4–6</sup>", "It fell (in May)."),
        ("An area of 10<sup>5</sup> m<sup>2</sup>", "An area of 10^5 m^2"),
        ("theta<sup>2</sup>, R<sup>2</sup>, 3.<sup>2</sup>", "theta^2, R^2, 3."),
        ("in <sup>13</sup>C and meters<sup>4</sup>", "in 13C and meters^4"),
    ],
)
def test_raised_numbers_without_links(text: str, plain: str) -> None:
    assert read_page(f"<h2>Results</h2><p>{text}</p>").blocks[1].text == plain


@pytest.mark.parametrize(
    "box",
    [
        '<div class="box"><h3>Box 1. Abbreviations</h3><p>O: oxygen</p></div>',
        "<aside><h3>Abbreviations</h3><p>O: oxygen</p></aside>",
        "<div><h3>Abbreviations</h3><p>O: oxygen</p></div>",
        "<section><h4>Glossary</h4><dl><dt>O</dt><dd>oxygen</dd></dl></section>",
        '<div class="boxed-text"><p><b>Nomenclature</b></p><p>O: oxygen</p></div>',
        '<div class="panel"><h3>Funding</h3><p>None.</p></div>',
    ],
)
def test_a_box_ends_where_it_ends(box: str) -> None:
    document = read_page(f"<h2>Results</h2><p>A.</p>{box}<p>B.</p><h2>References</h2><div><p>R.</p></div>")
    assert texts(document) == ["h1:Results", "p:A.", "p:B."]


@pytest.mark.parametrize(
    "video",
    [
        "<figure><video src='v'></video><figcaption>Video 1. A flood.</figcaption></figure>",
        "<div class='video-container'><video src='v'>No video.</video><p>Video 1. A flood.</p></div>",
    ],
)
def test_captions_of_videos(video: str) -> None:
    assert texts(read_page(f"<h2>Results</h2><p>A.</p>{video}"))[2:] == ["c:Video 1. A flood."]


PIECES = (
    "# |## |Abstract|Methods|\n|\n\n|$|\\(|\\[|x|<sup>|</sup>|<span id='a'>|[^1]|[^1]: n|**|_|![a](b)|[1](#r)|---|\x01"
    "|\x0c|&#1;|&#xd800;|```|<svg/>|<img alt='&#1;n=5'>|<table>|<td>|<div class='katex'>|<math>|1. |- "
    "|<!--|<a href='#fn1'>1</a>"
    "|<p id='fn1'>|<div class='abstract'>|<script type='math/tex'>|<h2>|<p>|Resumo|Keywords: a"
).split("|")


@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=30))
def test_any_page_and_any_markdown_is_read(pieces: list[str]) -> None:
    for reader, start in ((read_text, "# A\n\n## B\n\n"), (read_html, "<h1>A</h1>")):
        document = reader((start + "".join(pieces)).encode())
        cut_boilerplate(document)
        assert all("\n" not in block.text for block in document.blocks if block.kind != "table")


def test_the_doi_of_a_figure_is_no_part_of_its_caption() -> None:
    figure = (
        '<div class="figure"><p><strong>Figure 1. Oxygen by month.</strong></p><p>Means of six places.</p>'
        '<p><a href="https://doi.org/10.1371/journal.pone.1.g001">doi:10.1371/journal.pone.1.g001</a></p></div>'
    )
    document = read_page(figure)
    assert [block.text for block in document.blocks if block.kind == "caption"] == [
        "Figure 1. Oxygen by month. Means of six places."
    ]
    assert document.cut["object DOIs"] == len("doi:10.1371/journal.pone.1.g001")
