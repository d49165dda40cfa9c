"""The launcher on Ray: a gang on actors, one on each node that it needs; tasks as Ray tasks; a pool through Ray Data.

Without `cluster.address` a local Ray starts on this machine and ends with the stage; `head.py` holds one for many runs.
Nothing that a worker needs is a file of the driver's, unless its spec says so: results, errors, output and progress
come back through Ray.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cluster.launchers.base import Launcher
from cluster.launchers.gang import GangRun
from cluster.launchers.ray_data import ActorPool
from cluster.launchers.ray_hosts import RayHosts
from cluster.launchers.ray_nodes import living_nodes, require_resources
from cluster.launchers.ray_session import TOKEN, join_ray, start_ray
from cluster.launchers.ray_tasks import run_tasks
from cluster.launchers.requirements import count_places
from pipeline.core.files import JsonObject, JsonValue
from pipeline.core.job import ClusterOptions, Job
from pipeline.core.journal import Recovery


class RayLauncher(Launcher):
    """Starts processes through Ray; see the module."""

    def __init__(self, cluster: ClusterOptions) -> None:
        super().__init__(cluster)
        self.address = cluster.address
        self.gpus = cluster.gpus_per_worker
        self.head = cluster.head  # the address of a Ray that head.py holds

    def gang(self, target: str, spec: JsonObject, *, sizes: Sequence[int], job: Job) -> list[Recovery]:
        needs = {"CPU": float(self.threads)} | ({"GPU": float(self.gpus)} if self.gpus else {})
        with self._ray(max(sizes), job):
            require_resources(needs, workers=min(sizes))
            hosts = RayHosts(needs, threads=self.threads)
            try:
                order = self.order(target, job, gang=True)
                return GangRun(hosts, order, spec, sizes, self.cluster.max_failures, job).run()
            finally:
                hosts.close()

    def tasks(self, target: str, specs: Sequence[JsonObject], *, job: Job) -> list[JsonValue]:
        """A task that was lost with its worker or node is done again elsewhere; one that raises is not."""
        if not specs:
            return []
        with self._ray(min(self.workers, len(specs)), job):
            needs = {"CPU": float(self.threads), "GPU": float(min(self.gpus, 1))}
            require_resources(needs, workers=1)
            return run_tasks(
                self.order(target, job, gang=False), specs, needs, most_failures=self.cluster.max_failures, job=job
            )

    def pool(self, target: str, shared: JsonObject, specs: Sequence[JsonObject], *, job: Job) -> list[JsonValue]:
        """An actor that was lost is started again, and its spec done again; one whose spec raises is not."""
        if not specs:
            return []
        with self._ray(min(self.workers, len(specs)), job):
            needs = {"CPU": float(self.threads), "GPU": float(min(self.gpus, 1))}
            require_resources(needs, workers=1)
            places = max(1, count_places([node.total for node in living_nodes()], needs))
            order = self.order(target, job, gang=False)
            pool = ActorPool(order, shared, needs, min(self.workers, len(specs), places), self.cluster.max_failures)
            return pool.map(specs, job=job)

    @contextmanager
    def _ray(self, processes: int, job: Job) -> Iterator[None]:
        """Start or join Ray for the length of the block."""
        cpus = max(os.cpu_count() or 1, processes * self.threads)
        if self.address:
            ray = join_ray(self.address, job.stage)
        else:
            ray = join_ray(self.head, job.stage, TOKEN) if self.head else start_ray(cpus, job.stage)
        with ray:
            yield
