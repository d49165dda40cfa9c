"""The cells of a co-occurrence table as training reads them: a grid of blocks on disk, each in parts of random cells.

Words are dealt into groups of about as many cells; block (a, b) holds the cells of words of group a in contexts of
group b. Blocks that share neither group share no row of a table, so they can be trained side by side and end in the
same bits as one after the other (Gemulla et al. 2011, distributed stochastic gradient descent).

A host lays the cells down once, in a scratch file of 16 bytes a cell named by what it holds; it may vanish between
runs. Memory: a row group of the table, and some numbers a word. About 100 ns a cell.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json, replacing, write_json
from pipeline.core.shards import batches
from training import keyed_rng
from training.vectors.compiler import kernel
from training.vectors.glove_descent import CELL, Cells

Longs = NDArray[np.int64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Shape:
    """How a table is cut, and what a cell weighs: `parts` of each block, `blocks` × `blocks` of them."""

    blocks: int
    parts: int
    x_max: float
    alpha: float

    @property
    def name(self) -> str:
        return f"{self.blocks}-{self.parts}-{self.x_max:g}-{self.alpha:g}"


@dataclass(frozen=True)
class Grid:
    """`tokens[row]`: whose row it is. `bounds`: where each group's rows begin. `edges`: where each part's cells do."""

    cells: Cells
    tokens: Longs
    bounds: Longs
    edges: Longs
    shape: Shape

    def number(self, word_group: int, context_group: int, part: int) -> int:
        """A part of a block, counted through."""
        return (word_group * self.shape.blocks + context_group) * self.shape.parts + part

    def groups(self, number: int) -> tuple[int, int]:
        """Whose words and whose contexts a part holds."""
        word_group, context_group = divmod(number // self.shape.parts, self.shape.blocks)
        return word_group, context_group

    def part(self, number: int) -> Cells:
        """Its cells, in the order of the table."""
        found: Cells = self.cells[self.edges[number] : self.edges[number + 1]]
        return found


def open_cells(files: Sequence[Path], shape: Shape, *, vocabulary: int, name: str, scratch: Path) -> Grid:
    """The cells of these files; `name` says whose they are (the digest of the table).

    Raises: StageFailed when the disk has no room for them.
    """
    folder = scratch / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}-{shape.name}"
    described = target.with_name(f"{target.name}.json")
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not described.exists():
            try:
                _lay_down(files, shape, vocabulary, target)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                raise StageFailed(f"{folder}: too little disk to lay down the cells. Free some space.") from error
    cells = np.memmap(_path(target, "cells"), CELL, "r", shape=(read_json(described)["cells"],))
    tokens, bounds, edges = (np.load(_path(target, part)) for part in ("tokens.npy", "bounds.npy", "edges.npy"))
    return Grid(cells, tokens, bounds, edges, shape)


def _lay_down(files: Sequence[Path], shape: Shape, vocabulary: int, target: Path) -> None:
    """Three passes over the table: how many cells a word has, how many a part has, then each cell into its part."""
    occurs = np.zeros(vocabulary, np.int64)
    for words, contexts, _ in _scan(files):
        occurs += np.bincount(words, minlength=vocabulary) + np.bincount(contexts, minlength=vocabulary)
    tokens, bounds = groups(occurs, shape.blocks)
    rows = np.full(vocabulary, -1, np.int32)
    rows[tokens] = np.arange(len(tokens), dtype=np.int32)
    group = np.searchsorted(bounds, np.arange(len(tokens)), side="right") - 1

    def numbered() -> Iterator[tuple[Longs, NDArray[Any], NDArray[Any], NDArray[Any]]]:
        first = 0
        for words, contexts, counts in _scan(files):
            here, there = rows[words], rows[contexts]
            # which part: by the number of the cell, for every run alike
            drawn = keyed_rng.mixed(np.arange(first, first + len(words), dtype=np.uint64) * _GOLDEN)
            part = (drawn % np.uint64(shape.parts)).astype(np.int64)
            yield (group[here] * shape.blocks + group[there]) * shape.parts + part, here, there, counts
            first += len(words)

    sizes = np.zeros(shape.blocks**2 * shape.parts, np.int64)
    for numbers, *_ in numbered():
        sizes += np.bincount(numbers, minlength=len(sizes))
    edges = np.concatenate([[0], np.cumsum(sizes)])
    with replacing(_path(target, "cells")) as beside:
        cells, ends = _room(beside, int(edges[-1])), edges[:-1].copy()
        for numbers, here, there, counts in numbered():
            weights = np.minimum(1.0, (counts / shape.x_max) ** shape.alpha)
            place(numbers, ends, here, there, np.log(counts), weights, cells)
        cells.flush()
    for part, array in (("tokens.npy", tokens), ("bounds.npy", bounds), ("edges.npy", edges)):
        with replacing(_path(target, part)) as beside, beside.open("wb") as stream:
            np.save(stream, array)
    # last: its being there says that the others are whole
    write_json(target.with_name(f"{target.name}.json"), {"cells": int(edges[-1])})


def groups(occurs: Longs, blocks: int) -> tuple[Longs, Longs]:
    """Tokens that occur, group after group, and where each group begins: dealt out to and fro by falling number."""
    order = np.argsort(-occurs, kind="stable")
    order = order[occurs[order] > 0]
    turn, place_ = np.divmod(np.arange(len(order)), blocks)
    group = np.where(turn % 2, blocks - 1 - place_, place_)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=blocks))])
    return order[np.argsort(group, kind="stable")], bounds


@kernel
def place(
    numbers: Longs, ends: Longs, words: Any, contexts: Any, logs: Any, weights: Any, cells: Cells
) -> None:  # fmt: skip
    """Append each cell to its part."""
    for at in range(len(numbers)):
        number = numbers[at]
        cell = cells[ends[number]]
        cell.word, cell.context = words[at], contexts[at]
        cell.log, cell.weight = logs[at], weights[at]
        ends[number] += 1


def _scan(files: Sequence[Path]) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    for path in files:
        for table in batches(path):
            words, contexts, counts = (table[name].to_numpy() for name in ("word", "context", "count"))
            yield words, contexts, counts


def _room(path: Path, cells: int) -> Any:
    """A writable array in a new file whose blocks are there: a full disk is an error now, not a bus error later."""
    with path.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, CELL.itemsize * cells)
    return np.memmap(path, CELL, "r+", shape=(cells,))


def _path(target: Path, part: str) -> Path:
    return target.with_name(f"{target.name}.{part}")
