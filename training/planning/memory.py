"""Bytes of one worker of a training, of a checkpoint, and of what a step communicates: arithmetic over N parameters.

All numbers are fp32 (training/engines/README.md). What DeepSpeed keeps was read in version 0.19.8 and compared with the
peak of its processes on CPUs (tests/benchmarks/bench_estimate.py): stages 1 and 2 keep the flat weights beside this
worker's share of them, stage 3 its share and, while a step computes, the weights that are gathered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

NUMBER = 4  # bytes of an fp32 number
BUCKET_NUMBERS = 500_000_000  # DeepSpeed's default for what is reduced at once; a GPU has room for it set aside


@dataclass(frozen=True)
class MemoryLayout:
    """What decides a worker's memory. `state`: numbers that the optimizer keeps of the whole model."""

    engine: str  # plain, or zero
    stage: int
    workers: int
    parameters: int
    largest: int
    state: int
    micro_rows: int
    micro_batches: int
    row_bytes: int
    base_bytes: int
    on_gpu: bool = False

    @property
    def name(self) -> str:
        return self.engine if self.engine == "plain" else f"zero {self.stage}"

    @property
    def worker_bytes(self) -> int:
        """The peak of a worker: of its process on a CPU, of its device on a GPU."""
        return self.base_bytes + NUMBER * round(self._numbers()) + self.row_bytes * self.micro_rows

    def _numbers(self) -> float:
        n, share = self.parameters, 1 / self.workers
        # gradients that are reduced in each micro-batch are summed beside those that are being computed
        sums = n if self.micro_batches > 1 and self.workers > 1 else 0
        bucket = min(n, BUCKET_NUMBERS) if not self.on_gpu else BUCKET_NUMBERS
        if self.engine == "plain":
            return 2 * n + self.state + (0 if self.on_gpu else sums)
        if self.stage == 0:
            return 2 * n + self.state + bucket
        if self.stage < 3:
            gradients = bucket + n * (1 if self.stage == 1 else share)
            return n + n * share + gradients + n * share + self.state * share
        return n * share + n * share + n * share + self.state * share + n + bucket

    @property
    def checkpoint_bytes(self) -> int:
        """Of the files of all workers together."""
        return NUMBER * (self.parameters + self.state)

    @property
    def step_bytes(self) -> int:
        """What a worker sends in a step, with ring algorithms (ZeRO, Rajbhandari et al. 2020, section 7)."""
        if self.workers == 1:
            return 0
        once = NUMBER * self.parameters * (self.workers - 1) / self.workers
        # plain on GPUs sums its micro-batches first; everything else reduces each of them
        reductions = 1 if self.engine == "plain" and self.on_gpu else self.micro_batches
        if self.stage == 3 and self.engine == "zero":
            return round(3 * once * self.micro_batches)
        return round(once * (reductions + 1) if self.engine == "zero" else 2 * once * reductions)


def nearest_that_fits(layout: MemoryLayout, limit_bytes: float) -> MemoryLayout | None:
    """The layout with the fewest changes that fits: a smaller micro-batch first, then more sharing, then both."""
    return next((candidate for candidate in _candidates(layout) if candidate.worker_bytes <= limit_bytes), None)


def _candidates(layout: MemoryLayout) -> Iterator[MemoryLayout]:
    yield layout
    yield from _smaller(layout)
    if layout.workers == 1:
        return  # nothing to share with
    stages = [stage for stage in (1, 2, 3) if layout.engine == "plain" or stage > layout.stage]
    for stage in stages:
        yield replace(layout, engine="zero", stage=stage)
    for stage in stages:
        yield from _smaller(replace(layout, engine="zero", stage=stage))


def _smaller(layout: MemoryLayout) -> Iterator[MemoryLayout]:
    rows = layout.micro_rows
    while rows > 1:
        rows //= 2
        batches = -(-layout.micro_rows * layout.micro_batches // rows)
        yield replace(layout, micro_rows=rows, micro_batches=batches)
