"""The cells of a co-occurrence table as training reads them: a grid of blocks on disk, each in parts of random cells.

Words are distributed over groups of about as many cells each; block (a, b) holds the cells of words of group a in
contexts of group b. Blocks that share neither group share no row of a table, so they can be trained side by side
and end in the same bits as one after the other (Gemulla et al. 2011, distributed stochastic gradient descent).

A host writes the cells once, into a scratch file of 16 bytes a cell that is named by its content. The file may be
deleted between runs. Memory: a row group of the table, and some numbers a word. About 100 ns a cell.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json, replacing, write_json
from pipeline.core.shards import batches
from training import keyed_rng
from training.vectors.compiler import kernel
from training.vectors.glove_descent import CELL, Cells

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Doubles = NDArray[np.float64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class CellBatch(NamedTuple):
    """Cells of the table by column: who occurs with whom, and how often."""

    words: Ints
    contexts: Ints
    counts: Doubles


@dataclass(frozen=True)
class GridLayout:
    """How a table is cut into `blocks` × `blocks` blocks of `parts` each, and the constants of a cell's weight."""

    blocks: int
    parts: int
    x_max: float
    alpha: float

    @property
    def name(self) -> str:
        return f"{self.blocks}-{self.parts}-{self.x_max:g}-{self.alpha:g}"


@dataclass(frozen=True)
class Grid:
    """`tokens[row]`: the token of a row. `bounds`: where each group's rows begin. `edges`: where each part begins."""

    cells: Cells
    tokens: Longs
    bounds: Longs
    edges: Longs
    layout: GridLayout

    def number(self, word_group: int, context_group: int, part: int) -> int:
        """The number of a part, counted over all blocks."""
        return (word_group * self.layout.blocks + context_group) * self.layout.parts + part

    def groups(self, number: int) -> tuple[int, int]:
        """The groups of a part's words and of its contexts."""
        word_group, context_group = divmod(number // self.layout.parts, self.layout.blocks)
        return word_group, context_group

    def part(self, number: int) -> Cells:
        """The cells of a part, in the order of the table."""
        cells: Cells = self.cells[self.edges[number] : self.edges[number + 1]]
        return cells


def open_cells(files: Sequence[Path], layout: GridLayout, *, vocabulary: int, name: str, scratch: Path) -> Grid:
    """The cells of these files; `name` identifies the table (its digest).

    Raises: StageFailed when the disk has no room for them.
    """
    folder = scratch / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}-{layout.name}"
    description = target.with_name(f"{target.name}.json")
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not description.exists():
            try:
                _write_cells(files, layout, vocabulary, target)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                raise StageFailed(f"{folder}: too little disk space for the cells of the table. Free some.") from error
    cells = np.memmap(_path(target, "cells"), CELL, "r", shape=(read_json(description)["cells"],))
    tokens, bounds, edges = (np.load(_path(target, part)) for part in ("tokens.npy", "bounds.npy", "edges.npy"))
    return Grid(cells, tokens, bounds, edges, layout)


def _write_cells(files: Sequence[Path], layout: GridLayout, vocabulary: int, target: Path) -> None:
    """Three passes over the table: count the cells of each word, count those of each part, write each into its part."""
    occurs = np.zeros(vocabulary, np.int64)
    for words, contexts, _ in _scan(files):
        occurs += np.bincount(words, minlength=vocabulary) + np.bincount(contexts, minlength=vocabulary)
    tokens, bounds = groups(occurs, layout.blocks)
    rows = np.full(vocabulary, -1, np.int32)
    rows[tokens] = np.arange(len(tokens), dtype=np.int32)
    group = np.searchsorted(bounds, np.arange(len(tokens)), side="right") - 1

    def numbered() -> Iterator[tuple[Longs, CellBatch]]:
        """Each batch with the numbers of its cells' parts; words and contexts as rows of the tables."""
        first = 0
        for words, contexts, counts in _scan(files):
            word_rows, context_rows = rows[words], rows[contexts]
            # the part follows from the number of the cell: the same in every run
            draws = keyed_rng.mixed(np.arange(first, first + len(words), dtype=np.uint64) * _GOLDEN)
            part = (draws % np.uint64(layout.parts)).astype(np.int64)
            block = group[word_rows] * layout.blocks + group[context_rows]
            yield block * layout.parts + part, CellBatch(word_rows, context_rows, counts)
            first += len(words)

    sizes = np.zeros(layout.blocks**2 * layout.parts, np.int64)
    for numbers, _ in numbered():
        sizes += np.bincount(numbers, minlength=len(sizes))
    edges = np.concatenate([[0], np.cumsum(sizes)])
    with replacing(_path(target, "cells")) as beside:
        cells, ends = _preallocated(beside, int(edges[-1])), edges[:-1].copy()
        for numbers, batch in numbered():
            weights = np.minimum(1.0, (batch.counts / layout.x_max) ** layout.alpha)
            append_cells(numbers, ends, batch.words, batch.contexts, np.log(batch.counts), weights, cells)
        cells.flush()
    for part, array in (("tokens.npy", tokens), ("bounds.npy", bounds), ("edges.npy", edges)):
        with replacing(_path(target, part)) as beside, beside.open("wb") as stream:
            np.save(stream, array)
    # written last: its presence means that the other files are complete
    write_json(target.with_name(f"{target.name}.json"), {"cells": int(edges[-1])})


def groups(occurs: Longs, blocks: int) -> tuple[Longs, Longs]:
    """Tokens that occur, group after group, and where each group begins; distributed in zigzag by falling frequency."""
    order = np.argsort(-occurs, kind="stable")
    order = order[occurs[order] > 0]
    turn, offset = np.divmod(np.arange(len(order)), blocks)
    group = np.where(turn % 2, blocks - 1 - offset, offset)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=blocks))])
    return order[np.argsort(group, kind="stable")], bounds


@kernel
def append_cells(
    numbers: Longs, ends: Longs, words: Ints, contexts: Ints, logs: Doubles, weights: Doubles, cells: Cells
) -> None:
    """Append each cell to its part."""
    for at in range(len(numbers)):
        number = numbers[at]
        cell = cells[ends[number]]
        cell.word, cell.context = words[at], contexts[at]
        cell.log, cell.weight = logs[at], weights[at]
        ends[number] += 1


def _scan(files: Sequence[Path]) -> Iterator[CellBatch]:
    for path in files:
        for table in batches(path):
            yield CellBatch(*(table[name].to_numpy() for name in ("word", "context", "count")))


def _preallocated(path: Path, cells: int) -> np.memmap[tuple[int, ...], np.dtype[np.void]]:
    """A writable array in a new, fully allocated file: a full disk is an error now, not a bus error later."""
    with path.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, CELL.itemsize * cells)
    return np.memmap(path, CELL, "r+", shape=(cells,))


def _path(target: Path, part: str) -> Path:
    return target.with_name(f"{target.name}.{part}")
