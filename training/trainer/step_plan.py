"""The plan of a run: steps, rows a batch, rows a worker computes at once, and when it validates and saves.

Workers that cannot share the rows of a step evenly get rows without tokens besides: these have no targets, so they
change no sum, and every worker makes as many calls as the others (ZeRO communicates in each).
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core.errors import UserError
from training.batch_size import batch_problem, tree_micro_batches
from training.section import Precision, Pretrain


@dataclass(frozen=True)
class StepPlan:
    """Follows from the section, the row length, the number of workers and the device; nothing else decides it."""

    steps: int
    batch_rows: int  # of all workers together
    micro_rows: int  # of one worker, computed at once
    micro_batches: int  # that a worker adds up a step
    validate_every: int
    save_every: int
    empty_rows: int = 0  # a step, of all workers: those beyond the last row of the batch
    leaves: int = 0  # micro-batches of all workers, under reduction: tree; else 0

    @property
    def worker_rows(self) -> int:
        """The rows of one worker in a step, with empty ones."""
        return self.micro_rows * self.micro_batches

    def validates(self, step: int) -> bool:
        """Whether the held-out loss is computed after `step` steps."""
        return step % self.validate_every == 0 or step == self.steps

    def saves(self, step: int) -> bool:
        """Whether a checkpoint is written after `step` steps; after the last step the model itself is saved."""
        return step % self.save_every == 0 and step < self.steps


def plan_steps(
    section: Pretrain, *, length: int, rows: int, world: int, micro_tokens: int, precision: Precision, group: int = 1
) -> StepPlan:
    """Cut a run over `rows` rows; a micro-batch is a multiple of `group` of them.

    Raises: UserError when a batch is no whole number of rows.
    """
    if problem := batch_problem(section, length=length):
        raise UserError(f"pretrain: {problem}")
    batch_rows = section.batch_tokens // length
    steps = section.steps_at(precision, rows=rows, batch_rows=batch_rows)
    leaves = 0
    if section.reduction == "tree":
        micro_rows, leaves = tree_micro_batches(section, batch_rows=batch_rows, group=group)
        micro_batches = -(-leaves // world)
    else:
        most = max(group, micro_tokens // length)
        micro_rows, micro_batches = _micro_batches(batch_rows, world, most=most, group=group)
    return StepPlan(
        steps, batch_rows, micro_rows, micro_batches, _every(section.validate_every, steps),
        _every(section.save_every, steps), micro_rows * micro_batches * world - batch_rows, leaves,
    )  # fmt: skip


def _micro_batches(batch_rows: int, world: int, *, most: int, group: int) -> tuple[int, int]:
    """Rows of a micro-batch, at most `most`, and micro-batches of a worker."""
    worker_rows = -(-batch_rows // (world * group)) * group
    most = min(worker_rows, most)
    if worker_rows * world == batch_rows:
        # the largest divisor within the limit: batches are small powers of two in practice
        micro_rows = max(count for count in range(group, most + 1, group) if worker_rows % count == 0)
        return micro_rows, worker_rows // micro_rows
    # there are empty rows in any case: as few micro-batches as can be, and in them as few rows
    micro_batches = -(-worker_rows // (most - most % group))
    return -(-worker_rows // (micro_batches * group)) * group, micro_batches


def _every(value: float, steps: int) -> int:
    return max(1, round(value * steps) if value < 1 else round(value))
