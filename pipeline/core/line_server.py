"""JSON lines over TCP from processes on other hosts: the server, in one thread; `line_client.py` is the other end.

Whoever connects says the server's token first, or is hung up on. Nothing but JSON is read. The kernel probes idle
connections, so a host that was cut off is noticed within 15 s though it never closes them.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from pipeline.core.files import JsonObject
from pipeline.core.line_client import keep_alive

LONGEST_LINE = 16 << 20
T = TypeVar("T")


@dataclass(eq=False)
class Peer:
    """A connected process. `name`: whatever the handler calls it."""

    name: str = ""


Handler = Callable[[Peer, JsonObject], Awaitable[JsonObject | None]]
"""Given a message, the reply, or None for no reply. Runs in the server's thread, so it must not block."""


class LineServer:
    """Accepts connections on `host` for the length of a `with` block; `lost(peer)` is called when one ends."""

    def __init__(self, host: str, handle: Handler, *, lost: Callable[[Peer], None] = lambda peer: None) -> None:
        self.host, self.handle, self.lost = host, handle, lost
        self._token = secrets.token_hex(16)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="line-server", daemon=True)
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def place(self) -> str:
        """HOST:PORT:TOKEN, for `LineClient`. It is a secret."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{port}:{self._token}"

    def __enter__(self) -> LineServer:
        self._thread.start()
        self._server = self.run(asyncio.start_server(self._accept, self.host, 0, limit=LONGEST_LINE, backlog=1024))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, coroutine: Coroutine[object, object, T]) -> T:
        """Run a coroutine in the server's thread; its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        peer = Peer()
        try:
            keep_alive(writer.get_extra_info("socket"))
            if hmac.compare_digest((await reader.readline()).strip(), self._token.encode()):
                await self._serve(peer, reader, writer)
        except (OSError, ValueError, asyncio.CancelledError):
            pass  # the connection broke, a line is too long or no JSON, or the server closes: the peer is lost
        finally:
            self._connections.discard(task)
            writer.close()
            self.lost(peer)

    async def _serve(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            reply = await self.handle(peer, json.loads(line))
            if reply is not None:
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
