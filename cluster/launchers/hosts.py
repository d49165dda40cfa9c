"""The hosts of a gang as its supervisor sees them: room for workers, processes, reports. Here: this machine alone."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from cluster.launchers.base import LaunchOrder
from cluster.launchers.host import Host, HostReport
from cluster.launchers.placement import Placement
from pipeline.core.files import JsonObject

Variables = Mapping[int, Mapping[str, str]]
Specs = Mapping[int, Mapping[int, JsonObject]]


class GangHosts(Protocol):
    """Where a gang can run. A host that is lost is named in `poll` once, and has no places until it answers again."""

    def places(self) -> Mapping[str, int]:
        """Host → how many workers can run there now."""

    def ask_for(self, workers: int) -> None:
        """Ask for room for so many workers, where hosts can be added."""

    @property
    def ready(self) -> Collection[str]:
        """The hosts on which workers start fastest."""

    def describe(self, host: str) -> str:
        """What messages call a host; empty if there is only one."""

    def rendezvous(self, placement: Placement) -> dict[str, str]:
        """Environment variables by which the workers find each other; makes the hosts ready.

        Raises: HostsLost when a host does not become ready.
        """

    def start(self, placement: Placement, order: LaunchOrder, spec: JsonObject, variables: Variables) -> None:
        """Start the workers of a placement, each with its variables."""

    def poll(self, wait_s: float) -> tuple[dict[str, HostReport], dict[str, str]]:
        """New reports by host, and hosts that are lost with the reason; returns at the first of either."""

    def leaving(self) -> Collection[str]:
        """The hosts with workers that are about to end."""

    def signal(self, number: int) -> None:
        """Send a signal to every worker."""

    def stop(self) -> None:
        """Kill every worker on the hosts that answer."""

    def close(self) -> None:
        """Release the hosts."""


class HostsLost(Exception):
    """GangHosts that were to run workers are gone; `args[0]` maps each to the reason."""


class ThisMachine:
    """One host without limit: this machine. Its workers print into the run's log themselves."""

    NAME = ""
    ready = (NAME,)

    def __init__(self, *, threads: int, log: Path, most: int) -> None:
        self.host, self.most = Host(threads=threads, log=log), most
        self.known = 0

    def places(self) -> Mapping[str, int]:
        return {self.NAME: self.most}

    def ask_for(self, workers: int) -> None:
        """Nothing can be added."""

    def describe(self, host: str) -> str:
        return ""

    def leaving(self) -> Collection[str]:
        return ()

    def rendezvous(self, placement: Placement) -> dict[str, str]:
        # a file: a free port may be taken meanwhile. DeepSpeed and others read the address all the same
        store = self.host.folder / "store"
        store.unlink(missing_ok=True)
        return {
            "BLOOMERY_STORE_FILE": str(store), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port("127.0.0.1")),
            "GLOO_SOCKET_IFNAME": "lo",
        }  # fmt: skip

    def start(self, placement: Placement, order: LaunchOrder, spec: JsonObject, variables: Variables) -> None:
        self.known = 0
        self.host.start(order, {rank: {rank: spec} for rank in placement[self.NAME]}, variables)

    def poll(self, wait_s: float) -> tuple[dict[str, HostReport], dict[str, str]]:
        report = self.host.poll(wait_s, known=self.known)
        self.known = len(report["ended"])
        return {self.NAME: report}, {}

    def signal(self, number: int) -> None:
        self.host.signal(number)

    def stop(self) -> None:
        self.host.stop()

    def close(self) -> None:
        self.host.close()


def free_port(address: str) -> int:
    """A free TCP port at an address of this host."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])
