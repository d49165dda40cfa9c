"""Do things that wait for a network several at a time, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
V = TypeVar("V")
THREADS = 16  # requests at a time of one process


def in_parallel(work: Callable[[V], T], items: Iterable[V], *, threads: int = THREADS) -> Iterator[T]:
    """`work` of every item, in order, `threads` at a time: requests wait for the network, not for a processor."""
    if threads < 2:
        yield from map(work, items)
        return
    remaining = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        # no more results than are about to be used are held; files that they write and use are those of the task
        while batch := list(islice(remaining, 4 * threads)):
            started = [pool.submit(copy_context().run, work, item) for item in batch]
            yield from (each.result() for each in started)
