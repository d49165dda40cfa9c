"""Which task a worker gets next: the largest that waits, also a lost worker's, and at the end second copies.

    queue = TaskQueue(tasks)
    number = queue.draw("worker-3", now)        # None: nothing for it at present
    queue.finish("worker-3")                    # or queue.lose("worker-3")

A worker that draws when nothing waits may get a copy of a task that takes far longer elsewhere than its size explains:
the node is slow, or hangs. Whoever finishes first wins; results and files are the same bytes. Plain values, no clock,
no threads. A draw costs O(log tasks); a look for a slow task O(workers).
"""

from __future__ import annotations

import heapq
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

MOST_LOSSES = 3  # of workers on one task: the task is to blame then
SLOW_S = 5.0  # no copy of a task that is younger
SLOW_FACTOR = 2.0  # slower than this many times the median of finished tasks, by size
RECENT = 101  # finished tasks that the median is taken of


@dataclass(frozen=True)
class Running:
    """What a worker is doing: the number of a task, and since when."""

    number: int
    since: float


@dataclass(frozen=True)
class Loss:
    """A lost worker's task: how many workers were lost on it so far, and whether it waits for another now."""

    number: int
    losses: int
    waits: bool


class TaskQueue:
    """The tasks of a step, known by their numbers: positions in `sizes`, in the order in which they should start."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = list(sizes)
        self.waiting = list(range(len(self.sizes)))  # a heap
        self.running: dict[str, Running] = {}
        self.done: set[int] = set()
        self.losses: dict[int, int] = {}
        self._speeds: list[float] = []  # seconds for each byte

    @property
    def finished(self) -> bool:
        """Whether all tasks are done."""
        return len(self.done) == len(self.sizes)

    def draw(self, worker: str, now: float) -> int | None:
        """The number of the next task for a worker; None when there is none for it at present."""
        number = heapq.heappop(self.waiting) if self.waiting else self._slow_task(now)
        if number is not None:
            self.running[worker] = Running(number, now)
        return number

    def finish(self, worker: str, now: float) -> int | None:
        """A worker did its task: the number, or None if a copy was done before."""
        ended = self.running.pop(worker)
        self._speeds = [*self._speeds[1 - RECENT :], (now - ended.since) / max(1, self.sizes[ended.number])]
        if ended.number in self.done:
            return None
        self.done.add(ended.number)
        return ended.number

    def lose(self, worker: str) -> Loss | None:
        """A worker is gone: what becomes of its task. None if it had none, or one that a copy has done."""
        ended = self.running.pop(worker, None)
        if ended is None or ended.number in self.done:
            return None
        losses = self.losses[ended.number] = self.losses.get(ended.number, 0) + 1
        waits = all(running.number != ended.number for running in self.running.values())
        if waits:
            heapq.heappush(self.waiting, ended.number)
        return Loss(ended.number, losses, waits)

    def idle_copies(self) -> list[str]:
        """The workers that are still at tasks which copies have done."""
        return [worker for worker, running in self.running.items() if running.number in self.done]

    def _slow_task(self, now: float) -> int | None:
        """The task that runs once and is the most overdue, if any is."""
        if not self._speeds:
            return None
        speed = SLOW_FACTOR * statistics.median(self._speeds)
        count: dict[int, int] = {}
        for running in self.running.values():
            count[running.number] = count.get(running.number, 0) + 1
        overdue = [
            (now - running.since - max(SLOW_S, speed * self.sizes[running.number]), running.number)
            for running in self.running.values()
            if count[running.number] == 1 and running.number not in self.done
        ]
        late, number = max(overdue, default=(0.0, 0))
        return number if late > 0 else None
