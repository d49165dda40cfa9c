"""The executor on other hosts: Beam workers that are remote processes (on Ray: actors), fed from a queue in the driver.

A worker that is lost is replaced where there is room, its task goes to another, and the step fails only when a task
fails, ends its workers three times, or no worker starts. Cost: a thread and about 1 MB of the driver for each worker.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from pipeline.beam.beam_log import quiet
from pipeline.beam.failure import Failure
from pipeline.beam.task import JobStep, Payload, Result, Task, Work
from pipeline.beam.task_server import TaskServer
from pipeline.core import figures
from pipeline.core.remote_processes import RemoteProcesses
from pipeline.core.remote_progress import relay

if TYPE_CHECKING:
    from pipeline.beam.slot_runner import SlotPipeline, SlotWorker

TICK_S = 0.2
END_S = 5.0  # for workers to hear that the step is over
MOST_FAILED_STARTS = 3  # one after another, none succeeding
START_S = 300.0  # for the first worker: an autoscaler may have to start a machine


class RemoteWorkers:
    """An `Executor`: processes on the nodes of a cluster."""

    def run(self, step: JobStep, tasks: Sequence[Task[Payload]], work: Work[Payload, Result]) -> None:
        processes = step.job.remote_processes()
        with (
            quiet(step.job),
            relay(step.job.progress, processes.host) as progress,
            TaskServer(step, tasks, work, host=processes.host, progress=progress) as server,
            WorkerSlots(server, processes) as slots,
        ):
            slots.open(_width(step, processes, len(tasks)))
            while not server.settled.wait(TICK_S):
                slots.replace_lost()
        if server.failure is not None:
            raise server.failure.exception(step)


def _width(step: JobStep, processes: RemoteProcesses, tasks: int) -> int:
    """The number of workers: those asked for, no more than there are tasks and, for now, room."""
    room = processes.room()
    width = min(step.job.cluster.beam.workers or max(1, room), tasks)
    if room < width:
        step.job.progress.note(
            step.name, f"{figures.plural(width, 'worker')}; the cluster has room for {room} at present"
        )
    return width


class WorkerSlots:
    """The workers of a step: opened, replaced when they are lost, closed at the end of a `with` block."""

    def __init__(self, server: TaskServer, processes: RemoteProcesses) -> None:
        self.server, self.processes = server, processes
        self.pipelines: list[SlotPipeline] = []
        self._lost: queue.SimpleQueue[tuple[SlotWorker, str]] = queue.SimpleQueue()
        self._gone: set[str] = set()
        self._failed_starts = 0
        self._deadline = time.monotonic() + START_S

    def open(self, count: int) -> None:
        """Ask for so many workers more."""
        from pipeline.beam.slot_runner import SlotPipeline

        self.pipelines.append(SlotPipeline(
            self.processes, tasks=self.server.place, log=str(self.server.step.job.log), count=count, lost=self._on_lost,
        ))  # fmt: skip

    def replace_lost(self) -> None:
        """Ask for a new worker in the place of each that was lost, if there is work for it; fail when none starts."""
        lost = 0
        while not self._lost.empty():
            worker, cause = self._lost.get()
            lost += 1
            self._gone.add(worker.worker_id)
            started = worker.worker_id in self.server.hosts
            self._failed_starts = 0 if started else self._failed_starts + 1
            if self._failed_starts >= MOST_FAILED_STARTS:
                self._fail(f"{MOST_FAILED_STARTS} workers in a row did not start, the last because {cause}")
        workers = [worker for pipeline in self.pipelines for worker in pipeline.workers]
        living = sum(worker.worker_id not in self._gone for worker in workers)
        if lost and living < self.server.unfinished:
            self.open(min(lost, self.server.unfinished - living))
        for pipeline in self.pipelines:
            if pipeline.error is not None:
                last = (str(pipeline.error).strip().splitlines() or [type(pipeline.error).__name__])[-1]
                self._fail(f"Beam failed: {last[:300]}")
        if not self.server.hosts and time.monotonic() > self._deadline:
            self._fail(f"no worker started within {START_S:.0f} s: the cluster has room for {self.processes.room()}")

    def _on_lost(self, worker: SlotWorker, cause: str) -> None:
        self.server.lose(worker.worker_id, cause)
        self._lost.put((worker, cause))

    def _fail(self, reason: str) -> None:
        self.server.fail(Failure.of_step(self.server.step, f"{reason}. Finished tasks are kept."))

    def __enter__(self) -> WorkerSlots:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all workers: those that wait for a task hear that there is none, any other is killed."""
        self.server.settled.set()
        failed = error is not None or self.server.failure is not None
        deadline = time.monotonic() + END_S
        while any(pipeline.is_running for pipeline in self.pipelines):
            workers = [worker for pipeline in self.pipelines for worker in pipeline.workers]
            ending = [worker for worker in workers if not self._is_open(worker)]
            if failed or time.monotonic() > deadline:
                _close(workers)
            elif not any(worker.is_busy for worker in ending):
                _close([worker for worker in workers if self._is_open(worker)])
            for pipeline in self.pipelines:
                pipeline.wait(TICK_S / 4)

    def _is_open(self, worker: SlotWorker) -> bool:
        """Whether a worker will not end by itself: it is lost, never came, or is busy with what another has done."""
        name = worker.worker_id
        return name in self._gone or name not in self.server.hosts or self.server.is_busy(name)


def _close(workers: Sequence[SlotWorker]) -> None:
    for worker in workers:
        worker.close_slot()
