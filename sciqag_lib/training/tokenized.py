"""A training file's tokens, made once, in a memory-mapped Arrow file that all processes of all runs share.

Its name is a hash of all that decides its content: the file, the tokenizer, the prompt form, the length, this code's
version. It is written atomically, by one process while others wait. It has one row per record, those that cannot be
used among them:

    {"input_ids": [1, 518, ...], "labels": [-100, ..., 2], "answer_tokens": 310, "cut_tokens": 0, "fault": ""}
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pyarrow
import pyarrow.compute
from tqdm import tqdm

from sciqag_lib.engines.common import count_threads
from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.inference.prompts import plain_text
from sciqag_lib.paths import write_atomic
from sciqag_lib.training.data import Example, read_examples
from sciqag_lib.training.encoding import TOO_LONG, Encoded, ExampleEncoder, find_endings

BATCH = 64  # examples tokenized by one call of a thread,
BATCH_CHARACTERS = 250_000  # or fewer, where they are longer: memory stays small
SAMPLED = 1000  # examples looked at to find the queries after the papers
LISTED = 20  # bad records that are shown; all are counted
Item = Example | BadRecord
TOKENS = pyarrow.list_(pyarrow.int32())
SCHEMA = pyarrow.schema(
    {
        "input_ids": TOKENS,
        "labels": TOKENS,
        "answer_tokens": pyarrow.int32(),
        "cut_tokens": pyarrow.int32(),
        "fault": pyarrow.string(),
    }
)


@dataclass(frozen=True)
class TokenizedFile:
    examples: Any  # datasets.Dataset; item i is {"input_ids", "labels"}, int64 arrays, labels -100 on the prompt
    lengths: np.ndarray  # tokens of each example
    fingerprint: str  # of the tokens
    answer_tokens: int
    cut: int  # examples with a shortened prompt
    cut_tokens: int
    left_out: list[str]  # too long even without their paper
    bad_records: list[str]

    def describe(self) -> list[str]:
        """Counts of kept, truncated and dropped examples."""
        return [
            f"examples: {len(self.lengths):,}, {self.lengths.sum():,} tokens, {self.answer_tokens:,} of them learned, "
            f"the longest has {self.lengths.max():,}",
            f"truncated: the papers of {self.cut:,} examples, by {self.cut_tokens:,} tokens; dropped: "
            f"{len(self.left_out):,} examples too long even without their paper, {len(self.bad_records):,} bad records",
            *(f"bad record: {line}" for line in self.bad_records[:LISTED]),
        ]


def tokenize_file(
    data_path: str | Path,
    cache_dir: str | Path,
    encoder: ExampleEncoder,
    columns: tuple[str, str] = ("content", "summary"),
    num_workers: int | None = None,
) -> TokenizedFile:
    """The tokens of a training file, from the cache if it has them.

    `columns`: the keys of a question and its answer in a record of those two. Any number of processes may call this at
    once: one tokenizes, on `num_workers` threads (None: one per core).
    InputError: the file cannot be read, or none of its examples can be used.
    """
    path = Path(cache_dir) / f"{_name_cache(Path(data_path), encoder, columns)}.arrow"
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{path}.lock"):
        if not path.exists():
            for left_behind in path.parent.glob(f".{path.name}.*"):  # by a killed process: the lock is ours
                left_behind.unlink()
            _write_rows(path, str(data_path), encoder, columns, num_workers or count_threads())
    return _open_rows(path, data_path, encoder.max_length)


def _write_rows(path: Path, data_path: str, encoder: ExampleEncoder, columns: tuple[str, str], workers: int) -> None:
    sample = islice(read_examples(data_path, *columns), SAMPLED)
    encoder.endings = find_endings(plain_text(item.input) for item in sample if isinstance(item, Example))
    items = tqdm(read_examples(data_path, *columns), desc="tokenizing", unit=" examples")
    try:
        with write_atomic(path, binary=True) as file, pyarrow.ipc.new_stream(file, SCHEMA) as writer:
            for batch in _encode_chunks(_split_chunks(items), data_path, encoder, workers):
                writer.write_batch(batch)
    except OSError as error:
        raise InputError(
            f"{path.parent}: the tokens could not be written ({error.strerror}); free some space or give "
            "another cache_dir"
        ) from error


def _open_rows(path: Path, data_path: str | Path, max_length: int) -> TokenizedFile:
    import datasets

    try:
        rows = datasets.Dataset.from_file(str(path))
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise InputError(
            f"{path}: expected a token cache, found a broken one ({error}); delete it and rerun"
        ) from error
    lengths = pyarrow.compute.list_value_length(rows.data.column("input_ids")).to_numpy()
    kept = np.flatnonzero(lengths)
    answer_tokens, cut_tokens = (rows.data.column(key).to_numpy() for key in ("answer_tokens", "cut_tokens"))
    faults = [fault for fault in rows.data.column("fault").to_pylist() if fault]
    left_out = [fault for fault in faults if fault.endswith(TOO_LONG)]
    bad = [fault for fault in faults if not fault.endswith(TOO_LONG)]
    if not len(kept):
        first = [*bad, f"{len(left_out):,} are {TOO_LONG}, {max_length:,} tokens"][0]
        raise InputError(f"{data_path}: expected examples to train on, found none that can be used; {first}")
    return TokenizedFile(
        examples=rows.select(kept).select_columns(["input_ids", "labels"]).with_format("numpy"),
        lengths=lengths[kept],
        fingerprint=path.stem,
        answer_tokens=int(answer_tokens.sum()),
        cut=int(np.count_nonzero(cut_tokens)),
        cut_tokens=int(cut_tokens.sum()),
        left_out=left_out,
        bad_records=bad,
    )


def _name_cache(path: Path, encoder: ExampleEncoder, columns: tuple[str, str]) -> str:
    settings = json.dumps([encoder.fingerprint(), columns], sort_keys=True, ensure_ascii=False)
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the path of a training file") from error
    return hashlib.sha256(content + settings.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _encode_chunks(
    chunks: Iterable[list[Item]], data_path: str, encoder: ExampleEncoder, num_workers: int
) -> Iterator[pyarrow.RecordBatch]:
    """The rows of each chunk, in order; at most two chunks per thread are in memory."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the library's own threads wait for each other after each call
    waiting: deque[Future] = deque()
    with ThreadPoolExecutor(num_workers, "tokenizing") as pool:
        for chunk in chunks:
            waiting.append(pool.submit(_encode_chunk, chunk, data_path, encoder))
            if len(waiting) == 2 * num_workers:
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()


def _encode_chunk(chunk: list[Item], data_path: str, encoder: ExampleEncoder) -> pyarrow.RecordBatch:
    encoded = iter(encoder.encode([item for item in chunk if isinstance(item, Example)]))
    rows = []
    for item in chunk:
        is_bad = isinstance(item, BadRecord)
        one = Encoded([], 0, fault=str(item)) if is_bad else next(encoded)
        ids = np.array(one.ids, np.int32)
        labels = ids.copy()
        labels[: one.prompt_length] = -100
        fault = one.fault if is_bad or not one.fault else str(BadRecord(data_path, item.where, "", one.fault))
        rows.append(dict(zip(SCHEMA.names, (ids, labels, len(ids) - one.prompt_length, one.cut_tokens, fault))))
    return pyarrow.RecordBatch.from_pylist(rows, SCHEMA)


def _split_chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    chunk, characters = [], 0
    for item in items:
        chunk.append(item)
        if isinstance(item, Example):
            characters += len(item.input) + len(item.output) + sum(len(text) for turn in item.history for text in turn)
        if len(chunk) == BATCH or characters >= BATCH_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
