"""One process of a gang that trains, whatever it trains: joins the group, trains, leaves the results, ends.

A process does not know who set RANK and WORLD_SIZE: plain python, torchrun, the local launcher and Ray Train enter the
same way. What differs between trainers (trainer/worker.py, vectors/worker.py) is a `Trainer`; families.py says which of
them trains a family. An error is left to the launcher, which writes it down (cluster/launchers/base.py).
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypedDict

import torch
import torch.distributed as dist

from pipeline.core.files import read_json, replacing, write_json
from pipeline.core.numerics import ModelNumerics
from pipeline.core.shards import write_table
from training.engines import device as devices
from training.spec import TrainingSpec
from training.trainer.meter import Curve

# the file through which a gang on one machine meets, where its launcher names one: a port may be taken meanwhile
STORE_FILE = "BLOOMERY_STORE_FILE"
RESULT, CURVE, MODEL = "result.json", "curve.parquet", "model"

Report = Callable[[dict[str, Any]], None]


class ModelCounts(TypedDict):
    """What a trainer counts of a finished model, for its manifest."""

    steps: int
    tokens: int
    rows: int
    batch_rows: int
    parameters: int


class Training(Protocol):
    """One worker's training, ready to go on after `done` steps."""

    done: int
    curve: Curve
    numerics: ModelNumerics


class Trainer(Protocol):
    """What a kind of trainer does; every worker calls each of these once, in this order."""

    def device(self) -> torch.device:
        """What this worker computes on; it decides the library through which workers talk."""

    def prepare(self, spec: TrainingSpec, device: torch.device) -> Any:
        """A `Training`, at the step of the last whole checkpoint."""

    def train(self, training: Any) -> None:
        """Go to the last step."""

    def save_model(self, training: Any, folder: Path) -> ModelCounts | None:
        """Write the model's files, all but the tokenizer; None in the workers that write nothing."""

    def wait(self, training: Any) -> None:
        """Return when every worker has called it."""


def work(trainer: Trainer, value: Mapping[str, Any], report: Report) -> None:
    """Train as one of WORLD_SIZE workers; worker 0 leaves model/, curve.parquet and result.json in `spec.folder`."""
    spec = TrainingSpec.from_dict(value)
    torch.set_num_threads(spec.threads)  # decides the last bits; never taken from the number of cores
    device = trainer.device()
    joined_here = _join(device)
    try:
        training = trainer.prepare(spec, device)
        first, started = training.done, time.monotonic()
        trainer.train(training)
        seconds = time.monotonic() - started
        counts = trainer.save_model(training, spec.folder / MODEL)
        if counts is not None:
            _leave_results(spec, training, counts, seconds=seconds, first=first)
        trainer.wait(training)  # a worker that leaves while another still writes can abort in gloo's hands
        report({"step": training.done, "loss": training.curve.columns["loss"][-1]})
    finally:
        if joined_here:
            dist.destroy_process_group()


def main(trainer: Trainer) -> None:
    """`python -m … SPEC.json`, alone or under torchrun."""
    work(trainer, read_json(Path(sys.argv[1])), lambda figures: None)
    leave()


def leave() -> None:
    """End this process at once, its work being done and written.

    Left to itself, a worker that had met others was seen to abort while Python and gloo took each other down
    ("terminate called without an active exception"; twice in a day of tests), which reads as a failed worker.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _join(device: torch.device) -> bool:
    """Meet the other workers; whether it was not done before (Ray does it before it calls us)."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if dist.is_initialized():
        return False
    world, backend = int(os.environ.get("WORLD_SIZE", "1")), devices.backend(device)
    if world > 1 and (path := os.environ.get(STORE_FILE)):
        file_store = dist.FileStore(path, world)  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=file_store, rank=int(os.environ["RANK"]), world_size=world)
    elif world > 1:
        dist.init_process_group(backend)
    else:
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=0, world_size=1)
    return True


def _leave_results(spec: TrainingSpec, training: Training, counts: ModelCounts, *, seconds: float, first: int) -> None:
    with replacing(spec.folder / MODEL / "tokenizer.json") as beside:
        shutil.copyfile(spec.tokenizer, beside)
    curve = write_table(spec.folder, CURVE, training.curve.table())
    speed = (training.done - first) * spec.section.batch_tokens / seconds
    journal = {
        "from_step": first, "training_seconds": round(seconds, 1), "tokens_per_second": round(speed, 1),
        "worker_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }  # fmt: skip
    result = {
        "counts": {**counts, "languages": spec.languages}, "numerics": training.numerics, "journal": journal,
        "curve": curve.to_dict(),
    }  # fmt: skip
    write_json(spec.folder / RESULT, result)  # last: its being there says that the rest is whole
