"""The training loop: one step, and periodic validation and checkpoints.

What the workers must agree on besides (whether one was asked to end, whether the files of the last checkpoint have
arrived) is summed with the number of targets of each step, and read with its loss: no further call, no further wait.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pipeline.core.numerics import ModelNumerics
from training import finite
from training.engines.base import Engine
from training.engines.optimizer import factor
from training.heartbeat import Heartbeat
from training.section import Pretrain
from training.stop_request import StopRequest, preempted
from training.trainer import batches, random_state
from training.trainer.all_workers import check_weights, exact_sum, gather
from training.trainer.checkpoint import Checkpoints
from training.trainer.feed import Feed
from training.trainer.meter import Curve, Meter
from training.trainer.monitor import Finding, Monitor
from training.trainer.response import respond
from training.trainer.step_plan import StepPlan


@dataclass
class TrainingRun:
    """The state of a worker's run; `done` steps are finished, the last checkpoint is of step `saved`.

    Training waited `save_seconds` for it. `must_end`: a worker was asked to end before the last step began.
    """

    section: Pretrain
    plan: StepPlan
    engine: Engine
    feed: Feed
    curve: Curve
    meter: Meter
    checkpoints: Checkpoints
    numerics: ModelNumerics
    seed: int
    monitor: Monitor
    done: int = 0
    saved: int = 0
    save_seconds: float = 0.0
    must_end: bool = False
    stop: StopRequest = field(default_factory=StopRequest)
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    stage: str = "pretrain"

    def carried_rows(self) -> list[torch.Tensor]:
        """The recurrent states of this worker's rows, without empty ones: tensors of rows × layers × width."""
        carried = self.engine.loss_module.carried
        slots = [carried[slot] for slot in sorted(carried)]
        first = self.engine.setting.rank * self.plan.worker_rows
        own_rows = max(0, min(self.plan.worker_rows, self.plan.batch_rows - first))
        return [
            torch.cat(tensors, dim=1)[:, :own_rows].transpose(0, 1).contiguous() for tensors in zip(*slots, strict=True)
        ]


def train(run: TrainingRun) -> None:
    """Train from step `done` to the last step. The step alone is the position in the data.

    Raises: Preempted when a worker was asked to end; every worker has saved then.
    """
    run.meter.begin(run.curve)
    goodput = run.meter.goodput
    if run.section.anomalies.rolls_back and not run.done and not run.saved:
        save(run)  # there must be something to go back to
    while run.done < run.plan.steps:
        if run.monitor.passes(run.done):
            pass_step(run)
        elif (finding := one_step(run)) is not None and not respond(run, finding):
            continue  # training has gone back to an earlier step

        # periodically: the loss on text that is never trained on
        if run.plan.validates(run.done):
            goodput.begin("validation")
            run.heartbeat.beat("validate", run.done)
            held_out = validation_loss(run)
            run.curve.validated(finite.checked(held_out, "the held-out loss", step=run.done, advice=finite.TRAINER))
        run.meter.show(run.curve.last())

        # periodically: a checkpoint
        if run.plan.saves(run.done):
            goodput.begin("checkpoint")
            save(run)
        if run.must_end and run.done < run.plan.steps:
            end_early(run)
        goodput.finished(run.done, last=run.done == run.plan.steps)
    run.heartbeat.beat("save", run.done)
    goodput.begin("checkpoint")
    check_weights(run.engine, run.done)
    run.meter.close()


def one_step(run: TrainingRun) -> Finding | None:
    """Every worker accumulates the gradient of its rows, the gradients are summed, and the weights are updated once.

    Returns what is wrong with the batch, if anything is; unless it is only recorded, no weight has changed then.
    """
    engine, plan, setting, loss_module = run.engine, run.plan, run.engine.setting, run.engine.loss_module
    run.meter.goodput.begin("data_wait", step=run.done)
    run.heartbeat.beat("data", run.done)
    batch, targets = run.feed.batch(run.done, setting.device, rank=setting.rank, worker_rows=plan.worker_rows)
    run.meter.goodput.begin("compute", step=run.done)
    run.heartbeat.beat("wait", run.done)
    # whole numbers: their sum is the same in any order
    counts = torch.tensor([targets.item(), run.stop.requested, not run.checkpoints.has_arrived], dtype=torch.float32)
    counts = engine.total(counts.to(setting.device))
    target_count = counts[0].clamp_min(1)
    run.heartbeat.beat("compute", run.done)
    if run.feed.begins_streams(run.done):
        loss_module.carried.clear()
    carried = dict(loss_module.carried)

    loss = torch.zeros((), device=setting.device)
    for index in range(plan.micro_batches):
        rows = slice(index * plan.micro_rows, (index + 1) * plan.micro_rows)
        loss_module.slot = index
        if plan.leaves:  # dropout must not depend on which worker computes a micro-batch
            random_state.seed_leaf(run.seed, run.done, setting.rank * plan.micro_batches + index)
        last = index == plan.micro_batches - 1
        loss += engine.backward(
            {name: tensor[rows] for name, tensor in batch.items()}, scale=1 / target_count, last=last
        )
    verdict = Verdict(run, loss, counts)
    _, rate = engine.step(run.done, factor(run.done, plan.steps, run.section.schedule), verdict)

    if not verdict.accepts:
        loss_module.carried = carried  # what the batch left may not be finite
    numbers = run.feed.numbers(run.done)
    run.done += 1
    run.curve.add(
        step=run.done, loss=finite.or_none(verdict.mean), learning_rate=rate,
        gradient_norm=finite.or_none(verdict.norm), rows=batches.fingerprint(numbers),
    )  # fmt: skip
    if not verdict.still_uploading and (size := run.checkpoints.complete()):
        run.meter.saved(run.saved, size_bytes=size, seconds=run.save_seconds)
    return verdict.finding


