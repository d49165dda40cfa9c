"""One run at a time in a work directory: a file lock that the system lets go when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pipeline.core.errors import BloomeryError

NAME = ".lock"


class WorkdirLocked(BloomeryError):
    """Another run holds the work directory."""


@contextmanager
def acquire(workdir: Path, command: str) -> Iterator[None]:
    """Hold the work directory's lock; the file says who does. Children do not inherit it, so no orphan can keep it.

    Raises: WorkdirLocked, naming the holder.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / NAME).open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WorkdirLocked(_busy(workdir)) from error
        stream.truncate(0)
        now = f"{datetime.now():%H:%M:%S}"
        stream.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now, "command": command}))
        stream.flush()
        yield


def _busy(workdir: Path) -> str:
    try:
        holder = json.loads((workdir / NAME).read_text(encoding="utf-8"))
        owner = f"process {holder['pid']} on {holder['host']} since {holder['since']} (`{holder['command']}`)"
        stop = f"or stop it: kill {holder['pid']}"
    except (ValueError, KeyError):  # caught between taking the lock and signing it
        owner, stop = "another process", "or stop it"
    return f"{workdir}: {owner} is running here. Wait for it, {stop}."
