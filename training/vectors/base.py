"""What every family of word vectors is to the loop: tables of rows, and what a block of a step does to some of them.

A step is a batch, cut into blocks that all begin from the same tables. For each block the loop asks the learner which
rows it will touch (`choose`), copies these out, lets the learner move the copies (`learn`), and keeps what changed;
after the step the changes of all blocks meet, in their order (blocks.py). Workers share the blocks of a step. Random
numbers come from a part's key alone, so nothing depends on who computes a block, or when.

A new family subclasses `Learner` and is named in `LEARNERS`; tables, workers, curve, checkpoints and the model's files
are the loop's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.registry import Entry, Registry
from training.trainer.plan import Plan
from training.vectors.lanes import LANES

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]

LEARNERS: Registry[Learner] = Registry(
    "word vectors",
    (
        Entry("word2vec", code="training.vectors.word2vec:Word2vec"),
        Entry("glove", code="training.vectors.glove:Glove"),
    ),
)


KEYS = 3  # of a block, for draws that have nothing to do with one another


@dataclass(frozen=True)
class Table:
    """A float32 matrix that is learned: `width` numbers a row, of which a block touches at most `at_once` rows.

    `pull` says how the changes of several blocks to one row meet (blocks.share_of): 0 adds them up, which is right for
    sums, as AdaGrad's; above 0, the strength of a visit's pull, so that rows visited often are not thrown too far.

    `apart`: no two blocks of a step touch the same row, and each touches one stretch of them: then a block moves the
    table itself, and nothing is copied or met.
    """

    rows: int
    width: int
    at_once: int
    pull: float = 0.0
    apart: bool = False

    @property
    def stride(self) -> int:
        """Numbers from row to row: the width, filled up to whole lanes with zeros."""
        return -(-self.width // LANES) * LANES


@dataclass
class Desk:
    """A block's room for one table. The learner fills members, visits and count, then moves `rows`."""

    members: Ints  # which rows of the table, each once
    visits: Ints  # how many products of the block each row takes part in (for Table.pull)
    own: Floats  # their copies, end to end, and room for a blank row; after the block what changed in them
    count: int = 0  # how many members

    def rows(self, stride: int) -> Floats:
        """The copies and, after them, a row of zeros that may be read in place of none; nothing else."""
        return self.own[: (self.count + 1) * stride]


@dataclass(frozen=True)
class Part:
    """What a block is made of: numbers of rows (or cells), keys for its random numbers, and the split they are in."""

    numbers: NDArray[np.int64]
    keys: NDArray[np.uint64]  # KEYS of them
    split: str = "train"


class Learner:
    """The base of a family. Every worker has one; it may keep room for a block's work, but nothing between blocks."""

    tables: dict[str, Table]
    plan: Plan  # `micro_rows` and `micro_batches` are not used
    rate: float  # the highest learning rate; the section's schedule does the rest
    rows: int  # of the training split, and
    parameters: int  # numbers that are learned: for the manifest
    held_out: tuple[Part, ...] = ()  # what the validation loss is taken on; none: it is not taken
    told_every: int = 1  # the loss of a step is taken on every so many of its items: it costs a logarithm each

    def numbers(self, step: int) -> NDArray[np.int64]:
        """What the batch of a step (from 0) holds, in its order: blocks are cut from it, and the curve names it."""
        raise NotImplementedError

    def begin(self, tables: dict[str, Floats]) -> None:
        """Fill the tables (rows × width each, zeros before) with first values: the same at every run of a seed."""
        raise NotImplementedError

    def check(self, tables: dict[str, Floats]) -> None:
        """Look at what was learned, after the last step.

        Raises: StageFailed when nothing was.
        """

    def choose(self, part: Part, desks: dict[str, Desk]) -> None:
        """Fill members, visits and count of each desk."""
        raise NotImplementedError

    def learn(self, desks: dict[str, Desk], *, rate: float, told_every: int) -> tuple[float, int]:
        """Move the copies, after `choose`; a summed loss and the items it was taken on. Rate 0 moves nothing."""
        raise NotImplementedError

    def tensors(self, tables: dict[str, Floats]) -> dict[str, NDArray[Any]]:
        """The arrays of the model's file, by their names in the module (models/vectors.py)."""
        raise NotImplementedError

    def described(self) -> dict[str, Any]:
        """The model's config.json (models/base.py)."""
        raise NotImplementedError
