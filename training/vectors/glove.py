"""GloVe (Pennington et al. 2014): vectors from a table of co-occurrences, by AdaGrad a cell at a time.

Blocks of a step share no row of either table (glove_cells.py). They update the tables themselves, side by side, with
the result of one after the other. `pretrain.batch_tokens` means cells here: about so many a step, of all blocks. An
epoch is `parts` rounds; in a round every block of the grid gives a part, in an order of the epoch's own. 12 M cells a
CPU-second at 100 numbers a vector (README).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import JsonObject
from pipeline.core.shards import rows as rows_of
from training.models.sections.vectors import Vectors
from training.objectives.section import Glove as Objective
from training.spec import TrainingSpec
from training.trainer import batches
from training.trainer.packed_rows import PackedRows
from training.trainer.step_plan import plan_steps
from training.vectors.base import Arrays, Block, BlockBuffer, Floats, Learner, TableSpec
from training.vectors.glove_cells import Grid, GridLayout, open_cells
from training.vectors.glove_descent import descend, shuffle, stride_of
from training.vectors.word_counts import count_words

# where a row has its bias, counted from the end of its vector; the other side has a constant 1 there
SIDES = {"input": 0, "output": 1}


class Glove(Learner):
    """Tables `input` and `output`, rows of numbers and their squares; a block is a part of a block of the grid."""

    def __init__(self, spec: TrainingSpec, rows: dict[str, PackedRows]) -> None:
        section = spec.section
        self.seed, self.context, self.rows = spec.seed, spec.length, len(rows["train"])
        self.width, self.rate = Vectors.model_validate(section.model.options).width, section.optimizer.options["lr"]
        self.words = count_words(rows["train"], spec.tokenizer, spec.vocabulary)
        self.grid = _grid(spec)
        # a batch is the parts of a step: its number of cells varies
        steps = self.grid.layout.blocks * self.grid.layout.parts
        self.plan = plan_steps(
            section, length=section.batch_tokens, rows=steps, world=1, micro_tokens=1, precision="fp32"
        )
        self.stride = stride_of(self.width)
        largest = int(np.diff(self.grid.bounds).max())
        table_rows = len(self.grid.tokens)
        self.tables = {name: TableSpec(table_rows, 2 * self.stride, largest, disjoint=True) for name in SIDES}
        self.parameters = 2 * len(self.words.counts) * (self.width + 1)
        self.order = np.empty(int(np.diff(self.grid.edges).max()), np.int32)

    def numbers(self, step: int) -> NDArray[np.int64]:
        """The parts of a step, a group of words each; groups of contexts go round from step to step."""
        blocks, parts = self.grid.layout.blocks, self.grid.layout.parts
        round_number, turn = divmod(step, blocks)
        epoch, place = divmod(round_number, parts)
        part = int(batches.permuted(np.array([place]), size=parts, seed=self.seed, epoch=epoch)[0])
        return np.array([self.grid.number(group, (group + turn) % blocks, part) for group in range(blocks)])

    def initialize(self, tables: dict[str, Floats]) -> None:
        """Vectors and biases between -½ and ½ over the width, squares at 1, as in the published program."""
        for name, table in tables.items():
            values = self._first_values(name)[self.grid.tokens]
            bias = self.width + SIDES[name]
            table[:, : self.width] = values[:, :-1]
            table[:, bias] = values[:, -1]
            table[:, 2 * self.width + 1 - bias] = 1
            table[:, self.stride :] = 1

    def select_rows(self, block: Block, buffers: dict[str, BlockBuffer]) -> None:
        """All rows of a group of words and of a group of contexts."""
        (number,) = block.numbers.tolist()
        for buffer, group in zip(buffers.values(), self.grid.groups(number), strict=True):
            first, last = self.grid.bounds[group : group + 2].tolist()
            buffer.count = last - first
            buffer.members[0] = first
        self.block = block

    def update(self, buffers: dict[str, BlockBuffer], *, rate: float, loss_every: int) -> tuple[float, int]:
        """The loss is half the weighted square of a cell, before its step."""
        (number,) = self.block.numbers.tolist()
        cells = self.grid.part(number)
        order = self.order[: len(cells)]
        shuffle(order, len(cells), self.block.keys[0])
        first_word, first_context = (int(self.grid.bounds[group]) for group in self.grid.groups(number))
        words, contexts = (buffer.copies for buffer in buffers.values())
        loss = descend(cells, order, words, contexts, first_word, first_context, self.stride, self.width, rate)
        return float(loss), len(cells)

    def tensors(self, tables: dict[str, Floats]) -> Arrays:
        """Tokens without a cell keep their first vectors, with a count of 0: `count` left them out."""
        counts = np.zeros_like(self.words.counts)
        counts[self.grid.tokens] = self.words.counts[self.grid.tokens]
        arrays: Arrays = {"counts": counts}
        for name, table in tables.items():
            numbers = self._first_values(name)
            numbers[self.grid.tokens, :-1] = table[:, : self.width]
            numbers[self.grid.tokens, -1] = table[:, self.width + SIDES[name]]
            arrays[name] = numbers[:, :-1]
            arrays[f"{name}_bias"] = numbers[:, -1]
        return arrays

    def described(self) -> JsonObject:
        options = Vectors(width=self.width).model_dump(mode="json")
        return {"family": "glove", "options": options, "vocabulary": len(self.words.counts), "context": self.context}

    def _first_values(self, name: str) -> NDArray[np.float32]:
        """A vector and a bias for every token."""
        generator = np.random.default_rng([self.seed, SIDES[name]])
        values = generator.random((len(self.words.counts), self.width + 1), np.float32)
        return (values - np.float32(0.5)) / np.float32(self.width)


def _grid(spec: TrainingSpec) -> Grid:
    """The cells of the table, cut so that a step has about `batch_tokens` of them."""
    section = spec.section
    objective, blocks = Objective.model_validate(section.objective.options), section.engine.options["blocks"]
    parts = max(1, round(sum(map(rows_of, spec.counts)) / (blocks * section.batch_tokens)))
    layout = GridLayout(blocks, parts, objective.x_max, objective.alpha)
    name = spec.counts_digest[:16]
    return open_cells(spec.counts, layout, vocabulary=spec.vocabulary, name=name, scratch=spec.scratch)
