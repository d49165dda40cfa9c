"""One item of an evaluation in a process of its own, on any machine; its result is kept in the job's draft.

A kept item is not done again, so an interrupted evaluation continues where it stopped. Nothing in a spec is a path of
another machine: the inputs are artifacts by their URI, and what they hold is read through this machine's cache.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypedDict

import torch

from pipeline.core.config import Component
from pipeline.core.draft import Draft
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, JsonValue
from pipeline.core.job import Job
from training.engines.device import describe, device
from training.evaluation import TASKS
from training.evaluation.base import NOT_FINITE, AnyTask, Subject
from training.evaluation.held_out import HeldOut
from training.evaluation.initial_model import training_start_of
from training.evaluation.task_files import with_draft_files


class WorkSpec(TypedDict):
    """What the process of one item is given. `job`: the stage's, as JSON; `step` and `key` name the item in the draft.

    Files among the options are named by their path in the draft.
    """

    job: JsonObject
    seed: int
    threads: int
    task: str
    options: JsonObject
    item: Mapping[str, object]
    step: str
    key: str


class KeptResult(TypedDict):
    """What the draft keeps of an item."""

    result: JsonValue
    numerics: ItemNumerics


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
    """Do the item that `spec` describes and keep its result, unless that is done."""
    job = _job(json.dumps(spec["job"], sort_keys=True))
    if spec["key"] in job.draft.results(spec["step"]):
        return
    torch.set_num_threads(spec["threads"])
    task = create_task(spec["task"], with_draft_files(spec["task"], spec["options"], job.draft), spec["seed"])
    where = device()
    subject = Subject(
        job.inputs.single("model").folder("model"), HeldOut.of(job.inputs), where, training_start_of(job.inputs)
    )
    kept: KeptResult = {"result": task.work(spec["item"], subject), "numerics": numerics(where, spec["threads"])}
    try:
        job.draft.keep(spec["step"], spec["key"], dict(kept), [])
    except ValueError as error:  # JSON has no infinite number and no NaN
        raise StageFailed(f"evaluate: {spec['task']}: {NOT_FINITE}") from error
    job.progress.add("evaluate")


@lru_cache(maxsize=1)
def _job(text: str) -> Job:
    """The job of a spec; its artifacts are opened once for all items that a process does."""
    return Job.from_dict(json.loads(text))


def numerics(device: torch.device, threads: int) -> ItemNumerics:
    return {"device": describe(device), "precision": "fp32", "threads": threads, "torch": torch.__version__}


def read_results(draft: Draft, specs: Sequence[WorkSpec]) -> list[tuple[JsonValue, ItemNumerics]]:
    """The results that `work` kept for items of one step, in their order, and their numerics."""
    stored = draft.results(specs[0]["step"]) if specs else {}
    return [(stored[spec["key"]]["result"], stored[spec["key"]]["numerics"]) for spec in specs]
