"""Checks for infinite numbers and NaN: they end a stage at once, since every result that follows would be wrong."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from pipeline.core.errors import StageFailed

TRAINER = "Lower pretrain.optimizer.lr, or clip the gradient to a smaller norm (pretrain.clip)."
VECTORS = "Lower pretrain.optimizer.lr."


def checked(value: float, quantity: str, *, step: int, advice: str) -> float:
    """The value.

    Raises: StageFailed when it is infinite or not a number.
    """
    if not math.isfinite(value):
        raise StageFailed(f"pretrain: {quantity} of step {step:,} is not a finite number ({value}). {advice}")
    return value


def or_none(value: float) -> float | None:
    """The value where it is finite: what JSON and the curve can hold."""
    return value if math.isfinite(value) else None


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether every number is finite: one pass, without a copy of a whole tensor. Integers always are."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors if tensor.is_floating_point())


def diverged(step: int, advice: str) -> StageFailed:
    """The error of weights that hold an infinite number or NaN after `step` steps."""
    return StageFailed(f"pretrain: the weights after step {step:,} are not finite numbers. {advice}")


def check_saved(tensors: Mapping[str, Tensor]) -> None:
    """The last check before a model is written.

    Raises: StageFailed with the name of a tensor that holds an infinite number or NaN.
    """
    for name, tensor in tensors.items():
        if not all_finite([tensor]):
            raise StageFailed(f"pretrain: the weights {name} are not finite numbers: training diverged. {TRAINER}")
