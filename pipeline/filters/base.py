"""The base classes of filters. A filter has rules over signals: a rule drops a document whose value is beyond a
threshold. A value equal to the threshold is kept; NaN means that the signal was not measured, so the rule is skipped.

Subclass `Filter`. The signals of `pipeline.kernels.signals` are always measured for every document; a filter may add
its own. Users may also name a plain function of one document ("my_pkg.filters:polite") or, to have options, a subclass
of `DocumentFilter`. Both run once per document, so they are slower by the cost of Python, and are counted like ours.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.core.config import Section
from pipeline.core.draft import Draft
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonValue
from pipeline.core.job import SourceFiles
from pipeline.core.records import to_rows
from pipeline.core.registry import Registry
from pipeline.filters.limits import CHARACTERS, WORDS, limit_fields

Floats = npt.NDArray[np.float64]


class DocumentRow(TypedDict):
    """A document as a filter of the user sees it; `metadata` are pairs of key and value."""

    id: str
    source_id: str
    text: str
    source: str
    url: str | None
    language: str | None
    metadata: list[tuple[str, str]]


KeepFunction = Callable[[DocumentRow], bool | float]
"""Says whether to keep a document, or how good it is, from 0 to 1."""


@dataclass(frozen=True)
class Rule:
    """Drop a document when `signal` is below (min) or above (max) the limit of its language.

    With `keep`, drop it when its language is none of these, whatever the signal, which is only recorded as the value.
    """

    name: str
    signal: str
    side: Literal["min", "max"]
    limits: Mapping[str, float | None]
    keep: frozenset[str] | None = None


class Filter(ABC):
    """A named set of rules; the `name` of the filter in the YAML begins the names of its rules."""

    Options: type[Section] = Section

    def __init__(self, name: str, options: Section) -> None:
        self.name, self.options = name, options

    def build(self, sources: Sequence[SourceFiles], folder: Path) -> None:
        """Write below `folder` what all workers share, from the files that the filters of the configuration name."""
        return

    def load(self, draft: Draft) -> None:
        """Open what `build` wrote, before any document is measured."""
        return

    def signals(self, documents: pa.Table) -> dict[str, Floats]:
        """The signals that this filter measures itself, by column name; the text is already cleaned."""
        return {}

    def signal_names(self) -> Sequence[str]:
        """The names of the columns that `signals` returns, for any documents."""
        return []

    def measured_with(self) -> Callable[[Sequence[Filter], pa.Table], dict[str, Floats]] | None:
        """A function that measures the signals of several filters in one pass; None if this one is measured alone."""
        return None

    @abstractmethod
    def rules(self) -> Sequence[Rule]:
        """The rules in the order in which they are applied: the first that fails is the reason for the drop."""

    def rule(self, option: str, signal: str) -> Rule:
        """The rule of an option named min_… or max_…: its threshold is the value of the option."""
        limits: Mapping[str, float | None] = getattr(self.options, option)
        return Rule(f"{self.name}.{option}", signal, "min" if option.startswith("min_") else "max", limits)


class DocumentFilter(Filter):
    """A filter of the user that looks at one document at a time.

    `keep` may read any option of the filter; if an option changes, every document is measured again.
    """

    least = 0.5  # the smallest score that is kept

    @abstractmethod
    def keep(self, document: DocumentRow) -> bool | float:
        """Say whether to keep a document, or how good it is, from 0 to 1."""

    def signal_names(self) -> Sequence[str]:
        return [self.name]

    def signals(self, documents: pa.Table) -> dict[str, Floats]:
        values = [self._score(document) for document in cast(list[DocumentRow], to_rows(documents))]
        return {self.name: np.array(values, np.float64)}

    def rules(self) -> Sequence[Rule]:
        return [Rule(self.name, self.name, "min", {WORDS: self.least, CHARACTERS: self.least})]

    def _score(self, document: DocumentRow) -> float:
        try:
            value = float(self.keep(document))
        except Exception as error:
            if _is_limit(error, self):
                raise
            message = f"{type(error).__name__}: {error}"
            raise StageFailed(f"filter {self.name}: failed on document {document['id']}: {message}") from error
        if math.isnan(value):
            raise StageFailed(
                f"filter {self.name}: returned NaN for document {document['id']}. Return a bool or a number, 0 to 1."
            )
        return value


class FunctionFilter(DocumentFilter):
    """A plain function of the user as a filter."""

    def __init__(self, name: str, function: KeepFunction) -> None:
        super().__init__(name, Section())
        self.function = function

    def keep(self, document: DocumentRow) -> bool | float:
        return self.function(document)


def build_filter(registry: Registry[Filter], name: str, options: Mapping[str, JsonValue]) -> Filter:
    """The filter that a component of the YAML names; its options were validated when the YAML was read."""
    filter_class = _load(registry, name)
    if isinstance(filter_class, FunctionFilter):
        return filter_class
    return filter_class(name, cast(Section, registry.section(name).model_validate(options)))


def build_measuring_filter(registry: Registry[Filter], name: str, options: Mapping[str, JsonValue]) -> Filter:
    """The filter as the stage `signals` uses it: without the limits of its rules, so that they may change later.

    Reading a limit while measuring is an error (`measure`): a changed limit would leave the signal stale.
    """
    filter_class = _load(registry, name)
    if isinstance(filter_class, FunctionFilter):
        return filter_class
    limits = limit_fields(registry.section(name))
    unset = {limit: {WORDS: None, CHARACTERS: None} for limit in limits}
    section = cast(Section, registry.section(name).model_validate({**options, **unset}))
    for limit in limits:
        del section.__dict__[limit]
    try:
        return filter_class(name, section)
    except AttributeError as error:
        if error.name not in limits:
            raise
        raise _limit_error(name, error) from error


def _load(registry: Registry[Filter], name: str) -> type[Filter] | FunctionFilter:
    """The class of a filter, or a plain function of the user as a filter."""
    code = registry.load(name)
    return code if isinstance(code, type) else FunctionFilter(name, cast(KeepFunction, code))


def measure(measuring: Filter, documents: pa.Table) -> dict[str, Floats]:
    """The signals that the filter measures itself.

    Raises: StageFailed when they depend on a limit of its rules.
    """
    try:
        return measuring.signals(documents)
    except AttributeError as error:
        if _is_limit(error, measuring):
            raise _limit_error(measuring.name, error) from error
        raise


def measure_all(filters: Sequence[Filter], documents: pa.Table) -> dict[str, Floats]:
    """The signals that filters measure themselves; those that share a pass are measured together."""
    signals: dict[str, Floats] = {}
    together: dict[Callable[[Sequence[Filter], pa.Table], dict[str, Floats]], list[Filter]] = {}
    for measuring in filters:
        shared = measuring.measured_with()
        if shared is None:
            signals.update(measure(measuring, documents))
        else:
            together.setdefault(shared, []).append(measuring)
    for shared, group in together.items():
        signals.update(shared(group, documents))
    return signals


def _is_limit(error: Exception, measuring: Filter) -> bool:
    return isinstance(error, AttributeError) and error.name in limit_fields(type(measuring.options))


def _limit_error(name: str, error: AttributeError) -> StageFailed:
    return StageFailed(
        f"filter {name}: its signals read {error.name}, a limit of its rules. Read it only in rules(), or declare it "
        "with another type than Limits: then documents are measured again when its value changes."
    )
