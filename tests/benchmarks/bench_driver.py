"""The driver of a shuffle, as files × partitions grow: seconds and memory, a list of places against indexes in files.

    python tests/benchmarks/bench_driver.py [--cases 1000x128 10000x1024] [--grouped 1000x128] [--plan 100000x4096]

"places": every task returns [partition, file, offset, length] for each of its partitions, and the driver groups them
into the tasks of partitions; for cases up to `--grouped` also by Beam's GroupByKey, which was how it ran. "indexes":
each spilled file holds its own offsets, and the driver knows names of files. "read": one partition's task reads its
records. "plan": a stage as a driver of a cluster sees it: a task for each file, handed out by the task server to one
worker that does nothing, their results, then a task for each partition. Every line is a process of its own, on made
files of one record a partition, the tasks before being done.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measured import measure, table

from pipeline.core.draft import LocalDraft
from pipeline.core.files import JsonObject

TOY = "--cases 20x8 40x16 --grouped 20x8 --plan 60x16"
RECORD = np.dtype([("hash", "<u8"), ("check", "<u8"), ("document", "<u8")])
JobPaths = tuple[str, int, int]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", nargs="+", default=["1000x128", "10000x1024"])
    options.add_argument("--grouped", default="1000x128")
    options.add_argument("--plan", default="100000x4096")
    options.add_argument("--line", nargs=3)
    chosen = options.parse_args()
    if chosen.line:
        way, case, folder = chosen.line
        print(json.dumps({**WAYS, "plan": plan}[way](Path(folder), *size(case))))
        return
    rows = []
    for case in chosen.cases:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), *size(case))
            for way in WAYS:
                if way == "places, GroupByKey" and np.prod(size(case)) > np.prod(size(chosen.grouped)):
                    continue
                done = measure([sys.executable, __file__, "--line", way, case, folder])
                seconds, mebibytes = json.loads(done.printed.splitlines()[-1])
                rows.append([case.replace("x", " × "), way, seconds, mebibytes])
    with tempfile.TemporaryDirectory() as folder:
        done = measure([sys.executable, __file__, "--line", "plan", chosen.plan, folder])
        rows.append([chosen.plan.replace("x", " × "), "plan", *json.loads(done.printed.splitlines()[-1])])
    table("The driver of a shuffle", ["files × partitions", "way", "seconds", "MiB over imports"], rows)


def size(case: str) -> tuple[int, int]:
    files, partitions = case.split("x")
    return int(files), int(partitions)


def make(folder: Path, files: int, partitions: int) -> None:
    """What the tasks before have left: spilled files, and their results as either way has them."""
    from pipeline.core.files import write_json
    from pipeline.core.spill import segment, write_spill

    for name in ("spill", "places", "indexes"):
        (folder / name).mkdir()
    write_spill(folder / "first.bin", [RECORD.itemsize] * partitions, [np.zeros(1, RECORD)] * partitions)
    data, start = (folder / "first.bin").read_bytes(), segment(LocalDraft(folder), "first.bin", 0).offset
    for number in range(files):
        name = f"spill/keys-{number:06d}-000001.bin"
        (folder / name).write_bytes(data)
        places = [[at, name, start + RECORD.itemsize * at, RECORD.itemsize] for at in range(partitions)]
        (folder / "places" / f"{number:06d}.json").write_text(json.dumps({"pieces": places}))
        (folder / "indexes" / f"{number:06d}.json").write_text(json.dumps({"spills": [name]}))
    write_json(folder / "names.json", [f"spill/keys-{number:06d}-000001.bin" for number in range(files)])


def peak() -> float:
    """MiB at this process's peak; unlike ru_maxrss, not its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def places(folder: Path, files: int, partitions: int) -> list[float]:
    """Read every place, group them by partition, make a task of each."""
    before, start = peak(), time.monotonic()
    tasks = tasks_of(grouped(folder, files))
    assert len(tasks) == partitions
    return [time.monotonic() - start, peak() - before]


def places_and_beam(folder: Path, files: int, partitions: int) -> list[float]:
    """The same, and the places again through a GroupByKey."""
    import apache_beam as beam
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    before, start = peak(), time.monotonic()
    by_partition = grouped(folder, files)
    assert len(tasks_of(by_partition)) == partitions
    references = [(partition, place) for partition, held in by_partition.items() for place in held]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        groups = pipeline | beam.Create(references, reshuffle=False) | beam.GroupByKey()
        _ = groups | beam.Map(lambda group: sorted(group[1]))
    return [time.monotonic() - start, peak() - before]


