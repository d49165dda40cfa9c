"""Finds the rows to which an anomalous batch is due: the batch once more, row by row, with dropout switched off.

Not finite: the rows whose own loss is not, else those whose own gradient is not (not under ZeRO 3, whose weights are
apart). A spike: the rows whose loss stands out among those of the batch. None where only all of them together are
anomalous. Cost: about the forward pass of a step, for each anomaly.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from pipeline.core.order import AnomalousRow
from training import finite
from training.engines.base import Engine
from training.objectives.base import Tensors
from training.trainer import batches
from training.trainer.monitor import LEAST_LOSS, TINY, Finding, spread

if TYPE_CHECKING:
    from training.trainer.loop import TrainingRun

MOST = 32  # rows that are recorded of a batch


def find_rows(run: TrainingRun, step: int, finding: Finding) -> list[AnomalousRow]:
    """The rows of step `step` (from 0) that stand out, the worst first, the same in every worker. All call it."""
    engine, setting, plan = run.engine, run.engine.setting, run.plan
    group = engine.loss_module.objective.group
    batch, counts = run.feed.counted_batch(step, setting.device, rank=setting.rank, worker_rows=plan.worker_rows)
    numbers = batches.share(run.feed.numbers(step), rank=setting.rank, worker_rows=plan.worker_rows).tolist()
    losses: list[tuple[int, float]] = []
    engine.loss_module.eval()
    for first in range(0, plan.worker_rows, group):
        part = {name: tensor[first : first + group] for name, tensor in batch.items()}
        with torch.no_grad():
            loss = float(engine.forward(part)) / max(1, int(counts[first : first + group].sum()))
        if finding.quantity == "gradient norm" and math.isfinite(loss) and not _has_finite_gradient(engine, part):
            loss = math.inf
        losses += [(number, loss) for number in numbers[first : first + group] if number >= 0]
    engine.loss_module.train()
    of_rank = [losses] * setting.world
    if setting.world > 1:
        dist.all_gather_object(of_rank, losses)
    return _standing_out([entry for entries in of_rank for entry in entries], finding, run.section.anomalies.threshold)


def _standing_out(losses: list[tuple[int, float]], finding: Finding, threshold: float) -> list[AnomalousRow]:
    if finding.kind == "not finite":
        rows = [(row, loss) for row, loss in losses if not math.isfinite(loss)]
    else:
        median, deviation = spread(loss for _, loss in losses if math.isfinite(loss))
        least = max(deviation, LEAST_LOSS * abs(median), TINY)
        rows = [(row, loss) for row, loss in losses if not math.isfinite(loss) or loss - median > threshold * least]
        rows.sort(key=lambda entry: (-entry[1], entry[0]))
    return [{"row": row, "loss": finite.or_none(loss)} for row, loss in rows[:MOST]]


def _has_finite_gradient(engine: Engine, batch: Tensors) -> bool:
    """Whether the gradient of these rows alone is finite; True where an engine holds no complete weights."""
    parameters = [p for p in engine.model.parameters() if p.requires_grad]
    if any(hasattr(p, "ds_shape") for p in parameters):
        return True
    with engine.autocast():
        loss = engine.loss_module(**batch)
    # not backward(): the hooks of an engine would take the gradient for one of a step
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return finite.all_finite(gradient for gradient in gradients if gradient is not None)
