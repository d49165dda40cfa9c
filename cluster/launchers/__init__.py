"""Launchers: how a stage starts other processes, here or on a cluster. `launcher` is the one that the YAML names."""

from __future__ import annotations

from cluster.launchers.base import Launcher
from pipeline.core.job import ClusterOptions
from pipeline.core.registry import Entry, Registry

LAUNCHERS: Registry[Launcher] = Registry(
    "launcher",
    (
        Entry("local", code="cluster.launchers.local:Local"),
        Entry("ray", code="cluster.launchers.on_ray:OnRay"),
    ),
)


def launcher(cluster: ClusterOptions) -> Launcher:
    """The launcher of a cluster section."""
    return LAUNCHERS.load(cluster.launcher)(cluster)
