"""What every cleaner is: text column → text column, one row a document, in the same order.

Subclass `Cleaner` and work on the column (Arrow, Polars, a kernel). A plain function of a user's own, str → str, plugs
in as "my_pkg.cleaners:tidy": it is mapped over the column, slower by the cost of a Python call a document.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from pipeline.core.config import Component, Section
from pipeline.core.errors import StageFailed
from pipeline.core.registry import Registry


class Cleaner(ABC):
    """A pure function of the column: the same text always gives the same text, whatever its neighbours are."""

    Options: type[Section] = Section

    def __init__(self, options: Section) -> None:
        self.options = options

    @abstractmethod
    def clean(self, text: pa.Array) -> pa.Array:
        """The cleaned column, large_string, as long as the one given."""


class Mapped(Cleaner):
    """A user's plain function on one text, mapped over the column."""

    def __init__(self, function: Callable[[str], str], name: str) -> None:
        super().__init__(Section())
        self.function, self.name = function, name

    def clean(self, text: pa.Array) -> pa.Array:
        return pa.array([self._one(item) for item in text.to_pylist()], pa.large_string())

    def _one(self, text: str) -> str:
        found = self.function(text)
        if not isinstance(found, str):
            raise StageFailed(f"cleaner {self.name}: gave {type(found).__name__}, not str. Let it return the text.")
        return found


def cleaner_of(registry: Registry[Cleaner], name: str, options: Mapping[str, Any]) -> Cleaner:
    """The cleaner that a component of the YAML names; its options were checked when the YAML was read."""
    code: Any = registry.load(name)
    if not isinstance(code, type):
        return Mapped(code, name)
    return registry.create(Component(name=name, options=dict(options)))
