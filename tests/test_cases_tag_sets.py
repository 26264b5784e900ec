"""Tag sets other than JATS: Elsevier's is read, the rest is refused by name; sets of papers in one file."""

from pathlib import Path

import pytest

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.ingest.readers import PreparedPaper, read_papers
from sciqag_lib.ingest.xml.tag_sets import read_xml
from tests.case_papers import CASES, texts

CASES = Path(__file__).resolve().parent / "cases"


def test_case_of_elseviers_dtd() -> None:
    (prepared,) = read_papers(CASES / "elsevier_article.xml")
    paper = prepared.paper
    assert (paper.title, paper.doi) == ("An invented paper", "10.9999/case.08")
    assert (paper.abstract, paper.keywords) == ("The abstract says that oxygen fell.", ["river"])
    assert [section.title for section in paper.sections] == ["Introduction", "Results"]
    assert paper.txt.endswith("\nResults\nOxygen fell to 5 mg L^−1.\nSilt settled in the bends.")


ELSEVIER = """<full-text-retrieval-response xmlns="http://www.elsevier.com/xml/svapi/article/dtd"
 xmlns:ce="http://www.elsevier.com/xml/common/dtd" xmlns:prism="http://prismstandard.org/namespaces/basic/2.0/">
<coredata><prism:publicationName>Journal of Cases</prism:publicationName>
<openaccessUserLicense>http://creativecommons.org/licenses/by-nc-nd/4.0/</openaccessUserLicense></coredata>
<originalText><article xmlns="http://www.elsevier.com/xml/ja/dtd" docsubtype="fla" xml:lang="en"><item-info>
<ce:doi>10.9999/case.08</ce:doi></item-info><ce:floats><ce:table><ce:label>Table 1</ce:label><ce:caption>
<ce:simple-para>Rates.</ce:simple-para></ce:caption><tgroup xmlns="http://www.elsevier.com/xml/common/cals/dtd">
<colspec colname="1"/><colspec colname="2"/><colspec colname="3"/><thead><row><entry morerows="1">q</entry>
<entry namest="2" nameend="3">pools</entry></row><row><entry>shade</entry><entry>open<ce:cross-ref refid="tf1"><ce:sup>a
</ce:sup></ce:cross-ref></entry></row></thead></tgroup><ce:table-footnote id="tf1"><ce:label>a</ce:label><ce:note-para>
At noon.</ce:note-para></ce:table-footnote></ce:table></ce:floats><head><ce:title>An invented paper</ce:title>
<ce:abstract class="graphical"><ce:simple-para>Picture.</ce:simple-para></ce:abstract><ce:abstract class="author">
<ce:section-title>Abstract</ce:section-title><ce:abstract-sec><ce:section-title>Aims</ce:section-title><ce:simple-para>To
see.</ce:simple-para></ce:abstract-sec></ce:abstract><ce:keywords class="abr"><ce:keyword><ce:text>DO</ce:text>
</ce:keyword></ce:keywords>
<ce:keywords class="keyword"><ce:keyword><ce:text>river</ce:text></ce:keyword></ce:keywords></head>
<body><ce:sections><ce:section><ce:label>1</ce:label>
<ce:section-title>Introduction</ce:section-title><ce:para>The C<ce:glyph
name="sbnd"/>H bond<ce:cross-ref refid="fn1"><ce:sup>1</ce:sup></ce:cross-ref><ce:footnote id="fn1"><ce:label>1
</ce:label><ce:note-para>Cut.</ce:note-para></ce:footnote> of
CO<ce:inf>2</ce:inf> (<ce:cross-refs refid="b1 b2">Li, 2001;
Xu, 2002</ce:cross-refs>) is <ce:display><ce:formula><ce:label>(1)</ce:label><math><mi>M</mi><mo>=</mo><mn>2</mn></math>
</ce:formula></ce:display> long.</ce:para><ce:section><ce:section-title>Terms</ce:section-title><ce:def-list>
<ce:def-term>DO</ce:def-term><ce:def-description><ce:para>oxygen</ce:para></ce:def-description></ce:def-list></ce:section></ce:section>
</ce:sections><ce:acknowledgment><ce:para>Thanks.</ce:para></ce:acknowledgment></body><tail><ce:bibliography>
<ce:bib-reference id="b1">Li</ce:bib-reference></ce:bibliography></tail></article></originalText>
</full-text-retrieval-response>"""


def test_elsevier_as_its_service_sends_it() -> None:
    (document,) = read_xml(ELSEVIER.encode())
    assert (document.journal, document.license) == ("Journal of Cases", "CC BY-NC-ND")
    assert (document.abstract, document.keywords) == ("Aims: To see.", ["river"])
    assert texts(document) == [
        "h1:Introduction", "p:The C–H bond of CO2 is M = 2 (1) long.", "h2:Terms", "p:DO: oxygen",
        "h1:Figures and tables", "c:Table 1. Rates.", "t:q | pools | pools\nq | shade | open^a", "p:^a At noon.",
    ]  # fmt: skip
    kinds = {"citation marks", "footnote marks", "footnotes", "other abstracts", "other keywords", "acknowledgements",
             "references"}  # fmt: skip
    assert set(document.cut) == kinds


@pytest.mark.parametrize(
    ("xml", "name"),
    [
        ('<article xmlns="http://docbook.org/ns/docbook"><section><para>x</para></section></article>', "DocBook"),
        ("<article><articleinfo/><sect1><para>x</para></sect1></article>", "DocBook"),
        ("<article><article-metadata/><body><sec-level1><p>x</p></sec-level1></body></article>", "IOP"),
        ('<component xmlns="http://www.wiley.com/namespaces/wiley"><body/></component>', "Wiley"),
        ("<Publisher><Journal><Article/></Journal></Publisher>", "Springer"),
        ("<Article><ArticleInfo/></Article>", "Springer"),
        ("<article><art-admin/><art-front/><art-body/></article>", "Royal Society of Chemistry"),
        ("<article><fm/><bdy/></article>", "fm, bdy"),
        ("<article><front><titlegrp/></front><body><section/></body></article>", "ISO 12083"),
        ("<PubmedArticleSet><PubmedArticle/></PubmedArticleSet>", "PubMed"),
        ("<collection><document><passage/></document></collection>", "BioC"),
        ("<converted-article><body><p>x</p></body></converted-article>", "<converted-article>"),
        ("<article><chapter>x</chapter></article>", "<article>"),
        ("<poem/>", "<poem>"),
    ],
)
def test_other_tag_sets_are_refused_by_name(xml: str, name: str) -> None:
    with pytest.raises(InputError, match="expected JATS.*convert it to JATS, or give the paper's HTML or PDF") as error:
        read_xml(xml.encode())
    assert name in str(error.value)


def test_a_refused_file_is_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<article><article-metadata/></article>", encoding="utf-8")
    (tmp_path / "b.xml").write_bytes((CASES / "kwlang.xml").read_bytes())
    bad, paper = read_papers(tmp_path)
    assert isinstance(bad, BadRecord) and (bad.file, "IOP" in bad.message) == ("a.xml", True)
    assert isinstance(paper, PreparedPaper)


def test_a_corpus_of_tei() -> None:
    one = "<TEI><text><body><p>%s</p></body></text></TEI>"
    documents = read_xml(f"<teiCorpus><teiHeader/>{one % 'One.'}{one % 'Two.'}</teiCorpus>".encode())
    assert [texts(document) for document in documents] == [["p:One."], ["p:Two."]]
