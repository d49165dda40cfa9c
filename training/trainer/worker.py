"""The trainer's door: one process of a gang, which does not know who set RANK and WORLD_SIZE.

Plain python, torchrun, the local launcher and Ray Train enter here:
    python -m training.trainer.worker SPEC.json
    torchrun --nproc-per-node 2 -m training.trainer.worker SPEC.json
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from pipeline.core.files import read_json, replacing, write_json
from pipeline.core.shards import write_table
from training.engines import device as devices
from training.finite import check_saved
from training.models.saved import save_weights
from training.trainer.loop import Run, train
from training.trainer.prepare import prepare

# the file by which a gang on one machine meets, where its launcher gives one: a port may be taken by another meanwhile
MEETING = "BLOOMERY_MEETING"
RESULT, CURVE, MODEL = "result.json", "curve.parquet", "model"


def work(spec: dict[str, Any], report: Callable[[dict[str, Any]], None]) -> None:
    """Train as one of WORLD_SIZE workers; worker 0 leaves model/, curve.parquet and result.json in spec["folder"]."""
    torch.set_num_threads(spec["threads"])  # decides the last bits; never taken from the number of cores
    where = devices.device()
    joined_here = _join(where)
    try:
        run = prepare(spec, where)
        first, started = run.done, time.monotonic()
        train(run)
        _leave_results(spec, run, seconds=time.monotonic() - started, first=first)
        dist.barrier()  # a worker that leaves while another still writes can abort in gloo's hands
        report({"step": run.done, "loss": run.curve.columns["loss"][-1]})
    finally:
        if joined_here:
            dist.destroy_process_group()


def leave() -> None:
    """End this process at once, its work being done and written.

    Left to itself, a worker that had met others was seen to abort while Python and gloo took each other down
    ("terminate called without an active exception"; twice in a day of tests), which reads as a failed worker.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _join(where: torch.device) -> bool:
    """Meet the other workers; whether it was not done before (Ray does it before it calls us)."""
    if where.type == "cuda":
        torch.cuda.set_device(where)
    if dist.is_initialized():
        return False
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and (meeting := os.environ.get(MEETING)):
        found = dist.FileStore(meeting, world)  # type: ignore[attr-defined]
        dist.init_process_group(devices.backend(where), store=found, rank=int(os.environ["RANK"]), world_size=world)
    elif world > 1:
        dist.init_process_group(devices.backend(where))
    else:
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group(devices.backend(where), store=store, rank=0, world_size=1)
    return True


def _leave_results(spec: dict[str, Any], run: Run, *, seconds: float, first: int) -> None:
    weights = run.engine.consolidate()
    if weights is None:
        return
    check_saved(weights)
    folder, model = run.folder / MODEL, run.engine.model
    save_weights(weights, model.described(), folder)
    with replacing(folder / "tokenizer.json") as beside:
        shutil.copyfile(spec["tokenizer"], beside)
    curve = write_table(run.folder, CURVE, run.curve.table())
    tokens = run.plan.steps * run.section.batch_tokens
    speed = (run.done - first) * run.section.batch_tokens / seconds
    counts = {
        "steps": run.plan.steps, "tokens": tokens, "rows": len(run.feed.train), "batch_rows": run.plan.batch_rows,
        "parameters": sum(weight.numel() for weight in weights.values()), "languages": spec["languages"],
    }  # fmt: skip
    journal = {
        "from_step": first, "training_seconds": round(seconds, 1), "tokens_per_second": round(speed, 1),
        "worker_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }  # fmt: skip
    # last: its being there says that the rest is whole
    found = {"counts": counts, "numerics": run.numerics, "journal": journal, "curve": curve.to_dict()}
    write_json(run.folder / RESULT, found)


if __name__ == "__main__":
    work(read_json(Path(sys.argv[1])), lambda told: None)
    leave()
