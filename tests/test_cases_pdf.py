"""The PDF cases of tests/cases, and the kinds of faults they show, in small PDF files made here."""

from collections import Counter

import pytest

from sciqag_lib.ingest.document import Document, cut_boilerplate
from sciqag_lib.ingest.headings import bare_heading, is_caption
from sciqag_lib.ingest.pdf.pdf import read_pdf
from sciqag_lib.ingest.pdf.scripts import drop_bracketed, is_citation, join_runs
from sciqag_lib.ingest.readers import PreparedPaper
from sciqag_lib.ingest.text import count_words, join_lines
from tests.case_papers import read_case
from tests.pdf_factory import Page, PdfLine, make_pages, set_lines

SAMPLED = (
    "The river was sampled every week from May to October at the same six places, and every sample was kept cold and "
    "dark until it was measured in the laboratory on the next day. Each place was visited at the same hour, so that "
    "the daily swing of oxygen did not enter the comparison."
)
BODY = "The river {n} was sampled every week at the same six places, and every sample was kept cold until the next day."


def list_sections(item: PreparedPaper) -> list[tuple[str, str]]:
    paper = item.paper
    return [(section.title, paper.txt[section.start : section.end]) for section in paper.sections]


def list_blocks(document: Document, kind: str) -> list[str]:
    return [block.text for block in document.blocks if block.kind == kind]


def test_form_that_is_the_page() -> None:
    item = read_case("formxobject.pdf")
    assert item.paper.title == "An invented paper about a river"
    assert item.paper.abstract == "The abstract says that oxygen in the river fell in August."
    [(title, text)] = list_sections(item)
    assert title == "Introduction" and text.startswith("Introduction\n" + SAMPLED)


def test_references_longer_than_the_text_and_smaller() -> None:
    [(title, text)] = list_sections(read_case("smallprint.pdf"))
    assert title == "Introduction" and text == "\n".join(["Introduction", SAMPLED, SAMPLED, SAMPLED])


def test_raised_citations_and_exponents() -> None:
    item = read_case("supercite.pdf")
    assert list_sections(item)[1] == (
        "Results",
        "Results\nOxygen fell in August. Silt settled in the bends of the river. Lakes filled slowly after the flood. "
        "The flow was 3 m^3 s^-1 and the area 10^5 m^2. Reeds grew.",
    )
    assert item.cut["citation marks"] == len("12,13" + "14" + "15-17")


def test_title_below_a_larger_masthead() -> None:
    item = read_case("masthead.pdf")
    assert item.paper.title == "An invented paper about a river"
    assert item.paper.abstract == "The abstract says that oxygen in the river fell in August."
    assert item.cut["masthead"] == len("riverlogica" + "Article")


def make_text(n: int = 12, x: float = 60, y: float = 160) -> list[PdfLine]:
    return set_lines(x, y, " ".join(BODY.format(n=number) for number in range(n)), width=90)


def test_form_in_a_form_and_pages_of_both_sorts() -> None:
    direct = Page(make_text(3))
    nested = Page([], forms=[Page([], forms=[Page(make_text(2))])])
    document = read_pdf(make_pages([direct, nested, direct]))
    text = " ".join(list_blocks(document, "paragraph"))
    assert [text.count(BODY.format(n=number)) for number in range(3)] == [3, 3, 2]


def test_labels_of_a_figure_are_not_text() -> None:
    labels = [(100 + 60 * k, 400, 8, False, label) for k, label in enumerate(["Oxygen", "Silt", "0.5", "May"])]
    figure = Page(labels, box=(80, 380, 300, 100))
    document = read_pdf(make_pages([Page(make_text(), forms=[figure])]))
    assert " ".join(list_blocks(document, "paragraph")) == " ".join(BODY.format(n=number) for number in range(12))
    assert document.cut["text inside figures"] == len("OxygenSilt0.5May")


def test_prose_in_a_small_form_is_text() -> None:
    note = Page(set_lines(60, 600, "This note was set by a tool that wraps each of its boxes in a form.", 90))
    note.box = (50, 590, 400, 30)
    document = read_pdf(make_pages([Page(make_text(3), forms=[note])]))
    assert "This note was set by a tool that wraps each of its boxes in a form." in list_blocks(document, "paragraph")


@pytest.mark.parametrize("angle", [90, 270, 45])
def test_stamps_set_at_an_angle_are_dropped(angle: int) -> None:
    stamp = (20, 500, 20, False, "arXiv:2601.00001v1 [q-bio] 1 Jan 2026")
    document = read_pdf(make_pages([Page(make_text(), turned=[(stamp, angle)])]))
    assert "arXiv" not in " ".join(block.text for block in document.blocks)
    assert document.cut["stamps set at an angle"] == len("arXiv:2601.00001v1[q-bio]1Jan2026")


