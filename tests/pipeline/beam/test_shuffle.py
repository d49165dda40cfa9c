"""The shuffle by file: every record arrives once, in one order, and only references cross."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.beam.run import run_tasks
from pipeline.beam.shuffle import partition_task, pieces, run_shuffle, spill, split, whole
from pipeline.beam.task import Task
from pipeline.core.errors import StageFailed
from pipeline.core.stage import Job

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
    return {"pieces": spill(job.folder, f"spill/{task.key}.bin", parts)}


def rows_of(job: Job, task: Task) -> dict[str, Any]:
    records = whole(job, task, RECORD)
    assert set(records["hash"] % np.uint64(PARTITIONS)) == {task.payload["partition"]}
    return {"rows": records["row"].tolist()}


def shuffled(job: Job, count: int = 6) -> dict[int, dict[str, Any]]:
    tasks = [Task(f"t{seed}", 1, {"seed": seed}) for seed in range(count)]
    results = run_tasks(job, "spread", tasks, spread)
    found = [piece for result in results for piece in result["pieces"]]
    return run_shuffle(job, "join", found[::-1], rows_of)


def test_every_record_arrives_once_in_the_partition_of_its_key(make_job: MakeJob) -> None:
    result = shuffled(make_job(workers=2))
    assert list(result) == list(range(PARTITIONS))
    assert sorted(row for part in result.values() for row in part["rows"]) == list(range(6000))


def test_the_order_within_a_partition_is_that_of_files_and_rows_whatever_the_workers(make_job: MakeJob) -> None:
    one, two = shuffled(make_job("one", workers=1)), shuffled(make_job("two", workers=2))
    assert one == two
    assert all(part["rows"] == sorted(part["rows"]) for part in one.values())


def test_a_partition_that_has_a_result_is_not_joined_again(make_job: MakeJob) -> None:
    job = make_job()
    first = shuffled(job)
    (job.folder / "tasks" / "join" / "partition-000003.json").unlink()
    for file in (job.folder / "spill").iterdir():
        assert file.stat().st_size
    assert shuffled(job) == first


def test_an_empty_partition_has_no_piece_and_no_result(make_job: MakeJob) -> None:
    job = make_job()
    found = spill(job.folder, "spill/a.bin", [records_of(1, 0), records_of(1, 5)])
    assert [piece[0] for piece in found] == [1]
    assert run_shuffle(job, "none", [], rows_of) == {}


def test_split_keeps_the_order_and_loses_nothing() -> None:
    records = records_of(3)
    parts = split(records, records["hash"] % np.uint64(5), 5)
    assert sum(len(part) for part in parts) == len(records)
    assert all((np.diff(part["row"].astype(np.int64)) > 0).all() for part in parts)


def test_a_file_that_was_cut_short_is_told(make_job: MakeJob) -> None:
    job = make_job()
    ((number, file, offset, length),) = spill(job.folder, "spill/a.bin", [records_of(1, 5)])
    (job.folder / file).write_bytes(b"short")
    with pytest.raises(StageFailed, match="spill/a.bin is shorter"):
        list(pieces(job, partition_task(number, [(file, offset, length)]), RECORD))
