"""What all workers do together besides training: exchange a number, and check their weights."""

from __future__ import annotations

import math

import torch
import torch.distributed as dist

from training import finite
from training.engines.base import Engine


def gather(number: int) -> list[int]:
    """The numbers of all workers, by rank."""
    numbers = [number] * dist.get_world_size()
    if len(numbers) > 1:
        dist.all_gather_object(numbers, number)
    return numbers


def exact_sum(values: list[float]) -> float:
    """The sum of the values of all workers, rounded once: the same in any order and at any number of workers."""
    of_rank = [values] * dist.get_world_size()
    if len(of_rank) > 1:
        dist.all_gather_object(of_rank, values)
    return math.fsum(value for rank_values in of_rank for value in rank_values)


def check_weights(engine: Engine, step: int) -> None:
    """Check the weights of every worker after `step` steps, in one pass; if any is not finite, all stop together.

    Raises: StageFailed when a weight is infinite or not a number.
    """
    is_wrong = not finite.all_finite(parameter.tensor.detach() for parameter in engine.owned)
    if engine.total(torch.tensor(float(is_wrong), device=engine.setting.device)).item():
        raise finite.diverged(step, finite.TRAINER)
