"""The training loop of word vectors: one step of blocks, and periodic validation and checkpoints.

It mirrors training/trainer/loop.py.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np
import torch

from pipeline.core.numerics import ModelNumerics
from training import finite, keyed_rng
from training.engines.optimizer import factor
from training.heartbeat import Heartbeat
from training.section import Pretrain
from training.stop_request import StopRequest, preempted
from training.trainer import batches
from training.trainer.checkpoint import Checkpoints
from training.trainer.meter import Curve, Meter
from training.vectors.base import KEYS, Block, Learner
from training.vectors.shared_tables import SharedTables

# a step takes a few milliseconds, and showing one costs a fraction of that
SHOW_EVERY_S = 0.2


@dataclass
class VectorRun:
    """The state of a worker's run: `done` steps are finished, `shown` of them were shown, the last at `shown_at`.

    The last checkpoint is of step `saved`, and training waited `save_seconds` for it. `must_end`: a worker was asked to
    end in the last step.
    """

    section: Pretrain
    learner: Learner
    shared_tables: SharedTables
    curve: Curve
    meter: Meter
    checkpoints: Checkpoints
    numerics: ModelNumerics
    seed: int
    done: int = 0
    saved: int = 0
    save_seconds: float = 0.0
    must_end: bool = False
    shown: int = 0
    shown_at: float = -math.inf
    stop: StopRequest = field(default_factory=StopRequest)
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    stage: str = "pretrain"


def train(run: VectorRun) -> None:
    """Train from step `done` to the last step. The step alone is the position in the data.

    Raises: Preempted when a worker was asked to end; what was learned is saved then.
    """
    plan, hosts = run.learner.plan, run.shared_tables.hosts
    run.meter.begin(run.curve)
    goodput = run.meter.goodput
    run.shown = run.done
    while run.done < plan.steps:
        one_step(run)

        # periodically: the held-out loss. Other workers may continue, since the tables do not change meanwhile
        if plan.validates(run.done) and run.learner.held_out and hosts.rank == 0:
            goodput.begin("validation")
            run.heartbeat.beat("validate", run.done)
            held_out = validation_loss(run)
            run.curve.validated(finite.checked(held_out, "the held-out loss", step=run.done, advice=finite.VECTORS))
        show_step(run)

        # periodically: a checkpoint
        if plan.saves(run.done):
            goodput.begin("checkpoint")
            save(run)
        if run.must_end and run.done < plan.steps:
            end_early(run)
        goodput.finished(run.done, last=run.done == plan.steps)
    run.heartbeat.beat("save", run.done)
    goodput.begin("checkpoint")
    if hosts.rank == 0:
        check_tables(run)
        run.learner.check(run.shared_tables.matrices())
    run.meter.close()


def check_tables(run: VectorRun) -> None:
    """Check every vector, in one pass.

    Raises: StageFailed when a number is infinite or NaN.
    """
    if not finite.all_finite(torch.from_numpy(run.shared_tables.memory[name]) for name in run.shared_tables.tables):
        raise finite.diverged(run.done, finite.VECTORS)


def one_step(run: VectorRun) -> None:
    """Every worker updates its blocks' copies of the vectors, then the changes of all are merged."""
    learner, shared_tables, goodput = run.learner, run.shared_tables, run.meter.goodput
    goodput.begin("data_wait", step=run.done)
    run.heartbeat.beat("compute", run.done)
    numbers = learner.numbers(run.done)
    cuts = np.arange(1, shared_tables.blocks) * len(numbers) // shared_tables.blocks
    block_numbers = np.split(numbers, cuts)
    keys = keyed_rng.keys(run.seed, run.done, np.arange(shared_tables.blocks * KEYS)).reshape(-1, KEYS)
    rate = learner.rate * factor(run.done, learner.plan.steps, run.section.schedule)

    for block in shared_tables.block_range(shared_tables.hosts.rank):
        goodput.begin("data_wait", step=run.done)
        learner.select_rows(Block(block_numbers[block], keys[block]), shared_tables.buffers[block])
        goodput.begin("compute", step=run.done)
        shared_tables.copy_out(block)
        summed_loss, items = learner.update(shared_tables.buffers[block], rate=rate, loss_every=learner.loss_every)
        shared_tables.finish_block(block, summed_loss, items, must_end=run.stop.requested)
    run.heartbeat.beat("wait", run.done)
    loss, items, run.must_end = shared_tables.merge(rate)

    run.done += 1
    if run.shared_tables.hosts.rank == 0 and run.checkpoints.has_arrived and (size := run.checkpoints.complete()):
        run.meter.saved(run.saved, size_bytes=size, seconds=run.save_seconds)
    mean = finite.checked(loss / max(items, 1), "the loss", step=run.done, advice=finite.VECTORS)
    run.curve.add(step=run.done, loss=mean, learning_rate=rate, rows=batches.fingerprint(numbers))


def validation_loss(run: VectorRun) -> float:
    """The loss on the same held-out rows with the same draws every time; no vector changes."""
    total = 0.0
    items = 0
    shared_tables = run.shared_tables
    first = shared_tables.block_range(shared_tables.hosts.rank)[0]  # its buffers are unused between two steps
    for block in run.learner.held_out:
        run.learner.select_rows(block, shared_tables.buffers[first])
        shared_tables.copy_out(first)
        block_loss, block_items = run.learner.update(shared_tables.buffers[first], rate=0.0, loss_every=1)
        total += block_loss
        items += block_items
    return total / max(items, 1)


def show_step(run: VectorRun) -> None:
    """Show the last step, unless another one was shown less than SHOW_EVERY_S ago."""
    row, now = run.curve.last(), time.monotonic()
    if "validation_loss" in row or run.done == run.learner.plan.steps or now - run.shown_at > SHOW_EVERY_S:
        run.meter.show(row, steps=run.done - run.shown)
        run.shown = run.done
        run.shown_at = now


def save(run: VectorRun) -> None:
    """Write a checkpoint after `done` steps. Worker 0 writes all of it; the others wait at the next barrier."""
    run.heartbeat.beat("save", run.done)
    hosts = run.shared_tables.hosts
    if hosts.rank == 0:
        began = time.monotonic()
        check_tables(run)
        tables = {name: torch.from_numpy(run.shared_tables.memory[name]) for name in run.shared_tables.tables}
        state = {"tables": tables, "curve": run.curve.columns, "goodput": run.meter.goodput.saved()}
        size = run.checkpoints.save(run.done, state, numerics=run.numerics, gather=_alone)
        run.save_seconds = time.monotonic() - began
        if run.checkpoints.is_complete:
            run.meter.saved(run.done, size_bytes=size, seconds=run.save_seconds)
    run.saved = run.done
    if run.shared_tables.updates_in_place:
        hosts.barrier()  # the next step would change what is being written


def end_early(run: VectorRun) -> None:
    """A worker was asked to end: save, wait until the checkpoint is complete, and end in every worker.

    Raises: Preempted, always.
    """
    if run.saved != run.done:
        save(run)
    if run.shared_tables.hosts.rank == 0:
        run.checkpoints.wait(_alone)
    run.meter.close()
    raise preempted(run.stage, run.done)


def _alone(number: int) -> list[int]:
    """Worker 0 writes all files."""
    return [number]
