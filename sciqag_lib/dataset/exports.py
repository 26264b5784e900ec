"""A build's kept pairs, from pairs.parquet, in the files that others load; each is written atomically.

    published    train.json             [{"instruction": "Answer ...", "input": "How ...?", "output": "It ..."}]
                 test.json              [{"Q": "How ...?", "A": "It ..."}]
    alpaca       chat/alpaca_train.jsonl    {"instruction": "How ...?", "input": "", "output": "It ..."}
    sharegpt     chat/sharegpt_train.jsonl  {"conversations": [{"from": "human", "value": "How ...?"}, ...]}
    messages     chat/messages_train.jsonl  {"messages": [{"role": "user", "content": "How ...?"}, ...]}
    huggingface  huggingface/           data/*.parquet, README.md (the card), papers.csv: datasets.load_dataset(folder)
    lm_eval      lm_eval/               a task of the lm-evaluation-harness, see lm_eval_task.py
    generator    train_generator.json   [{"instruction": "Read ...", "input": "The paper: ...", "output": "Q1: ..."}]

The first and the last are SciQAG's (arXiv 2405.09939) and what train.py takes with params/train.qa_only.yaml and
params/train.generator.yaml. LLaMA-Factory and axolotl read all three chat forms, which chat/dataset_info.json describes
to the former, and TRL the messages. The test pairs lie beside those of train.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import yaml

from sciqag_lib.dataset import lm_eval_task
from sciqag_lib.dataset.card import CardFacts, DatasetCounts, count_pairs, is_kept, write_card
from sciqag_lib.dataset.input import number_records
from sciqag_lib.dataset.pairs import COLUMNS, SPLITS, read_pairs, write_pairs
from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.generation.training_records import fill_paper_record, fill_record
from sciqag_lib.inference.prompts import load_prompt
from sciqag_lib.paths import write_atomic
from sciqag_lib.records.papers import Paper, QAPair
from sciqag_lib.tables import JsonList

if TYPE_CHECKING:
    import pandas as pd

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
load_prompt_once = cache(load_prompt)
RECORDS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {  # file or format -> its form of a pair
    "train.json": lambda pair: fill_record(load_prompt_once("qa_only"), {"question": pair["question"]}, pair["answer"]),
    "test.json": lambda pair: {"Q": pair["question"], "A": pair["answer"]},
    "alpaca": lambda pair: {"instruction": pair["question"], "input": "", "output": pair["answer"]},
    "sharegpt": lambda pair: {
        "conversations": [{"from": "human", "value": pair["question"]}, {"from": "gpt", "value": pair["answer"]}]
    },
    "messages": lambda pair: {
        "messages": [{"role": "user", "content": pair["question"]}, {"role": "assistant", "content": pair["answer"]}]
    },
    "lm_eval": dict,
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


@dataclass
class ExportedFile:
    """A file and the rows that go into it."""

    format: str
    path: str  # below output_dir
    split: str = ""  # "" for what is no list of pairs
    rows: int = 0  # written; 0 for what is no list
    bytes: int = 0
    rows_of: slice = field(default_factory=lambda: slice(None))  # of its split's kept pairs


@dataclass
class ExportReport:
    output_dir: Path
    files: list[ExportedFile] = field(default_factory=list)
    counts: DatasetCounts = field(default_factory=DatasetCounts)
    notes: list[str] = field(default_factory=list)  # what was not written, and why
    bad_records: list[BadRecord] = field(default_factory=list)  # papers of papers_path that could not be used

    def to_frame(self) -> "pd.DataFrame":
        """Each file with its rows and bytes."""
        import pandas as pd

        return pd.DataFrame(self.files)[["format", "path", "rows", "bytes"]]


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
    note. Files are written atomically, and those of an earlier export that these replace are removed.
    InputError: a format that does not exist, a table that cannot be read or keeps no pair, papers that are not its own.
    """
    pairs_path, output_dir = Path(pairs_path), Path(output_dir)
    chosen = _check_formats(formats, papers_path)
    pairs = read_pairs(pairs_path)
    counts = count_pairs(pairs)
    if not counts.kept:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in counts.dropped.items()) or "it is empty"
        raise InputError(f"{pairs_path}: expected pairs to export, but none is kept ({reasons}); loosen the filters")
    report = ExportReport(output_dir, counts=counts)
    for split in SPLITS:
        if not counts.pairs[split]:
            report.notes.append(f"{split}: no pairs, so no file of them but the published one, which is an empty list")
    if "lm_eval" in chosen and not counts.pairs["test"]:
        report.notes.append("lm_eval: a benchmark needs test pairs, and there are none")
    if "generator" in chosen:  # first: where the papers are the wrong ones, nothing has been replaced yet
        file = ExportedFile("generator", "train_generator.json", "train")
        file.rows = _write_generator(pairs, Path(papers_path), output_dir / file.path, report.bad_records)
        report.files.append(file)
        if not file.rows:
            report.notes.append("generator: no paper of the train split has its text, so the list is empty")
    elif formats is None:
        report.notes.append("generator: not made, it needs the papers' texts (papers_path)")
    report.files += (planned := [file for name in chosen for file in _plan_files(name, counts)])
    _write_pairs(pairs, planned, report)
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
                yield ExportedFile(name, path, split, rows_of=slice(shard * rows, (shard + 1) * rows))
    elif name == "lm_eval" and "test" in splits:
        yield ExportedFile(name, "lm_eval/test.jsonl", "test")
        if "train" in splits:
            step = math.ceil(counts.pairs["train"] / FEWSHOT_PAIRS)
            yield ExportedFile(name, "lm_eval/fewshot.jsonl", "train", rows_of=slice(None, None, step))


