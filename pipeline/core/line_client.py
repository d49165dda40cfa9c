"""JSON lines over TCP to the driver of a stage, from any host. A place is "HOST:PORT:TOKEN" (`line_server.py`)."""

from __future__ import annotations

import contextlib
import json
import socket
from types import TracebackType

from pipeline.core.files import JsonObject

CONNECT_S = 10.0
# idle for 5 s, then a probe every 2 s; five without an answer end the connection
KEEPALIVE = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 5))
UNANSWERED_MS = 15_000


class LineClient:
    """A connection to a place. One thread at a time."""

    def __init__(self, place: str) -> None:
        """Raises: OSError when nothing answers there."""
        address, _, token = place.rpartition(":")
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S)
        self._socket.settimeout(None)
        keep_alive(self._socket)
        self._stream = self._socket.makefile("rwb")
        self._stream.write(token.encode() + b"\n")

    def tell(self, message: bytes) -> None:
        """Send a JSON object that has no reply. Raises: OSError when the connection is gone."""
        self._stream.write(message + b"\n")
        self._stream.flush()

    def ask(self, message: JsonObject) -> JsonObject:
        """Send a message and wait for its reply. Raises: OSError when the connection is gone."""
        self.tell(json.dumps(message).encode())
        line = self._stream.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the other end closed the connection")
        reply: JsonObject = json.loads(line)
        return reply

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.close()
        self._socket.close()

    def __enter__(self) -> LineClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_reachable(address: str) -> None:
    """Connect to HOST:PORT and hang up. Raises: OSError when nothing answers within 10 s."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()


def keep_alive(connection: socket.socket) -> None:
    """Let the kernel notice within 15 s that the other host is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in KEEPALIVE:
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def address_towards(host: str) -> str:
    """The address of this machine that a host reaches, by the kernel's routes; nothing is sent."""
    family, kind, _, _, target = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(target)
        return str(probe.getsockname()[0])
