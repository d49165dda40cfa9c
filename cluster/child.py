"""One stage in one process: `python -m cluster.child JOB.json` runs it, publishes its artifact, and says how it went.

The supervisor reads JOB.result.json beside the job: {"published": path} or {"error": sentence, "exit_code": n}. What
the stage prints is in log.txt. The process ends with its parent: it asks the kernel for that before anything else.
"""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import os
import platform
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cluster
from pipeline.core.errors import BloomeryError, StageFailed
from pipeline.core.files import read_json, write_json
from pipeline.core.registry import add_plugin_folder, load
from pipeline.core.stage import Job, Outcome
from pipeline.core.store import Store

PR_SET_PDEATHSIG = 1
LIBRARIES = (
    "bloomery", "apache-beam", "deepspeed", "jieba", "numpy", "polars", "pyarrow", "ray", "tokenizers", "torch",
    "transformers",
)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    job_path = Path(arguments[0])
    order = read_json(job_path)
    end_with(order["parent"])
    faulthandler.enable()
    try:
        published = _work(order)
        result: dict[str, Any] = {"published": published}
    except BloomeryError as error:
        result = {"error": str(error), "exit_code": error.exit_code}
    except MemoryError:
        result = {"error": _memory(order["job"]), "exit_code": 1}
    except Exception as error:
        traceback.print_exc()
        result = {"error": _unforeseen(order["job"], error), "exit_code": 1}
    write_json(result_path(job_path), result)
    return int(result.get("exit_code", 0))


def result_path(job_path: Path) -> Path:
    return job_path.with_suffix(".result.json")


def end_with(parent: int) -> None:
    """Be killed when `parent` ends; leave at once if it has ended already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _work(order: dict[str, Any]) -> str:
    if str(Path(cluster.__file__).parent) != order["home"]:
        raise StageFailed(
            f"{Path(cluster.__file__).parent} hides the installed package. Rename that folder, or start elsewhere."
        )
    add_plugin_folder(Path(order["plugins"]))
    job = Job.from_dict(order["job"])
    started = time.time()
    outcome: Outcome = load(job.identity.run)(job)
    outcome.journal |= {
        "started": round(started, 3), "seconds": round(time.time() - started, 3), "host": socket.gethostname(),
        "workers": job.workers, "cluster": job.cluster, "versions": versions(),
    }  # fmt: skip
    return Store(Path(order["workdir"])).publish(job, outcome).uri


def versions() -> dict[str, str]:
    """The libraries that matter and the interpreter, as installed; reads metadata, imports nothing."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def _memory(job: dict[str, Any]) -> str:
    stage, workers = job["identity"]["stage"], job["resources"]["workers"]
    return f"{stage}: out of memory. Use fewer workers (cluster.beam.workers={max(1, workers // 2)})."


def _unforeseen(job: dict[str, Any], error: Exception) -> str:
    stage = job["identity"]["stage"]
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"{stage}: the disk is full ({error.filename or job['place']['folder']}). Free space, then go on."
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    return f"{stage}: {type(error).__name__}: {error} (at {where}; the whole trace is in log.txt)"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
