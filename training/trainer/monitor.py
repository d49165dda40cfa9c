"""Finds batches whose loss or gradient is not finite, or a spike: from two numbers a step, before the weights change.

A spike is a robust z-score above `threshold`: (value − median) / (1.4826 × median absolute deviation) over the last
`window` steps, of the loss and of the logarithm of the gradient's norm. 128 steps and 6 deviations are the defaults of
OLMo-core's SkipStepOptimizer, whose mean and deviation one outlier moves and one NaN breaks; the robust score is that
of Iglewicz and Hoaglin (1993). The deviation counts as at least 1 % of the median loss and 0.1 of the logarithm, so
that an even curve has no spikes of nothing. Cost: the medians of 128 numbers, about 0.1 ms a step.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.core.errors import StageFailed
from pipeline.core.order import TrainingAnomaly
from training.finite import TRAINER
from training.section import Anomalies, AnomalyAction

TINY = 1e-12  # the least deviation
NORMAL = 1.4826  # of a normal distribution: standard deviations in a median absolute deviation, inverted
LEAST_LOSS, LEAST_LOG_NORM = 0.01, 0.1  # the least deviation: a share of the median loss; of the logarithm of the norm
ADVICE = "Or leave its rows out (pretrain.skip_rows), or write skip or roll_back under pretrain.anomalies."


@dataclass(frozen=True)
class Finding:
    """What is wrong with a batch, and what the section says to do. `value`, `usual`: as in TrainingAnomaly."""

    kind: Literal["not finite", "spike"]
    quantity: Literal["loss", "gradient norm"]
    value: float | None
    usual: float | None
    action: AnomalyAction
    written: str = ""  # the value where it is not finite: "inf", "-inf", "nan"

    def sentence(self, step: int) -> str:
        """ "the loss of step 3 is not a finite number"."""
        if self.value is None or self.usual is None:
            return f"the {self.quantity} of step {step:,} is not a finite number"
        return f"the {self.quantity} of step {step:,} is a spike: {self.value:.4g}, usually {self.usual:.4g}"


class Monitor:
    """The recent losses and norms of a run, and its anomalies so far: the same in every worker; in each checkpoint."""

    def __init__(self, section: Anomalies) -> None:
        self.section = section
        self.losses: deque[float] = deque(maxlen=section.window)
        self.norms: deque[float] = deque(maxlen=section.window)
        self.anomalies: list[TrainingAnomaly] = []

    def judge(self, loss: float, norm: float) -> Finding | None:
        """What is wrong with the batch of these two numbers, which then belong to the recent ones."""
        if not math.isfinite(loss):
            return Finding("not finite", "loss", None, None, self.section.not_finite, str(loss))
        if not math.isfinite(norm):
            return Finding("not finite", "gradient norm", None, None, self.section.not_finite, str(norm))
        finding = self._spike(loss, norm)
        self.losses.append(loss)
        if norm > 0:  # a batch without any target has no gradient
            self.norms.append(norm)
        return finding

    def _spike(self, loss: float, norm: float) -> Finding | None:
        least = self.section.window // 2
        if len(self.losses) >= least:
            usual = statistics.median(self.losses)
            if score(loss, self.losses, least=LEAST_LOSS * abs(usual)) > self.section.threshold:
                return Finding("spike", "loss", loss, usual, self.section.spike)
        if len(self.norms) >= least and norm > 0:
            logs = [math.log(value) for value in self.norms]
            if score(math.log(norm), logs, least=LEAST_LOG_NORM) > self.section.threshold:
                return Finding("spike", "gradient norm", norm, statistics.median(self.norms), self.section.spike)
        return None

    def record(self, anomaly: TrainingAnomaly) -> None:
        """Add an anomaly.

        Raises: StageFailed when more batches were skipped than `most`.
        """
        self.anomalies.append(anomaly)
        acted = sum(entry["action"] != "recorded" for entry in self.anomalies)
        if acted > self.section.most:
            raise StageFailed(
                f"pretrain: step {anomaly['step']:,} is the {acted:,}. that would be skipped, and "
                f"pretrain.anomalies.most is {self.section.most:,}: the {anomaly['quantity']} is "
                f"{'not a finite number' if anomaly['kind'] == 'not finite' else 'a spike'} too often. {TRAINER}"
            )

    def skipped_steps(self) -> set[int]:
        """The steps, from 1, that changed no weight."""
        acting = (entry for entry in self.anomalies if entry["action"] != "recorded")
        return {step for entry in acting for step in range(entry["first"], entry["step"] + 1)}

    def passes(self, step: int) -> bool:
        """Whether step `step` (from 0) was given up by a roll-back, and is not computed."""
        number = step + 1
        return any(entry["first"] <= number <= entry["step"] for entry in self.anomalies if rolled_back(entry))

    def saved(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"losses": list(self.losses), "norms": list(self.norms), "anomalies": self.anomalies}

    def restore(self, saved: Mapping[str, Any] | None, later: Iterable[TrainingAnomaly] = ()) -> None:
        """Go on from a checkpoint, None for one of an earlier release; `later` anomalies are known already."""
        state = saved or {"losses": [], "norms": [], "anomalies": []}
        self.losses = deque(state["losses"], maxlen=self.section.window)
        self.norms = deque(state["norms"], maxlen=self.section.window)
        self.anomalies = [*state["anomalies"], *later]


def rolled_back(anomaly: TrainingAnomaly) -> bool:
    return anomaly["action"] == "rolled back"


def score(value: float, values: Iterable[float], *, least: float) -> float:
    """The robust z-score of a value among others, with a deviation of at least `least`."""
    median, deviation = spread(values)
    return (value - median) / max(deviation, least, TINY)


def spread(values: Iterable[float]) -> tuple[float, float]:
    """The median, and a robust standard deviation: NORMAL times the median distance from it; 0, 0 of no values."""
    numbers = list(values)
    if not numbers:
        return 0.0, 0.0
    median = statistics.median(numbers)
    return median, NORMAL * statistics.median(abs(number - median) for number in numbers)
