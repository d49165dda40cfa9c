"""The base class of engines: everything that differs between one process, DDP and ZeRO. The trainer uses only this."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor

from pipeline.core.config import Section
from training.engines.layout import EngineState, OwnedTensor, SavedPieces, unsharded
from training.engines.optimizer import Optimizer
from training.engines.rules import UpdateRule
from training.engines.section import Adamw, Muon
from training.objectives.base import LossModule, Tensors
from training.section import Precision

Accepts = Callable[[Tensor], bool]
"""From the norm of the gradient, whether the weights may be updated."""


def always(norm: Tensor) -> bool:
    return True


@dataclass(frozen=True)
class Setting:
    """The settings that all engines share. A worker sums the gradients of `micro_batches` micro-batches a step."""

    device: torch.device
    precision: Precision
    optimizer: Adamw | Muon | UpdateRule
    clip: float
    micro_batches: int
    rank: int
    world: int
    frozen: Mapping[str, int] = field(default_factory=dict)  # parameter → steps in which it is not updated

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.precision == "bf16" else torch.float32


class Engine:
    """Weights are fp32 everywhere and products run under autocast, so that engines agree (README).

    `owned`: the tensors that the optimizer of this worker updates; a checkpoint records those of all workers.
    """

    name: str
    optimizer: Optimizer
    owned: list[OwnedTensor]

    def __init__(self, options: Section, loss_module: LossModule, setting: Setting) -> None:
        self.loss_module = loss_module.to(setting.device)
        self.model = loss_module.model
        self.options = options
        self.setting = setting
        self.optimizer = Optimizer(
            self.model, self.model.kinds(), setting.optimizer, dtype=setting.dtype, clip=setting.clip,
            frozen=setting.frozen,
        )  # fmt: skip

    def forward(self, batch: Tensors) -> Tensor:
        """The summed loss of this worker's micro-batch; every worker must make as many calls."""
        raise NotImplementedError

    def backward(self, batch: Tensors, *, scale: Tensor, last: bool) -> Tensor:
        """Add this micro-batch's gradient, times `scale`; returns the summed loss.

        On the `last` micro-batch of a step the gradients are summed over the workers.
        """
        raise NotImplementedError

    def step(self, number: int, factor: float, accepts: Accepts = always) -> tuple[Tensor, float]:
        """Clip, update the weights if `accepts`, zero the gradient; returns the norm before clipping and the rate.

        `accepts` is called once, in every worker.
        """
        raise NotImplementedError

    def consolidate(self) -> dict[str, Tensor] | None:
        """The complete weights of the model on worker 0; None elsewhere. Every worker must call it."""
        return None if self.setting.rank else dict(self.model.state_dict())

    def state(self) -> EngineState:
        """This worker's share of weights and optimizer state, for a checkpoint."""
        return {"held": [owned.record(self.optimizer.state.get(owned.tensor, {})) for owned in self.owned]}

    def total(self, value: Tensor) -> Tensor:
        """The sum over the workers, in place."""
        if self.setting.world > 1:
            dist.all_reduce(value)
        return value

    def totals(self, loss: Tensor, norm: Tensor) -> Tensor:
        """The loss of all workers, and the norm that worker 0 computed."""
        own_norm = norm if self.setting.rank == 0 else torch.zeros_like(norm)
        return self.total(torch.stack([loss, own_norm]))

    def autocast(self) -> torch.autocast:
        """bf16 products on this device, or nothing in fp32."""
        enabled = self.setting.precision == "bf16"
        return torch.autocast(self.setting.device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)

    def unsharded_parameters(self) -> list[OwnedTensor]:
        """Every trained parameter, owned completely by this worker."""
        parameters = self.model.named_parameters()
        return [OwnedTensor(p, (name,), unsharded(tuple(p.shape)), 0) for name, p in parameters if p.requires_grad]

    def load(self, saved: SavedPieces) -> None:
        """Load the weights and the optimizer's state of a checkpoint; every worker must call it.

        Parameters that the objective does not train keep their initial values, and are in no checkpoint.
        """
        assert saved.names == {name for owned in self.owned for name in owned.names}
        for owned, key, target in self.saved_tensors(saved):
            owned.read_into(saved, key, target)

    def load_copies(self, saved: SavedPieces) -> None:
        """`load` where every worker owns everything: each reads some of the tensors, and sends them to the others."""
        setting = self.setting
        assert saved.names == {name for owned in self.owned for name in owned.names}
        # the largest first, each to the worker with the least to read so far
        tensors = list(self.saved_tensors(saved))
        numbers_read = [0] * setting.world
        reader: dict[int, int] = {}
        for at in sorted(range(len(tensors)), key=lambda at: -tensors[at][2].numel()):
            reader[at] = min(range(setting.world), key=numbers_read.__getitem__)
            numbers_read[reader[at]] += tensors[at][2].numel()
        for at, (owned, key, target) in enumerate(tensors):
            if reader[at] == setting.rank:
                owned.read_into(saved, key, target)
        for at, (_, _, target) in enumerate(tensors if setting.world > 1 else ()):
            dist.broadcast(target, src=reader[at])

    def saved_tensors(self, saved: SavedPieces) -> Iterator[tuple[OwnedTensor, str, Tensor]]:
        """What this worker owns: the tensors, what is saved of each, and where that belongs. In each the same order."""
        for owned in self.owned:
            for key in saved.keys(owned.names[0]):
                if key != "weights":
                    self.optimizer.state[owned.tensor][key] = torch.zeros_like(owned.tensor)
                yield owned, key, owned.tensor.detach() if key == "weights" else self.optimizer.state[owned.tensor][key]
