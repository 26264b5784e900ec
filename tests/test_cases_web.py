"""Cases of web pages, Markdown, plain text and DOIs met on public files, and the variations of their kinds."""

import time
import unicodedata
from pathlib import Path

import pytest

from sciqag_lib.ingest.document import Document, cut_boilerplate
from sciqag_lib.ingest.headings import find_boilerplate_kind, is_caption, match_keywords_line
from sciqag_lib.ingest.html import read_html
from sciqag_lib.ingest.markdown import is_markdown
from sciqag_lib.ingest.readers import PreparedPaper, read_papers
from sciqag_lib.ingest.text import read_text
from sciqag_lib.records.dois import bare_doi, find_doi, normalize_doi

CASES = Path(__file__).parent / "cases"
SICI = "10.9999/(SICI)0000-0000(199823)43:4<338::AID-CASE16>3.0.CO;2-B"


def read_case(name: str) -> PreparedPaper:
    (item,) = read_papers(CASES / name)
    assert isinstance(item, PreparedPaper), item
    return item


def titles(item: PreparedPaper) -> list[str]:
    return [section.title for section in item.paper.sections]


def texts(document: Document) -> list[str]:
    return [f"{block.kind[0]}{block.level or ''}:{block.text}" for block in document.blocks]


def read_page(body: str, head: str = "") -> Document:
    page = f'<html><head><meta name="citation_title" content="T">{head}</head><body><h1>T</h1>{body}</body></html>'
    document = read_html(page.encode())
    cut_boilerplate(document)
    return document


# DOIs -----------------------------------------------------------------------------------------------------------------


def test_dois_that_are_sicis_are_told_apart() -> None:
    lake, river = read_papers(CASES / "sici_doi")
    assert isinstance(lake, PreparedPaper) and isinstance(river, PreparedPaper)
    assert river.paper.doi == SICI
    assert lake.paper.doi == SICI.replace("338", "350")


@pytest.mark.parametrize(
    "spelling",
    [
        "10.1000/a(b)1",
        " 10.1000/A(B)1 ",
        "doi:10.1000/a(b)1",
        "DOI: 10.1000/a(b)1",
        "DOI 10.1000/a(b)1",
        "doi.org/10.1000/a(b)1",
        "https://doi.org/10.1000/a(b)1",
        "http://dx.doi.org/10.1000/a(b)1",
        "http://www.doi.org/10.1000/a(b)1",
        "https://doi.org/10.1000/a(b)1?utm_source=mail",
        "//doi.org/10.1000/a(b)1",
        "DOI: https://doi.org/10.1000/a(b)1",
        "info:doi/10.1000/a(b)1",
        "urn:doi:10.1000/a(b)1",
        "https://doi.org/10.1000%2Fa%28b%291",
        "https%3A%2F%2Fdoi.org%2F10.1000%2Fa(b)1",
        "10.1000/a\u200b(b)1",
        "10.1000-a(b)1.json",
    ],
)
def test_spellings_of_one_doi(spelling: str) -> None:
    assert normalize_doi(spelling) == "10.1000/a(b)1"


@pytest.mark.parametrize(
    "spelling",
    [
        SICI,
        SICI.replace("<", "&lt;").replace(">", "&gt;"),
        SICI.replace("<", "&amp;lt;").replace(">", "&amp;gt;"),
        "https://doi.org/" + SICI.replace("<", "%3C").replace(">", "%3E"),
    ],
)
def test_spellings_of_a_sici(spelling: str) -> None:
    assert bare_doi(spelling) == SICI
    assert find_doi(f"(see {spelling}).") == SICI


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10.1000/a", "10.1000/a."),
        ("10.1000/a;1", "10.1000/a;2"),
        ("10.1000/a<1>", "10.1000/a<2>"),
        ("10.1000/a#1", "10.1000/a#2"),
        ("10.1000/k", "10.1000/\u212a"),  # the Kelvin sign
        ("10.1000/a-b", "10.1000/a/b"),
    ],
)
def test_different_dois_stay_different(one: str, other: str) -> None:
    assert normalize_doi(one) != normalize_doi(other)


