"""Cases of DOIs: any character, any spelling, in tags and in running text."""

import time

import pytest

from sciqag_lib.ingest.readers import PreparedPaper, read_papers
from sciqag_lib.records.dois import bare_doi, find_doi, normalize_doi
from tests.case_papers import CASES, read_page

SICI = "10.9999/(SICI)0000-0000(199823)43:4<338::AID-CASE16>3.0.CO;2-B"


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
