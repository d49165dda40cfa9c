"""Where a process on another host prints: to the log of the run, if that host sees its folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def redirect_output(log: Path) -> None:
    """Send the output of this process and its children to a log, if its folder exists here; else change nothing."""
    if not log.parent.is_dir():
        return
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
