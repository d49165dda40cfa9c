"""One stage in one process: `python -m cluster.child JOB.json` runs it and publishes its artifact.

The supervisor reads JOB.result.json beside the job: {"published": path} or {"error": message, "exit_code": n}. What
the stage prints goes to log.txt. First of all, the process asks the kernel to kill it when its parent dies.
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
from typing import TypedDict

import cluster
from pipeline.core.errors import BloomeryError, ProcessDied, StageFailed
from pipeline.core.files import JsonObject, read_json, write_json
from pipeline.core.job import Job, StageOutput
from pipeline.core.parent_process import exit_with_parent
from pipeline.core.registry import add_plugin_folder, load
from pipeline.core.shortage import Shortage, sentence, shortage_of
from pipeline.core.store import Store

# exit codes of a stage that cannot write its result for lack of disk or memory
EXIT_CODES: dict[Shortage | None, int] = {"disk": 74, "memory": 75, "file size": 76, "read-only": 77}
LIBRARIES = (
    "bloomery", "apache-beam", "deepspeed", "jieba", "numpy", "polars", "pyarrow", "ray", "tokenizers", "torch",
    "transformers",
)  # fmt: skip


class StageRequest(TypedDict):
    """JOB.json: the job, the process to end with, and where code, plug-ins and the store are."""

    job: JsonObject  # Job.to_dict
    parent: int
    home: str
    plugins: str
    workdir: str


class ChildDeath(TypedDict):
    """The fields of a ProcessDied."""

    what: str
    task: str


class StageResult(TypedDict, total=False):
    """JOB.result.json: what was published, or the error and its exit code; `died` if a process of the stage did."""

    published: str
    worked_until: float  # Unix time of the end of the stage's work; what follows is publication
    error: str
    exit_code: int
    died: ChildDeath


def main(arguments: Sequence[str]) -> int:
    return run(Path(arguments[0]))


def run(job_path: Path, parent: int = 0) -> int:
    """Run the stage of a JOB.json in this process, which ends with `parent`; 0: with the one that the request names."""
    request: StageRequest = read_json(job_path)
    exit_with_parent(parent or request["parent"])
    faulthandler.enable()
    try:
        result: StageResult = _work(request)
    except BloomeryError as error:
        result = {"error": str(error), "exit_code": error.exit_code}
        if isinstance(error, ProcessDied):
            result["died"] = {"what": error.what, "task": error.task}
    except Exception as error:
        # there may be no memory for the traceback, and the log may be on a full disk
        with contextlib.suppress(OSError, MemoryError):
            traceback.print_exc()
        result = {"error": _unexpected_error(request["job"], error), "exit_code": 1}
    try:
        write_json(result_path(job_path), result)
    except (OSError, MemoryError) as error:
        return EXIT_CODES.get(shortage_of(error), 1)
    return int(result.get("exit_code", 0))


def result_path(job_path: Path) -> Path:
    return job_path.with_suffix(".result.json")


def _work(request: StageRequest) -> StageResult:
    if str(Path(cluster.__file__).parent) != request["home"]:
        raise StageFailed(
            f"{Path(cluster.__file__).parent} shadows the installed package. "
            "Rename that folder, or run the command from another folder."
        )
    add_plugin_folder(Path(request["plugins"]))
    job = Job.from_dict(request["job"])
    started = time.time()
    output: StageOutput = load(job.identity.run)(job)
    until = time.time()
    output.journal |= {
        "started": round(started, 3), "seconds": round(until - started, 3), "host": socket.gethostname(),
        "workers": job.workers, "cluster": asdict(job.cluster), "versions": versions(),
    }  # fmt: skip
    store = Store(Path(request["workdir"]), cache_bytes=job.cluster.cache_gb << 30)
    return {"published": store.publish(job, output).uri, "worked_until": until}


def versions() -> dict[str, str]:
    """The installed versions of Python and the main libraries, from package metadata; imports nothing."""
    installed = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = "absent"
    return installed


def _unexpected_error(job: JsonObject, error: Exception) -> str:
    stage, folder = job["identity"]["stage"], job["place"]["folder"]
    if shortage := shortage_of(error):
        folder = getattr(error, "filename", None) or folder
        return f"{stage}: {sentence(shortage, str(error), folder=folder, workers=job['resources']['workers'])}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    return f"{stage}: {type(error).__name__}: {error} (at {where}; the traceback is in log.txt)"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
