"""What the blocks of a step changed, where every worker finds it, and the meeting of it all.

On one host nothing is sent: workers write into memory that they share. Between hosts the leaders send each block's
changes to one another through gloo, and every host then does the same sums on its own tables, in the same order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from training.vectors import blocks as kernels
from training.vectors.base import Desk, Floats, Table
from training.vectors.hosts import Hosts
from training.vectors.memory import Memory


class Exchange:
    """The tables, and a box for each block of a step: its loss, and of each table the members and their changes."""

    def __init__(self, tables: dict[str, Table], *, blocks: int, hosts: Hosts, scratch: Path) -> None:
        self.tables, self.blocks, self.hosts = tables, blocks, hosts
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {"told": ("f8", (blocks, 2))}
        shapes["counts"] = ("i8", (blocks, len(tables)))
        for name, table in tables.items():
            shapes[name] = ("f4", (table.rows, table.stride))
        for name, table in tables.items():
            shapes[f"{name}.members"] = ("i4", (blocks, table.at_once))
            shapes[f"{name}.visits"] = ("i4", (blocks, table.at_once))
            shapes[f"{name}.changes"] = ("f4", (blocks, table.at_once * table.stride))
        self.memory = Memory(shapes, hosts, scratch).arrays
        # of the rows of a table, how many blocks of this step hold each and how often they visit it
        self.holders = {name: np.zeros((2, table.rows), np.int32) for name, table in tables.items()}

    def matrices(self) -> dict[str, Floats]:
        """The tables, without what fills up their rows."""
        return {name: self.memory[name][:, : table.width] for name, table in self.tables.items()}

    def share(self, rank: int) -> range:
        """The blocks that a worker computes: contiguous, as even as can be."""
        low, high = (-(-one * self.blocks // self.hosts.world) for one in (rank, rank + 1))
        return range(low, high)

    def copy_out(self, name: str, desk: Desk) -> None:
        """Give a desk its copies of the members it names."""
        stride = self.tables[name].stride
        kernels.copy_out(self.memory[name].reshape(-1), stride, desk.members, desk.count, desk.own)

    def post(self, block: int, told: tuple[float, int], desks: dict[str, Desk]) -> None:
        """Put what was changed into a block's box."""
        self.memory["told"][block] = told
        for index, (name, table) in enumerate(self.tables.items()):
            desk, count = desks[name], desks[name].count
            self.memory["counts"][block, index] = count
            self.memory[f"{name}.members"][block, :count] = desk.members[:count]
            self.memory[f"{name}.visits"][block, :count] = desk.visits[:count]
            changes = self.memory[f"{name}.changes"][block]
            kernels.compare(self.memory[name].reshape(-1), table.stride, desk.members, count, desk.own, changes)

    def merge(self, rate: float) -> NDArray[np.float64]:
        """Wait for every block, add all changes to the tables, and wait again; returns the summed loss and items."""
        self._gather()
        told: NDArray[np.float64] = self.memory["told"].sum(0)
        for index, (name, table) in enumerate(self.tables.items()):
            counts, holders = self.memory["counts"][:, index], self.holders[name]
            members, visits, changes = (self.memory[f"{name}.{what}"] for what in ("members", "visits", "changes"))
            for block in range(self.blocks):
                kernels.tally(members[block], visits[block], counts[block], holders[0], holders[1])
            for block in range(self.blocks):
                kernels.merge(
                    self.memory[name].reshape(-1), table.stride, members[block], counts[block], changes[block],
                    holders[0], holders[1], table.pull * rate, self.hosts.local_rank, self.hosts.local_world,
                )  # fmt: skip
            for block in range(self.blocks):
                kernels.clear(members[block], counts[block], holders[0], holders[1])
        self.hosts.meet()
        return told

    def _gather(self) -> None:
        """Every box of every host is filled on this host."""
        self.hosts.meet()
        if self.hosts.among_leaders is None:
            return
        if self.hosts.leads:
            for rank in range(self.hosts.world):
                leader = self.hosts.leaders[self.hosts.of_rank[rank]]
                for block in self.share(rank):
                    self._send(block, leader)
        self.hosts.meet()

    def _send(self, block: int, source: int) -> None:
        self._broadcast(self.memory["told"][block], source)
        self._broadcast(self.memory["counts"][block], source)
        for index, (name, table) in enumerate(self.tables.items()):
            count = int(self.memory["counts"][block, index])
            self._broadcast(self.memory[f"{name}.members"][block, :count], source)
            self._broadcast(self.memory[f"{name}.visits"][block, :count], source)
            self._broadcast(self.memory[f"{name}.changes"][block, : count * table.stride], source)

    def _broadcast(self, array: NDArray[Any], source: int) -> None:
        if len(array):
            dist.broadcast(torch.from_numpy(array), src=source, group=self.hosts.among_leaders)
