"""Cases of Markdown, as marker, docling, pandoc, MinerU and Nougat write it."""

import time

import pytest

from sciqag_lib.ingest.document import Document, cut_boilerplate
from sciqag_lib.ingest.pages.html import read_html
from sciqag_lib.ingest.pages.markdown import is_markdown
from sciqag_lib.ingest.text import read_text
from tests.case_papers import read_case, texts, titles


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
        ("10$^{-6}$ M of H$_2$O and \\({}^{13}\\)C in August$^{12,13}$.", "10^-6 M of H2O and 13C in August."),
        ("Silt settles.$^{[4]}$ It is $x^2$.", "Silt settles. It is x^2."),
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
        ("\\[F = ma\\] (2)", ["e:F = ma (2)"]),
        ("Silt settles (\\[OR = 2\\]).", ["p:Silt settles ([OR = 2])."]),
        ("20 $\\%$ in August $^{12}$.", ["p:20 % in August."]),
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


def test_formulas_that_a_converter_could_not_decode_are_counted() -> None:
    document = read_markdown(
        "## Results\n\n" + "Silt settles. " * 30 + "\n\n<!-- formula-not-decoded -->\n\nIt is old."
    )
    assert [block.text for block in document.blocks][-2:] == ["[formula]", "It is old."]
    assert document.cut["formulas that are images (number)"] == 1
