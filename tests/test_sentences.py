"""Sentence boundaries of scientific prose, and words."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciqag_lib.text.sentences import list_content_words, list_words, split_sentences, stem_word

CASES = [
    ["As shown in Fig. 3, the rate increases.", "It then falls."],
    ["See Figs. 2A and 3B for details.", "Eq. (4) gives the rate."],
    ["According to Eq. 5, the flux is constant.", "Ref. 12 agrees."],
    ["This was reported by Smith et al.", "The yield was high."],
    ["Roelants et al. [62] followed them.", "Others did not [3,4]."],
    ["Several metals, e.g. Fe and Cu, were used.", "The solvent (i.e. Ethanol) was removed."],
    ["The sample was ca. 5 nm thick.", "We used approx. 5 mL of buffer."],
    ["Sample No. 5 failed.", "Dr. Brown saw it."],
    ["The infection was caused by H. pylori in 20 patients.", "E. coli was absent."],
    ["Cells were grown in N,N-dimethylformamide at 37.5 °C for 2 h.", "They were washed."],
    ["NaCl was added to 0.15 M.", "KCl was omitted."],
    ["A brick with ash has only 0.48 W/m K.", "Bricks without it conduct more, 2 mg/L.", "They are denser."],
    ["Stirring lasted 30 min.", "Then the solvent was removed."],
    ["Bacillus subtilis subsp. subtilis was grown.", "Seeds of Quercus spp. were sown."],
    ["The mean temp. was 25 °C.", "The max. was 30 °C."],
    ["We added 5 vol. % of water and 3 wt. % of salt.", "The gel formed."],
    ["Animals (n = 12; Charles River Inc., Wilmington, MA) were used.", "They were fed."],
    ["The protein p53 is mutated in vitro.", "pH was then measured.", "mRNA was not."],
    ["Growth was observed.[5]", "It was quick."],
    ["(A) Cytotoxicity of pazopanib.", "No cytotoxicity was observed.", "Cell growth was measured."],
    ["Rats vs. mice differ in weight.", "Is this due to diet?", "We think so!"],
    ["Lysis took place in buffer A.", "The tubes were cooled."],
]


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize("sentences", CASES, ids=lambda sentences: sentences[0][:30])
def test_scientific_full_stops(sentences: list[str]) -> None:
    assert cut(" ".join(sentences)) == sentences


def test_newline_ends_a_sentence_and_offsets_are_exact() -> None:
    text = "  A heading\n\nFirst one. Second 𝛼 one.\r\n Third"
    assert split_sentences(text) == [(2, 11), (13, 23), (24, 37), (40, 45)]


def test_list_items_are_not_torn_apart() -> None:
    text = "The partition is shown for a) DBHT, b) AL, c) CL and d) k-medoids."
    assert cut(text) == [text]


@given(st.text(alphabet=st.sampled_from("aB.é1( )\n[]?!\"'Fig etal\ud800\u2028"), max_size=300))
@settings(deadline=None)
def test_only_white_space_lies_between_sentences(text: str) -> None:
    spans = split_sentences(text)
    position = 0
    for start, end in spans:
        assert start >= position and end > start and not text[position:start].strip()
        assert "\n" not in text[start:end] and text[start:end] == text[start:end].strip()
        position = end
    assert not text[position:].strip()


@pytest.mark.parametrize(
    "piece", ["The rate rose (Fig. 3) to 5 nm. ", "(aa. Aa a ", "e.g. ", "2 h. A ", ". ", "(", "A."]
)
def test_two_megabytes_are_quick(piece: str) -> None:
    text = piece * (2_000_000 // len(piece))
    start = time.perf_counter()
    split_sentences(text)
    assert time.perf_counter() - start < 20  # seconds; about 0.5 on an idle machine, hours where it is quadratic


def test_words() -> None:
    assert list_words("HIF-1α binds Zn2+ (IL‑6).") == ["hif-1α", "binds", "zn2+", "il-6"]
    assert list_content_words("The nitrogen-doped films of IL-6 fell") == ["nitrogen", "dope", "film", "il-6", "fall"]
    assert stem_word("concentrations") == stem_word("concentration") and stem_word("rose") == stem_word("rises")
