"""A skewed step against an even one: how long workers wait for a hot file, a slow node, a node that hangs.

    python tests/benchmarks/bench_skew.py [--workers 4] [--seconds 40]

Tasks sleep, so cores do not matter: 64 of them, `--seconds` of work at full speed for each worker. "drawn" is the queue
of `cluster.beam.runner: ray`, its workers processes of this machine; "dealt" is what Beam's embedded runner does with
the same tasks: index modulo workers. "bound" is the least that any order could reach. Ends with 1 if a drawn case takes
more than 1.3 × its bound.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from measured import table

from pipeline.beam.task import JobStep, Task
from pipeline.beam.task_server import TaskServer
from pipeline.core.files import JsonObject
from pipeline.core.job import Identity, Inputs, Job
from pipeline.core.places import JobPaths

TOY = "--workers 3 --seconds 9 --unjudged"
TASKS, HOT_SHARE, MOST = 64, 0.2, 1.3
WORKER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pipeline.beam.task_client import draw_tasks
try:
    draw_tasks(sys.argv[2], sys.argv[3])
except OSError:
    pass
"""


@dataclass(frozen=True)
class Case:
    """Seconds of every task at full speed, and how many times slower each worker is."""

    name: str
    sizes: list[float]
    slowness: list[float]

    @property
    def bound(self) -> float:
        """All work shared by speed; a task is not divided, and the fastest may do it."""
        return max(sum(self.sizes) / sum(1 / slow for slow in self.slowness), max(self.sizes) * min(self.slowness))

    @property
    def dealt(self) -> float:
        """The longest share when tasks are dealt out, the largest first, index modulo workers."""
        workers = len(self.slowness)
        return max(slow * sum(self.sizes[at::workers]) for at, slow in enumerate(self.slowness))


def cases(workers: int, seconds: float) -> list[Case]:
    total = seconds * workers
    even = [total / TASKS] * TASKS
    # no task may be longer than an even share, or nothing but dividing it helps
    hot = [min(HOT_SHARE * total, 0.9 * seconds), *[(1 - min(HOT_SHARE, 0.9 / workers)) * total / TASKS] * TASKS]
    zipf = [1 / (rank + 4) for rank in range(TASKS)]
    ones = [1.0] * workers
    return [
        Case("even", even, ones),
        Case("a hot file", hot, ones),
        Case("sizes as 1 / rank", [total * size / sum(zipf) for size in zipf], ones),
        Case("a node 4 times slower", even, [4.0, *ones[1:]]),
        Case("a node that hangs", even, [1e4, *ones[1:]]),
    ]


def sleep(job: Job, task: Task[JsonObject]) -> JsonObject:
    """The work: sleep as long as the task says, times the slowness of this worker."""
    time.sleep(task.payload["seconds"] * task.payload["slowness"][int(sys.argv[3])])
    return {}


def drawn(case: Case) -> float:
    """Seconds from the first task to the last result, workers being ready."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = Job(Identity("bench", 1, "documents", "", "", {}, 17), Inputs(),
                  JobPaths(folder, folder, folder, folder / "log.txt"))  # fmt: skip
        job.draft.results("skew")
        tasks = [
            Task[JsonObject](f"t{at}", int(1e6 * size), {"seconds": size, "slowness": case.slowness})
            for at, size in enumerate(case.sizes)
        ]
        with TaskServer(
            JobStep(job, "skew"),
            tasks,
            importlib.import_module(Path(__file__).stem).sleep,
            host="127.0.0.1",
            progress=job.progress,
        ) as server:
            workers = [
                subprocess.Popen([sys.executable, "-c", WORKER, str(Path(__file__).parent), server.place, str(number)])
                for number in range(len(case.slowness))
            ]
            while not server.hosts:  # from the first worker that is ready: the others follow within a moment
                time.sleep(0.01)
            start = time.monotonic()
            server.settled.wait()
            seconds = time.monotonic() - start
            for worker in workers:
                worker.kill()
                worker.wait()
        if server.failure is not None:
            sys.exit(server.failure.message)
        return seconds


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--workers", type=int, default=4)
    options.add_argument("--seconds", type=float, default=40.0)
    options.add_argument("--unjudged", action="store_true", help="do not end with 1 for a ratio above 1.3")
    chosen = options.parse_args()
    rows, worst = [], 0.0
    for case in cases(chosen.workers, chosen.seconds):
        seconds = drawn(case)
        dealt = f"{case.dealt:,.1f}" if case.dealt < 1e4 else "never"
        worst = max(worst, seconds / case.bound)
        rows.append([case.name, f"{case.bound:,.1f}", f"{seconds:,.1f}", f"{seconds / case.bound:.2f}", dealt])
    title = f"A skewed step: {TASKS} tasks that sleep, {chosen.workers} workers"
    table(title, ["case", "bound, s", "drawn, s", "drawn / bound", "dealt, s (computed)"], rows)
    if worst > MOST and not chosen.unjudged:
        sys.exit(f"a skewed case took {worst:.2f} times its bound")


if __name__ == "__main__":
    main()
