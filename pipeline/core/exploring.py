"""What `bloomery signals` asks of a stage that measures documents, as plain values.

The table of the stage names who answers: `explorer` is a class without arguments that has the methods of `Explorer`.
Nothing of it runs a stage: it reads what the stage published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.core.artifact import Artifact

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
BINS = 12
LEVELS = " ▁▂▃▄▅▆▇█"
NO_BREAK = "\u00a0"  # a page joins ordinary blanks


@dataclass(frozen=True)
class Distribution:
    """A signal over the documents of a language (None: not known), of one source or of all (None).

    `measured`: the documents for which the signal has a value. `quantiles`: its values at QUANTILES. `histogram`: the
    number of documents in each of BINS equal intervals of the signal's range; values beyond it are in the outer ones.
    """

    signal: str
    language: str | None
    source: str | None
    documents: int
    measured: int
    quantiles: tuple[float, ...]
    histogram: tuple[int, ...]


@dataclass(frozen=True)
class Distributions:
    """Distributions over `examined` of all `documents`, spread over the corpus; the largest languages first.

    `ranges`: the interval of each signal that holds 99 % of its values, over which histograms are drawn.
    """

    documents: int
    examined: int
    ranges: dict[str, tuple[float, float]]
    rows: tuple[Distribution, ...]


@dataclass(frozen=True)
class TrialGroup:
    """The documents of a language and a source under a rule: how many it drops, and does not judge."""

    language: str | None
    source: str
    documents: int
    dropped: int
    not_judged: int


@dataclass(frozen=True)
class DroppedSample:
    """The beginning of a document that a rule would drop, its value and the limit for it."""

    id: str
    language: str | None
    source: str
    value: float
    limit: float
    text: str


@dataclass(frozen=True)
class RuleTrial:
    """What a rule would drop with other limits. `dropped_now`: with the limits of the run (None: the run has no such
    rule). `dropped_new`: documents that it would drop and that all rules of the run keep."""

    rule: str
    signal: str
    limits: dict[str, float | None]
    documents: int
    dropped: int
    dropped_now: int | None
    dropped_new: int
    groups: tuple[TrialGroup, ...]
    samples: tuple[DroppedSample, ...]


@dataclass(frozen=True)
class FittedBound:
    """The limit of a rule for a language, so that it is beyond as rare a value as the limit of the reference language
    is there (`share`). `documents` and `sources`: what it was derived from. None: the values say nothing about it."""

    rule: str
    language: str
    bound: float | None
    documents: int
    sources: tuple[str, ...]
    share: float


class Explorer(Protocol):
    """Answers from the artifacts of all parts of the stage; `section` is its section of the configuration."""

    def distributions(self, artifacts: Sequence[Artifact]) -> Distributions: ...

    def trial(self, artifacts: Sequence[Artifact], section: Any, assignment: str) -> RuleTrial:
        """What a rule would drop: "quality.max_hash_signs=0.2", or a mapping by language.

        Raises: UserError when there is no such rule, or the value is no limit.
        """

    def fit(self, artifacts: Sequence[Artifact], section: Any, reference: str) -> tuple[FittedBound, ...]:
        """Limits of every rule for every language that has enough documents.

        Raises: UserError when the reference language has not.
        """

    def as_yaml(self, bounds: Sequence[FittedBound], section: Any) -> str:
        """The bounds as YAML, to be pasted under the stage's section."""


def page_bars(histogram: Sequence[int]) -> str:
    """As `bars`, for a page: empty intervals keep their width."""
    return bars(histogram).replace(" ", NO_BREAK)


def bars(histogram: Sequence[int]) -> str:
    """A histogram as one line; heights are square roots, so that rare values can be seen."""
    highest = max(histogram, default=0)
    top = len(LEVELS) - 1
    return "".join(LEVELS[-(-int(top * 1000 * (n / highest) ** 0.5) // 1000)] if n else " " for n in histogram)
