"""A build's kept pairs in the files that others load: one pass over pairs.parquet, each file whole or not at all.

    published    train.json             [{"instruction": "Answer ...", "input": "How ...?", "output": "It ..."}]
                 test.json              [{"Q": "How ...?", "A": "It ..."}]
    alpaca       chat/alpaca_train.jsonl    {"instruction": "How ...?", "input": "", "output": "It ..."}
    sharegpt     chat/sharegpt_train.jsonl  {"conversations": [{"from": "human", "value": "How ...?"}, ...]}
    messages     chat/messages_train.jsonl  {"messages": [{"role": "user", "content": "How ...?"}, ...]}
    huggingface  huggingface/           data/*.parquet, README.md (the card), papers.csv: datasets.load_dataset(folder)
    lm_eval      lm_eval/               a task of the lm-evaluation-harness, see lm_eval_task.py
    generator    train_generator.json   see export_generator.py

The first and the last are SciQAG's (arXiv 2405.09939) and what train.py takes with params/train.qa_only.yaml and
params/train.generator.yaml. LLaMA-Factory and axolotl read all three chat forms, which chat/dataset_info.json describes
to the former, and TRL the messages. The test pairs lie beside those of train.
"""

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sciqag_lib.dataset import lm_eval_task
from sciqag_lib.dataset.card import CardFacts, DatasetCounts, count_pairs, is_kept, read_groups, write_card
from sciqag_lib.dataset.export_generator import fill_record, write_generator_data
from sciqag_lib.dataset.pairs import COLUMNS, SPLITS, DatasetPair, PairWriter
from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.inference.prompts import load_prompt
from sciqag_lib.paths import write_atomic
from sciqag_lib.tables import JsonList

FORMATS = ("published", "alpaca", "sharegpt", "messages", "huggingface", "lm_eval", "generator")
CHAT = {  # format -> what LLaMA-Factory must know of it beyond its defaults
    "alpaca": {},
    "sharegpt": {"formatting": "sharegpt"},
    "messages": {
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    },
}
OWN_FILES = {  # format -> what an export of it can leave below output_dir
    "published": ["train.json", "test.json"],
    **{name: [f"chat/{name}_{split}.jsonl" for split in SPLITS] for name in CHAT},
    "huggingface": [f"huggingface/data/{split}-*-of-*.parquet" for split in SPLITS],
    "lm_eval": ["lm_eval/test.jsonl", "lm_eval/fewshot.jsonl", "lm_eval/sciqag.yaml", "lm_eval/utils.py"],
    "generator": ["train_generator.json"],
}
SHARD_ROWS = 250_000  # of a Parquet file: some 70 MB, well below the 500 MB that loaders take at a time
FEWSHOT_PAIRS = 500  # of the train split, evenly spaced, for a benchmark's examples
HUB_COLUMNS = tuple(name for name in COLUMNS if name not in ("record", "split", "dropped_by"))
LISTED = 20  # bad records that are printed


@dataclass
class ExportedFile:
    """A file and the rows that go into it: of its split, those from `start` to below `stop`, each `step`-th."""

    format: str
    path: str  # below output_dir
    split: str = ""  # "" for what is no list of pairs
    rows: int = 0  # written; 0 for what is no list
    bytes: int = 0
    start: int = 0
    stop: float = math.inf
    step: int = 1

    def takes(self, place: int) -> bool:
        return self.start <= place < self.stop and (place - self.start) % self.step == 0


@dataclass
class ExportReport:
    output_dir: Path
    files: list[ExportedFile] = field(default_factory=list)
    counts: DatasetCounts = field(default_factory=DatasetCounts)
    notes: list[str] = field(default_factory=list)  # what was not written, and why
    num_bad: int = 0  # papers of papers_path that could not be used
    bad_records: list[BadRecord] = field(default_factory=list)  # the first of them

    def note(self, bad: BadRecord) -> None:
        self.num_bad += 1
        if len(self.bad_records) < LISTED:
            self.bad_records.append(bad)


def export_dataset(
    pairs_path: str | Path,
    output_dir: str | Path,
    formats: Sequence[str] | None = None,
    facts: CardFacts | None = None,
    papers_path: str | Path | None = None,
) -> ExportReport:
    """Write the kept pairs of a build in `formats` (FORMATS; None: all that can be made) below `output_dir`.

    `facts` is what the card says beyond the table. `papers_path` is the processed output that the build read, whose
    texts the generator's training data need. A split without pairs gives no file, but for the published ones, and a
    note. Each file appears whole or not at all, and those of an earlier export that these replace are removed.
    InputError: a format that does not exist, a table that cannot be read or keeps no pair, papers that are not its own.
    """
    pairs_path, output_dir = Path(pairs_path), Path(output_dir)
    chosen = _check_formats(formats, papers_path)
    counts = count_pairs(pairs_path)
    if not counts.kept:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in counts.dropped.most_common()) or "it is empty"
        raise InputError(f"{pairs_path}: expected pairs to export, but none is kept ({reasons}); loosen the filters")
    report = ExportReport(output_dir, counts=counts)
    for split in SPLITS:
        if not counts.pairs[split]:
            report.notes.append(f"{split}: no pairs, so no file of them but the published one, which is an empty list")
    if "lm_eval" in chosen and not counts.pairs["test"]:
        report.notes.append("lm_eval: a benchmark needs test pairs, and there are none")
    if "generator" in chosen:  # first: where the papers are the wrong ones, nothing has been replaced yet
        file = ExportedFile("generator", "train_generator.json", "train")
        file.rows = write_generator_data(pairs_path, Path(papers_path), output_dir / file.path, report.note)
        report.files.append(file)
        if not file.rows:
            report.notes.append("generator: no paper of the train split has its text, so the list is empty")
    elif formats is None:
        report.notes.append("generator: not made, it needs the papers' texts (papers_path)")
    planned = [file for name in chosen for file in _plan_files(name, counts)]
    _write_pairs(pairs_path, planned, report)
    _write_descriptions(facts or CardFacts(), report)
    _remove_older(chosen, report)
    for file in report.files:
        file.bytes = (output_dir / file.path).stat().st_size
    return report


