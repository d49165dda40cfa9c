"""Send progress from any process of a stage to the supervisor. Sending never blocks and never fails.

How a message travels is a `Transport`, named by the scheme of an address: "unix:PATH" is a datagram to a socket of this
host, "tcp:HOST:PORT:TOKEN" a connection to the driver from another. A lost message only makes a progress bar wrong for
a moment: results are in files. Each is one JSON object, {"kind", "stage", ...}; the kinds are in `messages.py`. Cost:
about 5 us a message.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.core.files import JsonValue
from pipeline.core.messages import Add, Message, Total

_LOCAL = threading.local()
# the address that replaces every other in a process on another host than the supervisor's
RELAY = "BLOOMERY_PROGRESS"


class Transport(Protocol):
    """A way to send messages to the supervisor."""

    def send(self, message: bytes) -> None:
        """Send a message or drop it; never wait, never raise."""


@dataclass(frozen=True)
class UnixDatagrams:
    """To a socket on this host; `path` has at most 107 bytes."""

    path: str

    def send(self, message: bytes) -> None:
        # the listener may be gone, slow or full: losing progress is harmless
        with contextlib.suppress(OSError):
            _socket().sendto(message, socket.MSG_DONTWAIT, self.path)


def transport(address: str) -> Transport:
    """The transport of an address, SCHEME:PLACE."""
    scheme, _, place = address.partition(":")
    if scheme == "unix":
        return UnixDatagrams(place)
    from pipeline.core.tcp_messages import TcpMessages  # its libraries take 20 ms, which a local run does not pay

    return TcpMessages(place)


@dataclass(frozen=True)
class Progress:
    """The sending end. `address` is where the supervisor listens, SCHEME:PLACE, or "" for silence."""

    address: str = ""
    stage: str = field(default="")

    def total(self, step: str, total: float, unit: str, *, tasks: int = 0) -> None:
        """Say how much work `step` has, in `unit` ("bytes", "steps", "documents"), and in how many tasks."""
        self._send_with_tasks({"kind": "total", "step": step, "total": total, "unit": unit}, tasks)

    def add(self, step: str, n: float = 1, *, tasks: int = 0, task: str = "") -> None:
        """Say that `n` more units of `step` are done, and with them so many tasks; `task`: the key of the only one."""
        message: Add = {"kind": "add", "step": step, "n": n}
        if task:
            message["task"] = task
        self._send_with_tasks(message, tasks)

    def note(self, step: str, text: str) -> None:
        """One line for people: shown beside the bar and kept in the run's events."""
        self.send({"kind": "note", "step": step, "text": text})

    def send(self, message: Message) -> None:
        """Tell what happened, for example that a task was retried."""
        self.event(**message)

    def _send_with_tasks(self, message: Total | Add, tasks: int) -> None:
        if tasks:
            message["tasks"] = tasks
        self.send(message)

    def event(self, kind: str, **fields: JsonValue) -> None:
        """A message of a kind that has no type, for example kind="train", step=12, loss=3.1."""
        self.forward(json.dumps({"kind": kind, "stage": self.stage, **fields}, ensure_ascii=False).encode())

    def forward(self, message: bytes) -> None:
        """Send a message that another process has made."""
        if not self.address:
            return
        transport(os.environ.get(RELAY) or self.address).send(message)


def _socket() -> socket.socket:
    cached = getattr(_LOCAL, "cached", None)
    if cached is None or cached[0] != os.getpid():
        cached = (os.getpid(), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        _LOCAL.cached = cached
    opened: socket.socket = cached[1]
    return opened
