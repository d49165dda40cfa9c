"""The base class of evaluation tasks: a task cuts its work into items, does each in any process and merges the results.

The items must follow from the data and never from the number of workers, and `merge` gets the results in the order of
the items. So the scores have the same bytes for any number of workers (within one numerics class). `worker.py` runs
one item. This module does not import torch until a model is loaded: a task's options may stand in the task's own file,
which `check` imports.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from pipeline.core.config import Section
from pipeline.core.errors import StageFailed
from training.evaluation.held_out import HeldOut

if TYPE_CHECKING:
    from torch import device

    from training.evaluation.initial_model import TrainingStart
    from training.models.base import Model

WorkItem = TypeVar("WorkItem", bound=Mapping[str, object])
ItemResult = TypeVar("ItemResult")
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

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class TaskResult:
    """What a task makes: scores, further files by name (JSON values), and counts for the manifest."""

    scores: list[Score] = field(default_factory=list)
    files: dict[str, object] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """What is evaluated: a saved model, and text that it has not seen. The model is loaded at its first use.

    `training_start`: how its training started (initial_model.py), where that is known.
    """

    folder: Path
    held_out: HeldOut
    device: device
    training_start: TrainingStart | None = None

    @property
    def model(self) -> Model:
        return _load_model(self.folder, self.device)

    @property
    def initial_model(self) -> Model | None:
        """The model before its first step, made again at each access; None where that is not known."""
        if self.training_start is None:
            return None
        from training.evaluation.initial_model import initial_model

        return initial_model(self.folder, self.held_out.tokenizer, self.training_start, self.device)


@lru_cache(maxsize=1)
def _load_model(folder: Path, device: device) -> Model:
    """Cached, because a process of a pool works on many items of one model."""
    from training.models.saved import load

    return load(folder, device=device)


class EvaluationTask(ABC, Generic[WorkItem, ItemResult]):
    """The base of every task. `options` is its section, `seed` the seed of the run."""

    name: str

    def __init__(self, options: Section, seed: int) -> None:
        self.options, self.seed = options, seed

    @abstractmethod
    def cut(self, held_out: HeldOut) -> list[WorkItem]:
        """The items of work, as JSON objects. Each should be worth at least the seconds that a process takes to start.

        Raises: StageFailed when the task cannot be done at all: this is called before any item is worked on.
        """

    @abstractmethod
    def work(self, item: WorkItem, subject: Subject) -> ItemResult:
        """The result of one item, a JSON value. Runs in a process of its own, in fp32, on a fixed number of threads."""

    @abstractmethod
    def merge(self, held_out: HeldOut, results: list[ItemResult]) -> TaskResult:
        """The scores and files of the results, which come in the order of `cut`."""


# of any items and results: only a task itself knows what its own look like
AnyTask: TypeAlias = EvaluationTask[Any, Any]
