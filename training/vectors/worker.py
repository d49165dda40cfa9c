"""The door of the word vectors: one process of a gang, as training/trainer/worker.py is for other families.

torchrun --nproc-per-node 2 -m training.vectors.worker SPEC.json
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
from training.models.saved import CONFIG, WEIGHTS
from training.trainer.worker import CURVE, MODEL, RESULT, leave
from training.vectors.hosts import Hosts
from training.vectors.loop import Run, train
from training.vectors.prepare import prepare
from training.vectors.saved import write_arrays


def work(spec: dict[str, Any], report: Callable[[dict[str, Any]], None]) -> None:
    """Train as one of WORLD_SIZE workers; worker 0 leaves model/, curve.parquet and result.json in spec["folder"]."""
    torch.set_num_threads(spec["threads"])
    joined_here = _join()
    try:
        run = prepare(spec, Hosts())
        first, started = run.done, time.monotonic()
        train(run)
        if run.exchange.hosts.rank == 0:
            _leave_results(spec, run, seconds=time.monotonic() - started, first=first)
        dist.barrier(group=run.exchange.hosts.everyone)  # who leaves while another still writes can abort in gloo
        report({"step": run.done, "loss": run.curve.columns["loss"][-1]})
    finally:
        if joined_here:
            dist.destroy_process_group()


def _join() -> bool:
    """Meet the other workers through gloo, GPU or not; whether it was not done before (as Ray does)."""
    if dist.is_initialized():
        return False
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("gloo")
    else:
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    return True


def _leave_results(spec: dict[str, Any], run: Run, *, seconds: float, first: int) -> None:
    folder, learner, plan = run.folder / MODEL, run.learner, run.learner.plan
    folder.mkdir(parents=True, exist_ok=True)
    write_arrays(folder / WEIGHTS, learner.tensors(run.exchange.matrices()))
    write_json(folder / CONFIG, learner.described())
    with replacing(folder / "tokenizer.json") as beside:
        shutil.copyfile(spec["tokenizer"], beside)
    curve = write_table(run.folder, CURVE, run.curve.table())
    speed = (run.done - first) * run.section.batch_tokens / seconds
    counts = {
        "steps": plan.steps, "tokens": plan.steps * run.section.batch_tokens, "rows": learner.rows,
        "batch_rows": plan.batch_rows, "parameters": learner.parameters, "languages": spec["languages"],
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
