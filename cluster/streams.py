"""Standard streams that are closed, broken or full: a run goes on without anyone to read it, and says no traceback."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def open_closed_streams() -> None:
    """Give streams that were closed (`>&-`) to /dev/null: else the next file that is opened takes their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))


def silence(stream: TextIO) -> None:
    """Send what is still written to a stream to /dev/null: who read it has gone, or its disk is full."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):  # not a file
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)


def flush_quietly() -> None:
    """Write out what is buffered; Python would end with a traceback where nobody reads any more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            silence(stream)