def grouped(folder: Path, files: int) -> dict[int, list[JobPaths]]:
    results = [json.loads((folder / "places" / f"{number:06d}.json").read_text()) for number in range(files)]
    by_partition: dict[int, list[JobPaths]] = {}
    for partition, file, offset, length in [place for result in results for place in result["pieces"]]:
        by_partition.setdefault(partition, []).append((file, offset, length))
    return by_partition


def tasks_of(by_partition: dict[int, list[JobPaths]]) -> list[JsonObject]:
    ordered = {partition: sorted(held) for partition, held in by_partition.items()}
    return [{"partition": partition, "pieces": [list(place) for place in held]} for partition, held in ordered.items()]


def indexes(folder: Path, files: int, partitions: int) -> list[float]:
    """Read the names of files, make a task of each partition and let Beam deal them all out; the work is nothing."""
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner  # noqa: F401

    import pipeline.beam.transform  # noqa: F401
    from pipeline.beam.shuffle import run_shuffle

    job = job_in(folder)
    before, start = peak(), time.monotonic()
    results = [json.loads((folder / "indexes" / f"{number:06d}.json").read_text()) for number in range(files)]
    run_shuffle(job, "join", [file for result in results for file in result["spills"]], nothing, partitions=partitions)
    return [time.monotonic() - start, peak() - before]


def read(folder: Path, files: int, partitions: int) -> list[float]:
    """One partition's task: its records out of every file."""
    from pipeline.beam.shuffle import Partition, read_partition
    from pipeline.beam.task import Task

    before, start = peak(), time.monotonic()
    task = Task("partition", 1, Partition(partition=partitions // 2, spills="names.json"))
    assert len(read_partition(job_in(folder), task, RECORD)) == files
    return [time.monotonic() - start, peak() - before]


def plan(folder: Path, files: int, partitions: int) -> list[float]:
    """Every file a task, then every partition, through the task server of a cluster's executor."""
    from pipeline.beam.run import run_tasks
    from pipeline.beam.shuffle import run_shuffle
    from pipeline.beam.task import Task

    (folder / "spill").mkdir()
    names = [f"spill/keys-{number:06d}-000001.bin" for number in range(files)]
    for at, name in enumerate(names):  # links to one file, as many as a disk allows
        if at % 50_000 == 0:
            (folder / name).write_bytes(b"x" * 64)
            first = folder / name
        else:
            (folder / name).hardlink_to(first)
    job = job_in(folder)
    run_tasks(job, "warm", [Task[JsonObject]("warm", 1, {})], spilled, executor=OneWorker())  # imports
    before, start = peak(), time.monotonic()
    tasks = [Task[JsonObject](f"keys-{at:06d}", 64, {"file": name}) for at, name in enumerate(names)]
    results = run_tasks(job, "keys", tasks, spilled, executor=OneWorker())
    spills = [file for result in results for file in result["spills"]]
    run_shuffle(job, "join", spills, nothing, partitions=partitions, executor=OneWorker())
    return [time.monotonic() - start, peak() - before]


ANSWERS = """
import sys
from pipeline.beam.versions import versions
from pipeline.core.line_client import LineClient
with LineClient(sys.argv[1]) as server:
    server.ask({"hello": {"worker": "worker", "host": "host", "pid": 1, "versions": versions()}})
    reply = server.ask({})
    while reply:
        reply = server.ask({"done": True})
"""


class OneWorker:
    """An executor: the task server, with one worker in a process that only answers."""

    def run(self, step: Any, tasks: Any, work: Any) -> None:
        from pipeline.beam.task_server import TaskServer

        named = getattr(importlib.import_module(Path(__file__).stem), work.__name__)
        with (
            TaskServer(step, tasks, named, host="127.0.0.1", progress=step.job.progress) as server,
            subprocess.Popen([sys.executable, "-c", ANSWERS, server.place]),
        ):
            server.settled.wait()
        for task in tasks:  # as a worker leaves them, but not one fsync each
            (step.job.folder / "tasks" / step.name / f"{task.key}.json").write_text(json.dumps(named(step.job, task)))
        assert server.failure is None, server.failure


def spilled(job: Any, task: Any) -> JsonObject:
    return {"spills": [task.payload["file"]] if task.payload else []}


def nothing(job: Any, task: Any) -> JsonObject:
    return {}


def job_in(folder: Path) -> Any:
    from pipeline.core.inputs import Inputs
    from pipeline.core.job import Identity, Job
    from pipeline.core.places import JobPaths

    place = JobPaths(folder, folder, folder, folder / "log.txt")
    return Job(Identity("bench", 1, "documents", "", "", {}, 17), Inputs(), place)


WAYS = {"places": places, "places, GroupByKey": places_and_beam, "indexes": indexes, "indexes, read": read}

if __name__ == "__main__":
    main()
