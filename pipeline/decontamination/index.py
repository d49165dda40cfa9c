"""The index of n-grams of evaluation items: built once by the driver, memory-mapped and shared by all workers.

Each key is the hash of an n-gram, with the first item that has it, in the order of the files. 12 bytes an n-gram, and a
bitmap of four to eight. It depends on the items and on the lengths of n-grams alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.core.arrays import Array, load_array, save_arrays
from pipeline.core.draft import Draft
from pipeline.core.files import JsonObject, read_json, write_json
from pipeline.decontamination.items import Item
from pipeline.kernels import units
from pipeline.kernels.column import buffers
from pipeline.kernels.contamination import GramIndex, Hits, Sizes, gram_keys, scan, set_bits
from pipeline.text.unicode import tables

FOLDER, NAME, ITEMS = "index", "index/ngrams", "index/items.json"
ARRAYS = ("keys", "prefixes", "key_bits", "present")
BATCH_ITEMS = 2000
BITS_PER_GRAM = 32
MOST_BITS = 1 << 29  # a bitmap of 64 MiB
MOST_PREFIX = 8  # units


@dataclass(frozen=True)
class ItemIndex:
    """The index as workers use it. `items[i]`: task and id; `item[k]`: the item of key k."""

    grams: GramIndex
    item: NDArray[np.int32]
    items: list[tuple[str, str]]

    def scan(self, text: pa.LargeStringArray) -> Hits:
        """Every n-gram of a column of documents that an item has."""
        data, offsets = buffers(text)
        most = units.max_units(int(offsets[-1] - offsets[0])) + len(offsets)
        scratch = units.scratch(int(np.diff(offsets).max(initial=0)))
        hits = Hits(*(np.empty(most, np.int64) for _ in range(4)))
        number = scan(data, offsets, tables(), scratch, self.grams, hits)
        return Hits(*(array[:number].copy() for array in hits))


def build(items: Iterable[Item], sizes: Sizes, folder: Path) -> JsonObject:
    """Write the index below `folder`. Returns, by task, the numbers of items, of n-grams and of items too short."""
    names: list[tuple[str, str]] = []
    prefix_size = min(sizes.min_words, sizes.min_characters, sizes.words, sizes.characters, MOST_PREFIX)
    keys, prefixes, owners, gram_sizes = [], [], [], []
    for batch in _batches(iter(items)):
        texts, text_items = _texts_of(batch, len(names), sizes)
        names += [(item.task, item.id) for item in batch]
        key, prefix, origin = _grams(texts, sizes, prefix_size)
        keys.append(key)
        prefixes.append(prefix)
        owners.append(np.array(text_items, np.int32)[origin[:, 0]])
        gram_sizes.append(origin[:, 1])
    all_keys, all_owners = np.concatenate(keys), np.concatenate(owners)
    # a stable sort: of several items with one n-gram the first stays
    unique, first = np.unique(all_keys, return_index=True)
    present = np.zeros(max(prefix_size, int(np.concatenate(gram_sizes).max(initial=0))) + 1, np.uint8)
    present[np.unique(np.concatenate(gram_sizes))] = 1
    bits = 1 << max(10, min(int(len(unique) * BITS_PER_GRAM).bit_length(), MOST_BITS.bit_length() - 1))
    first_bits, key_bits = np.zeros(bits // 8, np.uint8), np.zeros(bits // 8, np.uint8)
    set_bits(np.unique(np.concatenate(prefixes)), first_bits)
    set_bits(unique, key_bits)
    arrays: dict[str, Array] = {"keys": unique, "item": all_owners[first], "prefixes": first_bits, "key_bits": key_bits}
    save_arrays(folder / FOLDER, "ngrams", **arrays, present=present)
    write_json(folder / ITEMS, {"names": names, "prefix": prefix_size})
    return _totals(names, all_owners, all_owners[first])


def load(draft: Draft) -> ItemIndex:
    """The index of a draft."""
    keys, prefixes, key_bits, present = (load_array(draft, NAME, part) for part in ARRAYS)
    listed = read_json(draft.file(ITEMS))
    names = [(task, name) for task, name in listed["names"]]
    return ItemIndex(
        GramIndex(keys, prefixes, key_bits, present, listed["prefix"]), load_array(draft, NAME, "item"), names
    )


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    while batch := list(islice(items, BATCH_ITEMS)):
        yield batch


def _texts_of(items: list[Item], first: int, sizes: Sizes) -> tuple[list[str], list[int]]:
    """The texts that are looked for, with the index of the item of each: every text of an item, and all of them
    together where none is long enough for an n-gram."""
    texts: list[str] = []
    owners: list[int] = []
    for index, item in enumerate(items, first):
        shorter = all(len(text) < sizes.min_characters for text in item.texts)
        for text in [*item.texts, " ".join(item.texts)] if shorter and len(item.texts) > 1 else item.texts:
            texts.append(text)
            owners.append(index)
    return texts, owners


def _grams(
    texts: list[str], sizes: Sizes, prefix: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    data, offsets = buffers(pa.array([text.encode("utf-8", "replace").decode() for text in texts], pa.large_string()))
    most = units.max_units(int(offsets[-1] - offsets[0])) + len(texts)
    out = (np.empty(most, np.uint64), np.empty(most, np.uint64), np.empty((most, 2), np.int64))
    scratch = units.scratch(int(np.diff(offsets).max(initial=0)))
    number = gram_keys(data, offsets, tables(), scratch, sizes, prefix, out)
    return out[0][:number].copy(), out[1][:number].copy(), out[2][:number].copy()


def _totals(names: list[tuple[str, str]], owners: NDArray[np.int32], unique: NDArray[np.int32]) -> JsonObject:
    with_grams = set(np.unique(owners).tolist())
    grams = np.bincount(unique, minlength=len(names)).tolist()
    totals: JsonObject = {}
    for index, (task, _) in enumerate(names):
        row = totals.setdefault(task, {"items": 0, "ngrams": 0, "too_short": 0})
        row["items"] += 1
        row["ngrams"] += grams[index]
        row["too_short"] += index not in with_grams
    return totals
