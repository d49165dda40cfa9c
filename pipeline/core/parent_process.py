"""End a worker process when the process that started it ends, so that a killed run leaves nothing behind."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time

PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.5


def exit_with_parent(parent: int, *, exit_code: int = 1) -> None:
    """Have the kernel kill this process when `parent` ends; exit at once if it has already ended."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(exit_code)


def watch_parent(parent: int, *, exit_code: int = 1) -> None:
    """The same where the kernel's signal may not arrive: a thread also polls for the parent."""
    exit_with_parent(parent, exit_code=exit_code)

    def poll() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_SECONDS)
        os._exit(exit_code)

    threading.Thread(target=poll, daemon=True).start()
