"""A process that has imported the code of a target, and forks a process for each request: in milliseconds.

`python -c BOOT HOME PARENT` (host.py) reads requests from its standard input and writes notices to its standard output,
each a JSON object in a line. Importing torch and the trainer costs 4 to 5 CPU-seconds: once for all processes of a
host, and not again when a gang is started again. It has one thread of its own and touches no GPU. Where GPUs are
asked for it imports nothing, because CUDA cannot be used in a fork of a process that looked for a GPU.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TypedDict

from cluster.launchers import child
from cluster.launchers.base import LaunchOrder
from cluster.launchers.child import ProcessRequest
from pipeline.core.files import JsonObject
from pipeline.core.parent_process import exit_with_parent
from pipeline.core.registry import add_plugin_folder, load

PRELOAD = "preload"  # a function of a target's module: preload(spec) imports what that spec will need


class ServerRequest(TypedDict, total=False):
    """One of: `preload` what an order and a spec will import; `start` a process; send a `signal` to all processes."""

    preload: tuple[LaunchOrder, JsonObject]
    start: ProcessRequest
    signal: int


class Notice(TypedDict, total=False):
    """The process `number` was started as `pid`, or has `ended` so: its exit code; negative, the signal."""

    number: int
    pid: int
    ended: int


class ForkServer:
    """The loop of the server."""

    def __init__(self, requests: int, notices: int) -> None:
        self.requests, self.notices = requests, notices
        self.numbers: dict[int, int] = {}  # of running processes, by process id
        self.pending = b""

    def run(self) -> None:
        """Serve until the standard input is closed; then kill what still runs."""
        woken, waker = os.pipe()
        for end in (woken, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGCHLD, _noted)
        for number in (signal.SIGTERM, signal.SIGINT):  # for the processes: they may have work to save
            signal.signal(number, signal.SIG_IGN)
        self.inherited = (self.requests, self.notices, woken, waker)
        with selectors.DefaultSelector() as selector:
            selector.register(self.requests, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if woken in ready:
                    os.read(woken, 1 << 12)
                    self._reap()
                if self.requests in ready and not self._serve():
                    break
        self._signal(signal.SIGKILL)

    def _serve(self) -> bool:
        """Do the requests that have arrived; False at the end of the input."""
        received = os.read(self.requests, 1 << 16)
        *lines, self.pending = (self.pending + received).split(b"\n")
        for line in lines:
            request: ServerRequest = json.loads(line)
            if "preload" in request:
                _preload(*request["preload"])
            if "start" in request:
                self._start(request["start"])
            if "signal" in request:
                self._signal(request["signal"])
        return bool(received)

    def _start(self, request: ProcessRequest) -> None:
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                signal.set_wakeup_fd(-1)
                for descriptor in self.inherited:
                    os.close(descriptor)
                code = child.main(request, parent)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                # everything is written; torch and gloo were seen to abort in a normal shutdown (training/worker.py)
                os._exit(code)
        self.numbers[pid] = request["number"]
        self._notify({"number": request["number"], "pid": pid})

    def _reap(self) -> None:
        while self.numbers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            number = self.numbers.pop(pid, None)
            if number is not None:
                self._notify({"number": number, "ended": os.waitstatus_to_exitcode(status)})

    def _signal(self, number: int) -> None:
        for pid in self.numbers:  # not reaped yet, so the id is still theirs
            os.kill(pid, number)

    def _notify(self, notice: Notice) -> None:
        os.write(self.notices, json.dumps(notice).encode() + b"\n")


def _noted(number: int, frame: FrameType | None) -> None:
    """The handler of SIGCHLD: the wakeup descriptor has become readable already."""


def _preload(order: LaunchOrder, spec: JsonObject) -> None:
    """Import the target. What fails here fails again in a process, where the error is recorded."""
    try:
        for path in order["path"]:
            add_plugin_folder(Path(path))
        module = sys.modules[load(order["target"]).__module__]
        if preload := getattr(module, PRELOAD, None):
            preload(spec)
    except Exception:
        traceback.print_exc()


def main(arguments: Sequence[str]) -> None:
    exit_with_parent(int(arguments[0]))
    requests, notices = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # what imports print goes to the log
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    ForkServer(requests, notices).run()
