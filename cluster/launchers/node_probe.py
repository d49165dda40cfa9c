"""What a node of a cluster is like, measured in a process there: its facts, a link to another node, the store.

A link is one TCP connection for a second; the side that listens answers only who knows a nonce, once.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import socket
import statistics
import tempfile
import threading
import time
from typing import TypedDict

from cluster.child import versions
from cluster.launchers import requirements
from cluster.numerics import cpu_level
from pipeline.core.errors import BloomeryError

ANSWER_S = 60.0
SEND_S = 1.0  # how long a link is measured
PIECE = 1 << 20
PINGS = 50
STORE_BYTES = 16 << 20


class NodeFacts(TypedDict):
    """What a node says of itself. `gpus`: None if they could not be counted; `disk_free`: of its temporary folder."""

    address: str
    host: str
    versions: dict[str, str]
    machine: str
    cpu: str
    cores: int
    gpus: int | None
    disk_free: int


class StoreFacts(TypedDict):
    """Bytes per second of one object of 16 MiB, written and read back; or what went wrong."""

    write: float
    read: float
    problem: str


def node_facts(address: str) -> NodeFacts:
    """What this process finds on its machine."""
    return {
        "address": address, "host": socket.gethostname(), "versions": versions(), "machine": platform.machine(),
        "cpu": cpu_level(), "cores": len(os.sched_getaffinity(0)), "gpus": requirements.visible_gpus(environment={}),
        "disk_free": shutil.disk_usage(tempfile.gettempdir()).free,
    }  # fmt: skip


def measure_link(address: str, port: int, nonce: bytes) -> tuple[float, float]:
    """Bytes per second for SEND_S over one connection to `_answer`, and the median of PINGS round trips in seconds."""
    with socket.create_connection((address, port), timeout=ANSWER_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(nonce)
        pings = []
        for _ in range(PINGS):
            sent = time.perf_counter()
            connection.sendall(b".")
            if not connection.recv(1):
                raise OSError("the other node closed the connection")
            pings.append(time.perf_counter() - sent)
        piece, total, started = bytes(PIECE), 0, time.perf_counter()
        while time.perf_counter() - started < SEND_S:
            connection.sendall(piece)
            total += PIECE
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)  # everything has arrived
        return total / (time.perf_counter() - started), statistics.median(pings)


def listen(address: str, nonce: bytes) -> int:
    """Answer one measurement of a link by who knows the nonce; returns the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.create_server((address, 0), family=family)
    server.settimeout(ANSWER_S)
    threading.Thread(target=_answer, args=(server, nonce), daemon=True).start()
    port: int = server.getsockname()[1]
    return port


def _answer(server: socket.socket, nonce: bytes) -> None:
    """Take one connection that begins with the nonce: answer its pings, then read to its end and say so."""
    with server:
        connection, _ = server.accept()
    with connection:
        connection.settimeout(ANSWER_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not secrets.compare_digest(_exactly(connection, len(nonce)), nonce):
            return
        for _ in range(PINGS):
            connection.sendall(_exactly(connection, 1))
        while connection.recv(PIECE):
            pass
        connection.sendall(b".")


def _exactly(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        piece = connection.recv(length - len(received))
        if not piece:
            raise ConnectionError("the other node closed the connection")
        received += piece
    return received


def measure_store(url: str) -> StoreFacts:
    """Write an object of STORE_BYTES into a store, read it back, and delete it."""
    from pipeline.core.objects import ObjectStore

    objects, key, content = ObjectStore(url), f"doctor/{secrets.token_hex(8)}", secrets.token_bytes(STORE_BYTES)
    try:
        started = time.perf_counter()
        objects.put(key, content)
        written = time.perf_counter()
        try:
            is_same = objects.read(key) == content
            ended = time.perf_counter()
        finally:
            objects.delete(key)
    except BloomeryError as error:
        return {"write": 0.0, "read": 0.0, "problem": str(error)}
    problem = "" if is_same else "an object came back with other bytes than were written"
    return {"write": STORE_BYTES / (written - started), "read": STORE_BYTES / (ended - written), "problem": problem}
