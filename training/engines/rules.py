"""The base class of optimizers other than AdamW and Muon: how a parameter is updated, in any engine. Loads no torch.

Subclass `UpdateRule` and name the class in the YAML: `optimizer: {my_pkg.optimizers:Lion: {lr: 3.0e-4}}`. The engine
does clipping, the schedule, frozen parameters and checkpoints.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.core.config import Section
from training.engines.section import Decay

if TYPE_CHECKING:
    from torch import Tensor

    from training.models.base import ParameterKind

    StateTensor = Callable[[str], Tensor]


class UpdateRule(ABC):
    """Updates one tensor at a time, elementwise: under ZeRO it is a flat share of several parameters."""

    Options: ClassVar[type[Section]] = Section

    def __init__(self, options: Any) -> None:
        self.options = options

    def rate(self, kind: ParameterKind) -> float:
        """The highest learning rate of a kind of parameter; the schedule multiplies it."""
        return float(self.options.lr)

    def decay(self, kind: ParameterKind) -> float:
        """The weight decay of a kind of parameter: `options.weight_decay`, on matrices alone if it is one number."""
        decay = getattr(self.options, "weight_decay", 0.0)
        if isinstance(decay, Decay):
            return float(getattr(decay, kind))
        return float(decay) if kind == "matrix" else 0.0

    @abstractmethod
    def update(
        self, parameter: Tensor, gradient: Tensor, state: StateTensor, *, lr: float, weight_decay: float, step: int
    ) -> None:
        """Update `parameter` in place, for step number `step` (from 1), without recording a graph.

        state("name") is a tensor like the parameter that starts at zero and is saved in checkpoints; change it in
        place. The rule must not keep any other state.
        """
