"""Gives the tasks of a step to workers on any host, and learns from them what became of each: the driver's end.

A worker says hello, then draws until it is told that the step is over; its draw says that its last task is done, or why
it failed. A worker whose connection ends is lost, and its task is given out again. What crosses is JSON: the job once a
worker, a task when it is drawn; results and files go to the draft. `task_client.py` is the worker's end.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from pipeline.beam.failure import Failure
from pipeline.beam.task import JobStep, Task, Work
from pipeline.beam.task_queue import MOST_LOSSES, TaskQueue
from pipeline.beam.versions import versions, versions_differ
from pipeline.core.files import JsonObject
from pipeline.core.line_server import LineServer, Peer
from pipeline.core.progress import Progress
from pipeline.core.registry import plugin_folders

TICK_S = 0.5


class TaskServer:
    """For the length of a `with` block. `settled` is set when every task is done, or the step has failed or stopped.

    `progress`: where the work on other hosts sends its messages.
    """

    def __init__(
        self, step: JobStep, tasks: Sequence[Task[Any]], work: Work[Any, Any], *, host: str, progress: Progress
    ) -> None:
        self.step, self.tasks = step, tasks
        self.settled = threading.Event()
        self.failure: Failure | None = None
        self.hosts: dict[str, str] = {}  # of every worker that said hello
        self._queue = TaskQueue([task.size for task in tasks])
        self._lost: set[str] = set()
        self._causes: dict[int, tuple[str, str]] = {}  # task → the worker that was lost on it last, and why
        self._peers: dict[str, Peer] = {}
        self._changed = asyncio.Event()
        self._reported: tuple[int, int, int] | None = None
        self._server = LineServer(host, self._answer, lost=self._on_lost)
        self._welcome: JsonObject = {
            "job": step.job.to_dict() | {"progress": progress.address}, "step": step.name,
            "work": f"{work.__module__}:{work.__qualname__}", "plugins": plugin_folders(),
        }  # fmt: skip

    @property
    def place(self) -> str:
        """Where workers find this server: HOST:PORT:TOKEN, a secret."""
        return self._server.place

    @property
    def unfinished(self) -> int:
        """The number of tasks that are not done."""
        return len(self.tasks) - len(self._queue.done)

    def is_busy(self, worker: str) -> bool:
        """Whether a worker is at a task."""
        return worker in self._queue.running

    def __enter__(self) -> TaskServer:
        self._server.__enter__()
        self._ticker = asyncio.run_coroutine_threadsafe(self._tick(), self._server.loop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.settled.set()
        self._ticker.cancel()
        self._server.__exit__(kind, error, trace)

    def fail(self, failure: Failure) -> None:
        """Keep the first failure, and let all workers end before their next task. From any thread."""
        self._server.loop.call_soon_threadsafe(self._fail, failure)

    def lose(self, worker: str, cause: str) -> None:
        """Note that a worker is gone: whoever started it may know before its connection tells. From any thread."""
        self._server.loop.call_soon_threadsafe(self._lose, worker, cause)

    # in the server's thread from here on

    async def _answer(self, peer: Peer, message: JsonObject) -> JsonObject:
        if "hello" in message:
            return self._greet(peer, message["hello"])
        if failed := message.get("failed"):
            self._queue.lose(peer.name)
            self._fail(Failure.from_dict(failed))
        elif message.get("done"):
            self._finish(peer.name)
        return await self._draw(peer.name)

    def _greet(self, peer: Peer, hello: JsonObject) -> JsonObject:
        peer.name, self.hosts[hello["worker"]] = hello["worker"], hello["host"]
        self._peers[peer.name] = peer
        if difference := versions_differ(versions(), hello["versions"], hello["host"]):
            self._fail(Failure.of_step(self.step, difference))
            return {}
        self.step.job.progress.send({
            "kind": "worker_started", "worker": peer.name, "host": hello["host"], "pid": hello["pid"], "device": "cpu",
        })  # fmt: skip
        return self._welcome

    async def _draw(self, worker: str) -> JsonObject:
        while not self.settled.is_set():
            number = self._queue.draw(worker, time.monotonic())
            if number is not None:
                self._tell_retried(number)
                return {"task": self.tasks[number].to_dict()}
            await self._changed.wait()
        return {}

    def _finish(self, worker: str) -> None:
        number = self._queue.finish(worker, time.monotonic())
        if number is not None:
            # counted here: a worker's own last messages may still be on their way when it is ended
            self.step.job.progress.add(self.step.name, self.tasks[number].size)
        if self._queue.finished:
            self.settled.set()
        self._wake()

    def _on_lost(self, peer: Peer) -> None:
        if peer.name and self._peers.get(peer.name) is peer:
            self._lose(peer.name, "its connection ended")

    def _lose(self, worker: str, cause: str) -> None:
        if self.settled.is_set() or worker in self._lost:
            return
        self._lost.add(worker)
        host = self.hosts.get(worker, "")
        self.step.job.progress.send({"kind": "worker_lost", "worker": worker, "host": host, "cause": cause})
        loss = self._queue.lose(worker)
        if loss is not None:
            self._causes[loss.number] = worker, cause
            if loss.losses >= MOST_LOSSES:
                self._blame(
                    self.tasks[loss.number].key,
                    f"{loss.losses} workers ended while working on it, the last on "
                    f"{host} ({cause}). Out of memory is the usual reason. Finished tasks are kept.",
                )
        self._wake()

    def _blame(self, name: str, reason: str) -> None:
        self._fail(Failure.of_step(self.step, f"{name}: {reason}"))

    def _tell_retried(self, number: int) -> None:
        if number in self._causes:
            worker, cause = self._causes[number]
            self.step.job.progress.send({
                "kind": "task_retried", "step": self.step.name, "task": self.tasks[number].key,
                "attempt": self._queue.losses[number] + 1, "worker": worker, "cause": cause,
            })  # fmt: skip

    def _fail(self, failure: Failure) -> None:
        if self.failure is None and not self.settled.is_set():
            self.failure = failure
        self.settled.set()
        self._wake()

    def _wake(self) -> None:
        """Let all workers that wait for a task look again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _tick(self) -> None:
        """Now and then: report how the tasks are, and let those who wait look for a slow one."""
        while True:
            await asyncio.sleep(TICK_S)
            queue = self._queue
            counts = len(queue.waiting), len(queue.running), len(queue.done)
            if counts != self._reported:
                self._reported = counts
                waiting, running, done = counts
                self.step.job.progress.send({
                    "kind": "queue", "step": self.step.name, "waiting": waiting, "running": running, "done": done,
                })  # fmt: skip
            self._wake()
