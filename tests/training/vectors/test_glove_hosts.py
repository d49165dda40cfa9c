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
import numpy as np, torch.distributed as dist
from training.vectors.base import Desk, Table
from training.vectors.exchange import Exchange
from training.vectors.hosts import Hosts

rank, folder = int(sys.argv[1]), Path(sys.argv[2])
dist.init_process_group("gloo", init_method=f"file://{folder}/met", rank=rank, world_size=2)
table = Table(rows=7, width=16, at_once=4, apart=True)
exchange = Exchange({"input": table}, blocks=4, hosts=Hosts(own=f"host {rank}"), scratch=folder / f"{rank}")
assert exchange.hosts.among_leaders is not None
desk = Desk(np.empty(4, np.int32), np.empty(4, np.int32), 0, np.empty(0, np.float32))
bounds = [0, 2, 4, 6, 7]
for step in range(3):
    for block in exchange.share(rank):
        group = (block + step) % 4
        desk.members[0], desk.count = bounds[group], bounds[group + 1] - bounds[group]
        exchange.copy_out("input", desk)
        desk.own[:] = desk.own * 2 + block + 1
        exchange.post(block, (float(block), 1), {"input": desk})
    told = exchange.merge(0.1).tolist()
(folder / f"{rank}.json").write_text(json.dumps([told, exchange.matrices()["input"][:, 0].tolist()]))
dist.barrier()
"""


@pytest.mark.long
def test_hosts_that_share_no_memory_come_to_the_same_tables(tmp_path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", WORKER, str(rank), str(tmp_path)]) for rank in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    one, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    expected, bounds = [0.0] * 7, [0, 2, 4, 6, 7]
    for step in range(3):
        for block in range(4):
            group = (block + step) % 4
            for row in range(bounds[group], bounds[group + 1]):
                expected[row] = 2 * expected[row] + block + 1
    assert one == other == [[6.0, 4.0], expected]
