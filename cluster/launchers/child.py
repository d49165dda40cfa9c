"""A process of the local launcher: `python -m cluster.launchers.child ASK.json` does what it is asked, and ends.

ASK holds {"order", "specs": {index: spec}, "parent"}. Each result is a file in the order's folder, result-<index>.json.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cluster.launchers.base import member
from pipeline.core.files import read_json, write_json
from pipeline.core.parent_process import exit_with_parent


def main(arguments: Sequence[str]) -> int:
    asked = read_json(Path(arguments[0]))
    exit_with_parent(asked["parent"])
    faulthandler.enable()
    order = asked["order"]
    for index, spec in asked["specs"].items():
        try:
            result = member(order, spec, int(index))
        except Exception:
            return 1  # why is written down, and the trace is in the log
        write_json(Path(order["folder"]) / f"result-{index}.json", result)
    sys.stdout.flush()
    sys.stderr.flush()
    # all is written; torch and gloo were seen to abort while Python took them down (training/worker.py)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
