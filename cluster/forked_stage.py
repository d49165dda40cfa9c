"""Starts the process of a data stage through the server that forks them (`stage_server.py`), and follows it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from cluster.process import ProcessExit, StageProcess, environment
from cluster.stage_server import StageNotice, StageStart

CLOSE_S = 5.0


class StageServer:
    """The server of one run. It starts with the first stage that needs it, and ends with the run."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, job_path: Path, log: Path) -> StageProcess:
        """Start a stage."""
        if self._process is None or self._process.poll() is not None:
            self.close()
            with log.open("ab") as stream:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "cluster.stage_server", str(os.getpid())], stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=stream, env=environment(), process_group=0,
                )  # fmt: skip
        return ForkedStage(self._process, StageStart(job=str(job_path), log=str(log)))

    def close(self) -> None:
        if self._process is None:
            return
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(OSError):
                stream.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_S)
        self._process.kill()
        self._process.wait()
        self._process = None


class ForkedStage(StageProcess):
    """A stage whose process is a fork of the server. `descriptor` becomes readable when the server says something."""

    def __init__(self, server: subprocess.Popen[bytes], request: StageStart) -> None:
        self.started, self.pid, self._server, self._received = time.monotonic(), 0, server, b""
        self._exit: ProcessExit | None = None
        assert server.stdin is not None and server.stdout is not None
        self.descriptor = server.stdout.fileno()
        os.set_blocking(self.descriptor, False)
        with suppress(BrokenPipeError):  # it has died: `poll` says so
            server.stdin.write(json.dumps(request).encode() + b"\n")
            server.stdin.flush()

    def poll(self) -> ProcessExit | None:
        """None while it runs. A server that dies takes its stage with it."""
        while self._exit is None:
            try:
                received = os.read(self.descriptor, 1 << 12)
            except BlockingIOError:
                return None
            if not received:
                status = self._server.wait()
                self._exit = ProcessExit(status or -signal.SIGKILL, 0, 0.0, self._seconds())
            *lines, self._received = (self._received + received).split(b"\n")
            for line in lines:
                self._apply(json.loads(line))
        return self._exit

    def _apply(self, notice: StageNotice) -> None:
        if "pid" in notice:
            self.pid = notice["pid"]
        if "ended" in notice:
            code = os.waitstatus_to_exitcode(notice["ended"])
            self._exit = ProcessExit(code, notice["peak_bytes"], notice["cpu_seconds"], self._seconds())

    def _seconds(self) -> float:
        return round(time.monotonic() - self.started, 3)

    def _signal(self, number: signal.Signals) -> None:
        if self.pid and self._exit is None:
            super()._signal(number)
        elif not self.pid:  # it still imports
            self._server.kill()
