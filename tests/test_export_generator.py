"""Training data for the generator: what the training code would make of the same papers, of kept train pairs alone."""

import json
from pathlib import Path

import pytest

from sciqag_lib.dataset.exports import export_dataset
from sciqag_lib.errors import InputError
from sciqag_lib.training.data import Example, make_generator_data, read_examples
from tests.export_table import export_one, list_files, make_row, write_example, write_papers, write_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_example(tmp_path)


def test_generator_data_are_those_of_the_training_code(tmp_path: Path) -> None:
    rows = [make_row(record, pair, split="train") for record in range(4) for pair in range(3)]
    papers = write_papers(tmp_path)
    make_generator_data(papers, tmp_path / "made.json")
    report = export_one(write_table(tmp_path, rows), "generator", papers_path=papers)
    assert (tmp_path / "out" / "train_generator.json").read_bytes() == (tmp_path / "made.json").read_bytes()
    assert report.files[0].rows == 4 and not report.bad_records


def test_generator_data_hold_kept_train_pairs_alone(table: Path, tmp_path: Path) -> None:
    export_one(table, "generator", papers_path=write_papers(tmp_path))
    examples = list(read_examples(tmp_path / "out" / "train_generator.json"))
    assert len(examples) == 3 and all(isinstance(example, Example) for example in examples)
    assert "Text {{of}} 0." in examples[0].input
    pairs = "Q1: Why 0.0?\nA1: Because of 0.0.\n\nQ2: Why 0.2?\nA2: Because of 0.2."
    assert examples[0].output == f"Keywords: a, b c\n\n{pairs}"


def test_a_paper_without_text_is_named_and_the_rest_goes_on(table: Path, tmp_path: Path) -> None:
    papers = write_papers(tmp_path, 4)
    records = json.loads(papers.read_text())
    records[1]["txt"], records[3]["keywords"] = None, {"not": "a list"}
    papers.write_text(json.dumps(records))
    report = export_one(table, "generator", papers_path=papers)
    assert [str(bad) for bad in report.bad_records] \
        == [f"{papers}, record 2, field 'txt': it is missing or empty: nothing to learn from"]  # fmt: skip
    assert report.files[0].rows == 2


@pytest.mark.parametrize("num_papers", [3, 5])
def test_other_papers_are_refused_before_anything_is_written(table: Path, tmp_path: Path, num_papers: int) -> None:
    papers = write_papers(tmp_path, num_papers)
    if num_papers == 5:
        papers.write_text(json.dumps(json.loads(papers.read_text())[1:]))
    with pytest.raises(InputError, match=r"expected 10\.1000/t\.\d.*give the processed output that the build read"):
        export_dataset(table, tmp_path / "out", papers_path=papers)
    assert list_files(tmp_path / "out") == set()
