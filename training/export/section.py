"""The `export` section of the YAML (pydantic only: `check` and `plan` read this without torch)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from pipeline.core.config import Component, Section, component
from training import export, models


class Huggingface(Section):
    """A folder that `transformers` loads, offline and without remote code; no options."""


if TYPE_CHECKING:
    from typing import TypeAlias

    Format: TypeAlias = Component
else:
    Format = component(export.SECTIONS)


def _named(*names: str) -> Any:
    """Defaults that are validated like a user's words, so that their own options are filled in."""
    return list(names)


class Export(Section):
    """Each format gets a folder of its own name."""

    formats: list[Format] = Field(default=_named("huggingface"), min_length=1)


def shape_problem(section: Export, model: Component) -> str | None:
    """Why a model (`pretrain.model`) cannot be exported in one of the formats; None if it can."""
    if all(one.name != "huggingface" for one in section.formats):
        return None
    options = models.SECTIONS.load(model.name).model_validate(model.options)
    return None if options.exports_as else REFUSED


REFUSED = (
    "no Hugging Face class computes this mixture of norm, positions, mlp and qk_norm. "
    "Write shape: llama, qwen3 or gpt2 and leave those out."
)
