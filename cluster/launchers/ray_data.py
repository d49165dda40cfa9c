"""A pool of actors that Ray Data feeds with specs: `map_batches` over rows that are a spec each.

What crosses Ray Data is small: a spec, and what a task returned. The actors read and write files themselves, so no
document comes through the driver or Ray's object store, there is no reader that waits for a CPU beside the actors, and
the order in which they answer changes nothing: each result has the number of its spec.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from cluster.launchers.base import LaunchOrder, threads_environment
from cluster.launchers.ray_session import last_line
from cluster.launchers.ray_tasks import TaskOutcome, run_task, take_over
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject, JsonValue
from pipeline.core.job import Job

if TYPE_CHECKING:
    import numpy as np
    from ray.data import Dataset


class SpecRows(TypedDict):
    """A batch of Ray Data: numbers of specs, and the specs as JSON."""

    index: np.ndarray
    spec: np.ndarray


class PoolActor:
    """An actor: runs the target of an order on each spec that it is given, and keeps what the target loaded."""

    def __init__(self, order: LaunchOrder, shared: str, threads: int) -> None:
        # before any library is imported that counts the cores
        os.environ.update(threads_environment(threads))
        self.order = order
        self.shared: JsonObject = json.loads(shared)

    def __call__(self, rows: SpecRows) -> dict[str, list[object]]:
        numbers = rows["index"].tolist()
        specs = [{**self.shared, **json.loads(spec)} for spec in rows["spec"].tolist()]
        outcomes = [run_task(self.order, spec, number) for number, spec in zip(numbers, specs, strict=True)]
        return {
            "index": numbers, "restarted": [_was_restarted()] * len(numbers),
            "answer": [json.dumps({"value": outcome["value"], "failure": outcome["failure"]}) for outcome in outcomes],
            "output": [outcome["output"] for outcome in outcomes],
            "progress": [outcome["progress"] for outcome in outcomes],
        }  # fmt: skip


def _was_restarted() -> bool:
    import ray

    return bool(ray.get_runtime_context().was_current_actor_reconstructed)


@dataclass(frozen=True)
class ActorPool:
    """A pool of `size` actors, each with these resources. Ray starts an actor again `most_failures` times."""

    order: LaunchOrder
    shared: JsonObject
    needs: Mapping[str, float]
    size: int
    most_failures: int

    def map(self, specs: Sequence[JsonObject], *, job: Job) -> list[JsonValue]:
        """The results of the specs, in their order.

        Raises: the error of the first task that failed; StageFailed when an actor was lost too often.
        """
        import ray

        results: dict[int, JsonValue] = {}
        try:
            for index, restarted, outcome in self._outcomes_here_or_there(specs):
                if restarted:
                    job.progress.note(job.stage, "an actor was lost, and its task was done again")
                take_over(outcome, job)
                results[index] = outcome["value"]
        except ray.exceptions.RayError as error:
            raise StageFailed(
                f"{job.stage}: the process of an actor was killed or crashed: out of memory is the usual reason "
                f"(cluster.max_failures: {self.most_failures}). Ray says: {last_line(error)}"
            ) from error
        if len(results) < len(specs):
            raise StageFailed(f"{job.stage}: {len(specs) - len(results)} tasks left no result. Run again.")
        return [results[index] for index in range(len(specs))]

    def _outcomes_here_or_there(self, specs: Sequence[JsonObject]) -> Iterable[tuple[int, bool, TaskOutcome]]:
        """What the actors return; of a driver that came through Ray Client a process of the cluster gathers it first,
        because Ray Data schedules from where it is called."""
        import ray
        from ray.util.client import ray as client

        if not client.is_connected():
            return self._outcomes(specs)
        outcomes: list[tuple[int, bool, TaskOutcome]] = ray.get(ray.remote(num_cpus=0)(_gather).remote(self, specs))
        return outcomes

    def _outcomes(self, specs: Sequence[JsonObject]) -> Iterator[tuple[int, bool, TaskOutcome]]:
        """What the actors return, as it comes."""
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        rows = [{"index": index, "spec": json.dumps(spec)} for index, spec in enumerate(specs)]
        with warnings.catch_warnings():
            # Ray 2.60 has no other way to bound restarts; without a bound a task that exhausts memory is done for ever
            warnings.simplefilter("ignore")
            answers = self._answers(rows)
        for row in answers.iter_rows():
            answer = json.loads(row["answer"])
            outcome: TaskOutcome = {
                "value": answer["value"], "failure": answer["failure"], "output": row["output"],
                "progress": list(row["progress"]),
            }  # fmt: skip
            yield int(row["index"]), bool(row["restarted"]), outcome

    def _answers(self, rows: list[JsonObject]) -> Dataset:
        """The rows that the actors return, lazily. A block a spec: a lost actor loses no other spec."""
        import ray.data

        return ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            PoolActor, batch_size=1, compute=ray.data.ActorPoolStrategy(size=self.size),
            fn_constructor_args=(self.order, json.dumps(self.shared), int(self.needs["CPU"])),
            num_cpus=self.needs["CPU"], num_gpus=self.needs["GPU"] or None,
            max_restarts=self.most_failures, max_task_retries=self.most_failures,
        )  # fmt: skip


def _gather(pool: ActorPool, specs: Sequence[JsonObject]) -> list[tuple[int, bool, TaskOutcome]]:
    """Everything that a pool returns."""
    return list(pool._outcomes(specs))
