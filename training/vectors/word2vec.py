"""word2vec (Mikolov et al. 2013, arXiv 1301.3781, 1310.4546): from rows of tokens to windows to updated vectors.

Skip-gram or CBOW, negative sampling or hierarchical softmax, subsampling of frequent words, dynamic windows: windows.py
and tree.py compute the integers, skipgram.py and cbow.py update the vectors. Two things differ from word2vec.c, for
speed and at equal quality (README): all words around one word share its negatives, and a block draws them from a pool
of `POOL` words that were drawn for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject
from training import keyed_rng
from training.models.sections.vectors import Vectors
from training.objectives.section import Cbow, Skipgram
from training.spec import TrainingSpec
from training.trainer import batches
from training.trainer.feed import HELD_OUT
from training.trainer.packed_rows import PackedRows
from training.trainer.step_plan import plan_steps
from training.vectors import windows as kernels
from training.vectors.base import KEYS, Arrays, Block, BlockBuffer, Floats, Ints, Learner, TableSpec
from training.vectors.cbow import cbow
from training.vectors.skipgram import TILE, skipgram
from training.vectors.tree import huffman, windows_with_paths
from training.vectors.word_counts import NO_NEIGHBOURS, check_neighbours, count_words

POOL = 1024  # a power of two, at most 4096: an index takes 12 bits of a draw
# of a row's changes (blocks.damped_share): chosen by experiment (README)
DAMPING = 0.1
STEPS_AT_ONCE = 16  # whose rows are computed together
SECTIONS = {"skipgram": Skipgram, "cbow": Cbow}
LOOPS: dict[str, Callable[..., tuple[float, int]]] = {"skipgram": skipgram, "cbow": cbow}
RATES = {"skipgram": 0.025, "cbow": 0.05}  # word2vec.c


@dataclass(frozen=True)
class Workspace:
    """Arrays for a block's integers, overwritten by each block."""

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
    def windows(self) -> tuple[Ints, Ints, Ints, Floats, Ints]:
        """The arrays of the windows, in the order of the kernels' parameters."""
        return self.contexts, self.context_ends, self.targets, self.labels, self.target_ends


