"""The options of `bert` (pydantic only)."""

from __future__ import annotations

from pydantic import Field, PositiveInt, model_validator

from pipeline.core.config import Section


class Bert(Section):
    """A bidirectional transformer encoder as Devlin et al. 2019 (arXiv 1810.04805) have it; always tied."""

    layers: PositiveInt = 4
    heads: PositiveInt = 4
    width: PositiveInt = 256
    hidden: PositiveInt | None = None  # None: 4 × width
    context: PositiveInt | None = None  # longest row with special tokens; None: pack.length and those
    dropout: float = Field(0.1, ge=0.0, lt=1.0)

    @model_validator(mode="before")
    @classmethod
    def _fill_hidden(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("hidden") is None and isinstance(value.get("width", 256), int):
            return {**value, "hidden": 4 * value.get("width", 256)}
        return value

    @model_validator(mode="after")
    def _heads_fit(self) -> Bert:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self
