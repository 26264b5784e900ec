"""Faults met on public TEI and in captions: one test per case file, and the variations of its kind."""

from collections import Counter

import pytest
from lxml import etree

from sciqag_lib.ingest.document import Document, cut_boilerplate
from sciqag_lib.ingest.pages.html import read_html
from sciqag_lib.ingest.running_text.captions import join_caption, join_cut_label
from sciqag_lib.ingest.running_text.inline import inline_text
from sciqag_lib.ingest.running_text.nodes import parse_xml
from sciqag_lib.ingest.xml.tei import read_tei
from tests.case_papers import lines, read_case, texts


def inline(xml: str) -> str:
    return inline_text(etree.fromstring(f"<p>{xml}</p>"), Counter())


def tei(body: str, header: str = "", front: str = "", attributes: str = "") -> Document:
    xml = (
        f"<TEI><teiHeader>{header}</teiHeader><text {attributes}><front>{front}</front><body>{body}</body></text></TEI>"
    )
    document = read_tei(parse_xml(xml.encode()))
    cut_boilerplate(document)
    return document


# Sentences, lines, captions


def test_case_of_segmented_sentences() -> None:
    prepared = read_case("sentences.tei.xml")
    assert prepared.paper.abstract == "Abstract one. Abstract two."
    assert lines(prepared) == [
        "Introduction",
        "Methods",
        "The first sentence ends here. The second begins here. The third is last.",
        "Fig. 1. Oxygen by month. Means of six places.",
    ]


def test_sentences_in_lists_tables_and_notes() -> None:
    two = "<s>One.</s><s>Two.</s>"
    body = (
        f"<list><item>{two}</item></list><figure><note>{two}</note></figure><p>CO<hi rend='subscript'>2</hi>, {two}</p>"
    )
    assert texts(tei(body)) == ["p:One. Two.", "p:One. Two.", "p:CO2, One. Two."]


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        ("<verse-group><verse-line>one</verse-line><verse-line>two</verse-line></verse-group>", "one two"),
        ("one<break/>two <italic>lim</italic>pet CO<sub>2</sub>", "one two limpet CO2"),
        ("<SENT><plain>One.</plain></SENT><SENT><plain>Two.</plain></SENT>", "One. Two."),
        ("<abbrev>DO<def><p>dissolved oxygen</p></def></abbrev> fell", "DO (dissolved oxygen) fell"),
    ],
)
def test_white_space_between_lines_and_none_inside_words(xml: str, text: str) -> None:
    assert inline(xml) == text


def test_a_stroke_through_html_is_no_sentence() -> None:
    page = "<html><body><article><h2>Results</h2><p>sil<s>t</s>y</p></article></body></html>"
    assert read_html(page.encode()).blocks[-1].text == "silty"


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        ("exam-<lb/>ple", "example"),
        ("one<lb/>two<pb n='2'/>three", "one two three"),
        ("un<lb break='no'/>broken", "unbroken"),
        ("unbro-<pb break='no'/>\nken", "unbroken"),
        ("5-<lb/>6 m", "5- 6 m"),
    ],
)
def test_line_and_page_breaks(xml: str, text: str) -> None:
    assert texts(tei(f"<p>{xml}</p>")) == [f"p:{text}"]


@pytest.mark.parametrize(
    ("parts", "caption"),
    [
        (("Fig. 1 .", "Fig. 1. Oxygen. Means."), "Fig. 1. Oxygen. Means."),
        (("Figure 1", "Figure 1 Oxygen"), "Figure 1. Oxygen."),
        (("Figure 2 :", "Figure 2: Oxygen"), "Figure 2. Oxygen."),
        (("Fig. 1", "Fig. 12 shows more"), "Fig. 1. Fig. 12 shows more."),
        (("Table 1", "Rates", "In summer (n = 3.)"), "Table 1. Rates. In summer (n = 3.)"),
        (("Figure 3 –", "Figure 3 -Oxygen"), "Figure 3. Oxygen."),
        (("Box 1", ""), "Box 1."),
        (("", "Oxygen?"), "Oxygen?"),
    ],
)
def test_label_title_and_text_of_a_caption_are_sentences(parts: tuple[str, ...], caption: str) -> None:
    assert join_caption(*parts) == caption


@pytest.mark.parametrize(
    ("head", "description", "caption"),
    [
        ("Fig. 2 M", "-waves seen", "Fig. 2 M-waves seen."),
        ("Fig.", "3 Oxygen by month", "Fig. 3 Oxygen by month."),
        ("Table IV", "rates of growth", "Table IV. rates of growth."),
        ("Figure 4: Oxygen by month.", "Figure 4: Oxygen by month. Means.", "Figure 4: Oxygen by month. Means."),
    ],
)
def test_heads_that_grobid_cuts_anywhere(head: str, description: str, caption: str) -> None:
    assert join_cut_label(head, description) == caption


def test_tei_by_other_hands() -> None:
    body = (
        "<div><head>Methods</head><p>Text<note place='foot'>Foot.</note> of<ref type='foot'>1</ref> it.</p>"
        "<div><head>Places</head><list type='ordered'><head>Both</head><item>one<list><item>in</item></list></item>"
        "<item><p>two</p></item></list></div><table><head>Table 1</head><row><cell>a</cell><cell>b</cell></row></table>"
        "<cit><quote><p>Quoted.</p></quote><bibl>A. Nobody</bibl></cit><lg><l>line one</l><l>line two</l></lg>"
        "<figure><graphic/><head>Fig. 1</head><p>Oxygen.</p><figure><head>Fig. 1b</head></figure></figure></div>"
    )
    document = tei(body, front="<div type='abstract'><p>Short.</p></div><p>Title page.</p>")
    assert texts(document) == [
        "h1:Methods", "p:Text of it.", "h2:Places", "p:Both", "p:1. one", "p:in", "p:2. two", "c:Table 1.", "t:a | b",
        "p:Quoted.", "p:A. Nobody", "p:line one line two", "c:Fig. 1.", "p:Oxygen.", "c:Fig. 1b.",
    ]  # fmt: skip
    assert document.abstract == "Short."
    assert document.cut == {"footnotes": 5, "footnote marks": 1, "front matter": len("Title page.")}


def test_tei_in_two_languages() -> None:
    header = (
        "<profileDesc><abstract xml:lang='fr'><p>Court.</p></abstract><abstract xml:lang='en'><p>Short.</p></abstract>"
        "<keywords xml:lang='fr'><term>eau</term></keywords><keywords>water; silt</keywords></profileDesc>"
    )
    document = tei("<p>x</p>", header, attributes="xml:lang='en'")
    assert (document.abstract, document.keywords) == ("Short.", ["water", "silt"])
    assert document.cut == {"other abstracts": 6, "keywords in other languages": 3}


def test_a_division_of_abbreviations_inside_another() -> None:
    inner = "<div><head>Abbreviations</head><p>DO</p></div>"
    document = tei(f"<div><head>Introduction</head><p>Before.</p>{inner}<p>After.</p></div>")
    assert texts(document) == ["h1:Introduction", "p:Before.", "p:After."]
    assert document.cut == {"abbreviations": 15}


def test_the_doi_of_a_figure_is_no_caption() -> None:
    document = tei("<figure><head>Fig. 1</head><figDesc>Means. DOI: 10.9999/x.1</figDesc></figure>")
    assert texts(document) == ["c:Fig. 1. Means."] and document.cut == {"object DOIs": len(" DOI: 10.9999/x.1")}
