"""The texts of a set that a model learns from: each once, at most so many bytes, in an order of their own.

Everything follows from hashes of folded text: which texts are taken where a set is too large, which are held back, and
their order. So neither the order nor the names of the files matter, and a text that is added moves no other to the
other side. Memory: about three times `most_bytes`, whatever the size of the set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.kernels.column import buffers
from pipeline.kernels.text_hash import hash_folded
from pipeline.text.language import canonical
from pipeline.text.unicode import tables
from training.annotation.text_sets import TextReader

Hashes = NDArray[np.uint64]
COLUMNS = ("text", "language", "key", "side", "exact")


@dataclass(frozen=True)
class Examples:
    """Different texts in the order of their keys. `key`, `side`: independent hashes of the folded text; `records`: the
    texts of the set that were read, `duplicates` those of them that another equals."""

    text: pa.LargeStringArray
    language: pa.StringArray
    key: Hashes
    side: Hashes
    records: int
    duplicates: int

    def __len__(self) -> int:
        return len(self.key)

    @property
    def text_bytes(self) -> int:
        _, offsets = buffers(self.text)
        return int(offsets[-1] - offsets[0])

    def where(self, mask: NDArray[np.bool_]) -> Examples:
        """Some of the texts."""
        rows = pa.array(mask)
        return Examples(
            self.text.filter(rows), self.language.filter(rows), self.key[mask], self.side[mask],
            self.records, self.duplicates,
        )  # fmt: skip

    def is_held_back(self, share: float) -> NDArray[np.bool_]:
        """Which texts measure a model and do not train it: those whose hash lies in the first part of all hashes."""
        return self.side < np.uint64(int(share * 2**64))


def read_examples(reader: TextReader, most_bytes: int) -> Examples:
    """The different texts of a set. If they have more than `most_bytes`, those with the smallest keys.

    Raises: UserError when the set has no text.
    """
    pieces: list[pa.Table] = []
    records = duplicates = size = 0
    for batch in reader.batches():
        pieces.append(_with_hashes(batch))
        records += batch.num_rows
        size += pieces[-1].nbytes
        if size > 2 * most_bytes:
            kept, repeated = _smallest(pieces, most_bytes)
            pieces, duplicates, size = [kept], duplicates + repeated, kept.nbytes
    kept, repeated = _smallest(pieces, most_bytes)
    columns = {name: kept[name].combine_chunks() for name in COLUMNS}
    return Examples(
        columns["text"], columns["language"], columns["key"].to_numpy(), columns["side"].to_numpy(),
        records, duplicates + repeated,
    )  # fmt: skip


def tags_of(table: pa.Table) -> NDArray[np.object_]:
    """The canonical tag of the language of each text, empty where it is not known."""
    languages = table["language"].to_pylist()
    canonical_tags = {language: canonical(language) or "" for language in set(languages)}
    return np.array([canonical_tags[language] for language in languages], object)


def _with_hashes(batch: pa.Table) -> pa.Table:
    data, offsets = buffers(batch["text"])
    hashes = np.empty((batch.num_rows, 3), np.uint64)
    hash_folded(data, offsets, tables(), hashes)
    return pa.table([batch["text"], batch["language"], *(pa.array(hashes[:, n].copy()) for n in range(3))], COLUMNS)


def _smallest(pieces: list[pa.Table], most_bytes: int) -> tuple[pa.Table, int]:
    """The texts with the smallest keys, at most `most_bytes` but at least one; and the number of repeated ones."""
    table = pa.concat_tables(pieces).combine_chunks()
    key, side, exact = (table[name].to_numpy() for name in COLUMNS[2:])
    order = np.lexsort((exact, side, key))
    key, side = key[order], side[order]
    is_first = np.ones(len(order), bool)
    is_first[1:] = (key[1:] != key[:-1]) | (side[1:] != side[:-1])
    order = order[is_first]
    sizes = np.cumsum(pc.binary_length(table["text"]).to_numpy()[order])
    number = max(1, int(np.searchsorted(sizes, most_bytes, side="right")))
    return table.take(pa.array(order[:number])), int(len(is_first) - is_first.sum())
