"""A Beam worker on another host: the function that a remote process runs, and the DoFn of a worker slot.

Where the driver's task server is, and how this worker is called, comes with the order to start it and not through Beam,
whose connections have no authentication: they bear the name of a worker, which nobody can guess, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

import apache_beam as beam

from pipeline.beam.control import FAILED
from pipeline.beam.task_client import draw_tasks
from pipeline.core.files import JsonObject
from pipeline.core.line_client import check_reachable
from pipeline.core.process_output import redirect_output

PLACE, NAME = "BLOOMERY_TASKS", "BLOOMERY_WORKER"


class WorkerOrder(TypedDict):
    """What a worker is started with: Beam's control server, its name there, the task server's place, the run's log."""

    control: str
    worker: str
    tasks: str
    log: str


class DrawTasks(beam.DoFn):  # type: ignore[misc]
    """slot → nothing: tasks are drawn from the driver until there are none."""

    def process(self, slot: int) -> Iterable[None]:
        try:
            draw_tasks(os.environ[PLACE], os.environ[NAME])
        except OSError:
            os._exit(FAILED)  # the driver is gone or took this worker for lost: Beam could only repeat that
        return ()


def serve(order: JsonObject) -> None:
    """Serve Beam until the driver says that the step is over.

    Raises: OSError when the driver does not answer.
    """
    from apache_beam.runners.portability.fn_api_runner import worker_handlers
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    redirect_output(Path(order["log"]))
    check_reachable(order["control"])  # gRPC would wait for a minute
    with _environment({PLACE: order["tasks"], NAME: order["worker"]}):
        harness = SdkHarness(
            order["control"], worker_id=order["worker"], state_cache_size=1 << 20, data_buffer_time_limit_ms=0,
            runner_capabilities=worker_handlers.FNAPI_RUNNER_CAPABILITIES,
        )  # fmt: skip
        harness.run()


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)
