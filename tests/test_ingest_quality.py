"""benchmarks/ingest_quality.py: the printing of XML and the measures, without Chromium."""

import sys
from collections import Counter
from pathlib import Path

from lxml import etree

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from ingest_quality import (  # noqa: E402
    compare,
    count_glued,
    count_moved,
    list_words,
    read_one,
    render_blocks,
    render_page,
)

ARTICLE = """<article article-type="research-article"><front><article-meta>
<article-id pub-id-type="doi">10.1000/q.1</article-id>
<title-group><article-title>Silt in rivers</article-title></title-group>
<contrib-group><contrib><name><surname>Nobody</surname><given-names>A</given-names></name></contrib></contrib-group>
<abstract><p>Oxygen fell.</p></abstract></article-meta></front><body><sec><title>Results</title>
<p>Oxygen fell in August [<xref ref-type="bibr" rid="q-ref001">1</xref>]. The area was 10<sup>5</sup> m<sup>2</sup>
and the silt in the bends of the old river settled slowly as in [<xref ref-type="bibr" rid="q-ref002">2</xref>],
which was seen in all of the places that were visited every week from May to October, and in lakes.</p></sec></body>
<back><ref-list><ref id="q-ref001"><mixed-citation>Alpha A. Silt.</mixed-citation></ref></ref-list></back></article>"""


def test_words_that_were_joined_or_torn() -> None:
    words = list_words("the silt (of the river) settled.")
    assert words == ["the", "silt", "of", "the", "river", "settled"]
    assert count_glued(words, Counter({"silt": 1, "of": 1}), Counter({"siltof": 1})) == 1
    assert count_glued(words, Counter({"settled": 1}), Counter({"set": 1, "tled": 1})) == 1
    assert count_glued(words, Counter({"silt": 1}), Counter({"mud": 1})) == 0


def test_sentences_out_of_order() -> None:
    assert count_moved(["a", "b", "c", "d"], ["a", "c", "d", "b", "x"]) == (4, 1)
    assert count_moved(["a", "b"], ["b", "b", "a"]) == (1, 0)  # "b" is there twice: its place says nothing


def test_a_page_holds_what_the_xml_holds(tmp_path: Path) -> None:
    xml = tmp_path / "q.xml"
    xml.write_text(ARTICLE, encoding="utf-8")
    page = render_page(xml, 0)
    assert 'in August<sup><a href="#ref001">1</a></sup>. The area was 10<sup>5</sup> m<sup>2</sup>' in page
    assert 'as in [<a href="#ref002">2</a>],\nwhich' in page
    behind = render_page(xml, 1)
    assert 'in August.<sup><a href="#ref001">1</a></sup> The area' in behind
    (tmp_path / "q.html").write_text(page, encoding="utf-8")
    measures = compare(read_one(xml), read_one(tmp_path / "q.html"))
    assert (measures["title"], measures["abstract"], measures["words lost"], measures["words added"]) == (
        100,
        100,
        0,
        0,
    )
    assert (measures["exponents kept"], measures["sections found"], measures["sentences identical"]) == (100, 100, 100)


def test_figures_and_tables_are_printed_after_their_paragraph() -> None:
    body = etree.fromstring(
        "<body><p>One <fig><label>Figure 1</label><caption><p>A bend</p></caption></fig>two.</p></body>"
    )
    assert render_blocks(body, 2) == (
        '<p>One two.</p>\n<figure><div class="image"></div><figcaption><b>Figure 1.</b> A bend.</figcaption></figure>\n'
    )
