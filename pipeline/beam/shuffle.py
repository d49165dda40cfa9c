"""Regroup arrays by partition through files: a partition's task is told its number and reads the rest from the files.

What crosses a GroupByKey stands in the driver's memory four to eight times over, and even places (file, offset) are as
many as files × partitions. Here each spilled file carries its own index (`pipeline.core.spill`): the driver holds one
name a file and one task a partition, 10,000 × 1,024 in 5 s and 13 MiB (tests/benchmarks/bench_driver.py).

    def spread(job, task):                                # 1. a task (run_tasks): its records ordered by partition
        records = np.empty(n, dtype=[("hash", "<u8"), ("row", "<u8")])
        file = f"spill/{task.key}.bin"                    # relative to job.folder
        return {"spills": spill(job.folder, file, split(records, records["hash"] >> np.uint64(58), 64))}

    def join(job, task):                                  # 3. once a partition: task.payload["partition"]
        for records in read_segments(job, task, dtype):   # in the order of file names: always the same
            ...
        return {...}                                      # JSON-able; large results go to files of their own, by rename

    spread_results = run_tasks(job, "spread", tasks, spread)
    spills = [file for result in spread_results for file in result["spills"]]
    joined = run_shuffle(job, "join", spills, join, partitions=64)    # 2. a result for every partition, in order

Each task opens every spill, so the work on files is spills × partitions × 0.1 ms, over all workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from pipeline.beam.executor import Executor
from pipeline.beam.run import run_tasks
from pipeline.beam.task import Isolation, Result, Task, Work
from pipeline.core.arrays import Array
from pipeline.core.draft import sharing
from pipeline.core.files import read_json, write_json
from pipeline.core.job import Job
from pipeline.core.parallel import in_parallel
from pipeline.core.spill import Segment, segment, write_spill


class Partition(TypedDict):
    """What the task of a partition is given. `spills`: a file of the draft that lists the spilled files."""

    partition: int
    spills: str


def split(records: Array, partition: Array, count: int) -> list[Array]:
    """The records of each of `count` partitions, each in their first order; `partition` numbers every record."""
    order = np.argsort(partition, kind="stable")
    edges = np.searchsorted(partition[order], np.arange(count + 1, dtype=partition.dtype))
    return [records[order[edges[n] : edges[n + 1]]] for n in range(count)]


def spill(folder: Path, file: str, arrays: Sequence[Array]) -> list[str]:
    """Write arrays[p], the records of partition p, to folder/file, by rename; [file], or [] if there are no records."""
    written = write_spill(folder / file, [array.nbytes for array in arrays], arrays)
    return [file] if written else []


def run_shuffle(
    job: Job, step: str, spills: Iterable[str], work: Work[Partition, Result], *, partitions: int,
    isolation: Isolation = "threads", executor: Executor | None = None,
) -> list[Result]:  # fmt: skip
    """Run `work(job, task)` once for each of `partitions` partitions; their results in order. Raises as `run_tasks`."""
    files = list(spills)
    listing = list_spills(job, step, files)
    # a hash spreads evenly: the share of each partition is near enough for progress
    share = sum(job.draft.size(file) for file in files) // max(1, partitions)
    tasks = [
        Task(f"partition-{number:06d}", share, Partition(partition=number, spills=listing))
        for number in range(partitions)
    ]
    return run_tasks(job, step, tasks, work, isolation=isolation, executor=executor)


def list_spills(job: Job, name: str, spills: Iterable[str]) -> str:
    """Write the list of spilled files that the tasks of a step read, in the order of their names; where it is."""
    listing = f"spill/{name}.json"
    (job.folder / listing).parent.mkdir(parents=True, exist_ok=True)
    with sharing(job.draft, job.folder, f"{name}-spills"):
        write_json(job.folder / listing, sorted(spills, key=str.encode))
    return listing


def segments(job: Job, task: Task[Partition]) -> Iterator[Segment]:
    """The segments of a partition that hold anything, in the order of file names."""
    files = read_json(job.draft.file(task.payload["spills"]))
    places = in_parallel(
        lambda file: segment(job.draft, file, task.payload["partition"]), files, threads=job.draft.threads
    )
    return (place for place in places if place.length)


def read_segments(job: Job, task: Task[Partition], dtype: npt.DTypeLike) -> Iterator[Array]:
    """The records of a partition, a segment (one spilled file's share) at a time."""
    return in_parallel(lambda place: place.read(dtype), segments(job, task), threads=job.draft.threads)


def read_partition(job: Job, task: Task[Partition], dtype: npt.DTypeLike) -> Array:
    """All records of a partition in one array: memory is the partition's size, so make enough partitions."""
    return np.concatenate([np.empty(0, dtype), *read_segments(job, task, dtype)])
