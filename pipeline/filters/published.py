"""The base of published filters: their signals are measured together, in one pass over the text.

Each option min_… or max_… is a rule; `signal_of` says which signal it reads in which reading. A signal of our own
(`pipeline.kernels.signals`) needs no pass; the others are quotients of the counts of `pipeline.kernels.published`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.filters.base import Filter, Floats, Rule
from pipeline.filters.limits import limit_fields

if TYPE_CHECKING:
    from pipeline.kernels.c4_lines import LineRules

Counts = npt.NDArray[np.int64]


class PublishedFilter(Filter):
    """A filter whose rules are published; `quotients` has its own signals: numerator and denominator (None for 1)."""

    measures: ClassVar[int] = 0  # what `pipeline.kernels.published` has to measure

    @abstractmethod
    def signal_of(self, option: str) -> str:
        """The name of the signal that an option limits."""

    @abstractmethod
    def quotients(self) -> Mapping[str, tuple[int, int | None]]:
        """The filter's own signals: indexes of the counts to divide."""

    def line_rules(self) -> LineRules | None:
        """The rules for lines that the pass applies, None for none."""
        return None

    def signal_names(self) -> Sequence[str]:
        return list(self.quotients())

    def rules(self) -> Sequence[Rule]:
        section = type(self.options)
        names = [name for name in section.model_fields if name in limit_fields(section)]
        return [self.rule(option, self.signal_of(option)) for option in names]

    def signals(self, documents: pa.Table) -> dict[str, Floats]:
        return measure_published([self], documents)

    def measured_with(self) -> Callable[[Sequence[Filter], pa.Table], dict[str, Floats]]:
        return measure_published


def measure_published(filters: Sequence[Filter], documents: pa.Table) -> dict[str, Floats]:
    """The signals of several published filters, from one pass over the text."""
    measuring = [published for published in filters if isinstance(published, PublishedFilter) and published.quotients()]
    if not measuring:
        return {}
    from pipeline.kernels import published as kernels

    rules = next((rules for published in measuring if (rules := published.line_rules()) is not None), kernels.NO_RULES)
    measures = 0
    for published in measuring:
        measures |= published.measures
    counts = kernels.measure(documents["text"].combine_chunks(), measures, rules)
    signals = {}
    for published in measuring:
        for name, (part, total) in published.quotients().items():
            signals[name] = _quotient(counts, part, total)
    return signals


def _quotient(counts: Counts, part: int, total: int | None) -> Floats:
    """A count, or its share of another: 0 where that is 0."""
    if total is None:
        return counts[:, part].astype(np.float64)
    return np.divide(counts[:, part], counts[:, total], out=np.zeros(len(counts)), where=counts[:, total] > 0)
