"""A worker's end of a step: draw tasks from the driver's `TaskServer` and do them, until there are no more."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from pipeline.beam.executor import do_task
from pipeline.beam.failure import Failure
from pipeline.beam.task import JobStep, Task, Work
from pipeline.beam.versions import versions
from pipeline.core.draft import RESULTS, LocalDraft
from pipeline.core.errors import BloomeryError
from pipeline.core.files import JsonObject
from pipeline.core.job import Job
from pipeline.core.line_client import LineClient
from pipeline.core.registry import add_plugin_folder, load


def draw_tasks(place: str, worker: str) -> None:
    """Do the tasks of a step that the server at a place gives, until it says that the step is over.

    Raises: OSError when the driver is gone, or does not answer.
    """
    with LineClient(place) as server:
        hello = {"worker": worker, "host": socket.gethostname(), "pid": os.getpid(), "versions": versions()}
        welcome = server.ask({"hello": hello})
        if not welcome:
            return
        for folder in welcome["plugins"]:  # searched last, so they cannot hide our packages
            add_plugin_folder(Path(folder))
        step = JobStep(Job.from_dict(welcome["job"]), welcome["step"])
        problem = host_problem(step)
        reply = server.ask({"failed": Failure.of_step(step, problem).to_dict()} if problem else {})
        while reply:
            reply = server.ask(_outcome(step, reply["task"], welcome["work"]))


def host_problem(step: JobStep) -> str:
    """Why this host cannot work on a step, in a sentence; empty if it can.

    It must see the folder where the results of the step belong, or have a store behind a URL.
    """
    draft = step.job.draft
    if not isinstance(draft, LocalDraft) or (draft.folder / RESULTS / step.name).is_dir():
        return ""
    return (
        f"the host {socket.gethostname()} does not see {draft.folder}. Use a work directory that all hosts of the "
        "cluster share, or one behind a URL (s3://)."
    )


def failure_of(task: Task[Any], error: Exception) -> Failure:
    """An error of ours says all that a person needs; of any other it helps to know where it happened."""
    return Failure.of(task.key if isinstance(error, BloomeryError) else f"{task.key} on {socket.gethostname()}", error)


def _outcome(step: JobStep, fields: JsonObject, work_name: str) -> JsonObject:
    task: Task[Any] = Task(**fields)
    try:
        work: Work[Any, Any] = load(work_name)
        do_task(step, task, work)
    except Exception as error:
        return {"failed": failure_of(task, error).to_dict()}
    return {"done": True}
