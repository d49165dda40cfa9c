"""The `evaluate` section of the YAML (pydantic only: `check` and `plan` read this without torch)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from pipeline.core.config import Component, Section, component
from training import evaluation


class Perplexity(Section):
    """Loss, perplexity and bits per byte on the validation split, beside what `xz -9` needs; no options."""


class Sampling(Section):
    """How a token is drawn: temperature 0 takes the likeliest, else `top_k` first, then `top_p` of what is left."""

    tokens: PositiveInt = 128
    temperature: NonNegativeFloat = 0.8
    top_k: PositiveInt | None = 50
    top_p: float = Field(default=0.95, gt=0, le=1)


class Samples(Sampling):
    """Text that the model writes on; without `prompts`, how `per_language` held-out documents of a language begin."""

    prompts: list[str] | None = None
    per_language: PositiveInt = 2


if TYPE_CHECKING:
    from typing import TypeAlias

    Task: TypeAlias = Component
else:
    Task = component(evaluation.SECTIONS)


def _named(*names: str) -> Any:
    """Defaults that are validated like a user's words, so that their own options are filled in."""
    return list(names)


class Evaluate(Section):
    """What is measured, in this order; each task once."""

    tasks: list[Task] = Field(default=_named("perplexity", "samples"), min_length=1)

    @model_validator(mode="after")
    def _once_each(self) -> Evaluate:
        names = [task.name for task in self.tasks]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"tasks names {' and '.join(sorted(repeated))} twice; write each task once")
        return self


def evaluate_params(section: Evaluate, seed: int) -> dict[str, Any]:
    """What enters the fingerprint: the section, and the seed if something is drawn (perplexity draws nothing)."""
    params: dict[str, Any] = section.model_dump(mode="json")
    drawn = any(task.name != "perplexity" for task in section.tasks)
    return {**params, "seed": seed} if drawn else params
