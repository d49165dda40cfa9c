"""The base of a launcher, and the common part of every process that a launcher starts.

Targets are "module:function"; specs and results are JSON, so that they can be sent anywhere. A process that fails
writes its error to a file that the launcher reads, because exceptions lose their messages in other libraries.
"""

from __future__ import annotations

import os
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from cluster.launchers.failures import failure_of
from pipeline import core
from pipeline.core.errors import Preempted, StageFailed
from pipeline.core.files import JsonObject, JsonValue, write_json
from pipeline.core.job import ClusterOptions, Job
from pipeline.core.journal import Recovery
from pipeline.core.registry import add_plugin_folder, load


class LaunchOrder(TypedDict):
    """The settings of a launched process besides its spec; `folder` takes its result or its failure."""

    target: str
    gang: bool
    stage: str
    folder: str
    log: str
    home: str
    path: list[str]
    gpus: int


class Launcher(ABC):
    """The base of a launcher."""

    def __init__(self, cluster: ClusterOptions) -> None:
        self.cluster = cluster
        self.workers = cluster.workers
        self.threads = cluster.threads

    @abstractmethod
    def gang(self, target: str, spec: JsonObject, *, sizes: Sequence[int], job: Job) -> list[Recovery]:
        """Run `target(spec, report)` in processes with a RANK each, which start and stop together.

        `sizes`: the numbers of processes that are possible; the largest for which there is room is taken, and the
        choice is made again whenever the gang is started again. Returns how often and why that was.

        Raises: the worker's own UserError or StageFailed; StageFailed in one sentence for any other error, or when the
        gang ended early more than `cluster.max_failures` times.
        """

    @abstractmethod
    def tasks(self, target: str, specs: Sequence[JsonObject], *, job: Job) -> list[JsonValue]:
        """Run `target(spec)` for every spec, `cluster.workers` at a time; results in the order of the specs.

        Raises: as `gang`.
        """

    def pool(self, target: str, shared: JsonObject, specs: Sequence[JsonObject], *, job: Job) -> list[JsonValue]:
        """Run `target({**shared, **spec})` for every spec, in processes that keep what they loaded between specs.

        As `tasks`, `cluster.workers` processes at a time; on Ray a pool of actors with GPUs, which Ray Data feeds.
        Raises: as `gang`.
        """
        return self.tasks(target, [{**shared, **spec} for spec in specs], job=job)

    def order(self, target: str, job: Job, *, gang: bool) -> LaunchOrder:
        """The order for the processes of a gang or of tasks; a host sets its own folder and log."""
        return {
            "target": target, "gang": gang, "stage": job.stage, "folder": "", "log": str(job.log),
            "home": home(), "path": [path for path in sys.path if path], "gpus": self.cluster.gpus_per_worker,
        }  # fmt: skip


def home() -> str:
    """The folder of the packages that this process runs."""
    return str(Path(core.__file__).parents[2])


def threads_environment(threads: int) -> dict[str, str]:
    """Settings for `threads` threads in every library, whatever the number of cores and the user's environment."""
    names = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "RAYON")
    return {f"{name}_NUM_THREADS": str(threads) for name in names} | {"POLARS_MAX_THREADS": str(threads)}


def run_target(order: LaunchOrder, spec: JsonObject, index: int) -> JsonValue:
    """Run the target of an order in a launched process. On an error, record it in order["folder"] and raise it."""
    try:
        if home() != order["home"]:
            raise StageFailed(
                f"{home()} hides the installed packages in a worker. Start in another folder, or rename it."
            )
        for path in order["path"]:  # folders of plug-ins; appended, so that they cannot hide our packages
            add_plugin_folder(Path(path))
        if not order["gpus"]:  # use a GPU only if requested: two workers cannot share one
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os.environ["BLOOMERY_GPUS"] = str(order["gpus"])  # read by training/engines/device.py
        arguments = (spec, lambda figures: None) if order["gang"] else (spec,)
        return load(order["target"])(*arguments)
    except Preempted:
        raise
    except BaseException as error:
        traceback.print_exc()
        write_json(Path(order["folder"]) / f"failed-{index}.json", failure_of(error, order["stage"]))
        raise