@pytest.mark.parametrize("angle", [90, 270])
def test_page_set_sideways_is_turned(angle: int) -> None:
    lines = [
        ((100 + 12 * k if angle == 90 else 400 - 12 * k, 700 if angle == 90 else 100, 9, False, line), angle)
        for k, line in enumerate(["The first line of a page that is set sideways and is long", "enough to be prose."])
    ]
    document = read_pdf(make_pages([Page(make_text()), Page([], turned=lines)]))
    expected = "The first line of a page that is set sideways and is long enough to be prose."
    assert expected in list_blocks(document, "paragraph")


def test_watermark_on_each_page_is_dropped() -> None:
    mark = (150, 430, 40, False, "PREPRINT")
    document = read_pdf(make_pages([Page([mark, *make_text()]) for _ in range(3)]))
    assert "PREPRINT" not in " ".join(block.text for block in document.blocks)
    assert document.cut["running heads"] == 3 * len("PREPRINT")


@pytest.mark.parametrize(
    ("before", "raised", "after", "expected"),
    [
        ("fell in August", "12", ". Silt", "fell in August. Silt"),
        ("fell in August.", "12,13", " Silt", "fell in August. Silt"),
        ("fell in August,", "12–15", " when", "fell in August, when"),
        ("fell in August", "[12]", ".", "fell in August."),
        ("in 2004", "12", ".", "in 2004."),
        ("about 40%", "7", " of", "about 40% of"),
        ("cells of CD4", "12", " and", "cells of CD4 and"),
        ("(Nobody, 2004)", "2", " found", "(Nobody, 2004) found"),
        ("as Nobody et al.", "3", " found", "as Nobody et al. found"),
        ("a flow of 3 m", "3", " s", "a flow of 3 m^3 s"),
        ("per s", "−1", "and", "per s^−1 and"),
        ("an area of 10", "5", " m", "an area of 10^5 m"),
        ("a slope of R", "2", " = 0.9", "a slope of R^2 = 0.9"),
        ("2 g/cm", "3", ".", "2 g/cm^3."),
        ("with (a + b)", "2", " as", "with (a + b)^2 as"),
        ("with Ca", "2+", " and", "with Ca2+ and"),
        ("with CD4", "+", " cells", "with CD4+ cells"),
        ("the 2", "nd", " place", "the 2nd place"),
        ("with ", "14", "C dating", "with 14C dating"),
        ("with [", "18", "F]glucose", "with [18F]glucose"),
        ("of x", "n+1", " is", "of x^(n+1) is"),
        ("A. Nobody", "a,*", ", B. Noone", "A. Nobody, B. Noone"),
        ("shown before (e.g.,", "12", ").", "shown before."),
        ("in words", "2, 3", ". It", "in words. It"),
    ],
)
def test_superscripts(before: str, raised: str, after: str, expected: str) -> None:
    assert join_runs([(0, before), (1, raised), (0, after)], "", Counter()) == expected


def test_subscripts_and_marks_at_the_start_of_a_line() -> None:
    runs = [(1, "12"), (0, " With H"), (-1, "2"), (0, "O at T"), (-1, "max"), (0, " we saw")]
    cut: Counter[str] = Counter()
    assert join_runs(runs, "It fell in August.", cut) == "With H2O at T_max we saw"
    assert cut == {"citation marks": 2}


def test_citations_printed_as_raised_characters() -> None:
    assert join_runs([(0, "fell in August¹²,¹³. It has 10⁵ m² of silt.")], "", Counter()) == (
        "fell in August. It has 10⁵ m² of silt."
    )


def test_long_lines_are_judged_in_linear_time() -> None:
    assert not is_citation("2", "m " * 100_000 + "m", "")
    assert len(join_runs([(0, "¹" * 50_000)], "", Counter())) == 50_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Silt settles [3, 4].", "Silt settles."),
        ("Silt settles [3-5], and", "Silt settles, and"),
        ("as in [5].", "as in [5]."),
        ("for x in [0, 1]", "for x in [0, 1]"),
        ("It weighed [80] g.", "It weighed [80] g."),
    ],
)
def test_citations_in_brackets(text: str, expected: str) -> None:
    assert drop_bracketed(text, 40, Counter()) == expected


