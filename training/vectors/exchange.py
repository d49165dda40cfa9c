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
    """The tables, and for each block of a step a desk a table, which every worker of the host can read."""

    def __init__(self, tables: dict[str, Table], *, blocks: int, hosts: Hosts, scratch: Path) -> None:
        self.tables, self.blocks, self.hosts = tables, blocks, hosts
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {"told": ("f8", (blocks, 2))}
        shapes["counts"] = ("i8", (blocks, len(tables)))
        for name, table in tables.items():
            shapes[name] = ("f4", (table.rows, table.stride))
        for name, table in tables.items():
            # of a stretch of rows its first member is enough; else there is room for a blank row after the last
            room, own = (1, 0) if table.apart else (table.at_once, (table.at_once + 1) * table.stride)
            shapes[f"{name}.members"] = ("i4", (blocks, room))
            shapes[f"{name}.visits"] = ("i4", (blocks, room))
            shapes[f"{name}.own"] = ("f4", (blocks, own))
        self.memory = Memory(shapes, hosts, scratch).arrays
        self.desks = [
            {
                name: Desk(*(self.memory[f"{name}.{what}"][block] for what in ("members", "visits", "own")))
                for name in tables
            }
            for block in range(blocks)
        ]
        # of the rows of a table, how many blocks of this step hold each and how often they visit it
        self.holders = {name: np.zeros((2, table.rows), np.int32) for name, table in tables.items()}

    @property
    def in_place(self) -> bool:
        """Whether blocks move a table while a step goes on, and not only where steps meet."""
        return any(table.apart for table in self.tables.values())

    def matrices(self) -> dict[str, Floats]:
        """The tables, without what fills up their rows."""
        return {name: self.memory[name][:, : table.width] for name, table in self.tables.items()}

    def share(self, rank: int) -> range:
        """The blocks that a worker computes: contiguous, as even as can be."""
        low, high = (-(-one * self.blocks // self.hosts.world) for one in (rank, rank + 1))
        return range(low, high)

    def copy_out(self, block: int) -> None:
        """Give each desk its copies of the members it names; or the rows themselves, where blocks keep apart."""
        for name, desk in self.desks[block].items():
            table, stride = self.memory[name], self.tables[name].stride
            if self.tables[name].apart:
                desk.own = self._stretch(name, int(desk.members[0]), desk.count)
            else:
                kernels.copy_out(table.reshape(-1), stride, desk.members, desk.count, desk.own)

    def post(self, block: int, told: tuple[float, int]) -> None:
        """Say that a block is done: its desks hold what changed."""
        self.memory["told"][block] = told
        for index, (name, desk) in enumerate(self.desks[block].items()):
            self.memory["counts"][block, index] = desk.count
            if not self.tables[name].apart:
                table, stride = self.memory[name], self.tables[name].stride
                kernels.compare(table.reshape(-1), stride, desk.members, desk.count, desk.own)

    def merge(self, rate: float) -> NDArray[np.float64]:
        """Wait for every block, add all changes to the tables, and wait again; returns the summed loss and items."""
        self._gather()
        told: NDArray[np.float64] = self.memory["told"].sum(0)
        for index, (name, table) in enumerate(self.tables.items()):
            if table.apart:
                continue
            counts, holders = self.memory["counts"][:, index], self.holders[name]
            members, visits, changes = (self.memory[f"{name}.{what}"] for what in ("members", "visits", "own"))
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
            if table.apart:
                first = self.memory[f"{name}.members"][block]
                self._broadcast(first, source)
                self._broadcast(self._stretch(name, int(first[0]), count), source)
                continue
            self._broadcast(self.memory[f"{name}.members"][block, :count], source)
            self._broadcast(self.memory[f"{name}.visits"][block, :count], source)
            self._broadcast(self.memory[f"{name}.own"][block, : count * table.stride], source)

    def _stretch(self, name: str, first: int, count: int) -> Floats:
        """Rows of a table, end to end: no copy."""
        found: Floats = self.memory[name][first : first + count].reshape(-1)
        return found

    def _broadcast(self, array: NDArray[Any], source: int) -> None:
        if len(array):
            dist.broadcast(torch.from_numpy(array), src=source, group=self.hosts.among_leaders)
