"""evaluate: a model and the documents it never saw → scores.json, and the files of its tasks (samples.json …).

Each task is cut into items by content alone; the items are done by whatever the launcher starts, and their results are
merged in order. So the bytes are the same for any number of processes (within one numerics class, which the manifest
names).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from pipeline.core.counts import StageCounts
from pipeline.core.files import JsonObject, write_json
from pipeline.core.job import Job, StageOutput
from pipeline.core.numerics import ScoreNumerics
from pipeline.core.shards import entry_of

if TYPE_CHECKING:
    from pipeline.core.config import Component
    from training.evaluation.base import TaskResult
    from training.evaluation.worker import ItemNumerics, WorkSpec

WORK = "training.evaluation.worker:work"


def run(job: Job) -> StageOutput:
    """Cut every task into items, do the items that no earlier attempt finished, merge the results."""
    from training.evaluation.held_out import HeldOut
    from training.evaluation.section import Evaluate
    from training.evaluation.task_files import share, with_local_copies
    from training.evaluation.worker import create_task, read_results

    held_out = HeldOut.of(job.inputs)
    seed = job.params.get("seed", 0)
    task_params = with_local_copies(job.params["tasks"], job.sources, job.folder)
    components = Evaluate.model_validate({"tasks": task_params}).tasks
    tasks = [create_task(component.name, component.options, seed) for component in components]
    share(components, job)
    specs = [
        _task_specs(job, component, task.cut(held_out), task_name=task.name, seed=seed)
        for component, task in zip(components, tasks, strict=True)
    ]
    _work(job, [spec for task_specs in specs for spec in task_specs])
    results = [read_results(job.draft, task_specs) for task_specs in specs]
    merged = [
        task.merge(held_out, [result for result, _ in task_results])
        for task, task_results in zip(tasks, results, strict=True)
    ]
    return _output(job, merged, [numerics for task_results in results for _, numerics in task_results])


def _task_specs(
    job: Job, component: Component, items: Sequence[Mapping[str, object]], *, task_name: str, seed: int
) -> list[WorkSpec]:
    """The items of a task, as what is kept of them names them.

    The model's digest is part of the name: a model that was trained again may differ in its last bits.
    """
    from training.evaluation.task_files import in_draft

    options, plain_job = in_draft(component, job.folder), job.to_dict()
    step = f"{task_name}-{job.inputs.single('model').manifest.digest[:8]}"
    return [
        {
            # from the configuration, never the core count: another number of threads is another order of sums
            "job": plain_job, "seed": seed, "threads": job.cluster.threads, "task": component.name, "options": options,
            "item": item, "step": step, "key": f"{number:06d}",
        }
        for number, item in enumerate(items)
    ]  # fmt: skip


def _work(job: Job, specs: Sequence[WorkSpec]) -> None:
    kept = {step: set(job.draft.results(step)) for step in {spec["step"] for spec in specs}}
    unfinished = [spec for spec in specs if spec["key"] not in kept[spec["step"]]]
    job.progress.total("evaluate", len(specs), "pieces")
    job.progress.add("evaluate", len(specs) - len(unfinished))
    if unfinished:
        job.launch().tasks(WORK, [dict(spec) for spec in unfinished], job=job)
    for step in kept:
        job.draft.finish(step)


def _output(job: Job, results: Sequence[TaskResult], numerics: Sequence[ItemNumerics]) -> StageOutput:
    files: dict[str, object] = {"scores.json": [score.to_dict() for result in results for score in result.scores]}
    counts: dict[str, int] = {}
    for result in results:
        files |= result.files
        counts |= result.counts
    for name, value in files.items():
        write_json(job.folder / name, value)
    entries = [entry_of(job.folder, name) for name in files]
    return StageOutput(
        entries, cast(StageCounts, counts), numerics=_merged_numerics([dict(values) for values in numerics])
    )


def _merged_numerics(numerics: Sequence[JsonObject]) -> ScoreNumerics:
    """The value of a key where all items agree; else all its values, sorted."""
    keys = dict.fromkeys(key for values in numerics for key in values)
    distinct = {key: sorted({values[key] for values in numerics}) for key in keys}
    merged = {key: values[0] if len(values) == 1 else values for key, values in distinct.items()}
    return cast(ScoreNumerics, merged)
