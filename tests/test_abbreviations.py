"""Definitions of abbreviations in papers, and texts with them written out."""

import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciqag_lib.text.abbreviations import find_abbreviations
from sciqag_lib.text.expansion import expand_abbreviations

DEFINITIONS = {
    "CL": "chemiluminescence",
    "CNTs": "carbon nanotubes",
    "PCA": "principal component analysis",
    "SEM": "scanning electron microscope",
    "NMR": "nuclear magnetic resonance",
    "PS": "polystyrene",
    "dPS": "deuterated PS",
    "LOD": "limit of detection",
    "GC-MS": "gas chromatography–mass spectrometry",
    "DDM": "n-dodecyl maltoside",
}


def expand(text: str) -> str:
    return expand_abbreviations(text, DEFINITIONS)


# Definitions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "txt, expected",
    [
        ("We used scanning electron microscopy (SEM).", {"SEM": "scanning electron microscopy"}),
        ("Carbon nanotubes (CNTs) are thin.", {"CNTs": "carbon nanotubes"}),
        ("Raman microscopy (RM) was used. We used Raman spectra.", {"RM": "Raman microscopy"}),
        ("The European Union (EU) decides.", {"EU": "European Union"}),
        ("The limit of detection (LOD) was low.", {"LOD": "limit of detection"}),
        ("Spectra by photoelectron spectroscopic (PES) methods.", {"PES": "photoelectron spectroscopy"}),
        ("In 2-nitrophenyl octyl ether (NPOE) it is soluble.", {"NPOE": "2-nitrophenyl octyl ether"}),
        ("Of 1-n-butyl bromide (BB) and “quantum dots” (“QDs”).", {"BB": "1-n-butyl bromide", "QDs": "quantum dots"}),
        ("With tert-butyl mercapto carbamate (BMC) it binds.", {"BMC": "tert-butyl mercapto carbamate"}),
        ("Polypyrrole (PPy) conducts.", {"PPy": "polypyrrole"}),  # one word for two capitals
        ("Analysis of variance (ANOVA) and a test ran.", {"ANOVA": "analysis of variance"}),
        ("A 100-polyacrylate (PA) fibre.", {"PA": "polyacrylate"}),  # 100 µm of it, no locant
        ("In type 2 diabetes (T2D) it is high.", {"T2D": "type 2 diabetes"}),
    ],
)
def test_definitions_are_found(txt: str, expected: dict[str, str]) -> None:
    assert find_abbreviations(txt) == expected


@pytest.mark.parametrize(
    "txt",
    [
        "Of the more developed soils (ME) one is acid.",  # the last word is not in it
        "As mentioned before, the first redox peak (A, A′) shifts.",
        "Of the decantation-bank (TB) soils.",
        "By fast electron transfer (et) steps.",  # would be replaced in "et al."
        "The toxic metal arsenic (As) was removed.",  # would be replaced in "As shown"
        "Of solid-phase extraction techniques (SPE) we chose one.",  # nor is "techniques"
        "Positive ions or cations (Ca, Na) were added.",  # the name of another thing
        "A carbon molecular sieve (Carbosieve) held it.",
        "In an ultrasonic bath (USA) it was cleaned.",
        "By gas chromatography (GC-O) of odours.",
        "With ion-exchange (IEC) chromatography it was pure.",
        "The signal at 101 ppm, assigned to oxygen (SiO), fell.",
        "peaks occur at 38 h (peak 3).",
        "With mass = area ratio (MAR) it fits.",
        "This is a short phase. Electron (SPE) beams.",  # no sentence holds a definition's half
        "See the flower enclosure, peaking at 118 h (Fig. 4).",
        "",
    ],
)
def test_what_is_no_definition(txt: str) -> None:
    assert find_abbreviations(txt) == {}


def test_the_most_common_definition_counts_and_a_tie_of_meanings_counts_as_none() -> None:
    polymer, lipid = "We mixed polystyrene (PS) in. ", "We mixed phosphatidylserine (PS) in. "
    assert find_abbreviations(polymer + lipid + lipid) == {"PS": "phosphatidylserine"}
    assert find_abbreviations(polymer + lipid) == {}
    nearly = "The principal component analysis (PCA) ran. A principal components analysis (PCA) ran."
    assert find_abbreviations(nearly) == {"PCA": "principal component analysis"}


