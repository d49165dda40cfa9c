"""The `pretrain` section of the YAML (pydantic only: `check` and `plan` read this without torch)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)

from pipeline.core.config import MAPPING, VALUE, VALUE_OR_SECTION, Component, Section, UserPath, component
from pipeline.core.files import JsonValue
from training import augment, engines, models, objectives
from training.family_defaults import family_as_name, fill_family_defaults
from training.mixture import Mixture

Precision = Literal["bf16", "fp32"]
STEPS = 1000

Steps = Annotated[
    Annotated[PositiveInt, Tag(VALUE)] | Annotated[dict[Precision, PositiveInt], Tag(MAPPING)], VALUE_OR_SECTION
]
"""A number of steps, or one for each precision."""


def _default(name: str) -> Component:
    """A default that is validated like a user's value, so that its own options are filled in."""
    return cast(Component, name)


if TYPE_CHECKING:
    from typing import TypeAlias

    Model: TypeAlias = Component
    Objective: TypeAlias = Component
    Optimizer: TypeAlias = Component
    Schedule: TypeAlias = Component
    Engine: TypeAlias = Component
    Augmentation: TypeAlias = Component
else:
    Model = Annotated[component(models.FAMILIES), BeforeValidator(family_as_name)]
    Objective = component(objectives.OBJECTIVES)
    Optimizer = component(engines.OPTIMIZERS)
    Schedule = component(engines.SCHEDULES)
    Engine = component(engines.ENGINES)
    Augmentation = component(augment.AUGMENTATIONS)


class InitEmbeddings(Section):
    """Start from embeddings that another run learned: `artifact` is the folder of a word2vec or glove artifact."""

    artifact: UserPath
    freeze_steps: NonNegativeInt = 0  # for which the embedding is not trained
    least_coverage: float = Field(0.5, ge=0, le=1)  # the share of training tokens that must have a vector


AnomalyAction = Literal["record", "stop", "skip", "roll_back"]


class Anomalies(Section):
    """What is done about a batch whose loss or gradient is not finite, or a spike (trainer/monitor.py).

    `skip`: its step changes no weight. `roll_back`: nor do the `back` steps before it, as if their batches had never
    been read (PaLM, arXiv 2204.02311, went back about 100 steps). All workers agree before the weights change. After
    `most` such batches training stops. Whatever is done, a batch is recorded with the rows that stand out in it.
    """

    not_finite: Literal["stop", "skip", "roll_back"] = "skip"
    spike: AnomalyAction = "record"
    threshold: float = Field(default=6.0, ge=2)  # deviations above the median of the window
    window: int = Field(default=128, ge=8, le=100_000)  # steps; no spike is found before half of it
    back: NonNegativeInt = 100
    most: NonNegativeInt = 10

    @property
    def rolls_back(self) -> bool:
        return "roll_back" in (self.not_finite, self.spike)


def rows_of_file(value: JsonValue) -> JsonValue:
    """The row numbers in a file, one a line; what follows a # is a remark. Anything but a path is returned as it is.

    Raises: ValueError with the file's name and line.
    """
    if not isinstance(value, str):
        return value
    path = Path(value).expanduser()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{value} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip().replace(",", "")
        if text and not text.isascii() or text and not text.isdigit():
            raise ValueError(f"{value}:{number}: {text[:40]!r} is no row number. Write one number a line.")
        rows += [int(text)] if text else []
    return rows


RowNumber = Annotated[int, Field(ge=0, lt=1 << 63)]
SkipRows = Annotated[list[RowNumber], BeforeValidator(rows_of_file), AfterValidator(lambda rows: sorted(set(rows)))]
"""Numbers of rows, or a file of them; sorted, each once."""


class Pretrain(Section):
    """What is trained, on how much, and how. `batch_tokens` is the batch of all workers together.

    `steps` may differ by precision ({bf16: 500, fp32: 150}); the model's numerics name the one that was used. `epochs`
    gives the number of passes over the rows instead. Below 1, `validate_every` and `save_every` are fractions of the
    steps; from 1 on, they are steps. Objective, optimizer, schedule and engine default to those of the family
    (families.py).
    """

    model: Model = _default("gpt")
    objective: Objective = _default("causal")
    steps: Steps | None = None
    epochs: PositiveFloat | None = None
    batch_tokens: PositiveInt = 16384
    optimizer: Optimizer = _default("adamw")
    schedule: Schedule = _default("wsd")
    engine: Engine = _default("plain")
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    clip: float = Field(1.0, ge=0)  # the largest norm of the whole gradient; 0: no clipping
    validate_every: PositiveFloat = 0.1
    validate_tokens: PositiveInt = 16384  # of the validation split, the same ones every time
    save_every: PositiveFloat = 0.1
    keep: PositiveInt = 2  # checkpoints: one is enough to resume, a second protects against a bad disk
    mixture: Mixture | None = None  # shares of sources and languages; None: every row once an epoch
    document_mask: bool = False  # no token sees another document of its row, and positions restart in each
    augment: list[Augmentation] = []  # of training rows, in this order
    init: UserPath | None = None  # the folder of a model artifact to start from
    init_embeddings: InitEmbeddings | None = None
    reduction: Literal["engine", "tree"] = "engine"  # how gradients are summed over workers (engines/README)
    micro_batches: PositiveInt | None = None  # of a step of all workers, under reduction: tree; None: 8
    anomalies: Anomalies = Anomalies()
    skip_rows: SkipRows = []  # training rows to leave out, by their numbers (`bloomery trace`), or a file of them

    @model_validator(mode="before")
    @classmethod
    def _apply_family_defaults(cls, value: JsonValue) -> JsonValue:
        return fill_family_defaults(value) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _every_precision_has_steps(self) -> Pretrain:
        if isinstance(self.steps, dict):
            needed = {"bf16", "fp32"} if self.precision == "auto" else {self.precision}
            if missing := needed - set(self.steps):
                raise ValueError(f"steps has no entry for {' and '.join(sorted(missing))}")
        return self

    @model_validator(mode="after")
    def _one_duration(self) -> Pretrain:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("write steps or epochs, not both")
        return self

    def steps_at(self, precision: Precision, *, rows: int, batch_rows: int) -> int:
        """The number of steps at a resolved precision, over so many rows."""
        if self.epochs is not None:
            return max(1, round(self.epochs * rows / batch_rows))
        steps = STEPS if self.steps is None else self.steps
        return steps if isinstance(steps, int) else steps[precision]
