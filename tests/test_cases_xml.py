"""Faults met on public JATS files: one test per case file, and the variations of its kind."""

from collections import Counter

import pytest

from sciqag_lib.ingest.document import Document, cut_boilerplate
from sciqag_lib.ingest.running_text.nodes import parse_xml
from sciqag_lib.ingest.xml.jats import read_jats
from sciqag_lib.ingest.xml.keyword_groups import KeywordGroup, choose_keywords
from tests.case_papers import lines, read_case, texts

NOTE = '<xref ref-type="fn" rid="fn1">%s</xref>'


def jats(body: str, front: str = "", back: str = "", attributes: str = "", rest: str = "") -> Document:
    xml = (
        f"<article {attributes}><front><article-meta>{front}</article-meta></front><body>{body}</body>"
        f"<back>{back}</back>{rest}</article>"
    )
    document = read_jats(parse_xml(xml.encode()))
    cut_boilerplate(document)
    return document


# Boxes and glossaries


def test_case_of_a_box_of_abbreviations() -> None:
    prepared = read_case("box.xml")
    after = "The second half of the introduction says why the river matters."
    assert lines(prepared) == ["Introduction", after, "Results", "Oxygen fell in August."]
    introduction = prepared.paper.sections[0]
    assert introduction.title == "Introduction"
    assert prepared.paper.txt[introduction.start : introduction.end].endswith(after)
    assert prepared.cut["abbreviations"] == len("Abbreviations") + len("DO: dissolved oxygen.")


def test_case_of_a_box_with_a_label() -> None:
    assert lines(read_case("box_label.xml")) == ["Results", "KEY CONCEPT 1. Bend", "A curve of the river.", "After."]


TERMS = "<def-item><term>DO</term><def><p>oxygen</p></def></def-item>"


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        (f"<boxed-text><title>Abbreviations</title><def-list>{TERMS}</def-list></boxed-text>", []),
        (f"<boxed-text><sec><title>Glossary</title><def-list>{TERMS}</def-list></sec></boxed-text>", []),
        (f"<boxed-text><label>Box 1</label><title>Abbreviations</title><def-list>{TERMS}</def-list></boxed-text>", []),
        (f"<p><boxed-text><title>Abbreviations</title><def-list>{TERMS}</def-list></boxed-text></p>", []),
        (f"<glossary><def-list>{TERMS}</def-list></glossary>", []),
        (f"<glossary><title>Terms</title><def-list>{TERMS}</def-list></glossary>", ["p:Terms", "p:DO: oxygen"]),
        (f"<def-list><title>Abbreviations</title>{TERMS}</def-list>", []),
        ("<list><title>Abbreviations</title><list-item><p>DO</p></list-item></list>", []),
        (f"<sec><title>Abbreviations</title><def-list>{TERMS}</def-list></sec>", []),
        ("<sec><title>Places</title><p>Six.</p></sec>", ["h2:Places", "p:Six."]),
        ("<boxed-text><caption><title>Key</title></caption><sec><title>One</title><p>Silt.</p></sec></boxed-text>",
         ["p:Key", "p:One", "p:Silt."]),
        ("<boxed-text><label>Box 2</label><title>Bend</title><p>Silt.</p></boxed-text>", ["p:Box 2. Bend", "p:Silt."]),
        ("<statement><label>Theorem 1.</label><p>Rivers end.</p></statement>", ["p:Theorem 1.", "p:Rivers end."]),
    ],
)  # fmt: skip
def test_a_box_ends_where_it_ends(box: str, kept: list[str]) -> None:
    introduction = f"<sec><title>Introduction</title><p>Before.</p>{box}<p>After.</p></sec>"
    document = jats(introduction + "<sec><title>Results</title><p>x</p></sec>")
    assert texts(document) == ["h1:Introduction", "p:Before.", *kept, "p:After.", "h1:Results", "p:x"]


def test_a_box_that_ends_its_section_is_a_section() -> None:
    body = "<sec><title>Results</title><p>x</p><boxed-text><title>Key points</title><p>Silt.</p></boxed-text></sec>"
    assert texts(jats(body)) == ["h1:Results", "p:x", "h2:Key points", "p:Silt."]


def test_abbreviations_in_the_front_and_among_floats() -> None:
    box = "<boxed-text><title>Abbreviations</title><p>DO</p></boxed-text>"
    floats = f"<floats-group>{box}<fig><label>Figure 1</label><caption><p>Silt</p></caption></fig></floats-group>"
    document = jats("<p>x</p>", rest=floats)
    assert texts(document) == ["p:x", "h1:Figures and tables", "c:Figure 1. Silt."]
    xml = "<article><front><article-meta/><notes><title>Abbreviations</title><p>DO</p></notes></front></article>"
    assert read_jats(parse_xml(xml.encode())).cut == {"abbreviations": 15}


# Figures, videos, formulas, quotations


def test_case_of_nested_figures() -> None:
    assert lines(read_case("nestedfig.xml")) == [
        "Results",
        "Figure 1. Oxygen by month. Means of six places.",
        "Figure 1—figure supplement 1. Oxygen by place. Each dot is one sample.",
    ]


