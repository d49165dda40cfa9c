"""The base of the word vector families: tables of rows, and how one block of a step updates some of them.

A step is a batch, cut into blocks that all start from the same tables. For each block the loop asks the learner which
rows it will touch (`select_rows`), copies these out, lets the learner change the copies (`update`), and keeps the
differences. After the step the differences of all blocks are merged in block order (blocks.py). Workers share the
blocks of a step. Random numbers come from a block's key alone, so nothing depends on who computes a block, or when.

A new family subclasses `Learner` and gets an entry in `LEARNERS`; the loop brings tables, workers, curve, checkpoints
and model files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import JsonObject
from pipeline.core.registry import Entry, Registry
from training.trainer.step_plan import StepPlan
from training.vectors.simd import SIMD_WIDTH

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Arrays = dict[str, NDArray[np.generic]]

LEARNERS: Registry[Learner] = Registry(
    "word vectors",
    (
        Entry("word2vec", code="training.vectors.word2vec:Word2vec"),
        Entry("glove", code="training.vectors.glove:Glove"),
    ),
)


KEYS = 3  # of a block, for independent draws


@dataclass(frozen=True)
class TableSpec:
    """A float32 matrix that is learned: `width` numbers a row; a block touches at most `max_block_rows` rows.

    `damping` decides how the changes of several blocks to one row are merged (blocks.damped_share). 0 adds them up,
    which is right for sums such as AdaGrad's. Above 0 it is the strength of one visit's pull, so that rows which are
    visited often do not overshoot.

    `disjoint`: no two blocks of a step touch the same row, and each block touches one range of rows. Then a block
    updates the table itself, and nothing is copied or merged.
    """

    rows: int
    width: int
    max_block_rows: int
    damping: float = 0.0
    disjoint: bool = False

    @property
    def stride(self) -> int:
        """Numbers from row to row: the width, padded with zeros to a multiple of the SIMD width."""
        return -(-self.width // SIMD_WIDTH) * SIMD_WIDTH


@dataclass
class BlockBuffer:
    """A block's arrays for one table. The learner fills members, visits and count, then updates `rows`."""

    members: Ints  # which rows of the table, each once
    visits: Ints  # how many products of the block each row takes part in (for TableSpec.damping)
    copies: Floats  # of the members, end to end, and a blank row; after the block what changed in them
    count: int = 0  # how many members

    def rows(self, stride: int) -> Floats:
        """The copies, followed by one row of zeros for places that hold no row."""
        return self.copies[: (self.count + 1) * stride]


@dataclass(frozen=True)
class Block:
    """The input of a block: numbers of rows (or cells), keys for its random numbers, and the split they belong to."""

    numbers: NDArray[np.int64]
    keys: NDArray[np.uint64]  # KEYS of them
    split: str = "train"


class Learner:
    """The base of a family. Every worker has one; it may keep working arrays, but no state between blocks."""

    tables: dict[str, TableSpec]
    plan: StepPlan  # `micro_rows` and `micro_batches` are not used
    rate: float  # the highest learning rate; the section's schedule does the rest
    rows: int  # of the training split, and
    parameters: int  # numbers that are learned: for the manifest
    held_out: tuple[Block, ...] = ()  # the blocks of the validation loss; without any it is not computed
    loss_every: int = 1  # compute the loss on every n-th item of a step only: it costs a logarithm each

    def numbers(self, step: int) -> NDArray[np.int64]:
        """The items in the batch of a step (from 0), in order: blocks are cut from it, and the curve records it."""
        raise NotImplementedError

    def initialize(self, tables: dict[str, Floats]) -> None:
        """Fill the tables (rows × width each, zeros before) with first values: the same in every run with a seed."""
        raise NotImplementedError

    def check(self, tables: dict[str, Floats]) -> None:
        """Check what was learned, after the last step.

        Raises: StageFailed when nothing was.
        """

    def select_rows(self, block: Block, buffers: dict[str, BlockBuffer]) -> None:
        """Fill members, visits and count of each buffer."""
        raise NotImplementedError

    def update(self, buffers: dict[str, BlockBuffer], *, rate: float, loss_every: int) -> tuple[float, int]:
        """Update the copies, after `select_rows`; returns the summed loss and the number of items it covers.

        Rate 0 changes nothing.
        """
        raise NotImplementedError

    def tensors(self, tables: dict[str, Floats]) -> Arrays:
        """The arrays of the model's file, by their names in the module (models/vectors.py)."""
        raise NotImplementedError

    def described(self) -> JsonObject:
        """The model's config.json (models/base.py)."""
        raise NotImplementedError
