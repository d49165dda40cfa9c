"""PyTorch alone: one process, or DDP over gloo or NCCL. Every worker holds all weights and all optimizer state."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training.engines.base import Engine, Setting
from training.engines.share import Kept
from training.models.layers import IGNORE
from training.objectives.base import Task


class Plain(Engine):
    """See the module. Gradients meet once a step, in buckets, while the last micro-batch is still being computed."""

    name = "plain"

    def __init__(self, options: Any, task: Task, setting: Setting, kept: Kept) -> None:
        super().__init__(options, task, setting, kept)
        self.module: nn.Module = self.task
        # every worker holds the same: one copy in a checkpoint is enough
        self.held = self.whole_parameters()
        self.restore(kept)
        if setting.world > 1:
            self.module = DistributedDataParallel(self.task, gradient_as_bucket_view=True)
            self._settle_buckets()

    def _settle_buckets(self) -> None:
        """DDP orders its buckets anew after its first step; from three workers on, that order decides the last bits.

        Without this step on nothing, the first step after a resume would differ from the one it repeats.
        """
        nothing = torch.zeros((1, 2), dtype=torch.long, device=self.setting.device)
        for _ in range(2):
            self.module(nothing, torch.full_like(nothing, IGNORE)).backward()
        self.optimizer.zero_grad()

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        with self.autocast():
            loss: Tensor = self.task(inputs, targets)
        return loss

    def backward(self, inputs: Tensor, targets: Tensor, *, scale: Tensor, last: bool) -> Tensor:
        waits = isinstance(self.module, DistributedDataParallel) and not last
        with self.module.no_sync() if waits else contextlib.nullcontext():  # type: ignore[operator]
            with self.autocast():
                loss: Tensor = self.module(inputs, targets)
            # DDP averages over workers; the loss is a sum over all of them
            (loss * scale * self.setting.world).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def step(self, number: int, factor: float) -> tuple[Tensor, float]:
        # an infinite bound measures and does not clip
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.setting.clip or float("inf"))
        rate = self.optimizer.at(number, factor)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return norm, rate

    def state(self) -> dict[str, Any]:
        return {"held": []} if self.setting.rank else super().state()
