"""Several examples in one row: no padding, and no attention from one to another.

Each example's position_ids restart at 0. Without an attention_mask and without a key-value cache, transformers (sdpa,
eager, flex and flash attention) takes every restart for a new sequence and masks accordingly; with either of them it
would let the examples see each other without a word, so the batches say use_cache=False themselves.

    packs = pack_examples(dataset.lengths, 12288, seed=0)
    Trainer(..., train_dataset=PackedDataset(dataset, packs), data_collator=collate_packed)
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from sciqag_lib.errors import InputError

WINDOW = 8192  # examples packed together: a good fit is found among fewer, and time stays linear in their number
Item = dict[str, np.ndarray]


def pack_examples(lengths: Sequence[int], max_length: int, seed: int) -> list[list[int]]:
    """The numbers of the examples in each row of at most `max_length` tokens; each example is in exactly one.

    The examples are shuffled and every WINDOW of them packed by best fit, the longest first (Johnson 1973: at most
    11/9 of the fewest possible rows); then the rows are shuffled. InputError: an example is longer than a row.
    """
    lengths = np.asarray(lengths)
    if len(lengths) and lengths.max() > max_length:
        longest = int(lengths.argmax())
        raise InputError(
            f"example {longest}: expected at most {max_length:,} tokens to pack, "
            f"found {lengths[longest]:,}; tokenize with the same model_max_length"
        )
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(lengths))
    packs: list[list[int]] = []
    for start in range(0, len(order), WINDOW):
        packs += _pack_window(order[start : start + WINDOW], lengths, max_length)
    return [packs[number] for number in generator.permutation(len(packs))]


def _pack_window(numbers: np.ndarray, lengths: np.ndarray, max_length: int) -> list[list[int]]:
    packs: list[list[int]] = []
    free: list[tuple[int, int]] = []  # tokens left in a pack and its number, sorted
    for number in numbers[np.argsort(-lengths[numbers], kind="stable")].tolist():
        length = int(lengths[number])
        at = bisect_left(free, (length, -1))  # the fullest pack that still has room
        if at < len(free):
            room, pack = free.pop(at)
            packs[pack].append(number)
        else:
            room, pack = max_length, len(packs)
            packs.append([number])
        if room > length:
            left = (room - length, pack)
            free.insert(bisect_left(free, left), left)
    return packs


class PackedDataset:
    """The packs of a dataset; item i is the list of the examples in pack i, for collate_packed."""

    def __init__(self, dataset: Any, packs: list[list[int]]) -> None:
        self.dataset = dataset
        # Lists of lists would take 60 bytes an example in every process.
        self._numbers = np.fromiter(chain.from_iterable(packs), np.int32)
        self._starts = np.cumsum([0, *map(len, packs)])

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: int) -> list[Item]:
        index = range(len(self))[index]
        return [
            self.dataset[number] for number in self._numbers[self._starts[index] : self._starts[index + 1]].tolist()
        ]


def collate_packed(batch: list[list[Item]]) -> dict[str, Any]:
    """One row of all examples of a batch of packs: input_ids, labels, position_ids, int64 tensors of shape (1, tokens).

    An example's first label is -100: its first token is not what the example before it should continue with.
    """
    from transformers import DataCollatorWithFlattening

    return {**DataCollatorWithFlattening()([item for pack in batch for item in pack]), "use_cache": False}


def collate_padded(batch: list[Item], pad_token_id: int) -> dict[str, Any]:
    """Examples unpacked, one per row, padded on the right to the longest: input_ids, labels (-100 on padding) and
    attention_mask, int64 tensors of shape (examples, tokens)."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    ids, labels = ([torch.from_numpy(item[name]) for item in batch] for name in ("input_ids", "labels"))
    return {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=pad_token_id),
        "labels": pad_sequence(labels, batch_first=True, padding_value=-100),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], batch_first=True),
    }
