"""Which workers share a host, and therefore memory, and how they synchronise. All communication goes through gloo."""

from __future__ import annotations

import socket
from pathlib import Path

import torch.distributed as dist

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Hosts:
    """The gang as seen by one worker. Every worker creates one, at the same time.

    `host_of_rank`: the host of each worker, numbered in the order of their first workers, who are the leaders.
    """

    def __init__(self, own: str | None = None) -> None:
        """`own` stands for this host in place of its name (tests)."""
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        # the default group may use another library (NCCL on a machine with GPUs); the numbers here are on the CPU
        self.all_workers = dist.new_group(backend="gloo")
        names: list[str | None] = [None] * self.world
        dist.all_gather_object(names, own or _host_name(), group=self.all_workers)
        order = list(dict.fromkeys(names))
        self.host_of_rank = [order.index(name) for name in names]
        self.leaders = [self.host_of_rank.index(host) for host in range(len(order))]
        local_ranks = _ranks_on(self.host_of_rank, self.host_of_rank[self.rank])
        self.local_rank, self.local_world = local_ranks.index(self.rank), len(local_ranks)
        self.is_leader = self.local_rank == 0
        # every worker takes part in creating every group
        groups = [dist.new_group(_ranks_on(self.host_of_rank, host), backend="gloo") for host in range(len(order))]
        self.local_group = groups[self.host_of_rank[self.rank]]
        self.leader_group = dist.new_group(self.leaders, backend="gloo") if len(order) > 1 else None

    def barrier(self) -> None:
        """Wait for the workers of this host."""
        if self.local_world > 1:
            dist.barrier(group=self.local_group)

    def broadcast_from_leader(self, text: str) -> str:
        """The text that the leader of this host passed."""
        if self.local_world == 1:
            return text
        texts = [text]
        leader = self.leaders[self.host_of_rank[self.rank]]
        dist.broadcast_object_list(texts, src=leader, group=self.local_group)
        return texts[0]


def _ranks_on(host_of_rank: list[int], host: int) -> list[int]:
    return [rank for rank, rank_host in enumerate(host_of_rank) if rank_host == host]


def _host_name() -> str:
    """Containers may share a host's name but not its memory, so the file system of the shared file is part of it."""
    shared = Path("/dev/shm")
    boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
    return f"{socket.gethostname()} {boot} {shared.stat().st_dev if shared.is_dir() else 0}"
