"""Progress from other hosts: a server in the driver that passes every message on to the supervisor.

with relay(job.progress, host) as progress:     # its address may be sent to any host that reaches `host`
    ...
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.files import JsonObject
from pipeline.core.line_server import LineServer, Peer
from pipeline.core.progress import Progress, transport


@contextmanager
def relay(progress: Progress, host: str) -> Iterator[Progress]:
    """A Progress for processes on other hosts, for the length of the block: what they send to `host` is passed on."""
    if not progress.address:
        yield progress
        return
    target = transport(progress.address)

    async def pass_on(peer: Peer, message: JsonObject) -> None:
        target.send(json.dumps(message, ensure_ascii=False).encode())

    with LineServer(host, pass_on) as server:
        yield Progress(f"tcp:{server.place}", progress.stage)
