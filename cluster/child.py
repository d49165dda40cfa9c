"""One stage in one process: `python -m cluster.child JOB.json` runs it, publishes its artifact, and says how it went.

The supervisor reads JOB.result.json beside the job: {"published": path} or {"error": sentence, "exit_code": n}. What
the stage prints is in log.txt. The process ends with its parent: it asks the kernel for that before anything else.
"""

from __future__ import annotations

import contextlib
import faulthandler
import platform
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cluster
from pipeline.core.errors import BloomeryError, StageFailed
from pipeline.core.files import read_json, write_json
from pipeline.core.job import Job, StageOutput
from pipeline.core.parent_process import exit_with_parent
from pipeline.core.registry import add_plugin_folder, load
from pipeline.core.shortage import Shortage, sentence, shortage_of
from pipeline.core.store import Store

# how a stage ends that cannot even write down what was missing
EXIT_CODES: dict[Shortage | None, int] = {"disk": 74, "memory": 75, "file size": 76, "read-only": 77}
LIBRARIES = (
    "bloomery", "apache-beam", "deepspeed", "jieba", "numpy", "polars", "pyarrow", "ray", "tokenizers", "torch",
    "transformers",
)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    job_path = Path(arguments[0])
    order = read_json(job_path)
    exit_with_parent(order["parent"])
    faulthandler.enable()
    try:
        result: dict[str, Any] = {"published": _work(order)}
    except BloomeryError as error:
        result = {"error": str(error), "exit_code": error.exit_code}
    except Exception as error:
        # there may be no memory for the trace, and the log may lie on the disk that is full
        with contextlib.suppress(OSError, MemoryError):
            traceback.print_exc()
        result = {"error": _unexpected_error(order["job"], error), "exit_code": 1}
    try:
        write_json(result_path(job_path), result)
    except (OSError, MemoryError) as error:
        return EXIT_CODES.get(shortage_of(error), 1)
    return int(result.get("exit_code", 0))


def result_path(job_path: Path) -> Path:
    return job_path.with_suffix(".result.json")


def _work(order: dict[str, Any]) -> str:
    if str(Path(cluster.__file__).parent) != order["home"]:
        raise StageFailed(
            f"{Path(cluster.__file__).parent} hides the installed package. Rename that folder, or start elsewhere."
        )
    add_plugin_folder(Path(order["plugins"]))
    job = Job.from_dict(order["job"])
    started = time.time()
    output: StageOutput = load(job.identity.run)(job)
    output.journal |= {
        "started": round(started, 3), "seconds": round(time.time() - started, 3), "host": socket.gethostname(),
        "workers": job.workers, "cluster": asdict(job.cluster), "versions": versions(),
    }  # fmt: skip
    return Store(Path(order["workdir"])).publish(job, output).uri


def versions() -> dict[str, str]:
    """The libraries that matter and the interpreter, as installed; reads metadata, imports nothing."""
    installed = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = "absent"
    return installed


def _unexpected_error(job: dict[str, Any], error: Exception) -> str:
    stage, folder = job["identity"]["stage"], job["place"]["folder"]
    if shortage := shortage_of(error):
        folder = getattr(error, "filename", None) or folder
        return f"{stage}: {sentence(shortage, str(error), folder=folder, workers=job['resources']['workers'])}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    return f"{stage}: {type(error).__name__}: {error} (at {where}; the whole trace is in log.txt)"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
