"""Processes of data stages on all nodes of a Ray cluster: each an actor with one CPU, spread over the nodes.

Ray is joined, or started on this machine, when a stage first asks, and left when its process ends; the actors are kept
from step to step (a new one takes 2 s of CPU to import what it needs). Nothing but orders of a few hundred bytes goes
through Ray. An actor that dies is not started again by Ray: the stage asks for another.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.launchers.base import threads_environment
from cluster.launchers.ray_nodes import living_nodes
from cluster.launchers.ray_session import TOKEN, join_ray, last_line, start_ray
from cluster.launchers.requirements import count_places
from pipeline.core.files import JsonObject
from pipeline.core.job import ClusterOptions
from pipeline.core.line_client import address_towards
from pipeline.core.registry import add_plugin_folder, load

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ray.actor import ActorHandle

LOOPBACK = "127.0.0.1"
LABEL = "cluster.beam"


class DataWorker:
    """The actor."""

    def __init__(self) -> None:
        # before any library is imported that counts the cores: a worker has one
        os.environ.update(threads_environment(1) | {"NUMBA_NUM_THREADS": "1", "GRPC_VERBOSITY": "ERROR"})

    def run(self, target: str, spec: JsonObject, folders: list[str]) -> None:
        for folder in folders:  # of plug-ins; searched last, so that they cannot hide our packages
            add_plugin_folder(Path(folder))
        load(target)(spec)


class RayWorkers:
    """`RemoteProcesses` on Ray."""

    def __init__(self, cluster: ClusterOptions) -> None:
        self._stack = ExitStack()
        self._idle: list[ActorHandle] = []
        if cluster.address:
            self._stack.enter_context(join_ray(cluster.address, LABEL))
        elif cluster.head:
            self._stack.enter_context(join_ray(cluster.head, LABEL, TOKEN))
        else:
            self._stack.enter_context(start_ray(max(os.cpu_count() or 1, cluster.beam.workers), LABEL))
        self._host = _address_for_nodes(cluster)

    @property
    def host(self) -> str:
        return self._host

    def room(self) -> int:
        return count_places([node.total for node in living_nodes()], {"CPU": 1.0})

    def start(self, target: str, spec: JsonObject, ended: Callable[[str], None]) -> RayProcess:
        import ray

        if self._idle:
            actor = self._idle.pop()
        else:
            actor = ray.remote(num_cpus=1, max_restarts=0)(DataWorker).options(scheduling_strategy="SPREAD").remote()
        process = RayProcess(self, actor, ended)
        future = actor.run.remote(target, spec, [path for path in sys.path if path]).future()
        future.add_done_callback(process.on_done)
        return process

    def keep(self, actor: ActorHandle) -> None:
        """Use an actor again that has returned."""
        self._idle.append(actor)

    def close(self) -> None:
        """End all actors, and Ray if it was started here."""
        self._stack.close()


class RayProcess:
    """A `RemoteProcess`: what an actor runs at present."""

    def __init__(self, workers: RayWorkers, actor: ActorHandle, ended: Callable[[str], None]) -> None:
        self.workers, self.actor, self.ended = workers, actor, ended
        self.is_done = False

    def kill(self) -> None:
        if not self.is_done:
            self.is_done = True
            import ray

            ray.kill(self.actor)

    def on_done(self, future: Future[None]) -> None:
        if self.is_done:
            return
        self.is_done = True
        error = future.exception()
        if error is None:
            self.workers.keep(self.actor)
        self.ended("" if error is None else last_line(error))


@cache
def remote_processes(cluster: ClusterOptions) -> RayWorkers:
    """The processes of a stage, for as long as the process of the stage runs."""
    workers = RayWorkers(cluster)
    atexit.register(workers.close)
    return workers


def _address_for_nodes(cluster: ClusterOptions) -> str:
    """The address of this machine that the nodes of the cluster reach; of a Ray started here the loopback."""
    import ray

    if not cluster.address:
        return LOOPBACK
    client = cluster.address.removeprefix("ray://")
    control = client if client != cluster.address else str(ray.get_runtime_context().gcs_address)
    return address_towards(control.rpartition(":")[0].strip("[]"))