def caption(tag: str, label: str, text: str, inside: str = "") -> str:
    return f"<{tag}><label>{label}</label><caption><p>{text}</p></caption>{inside}</{tag}>"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (caption("media", "Video 1.", "Silt moves."), ["c:Video 1. Silt moves."]),
        (f"<p>See {caption('media', 'Video 1.', 'Silt.')} here.</p>", ["p:See here.", "c:Video 1. Silt."]),
        (caption("fig", "Figure 1", "One", caption("media", "Film", "Two")), ["c:Figure 1. One.", "c:Film. Two."]),
        (caption("fig-group", "Figure 1", "All", caption("fig", "A", "One")), ["c:Figure 1. All.", "c:A. One."]),
        (caption("graphic", "Figure 1", "One"), ["c:Figure 1. One."]),
        (caption("fig", "Figure 1", "One", "<p>Loose text.</p>"), ["c:Figure 1. One.", "p:Loose text."]),
        (caption("fig", "Figure 1", "One", "<alternatives><graphic/><graphic/></alternatives>"), ["c:Figure 1. One."]),
        (caption("table-wrap-group", "Tables", "All", caption("table-wrap", "Table 1", "Rates",
                                                              "<table><tr><td>a</td><td>b</td></tr></table>")),
         ["c:Tables. All.", "c:Table 1. Rates.", "t:a | b"]),
        (caption("table-wrap", "Table 1", "Rates", "<list><list-item><p>one</p></list-item></list>"),
         ["c:Table 1. Rates.", "p:one"]),
        ("<media/><p>x</p>", ["p:x"]),
    ],
)  # fmt: skip
def test_captions_of_nested_figures_videos_and_groups(body: str, expected: list[str]) -> None:
    assert texts(jats(body)) == expected


def test_credits_and_supplements_are_cut_and_counted() -> None:
    credit = caption("fig", "Figure 1", "One", "<attrib>Photo: Orr.</attrib>")
    document = jats(credit + caption("supplementary-material", "S1", "Data", caption("media", "Video S1", "Silt")))
    assert texts(document) == ["c:Figure 1. One."]
    assert document.cut == {"credits": 11, "supporting information": len("S1DataVideo S1Silt")}


def test_formulas_that_are_images_are_counted() -> None:
    body = (
        "<p>fell (<inline-formula><svg><text>n</text></svg></inline-formula>) at <inline-formula><inline-graphic/>"
        "</inline-formula>, <inline-graphic/> and <inline-formula><alternatives><inline-graphic/><tex-math>n = 5"
        "</tex-math></alternatives></inline-formula></p><disp-formula><label>(1)</label><graphic/></disp-formula>"
    )
    document = jats(body)
    assert texts(document) == ["p:fell ([formula]) at [formula], [formula] and n = 5", "e:[formula] (1)"]
    assert document.cut == {"formulas that are images (number)": 4}


def test_icons_are_no_formulas_and_a_table_in_a_cell_is_read_once() -> None:
    inner = "<array><tbody><tr><td>in</td><td>it</td></tr></tbody></array>"
    body = (
        f"<p><xref><inline-graphic/></xref> Silt</p><array><tbody><tr><td>a</td><td>{inner}</td></tr></tbody></array>"
    )
    assert texts(jats(body)) == ["p:Silt", "t:a | in it"]


def test_case_of_odd_elements() -> None:
    prepared = read_case("odd.xml")
    assert prepared.paper.keywords == ["river", "oxygen", "nested one"]
    found = lines(prepared)
    assert found[found.index("Quoted words.") + 1] == "A. Nobody"
    for line in ("line one line two", "Q: What did you see?", "Theorem 1.", "1 | 2", "All figures.", "x = 1 y = 2"):
        assert line in found
    assert "Resumen." not in prepared.paper.abstract and prepared.cut["other abstracts"] == len("Resumen.")


def test_a_source_follows_its_quotation_wherever_the_file_has_it() -> None:
    body = (
        "<disp-quote><attrib>Orr</attrib><p>Silt.</p><p>Mud.</p></disp-quote><p>So <verse-group><title>Song</title>"
        "<verse-line>one</verse-line><verse-line>two</verse-line><attrib>Anon</attrib></verse-group></p>"
    )
    assert texts(jats(body)) == ["p:Silt.", "p:Mud.", "p:Orr", "p:So", "p:Song", "p:one two", "p:Anon"]


# Keywords, footnotes, object DOIs


def test_case_of_keywords_in_two_languages() -> None:
    prepared = read_case("kwlang.xml")
    assert prepared.paper.keywords == ["river", "oxygen"]
    assert prepared.cut["keywords in other languages"] == len("riooxigênio")


