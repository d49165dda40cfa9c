"""One worker of a gang that continues several trainings in turn: `WORLD RANK FOLDER`, which holds cases.json.

All in one process, since what takes seconds is to import DeepSpeed. A case is {"name", "spec", "until"}: train from the
last checkpoint to step `until`, and save there unless it is the last step. Worker 0 leaves {name: outcome} in
outcomes.json: the step it started from, the curve, the numerics, and the sha256 of the complete weights.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from training.spec import TrainingSpec
from training.trainer import loop
from training.trainer.prepare import prepare
from training.worker import leave


def outcome(case: dict[str, Any]) -> dict[str, Any]:
    run = prepare(TrainingSpec.from_dict(case["spec"]), torch.device("cpu"))
    first = run.done
    if case["until"] == run.plan.steps:
        loop.train(run)
    while run.done < case["until"]:
        loop.one_step(run)
    if run.done < run.plan.steps:
        loop.save(run)
    weights = run.engine.consolidate() or {}
    digest = hashlib.sha256(b"".join(weights[name].contiguous().numpy().tobytes() for name in sorted(weights)))
    held_out = loop.validation_loss(run)
    return {
        "first": first, "curve": run.curve.columns, "numerics": run.numerics, "weights": digest.hexdigest(),
        "held_out": held_out, "anomalies": run.monitor.anomalies,
    }  # fmt: skip


def main() -> None:
    world, rank, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / f"store-{world}"), world)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world)
    outcomes = {case["name"]: outcome(case) for case in json.loads((folder / "cases.json").read_text())}
    if rank == 0:
        (folder / "outcomes.json").write_text(json.dumps(outcomes))
    dist.barrier()
    leave()


if __name__ == "__main__":
    main()
