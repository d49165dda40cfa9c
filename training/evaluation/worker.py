"""One piece of an evaluation in a process of its own, whoever started it; its result is a file beside the others.

A piece whose file exists is not done again: that is the resume.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pipeline.core.config import Component
from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json, write_json
from pipeline.core.progress import Progress
from training.engines.device import describe, device
from training.evaluation import TASKS
from training.evaluation.base import NOT_FINITE, Subject, Task
from training.evaluation.held_out import HeldOut


def task_of(name: str, options: dict[str, Any], seed: int) -> Task:
    """The task that a name of the section stands for."""
    found: Task = TASKS.create(Component(name=name, options=options), seed)
    return found


def work(spec: dict[str, Any]) -> None:
    """Do the piece that `spec` describes and write its result, whole or not at all."""
    path = Path(spec["result"])
    if path.exists():
        return
    torch.set_num_threads(spec["threads"])
    task, where = task_of(spec["task"], spec["options"], spec["seed"]), device()
    subject = Subject(Path(spec["model"]), HeldOut.from_dict(spec["held_out"]), where, spec["beginning"])
    result = task.work(spec["piece"], subject)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_json(path, {"result": result, "numerics": numerics(where, spec["threads"])})
    except ValueError as error:  # JSON has no infinite number and no NaN
        raise StageFailed(f"evaluate: {spec['task']}: {NOT_FINITE}") from error
    Progress(spec["progress"], "evaluate").add("evaluate")


def numerics(where: torch.device, threads: int) -> dict[str, Any]:
    """What decides the last bits of a score."""
    return {"device": describe(where), "precision": "fp32", "threads": threads, "torch": torch.__version__}


def result_of(spec: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What `work` found, and its numerics."""
    found = read_json(Path(spec["result"]))
    return found["result"], found["numerics"]
