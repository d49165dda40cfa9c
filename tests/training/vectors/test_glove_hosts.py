"""Tables that blocks move in place are the same on every host after each step."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = """
import json, sys
from pathlib import Path
import torch.distributed as dist
from training.vectors.base import TableSpec
from training.vectors.hosts import Hosts
from training.vectors.shared_tables import SharedTables
from training.worker import leave

rank, folder = int(sys.argv[1]), Path(sys.argv[2])
dist.init_process_group("gloo", init_method=f"file://{folder}/met", rank=rank, world_size=2)
table = TableSpec(rows=7, width=16, max_block_rows=4, disjoint=True)
shared_tables = SharedTables({"input": table}, blocks=4, hosts=Hosts(own=f"host {rank}"), scratch=folder / f"{rank}")
assert shared_tables.hosts.leader_group is not None
bounds = [0, 2, 4, 6, 7]
for step in range(3):
    for block in shared_tables.block_range(rank):
        group = (block + step) % 4
        buffer = shared_tables.buffers[block]["input"]
        buffer.members[0], buffer.count = bounds[group], bounds[group + 1] - bounds[group]
        shared_tables.copy_out(block)
        buffer.copies[:] = buffer.copies * 2 + block + 1
        shared_tables.finish_block(block, float(block), 1, must_end=block == 3)
    loss = shared_tables.merge(0.1)  # and whether a worker must end
(folder / f"{rank}.json").write_text(json.dumps([loss, shared_tables.matrices()["input"][:, 0].tolist()]))
dist.barrier()
leave()
"""


@pytest.mark.long
def test_hosts_that_share_no_memory_come_to_the_same_tables(tmp_path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", WORKER, str(rank), str(tmp_path)]) for rank in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    first_host, second_host = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    expected, bounds = [0.0] * 7, [0, 2, 4, 6, 7]
    for step in range(3):
        for block in range(4):
            group = (block + step) % 4
            for row in range(bounds[group], bounds[group + 1]):
                expected[row] = 2 * expected[row] + block + 1
    assert first_host == second_host == [[6.0, 4.0, True], expected]
