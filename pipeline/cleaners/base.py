"""The base class of cleaners: a column of text becomes a column of text, with the same documents in the same order.

Subclass `Cleaner` and process the whole column (Arrow, Polars, a kernel). A plug-in may also be a plain function from
str to str, named in the YAML as "my_pkg.cleaners:tidy"; it is slower, because Python calls it for every document.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.core.config import Component, Section
from pipeline.core.errors import StageFailed
from pipeline.core.registry import Registry

Floats = npt.NDArray[np.float64]


class Cleaned(NamedTuple):
    """A cleaned column, and what the cleaner measured of each document, by the name of the signal."""

    text: pa.Array
    signals: Mapping[str, Floats]


class Cleaner(ABC):
    """A pure function of each text: the result does not depend on the other documents of the column."""

    Options: type[Section] = Section

    def __init__(self, options: Section) -> None:
        self.options = options

    @abstractmethod
    def clean(self, text: pa.Array) -> pa.Array:
        """Return the cleaned column: large_string, of the same length."""

    def signal_names(self) -> Sequence[str]:
        """The names of the signals that `clean_and_measure` returns, for any documents."""
        return []

    def clean_and_measure(self, text: pa.Array) -> Cleaned:
        """Return the cleaned column with the signals of the cleaner; most have none."""
        return Cleaned(self.clean(text), {})


class FunctionCleaner(Cleaner):
    """Applies a plain function of a plug-in to every text of the column."""

    def __init__(self, function: Callable[[str], str], name: str) -> None:
        super().__init__(Section())
        self.function = function
        self.name = name

    def clean(self, text: pa.Array) -> pa.Array:
        return pa.array([self._clean_text(item) for item in text.to_pylist()], pa.large_string())

    def _clean_text(self, text: str) -> str:
        result = self.function(text)
        if not isinstance(result, str):
            raise StageFailed(f"cleaner {self.name}: gave {type(result).__name__}, not str. Let it return the text.")
        return result


def cleaner_of(registry: Registry[Cleaner], name: str, options: Mapping[str, object]) -> Cleaner:
    """Create the cleaner that a component of the YAML names. Its options were validated with the configuration."""
    code: object = registry.load(name)
    if not isinstance(code, type):
        return FunctionCleaner(cast(Callable[[str], str], code), name)
    return registry.create(Component(name=name, options=dict(options)))
