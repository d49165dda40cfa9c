"""The YAML section `dedupe:`; pydantic only, so that `check` and `plan` stay light."""

from __future__ import annotations

from pydantic import Field, field_validator

from pipeline.core.config import Section
from pipeline.core.errors import UserError
from pipeline.dedupe import METHODS


class Dedupe(Section):
    """`method`: `minhash` (which takes equal texts first), `exact`, or "module:Class" of your own.

    A document goes when its Jaccard index with one that stays is `threshold` or more, over shingles of `shingle` units.
    `bands` × `rows` decide which pairs are compared at all: a pair of Jaccard s is with chance 1 − (1 − s^rows)^bands.
    """

    method: str = "minhash"
    threshold: float = Field(0.7, gt=0, le=1)
    bands: int = Field(14, ge=1, le=128)
    rows: int = Field(8, ge=1, le=128)
    shingle: int = Field(5, ge=1, le=64)

    @field_validator("method")
    @classmethod
    def _known(cls, method: str) -> str:
        try:
            METHODS.target(method)
        except UserError as error:
            raise ValueError(str(error)) from error
        return method
