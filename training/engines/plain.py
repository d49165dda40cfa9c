"""PyTorch alone: one process, or DDP over gloo or NCCL. Every worker holds all weights and all optimizer state."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training.engines.base import Engine, Setting
from training.engines.optimizer import total_norm
from training.engines.share import Kept
from training.objectives.base import LossModule, Tensors


class Plain(Engine):
    """See the module. Gradients meet in buckets, while the rest of a micro-batch is still being computed."""

    name = "plain"

    def __init__(self, options: Any, loss_module: LossModule, setting: Setting, kept: Kept) -> None:
        super().__init__(options, loss_module, setting, kept)
        self.module: nn.Module = self.loss_module
        # every worker holds the same: one copy in a checkpoint is enough
        self.held = self.whole_parameters()
        self.restore(kept)
        # On a CPU every micro-batch's gradients meet, as in ZeRO 2 and 3: the order of a sum decides its last bits, and
        # so the engines agree to the bit. On GPUs, where that is not to be had, each worker adds up its own.
        self.adds_up_here = setting.world == 1 or setting.device.type != "cpu"
        self.sums: dict[Tensor, Tensor] = {}
        if setting.world > 1:
            self.module = DistributedDataParallel(self.loss_module, gradient_as_bucket_view=True)
            self._settle_buckets()

    def _settle_buckets(self) -> None:
        """DDP orders its buckets anew after its first step; from three workers on, that order decides the last bits.

        Without this step on nothing, the first step after a resume would differ from the one it repeats.
        """
        rows = self.loss_module.objective.group
        none = np.zeros(rows, np.int64)
        batch, _ = self.loss_module.objective.batch(np.zeros((rows, 2), np.int64), none, none.astype(np.uint64))
        for _ in range(2):
            self.module(**{name: tensor.to(self.setting.device) for name, tensor in batch.items()}).backward()
        self.loss_module.carried.clear()
        self.optimizer.zero_grad()

    def forward(self, batch: Tensors) -> Tensor:
        with self.autocast():
            loss: Tensor = self.loss_module(**batch)
        return loss

    def backward(self, batch: Tensors, *, scale: Tensor, last: bool) -> Tensor:
        waits = self.adds_up_here and not last and isinstance(self.module, DistributedDataParallel)
        with self.module.no_sync() if waits else contextlib.nullcontext():  # type: ignore[operator]
            with self.autocast():
                loss: Tensor = self.module(**batch)
            # DDP averages over workers; the loss is a sum over all of them
            (loss * scale * self.setting.world).backward()  # type: ignore[no-untyped-call]
        if not self.adds_up_here and self.setting.micro_batches > 1:
            self._add_up(last)
        return loss.detach()

    def _add_up(self, last: bool) -> None:
        """Sum gradients that have met already."""
        for p in self.model.parameters():
            if not p.requires_grad:
                continue
            assert p.grad is not None
            met, p.grad = p.grad, None
            self.sums[p] = met.clone() if p not in self.sums else self.sums[p].add_(met)
            if last:
                p.grad = self.sums.pop(p)

    def step(self, number: int, factor: float) -> tuple[Tensor, float]:
        norm = total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
        self.optimizer.norm = lambda: norm
        rate = self.optimizer.at(number, factor)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return norm, rate

    def state(self) -> dict[str, Any]:
        return {"held": []} if self.setting.rank else super().state()
