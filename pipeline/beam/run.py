"""How data stages run tasks: tasks in, results out, in order; a finished task is never run again.

`run_tasks` gives every task to `work(job, task)` through an executor (`pipeline.beam.executor`), `job.workers` at a
time. Documents stay in files. Results are kept in the draft: that is the resume.
Cost: 0.5 s to import Beam, 2 s more to start worker processes, 0.08 s for a step of several tasks in threads, 32 us
a task; nothing when every result is there.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.beam.executor import Executor, executor_of
from pipeline.beam.task import (
    Isolation,
    JobStep,
    Payload,
    Result,
    Task,
    Work,
    check_keys,
    read_results,
)
from pipeline.core.job import Job


def run_tasks(
    job: Job, step: str, tasks: Sequence[Task[Payload]], work: Work[Payload, Result], *,
    isolation: Isolation = "threads", executor: Executor | None = None,
) -> list[Result]:  # fmt: skip
    """Run `work(job, task)` for every task that has no result yet; the results come back in the order of `tasks`.

    `executor`: by default the one that `isolation` asks for.
    Raises: the error of the first task that failed (ours as it is, any other as StageFailed), at once; StageFailed
    when a worker died or when a task ended without a result.
    """
    check_keys(job, step, [task.key for task in tasks])
    finished = job.draft.results(step)
    waiting = [task for task in tasks if task.key not in finished]
    job.progress.total(step, sum(task.size for task in tasks), "bytes", tasks=len(tasks))
    finished_size = sum(task.size for task in tasks) - sum(task.size for task in waiting)
    job.progress.add(step, finished_size, tasks=len(tasks) - len(waiting))
    if len(waiting) < len(tasks):
        job.progress.note(step, f"{len(tasks) - len(waiting):,} of {len(tasks):,} tasks were finished before")
    if waiting:
        # tasks may be dealt out one by one, worker after worker: by falling size the shares come out even
        waiting.sort(key=lambda task: -task.size)
        (executor or executor_of(job, isolation)).run(JobStep(job, step), waiting, work)
    results = read_results(job, step, tasks, work)
    job.draft.finish(step)
    return results