def _check_formats(formats: Sequence[str] | None, papers_path: str | Path | None) -> list[str]:
    chosen = [name for name in FORMATS if name != "generator" or papers_path] if formats is None else list(formats)
    unknown = [name for name in chosen if name not in FORMATS]
    if unknown or isinstance(formats, str):
        raise InputError(f"formats: expected a list of {', '.join(FORMATS)}, found {formats!r}")
    if "generator" in chosen and not papers_path:
        raise InputError(
            "formats: generator needs the papers' texts; give papers_path, the processed output that the "
            "build read, or leave the format out"
        )
    return chosen


def _plan_files(name: str, counts: DatasetCounts) -> Iterator[ExportedFile]:
    """The files of a format that hold pairs, one for each split that has some."""
    splits = [split for split in SPLITS if counts.pairs[split]]
    if name == "published":
        yield from (ExportedFile(name, f"{split}.json", split) for split in SPLITS)
    elif name in CHAT:
        yield from (ExportedFile(name, f"chat/{name}_{split}.jsonl", split) for split in splits)
    elif name == "huggingface":
        for split in splits:
            num_shards = math.ceil(counts.pairs[split] / SHARD_ROWS)
            rows = math.ceil(counts.pairs[split] / num_shards)
            for shard in range(num_shards):
                path = f"huggingface/data/{split}-{shard:05d}-of-{num_shards:05d}.parquet"
                yield ExportedFile(name, path, split, start=shard * rows, stop=(shard + 1) * rows)
    elif name == "lm_eval" and "test" in splits:
        yield ExportedFile(name, "lm_eval/test.jsonl", "test")
        if "train" in splits:
            step = math.ceil(counts.pairs["train"] / FEWSHOT_PAIRS)
            yield ExportedFile(name, "lm_eval/fewshot.jsonl", "train", step=step)


# A pass over the pairs -----------------------------------------------------------------------------------------------


def _write_pairs(pairs_path: Path, files: list[ExportedFile], report: ExportReport) -> None:
    """Fill all files of pairs in one pass; where it fails, none of them appears."""
    report.files += files
    hub = any(file.format == "huggingface" for file in files)
    with ExitStack() as stack:
        writers = [(file, stack.enter_context(_open_writer(report.output_dir / file.path, file))) for file in files]
        add_paper = stack.enter_context(_open_papers(report)) if hub else None
        places = dict.fromkeys(SPLITS, 0)
        for rows in read_groups(pairs_path):
            kept = [pair for pair in rows if is_kept(pair)]
            if add_paper and kept:
                add_paper(kept, len(rows) - len(kept))
            for pair in kept:
                for file, add in writers:
                    if file.split == pair.split and file.takes(places[pair.split]):
                        add(pair)
                        file.rows += 1
                places[pair.split] += 1


@contextmanager
def _open_writer(path: Path, file: ExportedFile) -> Iterator[Callable[[DatasetPair], None]]:
    """A function that adds a pair to the file at `path`, in the form of its format and split."""
    if file.format == "huggingface":
        with write_atomic(path, binary=True) as handle:
            table = PairWriter(handle, HUB_COLUMNS)
            try:
                yield lambda pair: table.add({name: getattr(pair, name) for name in HUB_COLUMNS})
            finally:
                table.close()
        return
    make_record = _choose_record(file.format, file.split)
    with write_atomic(path) as handle:
        if file.format == "published":
            records = JsonList(handle)
            yield lambda pair: records.add(make_record(pair))
            records.end()
        else:
            yield lambda pair: handle.write(json.dumps(make_record(pair), ensure_ascii=False) + "\n")


def _choose_record(name: str, split: str) -> Callable[[DatasetPair], dict[str, Any]]:
    if name == "published" and split == "test":
        return lambda pair: {"Q": pair.question, "A": pair.answer}
    if name == "published":
        prompt = load_prompt("qa_only")
        return lambda pair: fill_record(prompt, {"question": pair.question}, pair.answer)
    if name == "alpaca":
        return lambda pair: {"instruction": pair.question, "input": "", "output": pair.answer}
    if name == "sharegpt":
        return lambda pair: {
            "conversations": [{"from": "human", "value": pair.question}, {"from": "gpt", "value": pair.answer}]
        }
    if name == "messages":
        return lambda pair: {
            "messages": [{"role": "user", "content": pair.question}, {"role": "assistant", "content": pair.answer}]
        }
    return lambda pair: {"question": pair.question, "answer": pair.answer, "doi": pair.doi, "category": pair.category}


