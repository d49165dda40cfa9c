"""Handles standard streams that are closed, broken or full: the run continues silently, without a traceback."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def open_closed_streams() -> None:
    """Open closed streams (`>&-`) on /dev/null; otherwise the next opened file would get their descriptor."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))


def silence(stream: TextIO) -> None:
    """Redirect a stream to /dev/null, because its reader is gone or its disk is full."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):  # not a file
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, number)
    os.close(null)


def flush_quietly() -> None:
    """Flush the streams; Python itself would print a traceback if the reader is gone."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            silence(stream)
