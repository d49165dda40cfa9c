"""The hosts of a gang on a Ray cluster: an actor on each that holds a `Host`, and with it the processes of the gang.

Ray places and reserves, tells which nodes live, and carries what the launcher and the hosts say to each other. The
processes themselves are none of Ray's: they have ordinary signals, exit codes and output, and are the same as without
Ray. An actor ends when the driver or Ray ends, and its processes with it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from cluster.launchers import network
from cluster.launchers.base import LaunchOrder
from cluster.launchers.host import STOP_S, Host, HostReport
from cluster.launchers.hosts import HostsLost, Specs, Variables, free_port
from cluster.launchers.placement import Placement
from cluster.launchers.ray_nodes import Node, living_nodes, request_room
from cluster.launchers.ray_session import last_line
from cluster.launchers.requirements import count_places
from pipeline.core.errors import UserError
from pipeline.core.files import JsonObject

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

READY_S = 60.0  # for an actor to start: Ray starts a Python process
SILENT_S = 15.0  # after which a host that does not answer counts as lost, whatever Ray believes
ANSWER_S = 0.4  # how long an actor waits for news before it answers
NODES_S = 5.0  # between two questions whether a node is being drained
PAUSE_S = 0.1  # before an actor is asked again that could not be reached


class Agent:
    """The actor. Its methods return at once, except `poll`, and run one after another in its main thread."""

    def __init__(self, threads: int) -> None:
        self.host = Host(threads=threads, log=None)
        self.settings: dict[str, str] = {}

    def prepare(self) -> tuple[str, int, str]:
        """The address of this node, a free port there, and the installed version of Bloomery."""
        import ray

        address = ray.util.get_node_ip_address()
        self.settings = network.socket_settings(address, os.environ, network.local_interfaces())
        return address, free_port(address), version("bloomery")

    def start(self, order: LaunchOrder, specs: Specs, variables: Variables) -> None:
        self.host.start(order, specs, {rank: {**self.settings, **own} for rank, own in variables.items()})

    def poll(self, known: int, start: int) -> HostReport:
        return self.host.poll(ANSWER_S, known=known, start=start)

    def signal(self, number: int) -> None:
        self.host.signal(number)

    def stop(self) -> None:
        self.host.stop()

    def close(self) -> None:
        self.host.close()


@dataclass
class _Member:
    """A node with an actor: the workers for which it has reserved, and what is known of it."""

    agent: ActorHandle
    slots: int
    is_active: bool = False  # runs workers of the present start
    poll: ObjectRef | None = None
    answered: float = 0.0
    ended: int = 0
    printed: int = 0


class RayHosts:
    """See the module; a host is known by its node's id. `needs`: the resources of a worker."""

    def __init__(self, needs: Mapping[str, float], *, threads: int) -> None:
        self.needs, self.threads = dict(needs), threads
        self.nodes: dict[str, Node] = {}
        self.members: dict[str, _Member] = {}
        self.silent: dict[str, ObjectRef] = {}  # an open question to nodes that Ray believes to live
        self.asked_at = 0.0
        self.asked_for = 0

    def places(self) -> Mapping[str, int]:
        self._update_nodes()
        answered = set(_ready(list(self.silent.values())))
        self.silent = {id_: ref for id_, ref in self.silent.items() if id_ in self.nodes and ref not in answered}
        usable = [node for node in self.nodes.values() if node.id not in self.silent and not node.is_leaving]
        places = {node.id: self._reserved(node.id) + count_places([node.free], self.needs) for node in usable}
        return {id_: count for id_, count in places.items() if count}

    def ask_for(self, workers: int) -> None:
        if self.asked_for != workers:
            self.asked_for = workers
            request_room([self.needs] * workers)

    @property
    def ready(self) -> Collection[str]:
        return self.members.keys()

    def describe(self, host: str) -> str:
        return self.nodes[host].address if host in self.nodes else host

    def rendezvous(self, placement: Placement) -> dict[str, str]:
        import ray

        for host in [host for host in self.members if host not in placement]:
            self._release(host)
        for host, ranks in placement.items():
            self._reserve(host, len(ranks))
        refs = {self.members[host].agent.prepare.remote(): host for host in placement}
        ready, late = ray.wait(list(refs), num_returns=len(refs), timeout=READY_S)
        answers: dict[str, tuple[str, int, str]] = {}
        lost = {refs[ref]: f"its agent did not start within {READY_S:.0f} s" for ref in late}
        for ref in ready:
            try:
                answers[refs[ref]] = ray.get(ref)
            except ray.exceptions.RayError as error:
                lost[refs[ref]] = last_line(error)
        for host in lost:
            self._release(host)
        if lost:
            raise HostsLost(lost)
        self._require_same_version({host: answer[2] for host, answer in answers.items()})
        address, port, _ = answers[next(iter(placement))]
        # a host without a name server waits 10 s for the name of each address otherwise
        resolver = os.environ.get("RES_OPTIONS", "timeout:1 attempts:1")
        return {"MASTER_ADDR": address, "MASTER_PORT": str(port), "RES_OPTIONS": resolver}

    def start(self, placement: Placement, order: LaunchOrder, spec: JsonObject, variables: Variables) -> None:
        for host, member in self.members.items():
            member.is_active, member.ended, member.answered = host in placement, 0, time.monotonic()
            if member.is_active:
                ranks = placement[host]
                specs = {rank: {rank: spec} for rank in ranks}
                member.agent.start.remote(order, specs, {rank: variables[rank] for rank in ranks})

    def poll(self, wait_s: float) -> tuple[dict[str, HostReport], dict[str, str]]:
        import ray

        active = {host: member for host, member in self.members.items() if member.is_active}
        for member in active.values():
            member.poll = member.poll or member.agent.poll.remote(member.ended, member.printed)
        refs = {member.poll: host for host, member in active.items()}
        ray.wait(list(refs), num_returns=1, timeout=wait_s)
        reports: dict[str, HostReport] = {}
        lost: dict[str, str] = {}
        for ref in _ready(list(refs)):
            host, member = refs[ref], active[refs[ref]]
            member.poll = None
            try:
                report: HostReport = ray.get(ref)
            except ray.exceptions.ActorUnavailableError:
                time.sleep(PAUSE_S)
            except ray.exceptions.RayError as error:
                lost[host] = last_line(error)
            else:
                member.answered, member.ended = time.monotonic(), len(report["ended"])
                member.printed = report["start"] + len(report["output"])
                reports[host] = report
        for host, member in active.items():
            if host not in lost and time.monotonic() - member.answered > SILENT_S:
                lost[host] = f"no answer for {SILENT_S:.0f} s"
                self.silent[host] = member.poll or member.agent.prepare.remote()
        for host in lost:
            self._release(host)
        return reports, lost

    def leaving(self) -> Collection[str]:
        """The hosts of the present start that Ray drains, asked for every NODES_S seconds."""
        if time.monotonic() - self.asked_at > NODES_S:
            self._update_nodes()
        active = [host for host, member in self.members.items() if member.is_active]
        return [host for host in active if host in self.nodes and self.nodes[host].is_leaving]

    def signal(self, number: int) -> None:
        for member in self.members.values():
            if member.is_active:
                member.agent.signal.remote(number)

    def stop(self) -> None:
        import ray

        stopped = [member.agent.stop.remote() for member in self.members.values() if member.is_active]
        if stopped:  # a host that does not answer is found by the next poll
            ray.wait(stopped, num_returns=len(stopped), timeout=STOP_S)
        for member in self.members.values():
            member.poll, member.is_active = None, False

    def close(self) -> None:
        import ray

        closed = [member.agent.close.remote() for member in self.members.values()]
        if closed:
            ray.wait(closed, num_returns=len(closed), timeout=STOP_S)
        for host in list(self.members):
            self._release(host)
        if self.asked_for:
            request_room([])

    def _update_nodes(self) -> None:
        # a node that is gone keeps its address, for messages
        self.nodes = {node.id: node for node in living_nodes()}
        self.asked_at = time.monotonic()

    def _reserved(self, host: str) -> int:
        return self.members[host].slots if host in self.members else 0

    def _reserve(self, host: str, slots: int) -> None:
        """An actor on this node with the resources of so many workers; a larger one is as good."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if self._reserved(host) >= slots:
            return
        self._release(host)
        others = {name: slots * amount for name, amount in self.needs.items() if name not in ("CPU", "GPU")}
        options = {
            "num_cpus": slots * self.needs.get("CPU", 0), "num_gpus": slots * self.needs.get("GPU", 0),
            "resources": others, "max_restarts": 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(host, soft=False),
        }  # fmt: skip
        self.members[host] = _Member(ray.remote(Agent).options(**options).remote(self.threads), slots)

    def _release(self, host: str) -> None:
        import ray

        member = self.members.pop(host, None)
        if member is not None:
            ray.kill(member.agent)

    def _require_same_version(self, versions: Mapping[str, str]) -> None:
        own = version("bloomery")
        for host, installed in versions.items():
            if installed != own:
                raise UserError(
                    f"cluster.address: {self.describe(host)} has Bloomery {installed}, and this machine {own}. "
                    "Install the same version on every node."
                )


def _ready(refs: list[ObjectRef]) -> list[ObjectRef]:
    """Those that have an answer, without waiting."""
    import ray

    if not refs:
        return []
    ready: list[ObjectRef]
    ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
    return ready
