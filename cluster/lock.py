"""Allows one run at a time in a work directory, with a file lock that the system releases when its holder dies."""

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
    """Another run is using the work directory."""


@contextmanager
def acquire(workdir: Path, command: str) -> Iterator[None]:
    """Hold the lock of the work directory; the file names the holder. Child processes do not inherit the lock.

    Raises: WorkdirLocked, which names the holder.
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
    except (ValueError, KeyError):  # the holder has locked the file and not yet written its name
        owner, stop = "another process", "or stop it"
    return f"{workdir}: {owner} is using this work directory. Wait for it, {stop}."
