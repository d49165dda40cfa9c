"""A launched process: a fork of the fork server that becomes independent of it, runs its specs, and ends.

Each result is a file in the order's folder, result-<index>.json; an error is failed-<index>.json. SIGUSR1 writes the
stacks of all threads to the log.
"""

from __future__ import annotations

import faulthandler
import os
import random
import signal
import sys
from pathlib import Path
from typing import TypedDict

from cluster.launchers.base import LaunchOrder, run_target
from pipeline.core.errors import Preempted
from pipeline.core.files import JsonObject, write_json
from pipeline.core.parent_process import exit_with_parent


class ProcessRequest(TypedDict):
    """One process: its number (in a gang its rank), its specs by their index, and its environment variables."""

    number: int
    order: LaunchOrder
    specs: dict[str, JsonObject]
    environment: dict[str, str]


def main(request: ProcessRequest, parent: int) -> int:
    """Run the specs of a request; returns the exit code."""
    exit_with_parent(parent)
    _become_independent(request)
    order = request["order"]
    try:
        for index, spec in request["specs"].items():
            result = run_target(order, spec, request["number"])
            write_json(Path(order["folder"]) / f"result-{index}.json", result)
    except Preempted:
        return Preempted.exit_code
    except BaseException:
        return 1  # run_target recorded the error, and the trace is in the log
    return 0


def _become_independent(request: ProcessRequest) -> None:
    """Signals, output, environment and random numbers of its own."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    log = os.open(request["order"]["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, target)
    os.environ.update(request["environment"])
    random.seed()
    faulthandler.enable(sys.__stderr__ or 2, all_threads=True)
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