@pytest.mark.parametrize(
    ("text", "doi"),
    [
        ("<https://doi.org/10.1000/x.1>.", "10.1000/x.1"),
        ("[doi:10.1000/x.1].", "10.1000/x.1"),
        ("(10.1000/x(1)), and", "10.1000/x(1)"),
        ("doi:10.1000/x.1; doi:10.1000/x.2", "10.1000/x.1"),
        ("10.1000/x.1,10.1000/x.2", "10.1000/x.1"),
        ("10.1000/x.1<br>Next", "10.1000/x.1"),
        ("10.1890/0012-9658(2006)87[2614:ECOTSF]2.0.CO;2.", "10.1890/0012-9658(2006)87[2614:ECOTSF]2.0.CO;2"),
        ("as in 10.1000/x.1[12]", "10.1000/x.1"),
        ("https://example.org/doi/full/10.1000/x.1?journalCode=abc", "10.1000/x.1"),
        ("10.1000.10/x.1 has a prefix in parts", "10.1000.10/x.1"),
        ("version 10.1 /x", ""),
    ],
)
def test_dois_in_running_text(text: str, doi: str) -> None:
    assert find_doi(text) == doi


def test_long_texts_take_no_time() -> None:
    start = time.monotonic()
    for text in ("/" * 50_000, "doi" * 20_000, "10.1000/" + "<a:" * 20_000, "10.1000/x" + ")" * 20_000):
        assert not find_doi(text).endswith("/")
        assert bare_doi(text)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "tags",
    [
        '<meta name="citation_doi" content="doi:{}">',
        '<meta name="dc.identifier" content="S0000-1"><meta name="prism.doi" content="{}">',
        '<meta name="dc.identifier" content="S0000-1"><meta name="DC.Identifier" content="https://doi.org/{}">',
    ],
)
def test_doi_of_a_page(tags: str) -> None:
    assert read_page("<p>A.</p>", tags.format(SICI.replace("<", "&lt;"))).doi == SICI


# Abstracts ------------------------------------------------------------------------------------------------------------

STRUCTURED = "<{0}>Background</{0}><p>Why.</p><{0}>Methods</{0}><p>How.</p><{0}>Conclusions</{0}><p>So.</p>"
JOINED = "Background: Why.\nMethods: How.\nConclusions: So."


def test_abstract_one_level_above_the_sections() -> None:
    item = read_case("abstract_level.html")
    assert item.paper.abstract == "The abstract says that oxygen fell in August."
    assert titles(item) == ["Introduction", "Results"]
    assert item.paper.txt.endswith("Oxygen fell in August.")


@pytest.mark.parametrize(
    "page",
    [
        "<h2>Abstract</h2><p>Short.</p><h3>Introduction</h3><p>A.</p><h3>Results</h3><p>B.</p><h2>References</h2><p>R</p>",
        "<h2>Abstract</h2><p>Short.</p><h2>Introduction</h2><p>A.</p><h2>Results</h2><p>B.</p>",
        "<h3>Abstract</h3><p>Short.</p><h2>Introduction</h2><p>A.</p><h2>Results</h2><p>B.</p>",
        "<h2>Abstract</h2><p>Short.</p><h2>Author Summary</h2><p>For all.</p><h3>Introduction</h3><p>A.</p>"
        "<h3>Results</h3><p>B.</p>",
        "<h2>Highlights</h2><ul><li>Oxygen fell</li></ul><p>A. Author</p><h2>Abstract</h2><p>Short.</p>"
        "<h2>Introduction</h2><p>A.</p><h2>Results</h2><p>B.</p>",
        '<div class="abstract"><p>Short.</p></div><h2>Introduction</h2><p>A.</p><h2>Results</h2><p>B.</p>',
        '<section id="abstract"><h4>Abstract</h4><p>Short.</p></section><p>Loose words before any section.</p>'
        "<h2>Introduction</h2><p>A.</p><h2>Results</h2><p>B.</p>",
        '<section role="doc-abstract"><p>Short.</p><p><b>Keywords:</b> a; b</p></section><h4>Introduction</h4><p>A.</p>'
        "<h4>Results</h4><p>B.</p>",
        '<p class="abstract">Short.</p><h2>Introduction</h2><p>A.</p><h2>Results</h2><p>B.</p>',
        "<p><b>Abstract:</b> Short.</p><h2>Introduction</h2><p>A.</p><h2>Results</h2><p>B.</p>",
        '<div class="abstract graphical"><p>A picture.</p></div><div class="abstract"><h2>Abstract</h2><p>Short.</p>'
        "</div><h2>Introduction</h2><p>A.</p><h2>Results</h2><p>B.</p>",
    ],
)
def test_where_an_abstract_ends(page: str) -> None:
    document = read_page(page)
    assert document.abstract == "Short."
    sections = [text for text in texts(document) if not text.startswith("p:Loose")]
    assert sections == ["h1:Introduction", "p:A.", "h1:Results", "p:B."]


