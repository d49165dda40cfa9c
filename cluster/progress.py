"""Receives the progress messages of the running stage (`pipeline.core.progress`) and formats them as one line.

Messages are Unix datagrams from any process of the stage. A lost message makes a figure wrong for a moment, no more.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import shutil
import socket
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TypedDict

from pipeline.core import figures

WINDOW_S = 20.0  # the window of speeds: long enough to be steady, short enough to show a change
LONGEST_ADDRESS = 100  # the path of a socket may have 107 bytes


class ProgressMessage(TypedDict, total=False):
    """A message as it arrives: the fields of any kind (pipeline/core/messages.py), none of which is certain."""

    kind: str
    stage: str
    step: str | int  # the name of a step; in "train", "validate", "rank", "checkpoint_saved" that of a training step
    unit: str
    total: float
    n: float
    text: str
    loss: float
    learning_rate: float
    gradient_norm: float
    validation_loss: float
    tokens_per_second: float
    left_s: float
    tasks: int
    waiting: int
    running: int
    done: int
    task: str
    attempt: int
    worker: str
    workers: int
    host: str
    pid: int
    device: str
    cause: str
    from_step: int
    bytes: int
    rank: int
    seconds: float | dict[str, float]  # by kind in "rank"
    gpu_bytes: int
    quantity: str
    value: float
    usual: float
    action: str
    first: int
    training_rows: list[int]


class Listener:
    """The receiving socket, in a short temporary folder of its own."""

    def __enter__(self) -> Listener:
        folder = tempfile.mkdtemp(prefix="bloomery-")
        if len(folder.encode()) > LONGEST_ADDRESS - 2:
            Path(folder).rmdir()
            folder = tempfile.mkdtemp(prefix="bloomery-", dir="/tmp")
        self.folder, self.address = folder, f"unix:{folder}/p"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):  # a smaller buffer loses more messages
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(f"{folder}/p")
        self.socket.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.socket, selectors.EVENT_READ)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.selector.close()
        self.socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def wake_on(self, descriptor: int) -> Iterator[None]:
        """Make `receive` return early when this descriptor becomes readable, such as when a process ends."""
        self.selector.register(descriptor, selectors.EVENT_READ)
        try:
            yield
        finally:
            self.selector.unregister(descriptor)

    def receive(self, wait_s: float) -> Iterator[ProgressMessage]:
        """The pending messages, after waiting at most `wait_s` for the first."""
        if not self.selector.select(wait_s):
            return
        for _ in range(5_000):  # bounded, so that a flood of messages cannot block the supervisor
            try:
                yield json.loads(self.socket.recv(1 << 16))
            except BlockingIOError:
                return
            except ValueError:
                continue


@dataclass
class StepProgress:
    """The progress of one step of a stage: amount done, total and speed."""

    unit: str = ""
    total: float = 0.0
    done: float = 0.0
    note: str = ""
    history: deque[tuple[float, float]] = field(default_factory=deque)

    def add(self, n: float, now: float) -> None:
        # work of an earlier attempt is reported at once, in the first instant: it does not count as speed
        self.done += n
        if not self.history or now - self.history[0][0] < 0.05:
            self.history = deque([(now, self.done)])
        else:
            self.history.append((now, self.done))
        while len(self.history) > 2 and now - self.history[0][0] > WINDOW_S:
            self.history.popleft()

    def rate(self, now: float) -> float:
        """Units per second over the window; 0 while there is too little data."""
        if len(self.history) < 2 or now - self.history[0][0] < 0.5:
            return 0.0
        (first, before), (last, _) = self.history[0], self.history[-1]
        # a pause counts as slower only if it lasts longer than two usual steps
        usual = (last - first) / (len(self.history) - 1)
        until = last if now - last <= 2 * usual else now
        return (self.done - before) / (until - first)

    def left_s(self, now: float) -> float | None:
        rate = self.rate(now)
        return (self.total - self.done) / rate if rate > 0 and self.total > self.done else None


@dataclass
class TaskProgress:
    """The tasks of one step, counted from its messages; figures of a queue, which knows all of them, replace these."""

    total: int = 0
    running: int = 0
    done: int = 0
    retried: int = 0
    begun: set[str] = field(default_factory=set)  # the keys of running tasks, as far as their messages name them

    @property
    def waiting(self) -> int:
        return max(0, self.total - self.running - self.done)

    def finish(self, count: int, key: str | None) -> None:
        self.done += count
        self.running = max(0, self.running - count)
        self.begun.discard(key or "")


@dataclass
class StageProgress:
    """The state of the running stage: `apply` messages, then read `line`."""

    stage: str
    started: float = field(default_factory=time.monotonic)
    steps: dict[str, StepProgress] = field(default_factory=dict)
    step: str = ""
    train: ProgressMessage = field(default_factory=lambda: ProgressMessage())
    validation: float | None = None
    tasks: dict[str, TaskProgress] = field(default_factory=dict)
    restarts: int = 0  # of the gang

    def apply(self, message: ProgressMessage, now: float | None = None) -> None:
        """Update the state with one message."""
        now = time.monotonic() if now is None else now
        kind, name = message.get("kind"), str(message.get("step", ""))
        self._apply_to_tasks(kind, name, message)
        if kind in ("total", "add", "note"):
            self.step = name
            step = self.steps.setdefault(name, StepProgress())
            if kind == "total":
                # a repeated total restarts the step: a gang starts its next attempt
                step = StepProgress(str(message.get("unit", "")), float(message.get("total", 0)), 0.0, step.note)
                step.history.append((now, 0.0))
                self.steps[name] = step
            elif kind == "add":
                step.add(float(message.get("n", 1)), now)
            else:
                step.note = str(message.get("text", ""))
        elif kind == "train":
            self.train |= message
        elif kind == "validate":
            self.validation = message.get("loss")
        elif kind == "gang_restarted":
            self.restarts += 1

    def _apply_to_tasks(self, kind: str | None, name: str, message: ProgressMessage) -> None:
        if kind == "total" and "tasks" in message:
            self.tasks[name] = TaskProgress(message["tasks"], retried=self.tasks.get(name, TaskProgress()).retried)
        elif kind in ("queue", "task_started", "task_retried"):
            tasks = self.tasks.setdefault(name, TaskProgress())
            if kind == "queue":
                tasks.running, tasks.done = message.get("running", 0), message.get("done", 0)
                tasks.total = message.get("waiting", 0) + tasks.running + tasks.done
            elif kind == "task_started":
                tasks.running += 1
                tasks.begun |= {message["task"]} if "task" in message else set()
            else:
                tasks.retried += 1
                tasks.running = max(0, tasks.running - 1)
        elif kind == "add" and "tasks" in message:
            self.tasks.setdefault(name, TaskProgress()).finish(message["tasks"], message.get("task"))

    @property
    def share(self) -> float | None:
        """The finished share of the current step, from 0 to 1; None if its total is unknown."""
        step = self.steps.get(self.step)
        return min(step.done / step.total, 1.0) if step and step.total else None

    def line(self, now: float | None = None) -> str:
        """One line: progress, speed and time left; for training also the losses."""
        now = time.monotonic() if now is None else now
        parts = []
        step = self.steps.get(self.step)
        if step and step.total:
            parts.append(f"{self.step} {_of_total(step)}")
        elif self.step:
            parts.append(self.step)
        parts += self._training()
        if step:
            if step.rate(now) and "tokens_per_second" not in self.train:
                parts.append(figures.rate(step.rate(now), step.unit))
            if (left := step.left_s(now)) is not None:
                parts.append(f"{figures.duration(left)} left")
            if step.note:
                parts.append(step.note)
        if retried := sum(tasks.retried for tasks in self.tasks.values()):
            parts.append(f"{figures.plural(retried, 'task')} retried")
        if self.restarts:
            parts.append(f"restarted {self.restarts} ×")
        return " · ".join(parts) or f"starting, {figures.duration(now - self.started)}"

    def _training(self) -> list[str]:
        parts = []
        if "loss" in self.train:
            parts.append(f"loss {self.train['loss']:.3f}")
        if self.validation is not None:
            parts.append(f"validation {self.validation:.3f}")
        if self.train.get("tokens_per_second"):
            parts.append(figures.rate(float(self.train["tokens_per_second"]), "tokens"))
        return parts


def _of_total(step: StepProgress) -> str:
    if step.unit == "bytes":
        return f"{figures.size(step.done)} of {figures.size(step.total)}"
    return f"{figures.count(step.done)} of {figures.count(step.total)} {step.unit}"