class Word2vec(Learner):
    """Tables `input` and `output`; a block is some rows of tokens."""

    loss_every = 16

    def __init__(self, spec: TrainingSpec, rows: dict[str, PackedRows]) -> None:
        section = spec.section
        self.splits, self.seed, self.length = rows, spec.seed, spec.length
        self.options = SECTIONS[section.objective.name].model_validate(section.objective.options)
        self.objective, self.width = section.objective.name, Vectors.model_validate(section.model.options).width
        self.words = count_words(rows["train"], spec.tokenizer, spec.vocabulary)
        check_neighbours(rows["train"], self.words)
        self.plan = plan_steps(section, length=self.length, rows=len(rows["train"]), world=1, micro_tokens=self.length,
                         precision="fp32")  # fmt: skip
        self.rate = section.optimizer.options.get("lr") or RATES[section.objective.name]
        self.block_rows = -(-self.plan.batch_rows // section.engine.options["blocks"])
        self.held_out = self._held_out(section.validate_tokens)
        self.keep = self.words.keep(self.options.subsample)
        self.cumulative, self.guide = self.words.negatives(self.options.power)
        self.tree = huffman(self.words.counts) if self.options.loss == "hierarchical_softmax" else None
        self.wide = -(-(self.tree.depth if self.tree else 1 + self.options.negatives) // TILE) * TILE
        self.ahead: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))
        self.tables = self._tables()
        self.workspace = self._workspace()
        self.rows, self.parameters = len(rows["train"]), 2 * len(self.words.counts) * self.width

    def numbers(self, step: int) -> NDArray[np.int64]:
        """Computed for some steps at once: a permutation costs as much for ten rows as for a thousand."""
        group, place = divmod(step, STEPS_AT_ONCE)
        if self.ahead[0] != group:
            rows = self.plan.batch_rows * STEPS_AT_ONCE
            self.ahead = group, batches.rows_of_step(group, rows=self.rows, batch_rows=rows, seed=self.seed)
        return self.ahead[1][place * self.plan.batch_rows :][: self.plan.batch_rows]

    def initialize(self, tables: dict[str, Floats]) -> None:
        """Small inputs, outputs at zero, as in word2vec.c."""
        inputs = tables["input"]
        generator = np.random.default_rng([self.seed, len(inputs)])
        for first in range(0, len(inputs), 4096):
            rows = inputs[first : first + 4096]
            rows[:] = (generator.random(rows.shape, np.float32) - np.float32(0.5)) / np.float32(self.width)

    def check(self, tables: dict[str, Floats]) -> None:
        """Outputs start at zero, and every window changes some."""
        if not tables["output"].any():
            cause = f" once frequent words are left out (objective.subsample {self.options.subsample:g})"
            raise StageFailed(f"pretrain: {NO_NEIGHBOURS.format(cause=cause)}")

    def select_rows(self, block: Block, buffers: dict[str, BlockBuffer]) -> None:
        """The input rows are the block's words, the output rows these and the pool, or the nodes on their paths."""
        work, tree, inputs, outputs = self.workspace, self.tree, buffers["input"], buffers["output"]
        rows, size = self.splits[block.split], self.options.window
        tokens, lengths = rows.tokens[block.numbers].astype(np.int32), rows.lengths[block.numbers]
        words, inputs.count = kernels.kept_words(
            tokens, lengths, self.keep, work.slots, block.keys[0], work.words, inputs.members
        )
        window_sizes = (size, 1 if self.options.dynamic else size)
        contexts, context_ends, targets, labels, target_ends = work.windows
        if tree is None:
            outputs.members[: inputs.count] = inputs.members[: inputs.count]
            outputs.count = kernels.draw_pool(
                self.cumulative, self.guide, block.keys[1], work.slots, outputs.members, inputs.count, work.pool
            )
            self.windows = kernels.windows_with_negatives(
                work.words, words, work.pool, self.options.negatives, *window_sizes, inputs.count, outputs.count,
                block.keys[2], contexts, context_ends, targets, labels, target_ends,
            )  # fmt: skip
            kernels.forget(work.slots, outputs.members, outputs.count)
        else:
            self.windows, outputs.count = windows_with_paths(
                work.words, words, inputs.members, tree.leaves, tree.parents, tree.right, work.node_slots,
                outputs.members, *window_sizes, inputs.count, block.keys[2],
                contexts, context_ends, targets, labels, target_ends,
            )  # fmt: skip
            kernels.forget(work.slots, inputs.members, inputs.count)
        kernels.count_visits(
            contexts, context_ends, targets, target_ends, self.windows,
            inputs.visits, inputs.count, outputs.visits, outputs.count,
        )  # fmt: skip

    def update(self, buffers: dict[str, BlockBuffer], *, rate: float, loss_every: int) -> tuple[float, int]:
        """The loss is in nats a pair of words for skip-gram, a window for CBOW."""
        work, stride = self.workspace, self.tables["input"].stride
        loss, items = LOOPS[self.objective](
            buffers["input"].rows(stride),
            buffers["output"].rows(stride),
            stride,
            *work.windows,
            self.windows,
            rate,
            loss_every,
        )
        return float(loss), int(items)

    def tensors(self, tables: dict[str, Floats]) -> Arrays:
        return {"counts": self.words.counts, "input": tables["input"], "output": tables["output"]}

    def described(self) -> JsonObject:
        options = Vectors(width=self.width).model_dump(mode="json")
        return {"family": "word2vec", "options": options, "vocabulary": len(self.words.counts), "context": self.length}

    def _held_out(self, tokens: int) -> tuple[Block, ...]:
        """Held-out rows spread evenly over the split, cut as blocks are; the same draws in every run."""
        total = len(self.splits["validation"])
        count = min(total, max(1, tokens // self.length))
        numbers = np.arange(count) * total // count
        blocks = np.split(numbers, np.arange(self.block_rows, count, self.block_rows))
        keys = keyed_rng.keys(HELD_OUT, 0, np.arange(len(blocks) * KEYS)).reshape(-1, KEYS)
        return tuple(Block(rows, row_keys, "validation") for rows, row_keys in zip(blocks, keys, strict=True))

    def _tables(self) -> dict[str, TableSpec]:
        rows, tokens = len(self.words.counts), self.block_rows * self.length
        outputs = tokens * self.tree.depth if self.tree else tokens + POOL
        return {
            "input": TableSpec(rows, self.width, min(rows, tokens), DAMPING),
            "output": TableSpec(rows, self.width, min(rows, outputs), DAMPING),
        }

    def _workspace(self) -> Workspace:
        tokens, size = self.block_rows * self.length, len(self.words.counts)
        around, targets = tokens * 2 * self.options.window, tokens * self.wide
        empty = {
            "words": tokens + self.block_rows, "pool": POOL, "contexts": around, "context_ends": tokens,
            "targets": targets, "target_ends": tokens,
        }  # fmt: skip
        return Workspace(
            **{name: np.empty(count, np.int32) for name, count in empty.items()}, labels=np.empty(targets, np.float32),
            slots=np.full(size, -1, np.int32), node_slots=np.full(size if self.tree else 0, -1, np.int32),
        )  # fmt: skip
