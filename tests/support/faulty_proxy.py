"""An HTTP proxy before an S3 server that injects faults, each once or twice for a request, as a seeded plan says.

Whether a request suffers depends on the seed, the method, the key, the range and how often it was asked, never on the
order in which clients come: the same run suffers the same faults. `python -m tests.support.faulty_proxy` runs one in a
process of its own, for hosts that this process does not reach.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import http.client
import json
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal, get_args
from urllib.parse import unquote, urlsplit

Kind = Literal[
    "timeout",  # no answer, then the connection is closed
    "500", "503",  # InternalError, SlowDown
    "reset",  # the connection is reset before anything is done
    "cut upload",  # the connection is reset in the middle of the body of a PUT or POST
    "answer lost",  # done at the server; the connection is closed without an answer
    "slow",  # the body of a GET comes in small pieces
    "short",  # the body of a GET ends in the middle, the connection with it
    "truncated",  # the body of a GET is half, and its headers say that this is all
    "damaged",  # one byte of the body of a GET is another
]  # fmt: skip
RECOVERABLE: tuple[Kind, ...] = ("timeout", "500", "503", "reset", "cut upload", "answer lost", "slow", "short")
UPLOADS, DOWNLOADS = ("PUT", "POST"), ("GET",)
METHODS: Mapping[str, tuple[str, ...]] = {
    "cut upload": UPLOADS, "slow": DOWNLOADS, "short": DOWNLOADS, "truncated": DOWNLOADS, "damaged": DOWNLOADS,
}  # fmt: skip
ERRORS = {"500": (500, "InternalError"), "503": (503, "SlowDown")}
SMALLEST_BODY = 64  # a shorter one is not cut: a listing or an error, whose end a client finds in other ways


@dataclass(frozen=True)
class Fault:
    """What happens to requests that match: the `first`-th of each, and so many after it.

    Requests are the same if method, key, query and range are. `keys` is a pattern of "bucket/key".
    """

    kind: Kind
    methods: Sequence[str] = ("GET", "PUT", "POST", "HEAD", "DELETE")
    keys: str = "*"
    first: int = 1
    times: int = 1

    def strikes(self, method: str, key: str, nth: int) -> bool:
        allowed = METHODS.get(self.kind, self.methods)
        matches = method in self.methods and method in allowed and fnmatch.fnmatchcase(key, self.keys)
        return matches and self.first <= nth < self.first + self.times


@dataclass(frozen=True)
class Plan:
    """The faults of a run: those listed, and of other requests `rate` (0 to 1), drawn by `seed` from `kinds`.

    A drawn fault strikes the same request at most `most` times, so that a client that tries again succeeds. `hold_s`:
    seconds without an answer at a timeout, and those over which a slow body is spread.
    """

    faults: Sequence[Fault] = ()
    seed: int = 0
    rate: float = 0.0
    kinds: Sequence[Kind] = RECOVERABLE
    most: int = 1
    hold_s: float = 5.0

    def fault(self, method: str, key: str, request: str, nth: int) -> Kind | None:
        """The fault of the n-th time (from 1) that this request comes; `request` has its query and range too."""
        for fault in self.faults:
            if fault.strikes(method, key, nth):
                return fault.kind
        kinds = [kind for kind in self.kinds if method in METHODS.get(kind, (method,))]
        if nth > self.most or not kinds:
            return None
        digest = hashlib.sha256(f"{self.seed}\0{request}\0{nth}".encode()).digest()
        draw, choice = struct.unpack(">QQ", digest[:16])
        return kinds[choice % len(kinds)] if draw < self.rate * 2**64 else None


@dataclass
class FaultyProxy:
    """A proxy on a free port of `address`, from `with` on. `injected` counts faults, `requests` requests."""

    backend: str  # the URL of the server
    plan: Plan = field(default_factory=Plan)
    address: str = "127.0.0.1"
    port: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    struck: list[tuple[Kind, str, str]] = field(default_factory=list)  # kind, method, key

    def __enter__(self) -> FaultyProxy:
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer((self.address, self.port), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    def environment(self, server: Mapping[str, str]) -> dict[str, str]:
        """The variables of a server, with the proxy as the address."""
        return {**server, "AWS_ENDPOINT_URL": self.url}

    def next_fault(self, method: str, path: str, byte_range: str | None) -> Kind | None:
        """Count a request; the fault that it suffers."""
        key = unquote(urlsplit(path).path).lstrip("/")
        request = f"{method} {path} {byte_range}"
        with self._lock:
            self.requests += 1
            self._seen[request] += 1
            kind = self.plan.fault(method, key, request, self._seen[request])
            if kind is not None:
                self.injected[kind] += 1
                self.struck.append((kind, method, key))
        return kind


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyProxy

    def log_message(self, *_: object) -> None:
        """Print nothing for a request."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError, ValueError):  # the client has gone
            self.close_connection = True

    def forward(self) -> None:
        kind = self.proxy.next_fault(self.command, self.path, self.headers.get("range"))
        if kind == "reset":
            return self._reset()
        if kind == "cut upload":
            self.rfile.read(int(self.headers.get("content-length") or 0) // 2)
            return self._reset()
        body = self._body()
        if kind == "timeout":
            time.sleep(self.proxy.plan.hold_s)
            return self._close()
        if kind in ERRORS:
            return self._refuse(*ERRORS[kind])
        try:
            status, headers, answer = self._ask(body)
        except (OSError, http.client.HTTPException):  # the server is down: its clients see a closed connection
            return self._close()
        if kind == "answer lost":
            return self._close()
        return self._answer(status, headers, answer, kind)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward

    def _body(self) -> bytes:
        if "chunked" not in (self.headers.get("transfer-encoding") or ""):
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        del self.headers["transfer-encoding"]
        self.headers["content-length"] = str(len(body))
        return body

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        server = urlsplit(self.proxy.backend)
        connection = http.client.HTTPConnection(server.hostname or "", server.port, timeout=60)
        try:
            # the host stays the proxy's: it is part of the signature
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: Sequence[tuple[str, str]], body: bytes, kind: Kind | None) -> None:
        size = next((int(value) for name, value in headers if name.lower() == "content-length"), len(body))
        if status < 300 and len(body) >= SMALLEST_BODY:
            if kind == "truncated":
                body = body[: len(body) // 2]
                size = len(body)
            elif kind == "damaged":
                body = body[:-1] + bytes([body[-1] ^ 1])
        else:
            kind = None
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("content-length", str(size))
        self.end_headers()
        if self.command == "HEAD":
            return
        if kind == "short":
            self.wfile.write(body[: len(body) // 2])
            self._close()
        elif kind == "slow":
            piece = max(1, len(body) // 10)
            for start in range(0, len(body), piece):
                self.wfile.write(body[start : start + piece])
                time.sleep(self.proxy.plan.hold_s / 10)
        else:
            self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
        self.send_response(status)
        self.send_header("content-type", "application/xml")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _close(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()


def main() -> None:
    """Serve until killed; prints the number of faults of each kind, as JSON, when its input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("backend")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--plan", default="{}", help="the fields of a Plan, as JSON")
    arguments = parser.parse_args()
    fields = json.loads(arguments.plan)
    faults = [Fault(**fault) for fault in fields.pop("faults", ())]
    with FaultyProxy(arguments.backend, Plan(faults, **fields), arguments.address, arguments.port) as proxy:
        print(proxy.url, flush=True)
        sys.stdin.read()
        print(json.dumps({"requests": proxy.requests, "injected": dict(proxy.injected)}), flush=True)


def plan_as_json(plan: Plan) -> str:
    """For `--plan`."""
    return json.dumps({**asdict(plan), "faults": [asdict(fault) for fault in plan.faults]})


assert set(RECOVERABLE) <= set(get_args(Kind))

if __name__ == "__main__":
    main()
