"""What every launcher is, and what a process that it starts does first and last, wherever that is.

Targets are "module:function"; specs and results are JSON-able, so they cross anything. A process that fails writes
down why, in a file that the launcher reads: exceptions that travel through other libraries lose their words.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import core
from pipeline.core.errors import BloomeryError, StageFailed, UserError
from pipeline.core.files import read_json, write_json
from pipeline.core.job import ClusterOptions, Job
from pipeline.core.registry import add_plugin_folder, load


class Launcher:
    """The base of a launcher."""

    def __init__(self, cluster: ClusterOptions) -> None:
        self.cluster = cluster
        self.workers = cluster.workers
        self.threads = cluster.threads

    def gang(self, target: str, spec: dict[str, Any], *, processes: int, job: Job) -> None:
        """Run `target(spec, report)` in `processes` processes that know their RANK, and start and stop together.

        Raises: the worker's own UserError or StageFailed; StageFailed in one sentence for anything else.
        """
        raise NotImplementedError

    def tasks(self, target: str, specs: Sequence[dict[str, Any]], *, job: Job) -> list[Any]:
        """Run `target(spec)` for every spec, `cluster.workers` at a time; results in the order of the specs.

        Raises: as `gang`.
        """
        raise NotImplementedError

    def order(self, target: str, folder: Path, job: Job, *, gang: bool) -> dict[str, Any]:
        """What a process is told besides its spec: plain values."""
        return {
            "target": target, "gang": gang, "stage": job.stage, "folder": str(folder), "log": str(job.log),
            "home": home(), "path": [path for path in sys.path if path], "gpus": self.cluster.gpus_per_worker,
        }  # fmt: skip


def home() -> str:
    """Where the packages lie that this process runs."""
    return str(Path(core.__file__).parents[2])


def threads_environment(threads: int) -> dict[str, str]:
    """`threads` threads in every library: nothing is taken from the number of cores, nor from outside."""
    names = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "RAYON")
    return {f"{name}_NUM_THREADS": str(threads) for name in names} | {"POLARS_MAX_THREADS": str(threads)}


def member(order: dict[str, Any], spec: dict[str, Any], index: int) -> Any:
    """The life of a launched process: do as ordered; when that fails, say why in order["folder"], then fail."""
    try:
        if home() != order["home"]:
            raise StageFailed(f"{home()} hides the installed packages in a worker. Start elsewhere, or rename it.")
        for path in order["path"]:  # where plug-ins may lie; appended, so that nothing of ours can be hidden
            add_plugin_folder(Path(path))
        if not order["gpus"]:  # a GPU is used where one is asked for: two workers cannot meet on one
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os.environ["BLOOMERY_GPUS"] = str(order["gpus"])  # read where training looks for its device
        arguments = (spec, lambda told: None) if order["gang"] else (spec,)
        return load(order["target"])(*arguments)
    except BaseException as error:
        traceback.print_exc()
        write_json(Path(order["folder"]) / f"failed-{index}.json", _told(error, order["stage"]))
        raise


def failure(folder: Path) -> BloomeryError | None:
    """The error to raise for what failed there: a sentence of our own before any other, the earliest of them."""
    found = [read_json(path) for path in sorted(folder.glob("failed-*.json"))]
    if not found:
        return None
    first = min(found, key=lambda told: (not told["ours"], told["time"]))
    return UserError(first["text"]) if first["user"] else StageFailed(first["text"])


def _told(error: BaseException, stage: str) -> dict[str, Any]:
    ours = isinstance(error, BloomeryError)
    text = str(error)
    if not ours:
        last = traceback.extract_tb(error.__traceback__)[-1]
        first_line = next(iter(text.strip().splitlines()), "")
        where = f"at {Path(last.filename).name}:{last.lineno}; the whole trace is in log.txt"
        text = f"{stage}: {type(error).__name__}: {first_line} ({where})"
    return {"ours": ours, "user": isinstance(error, UserError), "text": text, "time": time.time()}
