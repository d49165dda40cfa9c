"""The YAML section `dedupe:`; pydantic only, so that `check` and `plan` stay light."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.core.config import Section, alternative
from pipeline.dedupe import METHODS

if TYPE_CHECKING:
    from typing import TypeAlias

    MethodName: TypeAlias = str
else:
    MethodName = alternative(METHODS)


class Dedupe(Section):
    """`method`: `exact` removes texts that are identical to the byte, `normalized` also those that differ only in case,
    white space or compatibility forms, `minhash` also near copies; or "module:Class" of your own.

    A document goes when its Jaccard index with one that stays is `threshold` or more, over shingles of `shingle` units.
    `bands` × `rows` decide which pairs are compared at all: a pair of Jaccard s is with chance 1 − (1 − s^rows)^bands.
    """

    method: MethodName = "minhash"
    threshold: float = Field(0.7, gt=0, le=1)
    bands: int = Field(14, ge=1, le=128)
    rows: int = Field(8, ge=1, le=128)
    shingle: int = Field(5, ge=1, le=64)
