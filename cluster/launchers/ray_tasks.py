"""Tasks on Ray: a function over many specs, wherever there is room; results in the order of the specs.

What a task returns, its error, what it prints and its progress messages come back as the result of the Ray task. One
that is lost with its worker or its node is given out again.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypedDict

from cluster.launchers.base import LaunchOrder, home, run_target
from cluster.launchers.failures import WorkerFailure, error_of, failure_of
from cluster.launchers.ray_session import last_line
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, JsonValue
from pipeline.core.job import Job
from pipeline.core.progress import RELAY

OUTPUT_BYTES = 1 << 18  # of what a task prints, from its end


class TaskOutcome(TypedDict):
    """The value that a task returned, or its error; what it printed, and its progress messages."""

    value: JsonValue
    failure: WorkerFailure | None
    output: bytes
    progress: list[bytes]


def run_tasks(
    order: LaunchOrder, specs: Sequence[JsonObject], needs: Mapping[str, float], *, most_failures: int, job: Job
) -> list[JsonValue]:
    """Run `order`'s target on every spec; a task that is lost is given out again, `most_failures` times in all.

    Raises: the error of the first task that failed.
    """
    import ray

    task = ray.remote(num_cpus=needs["CPU"], num_gpus=needs["GPU"], max_retries=0)(run_task)
    open_tasks = {task.remote(order, spec, index): index for index, spec in enumerate(specs)}
    results: dict[int, JsonValue] = {}
    attempts = [1] * len(specs)
    while open_tasks:
        [ref], _ = ray.wait(list(open_tasks), num_returns=1)
        index = open_tasks.pop(ref)
        try:
            outcome: TaskOutcome = ray.get(ref)
        except (
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.NodeDiedError,
            ray.exceptions.ObjectLostError,
        ) as error:
            cause = last_line(error)
            attempts[index] += 1
            if sum(attempts) - len(specs) > most_failures:
                raise StageFailed(
                    f"{job.stage}: the worker of a task was killed or crashed: out of memory is the usual reason "
                    f"(cluster.max_failures: {most_failures})."
                ) from error
            job.progress.send(
                {"kind": "task_retried", "step": job.stage, "task": str(index), "attempt": attempts[index],
                 "worker": "", "cause": cause}
            )  # fmt: skip
            open_tasks[task.remote(order, specs[index], index)] = index
            continue
        except ray.exceptions.RayError as error:
            raise StageFailed(f"{job.stage}: {last_line(error)} (more in {job.log.name})") from error
        take_over(outcome, job)
        results[index] = outcome["value"]
    return [results[index] for index in range(len(specs))]


def take_over(outcome: TaskOutcome, job: Job) -> None:
    """Add what a task printed to the log, and pass on its messages.

    Raises: its error.
    """
    with job.log.open("ab") as log:
        log.write(outcome["output"])
    for message in outcome["progress"]:
        job.progress.forward(message)
    if (failure := outcome["failure"]) is not None:
        error = error_of([failure])
        assert error is not None
        raise error


def run_task(order: LaunchOrder, spec: JsonObject, index: int) -> TaskOutcome:
    """The function of a Ray task."""
    with tempfile.TemporaryDirectory(prefix="bloomery-task-") as folder:
        own: LaunchOrder = {**order, "folder": folder}
        if not Path(order["home"]).is_dir():  # the packages lie elsewhere on this host
            own["home"] = home()
        value, failure = None, None
        with _output_in(Path(folder, "log")) as log, _progress_in(folder) as messages:
            try:
                value = run_target(own, spec, index)
            except Exception as error:
                failure = failure_of(error, order["stage"])
        return {"value": value, "failure": failure, "output": _tail(log), "progress": messages}


@contextmanager
def _output_in(log: Path) -> Iterator[Path]:
    """Send the output of this process and its children to a file for the length of the block."""
    import sys

    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    before = [os.dup(1), os.dup(2)]
    try:
        for target in (1, 2):
            os.dup2(descriptor, target)
        yield log
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for saved, target in zip(before, (1, 2), strict=True):
            os.dup2(saved, target)
            os.close(saved)
        os.close(descriptor)


@contextmanager
def _progress_in(folder: str) -> Iterator[list[bytes]]:
    """Collect the progress messages of the block."""
    messages: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"{folder}/p")
        listener.setblocking(False)
        os.environ[RELAY] = f"unix:{folder}/p"
        try:
            yield messages
        finally:
            del os.environ[RELAY]
            with suppress(BlockingIOError):
                while True:
                    messages.append(listener.recv(1 << 16))


def _tail(log: Path) -> bytes:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - OUTPUT_BYTES))
        return stream.read()
