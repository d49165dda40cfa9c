"""A process that runs an extractor page by page. It may hang, crash or run out of memory: only its page is lost.

A page fails only if it fails in a process that has done nothing else, so that its fate does not depend on the pages
before it. The limit of time counts the CPU time of the process, not the clock: a slow or busy machine changes nothing.
Start: 0.3 CPU-seconds for trafilatura; a page costs 0.1 ms to send.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pipeline.core.errors import StageFailed, UserError
from pipeline.core.registry import plugin_folders
from pipeline.extract.child import LENGTH_BYTES

ENTRY = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from pipeline.extract.child import main; main()"
DONE, FAILED = b"+", b"-"
MEMORY_BYTES = 2 << 30
POLL_SECONDS = 20
IDLE_POLLS = 15  # so long may a process use no CPU time; it is stopped, or waits for something that never comes


class PageFailure(NamedTuple):
    """Why a page has no text: a reason for the quarantine and a sentence."""

    reason: str
    detail: str


class _Ended(Exception):
    """The process ended while it worked on a page. `code` is that of subprocess."""

    def __init__(self, code: int) -> None:
        super().__init__(f"ended with {code}")
        self.code = code


class _Process:
    """One process. `pages` counts what it has done."""

    def __init__(self, component: str, cpu_seconds: float) -> None:
        self.pages = 0
        limits = json.dumps([cpu_seconds, MEMORY_BYTES])
        # it ends when its input ends, and a page takes bounded time: it needs no other watch over its parent
        self._process = subprocess.Popen(
            [sys.executable, "-c", ENTRY, json.dumps(plugin_folders()), component, limits], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONHASHSEED": "0"},
        )  # fmt: skip
        ready = self._receive()
        if ready != DONE:
            self.close()
            raise UserError(f"the extractor cannot start: {ready[1:].decode()}")

    def run(self, page: bytes) -> bytes:
        """Send a page and return the answer.

        Raises: _Ended.
        """
        self.pages += 1
        assert self._process.stdin
        try:
            self._process.stdin.write(len(page).to_bytes(LENGTH_BYTES, "little") + page)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise _Ended(self._process.wait()) from None
        return self._receive()

    def _receive(self) -> bytes:
        size = int.from_bytes(self._read(LENGTH_BYTES), "little")
        return self._read(size)

    def _read(self, size: int) -> bytes:
        assert self._process.stdout
        descriptor = self._process.stdout.fileno()
        data = bytearray()
        while len(data) < size:
            self._wait(descriptor)
            block = os.read(descriptor, size - len(data))
            if not block:
                raise _Ended(self._process.wait())
            data += block
        return bytes(data)

    def _wait(self, descriptor: int) -> None:
        """Wait for output.

        Raises: StageFailed when the process neither works nor ends.
        """
        used, idle = -1, 0
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while not poll.poll(POLL_SECONDS * 1000):
            ticks = _cpu_ticks(self._process.pid)
            idle = 0 if ticks > used else idle + 1
            used = ticks
            if idle >= IDLE_POLLS:
                self.close()
                raise StageFailed(f"an extractor has done nothing for {POLL_SECONDS * IDLE_POLLS} s. Run again.")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()


def _cpu_ticks(process: int) -> int:
    """The CPU time of a process, in ticks of the kernel; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


@cache
def _idle_processes(owner: int, component: str, cpu_seconds: float) -> list[_Process]:
    """Processes that no page uses now. The threads of a worker share them; appending and popping are atomic.

    `owner`: the process that started them. A fork of it must not talk to them.
    """
    return []


class ExtractorProcess:
    """Extracts pages with one component, in processes that are started when they are needed and kept for others."""

    def __init__(self, component: object, *, cpu_seconds: float) -> None:
        self._component = json.dumps(component, sort_keys=True)
        self._cpu_seconds = cpu_seconds

    def extract(self, html: str) -> str | PageFailure:
        """The text of a page, or why there is none."""
        page = html.encode("utf-8", "replace")
        idle = _idle_processes(os.getpid(), self._component, self._cpu_seconds)
        try:
            process = idle.pop()
        except IndexError:
            process = self._start()
        while True:
            fresh = process.pages == 0
            try:
                answer = process.run(page)
            except _Ended as end:
                process.close()
                if fresh or end.code == -signal.SIGPROF:
                    return self._failure(end.code)
            else:
                if fresh or answer.startswith(DONE):
                    break
                process.close()
            process = self._start()
        idle.append(process)
        text = answer[1:].decode()
        return text if answer.startswith(DONE) else PageFailure("extraction_failed", text)

    def _start(self) -> _Process:
        return _Process(self._component, self._cpu_seconds)

    def _failure(self, code: int) -> PageFailure:
        if code == -signal.SIGPROF:
            return PageFailure(
                "extraction_timeout", f"the extractor took more than {self._cpu_seconds:g} s of CPU time"
            )
        ending = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return PageFailure("extraction_crashed", f"the extractor {ending}")
