"""PyTorch alone: one process, or DDP over gloo or NCCL. Every worker holds all weights and all optimizer state."""

from __future__ import annotations

import contextlib

import numpy as np
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training.engines import section
from training.engines.base import Accepts, Engine, Setting, always
from training.engines.layout import EngineState, SavedPieces
from training.engines.optimizer import total_norm
from training.objectives.base import LossModule, Tensors


class Plain(Engine):
    """See the module. Gradients are reduced in buckets, while the rest of a micro-batch is still being computed."""

    name = "plain"

    def __init__(self, options: section.Plain, loss_module: LossModule, setting: Setting) -> None:
        super().__init__(options, loss_module, setting)
        self.module: nn.Module = self.loss_module
        # every worker has the same: one copy in a checkpoint is enough
        self.owned = self.unsharded_parameters()
        # On a CPU the gradients of every micro-batch are reduced, as in ZeRO 2 and 3: the order of a sum decides its
        # last bits, and so the engines agree to the bit. On GPUs, where they cannot, each worker first sums its own.
        self.sums_locally = setting.world == 1 or setting.device.type != "cpu"
        self.sums: dict[Tensor, Tensor] = {}
        if setting.world > 1:
            self.module = DistributedDataParallel(self.loss_module, gradient_as_bucket_view=True)
            self._build_buckets()

    def _build_buckets(self) -> None:
        """DDP rebuilds its buckets after its first step; with three workers or more, their order decides the last bits.

        Without this step on an empty batch, the first step after a resume would differ from the one it repeats.
        """
        rows = self.loss_module.objective.group
        lengths = np.zeros(rows, np.int64)
        keys = lengths.astype(np.uint64)
        batch, _ = self.loss_module.objective.batch(np.zeros((rows, 2), np.int64), lengths, keys)
        for _ in range(2):
            self.module(**{name: tensor.to(self.setting.device) for name, tensor in batch.items()}).backward()
        self.loss_module.carried.clear()
        self.optimizer.zero_grad()

    def forward(self, batch: Tensors) -> Tensor:
        with self.autocast():
            loss: Tensor = self.loss_module(**batch)
        return loss

    def backward(self, batch: Tensors, *, scale: Tensor, last: bool) -> Tensor:
        waits = self.sums_locally and not last and isinstance(self.module, DistributedDataParallel)
        with self.module.no_sync() if waits else contextlib.nullcontext():  # type: ignore[operator]
            with self.autocast():
                loss: Tensor = self.module(**batch)
            # DDP averages over workers; the loss is a sum over all of them
            (loss * scale * self.setting.world).backward()  # type: ignore[no-untyped-call]
        if not self.sums_locally and self.setting.micro_batches > 1:
            self._accumulate(last)
        return loss.detach()

    def _accumulate(self, last: bool) -> None:
        """Sum gradients that are already reduced over the workers."""
        for p in self.model.parameters():
            if not p.requires_grad:
                continue
            assert p.grad is not None
            reduced = p.grad
            p.grad = None
            self.sums[p] = reduced.clone() if p not in self.sums else self.sums[p].add_(reduced)
            if last:
                p.grad = self.sums.pop(p)

    def step(self, number: int, factor: float, accepts: Accepts = always) -> tuple[Tensor, float]:
        norm = total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
        self.optimizer.norm = lambda: norm
        rate = self.optimizer.set_step(number, factor)
        if accepts(norm):
            self.optimizer.step()
        self.optimizer.zero_grad()
        return norm, rate

    def load(self, saved: SavedPieces) -> None:
        self.load_copies(saved)

    def state(self) -> EngineState:
        return {"held": []} if self.setting.rank else super().state()
