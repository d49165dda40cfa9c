"""Progress messages over TCP, for processes on other hosts than the supervisor (`remote_progress.py` receives them).

A process has one connection for a place, and one thread that sends. Messages that come faster than they leave are
dropped, and so are those of a host that does not reach the driver.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from dataclasses import dataclass
from functools import cache

from pipeline.core.line_client import LineClient

WAITING_MESSAGES = 10_000
PAUSE_S = 5.0  # after a connection failed


@dataclass(frozen=True)
class TcpMessages:
    """A `Transport`; `place` is HOST:PORT:TOKEN."""

    place: str

    def send(self, message: bytes) -> None:
        with contextlib.suppress(queue.Full):
            _sender(self.place, os.getpid()).put_nowait(message)


@cache
def _sender(place: str, pid: int) -> queue.Queue[bytes]:
    """The messages that the sending thread of this process has still to send; a fork of it has its own thread."""
    messages: queue.Queue[bytes] = queue.Queue(WAITING_MESSAGES)
    threading.Thread(target=_send_all, args=(place, messages), name="progress", daemon=True).start()
    return messages


def _send_all(place: str, messages: queue.Queue[bytes]) -> None:
    client: LineClient | None = None
    while True:
        message = messages.get()
        try:
            client = client or LineClient(place)
            client.tell(message)
        except OSError:
            client = None
            time.sleep(PAUSE_S)