@pytest.mark.parametrize("numbered", [True, False])
def test_citations_in_brackets_go_where_references_are_numbered(numbered: bool) -> None:
    text = make_text(4) + [(60, 300, 9, False, "Silt settled slowly in the bends of the old river [2].")]
    mark = "[{}] " if numbered else ""
    references = [(60, 350 + 12 * k, 8, False, mark.format(k) + f"Alpha A. Paper {k} of silt.") for k in range(1, 5)]
    document = read_pdf(make_pages([Page([*text, (60, 330, 9, True, "References"), *references])]))
    assert document.blocks[1].text.endswith("old river." if numbered else "old river [2].")


@pytest.mark.parametrize(
    ("lines", "known", "expected"),
    [
        (["the tempera-", "ture of"], "temperature", "the temperature of"),
        (["a non-", "linear"], "non-linear", "a non-linear"),
        (["a single-", "spike"], "single spike", "a single-spike"),
        (["many DNA-", "binding"], "", "many DNA-binding"),
        (["a state-of-the-", "art"], "", "a state-of-the-art"),
        (["the foot-", "and-mouth disease"], "", "the foot-and-mouth disease"),
        (["in Italy", ", and"], "", "in Italy, and"),
        (["all genomes –", "were used"], "", "all genomes – were used"),
    ],
)
def test_words_broken_at_the_end_of_a_line(lines: list[str], known: str, expected: str) -> None:
    assert join_lines(lines, count_words(known)) == expected


@pytest.mark.parametrize(("size", "reference_size"), [(9, 6), (10, 12)])
def test_body_type_is_that_of_the_text(size: int, reference_size: int) -> None:
    text = set_lines(60, 140, " ".join(BODY.format(n=number) for number in range(4)), 90, size)
    references = "".join(f"[{k}] Alpha A, Beta B. A paper about silt and mud in old rivers. " for k in range(40))
    page = [(60, 120, size, True, "Introduction"), *text]
    back = [(60, 80, size, True, "References"), *set_lines(60, 100, references, 90, reference_size)]
    document = read_pdf(make_pages([Page(page), Page(back)]))
    cut_boilerplate(document)
    assert [block.text for block in document.blocks] == [
        "Introduction",
        " ".join(BODY.format(n=number) for number in range(4)),
    ]


@pytest.mark.parametrize(
    ("head", "metadata", "title"),
    [
        ([(60, 40, "Silt"), (60, 16, "A paper about silt in rivers")], "", "A paper about silt in rivers"),
        (
            [(60, 30, "Journal of River Science"), (60, 16, "Silt in rivers of the north")],
            "",
            "Silt in rivers of the north",
        ),
        ([(60, 20, "RESEARCH ARTICLE"), (60, 16, "Silt in rivers of the north")], "", "Silt in rivers of the north"),
        ([(60, 30, "The Annual River Book"), (60, 16, "Silt in rivers")], "Silt in rivers", "Silt in rivers"),
        ([(60, 16, "Silt in rivers of the north")], "Microsoft Word - silt.doc", "Silt in rivers of the north"),
        ([(60, 16, "Silt in rivers of the north")], "10.1000/silt.1", "Silt in rivers of the north"),
        ([(60, 16, "River silt")], "untitled", "River silt"),
        ([(60, 16, "River silt"), (60, 12, "A. Nobody, B. Noone and C. Nemo")], "", "River silt"),
    ],
)
def test_titles(head: list[tuple[float, int, str]], metadata: str, title: str) -> None:
    lines = [(x, 60 + 42 * k, size, False, text) for k, (x, size, text) in enumerate(head)]
    page = Page([*lines, (60, 180, 9, True, "Abstract"), *make_text(y=200)])
    assert read_pdf(make_pages([page], title=metadata)).title == title


def test_doi_in_a_masthead_is_found() -> None:
    lines = [
        (60, 40, 9, False, "www.rivers.example doi:10.1000/silt.7"),
        (60, 80, 16, False, "Silt in rivers of the north"),
    ]
    document = read_pdf(make_pages([Page([*lines, (60, 180, 9, True, "Abstract"), *make_text(y=200)])]))
    assert document.doi == "10.1000/silt.7"


def test_bold_run_in_heading() -> None:
    lead = [
        (60, 400, 9, True, "Study area. "),
        (113, 400, 9, False, "The river lies in the north and is visited by many"),
    ]
    page = [(60, 120, 11, True, "Methods"), *make_text(4, y=140), *lead, (60, 412, 9, False, "herons each spring.")]
    document = read_pdf(make_pages([Page(page)]))
    assert [block.text for block in document.blocks[2:]] == [
        "Study area",
        "The river lies in the north and is visited by many herons each spring.",
    ]


