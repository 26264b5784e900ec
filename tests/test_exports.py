"""Exports of a build, each read back by the tool it is made for."""

import json
from pathlib import Path
from typing import Any

import pytest

from sciqag_lib.dataset import exports
from sciqag_lib.dataset.exports import FORMATS, export_dataset
from sciqag_lib.dataset.pairs import COLUMNS
from sciqag_lib.errors import InputError
from sciqag_lib.inference.prompts import load_prompt
from sciqag_lib.records.papers import QAPair
from sciqag_lib.records.qa_records import read_qa_records
from sciqag_lib.training.data import Example, read_examples
from tests.conftest import skip_without
from tests.export_table import (
    NASTY,
    export_one,
    list_expected,
    list_files,
    make_row,
    write_example,
    write_papers,
    write_table,
)
from tests.tiny_llama import make_tokenizer


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_example(tmp_path)


# Published -----------------------------------------------------------------------------------------------------------


def test_published_files_have_the_published_keys(table: Path) -> None:
    export_one(table, "published")
    train = json.loads((table.parent / "out" / "train.json").read_text(encoding="utf-8"))
    test = json.loads((table.parent / "out" / "test.json").read_text(encoding="utf-8"))
    assert [list(record) for record in train] == [["instruction", "input", "output"]] * 8
    assert [(record["input"], record["output"]) for record in train] == list_expected("train")
    assert test == [{"Q": question, "A": answer} for question, answer in list_expected("test")]
    assert [record.pairs for record in read_qa_records(table.parent / "out" / "test.json")] \
        == [[QAPair(*pair)] for pair in list_expected("test")]  # fmt: skip


def test_the_train_file_is_what_the_qa_only_recipe_learns_from(table: Path, tmp_path: Path) -> None:
    rows = [make_row(record, pair, split="train") for record in range(4) for pair in range(3)]
    export_dataset(write_table(tmp_path, rows), tmp_path / "out", ["published"])
    instruction = load_prompt("qa_only").texts["instruction"]
    made = [{"instruction": instruction, "input": row["question"], "output": row["answer"]} for row in rows]
    assert json.loads((tmp_path / "out" / "train.json").read_text(encoding="utf-8")) == made
    assert [type(item) for item in read_examples(tmp_path / "out" / "train.json")] == [Example] * 12


# Chat ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alpaca", "sharegpt", "messages"])
def test_chat_files_load_with_datasets_and_with_our_trainer(table: Path, tmp_path: Path, name: str) -> None:
    skip_without("datasets")
    from datasets import load_dataset

    folder = table.parent / "out" / "chat"
    export_one(table, name)
    for split in ("train", "test"):
        path = str(folder / f"{name}_{split}.jsonl")
        rows = load_dataset("json", data_files=path, split="train", cache_dir=str(tmp_path / "cache")).to_list()
        found = {
            "alpaca": lambda row: (row["instruction"], row["output"]),
            "sharegpt": lambda row: tuple(turn["value"] for turn in row["conversations"]),
            "messages": lambda row: tuple(turn["content"] for turn in row["messages"]),
        }[name]
        assert list(map(found, rows)) == list_expected(split)
        examples = list(read_examples(path))
        assert [(example.instruction + example.input, example.output) for example in examples] == list_expected(split)


def test_messages_go_through_a_chat_template(table: Path) -> None:
    skip_without("transformers")
    export_one(table, "messages")
    lines = (table.parent / "out" / "chat" / "messages_train.jsonl").read_text(encoding="utf-8").split("\n")
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    assert tokenizer.apply_chat_template(json.loads(lines[0])["messages"], tokenize=False) \
        == "<user>Why 0.0?<assistant>Because of 0.0."  # fmt: skip


def test_llama_factory_is_told_of_every_chat_file(table: Path) -> None:
    folder = table.parent / "out" / "chat"
    export_dataset(table, table.parent / "out", ["alpaca", "sharegpt", "messages"])
    described = json.loads((folder / "dataset_info.json").read_text())
    assert {entry["file_name"] for entry in described.values()} == list_files(folder) - {"dataset_info.json"}
    assert described["sciqag_alpaca_train"] == {"file_name": "alpaca_train.jsonl"}  # all else is its default
    assert described["sciqag_sharegpt_test"]["formatting"] == "sharegpt"  # whose defaults are from, value, human, gpt
    messages = described["sciqag_messages_train"]
    line = json.loads((folder / messages["file_name"]).read_text(encoding="utf-8").split("\n")[0])
    tags = messages["tags"]
    assert [turn[tags["role_tag"]] for turn in line[messages["columns"]["messages"]]] \
        == [tags["user_tag"], tags["assistant_tag"]]  # fmt: skip


