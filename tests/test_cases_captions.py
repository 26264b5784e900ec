"""Captions of figures and tables: their sentences, and that none is an answer."""

import time

import pytest

from sciqag_lib.generation.evidence_first import find_sentences, load_kinds
from sciqag_lib.generation.recipe import make_recipe
from sciqag_lib.records.papers import Paper
from sciqag_lib.text.captions import find_captions
from sciqag_lib.text.sentences import split_sentences


@pytest.mark.parametrize(
    "sentences",
    [
        [
            "Figure 2.",
            "(A) Growth in broth.",
            "No growth was seen in LB.",
            "(F) Sterilization of LB.",
            "LB, lysogeny broth.",
        ],
        ["(A) Loss of p53-RHAMM.", "Lysates were blotted for GST.", "(B–D) The same for 16 h.", "(E, F) Controls."],
        ["(a) Growth at ELISA.", "After 48 h, cells fell.", "(b) Controls as in (a) and (C)."],
        ["Data are mean ± SEM.", "(C) Controls in K.", "(D) Others."],
        ["(A) Shells of Conus sp. 3 and Conus spp. 5 were found.", "Conus sp. is old."],
    ],
    ids=lambda sentences: sentences[1],
)
def test_panels_of_a_caption_are_sentences_of_their_own(sentences: list[str]) -> None:
    text = " ".join(sentences)
    assert [text[start:end] for start, end in split_sentences(text)] == sentences


CAPTIONS = [
    "Figure 2. Growth", "Fig. 2: Growth", "FIG. 2 | Growth", "Fig 2 Growth of cells", "Table 1. Growth rates",
    "Table S1. Growth", "TABLE II. Growth", "Table 1 Summary of growth", "Supplementary Figure 3. Growth",
    "Extended Data Fig. 1 | Growth", "Scheme 1. Growth", "Box 1. Growth", "S1 Fig. Growth", "Figure 4-1. Growth",
    "**Table 2.** Growth", "Abbildung 3: Growth", "Tabelle 2. Growth", "Figura 1. Growth", "Tabla 1. Growth",
    "Tabela 2 – Growth", "Tableau 1. Growth", "Рисунок 1. Growth", "Таблица 2. Growth", "图1 河流的流速", "表2：流速",
    "図３　河川", "표 1. 유속", "Figure 7", "Appendix Table A1. Growth",
]  # fmt: skip


@pytest.mark.parametrize("line", CAPTIONS)
def test_captions_in_plain_text(line: str) -> None:
    text = f"It grew.\n{line}\nIt fell."
    assert [text[start:end] for start, end in find_captions(text)] == [line]


@pytest.mark.parametrize(
    "line",
    [
        "Figure 2 shows that growth rose.", "Fig. 6 A shows growth.", "Table 1 lists growth.",
        "Figs. 5A–5D show growth.",
        "Table 2 and Figure 3 show growth.", "Figures show growth.", "Data from 2 rivers grew.", "Text 5 times longer.",
        "Box plots 2. Growth", "表面上升。", "图书馆", "S1 Text (Section 5) proposes growth.",
        "Fig. 2, A and B, shows growth.", "Tab 3 times daily.",
    ],
)  # fmt: skip
def test_lines_that_only_name_a_figure(line: str) -> None:
    assert find_captions(f"It grew.\n{line}\nIt fell.") == []


FACT = "The growth of the mutant strain was limited by the iron content of the river water."


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Table 1. ", ""),
        ("Figure 2. (A) ", " LB, lysogeny broth."),
        ("图1　", ""),
        ("(B) ", ""),
        ("Left panel: ", ""),
        ("* ", ""),
        ("LB, lysogeny broth; WT, wild type; ", ""),
        ("Strain | ", ""),
        ("| ", " |"),
    ],
)
def test_captions_and_their_parts_are_no_answers(before: str, after: str) -> None:
    assert find_answers(f"Growth\n{before}{FACT}{after}\nThe end came.") == []


def test_an_answer_beside_a_caption_is_without_its_parts() -> None:
    text = (
        f"Table 1. Growth rates.\nThis fell. {FACT}\nMutant strains\nTable 1 shows it. {FACT.replace('strain', 'line')}"
    )
    assert find_answers(text) == [FACT, FACT.replace("strain", "line")]


def find_answers(text: str) -> list[str]:
    kinds = load_kinds(make_recipe("evidence_first", context_size=2048).prompt)
    return [sentence.answer for sentence in find_sentences(Paper("10.1/x", text, []), kinds)]


def test_captions_take_linear_time() -> None:
    for part in ("Figure 1. a\n", "Figure ", "(A) ", "图1", "S1 Fig", "| ", " | \n", "Table 1 Aa"):
        begin = time.perf_counter()
        text = part * (150_000 // len(part))
        find_captions(text)
        split_sentences(text)
        assert time.perf_counter() - begin < 3
