"""How many workers a gang has, and on which hosts: arithmetic, without Ray."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

Placement = dict[str, list[int]]
"""Host → the ranks that run there, in order."""


def largest(sizes: Sequence[int], room: int) -> int | None:
    """The largest size for which there is room; None if there is none."""
    return max((size for size in sizes if size <= room), default=None)


def place(size: int, places: Mapping[str, int], warm: Collection[str] = ()) -> Placement:
    """Distribute `size` ranks over hosts with so many places each, on as few hosts as possible.

    Hosts in `warm` have processes ready and come first, then those with more places, then by name: the same places give
    the same distribution. Ranks of a host follow each other, so that neighbours in a ring share a host.
    """
    placement: Placement = {}
    first = 0
    for host in sorted(places, key=lambda host: (host not in warm, -places[host], host)):
        count = min(places[host], size - first)
        if count > 0:
            placement[host] = list(range(first, first + count))
            first += count
    assert first == size, f"{size} workers, {sum(places.values())} places"
    return placement