# Hugging Face --------------------------------------------------------------------------------------------------------


def load_folder(folder: Path) -> Any:
    skip_without("datasets")
    from datasets import load_dataset

    return load_dataset(str(folder), cache_dir=str(folder.parent.parent / "cache"))


def test_the_folder_loads_with_datasets(table: Path) -> None:
    export_one(table, "huggingface")
    found = load_folder(table.parent / "out" / "huggingface")
    assert {split: found[split].num_rows for split in found} == {"train": 8, "test": 2}
    row = found["train"][3]
    assert (row["question"], row["answer"], row["evidence"]) == (NASTY, NASTY[::-1], NASTY)
    assert (row["doi"], row["pair"], row["score_accuracy"], row["licence"]) == ("10.1000/t.1", 1, 2.5, "CC BY")
    assert list(row) == [name for name in COLUMNS if name not in ("record", "split", "dropped_by")]
    assert found["test"][0]["evidence"] is None and found["test"][0]["score_accuracy"] is None
    lines = (table.parent / "out" / "huggingface" / "papers.csv").read_text().splitlines()
    assert lines[1] == "10.1000/t.0,Title 0,J,Energy & Fuels,,train,2,1" and len(lines) == 5


def test_shards_hold_every_row_once_and_those_of_an_earlier_export_go(table: Path, monkeypatch) -> None:
    data = table.parent / "out" / "huggingface" / "data"
    monkeypatch.setattr(exports, "SHARD_ROWS", 3)
    export_one(table, "huggingface")
    assert list_files(data) == {"train-00000-of-00003.parquet", "train-00001-of-00003.parquet",
                                "train-00002-of-00003.parquet", "test-00000-of-00001.parquet"}  # fmt: skip
    assert load_folder(data.parent)["train"]["question"][:] == [question for question, _ in list_expected("train")]
    monkeypatch.setattr(exports, "SHARD_ROWS", 8)
    export_one(table, "huggingface")
    assert list_files(data) == {"train-00000-of-00001.parquet", "test-00000-of-00001.parquet"}
    assert load_folder(data.parent)["train"].num_rows == 8


# Runs ----------------------------------------------------------------------------------------------------------------

ALL_FILES = {
    "train.json",
    "test.json",
    "train_generator.json",
    "chat/dataset_info.json",
    "huggingface/README.md",
    "huggingface/papers.csv",
    "huggingface/data/train-00000-of-00001.parquet",
    "lm_eval/sciqag.yaml",
    "huggingface/data/test-00000-of-00001.parquet",
    "lm_eval/utils.py",
    "lm_eval/test.jsonl",
    "lm_eval/fewshot.jsonl",
    *(f"chat/{name}_{split}.jsonl" for name in ("alpaca", "sharegpt", "messages") for split in ("train", "test")),
}


def test_everything_is_written_and_shown(table: Path, tmp_path: Path) -> None:
    report = export_dataset(table, tmp_path / "out", papers_path=write_papers(tmp_path))
    assert list_files(tmp_path / "out") == ALL_FILES == {file.path for file in report.files}
    assert all(file.bytes == (tmp_path / "out" / file.path).stat().st_size > 0 for file in report.files)
    assert {file.format for file in report.files} == {*FORMATS, "chat"} and not report.notes
    rows = {file.path: file.rows for file in report.files}
    assert (rows["train.json"], rows["test.json"], rows["train_generator.json"]) == (8, 2, 3)
    assert (rows["huggingface/papers.csv"], rows["huggingface/data/train-00000-of-00001.parquet"]) == (4, 8)
    shown = report.to_frame().set_index("path")
    size = (tmp_path / "out" / "train.json").stat().st_size
    assert shown.loc["train.json"].tolist() == ["published", 8, size]


