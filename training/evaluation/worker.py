"""One item of an evaluation in a process of its own; its result is a file beside the others.

An item whose result file exists is not done again, so an interrupted evaluation continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import torch

from pipeline.core.config import Component
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, JsonValue, read_json, write_json
from pipeline.core.progress import Progress
from training.engines.device import describe, device
from training.evaluation import TASKS
from training.evaluation.base import NOT_FINITE, AnyTask, Subject
from training.evaluation.held_out import HeldOut, HeldOutPaths
from training.evaluation.initial_model import TrainingStart


class EvaluationSpec(TypedDict):
    """What all items of an evaluation share."""

    seed: int
    threads: int
    model: str
    held_out: HeldOutPaths
    training_start: TrainingStart | None
    progress: str


class WorkSpec(EvaluationSpec):
    """What the process of one item is given. `result`: the file to write."""

    task: str
    options: JsonObject
    item: Mapping[str, object]
    result: str


class ItemNumerics(TypedDict):
    """What decides the last bits of a score."""

    device: str
    precision: str
    threads: int
    torch: str


def create_task(name: str, options: JsonObject, seed: int) -> AnyTask:
    """The task of a name in the section."""
    return TASKS.create(Component(name=name, options=options), seed)


def work(spec: WorkSpec) -> None:
    """Do the item that `spec` describes and write its result; the file appears complete or not at all."""
    path = Path(spec["result"])
    if path.exists():
        return
    torch.set_num_threads(spec["threads"])
    task = create_task(spec["task"], spec["options"], spec["seed"])
    where = device()
    subject = Subject(Path(spec["model"]), HeldOut.from_dict(spec["held_out"]), where, spec["training_start"])
    result = task.work(spec["item"], subject)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_json(path, {"result": result, "numerics": numerics(where, spec["threads"])})
    except ValueError as error:  # JSON has no infinite number and no NaN
        raise StageFailed(f"evaluate: {spec['task']}: {NOT_FINITE}") from error
    Progress(spec["progress"], "evaluate").add("evaluate")


def numerics(device: torch.device, threads: int) -> ItemNumerics:
    return {"device": describe(device), "precision": "fp32", "threads": threads, "torch": torch.__version__}


def read_result(spec: WorkSpec) -> tuple[JsonValue, ItemNumerics]:
    """The result that `work` wrote, and its numerics."""
    stored = read_json(Path(spec["result"]))
    return stored["result"], stored["numerics"]