def test_one_open_bracket_does_not_cost_the_paragraph() -> None:
    txt = "The value is 3) big. We used scanning electron microscopy (SEM) and (see a differential calorimetry (DC)."
    assert find_abbreviations(txt) == {"SEM": "scanning electron microscopy", "DC": "differential calorimetry"}


def test_a_capital_at_the_start_of_a_sentence_is_not_kept() -> None:
    txt = "Streptozotocin (STZ) is toxic. Brillouin light scattering (BLS) is not. In Brillouin scattering it is."
    assert find_abbreviations(txt) == {"STZ": "streptozotocin", "BLS": "Brillouin light scattering"}


def test_importing_leaves_the_log_alone() -> None:
    code = (
        "import logging, sciqag_lib.text.abbreviations; print(logging.getLogger().handlers, logging.getLogger().level)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout == "[] 30\n", result.stderr


def test_a_text_without_full_stops_takes_linear_time() -> None:
    piece = "and the scanning electron microscopy (SEM) of carbon nanotubes (CNTs) "
    found = find_abbreviations(piece * 30)  # loads what is loaded once
    start = time.perf_counter()
    assert find_abbreviations(piece * 10_000) == found  # 0.7 MB; the library alone takes minutes
    assert time.perf_counter() - start < 20
    assert found == {"SEM": "scanning electron microscopy", "CNTs": "carbon nanotubes"}


# Expansion -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, expected",
    [
        ("How is CL used?", "How is chemiluminescence used?"),
        ("CL was used.", "Chemiluminescence was used."),
        ("It rose. CL fell.", "It rose. Chemiluminescence fell."),
        ("A CL-based test.", "A chemiluminescence-based test."),
        ("Both CNTs and a CNT.", "Both carbon nanotubes and a carbon nanotube."),
        ("The LODs of two SEMs.", "The limits of detection of two scanning electron microscopes."),
        ("an SEM, a NMR", "a scanning electron microscope, a nuclear magnetic resonance"),
        ("The CNT's wall. Tubes (a CNT, PS)", "The carbon nanotube's wall. Tubes (a carbon nanotube, polystyrene)"),
        ("By PCA analysis.", "By principal component analysis."),
        ("By PCA analyses.", "By principal component analyses."),
        ("CNT/PS films by GC–MS", "Carbon nanotube/polystyrene films by gas chromatography–mass spectrometry"),
        ("with GC-MS", "with gas chromatography–mass spectrometry"),
        ("With dPS.", "With deuterated polystyrene."),
        ("DDM binds.", "n-dodecyl maltoside binds."),
    ],
)  # fmt: skip
def test_expansion(text: str, expected: str) -> None:
    assert expand(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "the chemiluminescence (CL) of luminol",
        "the Chemiluminescence (CL)",
        "the CL (chemiluminescence) of luminol",
        "chemiluminescence, or CL, is",
        "CL, or chemiluminescence, is",
        "the CL (weak chemiluminescence) of luminol",
        "the CL (cathodic light) of a tube",
        "chemiluminescence [CL]",
        "carbon nanotube (CNT) films",
        "the chemiluminescent reaction (CL)",  # another form of the word
        "nuclear magnetic resonance (NMR) spectroscopy",
        "the cl, Cl and cL",  # case
        "CL2, HCL, CLs2, 2CL and xCL_y",
        "PS(OH)2, CL=5, CL+, CL-8, a.CL, CL.org, $CL$ and CL^2",
        "the IL-CL-7",
        "HS-NMR and the LC-GC-MS",  # a chain of abbreviations of which one is not known
        "cathodic light (CL) and the CL",  # the text's own sense
        "no abbreviation here",
        "",
    ],
)
def test_left_alone(text: str) -> None:
    assert expand(text) == text


def test_an_explained_abbreviation_is_expanded_further_on() -> None:
    assert expand("Chemiluminescence (CL) is weak, and rarely used alone. The CL grew.") == (
        "Chemiluminescence (CL) is weak, and rarely used alone. The chemiluminescence grew."
    )


def test_without_definitions_nothing_changes() -> None:
    assert expand_abbreviations("the CL (CL)", {}) == "the CL (CL)"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    definitions = find_abbreviations(f"{text}\nWe used scanning electron microscopy (SEM).\n{text}")
    assert definitions["SEM"] == "scanning electron microscopy"
    assert expand(f"{text}\nThe CL") == expand(f"{text}\n") + "The chemiluminescence"
