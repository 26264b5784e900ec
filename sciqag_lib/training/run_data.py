"""The data of a training run: found or downloaded, tokenized, and packed or not."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from sciqag_lib.errors import InputError
from sciqag_lib.inference.prompts import load_prompt
from sciqag_lib.paths import resolve_path, write_atomic
from sciqag_lib.training.arguments import RunArguments
from sciqag_lib.training.encoding import ExampleEncoder
from sciqag_lib.training.packing import PackedDataset, collate_packed, collate_padded, pack_examples
from sciqag_lib.training.tokenized import TokenizedFile, tokenize_file

MIN_GAIN = 1.25  # examples per row from which packing=None packs


@dataclass(frozen=True)
class RunData:
    train: Any  # a dataset for the Trainer, of examples or of packs
    collator: Callable[[list[Any]], dict[str, Any]]
    tokens: TokenizedFile  # of `train`
    packed: bool
    row_tokens: int  # of the longest row of a batch
    validation: Any | None = None
    validation_tokens: TokenizedFile | None = None

    def describe(self) -> list[str]:
        lines = self.tokens.describe()
        if self.packed:
            filled = self.tokens.lengths.sum() / (len(self.train) * self.row_tokens)
            lines.append(
                f"packing: {len(self.tokens.lengths):,} examples in {len(self.train):,} rows of at most "
                f"{self.row_tokens:,} tokens, {filled:.1%} of them filled, none padded"
            )
        else:
            lines.append("packing: none, one example a row")
        if self.validation_tokens:
            lines.append(f"validation {self.validation_tokens.describe()[0]}")
        return lines


def load_data(run: RunArguments, tokenizer: Any, max_length: int, seed: int, cache_dir: Path) -> RunData:
    """Tokenize, once for all processes, what `run` names. InputError: it cannot be read, or has no usable example."""
    system = load_prompt("whole_paper").texts["system"]  # what inference says to the model
    encoder = ExampleEncoder(tokenizer, max_length, run.prompt_form, system)
    columns = (run.prompt_column or "content", run.response_column or "summary")

    def tokenize(path: Path) -> TokenizedFile:
        return tokenize_file(path, cache_dir / "tokens", encoder, columns, run.preprocessing_num_workers)

    train = tokenize(find_data(run.data_path) if run.data_path else download_data(run, cache_dir / "datasets"))
    validation = tokenize(find_data(run.eval_data_path)) if run.eval_data_path else None
    packed = choose_packing(train.lengths, max_length) if run.packing is None else run.packing
    examples, held_out = train.examples, validation and validation.examples
    if packed:
        examples = PackedDataset(examples, pack_examples(train.lengths, max_length, seed))
        held_out = validation and PackedDataset(held_out, [[index] for index in range(len(held_out))])
    return RunData(
        train=examples,
        collator=collate_packed if packed else partial(collate_padded, pad_token_id=tokenizer.pad_token_id),
        tokens=train,
        packed=packed,
        row_tokens=max_length if packed else int(train.lengths.max()),
        validation=held_out,
        validation_tokens=validation,
    )


def find_data(path: str) -> Path:
    """Below the repository, or SCIQAG_RUNS, as every path of a params file; where it is not there, as written."""
    resolved = resolve_path(path)
    return resolved if resolved.exists() else Path(path).expanduser()


def choose_packing(lengths: np.ndarray, max_length: int) -> bool:
    """Whether packing puts enough examples into a row to be worth the other number of examples a step."""
    return len(lengths) >= MIN_GAIN * len(pack_examples(lengths, max_length, seed=0))


def download_data(run: RunArguments, folder: Path) -> Path:
    """A dataset of the hub, or a folder of one, as JSON Lines; one process downloads, the others wait."""
    import datasets

    name = "".join(letter if letter.isalnum() else "_" for letter in str(run.dataset_name))
    path = folder / f"{name}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{path}.lock"):
        if not path.exists():
            try:
                dataset = datasets.load_dataset(run.dataset_name, split="train", cache_dir=run.cache_dir)
            except Exception as error:
                raise InputError(
                    f"dataset_name: expected a dataset of the hub that can be reached, with a split "
                    f"train, found {run.dataset_name!r}: {type(error).__name__}: {error}"
                ) from error
            with write_atomic(path, binary=True) as file:
                dataset.to_json(file, lines=True, force_ascii=False)
    return path
