"""Processes on this machine, without Ray: a gang that communicates over loopback, or tasks, a few at a time.

A child ends with its parent (PR_SET_PDEATHSIG), stays in its process group (so that killing the group ends it too), has
a clean environment for threads, does not import from the user's current folder (PYTHONSAFEPATH), and prints into the
run's log.
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

from cluster.launchers.base import Launcher, LaunchOrder, read_failure, threads_environment
from cluster.launchers.child import LaunchRequest
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, JsonValue, read_json, write_json
from pipeline.core.job import Job

POLL_S = 0.02
GRACE_S = 3.0  # for the other processes to record their errors before they are killed
FOREIGN = ("RAY_", "TORCHELASTIC_", "OMP_")  # variables of other launchers or the user's shell

Process = subprocess.Popen[bytes]


class LocalLauncher(Launcher):
    """Starts subprocesses; see the module."""

    def gang(self, target: str, spec: JsonObject, *, processes: int, job: Job) -> None:
        with tempfile.TemporaryDirectory(prefix="bloomery-gang-") as folder:
            order = self.order(target, Path(folder), job, gang=True)
            port = _free_port()
            store_file = {"BLOOMERY_STORE_FILE": str(Path(folder) / "store")}
            members = [
                self._start(order, {rank: spec}, job, _torchrun_environment(rank, processes, port) | store_file)
                for rank in range(processes)
            ]
            _wait(members, Path(folder), job)

    def tasks(self, target: str, specs: Sequence[JsonObject], *, job: Job) -> list[JsonValue]:
        """Process p of n does the specs p, p + n, …, so each imports once."""
        count = min(self.workers, len(specs))
        with tempfile.TemporaryDirectory(prefix="bloomery-tasks-") as folder:
            order = self.order(target, Path(folder), job, gang=False)
            shares = [{index: specs[index] for index in range(p, len(specs), count)} for p in range(count)]
            _wait([self._start(order, share, job, {}) for share in shares], Path(folder), job)
            return [read_json(Path(folder) / f"result-{index}.json") for index in range(len(specs))]

    def _start(
        self, order: LaunchOrder, specs: Mapping[int, JsonObject], job: Job, variables: Mapping[str, str]
    ) -> Process:
        request: LaunchRequest = {
            "order": order, "specs": {str(index): spec for index, spec in specs.items()}, "parent": os.getpid(),
        }  # fmt: skip
        request_file = Path(order["folder"]) / f"request-{min(specs)}.json"
        write_json(request_file, request)
        clean = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
        own = {**threads_environment(self.threads), **variables, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
        with job.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "cluster.launchers.child", str(request_file)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**clean, **own},
            )  # fmt: skip


def _wait(processes: Sequence[Process], folder: Path, job: Job) -> None:
    """Wait for all processes; if one fails, give the others GRACE_S, end them, and raise its error."""
    failed_at = None
    try:
        while any(process.poll() is None for process in processes):
            if failed_at is None and any(process.poll() for process in processes):
                failed_at = time.monotonic()
            if failed_at is not None and time.monotonic() - failed_at > GRACE_S:
                break
            time.sleep(POLL_S)
        # read before we end any of them ourselves
        codes = [process.poll() for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()
    if any(codes):
        raise _error_of(codes, folder, job)


def _error_of(codes: Sequence[int | None], folder: Path, job: Job) -> Exception:
    """The error to raise. A killed process records none, but its exit code explains its peers' broken connections."""
    error = read_failure(folder)
    killed = next((index for index, code in enumerate(codes) if code is not None and code < 0), None)
    if killed is None or (error is not None and not str(error).startswith(f"{job.stage}: ")):
        return error or StageFailed(f"{job.stage}: a worker ended without an error message. See {job.log.name}.")
    name = signal.Signals(-(codes[killed] or 0)).name
    hint = "out of memory is the usual reason" if name == "SIGKILL" else f"its trace is in {job.log.name}"
    return StageFailed(f"{job.stage}: worker {killed} was killed ({name}): {hint}.")


def _torchrun_environment(rank: int, world: int, port: int) -> dict[str, str]:
    """The variables that torchrun sets, for one machine."""
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "LOCAL_SIZE": world}
    rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    return {name: str(value) for name, value in numbers.items()} | rendezvous


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
