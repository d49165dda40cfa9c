"""Which workers share a host, and so memory; and how they meet. All talk is through gloo."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import torch.distributed as dist

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Hosts:
    """The gang as seen by one worker. Every worker makes one, at the same time.

    `of_rank`: the host of each worker, numbered in the order of their first workers, who are the leaders.
    """

    def __init__(self, own: str | None = None) -> None:
        """`own` stands for this host in place of its name (tests)."""
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        # the gang may have met through another library (NCCL on a machine with GPUs): numbers here are the processor's
        self.everyone = dist.new_group(backend="gloo")
        names: list[Any] = [None] * self.world
        dist.all_gather_object(names, own or _name(), group=self.everyone)
        order = list(dict.fromkeys(names))
        self.of_rank = [order.index(name) for name in names]
        self.leaders = [self.of_rank.index(host) for host in range(len(order))]
        mine = [rank for rank in range(self.world) if self.of_rank[rank] == self.of_rank[self.rank]]
        self.local_rank, self.local_world, self.leads = mine.index(self.rank), len(mine), mine[0] == self.rank
        # every worker takes part in making every group
        groups = [dist.new_group(_with(self.of_rank, host), backend="gloo") for host in range(len(order))]
        self.mates = groups[self.of_rank[self.rank]]
        self.among_leaders = dist.new_group(self.leaders, backend="gloo") if len(order) > 1 else None

    def meet(self) -> None:
        """Wait for the workers of this host."""
        if self.local_world > 1:
            dist.barrier(group=self.mates)

    def from_leader(self, value: Any) -> Any:
        """What the leader of this host says."""
        if self.local_world == 1:
            return value
        told = [value]
        dist.broadcast_object_list(told, src=self.leaders[self.of_rank[self.rank]], group=self.mates)
        return told[0]


def _with(of_rank: list[int], host: int) -> list[int]:
    return [rank for rank, one in enumerate(of_rank) if one == host]


def _name() -> str:
    """Containers may share a host's name but not its memory: the file system in which it would lie decides too."""
    boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
    shared = Path("/dev/shm")
    return f"{socket.gethostname()} {boot} {shared.stat().st_dev if shared.is_dir() else 0}"
