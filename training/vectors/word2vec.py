"""word2vec (Mikolov et al. 2013, arXiv 1301.3781, 1310.4546): from rows of tokens to windows to moved vectors.

Skip-gram or CBOW, negative sampling or hierarchical softmax, subsampling of frequent words, dynamic windows: the
integers are settled in windows.py and tree.py, the vectors moved in skipgram.py and cbow.py. Two things are other than
in word2vec.c, for speed and at equal quality (README): all words around one word share its negatives, and a block draws
them from a pool of `POOL` words that were drawn for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import StageFailed
from training import keyed_rng
from training.models.sections.vectors import Vectors
from training.objectives.section import Cbow, Skipgram
from training.spec import TrainingSpec
from training.trainer import batches
from training.trainer.feed import HELD_OUT
from training.trainer.plan import plan
from training.trainer.stream import Rows
from training.vectors import windows as kernels
from training.vectors.base import KEYS, Desk, Floats, Ints, Learner, Part, Table
from training.vectors.cbow import cbow
from training.vectors.skipgram import TILE, skipgram
from training.vectors.tree import huffman, windows_with_paths
from training.vectors.vocabulary import NO_NEIGHBOURS, check_neighbours, vocabulary

POOL = 1024  # a power of two, at most 4096: an index takes 12 bits of a draw
# of a product's pull on a row (blocks.share_of): found by experiment (README)
PULL = 0.1
AHEAD = 16  # steps
SECTIONS = {"skipgram": Skipgram, "cbow": Cbow}
LOOPS: dict[str, Any] = {"skipgram": skipgram, "cbow": cbow}
RATES = {"skipgram": 0.025, "cbow": 0.05}  # word2vec.c


@dataclass(frozen=True)
class Room:
    """Arrays for a block's integers, written anew by each block."""

    words: Ints
    pool: Ints
    slots: Ints  # of each token; -1 between blocks
    node_slots: Ints  # of each inner node; -1 between blocks
    contexts: Ints
    context_ends: Ints
    targets: Ints
    labels: Floats
    target_ends: Ints

    @property
    def lists(self) -> tuple[Any, ...]:
        """The windows, as the kernels take them."""
        return self.contexts, self.context_ends, self.targets, self.labels, self.target_ends


