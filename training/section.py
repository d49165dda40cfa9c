"""The `pretrain` section of the YAML (pydantic only: `check` and `plan` read this without torch)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from pipeline.core.config import Component, Section, component
from training import engines, models, objectives

Precision = Literal["bf16", "fp32"]


def _family_first(value: Any) -> Any:
    """{family: gpt, layers: 4} is a component whose name is spelled `family`."""
    if isinstance(value, dict) and "family" in value:
        rest = {key: item for key, item in value.items() if key != "family"}
        return {"name": value["family"], **rest}
    return value


def _named(name: str) -> Any:
    """A default that is validated like a user's word, so that its own options are filled in."""
    return name


if TYPE_CHECKING:
    from typing import TypeAlias

    Model: TypeAlias = Component
    Objective: TypeAlias = Component
    Optimizer: TypeAlias = Component
    Schedule: TypeAlias = Component
    Engine: TypeAlias = Component
else:
    Model = Annotated[component(models.SECTIONS), BeforeValidator(_family_first)]
    Objective = component(objectives.SECTIONS)
    Optimizer = component(engines.OPTIMIZERS)
    Schedule = component(engines.SCHEDULES)
    Engine = component(engines.SECTIONS)


class Pretrain(Section):
    """What is trained, on how much, and how. A batch is said once, globally, in tokens: workers never change it.

    `steps` may differ by precision ({bf16: 500, fp32: 150}): what resolves is in the model's numerics.
    `validate_every` and `save_every` are fractions of the steps below 1, steps from 1 on.
    """

    model: Model = _named("gpt")
    objective: Objective = _named("causal")
    steps: PositiveInt | dict[Precision, PositiveInt] = 1000
    batch_tokens: PositiveInt = 16384
    optimizer: Optimizer = _named("adamw")
    schedule: Schedule = _named("wsd")
    engine: Engine = _named("plain")
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    clip: float = Field(1.0, ge=0)  # the largest norm of the whole gradient; 0: no clipping
    validate_every: PositiveFloat = 0.1
    validate_tokens: PositiveInt = 16384  # of the validation split, the same ones every time
    save_every: PositiveFloat = 0.1
    keep: PositiveInt = 2  # checkpoints: the last one is enough to resume, one more survives a bad disk

    @model_validator(mode="after")
    def _every_precision_has_steps(self) -> Pretrain:
        if isinstance(self.steps, dict):
            needed = {"bf16", "fp32"} if self.precision == "auto" else {self.precision}
            if missing := needed - set(self.steps):
                raise ValueError(f"steps has no entry for {' and '.join(sorted(missing))}")
        return self

    def steps_at(self, precision: Precision) -> int:
        """The number of steps at a resolved precision."""
        return self.steps if isinstance(self.steps, int) else self.steps[precision]


def pretrain_params(section: Pretrain, seed: int) -> dict[str, Any]:
    """What enters the fingerprint: the section, and the seed of weights, order and dropout."""
    return {**section.model_dump(mode="json"), "seed": seed}


def batch_problem(section: Pretrain, *, length: int, workers: int) -> str | None:
    """Why this batch cannot be cut into whole rows for every worker, with the nearest that can; None if it can."""
    unit = length * workers
    if section.batch_tokens % unit == 0:
        return None
    nearest = max(1, round(section.batch_tokens / unit)) * unit
    return (
        f"batch_tokens {section.batch_tokens:,} is not a whole number of rows of {length:,} tokens for each of "
        f"{workers} workers; {nearest:,} is."
    )