# The pairs -----------------------------------------------------------------------------------------------------------


def _write_pairs(pairs: "pd.DataFrame", files: list[ExportedFile], report: ExportReport) -> None:
    """Fill all files of pairs; where it fails, none of them appears."""
    kept = pairs[is_kept(pairs)]
    with ExitStack() as stack:
        for file in files:
            rows = kept[kept["split"] == file.split].iloc[file.rows_of]
            file.rows, path = len(rows), report.output_dir / file.path
            _write_rows(rows, stack.enter_context(write_atomic(path, file.format == "huggingface")), file)
        if any(file.format == "huggingface" for file in files):
            listed = ExportedFile("huggingface", "huggingface/papers.csv")
            papers = _list_papers(pairs, kept)
            papers.to_csv(
                stack.enter_context(write_atomic(report.output_dir / listed.path)), index=False, lineterminator="\n"
            )
            listed.rows = len(papers)
            report.files.append(listed)


def _write_rows(rows: "pd.DataFrame", handle: IO[Any], file: ExportedFile) -> None:
    """In the form of the file's format and split."""
    if file.format == "huggingface":
        write_pairs(rows, handle, HUB_COLUMNS)
        return
    texts = rows[["question", "answer", "doi", "category"]].astype(object)
    make_record = RECORDS[file.path if file.format == "published" else file.format]
    records = map(make_record, texts.where(texts.notna(), None).to_dict("records"))
    if file.format == "published":
        made = JsonList(handle)
        for record in records:
            made.add(record)
        made.end()
    else:
        handle.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _list_papers(pairs: "pd.DataFrame", kept: "pd.DataFrame") -> "pd.DataFrame":
    """A row for each record with a kept pair."""
    papers = kept.drop_duplicates("record")
    columns = ["doi", "title", "journal", "category", "licence", "split"]
    num_kept, num_pairs = (rows["record"].value_counts() for rows in (kept, pairs))
    counts = papers["record"].map(num_kept)
    return papers[columns].assign(kept=counts, dropped=papers["record"].map(num_pairs) - counts)


def _write_generator(pairs: "pd.DataFrame", papers_path: Path, output_path: Path, bad: list[BadRecord]) -> int:
    """A record for each paper of the train split: the prompt with its text in it, and its kept pairs; their number.

    The table says at which place of the processed output a record is. A paper without text goes to `bad`. InputError:
    the file cannot be read, or another paper is in that place.
    """
    kept = pairs[is_kept(pairs) & (pairs["split"] == "train") & (pairs["doi"].fillna("") != "")]
    template, written, items = load_prompt("whole_paper"), 0, number_records(papers_path)
    with write_atomic(output_path) as file:
        made = JsonList(file)
        listed = zip(kept["record"], kept["doi"], kept["question"], kept["answer"])
        for (record, doi), rows in groupby(listed, key=lambda row: row[:2]):
            paper = next((item for number, item in items if number == record and isinstance(item, Paper)), None)
            if paper is None or paper.doi != doi:
                found = f"{paper.where}: {paper.doi!r:.80}" if paper else "no such record"
                raise InputError(
                    f"{papers_path}: expected {doi} in record {record + 1}, as the build had it, found {found}; "
                    "give the processed output that the build read"
                )
            if not paper.txt.strip():
                message = "it is missing or empty: nothing to learn from"
                bad.append(BadRecord(str(papers_path), paper.where, "txt", message))
                continue
            own = [QAPair(question, answer) for _, _, question, answer in rows]
            made.add(fill_paper_record(template, replace(paper, pairs=own)))
            written += 1
        made.end()
    return written


# What is beside the pairs ----------------------------------------------------------------------------------------


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
