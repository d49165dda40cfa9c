"""What the benchmarks of training share: a step of our trainer in this process, and taking turns with a peer.

They take turns, so that a busy machine slows both; a figure is the median of the rounds, a ratio the median of the
rounds' ratios.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.core.config import Component
from training import engines
from training.engines import device
from training.engines.base import Setting
from training.families import order_of
from training.models.base import Model
from training.objectives.base import LossModule, Objective
from training.section import Precision, Pretrain
from training.trainer.checkpoint import Checkpoints
from training.trainer.checkpoint_places import FolderPlace
from training.trainer.feed import Feed
from training.trainer.loop import TrainingRun, one_step
from training.trainer.meter import Curve, SilentMeter
from training.trainer.monitor import Monitor
from training.trainer.packed_rows import PackedRows
from training.trainer.step_plan import plan_steps

CPU = torch.device("cpu")

Step = Callable[[int], object]


def trainer_step(
    section: Pretrain, model: Model, objective: Objective, rows: NDArray[Any] | PackedRows, precision: Precision
) -> Step:
    """The trainer's own step, all of it: rows from the stream, objective, engine, clipping, curve."""
    split = rows if isinstance(rows, PackedRows) else PackedRows(rows, np.full(len(rows), rows.shape[1], np.int32))
    length = split.tokens.shape[1]
    cut = plan_steps(
        section, length=length, rows=len(rows), world=1, micro_tokens=device.micro_batch_tokens(CPU),
        precision=precision, group=objective.group,
    )  # fmt: skip
    order = order_of(model.family, section.objective.name)
    module = LossModule(model, objective)
    module.carries = model.carries and order == "streams"
    optimizer = engines.OPTIMIZERS.create(section.optimizer)
    setting = Setting(CPU, precision, optimizer, section.clip, cut.micro_batches, 0, 1)
    engine = engines.ENGINES.create(Component(name="plain"), module, setting)
    feed = Feed(split, split, objective, (), order, cut.batch_rows, 17, section.document_mask)
    checkpoints = Checkpoints(FolderPlace(Path(tempfile.gettempdir())), attempt=1, rank=0, keep=1)
    monitor = Monitor(section.anomalies)
    state = TrainingRun(section, cut, engine, feed, Curve(), SilentMeter(), checkpoints, {}, 17, monitor)
    return lambda number: one_step(state)


def speeds(steps: Mapping[str, Step], *, tokens: int, rounds: int, steps_a_round: int) -> dict[str, list[float]]:
    """Tokens a CPU-second of each in every round, in turn, after one step of `tokens` tokens to warm up."""
    for step in steps.values():
        step(0)
    measured: dict[str, list[float]] = {name: [] for name in steps}
    for round_number in range(rounds):
        for name, step in steps.items():
            start = time.process_time()
            for number in range(steps_a_round):
                step(round_number * steps_a_round + number)
            measured[name].append(steps_a_round * tokens / (time.process_time() - start))
    return measured


def compared(measured: Mapping[str, list[float]], ours: str, peer: str = "bare") -> list[object]:
    """Cells of a table: the median of the peer and of ours, the median ratio, and the ratios' range."""
    ratios = sorted(mine / theirs for mine, theirs in zip(measured[ours], measured[peer], strict=True))
    medians = [f"{statistics.median(measured[name]):,.0f}" for name in (peer, ours)]
    return [*medians, statistics.median(ratios), f"{ratios[0]:.2f}–{ratios[-1]:.2f}"]
