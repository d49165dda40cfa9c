"""Progress from any process of a stage to the supervisor: Unix datagrams that never block and never fail.

A lost datagram misdraws a bar for a moment and changes nothing else: the truth is in the result files. One JSON object
a datagram, {"kind": "total" | "add" | "note" | "<event>", "stage", "step", ...}. Cost: about 5 us a message.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from dataclasses import dataclass, field
from typing import Any

_LOCAL = threading.local()


@dataclass(frozen=True)
class Progress:
    """The sending end. `address` is the path of the supervisor's socket (at most 107 bytes), or "" for silence."""

    address: str = ""
    stage: str = field(default="")

    def total(self, step: str, total: float, unit: str) -> None:
        """Say how much work `step` has, in `unit` ("bytes", "steps", "documents")."""
        self.event("total", step=step, total=total, unit=unit)

    def add(self, step: str, n: float = 1) -> None:
        """Say that `n` more units of `step` are done."""
        self.event("add", step=step, n=n)

    def note(self, step: str, text: str) -> None:
        """One line for people: shown beside the bar and kept in the run's events."""
        self.event("note", step=step, text=text)

    def event(self, kind: str, **fields: Any) -> None:
        """Any other event, for example kind="train", step=12, loss=3.1."""
        if not self.address:
            return
        message = json.dumps({"kind": kind, "stage": self.stage, **fields}, ensure_ascii=False).encode()
        # the listener may be gone, slow or full: progress is a courtesy
        with contextlib.suppress(OSError):
            _socket().sendto(message, socket.MSG_DONTWAIT, self.address)


def _socket() -> socket.socket:
    held = getattr(_LOCAL, "held", None)
    if held is None or held[0] != os.getpid():
        held = (os.getpid(), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        _LOCAL.held = held
    found: socket.socket = held[1]
    return found
