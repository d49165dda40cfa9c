"""What every filter is: signals, and rules over them. A rule drops a document whose value lies beyond its threshold; a
value on the threshold stays, and a value that is NaN was not measured: the rule is skipped.

Subclass `Filter`. The signals of `pipeline.kernels.signals` are measured for every document in any case; a filter adds
those of its own. A plain function of a user's own on one document plugs in as "my_pkg.filters:polite", or, with
options, as a subclass of `DocumentFilter`: mapped over the column, slower by the cost of Python, counted as well.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.core.config import Section
from pipeline.core.errors import StageFailed
from pipeline.core.records import to_rows
from pipeline.core.registry import Registry
from pipeline.filters.limits import CHARACTERS, WORDS, limit_fields

Floats = npt.NDArray[np.float64]
DocumentRow = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """Drop a document when `signal` is below (min) or above (max) the limit of its language."""

    name: str
    signal: str
    side: Literal["min", "max"]
    limits: Mapping[str, float | None]


class Filter(ABC):
    """`name` is what the YAML calls it; it begins the names of its rules."""

    Options: type[Section] = Section

    def __init__(self, name: str, options: Section) -> None:
        self.name, self.options = name, options

    def signals(self, documents: pa.Table) -> dict[str, Floats]:
        """What this filter measures itself, by column name; the text is cleaned already."""
        return {}

    def signal_names(self) -> Sequence[str]:
        """The columns that `signals` gives, known before any document is."""
        return []

    @abstractmethod
    def rules(self) -> Sequence[Rule]:
        """In the order in which they are tried: the first that fails is the reason."""

    def rule(self, option: str, signal: str) -> Rule:
        """The rule of an option called min_… or max_…: its threshold is the option's value."""
        limits: Mapping[str, float | None] = getattr(self.options, option)
        return Rule(f"{self.name}.{option}", signal, "min" if option.startswith("min_") else "max", limits)


class DocumentFilter(Filter):
    """A filter of a user's own that looks at one document: `keep` says yes or no, or how good it is, from 0 to 1.

    `keep` reads any of its options; a changed one measures every document again.
    """

    least = 0.5

    @abstractmethod
    def keep(self, document: DocumentRow) -> bool | float:
        """`document` holds id, source_id, text, source, url, language, and metadata as (key, value) pairs."""

    def signal_names(self) -> Sequence[str]:
        return [self.name]

    def signals(self, documents: pa.Table) -> dict[str, Floats]:
        values = [self._value(document) for document in to_rows(documents)]
        return {self.name: np.array(values, np.float64)}

    def rules(self) -> Sequence[Rule]:
        return [Rule(self.name, self.name, "min", {WORDS: self.least, CHARACTERS: self.least})]

    def _value(self, document: DocumentRow) -> float:
        try:
            value = float(self.keep(document))
        except Exception as error:
            if _is_limit(error, self):
                raise
            what = f"{type(error).__name__}: {error}"
            raise StageFailed(f"filter {self.name}: failed on document {document['id']}: {what}") from error
        if math.isnan(value):
            raise StageFailed(
                f"filter {self.name}: gave no number for document {document['id']}. Return a bool or 0…1."
            )
        return value


class FunctionFilter(DocumentFilter):
    """A user's plain function on one document."""

    def __init__(self, name: str, function: Callable[[DocumentRow], bool | float]) -> None:
        super().__init__(name, Section())
        self.function = function

    def keep(self, document: DocumentRow) -> bool | float:
        return self.function(document)


def build_filter(registry: Registry[Filter], name: str, options: Mapping[str, Any]) -> Filter:
    """The filter that a component of the YAML names; its options were checked when the YAML was read."""
    code: Any = registry.load(name)
    if not _is_class(code):
        return FunctionFilter(name, code)
    created: Filter = code(name, registry.section(name).model_validate(options))
    return created


def build_measuring_filter(registry: Registry[Filter], name: str, options: Mapping[str, Any]) -> Filter:
    """The filter as the stage `signals` uses it: without the limits of its rules, which may change without measuring.

    What reads one of them while it measures fails (`measure`): a changed limit would leave its signal stale.
    """
    code: Any = registry.load(name)
    if not _is_class(code):
        return FunctionFilter(name, code)
    limits = limit_fields(registry.section(name))
    unset = {limit: {WORDS: None, CHARACTERS: None} for limit in limits}
    section = registry.section(name).model_validate({**options, **unset})
    for limit in limits:
        del section.__dict__[limit]
    try:
        created: Filter = code(name, section)
    except AttributeError as error:
        if error.name not in limits:
            raise
        raise _reads_limit(name, error) from error
    return created


def _is_class(code: object) -> bool:
    return isinstance(code, type)


def measure(one: Filter, documents: pa.Table) -> dict[str, Floats]:
    """The filter's own signals.

    Raises: StageFailed when they depend on a limit of its rules.
    """
    try:
        return one.signals(documents)
    except AttributeError as error:
        if _is_limit(error, one):
            raise _reads_limit(one.name, error) from error
        raise


def _is_limit(error: Exception, one: Filter) -> bool:
    return isinstance(error, AttributeError) and error.name in limit_fields(type(one.options))


def _reads_limit(name: str, error: AttributeError) -> StageFailed:
    return StageFailed(
        f"filter {name}: what it measures reads {error.name}, a limit of its rules. Read it in rules() alone, or "
        "declare it with another type than Limits: then a changed value measures again."
    )
