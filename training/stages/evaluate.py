"""evaluate: a model and the documents it never saw → scores.json, and samples.json.

Tasks are cut into pieces by content alone, done by whatever the launcher starts, and merged in their order: the same
bytes from one process or ten (within one numerics class, which the manifest names).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.core.counts import Counts
from pipeline.core.files import write_json
from pipeline.core.shards import entry_of
from pipeline.core.stage import Job, Outcome

if TYPE_CHECKING:
    from training.evaluation.base import Finding

WORK = "training.evaluation.worker:work"
PIECES = "pieces"  # under the draft: gone at publication
Spec = dict[str, Any]


def run(job: Job) -> Outcome:
    """Cut every task, do the pieces that no earlier attempt finished, merge."""
    from training.evaluation.beginning import beginning_of
    from training.evaluation.files import placed
    from training.evaluation.held_out import HeldOut
    from training.evaluation.section import Evaluate
    from training.evaluation.worker import result_of, task_of

    held_out, seed = HeldOut.of(job.inputs), job.params.get("seed", 0)
    chosen = Evaluate(tasks=placed(job.params["tasks"], job.sources, job.folder)).tasks
    tasks = [task_of(one.name, one.options, seed) for one in chosen]
    common = {
        "model": str(job.inputs.one("model").folder("model")),
        "held_out": held_out.to_dict(),
        "beginning": beginning_of(job.inputs),
        "seed": seed,
        # said, never the core count: another number of threads is another order of sums
        "threads": job.cluster.get("threads") or 1,
        "progress": job.progress.address,
    }
    specs: list[list[Spec]] = []
    for one, task in zip(chosen, tasks, strict=True):
        named = {**common, "task": one.name, "options": one.options}
        pieces = enumerate(task.cut(held_out))
        specs.append([{**named, "piece": piece, "result": str(_path(job, task.name, at))} for at, piece in pieces])
    _work(job, [spec for of_task in specs for spec in of_task])
    found = [[result_of(spec) for spec in of_task] for of_task in specs]
    findings = [task.merge(held_out, [one for one, _ in results]) for task, results in zip(tasks, found, strict=True)]
    return _outcome(job, findings, [numerics for results in found for _, numerics in results])


def _path(job: Job, task: str, at: int) -> Path:
    """Where a piece's result lies. The model's digest is in it: a model trained again may differ in its last bits."""
    return job.folder / PIECES / f"{task}-{job.inputs.one('model').manifest.digest[:8]}" / f"{at:06d}.json"


def _work(job: Job, specs: list[Spec]) -> None:
    unfinished = [spec for spec in specs if not Path(spec["result"]).exists()]
    job.progress.total("evaluate", len(specs), "pieces")
    job.progress.add("evaluate", len(specs) - len(unfinished))
    if unfinished:
        job.launch().tasks(WORK, unfinished, job=job)


def _outcome(job: Job, findings: list[Finding], numerics: list[dict[str, Any]]) -> Outcome:
    files: dict[str, Any] = {"scores.json": [score.to_dict() for found in findings for score in found.scores]}
    counts: dict[str, int] = {}
    for found in findings:
        files |= found.files
        counts |= found.counts
    for name, value in files.items():
        write_json(job.folder / name, value)
    return Outcome([entry_of(job.folder, name) for name in files], cast(Counts, counts), numerics=_together(numerics))


def _together(numerics: list[dict[str, Any]]) -> dict[str, Any]:
    """One class where every piece was done on the same kind of device; else every kind is named."""
    names = dict.fromkeys(name for one in numerics for name in one)
    values = {name: sorted({one[name] for one in numerics}) for name in names}
    return {name: kinds[0] if len(kinds) == 1 else kinds for name, kinds in values.items()}
