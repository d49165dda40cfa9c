"""Launchers: how a stage starts other processes, on this machine or on a cluster. `launcher` picks the YAML's."""

from __future__ import annotations

from cluster.launchers.base import Launcher
from pipeline.core.job import ClusterOptions
from pipeline.core.registry import Entry, Registry, load
from pipeline.core.remote_processes import RemoteProcesses

LAUNCHERS: Registry[Launcher] = Registry(
    "launcher",
    (
        Entry("local", code="cluster.launchers.local:LocalLauncher"),
        Entry("ray", code="cluster.launchers.on_ray:RayLauncher"),
    ),
)


def launcher(cluster: ClusterOptions) -> Launcher:
    """The launcher that a cluster section names."""
    return LAUNCHERS.load(cluster.launcher)(cluster)


def remote_processes(cluster: ClusterOptions) -> RemoteProcesses:
    """The processes of data stages on the cluster that a section names."""
    processes: RemoteProcesses = load("cluster.launchers.ray_workers:remote_processes")(cluster)
    return processes
