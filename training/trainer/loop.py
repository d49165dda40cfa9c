"""The training loop: one fenced step, and what is done once in a while. The rest of the trainer is in service of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from pipeline.core.errors import StageFailed
from training.engines.base import Engine
from training.engines.optimizer import factor
from training.models.layers import IGNORE
from training.section import Pretrain
from training.trainer import batches, checkpoint
from training.trainer.meter import Curve, Meter
from training.trainer.plan import Plan
from training.trainer.stream import Rows


@dataclass
class Run:
    """Everything a worker has in hand; `done` steps lie behind."""

    section: Pretrain
    plan: Plan
    engine: Engine
    train: Rows
    held_out: Rows
    curve: Curve
    meter: Meter
    folder: Path
    numerics: dict[str, Any]
    seed: int
    done: int = 0


def train(run: Run) -> None:
    """Go from `done` to the last step. The data position is the step; the curve and the checkpoints say the rest."""
    run.meter.begin(run.curve)
    while run.done < run.plan.steps:
        one_step(run)

        # once in a while: what the model makes of text it never sees
        if run.plan.validates(run.done):
            run.curve.validated(validation_loss(run))
        run.meter.show(run.curve.last())

        # once in a while: a place to go on from
        if run.plan.saves(run.done):
            save(run)
    run.meter.close()


def one_step(run: Run) -> None:
    """Every worker adds up the gradient of its rows, they meet, and the weights move once."""
    engine, plan, setting = run.engine, run.plan, run.engine.setting
    numbers = batches.rows_of_step(run.done, rows=len(run.train), batch_rows=plan.batch_rows, seed=run.seed)
    mine = batches.share(numbers, rank=setting.rank, world=setting.world)
    tokens, lengths = run.train.take(mine, setting.device)
    inputs, targets = engine.task.objective.batch(tokens, lengths)
    counted = engine.total((targets != IGNORE).sum().float())

    loss = torch.zeros((), device=setting.device)
    for index in range(plan.micro_batches):
        some = slice(index * plan.micro_rows, (index + 1) * plan.micro_rows)
        last = index == plan.micro_batches - 1
        loss += engine.backward(inputs[some], targets[some], scale=1 / counted, last=last)
    norm, rate = engine.step(run.done, factor(run.done, plan.steps, run.section.schedule))

    run.done += 1
    # one wait for the device a step: the loss and the norm are read here and nowhere else
    found = (engine.total(loss) / counted).item()
    if not math.isfinite(found):
        raise StageFailed(f"pretrain: the loss of step {run.done:,} is not a number. Lower the learning rate, or clip.")
    row = {"learning_rate": rate, "gradient_norm": norm.item(), "rows": batches.fingerprint(numbers)}
    run.curve.add(step=run.done, loss=found, **row)


@torch.no_grad()
def validation_loss(run: Run) -> float:
    """Nats a token over the same held-out rows every time, spread evenly over the split."""
    engine, setting, total = run.engine, run.engine.setting, len(run.held_out)
    wanted = min(total, max(1, run.section.validate_tokens // run.held_out.tokens.shape[1]))
    numbers = np.arange(wanted) * total // wanted
    # every worker makes as many calls (ZeRO 3 meets in each): the last ones may get rows without tokens
    each = -(-wanted // setting.world)
    padded = np.concatenate([numbers, np.full(each * setting.world - wanted, -1)])
    engine.task.eval()
    sums = torch.zeros(2, device=setting.device)
    mine = batches.share(padded, rank=setting.rank, world=setting.world)
    for first in range(0, each, run.plan.micro_rows):
        tokens, lengths = run.held_out.take(mine[first : first + run.plan.micro_rows], setting.device)
        inputs, targets = engine.task.objective.batch(tokens, lengths)
        sums += torch.stack([engine.forward(inputs, targets).float(), (targets != IGNORE).sum().float()])
    engine.task.train()
    loss, counted = engine.total(sums).tolist()
    return float(loss / counted)


def save(run: Run) -> None:
    """A checkpoint after `done` steps: every worker writes its own, then worker 0 makes it count."""
    setting = run.engine.setting
    curve = {"curve": run.curve.columns} if setting.rank == 0 else {}
    checkpoint.write(run.folder, run.done, setting.rank, {"engine": run.engine.state(), **curve})
    if setting.world > 1:
        dist.barrier()
    if setting.rank == 0:
        checkpoint.finish(run.folder, run.done, world=setting.world, numerics=run.numerics, keep=run.section.keep)