@pytest.mark.parametrize(
    ("groups", "language", "keywords", "cut"),
    [
        ([("en", "", "", "river"), ("pt", "", "", "rio")], "pt", ["rio"], {"keywords in other languages": 5}),
        ([("", "", "", "river"), ("es", "", "", "río")], "en", ["river"], {"keywords in other languages": 3}),
        ([("", "Keywords", "", "river"), ("", "Palabras clave", "", "río")], "en", ["river"],
         {"keywords in other languages": 3}),
        ([("en", "", "", "river"), ("pt", "", "", "rio")], "", ["river"], {"keywords in other languages": 3}),
        ([("pt", "", "", "rio")], "en", [], {"keywords in other languages": 3}),
        ([("pt", "", "", "rio")], "", ["rio"], {}),
        ([("", "", "author-keywords", "gene"), ("", "", "research-organism", "Mouse")], "en", ["gene"],
         {"other keywords": 5}),
        ([("", "Abbreviations:", "", "DO")], "en", [], {"other keywords": 2}),
    ],
)  # fmt: skip
def test_keywords_are_the_authors_in_the_papers_language(
    groups: list[tuple[str, str, str, str]], language: str, keywords: list[str], cut: dict[str, int]
) -> None:
    counted: Counter[str] = Counter()
    made = [KeywordGroup(language, title, kind, [word]) for language, title, kind, word in groups]
    assert (choose_keywords(made, language, counted), counted) == (keywords, cut)


def test_languages_are_compared_without_their_regions() -> None:
    group = '<kwd-group xml:lang="en-US"><kwd>river</kwd></kwd-group>'
    assert jats("<p>x</p>", group, attributes='xml:lang="EN"').keywords == ["river"]


def test_translations_are_cut_and_counted() -> None:
    front = '<abstract xml:lang="pt"><p>Água.</p></abstract><abstract xml:lang="en"><p>Water.</p></abstract>'
    translation = (
        '<sub-article article-type="translation" xml:lang="pt"><front-stub><kwd-group><kwd>rio</kwd></kwd-group>'
        "</front-stub><body><p>Olá.</p></body></sub-article>"
    )
    document = jats("<p>Hello.</p>", front, attributes='xml:lang="en"', rest=translation)
    assert (document.abstract, document.keywords, texts(document)) == ("Water.", [], ["p:Hello."])
    assert document.cut == {"other abstracts": 5, "sub-articles": len("rioOlá.")}


def test_case_of_footnote_marks() -> None:
    prepared = read_case("fnmark.xml")
    line = "The river carries silt and sand. Reeds grow there. A footnote in place ends."
    assert lines(prepared) == ["Results", line]
    assert prepared.cut == {"footnotes": len("1Silt is mud.") + len("Cut."), "footnote marks": 2}


def test_bare_marks_of_footnotes_that_nothing_calls() -> None:
    back = "<fn-group><fn><label>2</label><p>Mud.</p></fn><fn><label>*</label><p>Prize.</p></fn></fn-group>"
    front = "<title-group><article-title>On rivers<sup>*</sup></article-title></title-group>"
    document = jats("<sec><title>Results</title><p>5 m<sup>2</sup> of silt.<sup>2</sup> Sand.</p></sec>", front, back)
    assert (document.title, texts(document)) == ("On rivers", ["h1:Results", "p:5 m^2 of silt. Sand."])
    called = jats(
        f"<p>silt{NOTE % 2} for min<sup>2</sup>, pot<sup>2</sup></p>", "", back.replace("<fn>", '<fn id="fn1">')
    )
    assert texts(called) == ["p:silt for min^2, pot^2"]


def test_marks_in_headings_go_and_marks_in_tables_stay() -> None:
    body = (
        f"<sec><title>Results{NOTE % '<sup>1</sup>'}</title><table-wrap><label>Table 1</label><caption><p>Rates"
        f"{NOTE % 'a'}</p></caption><table><tr><td>1</td><td>2<sup>{NOTE % 'a'}</sup></td></tr></table>"
        "<table-wrap-foot><fn-group><fn><label>a</label><p>At noon.</p></fn></fn-group></table-wrap-foot>"
        "</table-wrap></sec>"
    )
    assert texts(jats(body)) == ["h1:Results", "c:Table 1. Rates^a.", "t:1 | 2^a", "p:^a At noon."]


def test_case_of_object_dois() -> None:
    prepared = read_case("objectdoi.xml")
    assert prepared.paper.abstract == "Oxygen fell in August."
    assert lines(prepared) == ["Results", "Figure 1. Oxygen by month. Means of six places."]
    assert prepared.cut["object DOIs"] == 2 * len("DOI: http://dx.doi.org/10.9999/case.001")


def test_dois_that_are_no_objects_stay() -> None:
    doi = "DOI: https://doi.org/10.9999/x.1"
    figure = f"<fig><label>Figure 1.</label><caption><p>Means. <bold>{doi}</bold></p></caption></fig>"
    document = jats(f"{figure}<p>{doi}</p><p>Data are at Dryad. {doi}</p>", f"<abstract><p>Fell. {doi}</p></abstract>")
    assert texts(document) == ["c:Figure 1. Means.", f"p:Data are at Dryad. {doi}"]
    assert document.abstract == "Fell."
    assert document.cut == {"object DOIs": 3 * len(doi) + 2}  # with the spaces before two of them