@pytest.mark.parametrize(
    "page",
    [
        "<h2>Abstract</h2>" + STRUCTURED.format("h3") + "<h2>{0}</h2><p>A.</p><h2>Methods</h2><p>B.</p>",
        "<h2>Abstract</h2>" + STRUCTURED.format("h2") + "<h2>{0}</h2><p>A.</p><h2>Methods</h2><p>B.</p>",
        "<h2>Abstract</h2>" + STRUCTURED.format("h3") + "<h3>{0}</h3><p>A.</p><h3>Methods</h3><p>B.</p>",
        "<h4>Abstract</h4>" + STRUCTURED.format("h3") + "<h3>{0}</h3><p>A.</p><h3>Methods</h3><p>B.</p>",
        '<div class="abstract-content"><h2>Abstract</h2>'
        + STRUCTURED.format("h2")
        + "</div><h2>{0}</h2><p>A.</p><h2>Methods</h2><p>B.</p>",
        "<h2>Abstract</h2>"
        + STRUCTURED.format("p><strong").replace("</p><strong>", "</strong></p>")
        + "<h2>{0}</h2><p>A.</p><h2>Methods</h2><p>B.</p>",
    ],
)
@pytest.mark.parametrize("opening", ["Introduction", "Background"])
def test_abstracts_with_headings_of_their_own(page: str, opening: str) -> None:
    document = read_page(page.replace("{0}", opening))
    assert document.abstract == JOINED
    assert texts(document) == [f"h1:{opening}", "p:A.", "h1:Methods", "p:B."]


def test_a_structured_abstract_that_the_text_does_not_repeat() -> None:
    page = "<h2>Abstract</h2>" + STRUCTURED.format("h3") + "<h3>Introduction</h3><p>A.</p><h3>The river</h3><p>B.</p>"
    document = read_page(page)
    assert document.abstract == JOINED
    assert texts(document) == ["h1:Introduction", "p:A.", "h1:The river", "p:B."]


def test_summaries_for_others_are_cut_and_counted() -> None:
    document = read_page(
        "<h2>Abstract</h2><p>Short.</p><h2>Author Summary</h2><p>For all.</p><h2>Key Points</h2><p>Fell.</p>"
        "<h2>Introduction</h2><p>A.</p><h2>Key points of the model</h2><p>Kept.</p>"
    )
    assert texts(document) == ["h1:Introduction", "p:A.", "h1:Key points of the model", "p:Kept."]
    assert document.cut["other abstracts"] == len("Author SummaryFor all.Key PointsFell.")


def test_text_that_no_heading_names_is_not_taken_for_authors() -> None:
    words = "Silt settles in slow water. " * 300
    document = read_page(f"<h2>The river</h2><p>{words}</p><h2>Abstract</h2><p>Late.</p>")
    assert texts(document)[:2] == ["h1:The river", f"p:{words.strip()}"]


def test_abstract_of_a_tag_that_holds_html() -> None:
    tag = '<meta name="citation_abstract" content="&lt;h3&gt;Aims&lt;/h3&gt;&lt;p&gt;CO&lt;sub&gt;2&lt;/sub&gt; fell.">'
    assert read_page("<h2>Results</h2><p>A.</p>", tag).abstract == "Aims: CO2 fell."
    tag = '<meta name="citation_abstract" content="p &lt; 0.05 and n &gt; 5">'
    assert read_page("<h2>Results</h2><p>A.</p>", tag).abstract == "p < 0.05 and n > 5"


# Keywords -------------------------------------------------------------------------------------------------------------


def test_keywords_of_the_site_are_not_the_papers() -> None:
    assert read_case("site_keywords.html").keywords_origin == "extracted"


