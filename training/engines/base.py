"""What every engine is: all that differs between one process, DDP and ZeRO. The trainer knows nothing else of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from training.engines.optimizer import Optimizer
from training.engines.rules import UpdateRule
from training.engines.section import Adamw, Muon
from training.engines.share import Held, Kept, whole
from training.objectives.base import LossModule, Tensors
from training.section import Precision


@dataclass(frozen=True)
class Setting:
    """Where and how an engine works, whatever the engine. A worker adds up `micro_batches` gradients a step."""

    device: torch.device
    precision: Precision
    optimizer: Adamw | Muon | UpdateRule
    clip: float
    micro_batches: int
    rank: int
    world: int
    resting: Mapping[str, int] = field(default_factory=dict)  # parameter → steps for which it stays as it came

    @property
    def dtype(self) -> torch.dtype:
        return torch.bfloat16 if self.precision == "bf16" else torch.float32


class Engine:
    """Weights are fp32 everywhere and products run under autocast, so that engines agree (README).

    `held` is what the optimizer moves here; a checkpoint is the record of it over all workers.
    """

    name: str
    optimizer: Optimizer
    held: list[Held]

    def __init__(self, options: Any, loss_module: LossModule, setting: Setting, kept: Kept) -> None:
        """`kept` is what `joined` found in a checkpoint, or empty for a fresh start."""
        self.loss_module, self.model, self.options, self.setting = (
            loss_module.to(setting.device),
            loss_module.model,
            options,
            setting,
        )
        if kept:
            # what the objective never reaches stays as it was drawn, and is in no checkpoint
            found = self.model.load_state_dict({name: v["weights"] for name, v in kept.items()}, strict=False)
            trained = {name for name, p in self.model.named_parameters() if p.requires_grad}
            assert not found.unexpected_keys and not trained & set(found.missing_keys)
        self.optimizer = Optimizer(
            self.model, self.model.kinds(), setting.optimizer, dtype=setting.dtype, clip=setting.clip,
            resting=setting.resting,
        )  # fmt: skip

    def forward(self, batch: Tensors) -> Tensor:
        """The summed loss of this worker's micro-batch; every worker must make as many calls."""
        raise NotImplementedError

    def backward(self, batch: Tensors, *, scale: Tensor, last: bool) -> Tensor:
        """Add this micro-batch's gradient, times `scale`; `last` meets the other workers. Returns its summed loss."""
        raise NotImplementedError

    def step(self, number: int, factor: float) -> tuple[Tensor, float]:
        """Clip, move the weights, forget the gradient; returns the gradient's norm before clipping and the rate."""
        raise NotImplementedError

    def consolidate(self) -> dict[str, Tensor] | None:
        """The model's weights, whole, on worker 0; None elsewhere. Every worker must call it."""
        return None if self.setting.rank else dict(self.model.state_dict())

    def state(self) -> dict[str, Any]:
        """This worker's share of weights and optimizer state, for a checkpoint."""
        return {"held": [held.record(self.optimizer.state.get(held.tensor, {})) for held in self.held]}

    def total(self, value: Tensor) -> Tensor:
        """The sum over the workers, in place."""
        if self.setting.world > 1:
            dist.all_reduce(value)
        return value

    def autocast(self) -> torch.autocast:
        """bf16 products on this device, or nothing in fp32."""
        enabled = self.setting.precision == "bf16"
        return torch.autocast(self.setting.device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)

    def whole_parameters(self) -> list[Held]:
        """Every parameter as held by this worker alone."""
        named = self.model.named_parameters()
        return [Held(p, (name,), whole(tuple(p.shape)), 0) for name, p in named if p.requires_grad]

    def restore(self, kept: Kept) -> None:
        """Put a checkpoint's optimizer state where the weights it belongs to are held."""
        for held in self.held if kept else ():
            keys = [key for key in kept[held.names[0]] if key != "weights"]
            self.optimizer.state[held.tensor] = {key: held.restore(kept, key) for key in keys}
