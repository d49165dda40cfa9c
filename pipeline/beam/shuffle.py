"""Regroup arrays by partition through files: only (partition, file, offset, length) crosses Beam, whatever the size.

What crosses a GroupByKey itself sits in the driver's memory four to eight times over; a shuffle of 4 GB this way peaks
at under 600 MiB over all processes. Three steps:

    def spread(job, task):                                # 1. a task (run_tasks): its records ordered by partition
        records = np.empty(n, dtype=[("hash", "<u8"), ("row", "<u8")])
        file = f"spill/{task.key}.bin"                    # relative to job.folder
        return {"pieces": spill(job.folder, file, split(records, records["hash"] >> np.uint64(58), 64))}

    def join(job, task):                                  # 3. once a partition: task.payload["partition"]
        for records in pieces(job, task, dtype): ...      # in the order of file names, then offsets: always the same
        return {...}                                      # JSON-able; large results go to files of their own, by rename

    spread_results = run_tasks(job, "spread", tasks, spread)
    found = [piece for result in spread_results for piece in result["pieces"]]
    joined = run_shuffle(job, "join", found, join)        # 2. {partition: result} in order, without the empty ones
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.beam.task import Isolation, Task, Work, partition_task, read_results, result_path, results_folder
from pipeline.core.errors import StageFailed
from pipeline.core.files import replacing
from pipeline.core.stage import Job

Array = npt.NDArray[Any]
Piece = list[Any]
"""[partition, file relative to job.folder, offset, length]: JSON-able, so that it can be part of a task's result."""


def split(records: Array, partition: Array, count: int) -> list[Array]:
    """The records of each of `count` partitions, each in their first order; `partition` numbers every record."""
    order = np.argsort(partition, kind="stable")
    edges = np.searchsorted(partition[order], np.arange(count + 1, dtype=partition.dtype))
    return [records[order[edges[n] : edges[n + 1]]] for n in range(count)]


def spill(folder: Path, file: str, arrays: Sequence[Array]) -> list[Piece]:
    """Write arrays[p], the records of partition p, to folder/file, by rename; gives the pieces that are not empty."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    found: list[Piece] = []
    with replacing(path) as beside, beside.open("wb") as stream:
        for number, records in enumerate(arrays):
            if len(records):
                found.append([number, file, stream.tell(), records.nbytes])
                stream.write(np.ascontiguousarray(records).view(np.uint8).data)
    return found


def run_shuffle(
    job: Job, step: str, found: Iterable[Piece], work: Work, *, isolation: Isolation = "threads"
) -> dict[int, dict[str, Any]]:
    """Group pieces by partition (a real GroupByKey) and run `work(job, task)` once a partition; results by partition.

    A partition that has a result is not run again. Raises as `run_tasks` does.
    """
    by_partition: dict[int, list[tuple[str, int, int]]] = {}
    for partition, file, offset, length in found:
        by_partition.setdefault(int(partition), []).append((str(file), int(offset), int(length)))
    tasks = {number: partition_task(number, by_partition[number]) for number in sorted(by_partition)}
    folder = results_folder(job, step)
    waiting = [number for number, task in tasks.items() if not result_path(folder, task.key).exists()]
    total = sum(task.size for task in tasks.values())
    job.progress.total(step, total, "bytes")
    job.progress.add(step, total - sum(tasks[number].size for number in waiting))
    if waiting:
        from pipeline.beam.runner import run_pipeline

        references = [(number, piece) for number in waiting for piece in by_partition[number]]
        run_pipeline(job, step, _ShuffleSteps(references, work), isolation=isolation)
    results = read_results(job, step, [task.key for task in tasks.values()])
    return dict(zip(tasks, results, strict=True))


class _ShuffleSteps:
    """Wires Create(references) | GroupByKey | ParDo(work)."""

    def __init__(self, references: list[tuple[int, tuple[str, int, int]]], work: Work) -> None:
        self.references, self.work = references, work

    def __call__(self, pipeline: Any, guard: Any) -> None:
        import apache_beam as beam

        from pipeline.beam.transform import RunPartition

        # grouped at once, so Create need not spread its elements first
        references = pipeline | "References" >> beam.Create(self.references, reshuffle=False)
        groups = references | "ByPartition" >> beam.GroupByKey()
        _ = groups | "Work" >> beam.ParDo(RunPartition(guard, self.work))


def pieces(job: Job, task: Task, dtype: npt.DTypeLike) -> Iterator[Array]:
    """The records of a partition, a piece (one spilled file's share) at a time."""
    for file, offset, length in task.payload["pieces"]:
        with (job.folder / file).open("rb") as stream:
            stream.seek(offset)
            data = stream.read(length)
        if len(data) != length:
            raise StageFailed(f"{job.stage}: {file} is shorter than recorded. Run again with --force.")
        yield np.frombuffer(data, dtype)


def whole(job: Job, task: Task, dtype: npt.DTypeLike) -> Array:
    """All records of a partition in one array: memory is the partition's size, so make enough partitions."""
    found = list(pieces(job, task, dtype))
    return np.concatenate(found) if found else np.empty(0, dtype)
