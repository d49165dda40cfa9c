"""How far the running stage is: the supervisor's end of `pipeline.core.progress`, and what is worth saying of it.

Messages are Unix datagrams from any process of the stage; a lost one misdraws a figure for a moment and nothing else.
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
from typing import Any

from pipeline.core import figures

WINDOW_S = 20.0  # speeds are over this long: steady enough to read, quick enough to notice a change
LONGEST_ADDRESS = 100  # a socket's path may have 107 bytes


class Listener:
    """The receiving socket, in a short temporary folder of its own."""

    def __enter__(self) -> Listener:
        folder = tempfile.mkdtemp(prefix="bloomery-")
        if len(folder.encode()) > LONGEST_ADDRESS - 2:
            Path(folder).rmdir()
            folder = tempfile.mkdtemp(prefix="bloomery-", dir="/tmp")
        self.folder, self.address = folder, f"unix:{folder}/p"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):  # a smaller buffer only loses more
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
        """Let `receive` end its waiting for this descriptor too: a process's end, for example."""
        self.selector.register(descriptor, selectors.EVENT_READ)
        try:
            yield
        finally:
            self.selector.unregister(descriptor)

    def receive(self, wait_s: float) -> Iterator[dict[str, Any]]:
        """The messages that are there, after waiting at most `wait_s` for the first."""
        if not self.selector.select(wait_s):
            return
        for _ in range(5_000):  # a flood must not keep the supervisor from its child
            try:
                yield json.loads(self.socket.recv(1 << 16))
            except BlockingIOError:
                return
            except ValueError:
                continue


@dataclass
class StepProgress:
    """One step of a stage: how much of how much, how fast."""

    unit: str = ""
    total: float = 0.0
    done: float = 0.0
    note: str = ""
    history: deque[tuple[float, float]] = field(default_factory=deque)

    def add(self, n: float, now: float) -> None:
        # what an earlier attempt had finished is told at once, in the first instant: it is no speed
        self.done += n
        if not self.history or now - self.history[0][0] < 0.05:
            self.history = deque([(now, self.done)])
        else:
            self.history.append((now, self.done))
        while len(self.history) > 2 and now - self.history[0][0] > WINDOW_S:
            self.history.popleft()

    def rate(self, now: float) -> float:
        """Units a second over the last while; 0 until something can be said."""
        if len(self.history) < 2 or now - self.history[0][0] < 0.5:
            return 0.0
        (first, before), (last, _) = self.history[0], self.history[-1]
        # between two slow steps nothing has become slower; only a silence that lasts counts
        usual = (last - first) / (len(self.history) - 1)
        until = last if now - last <= 2 * usual else now
        return (self.done - before) / (until - first)

    def left_s(self, now: float) -> float | None:
        rate = self.rate(now)
        return (self.total - self.done) / rate if rate > 0 and self.total > self.done else None


@dataclass
class StageProgress:
    """Everything known of the running stage; `take` a message, ask for `line`."""

    stage: str
    started: float = field(default_factory=time.monotonic)
    steps: dict[str, StepProgress] = field(default_factory=dict)
    step: str = ""
    train: dict[str, Any] = field(default_factory=dict)
    validation: float | None = None

    def take(self, message: dict[str, Any], now: float | None = None) -> None:
        """Fold one message in."""
        now = time.monotonic() if now is None else now
        kind, name = message.get("kind"), str(message.get("step", ""))
        if kind in ("total", "add", "note"):
            self.step = name
            step = self.steps.setdefault(name, StepProgress())
            if kind == "total":
                # a step that says its total anew begins anew (the next attempt of a gang)
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

    @property
    def share(self) -> float | None:
        """How far the current step is, from 0 to 1, where its total is known."""
        step = self.steps.get(self.step)
        return min(step.done / step.total, 1.0) if step and step.total else None

    def line(self, now: float | None = None) -> str:
        """One line for people: how far, how fast, how long still; a training run's losses too."""
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
