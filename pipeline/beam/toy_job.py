"""A toy step on the configured runner, for `doctor --beam`: where tasks ran, and whether lost ones are done again."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.beam.versions import versions, versions_differ
from pipeline.core.errors import BloomeryError
from pipeline.core.files import JsonObject, write_json
from pipeline.core.job import Job

TASKS = 16
TASK_S = 0.5


class Place(TypedDict):
    """Where a toy task ran, from when to when, and what it read of the driver's file."""

    host: str
    pid: int
    begin: float
    end: float
    versions: dict[str, str]


@dataclass(frozen=True)
class ToyReport:
    """What a runner did with the toy step."""

    hosts: Sequence[str]
    processes: int
    most_at_once: int
    differences: Sequence[str]
    seconds: float


def run_toy_job(job: Job) -> ToyReport:
    """Run the toy step. Raises: as `run_tasks`."""
    start = time.monotonic()
    tasks = [Task[JsonObject](f"toy-{number:02d}", 1, {}) for number in range(TASKS)]
    places = run_tasks(job, "toy", tasks, visit)
    # the files are read back here: whatever host wrote them
    for task in tasks:
        job.draft.file(f"toy/{task.key}.json").read_bytes()
    hosts = sorted({place["host"] for place in places})
    differences = {versions_differ(versions(), place["versions"], place["host"]) for place in places} - {""}
    edges = sorted([(place["begin"], 1) for place in places] + [(place["end"], -1) for place in places])
    running = most = 0
    for _, change in edges:
        running += change
        most = max(most, running)
    processes = len({(place["host"], place["pid"]) for place in places})
    return ToyReport(hosts, processes, most, sorted(differences), time.monotonic() - start)


def does_retry(job: Job) -> str:
    """Whether a task is done again whose worker was killed: empty if so, else what the runner said."""
    try:
        run_tasks(job, "retry", [Task[JsonObject]("retried", 1, {})], die_once, isolation="processes")
    except BloomeryError as error:
        return str(error)
    return ""


def visit(job: Job, task: Task[JsonObject]) -> Place:
    """Write a file as the tasks of stages do, and say where this was."""
    begin = time.time()
    (job.folder / "toy").mkdir(parents=True, exist_ok=True)
    write_json(job.folder / f"toy/{task.key}.json", {"host": socket.gethostname()})
    time.sleep(TASK_S)
    return Place(host=socket.gethostname(), pid=os.getpid(), begin=begin, end=time.time(), versions=versions())


def die_once(job: Job, task: Task[JsonObject]) -> Place:
    """Kill this worker, but not if one was killed before."""
    if "died" not in job.draft.results("retry-died"):
        job.draft.keep("retry-died", "died", {}, [])
        os.kill(os.getpid(), signal.SIGKILL)
    return visit(job, task)
