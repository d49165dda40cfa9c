"""The shuffle by file: every record arrives once, in one order, and only names of files cross."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.beam.run import run_tasks
from pipeline.beam.shuffle import Partition, read_partition, read_segments, run_shuffle, spill, split
from pipeline.beam.task import Task
from pipeline.core.errors import StageFailed
from pipeline.core.files import write_json
from pipeline.core.job import Job

MakeJob = Callable[..., Job]
RECORD = np.dtype([("hash", "<u8"), ("row", "<u8")])
PARTITIONS = 8


def records_of(seed: int, count: int = 1000) -> Any:
    records = np.empty(count, RECORD)
    records["hash"] = np.random.default_rng(seed).integers(0, 1 << 63, count, dtype=np.uint64)
    records["row"] = np.arange(count) + seed * count
    return records


def spread(job: Job, task: Task) -> dict[str, Any]:
    records = records_of(task.payload["seed"])
    parts = split(records, records["hash"] % np.uint64(PARTITIONS), PARTITIONS)
    return {"spills": spill(job.folder, f"spill/{task.key}.bin", parts)}


def rows_of(job: Job, task: Task[Partition]) -> dict[str, Any]:
    records = read_partition(job, task, RECORD)
    assert set(records["hash"] % np.uint64(PARTITIONS)) == {task.payload["partition"]}
    return {"rows": records["row"].tolist()}


def shuffled(job: Job, count: int = 6) -> list[dict[str, Any]]:
    tasks = [Task(f"t{seed}", 1, {"seed": seed}) for seed in range(count)]
    results = run_tasks(job, "spread", tasks, spread)
    spills = [file for result in results for file in result["spills"]]
    return run_shuffle(job, "join", spills[::-1], rows_of, partitions=PARTITIONS)


def test_every_record_arrives_once_in_the_partition_of_its_key(make_job: MakeJob) -> None:
    result = shuffled(make_job(workers=2))
    assert len(result) == PARTITIONS
    assert sorted(row for part in result for row in part["rows"]) == list(range(6000))


def test_the_order_within_a_partition_is_that_of_files_and_rows_whatever_the_workers(make_job: MakeJob) -> None:
    by_one_worker, by_two_workers = shuffled(make_job("one", workers=1)), shuffled(make_job("two", workers=2))
    assert by_one_worker == by_two_workers
    assert all(part["rows"] == sorted(part["rows"]) for part in by_one_worker)


def test_a_partition_that_has_a_result_is_not_joined_again(make_job: MakeJob) -> None:
    job = make_job()
    first = shuffled(job)
    (job.folder / "tasks" / "join" / "partition-000003.json").unlink()
    for file in (job.folder / "spill").iterdir():
        assert file.stat().st_size
    assert shuffled(job) == first


def test_a_partition_without_records_runs_and_reads_none(make_job: MakeJob) -> None:
    job = make_job()
    spills = spill(job.folder, "spill/a.bin", [records_of(1, 0), records_of(1, 5)])
    results = run_shuffle(job, "join", spills, count_of, partitions=2)
    assert [result["records"] for result in results] == [0, 5]
    assert run_shuffle(job, "none", [], count_of, partitions=0) == []


def count_of(job: Job, task: Task[Partition]) -> dict[str, Any]:
    return {"records": len(read_partition(job, task, RECORD))}


def test_records_of_no_partition_make_no_file(make_job: MakeJob) -> None:
    job = make_job()
    assert spill(job.folder, "spill/a.bin", [records_of(1, 0)] * 3) == []
    assert not (job.folder / "spill").exists()


def test_what_a_partition_is_given_does_not_grow_with_the_files(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[Task[Partition]] = []

    def recorded(job: Job, step: str, given: list[Task[Partition]], work: Any, **options: Any) -> list[Any]:
        tasks.extend(given)
        return []

    monkeypatch.setattr("pipeline.beam.shuffle.run_tasks", recorded)
    sizes = []
    for count in (2, 40):
        job = make_job(f"of-{count}")
        spills = [spill(job.folder, f"spill/{n}.bin", [records_of(n, 1)] * 4)[0] for n in range(count)]
        tasks.clear()
        run_shuffle(job, "join", spills, count_of, partitions=4)
        sizes.append(len(json.dumps([task.payload for task in tasks])))
    assert sizes[0] == sizes[1]


def test_split_keeps_the_order_and_loses_nothing() -> None:
    records = records_of(3)
    parts = split(records, records["hash"] % np.uint64(5), 5)
    assert sum(len(part) for part in parts) == len(records)
    assert all((np.diff(part["row"].astype(np.int64)) > 0).all() for part in parts)


@pytest.mark.parametrize("left", [5, 70])
def test_a_file_that_was_cut_short_is_an_error(left: int, make_job: MakeJob) -> None:
    job = make_job()
    (file,) = spill(job.folder, "spill/a.bin", [records_of(1, 5)])
    (job.folder / file).write_bytes((job.folder / file).read_bytes()[:left])
    write_json(job.folder / "spill/join.json", [file])
    task = Task("partition-000000", 1, Partition(partition=0, spills="spill/join.json"))
    with pytest.raises(StageFailed, match="spill/a.bin: the file is shorter than it was"):
        list(read_segments(job, task, RECORD))
