"""From what a worker is told to a run in hand: rows, learner and tables, at the step of the last checkpoint."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch

from pipeline.core.errors import UserError
from pipeline.core.progress import Progress
from training.engines import device as devices
from training.section import Pretrain
from training.spec import TrainingSpec
from training.trainer import checkpoint
from training.trainer.meter import Curve, Meter, SilentMeter
from training.trainer.stream import split_rows
from training.vectors.base import LEARNERS, Learner
from training.vectors.exchange import Exchange
from training.vectors.hosts import Hosts
from training.vectors.loop import VectorRun


def prepare(spec: TrainingSpec, hosts: Hosts) -> VectorRun:
    """Everything that `loop.train` needs; every worker calls it.

    Raises: UserError when there are more workers than blocks.
    """
    section = spec.section
    blocks = section.engine.options["blocks"]
    if hosts.world > blocks:
        raise UserError(
            f"pretrain.engine.blocks: {blocks} is too few for {hosts.world} workers. "
            f"Write {hosts.world} or more blocks, or use fewer workers."
        )
    code: Any = LEARNERS.load(section.model.name)
    learner: Learner = code(spec, split_rows(spec))
    meter = SilentMeter() if hosts.rank else Meter(
        spec.metrics, Progress(spec.progress, spec.stage), steps=learner.plan.steps,
        batch_tokens=section.batch_tokens,
    )  # fmt: skip
    exchange = Exchange(learner.tables, blocks=blocks, hosts=hosts, scratch=spec.scratch)
    run = VectorRun(section, learner, exchange, Curve(), meter, spec.folder, _numerics(section),
              spec.seed)  # fmt: skip
    found = checkpoint.newest(run.folder)
    if found:
        _go_on(run, found)
    elif hosts.leads:
        learner.begin(exchange.matrices())
    hosts.meet()
    return run


def _numerics(section: Pretrain) -> dict[str, Any]:
    """What decides the last bits. Workers do not: blocks do, and they enter the fingerprint."""
    return {
        "device": devices.describe(torch.device("cpu")), "precision": "fp32", "engine": section.engine.name,
        "numba": numba.__version__, "numpy": np.__version__,
    }  # fmt: skip


def _go_on(run: VectorRun, found: checkpoint.Checkpoint) -> None:
    """Stand where the checkpoint stood: worker 0's file holds it all."""
    state = found.load(0)
    run.done, run.curve = found.step, Curve(state["curve"])
    if run.exchange.hosts.leads:
        for name, table in run.exchange.matrices().items():
            table[:] = state["tables"][name].numpy()[:, : table.shape[1]]
    before = {key: value for key, value in found.numerics.items() if key != "earlier"}
    if before == run.numerics:
        run.meter.note(f"goes on after step {run.done:,}")
    else:
        changed = ", ".join(f"{key} {before.get(key)} → {now}" for key, now in run.numerics.items()
                            if before.get(key) != now)  # fmt: skip
        run.meter.note(f"goes on after step {run.done:,} with other last bits ({changed}); the same rows in each step")
        earlier = [*found.numerics.get("earlier", []), {**before, "steps": found.step}]
        run.numerics["earlier"] = earlier