def test_heading_of_two_lines_and_its_level() -> None:
    page = [
        (60, 120, 12, True, "Methods"),
        *make_text(3, y=140),
        (60, 240, 10, True, "Sampling of the old river and of the"),
        (60, 252, 10, True, "lakes beside it"),
        *make_text(3, y=270),
        (60, 360, 10, True, "Ethics statement"),
        *make_text(2, y=380),
        (60, 440, 10, True, "Laboratory work"),
        *make_text(3, y=460),
    ]
    document = read_pdf(make_pages([Page(page)]))
    cut_boilerplate(document)
    headings = [(block.text, block.level) for block in document.blocks if block.kind == "heading"]
    long = "Sampling of the old river and of the lakes beside it"
    assert headings == [("Methods", 1), (long, 2), ("Laboratory work", 2)]


def test_structured_abstract() -> None:
    parts = [("Background", 1), ("Methods", 1), ("Conclusions", 1), ("Introduction", 4)]
    lines = [(60, 60, 16, True, "Silt in rivers of the north"), (60, 110, 11, True, "Abstract")]
    for number, (name, n) in enumerate(parts):
        lines += [(60, 130 + 50 * number, 10, True, name), *make_text(n, y=145 + 50 * number)]
    document = read_pdf(make_pages([Page(lines)]))
    text = BODY.format(n=0)
    assert document.abstract == f"Background: {text}\nMethods: {text}\nConclusions: {text}"
    assert list_blocks(document, "heading") == ["Introduction"]


def test_sentence_torn_by_a_footnote_and_a_caption() -> None:
    left = set_lines(50, 600, "Silt settled in the bends of the river and in the lakes that had filled slowly", 44)
    note = [(50, 760, 7, False, "* Correspondence: nobody@example.org")]
    caption = [(310, 600, 8, False, "Figure 1. A bend of the river.")]
    right = set_lines(310, 640, "after the flood of the spring before. " + BODY.format(n=1), 44)
    document = read_pdf(make_pages([Page(make_text(8) + left + note + caption + right)]))
    torn = (
        "Silt settled in the bends of the river and in the lakes that had filled slowly after the flood of the spring"
    )
    assert any(torn in text for text in list_blocks(document, "paragraph"))
    assert document.cut["footnotes"] == len("* Correspondence: nobody@example.org")


def test_justified_line_with_wide_gaps_stays_one_line() -> None:
    lines = [(60, 200 + 12 * k, 9, False, "x" * 60) for k in range(4)]  # 60 letters of 4.5 points
    gaps = [(60, 248, 9, False, "with"), (105, 248, 9, False, "wide"), (150, 248, 9, False, "gaps")]
    page = [(60, 180, 9, True, "Results"), *lines, *gaps, (310, 248, 9, False, "Another column.")]
    document = read_pdf(make_pages([Page(page)]))
    assert document.blocks[1].text.endswith("x with wide gaps")


def test_line_of_text_that_begins_like_a_heading() -> None:
    text = "Ethical approval for the study was granted by the Institutional Board of the river, which met each spring."
    page = [(60, 120, 12, True, "Methods"), *set_lines(60, 140, text, 50), *make_text(4, y=200)]
    document = read_pdf(make_pages([Page(page)]))
    assert [block.text for block in document.blocks[:2]] == ["Methods", text]


def test_heading_that_ends_with_a_full_stop() -> None:
    page = [(60, 120, 11, True, "Methods"), (60, 140, 9, True, "Cell lines."), *make_text(4, y=152)]
    document = read_pdf(make_pages([Page(page)]))
    assert list_blocks(document, "heading") == ["Methods", "Cell lines"]


def test_last_line_of_a_title_may_be_short() -> None:
    lines = [(60, 60, 16, True, "Silt in the old rivers of the north and of"), (60, 78, 16, True, "us")]
    page = Page([*lines, (60, 180, 9, True, "Abstract"), *make_text(y=200)])
    assert read_pdf(make_pages([page])).title == "Silt in the old rivers of the north and of us"


def test_line_with_more_raised_than_other_characters() -> None:
    page = [*make_text(3), (60, 260, 9, False, "Silt settled in the bends of the old river and in all of its many")]
    last = [(60, 272, 9, False, "lakes."), (86, 268.5, 6, False, "12,13,15,18")]
    document = read_pdf(make_pages([Page([(60, 120, 11, True, "Results"), *page, *last])]))
    assert document.blocks[-1].text.endswith("all of its many lakes.")
    assert document.cut["citation marks"] == len("12,13,15,18")


def test_captions_without_a_full_stop_after_fig_and_headings_with_an_article() -> None:
    assert is_caption("Fig 1. A bend of the river") and not is_caption("Figs were seen in 1. of them")
    assert bare_heading("A relay model for rivers") == "A relay model for rivers"
    assert bare_heading("A. Sampling") == "Sampling"
