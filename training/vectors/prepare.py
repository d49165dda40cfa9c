"""Build a run of word vectors from a worker's spec: rows, learner and tables, at the step of the last checkpoint."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import torch
import torch.distributed as dist

from pipeline.core.errors import UserError
from pipeline.core.numerics import ModelNumerics
from pipeline.core.progress import Progress
from training.engines import device as devices
from training.section import Pretrain
from training.spec import TrainingSpec
from training.trainer.checkpoint import Checkpoint, Checkpoints, SavedCheckpoint
from training.trainer.checkpoint_places import place_of
from training.trainer.meter import Curve, Meter, SilentMeter, goodput_of
from training.trainer.packed_rows import PackedRows, split_rows
from training.trainer.resume import restore_progress
from training.vectors.base import LEARNERS, Learner
from training.vectors.hosts import Hosts
from training.vectors.loop import VectorRun
from training.vectors.shared_tables import SharedTables


def prepare(spec: TrainingSpec, hosts: Hosts) -> VectorRun:
    """Everything that `loop.train` needs; every worker calls it.

    Raises: UserError when there are more workers than blocks.
    """
    section = spec.section
    goodput = goodput_of(spec, torch.device("cpu"), hosts.rank)
    blocks = section.engine.options["blocks"]
    if hosts.world > blocks:
        raise UserError(
            f"pretrain.engine.blocks: {blocks} is too few for {hosts.world} workers. "
            f"Write {hosts.world} or more blocks, or use fewer workers."
        )
    create_learner: Callable[[TrainingSpec, dict[str, PackedRows]], Learner] = LEARNERS.load(section.model.name)
    learner = create_learner(spec, split_rows(spec))
    meter = SilentMeter(goodput) if hosts.rank else Meter(
        spec.metrics, Progress(spec.progress, spec.stage), goodput, steps=learner.plan.steps,
        batch_tokens=section.batch_tokens,
    )  # fmt: skip
    shared_tables = SharedTables(learner.tables, blocks=blocks, hosts=hosts, scratch=spec.scratch)
    checkpoints = Checkpoints(place_of(spec), attempt=spec.attempt, rank=hosts.rank, keep=section.keep)
    numerics = _numerics(section)
    run = VectorRun(section, learner, shared_tables, Curve(), meter, checkpoints, numerics, spec.seed, stage=spec.stage)
    saved = _newest(checkpoints, hosts)
    if saved:
        run.heartbeat.beat("load")
        _resume(run, checkpoints.saved(saved))
    else:
        goodput.resume(None)
    if not saved and hosts.is_leader:
        learner.initialize(shared_tables.matrices())
    hosts.barrier()
    return run


def _numerics(section: Pretrain) -> ModelNumerics:
    """What decides the last bits. Workers do not: blocks do, and they enter the fingerprint."""
    return {
        "device": devices.describe(torch.device("cpu")), "precision": "fp32", "engine": section.engine.name,
        "numba": numba.__version__, "numpy": np.__version__,
    }  # fmt: skip


def _newest(checkpoints: Checkpoints, hosts: Hosts) -> Checkpoint | None:
    """The checkpoint to resume from: worker 0 selects it for all."""
    selected = [None if hosts.rank else checkpoints.newest()]
    dist.broadcast_object_list(selected, src=0, group=hosts.all_workers)
    return selected[0]


def _resume(run: VectorRun, saved: SavedCheckpoint) -> None:
    """Load the tables, the curve and the position of a checkpoint: worker 0's file has all of them."""
    state = saved.load(0)
    if run.shared_tables.hosts.is_leader:
        for name, table in run.shared_tables.matrices().items():
            table[:] = state["tables"][name].load().numpy()[:, : table.shape[1]]
    restore_progress(run, saved, None if run.shared_tables.hosts.rank else state["curve"])
    run.saved = saved.step
    run.meter.goodput.resume(state.get("goodput"))