@pytest.mark.parametrize(
    ("head", "body", "keywords"),
    [
        ('<meta name="keywords" content="Journals">', "<p>Keywords: river; lake</p>", ["river", "lake"]),
        ('<meta name="news_keywords" content="Journals"><meta name="dc.subject" content="Life">', "", []),
        ('<meta name="Citation_Keywords" content="river, lake">', "", ["river", "lake"]),
        (
            '<meta name="citation_language" content="pt"><meta name="citation_keywords" xml:lang="en" content="river">'
            '<meta name="citation_keywords" xml:lang="pt" content="rio">',
            "",
            ["rio"],
        ),
        ("", "<h3>Keywords</h3><ul><li>river, wide</li><li>lake</li></ul>", ["river, wide", "lake"]),
    ],
)
def test_keywords_of_pages(head: str, body: str, keywords: list[str]) -> None:
    document = read_page(f"<h2>Abstract</h2><p>Short.</p>{body}<h2>Results</h2><p>A.</p>", head)
    assert document.keywords == keywords
    assert texts(document) == ["h1:Results", "p:A."]


# Peer review ----------------------------------------------------------------------------------------------------------


def test_peer_review_of_a_page_is_cut() -> None:
    item = read_case("peer_review.html")
    assert titles(item) == ["Introduction"]
    assert item.cut["peer review"] == 168


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("Decision letter", "peer review"),
        ("Decision letter after peer review", "peer review"),
        ("Author response", "peer review"),
        ("Authors\u2019 response to reviewers", "peer review"),
        ("Referee report", "peer review"),
        ("Reviewer Report 2", "peer review"),
        ("Reviewer #1 (Public Review)", "peer review"),
        ("Reviewers' comments", "peer review"),
        ("eLife assessment", "peer review"),
        ("Editor's evaluation", "peer review"),
        ("Open Peer Review", "peer review"),
        ("Current Reviewer Status", "peer review"),
        ("Peer review in rivers", ""),
        ("Decision trees", ""),
        ("Response to heat", ""),
        ("Reviewers", ""),
    ],
)
def test_headings_of_peer_review(heading: str, kind: str) -> None:
    assert find_boilerplate_kind(heading) == kind


# Languages ------------------------------------------------------------------------------------------------------------


def test_paper_in_portuguese() -> None:
    item = read_case("portuguese.txt")
    assert item.paper.abstract == "O resumo diz que o oxigênio do rio caiu em agosto."
    assert item.paper.keywords == ["rio", "oxigênio"]
    assert titles(item) == ["Introdução", "Resultados"]
    assert item.paper.txt.endswith("O oxigênio caiu em agosto.")


def test_abstract_in_the_line_of_its_name() -> None:
    document = read_text("Um rio\n\nA. Ninguém\n\nResumo: O nível caiu.\n\nINTRODUÇÃO\n\nA água caiu.".encode())
    assert document.abstract == "O nível caiu."
    assert texts(document) == ["h1:INTRODUÇÃO", "p:A água caiu."]


# Title, abstract, its text, keywords line, introduction, methods, thanks, references; and small words of the language.
PAPERS = {
    "pt": "Um rio|Resumo|O nível caiu.|Palavras-chave: rio; lago|Introdução|Materiais e métodos|Agradecimentos"
    "|Referências|A água do rio não foi medida com os dados das cheias em uma semana para o lago.",
    "es": "Un río|Resumen|El nivel bajó.|Palabras clave: río; lago|Introducción|Material y métodos|Agradecimientos"
    "|Bibliografía|El agua del río y los lagos fue medida con una red para las lluvias en el mes.",
    "fr": "Un fleuve|Résumé|Le niveau a baissé.|Mots-clés\u00a0: fleuve; lac|Introduction|Matériel et méthodes"
    "|Remerciements|Références bibliographiques|Le niveau des lacs est plus bas dans les mois pour un lac.",
    "de": "Ein Fluss|Zusammenfassung|Der Pegel fiel.|Schlüsselwörter: Fluss; See|Einleitung|Material und Methoden"
    "|Danksagung|Literaturverzeichnis|Der Pegel und die Tiefe wurden von Hand gemessen, das ist nicht neu.",
}


