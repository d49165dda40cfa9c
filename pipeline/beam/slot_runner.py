"""Beam's embedded runner with workers that are processes on other hosts: a pipeline whose elements are worker slots.

    Slots → ParDo(DrawTasks)      # the first stage in this process, the second on remote workers, a slot each

The runner waits for every slot, knows no retry, and a lost worker would fail the pipeline. So the slot of a lost worker
just stays open while the others go on, and is closed when the step is over.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from functools import partial

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner, worker_handlers

from pipeline.beam.remote_worker import DrawTasks, WorkerOrder
from pipeline.core.remote_processes import RemoteProcess, RemoteProcesses

URN = "bloomery:environment:remote"
ENVIRONMENT = "remote"
TARGET = "pipeline.beam.remote_worker:serve"
WORK = "Work"


class SlotClosed(Exception):
    """The step is over for a slot whose worker is gone, or still busy with what another has done."""


class SlotPipeline:
    """A pipeline with a slot for each of `count` workers that draw from the task server at `tasks`; runs in a thread.

    `lost(worker, cause)` is called from any thread when a worker is gone before it was told to end.
    """

    def __init__(
        self, processes: RemoteProcesses, *, tasks: str, log: str, count: int,
        lost: Callable[[SlotWorker, str], None],
    ) -> None:  # fmt: skip
        self.processes, self.tasks, self.log, self.count, self.lost = processes, tasks, log, count, lost
        self.workers: list[SlotWorker] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="beam-slots", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def wait(self, seconds: float) -> None:
        """Wait for the pipeline's end, but no longer."""
        self._thread.join(seconds)

    def _run(self) -> None:
        # a flush by time loses elements of the data plane; flushing by size and at the end does not
        worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = 0
        runner, options = SlotRunner(self), PipelineOptions([f"--direct_num_workers={self.count}"])
        pipeline = beam.Pipeline(runner=runner, options=options)
        slots = pipeline | "Slots" >> beam.Create(list(range(self.count)))
        _ = slots | WORK >> beam.ParDo(DrawTasks())
        try:
            pipeline.run().wait_until_finish()
        except SlotClosed:
            pass
        except Exception as error:
            self.error = error


class SlotRunner(fn_runner.FnApiRunner):  # type: ignore[misc]
    """Runs the transform WORK in the environment of a pipeline's remote workers, and all others in this process."""

    def __init__(self, pipeline: SlotPipeline) -> None:
        provision = beam_provision_api_pb2.ProvisionInfo(retrieval_token="unused")
        super().__init__(provision_info=fn_runner.ExtendedProvisionInfo(provision))
        # a name of its own: the registry is the process's, and several pipelines may run
        self.urn = f"{URN}:{secrets.token_hex(8)}"
        worker_handlers.WorkerHandler.register_environment(self.urn, bytes)(partial(SlotWorker, pipeline))

    def run_via_runner_api(
        self, pipeline_proto: fn_runner.beam_runner_api_pb2.Pipeline, options: PipelineOptions
    ) -> object:
        components = pipeline_proto.components
        components.environments[ENVIRONMENT].CopyFrom(next(iter(components.environments.values())))
        components.environments[ENVIRONMENT].urn = self.urn
        for transform in components.transforms.values():
            if transform.unique_name.split("/")[0] == WORK and transform.environment_id:
                transform.environment_id = ENVIRONMENT
        return super().run_via_runner_api(pipeline_proto, options)


class SlotWorker(worker_handlers.GrpcWorkerHandler):  # type: ignore[misc]
    """The driver's side of one remote worker."""

    def __init__(
        self, pipeline: SlotPipeline, payload: bytes, state: object, provision_info: object,
        grpc_server: worker_handlers.GrpcServer,
    ) -> None:  # fmt: skip
        self.pipeline, self.is_closed = pipeline, False
        self.process: RemoteProcess | None = None
        super().__init__(state, provision_info, grpc_server)
        # Beam's connections have no authentication but a worker's name: so nobody may guess it
        self.worker_id = f"worker-{secrets.token_hex(16)}"
        self.control_conn = grpc_server.control_handler.get_conn_by_worker_id(self.worker_id)
        self.data_conn = grpc_server.data_plane_handler.get_conn_by_worker_id(self.worker_id)

    def host_from_worker(self) -> str:
        host = self.pipeline.processes.host
        return f"[{host}]" if ":" in host else host

    def start_worker(self) -> None:
        self.pipeline.workers.append(self)
        order = WorkerOrder(
            control=self.control_address, worker=self.worker_id, tasks=self.pipeline.tasks, log=self.pipeline.log
        )
        self.process = self.pipeline.processes.start(TARGET, {**order}, self._on_end)

    @property
    def is_busy(self) -> bool:
        """Whether Beam waits for an answer of this worker."""
        return bool(self.control_conn._futures_by_id)

    def close_slot(self) -> None:
        """End the process and the slot with it. May be called again: Beam may have asked for more meanwhile."""
        self.is_closed = True
        if self.process is not None:
            self.process.kill()
        self.control_conn.abort(SlotClosed())

    def stop_worker(self) -> None:
        """Nothing to do: a worker that is done returns by itself, any other was killed."""

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            super().close()
            return
        # a host that was cut off never ends its stream: do not wait for it, only free the thread that serves it
        self.control_conn.push(worker_handlers.BeamFnControlServicer._DONE_MARKER)

    def _on_end(self, cause: str) -> None:
        if not self.is_closed:
            self.pipeline.lost(self, cause or "it ended before its work did")
