"""JATS and TEI: what comes out as text, what is cut, and XML that is out to do harm."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from sciqag_lib.errors import InputError
from sciqag_lib.ingest.document import Block, Document, cut_boilerplate, join_blocks, make_paper
from sciqag_lib.ingest.headings import find_boilerplate_kind
from sciqag_lib.ingest.running_text.inline import inline_text
from sciqag_lib.ingest.running_text.mathml import mathml_text, tex_text
from sciqag_lib.ingest.running_text.nodes import parse_xml
from sciqag_lib.ingest.running_text.tables import format_table
from sciqag_lib.ingest.xml.jats import read_jats
from sciqag_lib.ingest.xml.tei import read_tei

CITE = '<xref ref-type="bibr" rid="b">%s</xref>'
SAMPLE = Path(__file__).resolve().parents[1] / "data" / "papers" / "tidal_pools.xml"


def read_inline(xml: str) -> str:
    return inline_text(etree.fromstring(f"<p>{xml}</p>"), Counter())


def read_article(body: str, front: str = "", back: str = "", attributes: str = "") -> Document:
    xml = (
        f"<article {attributes}><front><article-meta>{front}</article-meta></front><body>{body}</body>"
        f"<back>{back}</back></article>"
    )
    return read_jats(parse_xml(xml.encode()))


def texts(document: Document) -> list[str]:
    return [f"{block.kind[0]}:{block.text}" for block in document.blocks]


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        ("10<sup>5</sup> cells", "10^5 cells"),
        ("10<sup>-9</sup> m s<sup>-1 </sup>(mean)", "10^-9 m s^-1 (mean)"),
        ("x<sup>n+1</sup>", "x^(n+1)"),
        ("H<sub>2</sub>O and x<sub>i</sub>, V<sub>max</sub>", "H2O and x_i, V_max"),
        ("Ca<sup>2+</sup>, CD4<sup>+</sup>, SO<sub>4</sub><sup>2-</sup>", "Ca2+, CD4+, SO4^2-"),
        ("<sup>13</sup>C, the 2<sup>nd</sup>, 25<sup>°</sup>C", "13C, the 2nd, 25°C"),
        ("a\n   <italic>b</italic>c<!-- no --> &amp; d", "a bc & d"),
        ("{{x}} {0} %s $y", "{{x}} {0} %s $y"),
        ("5 s<sup>-1</sup>and 3 m<sup>2</sup>vs.", "5 s^-1 and 3 m^2 vs."),
        ("<italic>χ<sub>21</sub></italic><sup>2</sup> = 84", "χ21^2 = 84"),
        ("<sup>99 m</sup>Tc in [<sup>32</sup>P]", "99 mTc in [32P]"),
        ("(λ<sub>ex:</sub> λ<sub>em</sub>)", "(λ_ex: λ_em)"),
        ('1.2<xref ref-type="table-fn">a</xref> 3<xref ref-type="table-fn">*</xref>', "1.2^a 3*"),
        ('1<sup><xref ref-type="table-fn">a</xref></sup> 3<xref ref-type="table-fn"><sup>b</sup></xref>', "1^a 3^b"),
        ("DNA , Fe (\n  n = 3 ), it .", "DNA, Fe (n = 3), it."),
        (f"{CITE % '[3]'}, estimated", "estimated"),
        ("ratio 1 : 3, the value .5 of -.2", "ratio 1 : 3, the value .5 of -.2"),
        ("soft\u00adhyphen, zero\u200bwidth", "softhyphen, zerowidth"),
    ],
)
def test_marked_up_text(xml: str, text: str) -> None:
    assert read_inline(xml) == text


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        (f"shown [{CITE % 12},{CITE % 13}].", "shown."),
        (f"shown {CITE % '[1]'}–{CITE % '[3]'}, and", "shown, and"),
        (f"growth<sup>{CITE % 1},{CITE % 2}</sup> of", "growth of"),
        (f"growth (reviewed in [{CITE % 8}–{CITE % 9}]) of", "growth of"),
        (f"growth ([{CITE % 8}–{CITE % 12}]). Next", "growth. Next"),
        (f"growth (e.g., {CITE % '[1]'}, {CITE % '[2]'}) of", "growth of"),
        (f"as described in [{CITE % 12}].", "as described in [12]."),
        (f"{CITE % 'Li et al. 2004'} found", "Li et al. 2004 found"),
        (f"it grew ({CITE % 'Li et al. 2004'}; {CITE % 'Xu 2005'}).", "it grew."),
        (f"([{CITE % 8}]; data not shown) it", "(data not shown) it"),
        (f"it grew (Fig. 1; [{CITE % 3}]) well", "it grew (Fig. 1) well"),
        (f"by Orr et al. [{CITE % 3}]. Then", "by Orr et al. Then"),
        ('in <xref ref-type="fig" rid="f">Fig. 2</xref> [1]', "in Fig. 2 [1]"),
        (f"It grew. [{CITE % 3}] modeled growth.", "It grew. [3] modeled growth."),
        (f"[{CITE % 3}] showed growth.", "[3] showed growth."),
        (f"Moreover, [{CITE % 3}] proposed it.", "Moreover, [3] proposed it."),
        (f"in cells, [{CITE % 3}] and plants", "in cells, and plants"),
        (f"Orr et al. [{CITE % 3}] modeled growth.", "Orr et al. modeled growth."),
        (f"growth (see [{CITE % 3}] for a review)", None),
        (f"in the light of the formula [{CITE % 3}]'s", None),
        (f"It grew (see also [{CITE % 3}]) well", "It grew well"),
        (f"see, e.g., [{CITE % 3}] or [{CITE % 4}].", "see, e.g., [3] or [4]."),
        (f"see, e.g, [{CITE % 23}] and the work therein [{CITE % 9}].", "see, e.g, [23] and the work therein."),
        (f"We follow [{CITE % 3}] here, like others including [{CITE % 4}].", None),
        (f"the summary OR [{CITE % 3}] was 2", "the summary OR was 2"),
        (f"iron or both [{CITE % 3}].", "iron or both."),
        (f"it fell ([{CITE % 3}] and Figure 1).", "it fell (Figure 1)."),
        (f"on agar {CITE % '[3]'}, , freezing", "on agar, freezing"),
        (f"a unit [{CITE % 3}, pp. 57-59.].", "a unit."),
    ],
)
def test_citation_marks_go_where_the_sentence_does_not_need_them(xml: str, text: str | None) -> None:
    unmarked = etree.fromstring(f"<p>{xml}</p>").xpath("string()")
    assert read_inline(xml) == (unmarked if text is None else text)


def test_removed_citation_marks_are_counted() -> None:
    cut: Counter[str] = Counter()
    inline_text(etree.fromstring(f"<p>shown [{CITE % 12},{CITE % 13}].</p>"), cut)
    assert cut == {"citation marks": len("[12,13]")}


@pytest.mark.parametrize(
    ("mathml", "text"),
    [
        ("<msup><mn>10</mn><mn>5</mn></msup>", "10^5"),
        ("<mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mn>1</mn></mrow></mfrac>", "a/(b + 1)"),
        ("<mi>E</mi><mo>=</mo><mi>m</mi><msup><mi>c</mi><mn>2</mn></msup>", "E = mc^2"),
        (
            (
                "<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover><msub>"
                "<mi>x</mi><mi>i</mi></msub>"
            ),
            "∑_(i = 1)^n x_i",
        ),
        ("<mover><mi>x</mi><mo>¯</mo></mover><mo>,</mo><msqrt><mi>y</mi></msqrt>", "bar(x), sqrt(y)"),
        ("<mi>k</mi><mi>log</mi><mi>p</mi>", "k log p"),
        ("<mtable><mtr><mtd><mi>a</mi></mtd></mtr><mtr><mtd><mi>b</mi></mtd></mtr></mtable>", "a; b"),
        ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", "(a, b)"),
        ("<msub><mi>k</mi><mi>s</mi></msub><mi>z</mi><mo>+</mo><mi>e</mi>", "k_s z + e"),
        ("<mfrac><mi>a</mi><mrow><msub><mi>k</mi><mi>B</mi></msub><mi>T</mi></mrow></mfrac>", "a/(k_B T)"),
        ("<msup><mi>m</mi><mrow><mo>-</mo><mn>3</mn></mrow></msup>", "m^-3"),
        ("<mover><mi>w</mi><mo>\u0307</mo></mover>", "dot(w)"),
        ("<msub><mi>a</mi><msub><mi>i</mi><mn>0</mn></msub></msub><mo>≥</mo><mo>−</mo><mn>1</mn>", "a_(i_0) ≥ −1"),
        ("<msubsup><mi>α</mi><mi>a</mi><msub><mi>i</mi><mn>0</mn></msub></msubsup>", "α_a^(i_0)"),
        ("<mi>c</mi><mfrac><mi>a</mi><msub><mi>b</mi><mi>p</mi></msub></mfrac><mi>Φ</mi>", "ca/b_p Φ"),
        ("<mfrac><mn>1</mn><mi>V</mi></mfrac><munder><mo>∑</mo><mi>j</mi></munder><mi>x</mi>", "1/V ∑_j x"),
        ("<mi>N</mi><mo>:</mo><mo>=</mo><mi>a</mi><mo>−</mo><mi>b</mi>", "N := a − b"),
        ("<mtable><mtr><mtd><mtext>in m.</mtext></mtd></mtr><mtr><mtd><mi>b</mi></mtd></mtr></mtable>", "in m. b"),
        ("<mfrac><mi>a</mi></mfrac><msup/>", "a"),  # broken: what is there stays
    ],
)
def test_mathml_on_one_line(mathml: str, text: str) -> None:
    assert mathml_text(etree.fromstring(f"<math>{mathml}</math>")) == text


def test_tex_without_its_document() -> None:
    tex = (
        r"\documentclass[12pt]{minimal}\usepackage{amsmath}\begin{document}$$ \left( a \right) = "
        r"\mathrm{max}\,b $$\end{document}"
    )
    assert tex_text(tex) == "( a ) = max b"


def test_formulas_in_a_sentence_keep_it_whole() -> None:
    body = (
        "<p>The margin is <disp-formula><label>(1)</label><math><mi>M</mi><mo>=</mo><mn>2</mn></math>"
        "</disp-formula> where M is wide.</p>"
    )
    document = read_article(body)
    assert texts(document) == ["p:The margin is M = 2 (1) where M is wide."]
    image = read_article(
        '<disp-formula><graphic href="x"/></disp-formula><p>a <inline-formula><tex-math>x_1</tex-math>'
        "</inline-formula></p>"
    )
    assert texts(image) == ["e:[formula]", "p:a x_1"]
    assert image.cut == {"formulas that are images (number)": 1}


def test_table_spans_line_up() -> None:
    rows = etree.fromstring(
        '<t><r><c rowspan="2">q</c><c colspan="2">pools</c></r><r><c>shade</c><c>open</c></r>'
        '<r><c colspan="3">July</c></r><r><c>T</c><c>1</c><c>2</c></r><r><c/><c/><c/></r><r><c>June</c><c/><c/></r></t>'
    )
    text = format_table(rows, lambda cell: cell.text or "")
    assert text == "q | pools | pools\nq | shade | open\nJuly\nT | 1 | 2\nJune"


def test_a_table_that_claims_a_million_columns() -> None:
    rows = etree.fromstring('<t><r><c colspan="1000000" rowspan="999999999">a</c><c rowspan="-1">b</c></r></t>')
    assert len(format_table(rows, lambda cell: cell.text)) < 1000


def test_figures_tables_and_lists_inside_a_paragraph_follow_it() -> None:
    body = (
        "<sec><title>Results</title><p>Before <fig><label>Figure 1</label><caption><title>Title</title><p>"
        "Long text.</p></caption>"
        "<graphic/></fig>and after.<list><list-item><label>1.</label><p>one</p></list-item></list></p>"
        "<table-wrap><label>Table 1</label><caption><p>Rates</p></caption><table><tr><td>a</td><td>b</td></tr></table>"
        "<table-wrap-foot><fn><label>*</label><p>n = 3</p></fn><fn><label>a</label>"
        "<p>Measured</p></fn></table-wrap-foot></table-wrap></sec>"
    )
    assert texts(read_article(body)) == [
        "h:Results",
        "p:Before and after.",
        "c:Figure 1. Title. Long text.",
        "p:1. one",
        "c:Table 1. Rates.",
        "t:a | b",
        "p:* n = 3",
        "p:^a Measured",
    ]


def test_a_table_keeps_its_empty_first_and_last_cells() -> None:
    rows = "<tr><td/><td>IDs</td></tr><tr><td>Men</td><td/><td>2</td></tr><tr><td>x</td><td>1</td><td/></tr>"
    document = read_article(f"<table-wrap><table>{rows}</table></table-wrap>")
    assert document.blocks[0].text == " | IDs\nMen |  | 2\nx | 1 | "


@pytest.mark.parametrize(
    ("list_type", "marks"),
    [
        ("order", ["1. ", "2. "]),
        ("alpha-lower", ["a. ", "b. "]),
        ("roman-lower", ["i. ", "ii. "]),
        ("bullet", ["", ""]),
    ],
)
def test_items_stand_behind_the_number_that_their_list_gives_them(list_type: str, marks: list[str]) -> None:
    items = "<list-item><p>lift</p><p>more</p></list-item><list-item><p>clamp</p></list-item>"
    document = read_article(f'<list list-type="{list_type}">{items}</list>')
    assert texts(document) == [f"p:{marks[0]}lift", "p:more", f"p:{marks[1]}clamp"]


def test_footnotes_inside_a_paragraph_are_no_part_of_it() -> None:
    document = read_article("<p>Before<fn-group><fn><p>Equal work.</p></fn></fn-group> and after.</p>")
    assert texts(document) == ["p:Before and after."] and document.cut == {"footnotes": len("Equal work.")}


def test_abstract_without_the_pointer_to_a_summary_that_is_cut() -> None:
    front = (
        "<abstract><sec><title>Aims</title><p>To see.</p><p><italic>Please see later in the article for the Editors'"
        ' Summary</italic></p></sec></abstract><abstract abstract-type="editors-summary"><title>Summary</title><p>Seen.'
        "</p></abstract>"
    )
    document = read_article("<p>x</p>", front)
    assert document.abstract == "Aims: To see." and document.cut == {"other abstracts": len("Summary") + len("Seen.")}


def test_front_matter() -> None:
    front = (
        '<article-id pub-id-type="pmid">1</article-id><article-id pub-id-type="doi">10.1000/a</article-id>'
        "<article-categories><subj-group><subject>Zoology</subject></subj-group></article-categories>"
        "<title-group><article-title>On <italic>E. coli</italic><xref>*</xref></article-title></title-group>"
        '<abstract abstract-type="teaser"><p>Short.</p></abstract>'
        "<abstract><title>Abstract</title><sec><title>Aims:</title><p>To see.</p></sec><p>Rest.</p></abstract>"
        '<kwd-group kwd-group-type="author"><kwd>gene</kwd><kwd>gene</kwd></kwd-group>'
        '<kwd-group kwd-group-type="taxon"><kwd>cow</kwd></kwd-group>'
    )
    paper = make_paper(read_article("<p>x</p>", front), "a.xml")
    assert (paper.doi, paper.title, paper.keywords) == ("10.1000/a", "On E. coli", ["gene"])
    assert paper.abstract == "Aims: To see.\nRest."


def test_back_matter_is_cut_and_counted() -> None:
    back = (
        "<ack><p>Thanks</p></ack><sec><title>Competing interests</title><p>None.</p><sec><title>More</title>"
        "<p>No.</p></sec></sec>"
        "<app-group><app><title>Appendix A</title><p>Proof.</p></app></app-group><ref-list><ref>Refs 1</ref></ref-list>"
    )
    document = read_article(
        "<sec><title>Data availability</title><p>On request.</p></sec><sec><title>Results</title><p>Yes.</p></sec>",
        "",
        back,
    )
    cut_boilerplate(document)
    assert texts(document) == ["h:Results", "p:Yes.", "h:Appendix A", "p:Proof."]
    assert document.cut == {
        "acknowledgements": 6,
        "references": 6,
        "competing interests": 19 + 5 + 4 + 3,
        "data availability": 17 + 11,
    }


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("5. Authors' contributions", "author contributions"),
        ("Author Contributions", "author contributions"),
        ("Acknowledgments", "acknowledgements"),
        ("Funding Statement", "funding"),
        ("LITERATURE CITED", "references"),
        ("Conflict of interest", "competing interests"),
        ("Data Availability Statement", "data availability"),
        ("Supporting Information", "supporting information"),
        ("Ethics statement", "ethics"),
        ("1.1: Ethics statement", "ethics"),
        ("Abbreviations", "abbreviations"),
        ("Footnotes", "footnotes"),
        ("Associated Data", "data availability"),
        ("Contributor Information", "author contributions"),
        ("About this article", "publication history"),
        ("Data analysis", ""),
        ("Results", ""),
        ("Conflicting evidence", ""),
        ("Reference genome", ""),
        ("Funding gaps in science", ""),
        ("Supplementation with iron", ""),
        ("Authors of the gene", ""),
        ("Ethical issues of cloning", ""),
    ],
)
def test_headings_of_boilerplate(heading: str, kind: str) -> None:
    assert find_boilerplate_kind(heading) == kind


def test_sections_partition_the_text() -> None:
    blocks = [
        Block("paragraph", "Lead."),
        Block("heading", "A", 1),
        Block("heading", "B", 2),
        Block("table", "x | y\n1 | 2"),
        Block("heading", "C", 2),
        Block("paragraph", "c"),
        Block("heading", "D", 1),
        Block("paragraph", "d"),
    ]
    txt, sections = join_blocks(blocks)
    assert txt == "Lead.\nA\nB\nx | y\n1 | 2\nC\nc\nD\nd"
    assert [(s.title, txt[s.start : s.end]) for s in sections] == [
        ("", "Lead."),
        ("A", "A"),
        ("A / B", "B\nx | y\n1 | 2"),
        ("A / C", "C\nc"),
        ("D", "D\nd"),
    ]


def test_headings_that_lost_their_text_go_too() -> None:
    document = Document(
        blocks=[
            Block("heading", "A", 1),
            Block("heading", "Funding", 2),
            Block("paragraph", "x"),
            Block("heading", "B", 1),
        ]
    )
    cut_boilerplate(document)
    assert document.blocks == []


def test_the_sample_paper_offsets_and_content() -> None:
    document = read_jats(parse_xml(SAMPLE.read_bytes()))
    cut_boilerplate(document)
    paper = make_paper(document, SAMPLE.name)
    for section in paper.sections:
        assert (
            paper.txt[section.start : section.end].startswith(section.title.split(" / ")[-1] + "\n")
            or "\n" not in paper.txt[section.start : section.end]
        )
    assert "is calculated as" not in paper.txt and "calculated as M = T_a − T_max (1) where" in paper.txt
    assert "Noon shell temperature (°C) | 22.7 ± 1.1 | 27.3 ± 1.6\n" in paper.txt
    assert "Invented J" not in paper.txt and "thank nobody" not in paper.txt and "[1" not in paper.txt
    assert paper.abstract.startswith("Background: Limpets") and paper.journal == "Invented Journal of Shore Ecology"


TEI = """<TEI xmlns="http://www.tei-c.org/ns/1.0"><teiHeader><fileDesc><titleStmt><title>On limpets</title>
</titleStmt>
<sourceDesc><biblStruct><monogr><title level="j">J Shore</title></monogr><idno type="DOI">10.1000/t</idno>
</biblStruct></sourceDesc></fileDesc>
<profileDesc><textClass><keywords><term>limpet</term></keywords></textClass><abstract><p>Short.</p></abstract>
</profileDesc></teiHeader>
<text><body><div><head n="1">Methods</head>
<p>Pools <ref type="bibr">[1]</ref> of 10<hi rend="superscript">3</hi> L.</p></div>
<div><head n="1.1">Loggers</head><p>Text.</p><formula>M = 2<label>(1)</label></formula></div>
<figure><head>Fig. 2 M</head><figDesc>-waves seen.</figDesc></figure>
<figure type="table"><head>Table 1</head><figDesc>Rates</figDesc><table><row><cell>a</cell><cell>b</cell></row>
</table></figure></body>
<back><div type="acknowledgement"><div><head>Acknowledgements</head><p>Thanks.</p></div></div>
<div type="annex"><div><head>Competing interests</head><p>None.</p></div></div><div type="references"><listBibl>
<bibl>Ref</bibl></listBibl></div></back></text></TEI>"""


def test_tei() -> None:
    document = read_tei(parse_xml(TEI.encode()))
    cut_boilerplate(document)
    assert texts(document) == [
        "h:Methods",
        "p:Pools of 10^3 L.",
        "h:Loggers",
        "p:Text.",
        "e:M = 2 (1)",
        "c:Fig. 2 M-waves seen.",
        "c:Table 1. Rates.",
        "t:a | b",
    ]
    assert [block.level for block in document.blocks if block.kind == "heading"] == [1, 2]
    assert (document.doi, document.title, document.journal) == ("10.1000/t", "On limpets", "J Shore")
    assert (document.keywords, document.abstract) == (["limpet"], "Short.")
    assert set(document.cut) == {"citation marks", "acknowledgements", "references", "competing interests"}


def test_tei_without_numbers_is_nested_below_the_usual_names() -> None:
    heads = ("Overview", "Methods", "Participants", "Results", "Acknowledgements", "Grip force")
    body = "".join(f"<div><head>{head}</head><p>Text.</p></div>" for head in heads)
    formula = "<formula>S ¼ A þ ð ffiffiffiffiffi B Þ</formula>"
    document = read_tei(parse_xml(f"<TEI><text><body>{body}{formula}</body></text></TEI>".encode()))
    cut_boilerplate(document)
    found = [(block.text, block.level) for block in document.blocks if block.kind == "heading"]
    assert found == [("Overview", 1), ("Methods", 1), ("Participants", 2), ("Results", 1), ("Grip force", 2)]
    assert document.blocks[-1].text == "S = A + (√ B)"


@pytest.mark.parametrize(
    ("permissions", "license"),
    [
        ('<license href="http://creativecommons.org/licenses/by-nc/4.0/"><p>Open access</p></license>', "CC BY-NC"),
        ("<license><p>under the Creative Commons Attribution License, which</p></license>", "CC BY"),
        ("<license><p>It is free of all copyright, and</p></license>", "public domain"),
        ("<copyright-statement>© 2020 Orr</copyright-statement>", "© 2020 Orr"),
        ("", ""),
    ],
)
def test_license(permissions: str, license: str) -> None:
    assert read_article("<p>x</p>", f"<permissions>{permissions}</permissions>").license == license


BOMB = (
    '<!DOCTYPE a [<!ENTITY x "ha">'
    + "".join(f'<!ENTITY x{n} "&x{n - 1 or ""};&x{n - 1 or ""};">' for n in range(1, 30))
    + "]><a>&x29;</a>"
)


@pytest.mark.parametrize(
    "xml",
    [
        BOMB,
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x.dtd"> %x;]><a/>',
        BOMB.replace("<a>&x29;</a>", '<a b="&x29;"/>'),
    ],
)
def test_declared_entities_are_refused(xml: str) -> None:
    with pytest.raises(InputError, match="entit|Entit"):
        parse_xml(xml.encode())


def test_a_doctype_with_an_external_dtd_is_not_fetched_and_its_characters_are_known() -> None:
    xml = '<!DOCTYPE article SYSTEM "http://127.0.0.1:9/JATS.dtd"><article><p>&alpha;-helix of &nosuch;</p></article>'
    assert inline_text(parse_xml(xml.encode()), Counter()) == "α-helix of &nosuch;"


@pytest.mark.parametrize("xml", [b"<a><b></a>", b"", b"<a>\xff</a>", b"no xml", b"<a>" * 5000])
def test_broken_xml_says_where(xml: bytes) -> None:
    with pytest.raises(InputError, match="broken XML at line 1, column"):
        parse_xml(xml)


NAMES = st.sampled_from(
    "sec p title fig caption label table-wrap table tr td list list-item xref sup sub disp-formula math "
    "mfrac msup mfenced"
    " mtable boxed-text fn tex-math supplementary-material alternatives body back ref-list div head figure "
    "formula".split()
)
TREES = st.recursive(
    st.text("ab1 .,;()[]–+-{}%\u00e9\ufdd0", max_size=6),
    lambda below: st.tuples(NAMES, st.sampled_from(["", "bibr", "fig"]), st.lists(below, max_size=4)),
    max_leaves=25,
)


def build(tree: object) -> etree._Element:
    if isinstance(tree, str):
        leaf = etree.Element("p")
        leaf.text = tree
        return leaf
    name, kind, below = tree
    node = etree.Element(name, {"ref-type": kind, "type": kind, "colspan": kind} if kind else {})
    node.text = name[:1]
    node.extend(build(part) for part in below)
    for child in node:
        child.tail = " t"
    return node


@settings(max_examples=200, deadline=None)
@given(trees=st.lists(TREES, max_size=4))
def test_any_tree_gives_single_lines(trees: list) -> None:
    for name, reader in (("article", read_jats), ("TEI", read_tei)):
        root = etree.Element(name)
        holder = root if name == "article" else etree.SubElement(root, "text")
        etree.SubElement(holder, "body").extend(build(tree) for tree in trees)
        document = reader(root)
        cut_boilerplate(document)
        assert all("\n" not in block.text for block in document.blocks if block.kind != "table")
        paper = make_paper(document, "x")
        assert "\n".join(paper.txt[s.start : s.end] for s in paper.sections) == paper.txt
