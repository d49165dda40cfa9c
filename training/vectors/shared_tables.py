"""The tables of vectors in shared memory, and the merge of what the blocks of a step changed in them.

On one host nothing is sent: workers write into memory that they share. Between hosts the leaders send each block's
changes to one another through gloo, and every host then does the same sums on its own tables, in the same order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from training.vectors import blocks as kernels
from training.vectors.base import BlockBuffer, Floats, TableSpec
from training.vectors.hosts import Hosts
from training.vectors.shared_arrays import ArrayShapes, SharedArrays

BUFFER_ARRAYS = ("members", "visits", "copies")


class SharedTables:
    """The tables, and for each block of a step one buffer a table; every worker of the host can read them all."""

    def __init__(self, tables: dict[str, TableSpec], *, blocks: int, hosts: Hosts, scratch: Path) -> None:
        self.tables, self.blocks, self.hosts = tables, blocks, hosts
        self.memory = SharedArrays(_shapes(tables, blocks), hosts, scratch).arrays
        self.buffers = [
            {name: BlockBuffer(*(self.memory[f"{name}.{array}"][block] for array in BUFFER_ARRAYS)) for name in tables}
            for block in range(blocks)
        ]
        # for each row of a table: how many blocks of this step hold it, and how often they visit it
        self.visit_counts = {name: np.zeros((2, table.rows), np.int32) for name, table in tables.items()}

    @property
    def updates_in_place(self) -> bool:
        """Whether blocks change a table during a step, and not only where the step ends."""
        return any(table.disjoint for table in self.tables.values())

    def matrices(self) -> dict[str, Floats]:
        """The tables, without the padding of their rows."""
        return {name: self.memory[name][:, : table.width] for name, table in self.tables.items()}

    def block_range(self, rank: int) -> range:
        """The blocks that a worker computes: contiguous, as even as can be."""
        world = self.hosts.world
        return range(-(-rank * self.blocks // world), -(-(rank + 1) * self.blocks // world))

    def copy_out(self, block: int) -> None:
        """Fill each buffer of a block with copies of its members; disjoint tables give the rows themselves."""
        for name, buffer in self.buffers[block].items():
            table, stride = self.memory[name], self.tables[name].stride
            if self.tables[name].disjoint:
                buffer.copies = self._row_range(name, int(buffer.members[0]), buffer.count)
            else:
                kernels.copy_out(table.reshape(-1), stride, buffer.members, buffer.count, buffer.copies)

    def finish_block(self, block: int, summed_loss: float, items: int, *, must_end: bool) -> None:
        """Record that a block is computed: replace the copies by their differences from the tables.

        `must_end`: its worker was asked to end.
        """
        self.memory["losses"][block] = (summed_loss, items, must_end)
        for index, (name, buffer) in enumerate(self.buffers[block].items()):
            self.memory["counts"][block, index] = buffer.count
            if not self.tables[name].disjoint:
                table, stride = self.memory[name], self.tables[name].stride
                kernels.compare(table.reshape(-1), stride, buffer.members, buffer.count, buffer.copies)

    def merge(self, rate: float) -> tuple[float, int, bool]:
        """Wait for every block, add all changes to the tables, and wait again.

        Returns the summed loss, the items, and whether a worker must end.
        """
        self._gather()
        summed_loss, items, must_end = self.memory["losses"].sum(0).tolist()
        for index, (name, table) in enumerate(self.tables.items()):
            if table.disjoint:
                continue
            counts = self.memory["counts"][:, index]
            block_counts, visit_counts = self.visit_counts[name]
            members, visits, changes = (self.memory[f"{name}.{array}"] for array in BUFFER_ARRAYS)
            for block in range(self.blocks):
                kernels.tally(members[block], visits[block], counts[block], block_counts, visit_counts)
            for block in range(self.blocks):
                kernels.merge(
                    self.memory[name].reshape(-1), table.stride, members[block], counts[block], changes[block],
                    block_counts, visit_counts, table.damping * rate, self.hosts.local_rank, self.hosts.local_world,
                )  # fmt: skip
            for block in range(self.blocks):
                kernels.clear(members[block], counts[block], block_counts, visit_counts)
        self.hosts.barrier()
        return summed_loss, int(items), must_end > 0

    def _gather(self) -> None:
        """Bring the buffers of every host to this host."""
        self.hosts.barrier()
        if self.hosts.leader_group is None:
            return
        if self.hosts.is_leader:
            for rank in range(self.hosts.world):
                leader = self.hosts.leaders[self.hosts.host_of_rank[rank]]
                for block in self.block_range(rank):
                    self._broadcast_block(block, leader)
        self.hosts.barrier()

    def _broadcast_block(self, block: int, source: int) -> None:
        self._broadcast(self.memory["losses"][block], source)
        self._broadcast(self.memory["counts"][block], source)
        for index, (name, table) in enumerate(self.tables.items()):
            count = int(self.memory["counts"][block, index])
            if table.disjoint:
                first = self.memory[f"{name}.members"][block]
                self._broadcast(first, source)
                self._broadcast(self._row_range(name, int(first[0]), count), source)
                continue
            self._broadcast(self.memory[f"{name}.members"][block, :count], source)
            self._broadcast(self.memory[f"{name}.visits"][block, :count], source)
            self._broadcast(self.memory[f"{name}.copies"][block, : count * table.stride], source)

    def _row_range(self, name: str, first: int, count: int) -> Floats:
        """Consecutive rows of a table, end to end: no copy."""
        rows: Floats = self.memory[name][first : first + count].reshape(-1)
        return rows

    def _broadcast(self, array: NDArray[np.generic], source: int) -> None:
        if len(array):
            dist.broadcast(torch.from_numpy(array), src=source, group=self.hosts.leader_group)


def _shapes(tables: dict[str, TableSpec], blocks: int) -> ArrayShapes:
    """Every array that the workers of a host share. The order decides where each lies."""
    shapes: ArrayShapes = {"losses": ("f8", (blocks, 3)), "counts": ("i8", (blocks, len(tables)))}
    for name, table in tables.items():
        shapes[name] = ("f4", (table.rows, table.stride))
    for name, table in tables.items():
        # a range of rows is known by its first member; other buffers end with a blank row
        members = 1 if table.disjoint else table.max_block_rows
        copies = 0 if table.disjoint else (table.max_block_rows + 1) * table.stride
        shapes[f"{name}.members"] = ("i4", (blocks, members))
        shapes[f"{name}.visits"] = ("i4", (blocks, members))
        shapes[f"{name}.copies"] = ("f4", (blocks, copies))
    return shapes
