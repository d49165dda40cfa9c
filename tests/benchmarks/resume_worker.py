"""A worker of bench_resume: `WORLD RANK FOLDER UNTIL`. Runs under this version of the project and an earlier one."""

from __future__ import annotations

import json
import resource
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from training.spec import TrainingSpec
from training.trainer import loop
from training.trainer.prepare import prepare
from training.worker import leave


def count_reads() -> list[int] | None:
    """The lengths of what is read of a checkpoint from now on; None where this version has no such door."""
    if find_spec("training.trainer.checkpoint_places") is None:
        return None
    source: Any = import_module("training.trainer.checkpoint_places").FileRanges
    lengths, read_into = list[int](), source.read_into

    def counted(self: Any, offset: int, target: memoryview) -> None:
        lengths.append(len(target))
        read_into(self, offset, target)

    source.read_into = counted
    return lengths


def main() -> None:
    world, rank, folder, until = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / f"store-{world}"), world)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world)
    lengths = count_reads()
    run = prepare(TrainingSpec.from_dict(json.loads((folder / "spec.json").read_text())), torch.device("cpu"))
    figures = {
        "read": None if lengths is None else sum(lengths), "from": run.done,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "parameters": sum(getattr(p, "ds_numel", p.numel()) for p in run.engine.model.parameters()),
    }  # fmt: skip
    assert run.done == (0 if until else 1)
    if until:
        loop.one_step(run)
        loop.save(run)
    (folder / f"figures-{world}-{rank}.json").write_text(json.dumps(figures))
    dist.barrier()
    leave()


if __name__ == "__main__":
    main()
