"""Cases of web pages and texts: where abstracts end, keywords, peer review, headings in other languages."""

import unicodedata

import pytest
from test_ingest_formats import make_pdf

from sciqag_lib.ingest.document import cut_boilerplate
from sciqag_lib.ingest.headings import find_boilerplate_kind, is_caption, match_keywords_line
from sciqag_lib.ingest.pdf.pdf import read_pdf
from sciqag_lib.ingest.text import read_text
from tests.case_papers import read_case, read_page, texts, titles

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
        '<div id="article-abstract"><h2>Abstract</h2><div class="abstract-text"><p>Short.</p></div></div>'
        "<h2>Introduction</h2><p>A.</p><h2>Results</h2><p>B.</p>",
        '<p class="abstract">Short.</p><h2>Introduction</h2><p>A.</p><h2>Results</h2><p>B.</p>',
        "<p><b>Abstract</b> Short.</p><h2>Introduction</h2><p>A.</p><h2>Results</h2><p>B.</p>",
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


def test_an_element_in_an_element_is_one_abstract() -> None:
    document = read_page(
        '<div id="abstract"><h2>Abstract</h2><div class="abstract-text"><p>Short.</p></div></div><h2>A</h2>'
    )
    assert (document.abstract, document.cut["other abstracts"]) == ("Short.", 0)


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
        ("", "<p><strong>Keywords</strong><br> river; lake</p>", ["river", "lake"]),
        ("", "<div><p><b>Key words</b> — river; lake</p></div>", ["river", "lake"]),
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
        ("Reviewer response for version 1", "peer review"),
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


def test_pdf_in_portuguese() -> None:
    words = [
        "A água do rio não foi medida com os dados das cheias em uma semana",
        "para o lago, e os níveis das águas são.",
    ]
    heads = ["Resumo", "Palavras-chave: rio; lago", "1 Introdução", "Referências"]
    lines = [(60, 80, 18, True, "Um rio de areia")]
    for number, head in enumerate(heads):
        top = 130 + 80 * number
        lines.append((60, top, 10, not head.startswith("Palavras"), head))
        if not head.startswith("Palavras"):
            lines += [(60, top + 24, 10, False, words[0]), (60, top + 36, 10, False, words[1])]
    document = read_pdf(make_pdf([lines]))
    cut_boilerplate(document)
    assert (document.title, document.abstract) == ("Um rio de areia", " ".join(words))
    assert document.keywords == ["rio", "lago"]
    assert texts(document) == ["h1:Introdução", f"p:{' '.join(words)}"]


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
