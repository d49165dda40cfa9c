"""What an evaluation task is: work cut by content alone, done anywhere, merged in order.

`cut` must follow from the data and never from the number of workers, and `merge` gets results in the order of `cut`:
so scores are the same bytes whoever did the work (within one numerics class). The work's files are in `worker.py`.
Loads no torch before a model is asked for: a task's options may stand in its own file, where `check` reads them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.config import Section
from pipeline.core.errors import StageFailed
from training.evaluation.held_out import HeldOut

if TYPE_CHECKING:
    from torch import device

    from training.models.base import Model

Piece = dict[str, Any]
NOT_FINITE = """a result is not a finite number: the model's weights diverged. \
Train it again with a lower optimizer.lr, or with clip."""


@dataclass(frozen=True)
class Score:
    """One figure of `items` documents. `interval`: 95 %, None where it has none; `language`: None for all together.

    Raises: StageFailed when a number is infinite or NaN: no such score is ever compared or drawn.
    """

    task: str
    metric: str
    value: float
    interval: tuple[float, float] | None
    items: int
    language: str | None = None

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.value, *(self.interval or ())))):
            raise StageFailed(f"evaluate: {self.task}: {self.metric}: {NOT_FINITE}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Finding:
    """What a task found: scores, further files by name (JSON values), and counts for the manifest."""

    scores: list[Score] = field(default_factory=list)
    files: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """What is examined: a saved model, and the text that it never saw. The model is loaded when first asked.

    `beginning`: how its training began (beginning.py), where that is known.
    """

    folder: Path
    held_out: HeldOut
    device: device
    beginning: dict[str, Any] | None = None

    @property
    def model(self) -> Model:
        return _loaded(self.folder, self.device)

    @property
    def first(self) -> Model | None:
        """The model before its first step, made anew at each asking; None where that is not known."""
        if self.beginning is None:
            return None
        from training.evaluation.beginning import first_weights

        return first_weights(self.folder, self.held_out.tokenizer, self.beginning, self.device)


@lru_cache(maxsize=1)
def _loaded(folder: Path, where: device) -> Model:
    """Kept for the next piece: a pool's process works on many of one model."""
    from training.models.saved import load

    return load(folder, device=where)


class Task(ABC):
    """A task has one step in three verbs. `options` is its section, `seed` the run's."""

    name: str

    def __init__(self, options: Section, seed: int) -> None:
        self.options, self.seed = options, seed

    @abstractmethod
    def cut(self, held_out: HeldOut) -> list[Piece]:
        """The pieces of work, JSON-able, each worth at least the seconds that a process takes to start."""

    @abstractmethod
    def work(self, piece: Piece, subject: Subject) -> Any:
        """The result of one piece, JSON-able. Runs in a process of its own, in fp32, on fixed threads."""

    @abstractmethod
    def merge(self, held_out: HeldOut, results: list[Any]) -> Finding:
        """Scores from the results, which come in the order of `cut`."""
