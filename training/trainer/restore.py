"""Set a run to the state of a checkpoint: when it resumes, and when it goes back because of a spike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pipeline.core.order import TrainingAnomaly
from training.engines.layout import SavedPieces
from training.models.base import RecurrentState
from training.trainer import random_state
from training.trainer.checkpoint import SavedCheckpoint
from training.trainer.resume import restore_progress
from training.trainer.state_file import StoredTensor

if TYPE_CHECKING:
    from training.trainer.loop import TrainingRun


def restore(run: TrainingRun, saved: SavedCheckpoint, *, later: Iterable[TrainingAnomaly] = ()) -> None:
    """Continue after the checkpoint's last step, from what this worker needs of its files.

    `later`: anomalies that are known of steps after it.
    """
    states = [saved.load(rank) for rank in range(saved.world)]
    run.engine.optimizer.state.clear()  # of what the checkpoint of step 0 has none
    run.engine.load(SavedPieces(state["engine"] for state in states))
    rank, world = run.engine.setting.rank, run.engine.setting.world
    restore_progress(run, saved, None if rank else states[0]["curve"])
    run.monitor.restore(states[0].get("monitor"), later)
    run.feed.skipped.follow(run.monitor.anomalies)
    run.saved = saved.step
    run.engine.loss_module.carried = _carried_states(run, [state["carried"] for state in states])
    if saved.world == world:
        state = dict(states[rank]["random"])
        random_state.set_random_state({name: _loaded(value) for name, value in state.items()})
    else:
        random_state.seed(run.seed + saved.step, 1 + rank)


def saved_seconds(saved: SavedCheckpoint) -> Any:
    """What the checkpoint keeps of the times of its attempt (goodput.py)."""
    return saved.load(0).get("goodput")


def _loaded(value: Any) -> Any:
    return value.load() if isinstance(value, StoredTensor) else value


def _carried_states(run: TrainingRun, carried: list[list[StoredTensor]]) -> dict[int, RecurrentState]:
    """The recurrent states of this worker's rows, cut for its micro-batches, whoever carried them before."""
    if not carried[0]:
        return {}
    plan, setting = run.plan, run.engine.setting
    first = setting.rank * plan.worker_rows
    filled = [parts for parts in carried if parts]  # a worker without rows carries nothing
    states = [_rows_of(parts, first, plan.worker_rows).to(setting.device) for parts in zip(*filled, strict=True)]
    return {
        slot: [state[:, slot * plan.micro_rows :][:, : plan.micro_rows].contiguous() for state in states]
        for slot in range(plan.micro_batches)
    }


def _rows_of(parts: Sequence[StoredTensor], first: int, count: int) -> Tensor:
    """Rows of a batch's state (layers, rows, width) from its parts, each rows × layers × width; zero beyond its end."""
    _, layers, width = parts[0].shape
    rows = torch.zeros(count, layers, width, dtype=parts[0].dtype)
    place = 0
    for part in parts:
        low, high = max(first, place), min(first + count, place + part.shape[0])
        if low < high:
            part.read_into((low - place) * layers * width, rows[low - first : high - first].view(-1))
        place += part.shape[0]
    return rows.transpose(0, 1)
