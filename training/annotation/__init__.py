"""Models that score documents, by name. A new one is a file with its section, one with its class, and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.core.registry import Registry

if TYPE_CHECKING:
    from training.annotation.base import Scorer

SCORERS: Registry[Scorer] = Registry(
    "annotation model",
    (),
    base="training.annotation.base:Scorer",
    options="training.annotation.options:ScorerOptions",
)
