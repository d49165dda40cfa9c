"""The plain engine with gradients summed in a fixed tree: weights have the same bits at any number of workers.

Every worker holds all weights and all optimizer state. The loss of each micro-batch is summed as one more number of its
gradient, so that the curve has the same bits too. Where bits differ by the kind of processor, they still do.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.engines import section
from training.engines.base import Accepts, Engine, Setting, always
from training.engines.layout import EngineState, SavedPieces
from training.engines.optimizer import total_norm
from training.engines.tree_sum import TreeSum
from training.objectives.base import LossModule, Tensors


class Tree(Engine):
    """See the module. `leaves`: the micro-batches of a step of all workers, those beyond them have no rows."""

    name = "plain"

    def __init__(self, options: section.Plain, loss_module: LossModule, setting: Setting, *, leaves: int) -> None:
        super().__init__(options, loss_module, setting)
        self.owned = self.unsharded_parameters()
        self.leaves, self.leaf = leaves, 0
        self.sum = TreeSum(leaves, setting.micro_batches, setting.rank, setting.world)
        self.loss = torch.zeros((), device=setting.device)

    def forward(self, batch: Tensors) -> Tensor:
        with self.autocast():
            loss: Tensor = self.loss_module(**batch)
        return loss

    def backward(self, batch: Tensors, *, scale: Tensor, last: bool) -> Tensor:
        leaf = self.setting.rank * self.setting.micro_batches + self.leaf
        self.leaf = 0 if last else self.leaf + 1
        loss = torch.zeros((), device=self.setting.device)
        if leaf < self.leaves:
            loss = self.forward(batch)
            (loss * scale).backward()  # type: ignore[no-untyped-call]
            self.sum.add(leaf, self._take_gradient(loss.detach().float()))
        if last:
            self._put_gradient(self.sum.total(1 + sum(owned.tensor.numel() for owned in self.owned), self.loss))
        return loss.detach()

    def _take_gradient(self, loss: Tensor) -> Tensor:
        parts = []
        for owned in self.owned:
            gradient = owned.tensor.grad
            parts.append(torch.zeros_like(owned.tensor).view(-1) if gradient is None else gradient.reshape(-1))
            owned.tensor.grad = None
        return torch.cat([*parts, loss.view(1)])

    def _put_gradient(self, total: Tensor) -> None:
        first = 0
        for owned in self.owned:
            count = owned.tensor.numel()
            owned.tensor.grad = total[first : first + count].view_as(owned.tensor)
            first += count
        self.loss = total[first].clone()  # a view would keep all gradients in memory

    def step(self, number: int, factor: float, accepts: Accepts = always) -> tuple[Tensor, float]:
        norm = total_norm([owned.tensor.grad for owned in self.owned if owned.tensor.grad is not None])
        self.optimizer.norm = lambda: norm
        rate = self.optimizer.set_step(number, factor)
        if accepts(norm):
            self.optimizer.step()
        self.optimizer.zero_grad()
        return norm, rate

    def totals(self, loss: Tensor, norm: Tensor) -> Tensor:
        summed = super().totals(loss, norm)
        return torch.stack([self.loss.to(summed), summed[1]])

    def load(self, saved: SavedPieces) -> None:
        self.load_copies(saved)

    def state(self) -> EngineState:
        return {"held": []} if self.setting.rank else super().state()
