"""Allows one run at a time in a work directory, with a file lock that the system releases when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from cluster.lease import WorkdirLocked, lease
from pipeline.core.places import url_of

NAME = ".lock"


def held_for_ever() -> None:
    """A file lock is never lost."""


@contextmanager
def acquire(workdir: Path, command: str, *, say: Callable[[str], None] = print) -> Iterator[Callable[[], None]]:
    """Hold the lock of the work directory; the file names the holder. Child processes do not inherit the lock.

    Behind a URL it is a lease; `say` is told when a holder may have crashed, and is waited for. Gives a function that
    raises WorkdirLocked once the lock was lost.
    Raises: WorkdirLocked, which names the holder.
    """
    if url := url_of(workdir):
        with lease(url, command, say=say) as check:
            yield check
        return
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
        yield held_for_ever


def _busy(workdir: Path) -> str:
    try:
        holder = json.loads((workdir / NAME).read_text(encoding="utf-8"))
        owner = f"process {holder['pid']} on {holder['host']} since {holder['since']} (`{holder['command']}`)"
        stop = f"or stop it: kill {holder['pid']}"
    except (ValueError, KeyError):  # the holder has locked the file and not yet written its name
        owner, stop = "another process", "or stop it"
    return f"{workdir}: {owner} is using this work directory. Wait for it, {stop}."
