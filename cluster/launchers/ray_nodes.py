"""What a Ray cluster has: its nodes that live, what is free on each, and which are being drained.

A driver that came through Ray Client ("ray://") asks in a task, because only processes of the cluster may ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from cluster.launchers import requirements
from pipeline.core.errors import UserError

Reply = TypeVar("Reply")


@dataclass(frozen=True)
class Node:
    """A node that lives: `total` and `free` resources by name. `is_leaving`: it is being drained."""

    id: str
    address: str
    total: Mapping[str, float]
    free: Mapping[str, float] = field(default_factory=dict)
    is_leaving: bool = False


def living_nodes() -> list[Node]:
    """Every node that Ray believes to live, in the order of their addresses."""
    nodes: list[Node] = _in_cluster(_living_nodes)
    return nodes


def require_resources(needs: Mapping[str, float], *, workers: int) -> None:
    """Check the resources of the cluster: Ray waits silently, without end, for what it does not have.

    Raises: UserError when so many workers with such needs can never start.
    """
    growth = _in_cluster(_growth)
    nodes = [node.total for node in living_nodes()]
    if problem := requirements.capacity_problem(nodes, needs, workers=workers, growth=growth):
        raise UserError(problem)


def request_room(needs: Sequence[Mapping[str, float]]) -> None:
    """Have the autoscaler, if there is one, keep room for processes with these needs; none of them ends that."""
    bundles = [dict(need) for need in needs]
    _in_cluster(lambda: _request(bundles))


def _request(bundles: list[dict[str, float]]) -> None:
    if _growth() is not None:
        from ray.autoscaler.sdk import request_resources

        request_resources(bundles=bundles)


def _in_cluster(question: Callable[[], Reply]) -> Reply:
    import ray
    from ray.util.client import ray as client

    if not client.is_connected():
        return question()
    answer: Reply = ray.get(ray.remote(num_cpus=0)(question).remote())
    return answer


def _living_nodes() -> list[Node]:
    import ray
    from ray._private.state import state  # the only access to what is free on each node

    free, leaving = state.available_resources_per_node(), state.get_draining_nodes()
    nodes = [
        Node(
            node["NodeID"], node["NodeManagerAddress"], node["Resources"], free.get(node["NodeID"], {}),
            node["NodeID"] in leaving,
        )
        for node in ray.nodes() if node["Alive"]
    ]  # fmt: skip
    return sorted(nodes, key=lambda node: (node.address, node.id))


def _growth() -> Mapping[str, float] | None:
    from ray._private.state import state  # the only access to an autoscaler's limits

    growth: Mapping[str, float] | None = state.get_max_resources_from_cluster_config()
    return growth