def test_names_of_papers_and_categories_lead_nowhere(tmp_path: Path) -> None:
    bad = {"doi": "../../10.1/x\0y", "title": "=1+1\n,|", "journal": "/etc/passwd", "category": "../../escape"}
    table = write_table(tmp_path, [make_row(0, 0, **bad), make_row(2, 0, **bad)])
    before = list_files(tmp_path)
    export_dataset(table, tmp_path / "out")
    assert list_files(tmp_path / "out") == ALL_FILES - {"train_generator.json"}
    assert list_files(tmp_path) - before == {f"out/{name}" for name in ALL_FILES - {"train_generator.json"}}


def test_an_empty_split_gives_no_file_that_its_readers_refuse(tmp_path: Path) -> None:
    table = write_table(tmp_path, [make_row(0, 0), make_row(2, 0, dropped_by="score_accuracy")])
    report = export_dataset(table, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "test.json").read_text()) == []
    assert not [name for name in list_files(tmp_path / "out") if "test" in name and name != "test.json"]
    assert not (tmp_path / "out" / "lm_eval").exists()
    assert load_folder(tmp_path / "out" / "huggingface").keys() == {"train"}
    starts = ("test: no pairs", "lm_eval: a benchmark needs test pairs", "generator: not made")
    assert len(report.notes) == 3 and all(note.startswith(start) for note, start in zip(report.notes, starts))


def test_what_cannot_be_exported_is_refused(table: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="formats: expected a list of published, .*found 'published'"):
        export_dataset(table, tmp_path, "published")
    with pytest.raises(InputError, match=r"found \['csv'\]"):
        export_dataset(table, tmp_path, ["csv"])
    with pytest.raises(InputError, match="generator needs the papers' texts; give papers_path"):
        export_dataset(table, tmp_path, ["generator"])
    with pytest.raises(InputError, match="none is kept.*2 score_accuracy"):
        rows = [make_row(0, pair, dropped_by="score_accuracy") for pair in (0, 1)]
        export_dataset(write_table(tmp_path, rows), tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        export_dataset(tmp_path / "nothing.parquet", tmp_path)


def test_a_failure_on_the_way_leaves_the_earlier_export_whole(table: Path, tmp_path: Path, monkeypatch) -> None:
    export_dataset(table, tmp_path / "out")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in list_files(tmp_path / "out")}
    write = exports._write_rows

    def break_off(rows: Any, handle: Any, file: Any) -> None:
        write(rows, handle, file)
        if file.path.startswith("chat"):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(exports, "_write_rows", break_off)
    changed = write_table(tmp_path, [make_row(0, 0, question="New?"), make_row(2, 0)])
    with pytest.raises(OSError, match="No space left"):
        export_dataset(changed, tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in list_files(tmp_path / "out")} == before


def test_files_of_other_formats_are_left_and_named(table: Path, tmp_path: Path) -> None:
    export_dataset(table, tmp_path / "out", ["alpaca", "lm_eval"])
    only_train = write_table(tmp_path, [make_row(0, 0)])
    report = export_one(only_train, "alpaca")
    assert "lm_eval: files of an earlier export were left" in " ".join(report.notes)
    assert list_files(tmp_path / "out" / "chat") == {"alpaca_train.jsonl", "dataset_info.json"}  # no old test pairs


def test_a_pair_without_a_split_is_not_exported(tmp_path: Path) -> None:
    report = export_one(write_table(tmp_path, [make_row(0, 0), make_row(1, 0, split=None)]), "published")
    assert len(json.loads((tmp_path / "out" / "train.json").read_text())) == 1
    assert report.counts.dropped == {"no_split": 1} and report.counts.kept == 1


def test_few_shot_pairs_are_spread_over_the_train_split(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(exports, "FEWSHOT_PAIRS", 4)
    rows = [make_row(0, pair) for pair in range(10)] + [make_row(2, 0)]
    export_one(write_table(tmp_path, rows), "lm_eval")
    lines = (tmp_path / "out" / "lm_eval" / "fewshot.jsonl").read_text().splitlines()
    assert [json.loads(line)["question"] for line in lines] == [f"Why 0.{pair}?" for pair in (0, 3, 6, 9)]
