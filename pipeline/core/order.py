"""Which rows of tokens each step of a training run saw: what `bloomery trace` asks the stage of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict


class AnomalousRow(TypedDict):
    """A row of an anomalous batch that stands out; `loss` in nats a target, None where it is not finite."""

    row: int
    loss: float | None


class TrainingAnomaly(TypedDict):
    """A batch whose loss or gradient is not finite, or a spike (training/trainer/monitor.py). Steps count from 1.

    `value`: None where it is not finite. `usual`: the median of the steps before it, None where there are too few.
    `first`: the first step that was not used, `step` itself unless training was rolled back. `rows`: those that stand
    out, none if the batch as a whole does. `left_out`: rows that no later step reads.
    """

    step: int
    kind: Literal["not finite", "spike"]
    quantity: Literal["loss", "gradient norm"]
    value: float | None
    usual: float | None
    action: Literal["recorded", "skipped", "rolled back", "stopped"]
    first: int
    rows: list[AnomalousRow]
    left_out: list[int]


@dataclass(frozen=True)
class TrainingOrder:
    """`rows_of(step)`, with steps from 0, gives the global numbers of the training rows in the order of the batch.

    -1 stands for a row that was left out. Raises UserError where that is not what the step saw.
    """

    steps: int
    rows_of: Callable[[int], list[int]]
    anomalies: Sequence[TrainingAnomaly] = ()
