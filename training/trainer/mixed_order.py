"""Which rows a step sees where sources have weights: a pure function of (seed, place), like the order without them.

The places of a run are cut into phases with constant shares: a phase ends where the weights change, or where all rows
of a group (a source in one language) have been read as often as allowed. In a phase, places follow one balanced
sequence over and over, so that every beginning has the shares to within one row, and WINDOW places have them exactly.
The k-th visit to a group reads place k mod n of epoch k div n of its own keyed permutation. So the position is still
one integer. Cost: 7 ms for a batch of 512 rows of ten sources (numpy); memory: two integers a place of the window.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.core.counts import GroupCounts, MixtureCounts
from pipeline.core.errors import UserError
from pipeline.kernels.balanced_sequence import balance
from training.mixture import REST, ROWS_MIXED, Mixture, MixtureWeights
from training.trainer.batches import permuted

WINDOW = 1 << 16  # places: a share is rounded to one of so many parts, and none to 0

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class MixturePhase:
    """Places from `first` on. Of every WINDOW places, counts[g] are of group g, which was visited `visits[g]` times."""

    first: int
    counts: tuple[int, ...]
    visits: tuple[int, ...]
    used_up: tuple[int, ...] = ()  # groups whose last allowed row was read just before


@dataclass(frozen=True)
class MixedOrder:
    """The order of `places` rows over the groups of a split, which lie one after the other. `place_of(step)`: of the
    first row of a step.

    Raises: UserError for a name that does not exist, or where `max_epochs` allows fewer rows than are asked for.
    """

    mixture: Mixture
    groups: tuple[GroupCounts, ...]
    seed: int
    places: int
    phases: tuple[MixturePhase, ...]

    @classmethod
    def of(
        cls, mixture: Mixture, groups: Sequence[GroupCounts], *, seed: int, places: int, place_of: Callable[[int], int]
    ) -> MixedOrder:
        names = {
            "sources": {group["source"] for group in groups}, "languages": {group["language"] for group in groups},
        }  # fmt: skip
        if problem := mixture.names_problem(names):
            raise UserError(f"pretrain.mixture.{problem}")
        changes = [(0, mixture), *((place_of(change.step), change) for change in mixture.changes)]
        return cls(mixture, tuple(groups), seed, places, tuple(_phases(mixture, groups, changes, places)))

    def rows(self, places: Ints) -> Ints:
        """The global row numbers at these places, which ascend."""
        firsts = [phase.first for phase in self.phases]
        numbers = np.empty(len(places), np.int64)
        phase_of = np.searchsorted(firsts, places, side="right") - 1
        for index in np.unique(phase_of).tolist():
            own = phase_of == index
            numbers[own] = self._rows_of_phase(self.phases[index], places[own])
        return numbers

    def _rows_of_phase(self, phase: MixturePhase, places: Ints) -> Ints:
        groups, visits = _visits(phase, places - phase.first)
        numbers = np.empty(len(places), np.int64)
        first_rows = np.cumsum([0, *(group["rows"] for group in self.groups)])
        for group in np.unique(groups).tolist():
            size, own = self.groups[group]["rows"], groups == group
            key = f"{self.groups[group]['source']}\0{self.groups[group]['language']}"
            epochs, inside = np.divmod(visits[own], size)
            of_group = np.empty(len(epochs), np.int64)
            for epoch in np.unique(epochs).tolist():
                now = epochs == epoch
                of_group[now] = permuted(inside[now], size=size, seed=self.seed, epoch=epoch, of=key)
            numbers[own] = first_rows[group] + of_group
        return numbers

    def visits(self, place: int) -> list[int]:
        """How many rows of each group are read before a place."""
        phase = self.phases[bisect_right([phase.first for phase in self.phases], place) - 1]
        return [int(count) for count in _visits_before(phase.counts, phase.visits, place - phase.first)]

    def counts(self) -> list[MixtureCounts]:
        """The rows of each group, and how many times one of them is read."""
        visits = self.visits(self.places)
        return [
            {"source": group["source"], "language": group["language"], "rows": group["rows"], "read": read}
            for group, read in zip(self.groups, visits, strict=True)
        ]

    def describe(self, step_of: Callable[[int], int]) -> Iterator[str]:
        """Sentences for people: the shares and passes of all groups, and where one is used up. `step_of(place)`."""
        parts = [
            f"{_name(group)} {read / self.places:.1%} of the rows, {read / group['rows']:.2f} passes"
            for group, read in zip(self.groups, self.visits(self.places), strict=True)
        ]
        yield f"mixture: {'; '.join(parts)}"
        for phase in self.phases:
            for group in phase.used_up:
                yield (
                    f"mixture: max_epochs of {_name(self.groups[group])} is reached in step {step_of(phase.first):,}; "
                    "the others get its share"
                )


def mixed_order(
    mixture: Mixture, groups: Sequence[GroupCounts], *, seed: int, steps: int, batch_rows: int
) -> MixedOrder:
    """The order of a run of `steps` steps.

    Raises: UserError where the rows are not apart by source, or a change comes after the last step; and as MixedOrder.
    """
    if not groups:
        raise UserError(f"pretrain.mixture: {ROWS_MIXED}")
    late = next((change.step for change in mixture.changes if change.step >= steps), None)
    if late is not None:
        raise UserError(
            f"pretrain.mixture.changes: step {late:,} never comes: the training has {steps:,} steps, counted from 0. "
            "Train longer, or remove the change."
        )
    return MixedOrder.of(mixture, groups, seed=seed, places=steps * batch_rows, place_of=lambda step: step * batch_rows)


def _name(group: GroupCounts) -> str:
    return f"{group['source']} ({group['language']})"


def _phases(
    mixture: Mixture, groups: Sequence[GroupCounts], changes: Sequence[tuple[int, MixtureWeights]], places: int
) -> list[MixturePhase]:
    limits = [mixture.limit(group["source"]) for group in groups]
    most = [None if limit is None else int(limit * group["rows"]) for limit, group in zip(limits, groups, strict=True)]
    phases: list[MixturePhase] = []
    place, visits = 0, tuple(0 for _ in groups)
    used_up: tuple[int, ...] = ()
    while place < places:
        at = bisect_right([first for first, _ in changes], place) - 1
        is_left = [limit is None or count < limit for limit, count in zip(most, visits, strict=True)]
        shares = shares_of(changes[at][1], groups, is_left)
        if shares is None:
            raise UserError(
                f"pretrain.mixture: {places:,} rows are asked for, and weights and max_epochs allow {place:,}. "
                "Lower pretrain.steps, or raise max_epochs."
            )
        counts = _rounded(shares)
        phases.append(MixturePhase(place, counts, visits, used_up))
        end = min([places, *(first for first, _ in changes if first > place)])
        for group, limit in enumerate(most):
            if counts[group] and limit is not None:
                end = min(end, place + _place_after(counts, group, limit - visits[group]))
        visits = tuple(int(count) for count in _visits_before(counts, visits, end - place))
        used_up = tuple(g for g, limit in enumerate(most) if counts[g] and limit is not None and visits[g] >= limit)
        place = end
    return phases


def shares_of(
    weights: MixtureWeights, groups: Sequence[GroupCounts], is_left: Sequence[bool]
) -> NDArray[np.float64] | None:
    """The share of each group among those that have rows left; None where none that has a weight has any."""
    sizes = np.array([group["tokens"] for group in groups], np.float64) ** (1 / weights.temperature)
    sizes *= np.array(is_left) & (sizes > 0)
    if weights.sources:
        sources = [group["source"] for group in groups]
        parts = np.zeros(len(groups))
        for members, weight in _classes(weights.sources, sources):
            inside = _by_language(weights, groups, np.where(members, sizes, 0.0))
            if inside.sum():
                parts += weight * inside / inside.sum()
    else:
        parts = _by_language(weights, groups, sizes)
    total = parts.sum()
    return parts / total if total else None


def _by_language(
    weights: MixtureWeights, groups: Sequence[GroupCounts], sizes: NDArray[np.float64]
) -> NDArray[np.float64]:
    if not weights.languages:
        return sizes
    parts = np.zeros(len(groups))
    for members, weight in _classes(weights.languages, [group["language"] for group in groups]):
        own = np.where(members, sizes, 0.0)
        if own.sum():
            parts += weight * own / own.sum()
    return parts


def _classes(table: dict[str, float], names: Sequence[str]) -> list[tuple[NDArray[np.bool_], float]]:
    """For each weight, which groups it is of."""
    listed = np.array(names)
    return [
        (~np.isin(listed, [name for name in table if name != REST]) if name == REST else listed == name, weight)
        for name, weight in table.items()
    ]


def _rounded(shares: NDArray[np.float64]) -> tuple[int, ...]:
    """Whole numbers that sum to WINDOW: rounded down, the largest remainders up; no share above 0 becomes 0."""
    exact = shares * WINDOW
    counts = np.where(shares > 0, np.maximum(1, np.floor(exact)), 0).astype(np.int64)
    missing = WINDOW - int(counts.sum())
    if missing > 0:
        counts[np.argsort(counts - exact, kind="stable")[:missing]] += 1
    while missing < 0:  # where very small shares were raised to 1
        largest = int(np.argmax(counts))
        surplus = min(-missing, int(counts[largest]) - 1)
        counts[largest] -= surplus
        missing += surplus
    return tuple(counts.tolist())


@lru_cache(maxsize=8)
def _sequence(counts: tuple[int, ...]) -> tuple[Ints, Ints]:
    kinds, ranks = np.empty(WINDOW, np.int64), np.empty(WINDOW, np.int64)
    balance(np.array(counts, np.int64), kinds, ranks)
    return kinds, ranks


def _visits(phase: MixturePhase, inside: Ints) -> tuple[Ints, Ints]:
    """The group at places of a phase, and how often it was visited before each."""
    kinds, ranks = _sequence(phase.counts)
    windows, at = np.divmod(inside, WINDOW)
    groups = kinds[at]
    return groups, np.array(phase.visits)[groups] + windows * np.array(phase.counts)[groups] + ranks[at]


def _visits_before(counts: tuple[int, ...], visits: Sequence[int], inside: int) -> Ints:
    windows, at = divmod(inside, WINDOW)
    kinds, _ = _sequence(counts)
    before: Ints = np.array(visits) + windows * np.array(counts) + np.bincount(kinds[:at], minlength=len(counts))
    return before


def _place_after(counts: tuple[int, ...], group: int, visits: int) -> int:
    """The place of a phase by which a group was visited so often."""
    kinds, _ = _sequence(counts)
    windows, rank = divmod(visits - 1, counts[group])
    return int(windows * WINDOW + np.flatnonzero(kinds == group)[rank] + 1)
