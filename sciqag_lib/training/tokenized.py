"""A training file's tokens, made once, in a memory-mapped cache that all ranks of all runs share.

A cache is a folder named by a hash of all that decides its content (the file, the tokenizer, the prompt form, the
length, this code's version), written whole or not at all:

    <hash>/tokens.npy           int32, the tokens of all examples one after the other
    <hash>/offsets.npy          int64, where each example begins, and the end of the last
    <hash>/prompt_lengths.npy   int32, how many tokens of each are the prompt
    <hash>/report.json          {"examples": 425, "tokens": 4104821, "cut": 37, "left_out": 1, ...}
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import numpy as np
from tqdm import tqdm

from sciqag_lib.engines.common import count_threads
from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.inference.prompts import plain_text
from sciqag_lib.training.data import LISTED, Example, read_examples
from sciqag_lib.training.encoding import TOO_LONG, Encoded, ExampleEncoder, find_endings

BATCH = 64  # examples tokenised by one call of a thread,
BATCH_CHARACTERS = 250_000  # or fewer, where they are longer: what is being worked on stays small
Item = Example | BadRecord
SAMPLED = 1000  # examples looked at to find the queries that stand after the papers


@dataclass
class TokenReport:
    """What became of a file's examples; all counts are of tokens where they don't say otherwise."""

    examples: int = 0  # in the cache
    tokens: int = 0
    answer_tokens: int = 0  # of them, those that are learnt
    longest: int = 0
    cut: int = 0  # examples whose paper was shortened
    cut_tokens: int = 0
    left_out: int = 0  # examples that did not fit even without their paper
    bad: int = 0  # records that could not be used
    left_out_records: list[str] = field(default_factory=list)  # "record 17", the first of them
    bad_records: list[str] = field(default_factory=list)  # in words, the first of them

    def describe(self) -> list[str]:
        """Lines for a reader; the first says how much there is."""
        return [
            f"examples: {self.examples:,}, {self.tokens:,} tokens, {self.answer_tokens:,} of them learnt, "
            f"the longest has {self.longest:,}",
            f"cut: the papers of {self.cut:,} examples, by {self.cut_tokens:,} tokens; left out: {self.left_out:,} "
            f"examples too long even without their paper; not usable: {self.bad:,} records",
            *(f"not usable: {line}" for line in self.bad_records[:20]),
        ]


def tokenize_file(
    data_path: str | Path,
    cache_dir: str | Path,
    encoder: ExampleEncoder,
    prompt_column: str = "content",
    response_column: str = "summary",
    num_workers: int | None = None,
) -> "TokenizedDataset":
    """The tokens of a training file, from the cache where it holds them.

    Any number of processes may call this at once: one tokenises, the others wait for it. It does so on `num_workers`
    threads (None: one for each core); how many makes no difference to what is in the cache. InputError: the file
    cannot be read, or none of its examples can be used.
    """
    folder = Path(cache_dir) / _name_cache(Path(data_path), encoder, (prompt_column, response_column))
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{folder}.lock"):
            if not folder.exists():
                for left_behind in folder.parent.glob(f".{folder.name}.*"):  # by a killed process: the lock is ours
                    shutil.rmtree(left_behind)
                _write_cache(folder, data_path, encoder, (prompt_column, response_column), num_workers)
    return TokenizedDataset(folder)


def _name_cache(path: Path, encoder: ExampleEncoder, columns: tuple[str, str]) -> str:
    settings = json.dumps([encoder.fingerprint(), columns], sort_keys=True, ensure_ascii=False)
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the path of a training file") from error
    return hashlib.sha256(content + settings.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _write_cache(
    folder: Path, data_path: str | Path, encoder: ExampleEncoder, columns: tuple[str, str], num_workers: int | None
) -> None:
    sample = islice(read_examples(data_path, *columns), SAMPLED)
    encoder.endings = find_endings(plain_text(item.input) for item in sample if isinstance(item, Example))
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        report = _write_arrays(building, str(data_path), encoder, columns, num_workers or count_threads())
        if not report.examples:
            faults = [*report.bad_records, f"{report.left_out:,} are {TOO_LONG}, {encoder.max_length:,} tokens"]
            raise InputError(f"{data_path}: expected examples to train on, found none that can be used; {faults[0]}")
        text = json.dumps(asdict(report), ensure_ascii=False, indent=1)
        (building / "report.json").write_text(text, encoding="utf-8")
        building.chmod(0o755)  # mkdtemp makes it readable by its owner alone
        building.rename(folder)
    except OSError as error:
        raise InputError(
            f"{folder.parent}: the tokens could not be written ({error.strerror}); free some space or "
            "give another cache_dir"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _write_arrays(
    folder: Path, data_path: str, encoder: ExampleEncoder, columns: tuple[str, str], num_workers: int
) -> TokenReport:
    report, items = TokenReport(), read_examples(data_path, *columns)
    with (GrowingArray(folder / "tokens.npy", np.int32) as tokens,
          GrowingArray(folder / "offsets.npy", np.int64) as offsets,
          GrowingArray(folder / "prompt_lengths.npy", np.int32) as prompt_lengths,
          tqdm(desc="tokenising", unit=" examples") as progress,
          contextlib.closing(_encode_chunks(_split_chunks(items), encoder, num_workers)) as chunks):  # fmt: skip
        offsets.append([0])
        for chunk, encoded_examples in chunks:
            _note_bad(report, [item for item in chunk if isinstance(item, BadRecord)])
            examples = [item for item in chunk if isinstance(item, Example)]
            for example, encoded in zip(examples, encoded_examples, strict=True):
                _count(report, example, encoded)
                if encoded.fault and encoded.fault != TOO_LONG:
                    _note_bad(report, [BadRecord(data_path, example.where, "", encoded.fault)])
                if encoded.ids:
                    tokens.append(encoded.ids)
                    offsets.append([report.tokens])
                    prompt_lengths.append([encoded.prompt_length])
            progress.update(len(chunk))
    return report


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


def _encode_chunks(
    chunks: Iterable[list[Item]], encoder: ExampleEncoder, num_workers: int
) -> Iterator[tuple[list[Item], list[Encoded]]]:
    """Each chunk with what became of its examples, in their order; no more than two for each thread at a time.

    Threads, as the tokenizer's library holds no lock of Python's while it works: there is nothing to start, to send
    or to guard, also in a process that already has threads of torch's.
    """
    waiting: deque[tuple[list[Item], Future]] = deque()
    with _library_on_one_thread(), ThreadPoolExecutor(num_workers, "tokenising") as pool:
        for chunk in chunks:
            waiting.append((chunk, pool.submit(_encode_chunk, encoder, chunk)))
            if len(waiting) == 2 * num_workers:
                first, future = waiting.popleft()
                yield first, future.result()
        for chunk, future in waiting:
            yield chunk, future.result()


def _encode_chunk(encoder: ExampleEncoder, chunk: list[Item]) -> list[Encoded]:
    found = encoder.encode([item for item in chunk if isinstance(item, Example)])
    # An array is a ninth of a list of numbers in memory.
    return [replace(encoded, ids=array("i", encoded.ids)) for encoded in found]


def _note_bad(report: TokenReport, bad: list[BadRecord]) -> None:
    report.bad += len(bad)
    report.bad_records += map(str, bad[: max(0, LISTED - len(report.bad_records))])


def _count(report: TokenReport, example: Example, encoded: Encoded) -> None:
    if encoded.fault == TOO_LONG:
        report.left_out += 1
        if len(report.left_out_records) < LISTED:
            report.left_out_records.append(example.where)
    if encoded.fault:
        return
    report.examples += 1
    report.tokens += len(encoded.ids)
    report.answer_tokens += len(encoded.ids) - encoded.prompt_length
    report.longest = max(report.longest, len(encoded.ids))
    report.cut += encoded.cut_tokens > 0
    report.cut_tokens += encoded.cut_tokens


@contextlib.contextmanager
def _library_on_one_thread() -> Iterator[None]:
    """Every call of the tokenizer's library stays on the thread that makes it: its own threads wait for each other
    at the end of a call, and are as many as the machine has cores, whatever is asked for."""
    name = "TOKENIZERS_PARALLELISM"
    chosen_by_user = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if chosen_by_user is None:
            del os.environ[name]
        else:
            os.environ[name] = chosen_by_user


class GrowingArray:
    """A one-dimensional .npy file written piece by piece; its length is put into its header at the end."""

    def __init__(self, path: Path, dtype: type) -> None:
        self._file: BinaryIO = path.open("wb")
        self._dtype, self._length = np.dtype(dtype), 0
        self._write_header()
        self._start = self._file.tell()

    def append(self, values: Sequence[int]) -> None:
        self._file.write(np.asarray(values, self._dtype).tobytes())
        self._length += len(values)

    def _write_header(self) -> None:
        # numpy leaves room in it for a length of 20 digits.
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def __enter__(self) -> "GrowingArray":
        return self

    def __exit__(self, error_type: type | None, *_: Any) -> None:
        with self._file:
            if error_type is None:
                self._file.seek(0)
                self._write_header()
                if self._file.tell() != self._start:
                    raise RuntimeError(f"{self._file.name}: the header has another size than when the file was opened")
                self._file.flush()
                os.fsync(self._file.fileno())


class TokenizedDataset:
    """A cache folder as a dataset: item i is {"input_ids", "labels"}, int64 arrays of the example's length, labels -100
    on the prompt. Nothing but the open maps is in memory, also in the workers of a DataLoader."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self._tokens, self._offsets, self._prompt_lengths = (
                np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in ("tokens", "offsets", "prompt_lengths")
            )
            self.report = TokenReport(**json.loads((self.folder / "report.json").read_text(encoding="utf-8")))
            whole = self._offsets[-1] == len(self._tokens) and len(self) == self.report.examples > 0
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"{self.folder}: expected a whole token cache, found a broken one ({error}); delete it and run again"
            ) from error
        if not whole:
            raise InputError(
                f"{self.folder}: expected a whole token cache, found lengths that do not agree; delete it and run again"
            )

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each example."""
        return np.diff(self._offsets)

    def __len__(self) -> int:
        return len(self._prompt_lengths)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        index = range(len(self))[index]
        ids = self._tokens[self._offsets[index] : self._offsets[index + 1]].astype(np.int64)
        labels = ids.copy()
        labels[: self._prompt_lengths[index]] = -100
        return {"input_ids": ids, "labels": labels}

    def __reduce__(self) -> tuple:
        return TokenizedDataset, (self.folder,)  # pickled as it is, a map becomes a copy of the file
