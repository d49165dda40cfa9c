"""Beam workers that are processes of our own: a dead one is an error at once, and all of them die with the driver.

Stock worker processes of Beam hang the run when one is killed in a last stage, and lose the class of an error. Here the
driver watches each process and aborts all pending work with one sentence. A worker has the driver's import path and
none of the current folder's modules, thread counts of its own, and the job's log as its output. Start: 2 s for two.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import partial

from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers
from apache_beam.transforms import environments

from pipeline.beam.control import FAILED, NO_DISK, NO_MEMORY, StepControl
from pipeline.beam.failure import shortage_error
from pipeline.core.errors import ProcessDied, StageFailed
from pipeline.core.parent_process import watch_parent
from pipeline.core.shortage import Shortage, shortage_in

URN = "bloomery:environment:process:v1"
ENTRY = """import json, sys
sys.path[:] = json.loads(sys.argv.pop(1))
from pipeline.beam.lean_import import lean_import
with lean_import():
    from pipeline.beam.workers import main
main()"""
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
)  # fmt: skip
WATCH_SECONDS = 0.2
LOG_TAIL_BYTES = 16 << 10
SHORTAGES: dict[int, Shortage] = {NO_DISK: "disk", NO_MEMORY: "memory"}


def process_runner(control: StepControl, threads: int) -> fn_runner.FnApiRunner:
    """An FnApiRunner whose workers are `Worker` processes; leave direct_running_mode unset."""
    # a flush by time loses elements of the data plane; flushing by size and at the end does not
    worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = 0
    worker_handlers.WorkerHandler.register_environment(URN, bytes)(partial(Worker, WorkerPool(control, threads)))
    provision = fn_runner.ExtendedProvisionInfo(beam_provision_api_pb2.ProvisionInfo(retrieval_token="unused"))
    return fn_runner.FnApiRunner(default_environment=ProcessEnvironment(), provision_info=provision)


@environments.Environment.register_urn(URN, bytes)
class ProcessEnvironment(environments.Environment):  # type: ignore[misc]
    """What the pipeline's description says of where its code runs."""

    def __init__(self) -> None:
        super().__init__(environments.python_sdk_capabilities(), (), {})

    def to_runner_api_parameter(self, context: object) -> tuple[str, bytes]:
        return URN, b""

    @staticmethod
    def from_runner_api_parameter(*_: object) -> ProcessEnvironment:
        return ProcessEnvironment()


@dataclass
class WorkerPool:
    """The workers of one run: what they share, and each of them once it has started."""

    control: StepControl
    threads: int
    workers: list[Worker] = field(default_factory=list)


class Worker(worker_handlers.GrpcWorkerHandler):  # type: ignore[misc]
    """The driver's side of one worker process."""

    def __init__(
        self, pool: WorkerPool, payload: bytes, state: object, provision_info: object, grpc_server: object
    ) -> None:
        super().__init__(state, provision_info, grpc_server)
        self.pool, self.control, self.job, self.closing = pool, pool.control, pool.control.step.job, False

    def start_worker(self) -> None:
        command = [sys.executable, "-c", ENTRY, json.dumps(sys.path), self.control_address, self.worker_id]
        with self.job.log.open("ab") as log:
            self.log_start = log.seek(0, os.SEEK_END)
            self.process = subprocess.Popen(
                [*command, str(os.getpid())], env=worker_environment(self.pool.threads), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
        self.pool.workers.append(self)
        threading.Thread(target=self._watch, daemon=True).start()

    def stop_worker(self) -> None:
        self.closing = True
        try:
            self.process.wait(0.5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        self.closing = True
        super().close()

    def _watch(self) -> None:
        code = self.process.wait()
        error = self._death(code)
        # all of them, and again: the runner waits for one worker after the other, and may start another bundle yet
        while not self.closing:
            for worker in list(self.pool.workers):
                worker.control_conn.abort(error)
                worker.process.kill()
            time.sleep(WATCH_SECONDS)

    def _death(self, code: int) -> StageFailed:
        """What a worker's end means, in one sentence."""
        step, pid = self.control.step, self.process.pid
        key = self.control.channel.task_of(str(pid))
        shortage = SHORTAGES.get(code) or shortage_in(self._output())
        if shortage and code != -signal.SIGKILL:
            return shortage_error(step, shortage, f"{key}: " if key else "", f"a worker process ended with {code}")
        ending = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        guess = " (out of memory?)" if code == -signal.SIGKILL else ""
        where = f" while working on {key}" if key else ""
        message = (
            f"{self.job.stage}: {step.name}: a worker process {ending}{guess}{where}. Run the same command again: "
            f"finished tasks are kept. If memory is short, use fewer workers than {self.job.workers}."
        )
        if code < 0:
            return ProcessDied(message, what=f"a worker process {ending}", task=key or "")
        return StageFailed(message)

    def _output(self) -> str:
        """The end of what workers printed since this one started: a C++ library says there why it aborts."""
        try:
            with self.job.log.open("rb") as log:
                log.seek(max(self.log_start, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
                return log.read().decode("utf-8", "replace")
        except OSError:
            return ""


def worker_environment(threads: int) -> dict[str, str]:
    """The variables of a worker process: thread counts set, nothing imported from the current folder, no proxies."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSTARTUP")}
    environment.update({name: str(threads) for name in THREAD_VARIABLES})
    environment.update(PYTHONSAFEPATH="1", GRPC_VERBOSITY="ERROR", no_grpc_proxy="localhost,127.0.0.1")
    return environment


def main() -> None:
    """A worker process: serve Beam until the driver says that it is done, or is gone."""
    control_address, worker_id, driver = sys.argv[1], sys.argv[2], int(sys.argv[3])
    watch_parent(driver, exit_code=FAILED)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's business
    logging.basicConfig(level=logging.ERROR)
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    harness = SdkHarness(
        control_address, worker_id=worker_id, state_cache_size=100 << 20, data_buffer_time_limit_ms=0,
        runner_capabilities=worker_handlers.FNAPI_RUNNER_CAPABILITIES,
    )  # fmt: skip
    harness.run()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)  # gRPC's threads would hold the process for seconds