def strip_accents(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFD", text) if not unicodedata.combining(sign))


def write_text(code: str, style: str) -> tuple[str, list[str]]:
    title, *names, words = PAPERS[code].split("|")
    headings = [names[0], *names[3:]]
    if style == "capitals":
        headings = [name.upper() for name in headings]
    elif style == "numbered":
        headings[1:3] = [f"1. {headings[1]}", f"2 {headings[2]}"]
    elif style == "bare":
        headings = [strip_accents(name) for name in headings]
    elif style == "colon":
        headings = [name + ":" for name in headings]
    elif style == "decomposed":
        headings = [unicodedata.normalize("NFD", name) for name in headings]
    abstract, opening, methods, thanks, references = headings
    parts = [title, "A. Ninguém", abstract, names[1], names[2], opening, words, methods, words]
    parts += [thanks, "A. B.", references, "C. D. 2001."]
    return "\n\n".join(parts), names


@pytest.mark.parametrize("style", ["plain", "capitals", "numbered", "bare", "colon", "decomposed"])
@pytest.mark.parametrize("code", list(PAPERS))
def test_papers_in_other_languages(code: str, style: str) -> None:
    text, names = write_text(code, style)
    document = read_text(text.encode())
    cut_boilerplate(document)
    assert document.abstract == names[1]
    assert len(document.keywords) == 2
    words = PAPERS[code].split("|")[-1]
    assert [block.text for block in document.blocks if block.kind == "paragraph"] == [words, words]
    assert [block.kind for block in document.blocks] == ["heading", "paragraph", "heading", "paragraph"]
    assert document.cut["references"] and document.cut["acknowledgements"]


@pytest.mark.parametrize("code", list(PAPERS))
def test_pages_in_other_languages(code: str) -> None:
    title, abstract, text, keywords, opening, methods, thanks, references, words = PAPERS[code].split("|")
    english = "<h2>Abstract</h2><p>It fell.</p><p>Keywords: river; lake</p>"
    own = f"<h2>{abstract}</h2><p>{text}</p><p>{keywords}</p>"
    rest = f"<h2>{opening}</h2><p>{words}</p><h2>{methods}</h2><p>{words}</p>"
    back = f"<h2>{thanks}</h2><p>A.</p><h2>{references}</h2><p>B.</p>"
    for page in (english + own + rest + back, own + english + rest + back, own + rest + english + back):
        document = read_page(page)
        assert document.abstract == text
        assert document.keywords[0] == match_keywords_line(keywords)[1].split(";")[0]
        assert texts(document) == [f"h1:{opening}", f"p:{words}", f"h1:{methods}", f"p:{words}"]
        assert document.cut["other abstracts"] >= len("AbstractIt fell.")


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        ("Fig 1. Oxygen", True),
        ("Figure S2: Oxygen", True),
        ("Figura 1. Oxigênio", True),
        ("Tabla 2. Nivel", True),
        ("Tableau 1 – Niveau", True),
        ("Abb. 3: Pegel", True),
        ("Figs 1 and 2 show", False),
        ("Table 1 shows the level.", False),
    ],
)
def test_captions_in_other_languages(line: str, is_one: bool) -> None:
    assert is_caption(line) == is_one


def test_english_paper_with_a_resumen() -> None:
    words = "The level of the river was measured with a probe and is that of the lake."
    page = (
        "<h2>Abstract</h2><p>It fell.</p><p>Keywords: river</p><h2>Resumen</h2><p>El nivel bajó.</p>"
        f"<p>Palabras clave: río</p><h2>Introduction</h2><p>{words}</p>"
    )
    document = read_page(page)
    assert (document.abstract, document.keywords) == ("It fell.", ["river"])
    assert texts(document) == ["h1:Introduction", f"p:{words}"]


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("Conflito de interesses", "competing interests"),
        ("Conflictos de interés", "competing interests"),
        ("Conflits d\u2019intérêts", "competing interests"),
        ("Interessenkonflikte", "competing interests"),
        ("Financiamento", "funding"),
        ("FINANCIACIÓN", "funding"),
        ("Financement", "funding"),
        ("Förderung", "funding"),
        ("Contribuições dos autores", "author contributions"),
        ("Contribución de los autores", "author contributions"),
        ("Contributions des auteurs", "author contributions"),
        ("Material suplementar", "supporting information"),
        ("Material suplementario", "supporting information"),
        ("Matériel supplémentaire", "supporting information"),
        ("Disponibilidad de los datos", "data availability"),
        ("Aspectos éticos", "ethics"),
        ("Lista de abreviaturas", "abbreviations"),
        ("Abkürzungen", "abbreviations"),
        ("Notas de rodapé", "footnotes"),
        ("Fußnoten", "footnotes"),
        ("Financiamento da saúde", ""),
        ("Quellen", ""),
        ("Referencias de nivel", ""),
    ],
)
def test_back_matter_in_other_languages(heading: str, kind: str) -> None:
    assert find_boilerplate_kind(heading) == kind


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


