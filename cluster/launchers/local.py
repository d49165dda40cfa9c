"""Processes on this machine: a gang that meets over loopback, or tasks a few at a time. No Ray.

A child ends with its parent (PR_SET_PDEATHSIG), stays in its process group (so that killing the group takes it along),
has a clean environment for threads, cannot be fooled by a folder called `training` where the user stands
(PYTHONSAFEPATH), and prints into the run's log.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.launchers.base import Launcher, failure, threads_environment
from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json, write_json
from pipeline.core.job import Job

POLL_S = 0.02
GRACE_S = 3.0  # for the others to say why they end too, before they are killed
FOREIGN = ("RAY_", "TORCHELASTIC_", "OMP_")  # what another launcher or shell may have left in the environment

Process = subprocess.Popen[bytes]


class Local(Launcher):
    """See the module."""

    def gang(self, target: str, spec: dict[str, Any], *, processes: int, job: Job) -> None:
        with tempfile.TemporaryDirectory(prefix="bloomery-gang-") as folder:
            order, port = self.order(target, Path(folder), job, gang=True), _free_port()
            store_file = str(Path(folder) / "store")
            members = [
                self._start(
                    order, {rank: spec}, job, _place(rank, processes, port) | {"BLOOMERY_STORE_FILE": store_file}
                )
                for rank in range(processes)
            ]
            _wait(members, Path(folder), job)

    def tasks(self, target: str, specs: Sequence[dict[str, Any]], *, job: Job) -> list[Any]:
        """Process p of n does the specs p, p + n, …, so each imports once."""
        count = min(self.workers, len(specs))
        with tempfile.TemporaryDirectory(prefix="bloomery-tasks-") as folder:
            order = self.order(target, Path(folder), job, gang=False)
            shares = [{index: specs[index] for index in range(p, len(specs), count)} for p in range(count)]
            _wait([self._start(order, share, job, {}) for share in shares], Path(folder), job)
            return [read_json(Path(folder) / f"result-{index}.json") for index in range(len(specs))]

    def _start(
        self, order: dict[str, Any], specs: dict[int, dict[str, Any]], job: Job, place: Mapping[str, str]
    ) -> Process:
        ask = Path(order["folder"]) / f"ask-{min(specs)}.json"
        write_json(ask, {"order": order, "specs": {str(i): s for i, s in specs.items()}, "parent": os.getpid()})
        clean = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
        own = {**threads_environment(self.threads), **place, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
        with job.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "cluster.launchers.child", str(ask)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**clean, **own},
            )  # fmt: skip


def _wait(processes: Sequence[Process], folder: Path, job: Job) -> None:
    """Wait for all; when one fails give the others a moment, end them, and raise why it failed."""
    failed_at = None
    try:
        while any(process.poll() is None for process in processes):
            if failed_at is None and any(process.poll() for process in processes):
                failed_at = time.monotonic()
            if failed_at is not None and time.monotonic() - failed_at > GRACE_S:
                break
            time.sleep(POLL_S)
        # noted before we end any of them ourselves
        codes = [process.poll() for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()
    if any(codes):
        raise _why(codes, folder, job)


def _why(codes: Sequence[int | None], folder: Path, job: Job) -> Exception:
    """A killed process cannot say why; then its end tells more than its peers' broken connections."""
    told = failure(folder)
    killed = next((index for index, code in enumerate(codes) if code is not None and code < 0), None)
    if killed is None or (told is not None and not str(told).startswith(f"{job.stage}: ")):
        return told or StageFailed(f"{job.stage}: a worker ended without a word. Its output is in {job.log.name}.")
    name = signal.Signals(-(codes[killed] or 0)).name
    hint = "out of memory is the usual reason" if name == "SIGKILL" else f"its trace is in {job.log.name}"
    return StageFailed(f"{job.stage}: worker {killed} was killed ({name}): {hint}.")


def _place(rank: int, world: int, port: int) -> dict[str, str]:
    """What torchrun would set, for one machine."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "LOCAL_SIZE": world}
    rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    return {name: str(value) for name, value in numbers.items()} | rendezvous


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
