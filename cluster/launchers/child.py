"""A process of the local launcher: `python -m cluster.launchers.child REQUEST.json` runs a request, and ends.

REQUEST is a LaunchRequest. Each result is a file in the order's folder, result-<index>.json.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from cluster.launchers.base import LaunchOrder, run_target
from pipeline.core.files import JsonObject, read_json, write_json
from pipeline.core.parent_process import exit_with_parent


class LaunchRequest(TypedDict):
    """The content of a request file: `specs` by their index, `parent` the process id of the launcher."""

    order: LaunchOrder
    specs: dict[str, JsonObject]
    parent: int


def main(arguments: Sequence[str]) -> int:
    request: LaunchRequest = read_json(Path(arguments[0]))
    exit_with_parent(request["parent"])
    faulthandler.enable()
    order = request["order"]
    for index, spec in request["specs"].items():
        try:
            result = run_target(order, spec, int(index))
        except Exception:
            return 1  # run_target recorded the error, and the trace is in the log
        write_json(Path(order["folder"]) / f"result-{index}.json", result)
    sys.stdout.flush()
    sys.stderr.flush()
    # everything is written; torch and gloo were seen to abort in a normal shutdown (training/worker.py)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