# Markdown -------------------------------------------------------------------------------------------------------------


def test_markdown_of_marker() -> None:
    item = read_case("marker.md")
    assert item.paper.title == "An invented paper about a river"
    assert item.paper.abstract == "The abstract says that oxygen in the river fell."
    assert titles(item) == ["Introduction", "Introduction / Sites & dates"]
    lines = item.paper.txt.split("\n")
    assert lines[1].endswith("did not enter the comparison. Rivers are old and long.")
    assert lines[2:] == [
        "Figure 1. Oxygen by month.",
        "Sites & dates",
        "Oxygen was < 5 mg/L (p < 0.05) and fell at 10^-6 M of H2O. See the site.",
    ]
    assert item.cut["references"] == 142
    assert item.cut["citation marks"] == len("[20](Alpha et al., 2001; Beta, 2002)") + 1


def read_markdown(body: str) -> Document:
    document = read_text(f"# On foam\n\nA. Nobody\n\n## Abstract\n\nShort.\n\n{body}\n".encode())
    cut_boilerplate(document)
    assert (document.title, document.abstract) == ("On foam", "Short.")
    return document


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        (
            "It is **bold**, __bold__, *slanted*, _slanted_ and ***both***.",
            "It is bold, bold, slanted, slanted and both.",
        ),
        ("snake_case and x_1 and 2 * 3 * 4", "snake_case and x_1 and 2 * 3 * 4"),
        ("10<sup>-6</sup> M of H<sub>2</sub>O and x<sub>max</sub>", "10^-6 M of H2O and x_max"),
        ("&lt; 5 mg/L &amp; p < 0.05, n > 3", "< 5 mg/L & p < 0.05, n > 3"),
        ("a <b and c> d", "a <b and c> d"),
        ("See [the site](https://example.org/a_b) or <https://example.org>.", "See the site or https://example.org."),
        ("Silt <!-- image -->settles.", "Silt settles."),
        ("Silt ![](a.png)settles.", "Silt settles."),
        ("Silt [\\[20\\]](#page-8-0) settles [\\[3,](#p) [4\\]](#p).", "Silt settles."),
        ("Silt settles [(Alpha et al., 2001)](#page-8-0).", "Silt settles."),
        ("[Alpha](#p) [(2001)](#p) found silt.", "Alpha (2001) found silt."),
        ("Silt settles.<sup>[12](#page-8-0)</sup> It is old.", "Silt settles. It is old."),
        ("Silt \\[20\\] settles [20].", "Silt [20] settles [20]."),
        ("See Fig. [2](#page-3-0), [Figure 3](#f) and [Section 2](#s).", "See Fig. 2, Figure 3 and Section 2."),
        ("Water of $x_1 = 2$ and \\(y = 3\\) costs $5 and $6.", "Water of x_1 = 2 and y = 3 costs $5 and $6."),
        ("Silt settles[^1].", "Silt settles."),
        ("One line  \nand another\\\nand one", "One line and another and one"),
    ],
)
def test_lines_of_markdown(line: str, plain: str) -> None:
    assert texts(read_markdown(f"## Results\n\n{line}")) == ["h1:Results", f"p:{plain}"]


