"""Categories: the published names and numbers, a table by journal, and names that are reported and not guessed."""

from pathlib import Path

import pytest

from sciqag_lib.errors import InputError
from sciqag_lib.records.categories import CategoryFinder, read_categories, read_journals, suggest_name

ANALYTICAL, ENERGY = "Chemistry, Analytical", "Energy & Fuels"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_published_numbers_add_up():
    """Sums as in arXiv 2405.09939."""
    found = read_categories()
    assert len(found) == 24 and len({category.field for category in found.values()}) == 4
    sums = [sum(getattr(category, name) for category in found.values()) for name in ("papers", "train", "test")]
    assert sums == [22_743, 179_511, 8_531]
    assert found["Physics, Atomic, Molecular & Chemical"].test == 324


def test_a_file_of_your_own_needs_no_numbers(tmp_path):
    found = read_categories(write(tmp_path / "c.csv", "# ours\nfield,category\nLife,Ecology\n\nLife,Botany\n"))
    assert [(category.name, category.field, category.papers) for category in found.values()] == [
        ("Ecology", "Life", 0),
        ("Botany", "Life", 0),
    ]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "missing field, category, found an empty file"),
        ("category\nEcology\n", "missing field"),
        ("field,category\n", "holds no category"),
        ("# a\nfield,category\nLife,Ecology\nLife,ecology\n", "line 4: .*named before"),
        ("field,category,papers\nLife,Ecology,many\n", "line 2: expected whole numbers, found many"),
    ],
)
def test_a_file_that_cannot_be_meant(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_categories(write(tmp_path / "c.csv", text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no.csv: expected a CSV file"):
        read_categories(tmp_path / "no.csv")


def test_the_category_comes_from_its_key_the_journal_or_the_table(tmp_path):
    journals, bad = read_journals(
        write(tmp_path / "j.csv", f'journal,category\n Talanta ,"{ANALYTICAL}"\n'), read_categories()
    )
    finder = CategoryFinder(read_categories(), journals)
    assert bad == []
    assert finder.find({"category": ENERGY, "journal": "Talanta"}) == ENERGY
    assert finder.find({"journal": "energy  & FUELS"}) == ENERGY  # as in the released files
    assert finder.find({"category": None, "journal": "talanta"}) == ANALYTICAL
    assert finder.describe_unknown() == []
    assert finder.find({"category": "Talanta"}) is None  # a journal's name is no category


def test_an_unknown_name_is_reported_and_not_guessed():
    finder = CategoryFinder(read_categories())
    for record in (
        {"category": "Chemistry, Analitical"},
        {"category": "Chemistry, Analitical"},
        {"journal": "Analytical Chemistry"},
        {"category": 7, "journal": ENERGY},
        {"category": " "},
        {},
    ):
        assert finder.find(record) is None
    lines = finder.describe_unknown()
    assert lines[0].startswith(f"category 'Chemistry, Analitical' (did you mean '{ANALYTICAL}'?): unknown, 2 records")
    assert f"journal 'Analytical Chemistry' (did you mean '{ANALYTICAL}'?): unknown, 1 record " in lines[1]
    assert "int 7" in lines[2]
    assert lines[3] == "records with neither `category` nor `journal`: 2, without a category"


def test_a_name_like_none_gets_no_suggestion():
    assert suggest_name("Zoology", [ENERGY]) == " 'Zoology'"


def test_many_unknown_names_are_cut():
    finder = CategoryFinder([ENERGY])
    for number in range(25):
        finder.find({"journal": f"J{number}"})
    assert len(finder.describe_unknown()) == 21 and "5 more" in finder.describe_unknown()[-1]


def test_lines_of_the_table_that_cannot_be_used(tmp_path):
    text = f'journal,category\nA,Energy & Fuel\n,{ENERGY}\nB,{ENERGY}\nb,"{ANALYTICAL}"\n'
    journals, bad = read_journals(write(tmp_path / "j.csv", text), read_categories())
    assert journals == {"b": ENERGY}
    assert [(item.record, item.field) for item in bad] == [
        ("line 2", "category"),
        ("line 3", "journal"),
        ("line 5", "category"),
    ]
    assert f"did you mean '{ENERGY}'?" in bad[0].message
