"""The training loop: one step, and periodic validation and checkpoints."""

from __future__ import annotations

import time
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
    """The state of a worker's run; `done` steps are finished."""

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
    """Train from step `done` to the last step. The step alone is the position in the data."""
    run.meter.begin(run.curve)
    goodput = run.meter.goodput
    while run.done < run.plan.steps:
        one_step(run)

        # periodically: the loss on text that is never trained on
        if run.plan.validates(run.done):
            goodput.begin("validation")
            held_out = validation_loss(run)
            run.curve.validated(finite.checked(held_out, "the held-out loss", step=run.done, advice=finite.TRAINER))
        run.meter.show(run.curve.last())

        # periodically: a checkpoint
        if run.plan.saves(run.done):
            goodput.begin("checkpoint")
            save(run)
        goodput.finished(run.done, last=run.done == run.plan.steps)
    goodput.begin("checkpoint")
    check_weights(run)
    run.meter.close()


def check_weights(run: TrainingRun) -> None:
    """Check the weights of every worker, in one pass; if any is not finite, all workers stop together.

    Raises: StageFailed when a weight is infinite or not a number.
    """
    engine = run.engine
    is_wrong = not finite.all_finite(parameter.tensor.detach() for parameter in engine.owned)
    if engine.total(torch.tensor(float(is_wrong), device=engine.setting.device)).item():
        raise finite.diverged(run.done, finite.TRAINER)


def one_step(run: TrainingRun) -> None:
    """Every worker accumulates the gradient of its rows, the gradients are summed, and the weights are updated once."""
    engine, plan, setting, loss_module = run.engine, run.plan, run.engine.setting, run.engine.loss_module
    run.meter.goodput.begin("data_wait", step=run.done)
    batch, targets = run.feed.batch(run.done, setting.device, rank=setting.rank, worker_rows=plan.worker_rows)
    run.meter.goodput.begin("compute", step=run.done)
    target_count = engine.total(targets.float().to(setting.device)).clamp_min(1)
    if run.feed.begins_streams(run.done):
        loss_module.carried.clear()

    loss = torch.zeros((), device=setting.device)
    for index in range(plan.micro_batches):
        rows = slice(index * plan.micro_rows, (index + 1) * plan.micro_rows)
        loss_module.slot = index
        last = index == plan.micro_batches - 1
        loss += engine.backward(
            {name: tensor[rows] for name, tensor in batch.items()}, scale=1 / target_count, last=last
        )
    norm, rate = engine.step(run.done, factor(run.done, plan.steps, run.section.schedule))

    numbers = run.feed.numbers(run.done)
    run.done += 1
    # one host-device sync a step: the loss and the norm are read here and nowhere else
    mean = (engine.total(loss) / target_count).item()
    gradient_norm = norm.item()
    finite.checked(mean, "the loss", step=run.done, advice=finite.TRAINER)
    finite.checked(gradient_norm, "the norm of the gradient", step=run.done, advice=finite.TRAINER)
    run.curve.add(
        step=run.done, loss=mean, learning_rate=rate, gradient_norm=gradient_norm, rows=batches.fingerprint(numbers)
    )


@torch.no_grad()
def validation_loss(run: TrainingRun) -> float:
    """Nats a target over held-out rows, spread evenly over the split; the same rows every time."""
    engine, setting, held_out = run.engine, run.engine.setting, run.feed.held_out
    total, group = len(held_out), engine.loss_module.objective.group
    count = min(total, max(group, run.section.validate_tokens // held_out.tokens.shape[1]))
    numbers = np.arange(count) * total // count
    # every worker makes the same number of calls (ZeRO 3 communicates in each): the last ones may get empty rows
    worker_rows = -(-count // (setting.world * group)) * group
    engine.loss_module.eval()
    sums = torch.zeros(2, device=setting.device)
    own_rows = batches.share(numbers, rank=setting.rank, worker_rows=worker_rows)
    for first in range(0, worker_rows, run.plan.micro_rows):
        batch, targets = run.feed.validation(own_rows[first : first + run.plan.micro_rows], setting.device)
        sums += torch.stack([engine.forward(batch).float(), targets.float().to(setting.device)])
    engine.loss_module.train()
    loss, target_count = engine.total(sums).tolist()
    return float(loss / max(target_count, 1))


def save(run: TrainingRun) -> None:
    """Write a checkpoint after `done` steps: every worker writes its file, then worker 0 marks it as complete."""
    began = time.monotonic()
    check_weights(run)
    setting = run.engine.setting
    curve = {"curve": run.curve.columns, "goodput": run.meter.goodput.saved()} if setting.rank == 0 else {}
    carried = {slot: [t.cpu() for t in state] for slot, state in sorted(run.engine.loss_module.carried.items())}
    state = {"engine": run.engine.state(), "carried": carried, **curve}
    checkpoint.write(run.folder, run.done, setting.rank, state)
    if setting.world > 1:
        dist.barrier()
    if setting.rank == 0:
        size = checkpoint.finish(
            run.folder, run.done, world=setting.world, numerics=run.numerics, keep=run.section.keep
        )
        run.meter.saved(run.done, size_bytes=size, seconds=time.monotonic() - began)