@pytest.mark.parametrize(
    ("body", "blocks"),
    [
        ("$$\nE = m\\,c^2 \\tag{1}\n$$", ["e:E = m c^2 (1)"]),
        ("\\[F = ma\\]", ["e:F = ma"]),
        ("![Figure 1. Foam by month.](f.png)", ["c:Figure 1. Foam by month."]),
        ("![Image](f.png)\n\n<!-- image -->\n\nA.", ["p:A."]),
        ('<span id="page-1-0"></span>Figure 1: Foam.', ["c:Figure 1: Foam."]),
        ("| a | b |\n|---|--:|\n| 1 | **2** |", ["t:a | b\n1 | 2"]),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>1</td><td>2</td></tr></table>", ["t:a | b\n1 | 2"]),
        ("1. lift\n2. clamp\n\n- slip", ["p:1. lift", "p:2. clamp", "p:slip"]),
        ("```r\n# load\n**x**\n```", ["p:# load **x**"]),
        ("Text.[^a]\n\n[^a]: A note\n    that is long.\n\nMore.", ["p:Text.", "p:More."]),
        ("1 of 2[^1]\n\n[^1]: N.\n[^2]: M.", ["p:1 of 2"]),
    ],
)
def test_blocks_of_markdown(body: str, blocks: list[str]) -> None:
    document = read_markdown(f"## Results\n\n{body}")
    assert texts(document) == ["h1:Results", *blocks]
    assert (document.cut["footnotes"] > 0) == ("[^" in body)


@pytest.mark.parametrize(
    "headings",
    [
        "## 1. Introduction|## 1.1 Sites|## References",
        "## **1 Introduction**|### **1.1 Sites**|## **References**",
        '# <span id="p"></span>1. Introduction|## 1.1. Sites|# <span id="q"></span>References',
        "1. Introduction\n===============|1.1 Sites\n---------|References\n==========",
        "# I. Introduction|## A. Sites|# Bibliography",
        "## Introduction|### Sites ###|Acknowledgements",
    ],
)
def test_headings_of_markdown(headings: str) -> None:
    opening, sites, references = headings.split("|")
    document = read_markdown(f"{opening}\n\nA.\n\n{sites}\n\nB.\n\n{references}\n\n- R.")
    found = [block.text.removeprefix("I. ").removeprefix("A. ") for block in document.blocks]
    assert found == ["Introduction", "A.", "Sites", "B."]
    assert [block.level for block in document.blocks if block.kind == "heading"] == [1, 2]


def test_bold_lines_as_headings() -> None:
    text = "**On foam**\n\n**Abstract**\n\nShort.\n\n**1. Introduction**\n\nA.\n\n**References**\n\n- R."
    document = read_text(text.encode())
    cut_boilerplate(document)
    assert document.abstract == "Short."
    assert texts(document) == ["h1:Introduction", "p:A."]


def test_title_on_the_level_of_the_sections() -> None:
    document = read_text(b"<!-- image -->\n\n## On foam\n\nA. Nobody\n\n## Abstract\n\nShort.\n\n## 1 Methods\n\nA.")
    assert (document.title, document.abstract, texts(document)) == ("On foam", "Short.", ["h1:Methods", "p:A."])


def test_header_of_pandoc() -> None:
    head = '---\ntitle: "On foam: a note"\ndoi: 10.1000/md.1\nkeywords: [foam, copper]\nauthor: A. Nobody\n---\n\n'
    document = read_text(f"{head}# Introduction\n\nA.\n\n# Results\n\nB.".encode())
    assert (document.title, document.doi) == ("On foam: a note", "10.1000/md.1")
    assert document.keywords == ["foam", "copper"]
    assert texts(document) == ["h1:Introduction", "p:A.", "h1:Results", "p:B."]


@pytest.mark.parametrize(
    "text",
    [
        "On foam\n\nMethods\n\nA *b* c [1](x).",
        "On foam\n=======\n\n1. Introduction\n---------------\nIt was a_b_c.",
        "On foam\n\n```\n# a\n\n# b\n```",
        "On foam\n\n#1 is first\n\n#2 is last",
    ],
)
def test_plain_text_is_no_markdown(text: str) -> None:
    assert not is_markdown(text)


@pytest.mark.parametrize("piece", ["$", "[", "](#", "**a", "<a b=", "`", "\\(", "[^1]", "#### ", "| a ", "> ", "- "])
def test_hostile_markdown_takes_no_time(piece: str) -> None:
    start = time.monotonic()
    read_text(f"# A\n\n## B\n\n{piece * 3000}\n".encode())
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("piece", ["<h2>Abstract</h2>", "<h2>Resumen</h2><p>x", "<p>a<svg/>", "<img alt='n=5'>", "<p>"])
def test_hostile_pages_take_no_time(piece: str) -> None:
    start = time.monotonic()
    read_html(f"<h1>A</h1>{piece * 500}".encode())
    assert time.monotonic() - start < 5
