"""What cannot work on a cluster is refused before anything is sent: paths of this machine, and the local launcher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from cluster.checks import ConfigCheck, needs_are_made, sections_go_together
from cluster.flow import Flow
from pipeline.core.errors import UserError
from pipeline.core.user_paths import user_paths
from pipeline.core.yaml_tree import YamlTree

LOCAL_SCHEMES = ("", "file", "local")
AUTO = "auto"  # the cluster that the job runs on


def submission_checks(shared: Sequence[str]) -> tuple[ConfigCheck, ...]:
    """The checks of a configuration that will run on a cluster; `shared`: folders that all of its hosts mount.

    The others are checked by the job itself, on the cluster.

    Raises: UserError when a shared folder is not an absolute path.
    """
    for folder in shared:
        if not Path(folder).is_absolute():
            raise UserError(
                f"--shared {folder}: write the absolute path at which every host of the cluster mounts the folder."
            )

    def paths_are_reachable(flow: Flow, tree: YamlTree) -> None:
        """Every path is a URL, or lies in a folder that all hosts mount."""
        for where, value in user_paths(flow.config):
            if not is_reachable(value, shared):
                subject = "the work directory" if where == ("workdir",) else value
                tree.problem(
                    where, f"{subject} is a path of this machine{'' if value == subject else f' ({value})'}.",
                    "The cluster needs a URL, such as s3://bucket/folder, or a folder that all of its hosts mount at "
                    "the same path; name that folder: --shared /the/folder",
                )  # fmt: skip

    return needs_are_made, launcher_is_ray, paths_are_reachable, sections_go_together


def launcher_is_ray(flow: Flow, tree: YamlTree) -> None:
    """Training is launched through Ray."""
    if flow.config.cluster.launcher == "local":
        message = "is local: training would run on the head of the cluster alone."
        tree.problem(("cluster", "launcher"), message, "Write cluster.launcher=ray.")


def is_reachable(value: str, shared: Sequence[str]) -> bool:
    """Whether every host of the cluster can open a path: a URL, or inside a shared folder."""
    scheme, separator, rest = value.partition("://")
    if separator and scheme.rpartition("::")[2] not in LOCAL_SCHEMES:
        return True
    path = PurePosixPath(rest if separator else value)
    if ".." in path.parts:
        return False
    return any(path.is_relative_to(folder) for folder in shared)


def remarks(flow: Flow) -> Iterator[str]:
    """What the user may not expect of a submitted run, a sentence each."""
    cluster = flow.config.cluster
    if cluster.address not in (None, AUTO):
        yield f"cluster.address: {cluster.address} is not used: the job runs on the cluster it is submitted to."
    if cluster.beam.runner == "embedded" and any(step.spec.work == "beam" for step in flow.steps):
        yield "cluster.beam.runner: embedded: the data stages run on the head of the cluster alone."