class Verdict:
    """Whether the weights may be updated: asked by the engine, once a step, when the gradient is known.

    Every worker comes to the same one, from the same numbers: the loss of all, and the norm that worker 0 computed,
    whose last bits may differ on another kind of processor.
    """

    def __init__(self, run: TrainingRun, loss: Tensor, counts: Tensor) -> None:
        self.run, self.loss, self.counts = run, loss, counts
        self.mean = self.norm = math.nan
        self.still_uploading = False
        self.finding: Finding | None = None

    @property
    def accepts(self) -> bool:
        return self.finding is None or self.finding.action == "record"

    def __call__(self, norm: Tensor) -> bool:
        loss, agreed_norm = self.run.engine.totals(self.loss, norm.to(self.loss))
        mean = loss / self.counts[0].clamp_min(1)
        # one host-device sync a step: the loss and the norm are read here and nowhere else
        numbers = torch.stack([mean, agreed_norm, self.counts[1], self.counts[2]]).tolist()
        self.mean, self.norm, self.run.must_end, self.still_uploading = *numbers[:2], numbers[2] > 0, numbers[3] > 0
        self.finding = self.run.monitor.judge(self.mean, self.norm)
        return self.accepts


@torch.no_grad()
def validation_loss(run: TrainingRun) -> float:
    """Nats a target over held-out rows, spread evenly over the split; the same rows every time."""
    engine, setting, held_out = run.engine, run.engine.setting, run.feed.held_out
    rows, group = len(held_out), engine.loss_module.objective.group
    count = min(rows, max(group, run.section.validate_tokens // held_out.tokens.shape[1]))
    numbers = np.arange(count) * rows // count
    # every worker makes the same number of calls (ZeRO 3 communicates in each): the last ones may get empty rows
    worker_rows = -(-count // (setting.world * group)) * group
    if run.plan.leaves:  # the same micro-batches at any number of workers
        worker_rows = -(-count // (setting.world * run.plan.micro_rows)) * run.plan.micro_rows
    engine.loss_module.eval()
    sums = torch.zeros(2, device=setting.device)
    losses: list[float] = []
    own_rows = batches.share(numbers, rank=setting.rank, worker_rows=worker_rows)
    for first in range(0, worker_rows, run.plan.micro_rows):
        batch, targets = run.feed.validation(own_rows[first : first + run.plan.micro_rows], setting.device)
        loss = engine.forward(batch).float()
        sums += torch.stack([loss, targets.float().to(setting.device)])
        losses += [float(loss)] if run.plan.leaves else []
    engine.loss_module.train()
    total, target_count = engine.total(sums).tolist()
    if run.plan.leaves:
        total = exact_sum(losses)
    return float(total / max(target_count, 1))


def pass_step(run: TrainingRun) -> None:
    """A step that a roll-back gave up: nothing is read or computed, and no weight changes."""
    run.meter.goodput.begin("compute", step=run.done)
    requests = torch.tensor([run.stop.requested, not run.checkpoints.has_arrived], dtype=torch.float32)
    must_end, still_uploading = run.engine.total(requests.to(run.engine.setting.device)).tolist()
    numbers = run.feed.numbers(run.done)
    rate = run.engine.optimizer.set_step(run.done, factor(run.done, run.plan.steps, run.section.schedule))
    run.done += 1
    run.curve.add(step=run.done, learning_rate=rate, rows=batches.fingerprint(numbers))
    run.must_end = must_end > 0
    if not still_uploading and (size := run.checkpoints.complete()):
        run.meter.saved(run.saved, size_bytes=size, seconds=run.save_seconds)


def save(run: TrainingRun) -> None:
    """Write a checkpoint after `done` steps: every worker its file. It is complete once all have arrived."""
    run.heartbeat.beat("save", run.done)
    began = time.monotonic()
    check_weights(run.engine, run.done)
    rank = run.engine.setting.rank
    state = {"engine": run.engine.state(), "carried": run.carried_rows()}
    if not rank:
        state |= {"curve": run.curve.columns, "goodput": run.meter.goodput.saved(), "monitor": run.monitor.saved()}
    size = run.checkpoints.save(run.done, state, numerics=run.numerics, gather=gather)
    run.saved, run.save_seconds = run.done, time.monotonic() - began
    if run.checkpoints.is_complete:
        run.meter.saved(run.saved, size_bytes=size, seconds=run.save_seconds)


def end_early(run: TrainingRun) -> None:
    """A worker was asked to end: save, wait until the checkpoint is complete, and end in every worker.

    Raises: Preempted, always.
    """
    if run.saved != run.done:
        save(run)
    run.checkpoints.wait(gather)
    run.meter.close()
    raise preempted(run.stage, run.done)
