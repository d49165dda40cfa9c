"""The loop of word vectors: one step of blocks, and what is done once in a while. As training/trainer/loop.py."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training import finite, keyed_rng
from training.engines.optimizer import factor
from training.section import Pretrain
from training.trainer import batches, checkpoint
from training.trainer.meter import Curve, Meter
from training.vectors.base import KEYS, Learner, Part
from training.vectors.exchange import Exchange

# a step is a few milliseconds, and to tell of one costs a fraction of that
TELL_EVERY_S = 0.2


@dataclass
class VectorRun:
    """Everything a worker has in hand; `done` steps lie behind, `told` of them were shown."""

    section: Pretrain
    learner: Learner
    exchange: Exchange
    curve: Curve
    meter: Meter
    folder: Path
    numerics: dict[str, Any]
    seed: int
    done: int = 0
    told: int = 0
    told_at: float = -math.inf


def train(run: VectorRun) -> None:
    """Go from `done` to the last step. The data position is the step; the curve and the checkpoints say the rest."""
    plan, hosts = run.learner.plan, run.exchange.hosts
    run.meter.begin(run.curve)
    run.told = run.done
    while run.done < plan.steps:
        one_step(run)

        # once in a while: what the vectors make of text they never see; others may go on, the tables stand still
        if plan.validates(run.done) and run.learner.held_out and hosts.rank == 0:
            held_out = validation_loss(run)
            run.curve.validated(finite.checked(held_out, "the held-out loss", step=run.done, advice=finite.VECTORS))
        tell(run)

        # once in a while: a place to go on from
        if plan.saves(run.done):
            save(run)
    if hosts.rank == 0:
        check_tables(run)
        run.learner.check(run.exchange.matrices())
    run.meter.close()


def check_tables(run: VectorRun) -> None:
    """One pass over the vectors.

    Raises: StageFailed when one holds a number that is infinite or NaN.
    """
    if not finite.all_finite(torch.from_numpy(run.exchange.memory[name]) for name in run.exchange.tables):
        raise finite.diverged(run.done, finite.VECTORS)


def one_step(run: VectorRun) -> None:
    """Every worker moves its blocks' copies of the vectors, then what they changed meets."""
    learner, exchange = run.learner, run.exchange
    numbers = learner.numbers(run.done)
    cuts = np.arange(1, exchange.blocks) * len(numbers) // exchange.blocks
    parts = np.split(numbers, cuts)
    keys = keyed_rng.keys(run.seed, run.done, np.arange(exchange.blocks * KEYS)).reshape(-1, KEYS)
    rate = learner.rate * factor(run.done, learner.plan.steps, run.section.schedule)

    for block in exchange.share(exchange.hosts.rank):
        learner.choose(Part(parts[block], keys[block]), exchange.desks[block])
        exchange.copy_out(block)
        told = learner.learn(exchange.desks[block], rate=rate, told_every=learner.told_every)
        exchange.post(block, told)
    loss, items = exchange.merge(rate).tolist()

    run.done += 1
    mean = finite.checked(loss / max(items, 1), "the loss", step=run.done, advice=finite.VECTORS)
    run.curve.add(step=run.done, loss=mean, learning_rate=rate, rows=batches.fingerprint(numbers))


def validation_loss(run: VectorRun) -> float:
    """The loss on the same held-out rows with the same draws every time; nothing moves."""
    total, items = 0.0, 0
    mine = run.exchange.share(run.exchange.hosts.rank)[0]  # its desks are free between two steps
    for part in run.learner.held_out:
        run.learner.choose(part, run.exchange.desks[mine])
        run.exchange.copy_out(mine)
        loss, told = run.learner.learn(run.exchange.desks[mine], rate=0.0, told_every=1)
        total, items = total + loss, items + told
    return total / max(items, 1)


def tell(run: VectorRun) -> None:
    """Show the last step, if the one before it was not shown just now."""
    row, now = run.curve.last(), time.monotonic()
    if "validation_loss" in row or run.done == run.learner.plan.steps or now - run.told_at > TELL_EVERY_S:
        run.meter.show(row, steps=run.done - run.told)
        run.told, run.told_at = run.done, now


def save(run: VectorRun) -> None:
    """A checkpoint after `done` steps. Worker 0 holds all there is to keep; the others wait at the next meeting."""
    hosts = run.exchange.hosts
    if hosts.rank == 0:
        check_tables(run)
        tables = {name: torch.from_numpy(run.exchange.memory[name]) for name in run.exchange.tables}
        checkpoint.write(run.folder, run.done, 0, {"tables": tables, "curve": run.curve.columns})
        checkpoint.finish(run.folder, run.done, world=1, numerics=run.numerics, keep=run.section.keep)
    if run.exchange.in_place:
        hosts.meet()  # the next step would move what is being written