class Word2vec(Learner):
    """Tables `input` and `output`; a block is some rows of tokens."""

    told_every = 16

    def __init__(self, spec: TrainingSpec, rows: dict[str, Rows]) -> None:
        section = spec.section
        self.splits, self.seed, self.length = rows, spec.seed, spec.length
        self.options = SECTIONS[section.objective.name].model_validate(section.objective.options)
        self.objective, self.width = section.objective.name, Vectors.model_validate(section.model.options).width
        self.words = vocabulary(rows["train"], spec.tokenizer, spec.vocabulary)
        check_neighbours(rows["train"], self.words)
        self.plan = plan(section, length=self.length, rows=len(rows["train"]), world=1, micro_tokens=self.length,
                         precision="fp32")  # fmt: skip
        self.rate = section.optimizer.options.get("lr") or RATES[section.objective.name]
        self.block_rows = -(-self.plan.batch_rows // section.engine.options["blocks"])
        self.held_out = self._held_out(section.validate_tokens)
        self.keep = self.words.keep(self.options.subsample)
        self.cumulative, self.guide = self.words.negatives(self.options.power)
        self.tree = huffman(self.words.counts) if self.options.loss == "hierarchical_softmax" else None
        self.wide = -(-(self.tree.depth if self.tree else 1 + self.options.negatives) // TILE) * TILE
        self.ahead: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))
        self.tables, self.room = self._tables(), self._room()
        self.rows, self.parameters = len(rows["train"]), 2 * len(self.words.counts) * self.width

    def numbers(self, step: int) -> NDArray[np.int64]:
        """Computed for some steps at once: a permutation costs as much for ten rows as for a thousand."""
        group, place = divmod(step, AHEAD)
        if self.ahead[0] != group:
            rows = self.plan.batch_rows * AHEAD
            self.ahead = group, batches.rows_of_step(group, rows=self.rows, batch_rows=rows, seed=self.seed)
        return self.ahead[1][place * self.plan.batch_rows :][: self.plan.batch_rows]

    def begin(self, tables: dict[str, Floats]) -> None:
        """Small inputs, outputs at zero, as in word2vec.c."""
        draw, inputs = np.random.default_rng([self.seed, len(tables["input"])]), tables["input"]
        for first in range(0, len(inputs), 4096):
            some = inputs[first : first + 4096]
            some[:] = (draw.random(some.shape, np.float32) - np.float32(0.5)) / np.float32(self.width)

    def check(self, tables: dict[str, Floats]) -> None:
        """Outputs begin at zero, and every window moves some."""
        if not tables["output"].any():
            why = f" once frequent words are left out (objective.subsample {self.options.subsample:g})"
            raise StageFailed(f"pretrain: {NO_NEIGHBOURS.format(why=why)}")

    def choose(self, part: Part, desks: dict[str, Desk]) -> None:
        """The input rows are the block's words, the output rows these and the pool, or the nodes on their paths."""
        room, tree, inputs, outputs = self.room, self.tree, desks["input"], desks["output"]
        rows, size = self.splits[part.split], self.options.window
        tokens, lengths = rows.tokens[part.numbers].astype(np.int32), rows.lengths[part.numbers]
        kept, inputs.count = kernels.kept_words(
            tokens, lengths, self.keep, room.slots, part.keys[0], room.words, inputs.members
        )
        drawn = (size, 1 if self.options.dynamic else size)
        if tree is None:
            outputs.members[: inputs.count] = inputs.members[: inputs.count]
            outputs.count = kernels.draw_pool(
                self.cumulative, self.guide, part.keys[1], room.slots, outputs.members, inputs.count, room.pool
            )
            self.windows = kernels.windows_with_negatives(
                room.words, kept, room.pool, self.options.negatives, *drawn, inputs.count, outputs.count,
                part.keys[2], *room.lists,
            )  # fmt: skip
            kernels.forget(room.slots, outputs.members, outputs.count)
        else:
            self.windows, outputs.count = windows_with_paths(
                room.words, kept, inputs.members, tree.leaves, tree.parents, tree.right, room.node_slots,
                outputs.members, *drawn, inputs.count, part.keys[2], *room.lists,
            )  # fmt: skip
            kernels.forget(room.slots, inputs.members, inputs.count)
        kernels.count_visits(
            room.contexts, room.context_ends, room.targets, room.target_ends, self.windows,
            inputs.visits, inputs.count, outputs.visits, outputs.count,
        )  # fmt: skip

    def learn(self, desks: dict[str, Desk], *, rate: float, told_every: int) -> tuple[float, int]:
        """The loss is in nats a pair of words for skip-gram, a window for CBOW."""
        room, stride = self.room, self.tables["input"].stride
        loss, told = LOOPS[self.objective](
            desks["input"].rows(stride),
            desks["output"].rows(stride),
            stride,
            *room.lists,
            self.windows,
            rate,
            told_every,
        )
        return float(loss), int(told)

    def tensors(self, tables: dict[str, Floats]) -> dict[str, NDArray[Any]]:
        return {"counts": self.words.counts, "input": tables["input"], "output": tables["output"]}

    def described(self) -> dict[str, Any]:
        options = Vectors(width=self.width).model_dump(mode="json")
        return {"family": "word2vec", "options": options, "vocabulary": len(self.words.counts), "context": self.length}

    def _held_out(self, tokens: int) -> tuple[Part, ...]:
        """Held-out rows spread evenly over the split, cut as blocks are; the same draws in every run."""
        total = len(self.splits["validation"])
        wanted = min(total, max(1, tokens // self.length))
        numbers = np.arange(wanted) * total // wanted
        blocks = np.split(numbers, np.arange(self.block_rows, wanted, self.block_rows))
        keys = keyed_rng.keys(HELD_OUT, 0, np.arange(len(blocks) * KEYS)).reshape(-1, KEYS)
        return tuple(Part(some, own, "validation") for some, own in zip(blocks, keys, strict=True))

    def _tables(self) -> dict[str, Table]:
        rows, tokens = len(self.words.counts), self.block_rows * self.length
        more = tokens * self.tree.depth if self.tree else tokens + POOL
        return {
            "input": Table(rows, self.width, min(rows, tokens), PULL),
            "output": Table(rows, self.width, min(rows, more), PULL),
        }

    def _room(self) -> Room:
        tokens, size = self.block_rows * self.length, len(self.words.counts)
        around, targets = tokens * 2 * self.options.window, tokens * self.wide
        empty = {
            "words": tokens + self.block_rows, "pool": POOL, "contexts": around, "context_ends": tokens,
            "targets": targets, "target_ends": tokens,
        }  # fmt: skip
        return Room(
            **{name: np.empty(count, np.int32) for name, count in empty.items()}, labels=np.empty(targets, np.float32),
            slots=np.full(size, -1, np.int32), node_slots=np.full(size if self.tree else 0, -1, np.int32),
        )  # fmt: skip
