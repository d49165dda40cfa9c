"""GloVe (Pennington et al. 2014): from a table of co-occurrences to moved vectors, by AdaGrad a cell at a time.

Blocks of a step share no row of either table (glove_cells.py): they move the tables themselves, side by side, and end
where one after the other would. `pretrain.batch_tokens` means cells here: about so many a step, of all blocks. An epoch
is `parts` rounds; in a round every block of the grid gives a part, in an order of the epoch's own. 12 M cells a
CPU-second at 100 numbers a vector (README).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.shards import rows as rows_of
from training.models.sections.vectors import Vectors
from training.objectives.section import Glove as Objective
from training.spec import TrainingSpec
from training.trainer import batches
from training.trainer.plan import plan
from training.trainer.stream import Rows
from training.vectors.base import Desk, Floats, Learner, Part, Table
from training.vectors.glove_cells import Grid, Shape, open_cells
from training.vectors.glove_descent import descend, shuffle, stride_of
from training.vectors.vocabulary import vocabulary

# where a row's bias stands, counted from the end of its vector; in its place the other side has a constant 1
SIDES = {"input": 0, "output": 1}


class Glove(Learner):
    """Tables `input` and `output`, rows of numbers and their squares; a block is a part of a block of the grid."""

    def __init__(self, spec: TrainingSpec, rows: dict[str, Rows]) -> None:
        section = spec.section
        self.seed, self.context, self.rows = spec.seed, spec.length, len(rows["train"])
        self.width, self.rate = Vectors.model_validate(section.model.options).width, section.optimizer.options["lr"]
        self.words = vocabulary(rows["train"], spec.tokenizer, spec.vocabulary)
        self.grid = _grid(spec)
        # a batch is a step's parts: as many cells as they happen to hold
        steps = self.grid.shape.blocks * self.grid.shape.parts
        self.plan = plan(section, length=section.batch_tokens, rows=steps, world=1, micro_tokens=1, precision="fp32")
        self.stride = stride_of(self.width)
        largest = int(np.diff(self.grid.bounds).max())
        rows_ = len(self.grid.tokens)
        self.tables = {name: Table(rows_, 2 * self.stride, largest, apart=True) for name in SIDES}
        self.parameters = 2 * len(self.words.counts) * (self.width + 1)
        self.order = np.empty(int(np.diff(self.grid.edges).max()), np.int32)

    def numbers(self, step: int) -> NDArray[np.int64]:
        """The parts of a step, a group of words each; groups of contexts go round from step to step."""
        blocks, parts = self.grid.shape.blocks, self.grid.shape.parts
        round_, turn = divmod(step, blocks)
        epoch, place = divmod(round_, parts)
        part = int(batches.permuted(np.array([place]), size=parts, seed=self.seed, epoch=epoch)[0])
        return np.array([self.grid.number(group, (group + turn) % blocks, part) for group in range(blocks)])

    def begin(self, tables: dict[str, Floats]) -> None:
        """Vectors and biases between -½ and ½ over the width, squares at 1, as the published program begins."""
        for name, table in tables.items():
            drawn, bias = self._first(name)[self.grid.tokens], self.width + SIDES[name]
            table[:, : self.width], table[:, bias] = drawn[:, :-1], drawn[:, -1]
            table[:, 2 * self.width + 1 - bias] = 1
            table[:, self.stride :] = 1

    def choose(self, part: Part, desks: dict[str, Desk]) -> None:
        """All rows of a group of words and of a group of contexts."""
        (number,) = part.numbers.tolist()
        for desk, group in zip(desks.values(), self.grid.groups(number), strict=True):
            first, last = self.grid.bounds[group : group + 2].tolist()
            desk.count = last - first
            desk.members[0] = first
        self.chosen = part

    def learn(self, desks: dict[str, Desk], *, rate: float, told_every: int) -> tuple[float, int]:
        """The loss is half the weighted square of a cell, before its step."""
        (number,) = self.chosen.numbers.tolist()
        cells = self.grid.part(number)
        order = self.order[: len(cells)]
        shuffle(order, len(cells), self.chosen.keys[0])
        first_word, first_context = (int(self.grid.bounds[group]) for group in self.grid.groups(number))
        words, contexts = (desk.own for desk in desks.values())
        loss = descend(cells, order, words, contexts, first_word, first_context, self.stride, self.width, rate)
        return float(loss), len(cells)

    def tensors(self, tables: dict[str, Floats]) -> dict[str, NDArray[Any]]:
        """Tokens without a cell keep their first vectors, and count as never seen: `count` left them out."""
        counts = np.zeros_like(self.words.counts)
        counts[self.grid.tokens] = self.words.counts[self.grid.tokens]
        found: dict[str, NDArray[Any]] = {"counts": counts}
        for name, table in tables.items():
            numbers = self._first(name)
            numbers[self.grid.tokens, :-1] = table[:, : self.width]
            numbers[self.grid.tokens, -1] = table[:, self.width + SIDES[name]]
            found[name], found[f"{name}_bias"] = numbers[:, :-1], numbers[:, -1]
        return found

    def described(self) -> dict[str, Any]:
        options = Vectors(width=self.width).model_dump(mode="json")
        return {"family": "glove", "options": options, "vocabulary": len(self.words.counts), "context": self.context}

    def _first(self, name: str) -> NDArray[np.float32]:
        """A vector and a bias for every token."""
        draw = np.random.default_rng([self.seed, SIDES[name]])
        drawn = draw.random((len(self.words.counts), self.width + 1), np.float32)
        return (drawn - np.float32(0.5)) / np.float32(self.width)


def _grid(spec: TrainingSpec) -> Grid:
    """The cells of the table, cut so that a step has about `batch_tokens` of them."""
    section = spec.section
    objective, blocks = Objective.model_validate(section.objective.options), section.engine.options["blocks"]
    parts = max(1, round(sum(map(rows_of, spec.counts)) / (blocks * section.batch_tokens)))
    shape = Shape(blocks, parts, objective.x_max, objective.alpha)
    name = spec.counts_digest[:16]
    return open_cells(spec.counts, shape, vocabulary=spec.vocabulary, name=name, scratch=spec.scratch)
