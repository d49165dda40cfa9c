"""The options of `pretrain.mixture`: which share of the rows each source and language has (pydantic only)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, Tag, model_validator

from pipeline.core.config import MAPPING, VALUE, VALUE_OR_SECTION, Section

ROWS_MIXED = "the rows of these tokens may hold several sources. Write pack.by_source: true."
REST = "*"  # in a table of weights: all that it does not name, together

MaxEpochs = Annotated[
    Annotated[PositiveFloat, Tag(VALUE)] | Annotated[dict[str, PositiveFloat], Tag(MAPPING)], VALUE_OR_SECTION
]
"""One limit for every source, or one by source."""


class MixtureWeights(Section):
    """Shares of the rows. `sources`: of each source, relative to the others; `languages`: of each language, among those
    of a source where sources have weights, else of all. What has no weight is shared out by its size, tokens to the
    power 1 / temperature (arXiv 1901.07291): 1 is in proportion, a large one is evenly."""

    sources: dict[str, NonNegativeFloat] = {}
    languages: dict[str, NonNegativeFloat] = {}
    temperature: float = Field(1.0, ge=1.0)

    @model_validator(mode="after")
    def _some_weight(self) -> MixtureWeights:
        for option in ("sources", "languages"):
            weights: dict[str, float] = getattr(self, option)
            if weights and not any(weights.values()):
                raise ValueError(f"{option}: every weight is 0, so there is nothing to read")
        return self

    def named(self) -> Iterator[tuple[str, str]]:
        """Every name in the tables of weights, with its option."""
        for option in ("sources", "languages"):
            yield from ((option, name) for name in getattr(self, option) if name != REST)


class Change(MixtureWeights):
    """The weights from this step on, counted from 0, in place of the earlier ones."""

    step: PositiveInt


class Mixture(MixtureWeights):
    """Weights from the first step, and `changes` of them at later steps. No row is read more than `max_epochs` times:
    the share of what is used up goes to the rest of its source, then to the other sources."""

    max_epochs: MaxEpochs | None = None
    changes: list[Change] = []

    @model_validator(mode="after")
    def _in_order(self) -> Mixture:
        for earlier, later in pairwise(self.changes):
            if later.step <= earlier.step:
                raise ValueError(f"changes: step {later.step} follows step {earlier.step}: write them in order")
        return self

    def limit(self, source: str) -> float | None:
        """How often the rows of a source may be read; None for any number of times."""
        if isinstance(self.max_epochs, Mapping):
            return self.max_epochs.get(source, self.max_epochs.get(REST))
        return self.max_epochs

    def names_problem(self, present: Mapping[str, Collection[str]]) -> str | None:
        """Why these names are not those that exist, by option (`sources`, and `languages` where they are known)."""
        tables = [("", self), *((f"changes[{at}].", change) for at, change in enumerate(self.changes))]
        limits = self.max_epochs if isinstance(self.max_epochs, Mapping) else {}
        uses = [(f"{place}{option}", option, name) for place, weights in tables for option, name in weights.named()]
        uses += [("max_epochs", "sources", name) for name in limits if name != REST]
        for where, option, name in uses:
            if option in present and name not in present[option]:
                return f"{where}: there is no {option[:-1]} {name!r}; there are {_listed(present[option])}."
        for place, weights in tables:
            for option, names in present.items():
                table: dict[str, float] = getattr(weights, option)
                left_out = [name for name in names if name not in table]
                if table and left_out and REST not in table:
                    return (
                        f"{place}{option}: {_listed(left_out)} has no weight. Write one (0 leaves it out), or "
                        f"'{REST}' for all that are not named."
                    )
        return None


def _listed(names: Collection[str]) -> str:
    shown = sorted(names)[:8]
    return ", ".join(shown) + (f" and {len(names) - len(shown):,} more" if len(names) > len(shown) else "")
