"""Which rows of tokens each step of a training run saw: what `bloomery trace` asks the stage of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingOrder:
    """`rows_of(step)`, with steps from 0, gives the global numbers of the training rows in the order of the batch.

    Raises UserError where that is not what the step saw.
    """

    steps: int
    rows_of: Callable[[int], list[int]]
