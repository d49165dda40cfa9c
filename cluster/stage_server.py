"""Forks the process of each data stage from one that has imported what all of them need: Beam, Arrow, numba, our code.

`python -m cluster.stage_server PARENT` reads a request in a line of its standard input, {"job": path, "log": path}, and
writes {"pid": …} when its process has started and {"ended": …} when it has ended. Importing costs 0.8 CPU-seconds once
for a run, not for each stage. It starts no Python thread and opens no connection, so that its forks are like new
processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypedDict

from cluster import child
from pipeline.core.files import read_json
from pipeline.core.parent_process import exit_with_parent
from pipeline.stages.preload import preload, preload_of


class StageStart(TypedDict):
    """A request: the JOB.json of a stage, and the file for what it prints."""

    job: str
    log: str


class StageNotice(TypedDict, total=False):
    """The process of the stage has started, or has ended: its wait status and what it cost.

    `cpu_seconds` include what the server has imported since the last stage.
    """

    pid: int
    ended: int
    peak_bytes: int
    cpu_seconds: float


def main(arguments: list[str]) -> None:
    exit_with_parent(int(arguments[0]))
    requests, notices = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what imports print goes to the log
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _preload(preload)
    counted_s = 0.0
    for line in requests:
        request: StageStart = json.loads(line)
        _preload(partial(_preload_of, Path(request["job"])))
        imported_s = time.process_time()
        notices.write(json.dumps(_run(request, notices.fileno(), imported_s - counted_s)).encode() + b"\n")
        counted_s = imported_s


def _preload_of(job_path: Path) -> None:
    preload_of(read_json(job_path)["job"]["identity"])


def _preload(load: Callable[[], None]) -> None:
    """Import what stages need. What fails here fails again in a stage, which reports it."""
    try:
        load()
    except Exception:
        traceback.print_exc()


def _run(request: StageStart, notices: int, imports_s: float) -> StageNotice:
    """Run a stage in a process of its own, to its end, and end what it left behind."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(notices)
            code = _stage(request, parent)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)  # here and in the process: whoever comes first
    os.write(notices, json.dumps(StageNotice(pid=pid)).encode() + b"\n")
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # before it is reaped, while its process group id cannot be reused
    _, status, usage = os.wait4(pid, 0)
    cpu_s = usage.ru_utime + usage.ru_stime + imports_s
    return {"ended": status, "peak_bytes": usage.ru_maxrss * 1024, "cpu_seconds": round(cpu_s, 2)}


def _stage(request: StageStart, parent: int) -> int:
    os.setpgid(0, 0)
    log = os.open(request["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o666)
    for target in (1, 2):
        os.dup2(log, target)
    return child.run(Path(request["job"]), parent)


if __name__ == "__main__":
    main(sys.argv[1:])
