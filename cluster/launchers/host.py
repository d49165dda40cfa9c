"""The processes of a gang, or of tasks, on one host: start, poll, stop. They are forks of one fork server.

The launcher holds one `Host` on this machine, or one in an actor on each host of a Ray cluster; all that it returns can
be sent. A host needs nothing in common with the launcher but the installed packages: output, errors and progress of its
processes go into a temporary folder and from there into the reports.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from cluster.launchers.base import LaunchOrder, home, threads_environment
from cluster.launchers.child import ProcessRequest
from cluster.launchers.failures import WorkerFailure
from cluster.launchers.fork_server import Notice, ServerRequest
from pipeline.core.files import JsonObject, JsonValue, read_json
from pipeline.core.progress import RELAY

FOREIGN = ("RAY_", "TORCHELASTIC_", "OMP_")  # variables of other launchers or the user's shell
INCARNATION, HEARTBEAT = "BLOOMERY_INCARNATION", "BLOOMERY_HEARTBEAT"  # read by training/
BOOT = "import sys; sys.path.append(sys.argv[1]); from cluster.launchers.fork_server import main; main(sys.argv[2:])"
REPORT_BYTES = 1 << 18  # of output in one report: a host that prints much is heard with a delay
MOST_MESSAGES = 10_000  # of progress, in one report
STOP_S = 10.0

Server = subprocess.Popen[bytes]


class Beat(TypedDict):
    """The last heartbeat of a process (training/heartbeat.py): what it said, and how long ago.

    `stopped_s`: how long its second thread has shown no life: seconds only where the process is stopped. `busy_s`: the
    CPU time of its main thread since the heartbeat.
    """

    step: int
    from_step: int
    phase: str
    age_s: float
    stopped_s: float
    busy_s: float


class Ended(TypedDict):
    """How a process ended; see failures.Exit."""

    status: int
    failure: WorkerFailure | None


class HostReport(TypedDict):
    """The state of a host's processes, by their numbers, and what they said since the last report.

    `output` starts at byte `start` of all that they printed.
    """

    ended: dict[int, Ended]
    beats: dict[int, Beat]
    start: int
    output: bytes
    progress: list[bytes]


class Host:
    """The processes on this host. `log`: where they print; None keeps the output for the reports."""

    def __init__(self, *, threads: int, log: Path | None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bloomery-host-"))
        self.threads, self.relays, self.log = threads, log is None, log or self.folder / "log"
        self.log.touch()
        self._server: Server | None = None
        self._running: set[int] = set()
        self._codes: dict[int, int] = {}
        self._pending = b""
        self._messages: list[bytes] = []
        self._progress: socket.socket | None = self._listen() if self.relays else None

    def start(
        self, order: LaunchOrder, specs: Mapping[int, Mapping[int, JsonObject]],
        variables: Mapping[int, Mapping[str, str]],
    ) -> None:  # fmt: skip
        """Start a process for each key of `specs`, with its environment variables. None of them may be running."""
        own_order: LaunchOrder = {**order, "folder": str(self.folder), "log": str(self.log)}
        if self.relays:  # the packages may lie elsewhere on this host
            own_order["home"] = home()
        for stale in (*self.folder.glob("failed-*.json"), *self.folder.glob("beat-*")):
            stale.unlink()
        if self._server is None or self._server.poll() is not None:
            self._start_server(own_order, next(iter(next(iter(specs.values())).values())))
        self._codes.clear()
        self._running = set(specs)
        relay = {RELAY: f"unix:{self.folder}/p"} if self.relays else {}
        for number, of_process in specs.items():
            beat = {HEARTBEAT: str(self.folder / f"beat-{number}")}
            request: ProcessRequest = {
                "number": number, "order": own_order, "specs": {str(at): spec for at, spec in of_process.items()},
                "environment": {**variables.get(number, {}), **beat, **relay},
            }  # fmt: skip
            self._send({"start": request})

    def poll(self, wait_s: float, *, known: int = 0, start: int = 0) -> HostReport:
        """The state, after waiting until more than `known` processes have ended, at most `wait_s`."""
        deadline = time.monotonic() + wait_s
        while len(self._codes) <= known and self._running and (left := deadline - time.monotonic()) > 0:
            self._receive(left)
        self._receive(0.0)
        messages, self._messages = self._messages, []
        ended = {number: Ended(status=code, failure=self._failure(number)) for number, code in self._codes.items()}
        return {
            "ended": ended, "beats": self._beats(), "start": start, "output": self._output(start),
            "progress": messages,
        }  # fmt: skip

    def signal(self, number: int) -> None:
        """Send a signal to every process."""
        if self._server is not None:
            self._send({"signal": number})

    def stop(self) -> None:
        """Kill every process and wait until all have ended."""
        self.signal(signal.SIGKILL)
        deadline = time.monotonic() + STOP_S
        while self._running and time.monotonic() < deadline:
            self._receive(0.1)
        if self._running:  # the server itself does not answer
            self._kill_server()

    def results(self, count: int) -> list[JsonValue]:
        """The results of the specs 0 to `count`, for tasks."""
        return [read_json(self.folder / f"result-{index}.json") for index in range(count)]

    def has_result(self, index: int) -> bool:
        """Whether this spec is done."""
        return (self.folder / f"result-{index}.json").exists()

    def close(self) -> None:
        """End every process and the server, and remove the folder."""
        self._kill_server()
        if self._progress is not None:
            self._progress.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start_server(self, order: LaunchOrder, spec: JsonObject) -> None:
        self._kill_server()
        clean = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
        own = {**threads_environment(self.threads), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
        if not order["gpus"]:
            own["CUDA_VISIBLE_DEVICES"] = ""
        with self.log.open("ab") as log:
            self._server = subprocess.Popen(
                [sys.executable, "-c", BOOT, home(), str(os.getpid())],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env={**clean, **own},
            )  # fmt: skip
        assert self._server.stdout is not None
        os.set_blocking(self._server.stdout.fileno(), False)
        self._pending = b""
        if not order["gpus"]:
            self._send({"preload": (order, spec)})

    def _kill_server(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.kill()  # its processes end with it
        code = server.wait()
        for stream in (server.stdin, server.stdout):
            if stream:
                with suppress(BrokenPipeError):  # a request that it has not read
                    stream.close()
        self._server_ended(code)

    def _server_ended(self, code: int) -> None:
        self._codes |= dict.fromkeys(self._running, code or 1)
        self._running.clear()

    def _send(self, request: ServerRequest) -> None:
        assert self._server is not None and self._server.stdin is not None
        with suppress(BrokenPipeError):  # seen by `_receive`
            self._server.stdin.write(json.dumps(request).encode() + b"\n")
            self._server.stdin.flush()

    def _receive(self, wait_s: float) -> None:
        """Take the notices and messages that arrive within `wait_s`; returns at the first of either."""
        if self._server is None or self._server.stdout is None:
            return
        with selectors.DefaultSelector() as selector:
            notices = selector.register(self._server.stdout, selectors.EVENT_READ)
            if self._progress is not None:
                selector.register(self._progress, selectors.EVENT_READ)
            ready = [key for key, _ in selector.select(wait_s)]
        self._take_messages()  # at once: a socket holds few, and more are dropped
        if notices not in ready:
            return
        received = os.read(self._server.stdout.fileno(), 1 << 16)
        if not received:
            self._server_ended(self._server.wait())
        *lines, self._pending = (self._pending + received).split(b"\n")
        for line in lines:
            notice: Notice = json.loads(line)
            if "ended" in notice:
                self._codes[notice["number"]] = notice["ended"]
                self._running.discard(notice["number"])

    def _failure(self, number: int) -> WorkerFailure | None:
        path = self.folder / f"failed-{number}.json"
        failure: WorkerFailure | None = read_json(path) if path.exists() else None
        return failure

    def _beats(self) -> dict[int, Beat]:
        beats: dict[int, Beat] = {}
        for number in self._running:
            path = self.folder / f"beat-{number}"
            alive = self.folder / f"beat-{number}.alive"
            with suppress(OSError, ValueError, KeyError):  # not there yet, or being written
                beat, life = json.loads(path.read_bytes()), {"busy_s": 0.0}
                stopped_s = 0.0
                with suppress(OSError, ValueError):
                    life, stopped_s = json.loads(alive.read_bytes()), time.time() - alive.stat().st_mtime
                beats[number] = {
                    "step": int(beat["step"]), "from_step": int(beat.get("from", beat["step"])),
                    "phase": str(beat["phase"]), "age_s": time.time() - path.stat().st_mtime,
                    "stopped_s": stopped_s, "busy_s": float(life["busy_s"]),
                }  # fmt: skip
        return beats

    def _output(self, start: int) -> bytes:
        if not self.relays:
            return b""
        with self.log.open("rb") as stream:
            stream.seek(start)
            return stream.read(REPORT_BYTES)

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(f"{self.folder}/p")
        listener.setblocking(False)
        return listener

    def _take_messages(self) -> None:
        with suppress(BlockingIOError):
            while self._progress is not None and len(self._messages) < MOST_MESSAGES:
                self._messages.append(self._progress.recv(1 << 16))


def ranks_environment(ranks: Sequence[int], world: int) -> dict[int, dict[str, str]]:
    """The variables that torchrun sets for the ranks of a host, but for the rendezvous."""
    local = {"LOCAL_WORLD_SIZE": len(ranks), "LOCAL_SIZE": len(ranks), "WORLD_SIZE": world}
    return {
        rank: {name: str(value) for name, value in {**local, "RANK": rank, "LOCAL_RANK": at}.items()}
        for at, rank in enumerate(ranks)
    }
