"""The section `embed` of the YAML: a model that gives documents vectors. Pydantic only: `check` and `plan` read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pipeline.core.config import Component, component
from pipeline.core.files import JsonObject
from training.annotation.section import ModelSection, model_params
from training.embedding import EMBEDDERS

if TYPE_CHECKING:
    from typing import TypeAlias

    EmbedderComponent: TypeAlias = Component
else:
    EmbedderComponent = component(EMBEDDERS)


class Embed(ModelSection):
    """A model that gives every document a vector, which `semantic` compares."""

    REGISTRY: ClassVar[str] = "training.embedding:EMBEDDERS"

    model: EmbedderComponent


def embed_params(section: Embed, seed: int) -> JsonObject:
    """What enters the fingerprint."""
    return model_params(section, seed)