@contextmanager
def _open_papers(report: ExportReport) -> Iterator[Callable[[list[DatasetPair], int], None]]:
    """papers.csv beside the card: a row for each record with a kept pair."""
    listed = ExportedFile("huggingface", "huggingface/papers.csv")
    report.files.append(listed)
    with write_atomic(report.output_dir / listed.path) as handle:
        table = csv.writer(handle, lineterminator="\n")
        table.writerow(("doi", "title", "journal", "category", "licence", "split", "kept", "dropped"))

        def add(kept: list[DatasetPair], num_dropped: int) -> None:
            first = kept[0]
            table.writerow(
                (
                    first.doi,
                    first.title,
                    first.journal,
                    first.category,
                    first.licence,
                    first.split,
                    len(kept),
                    num_dropped,
                )
            )
            listed.rows += 1

        yield add


# What stands beside the pairs ----------------------------------------------------------------------------------------


def _write_descriptions(facts: CardFacts, report: ExportReport) -> None:
    """The card, LLaMA-Factory's list of datasets and the harness's task, where what they describe was written."""
    by_format: dict[str, list[ExportedFile]] = {}
    for file in report.files:
        if file.split:
            by_format.setdefault(file.format, []).append(file)
    chats = [file for name in CHAT for file in by_format.get(name, [])]
    if chats:
        described = {
            f"sciqag_{Path(file.path).stem}": {"file_name": Path(file.path).name, **CHAT[file.format]} for file in chats
        }
        _write_text(report, "chat", "chat/dataset_info.json", json.dumps(described, indent=2) + "\n")
    if "lm_eval" in by_format:
        _write_text(report, "lm_eval", "lm_eval/utils.py", Path(lm_eval_task.__file__).read_text(encoding="utf-8"))
        _write_text(report, "lm_eval", "lm_eval/sciqag.yaml", _describe_task(len(by_format["lm_eval"]) > 1))
    if "huggingface" in by_format:
        shards: dict[str, list[str]] = {}
        for file in by_format["huggingface"]:
            shards.setdefault(file.split, []).append(file.path.removeprefix("huggingface/"))
        write_card(report.output_dir / "huggingface" / "README.md", report.counts, shards, facts)
        report.files.append(ExportedFile("huggingface", "huggingface/README.md"))


def _write_text(report: ExportReport, name: str, path: str, text: str) -> None:
    with write_atomic(report.output_dir / path) as file:
        file.write(text)
    report.files.append(ExportedFile(name, path))


def _describe_task(with_examples: bool) -> str:
    """The task's YAML. Its data are read by utils.py: paths in it would be relative to where the harness is started."""
    task: dict[str, Any] = {
        "task": "sciqag",
        "test_split": "test",
        "output_type": "generate_until",
        "description": load_prompt("qa_only").texts["instruction"].strip() + "\n\n",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_target": "answer",
        "generation_kwargs": {"until": ["\n\n", "\nQuestion:"], "do_sample": False, "max_gen_toks": 256},
        "metric_list": [
            {"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("token_f1", "rouge_l")
        ],
        "metadata": {"version": lm_eval_task.VERSION},
    }
    if with_examples:
        task |= {"training_split": "fewshot", "fewshot_split": "fewshot"}
    functions = "custom_dataset: !function utils.load_data\nprocess_results: !function utils.score_answer\n"
    return yaml.safe_dump(task, sort_keys=False, allow_unicode=True, width=120) + functions


# Afterwards ----------------------------------------------------------------------------------------------------------


def _remove_older(chosen: Sequence[str], report: ExportReport) -> None:
    """Take away what an earlier export of the same formats left and this one did not write: its pairs may be of the
    other split now. What belongs to another format is only named."""
    written = {report.output_dir / file.path for file in report.files}
    for name, patterns in OWN_FILES.items():
        found = {path for pattern in patterns for path in report.output_dir.glob(pattern)} - written
        if name in chosen:
            for path in found:
                path.unlink()
        elif found:
            report.notes.append(f"{name}: files of an earlier export were left as they are and may hold other splits")


def show_exports(report: ExportReport) -> None:
    """Print each file with its rows and bytes, and what was not written."""
    width = max(len(file.path) for file in report.files)
    for file in report.files:
        rows = f"{file.rows:>9,} rows" if file.rows or file.split else " " * 14
        print(f"{file.format:12} {file.path:{width}} {rows} {file.bytes:>13,} bytes")
    for bad in report.bad_records:
        print(f"not usable: {bad}")
    if report.num_bad > len(report.bad_records):
        print(f"not usable: {report.num_bad - len(report.bad_records):,} more")
    for note in report.notes:
        print(f"note: {note}")
