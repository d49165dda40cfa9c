"""The training loop: one fenced step, and what is done once in a while. The rest of the trainer is in service of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from pipeline.core.numerics import ModelNumerics
from training import finite
from training.engines.base import Engine
from training.engines.optimizer import factor
from training.section import Pretrain
from training.trainer import batches, checkpoint
from training.trainer.feed import Feed
from training.trainer.meter import Curve, Meter
from training.trainer.step_plan import StepPlan


@dataclass
class TrainingRun:
    """Everything a worker has in hand; `done` steps lie behind."""

    section: Pretrain
    plan: StepPlan
    engine: Engine
    feed: Feed
    curve: Curve
    meter: Meter
    folder: Path
    numerics: ModelNumerics
    seed: int
    done: int = 0


def train(run: TrainingRun) -> None:
    """Go from `done` to the last step. The data position is the step; the curve and the checkpoints say the rest."""
    run.meter.begin(run.curve)
    while run.done < run.plan.steps:
        one_step(run)

        # once in a while: what the model makes of text it never sees
        if run.plan.validates(run.done):
            held_out = validation_loss(run)
            run.curve.validated(finite.checked(held_out, "the held-out loss", step=run.done, advice=finite.TRAINER))
        run.meter.show(run.curve.last())

        # once in a while: a place to go on from
        if run.plan.saves(run.done):
            save(run)
    check_weights(run)
    run.meter.close()


def check_weights(run: TrainingRun) -> None:
    """Every worker looks at its own weights, and all of them stop together: one pass over the weights.

    Raises: StageFailed when a weight is infinite or not a number.
    """
    engine = run.engine
    wrong = not finite.all_finite(held.tensor.detach() for held in engine.owned)
    if engine.total(torch.tensor(float(wrong), device=engine.setting.device)).item():
        raise finite.diverged(run.done, finite.TRAINER)


def one_step(run: TrainingRun) -> None:
    """Every worker adds up the gradient of its rows, they meet, and the weights move once."""
    engine, plan, setting, loss_module = run.engine, run.plan, run.engine.setting, run.engine.loss_module
    batch, targets = run.feed.batch(run.done, setting.device, rank=setting.rank, world=setting.world)
    counted = engine.total(targets.float().to(setting.device)).clamp_min(1)
    if run.feed.begins_streams(run.done):
        loss_module.carried.clear()

    loss = torch.zeros((), device=setting.device)
    for index in range(plan.micro_batches):
        some = slice(index * plan.micro_rows, (index + 1) * plan.micro_rows)
        loss_module.slot = index
        last = index == plan.micro_batches - 1
        loss += engine.backward({k: v[some] for k, v in batch.items()}, scale=1 / counted, last=last)
    norm, rate = engine.step(run.done, factor(run.done, plan.steps, run.section.schedule))

    numbers, run.done = run.feed.numbers(run.done), run.done + 1
    # one wait for the device a step: the loss and the norm are read here and nowhere else
    mean, length = (engine.total(loss) / counted).item(), norm.item()
    finite.checked(mean, "the loss", step=run.done, advice=finite.TRAINER)
    finite.checked(length, "the norm of the gradient", step=run.done, advice=finite.TRAINER)
    row = {"learning_rate": rate, "gradient_norm": length, "rows": batches.fingerprint(numbers)}
    run.curve.add(step=run.done, loss=mean, **row)


@torch.no_grad()
def validation_loss(run: TrainingRun) -> float:
    """Nats a target over the same held-out rows every time, spread evenly over the split."""
    engine, setting, held_out = run.engine, run.engine.setting, run.feed.held_out
    total, group = len(held_out), engine.loss_module.objective.group
    wanted = min(total, max(group, run.section.validate_tokens // held_out.tokens.shape[1]))
    numbers = np.arange(wanted) * total // wanted
    # every worker makes as many calls (ZeRO 3 meets in each): the last ones may get rows without tokens
    each = -(-wanted // (setting.world * group)) * group
    padded = np.concatenate([numbers, np.full(each * setting.world - wanted, -1)])
    engine.loss_module.eval()
    sums = torch.zeros(2, device=setting.device)
    mine = batches.share(padded, rank=setting.rank, world=setting.world)
    for first in range(0, each, run.plan.micro_rows):
        batch, targets = run.feed.validation(mine[first : first + run.plan.micro_rows], setting.device)
        sums += torch.stack([engine.forward(batch).float(), targets.float().to(setting.device)])
    engine.loss_module.train()
    loss, counted = engine.total(sums).tolist()
    return float(loss / max(counted, 1))


def save(run: TrainingRun) -> None:
    """A checkpoint after `done` steps: every worker writes its own, then worker 0 makes it count."""
    check_weights(run)
    setting = run.engine.setting
    curve = {"curve": run.curve.columns} if setting.rank == 0 else {}
    carried = {slot: [t.cpu() for t in state] for slot, state in sorted(run.engine.loss_module.carried.items())}
    state = {"engine": run.engine.state(), "carried": carried, **curve}
    checkpoint.write(run.folder, run.done, setting.rank, state)
    if setting.world > 1:
        dist.barrier()
    if setting.rank == 0:
        checkpoint.finish(run.folder, run.done, world=setting.world, numerics=run.numerics, keep=run.section.keep)
