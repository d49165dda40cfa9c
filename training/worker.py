"""One process of a gang that trains: it joins the process group, trains, writes the results, and ends.

It does not matter who set RANK and WORLD_SIZE: plain Python, torchrun and both launchers start it in the
same way. What differs between trainers (trainer/worker.py, vectors/worker.py) is a `Trainer`; families.py names the
trainer of each family. Errors are raised to the launcher, which records them (cluster/launchers/base.py).
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NotRequired, Protocol, TypedDict, TypeVar

import torch
import torch.distributed as dist

from pipeline.core.counts import MixtureCounts
from pipeline.core.errors import Preempted
from pipeline.core.files import JsonObject, JsonValue, read_json, replacing, write_json
from pipeline.core.numerics import ModelNumerics
from pipeline.core.shards import entry_of, write_table
from training.engines import device as devices
from training.heartbeat import Heartbeat
from training.spec import RESULT, RESULT_STEP, TrainingSpec, job_and_spec
from training.stop_request import StopRequest
from training.trainer.meter import Curve, Meter

# the rendezvous file of a gang on one machine, if its launcher names one: a free port may be taken meanwhile
STORE_FILE = "BLOOMERY_STORE_FILE"
CURVE, MODEL, ANOMALIES = "curve.parquet", "model", "anomalies.json"
MODEL_FILES = tuple(f"{MODEL}/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json"))

Report = Callable[[JsonObject], None]


class ModelCounts(TypedDict):
    """The counts of a finished model, for its manifest."""

    steps: int
    tokens: int
    rows: int
    batch_rows: int
    parameters: int
    skipped_steps: NotRequired[int]  # whose batches changed no weight
    skipped_rows: NotRequired[int]  # which the configuration leaves out
    mixture: NotRequired[list[MixtureCounts]]


class TrainingState(Protocol):
    """One worker's training after `done` steps."""

    done: int
    curve: Curve
    numerics: ModelNumerics
    meter: Meter
    stop: StopRequest


State = TypeVar("State", bound=TrainingState)


class Trainer(Protocol[State]):
    """A kind of trainer, with its own state. Every worker calls each method once, in this order."""

    def device(self) -> torch.device:
        """The device of this worker; it decides the library through which workers communicate."""

    def prepare(self, spec: TrainingSpec, device: torch.device) -> State:
        """The training at the step of the last complete checkpoint."""

    def train(self, training: State) -> None:
        """Train up to the last step."""

    def save_model(self, training: State, folder: Path) -> ModelCounts | None:
        """Write the model's files except the tokenizer; returns None in workers that write nothing."""

    def wait(self, training: State) -> None:
        """Return when every worker has called it."""


def work(trainer: Trainer[State], value: Mapping[str, JsonValue], report: Report) -> None:
    """Train as one of WORLD_SIZE workers; worker 0 writes model/, curve.parquet and result.json to the job's folder.

    anomalies.json is there if a batch was anomalous (TrainingAnomaly).
    Behind a URL it also keeps them in the draft, for the driver.
    """
    Heartbeat().beat("start")
    job, spec = job_and_spec(value)
    torch.set_num_threads(spec.threads)  # decides the last bits; never taken from the number of cores
    device = trainer.device()
    has_joined = _join(device)
    try:
        training = trainer.prepare(spec, device)
        first = training.done
        started = time.monotonic()
        with training.stop.listening():
            trainer.train(training)
        seconds = time.monotonic() - started
        counts = trainer.save_model(training, spec.folder / MODEL)
        if counts is not None:
            results = _write_results(spec, training, counts, seconds=seconds, first=first)
            if job is not None:
                job.draft.keep(RESULT_STEP, RESULT, results, [entry["path"] for entry in results["files"]])
        trainer.wait(training)  # gloo can abort a worker that exits while another still writes
        report({"step": training.done, "loss": training.curve.columns["loss"][-1]})
    finally:
        if has_joined:
            dist.destroy_process_group()


def main(trainer: Trainer[State]) -> None:
    """`python -m … SPEC.json`, alone or under torchrun."""
    try:
        work(trainer, read_json(Path(sys.argv[1])), lambda figures: None)
    except Preempted as error:
        print(error, file=sys.stderr)
        leave(error.exit_code)
    leave()


def leave(code: int = 0) -> None:
    """End this process at once, after its work is done and written.

    In a normal shutdown, a worker of a group was seen to abort while Python and gloo were finalised ("terminate called
    without an active exception"; twice in a day of tests), which looks like a failed worker.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _join(device: torch.device) -> bool:
    """Join the process group; returns False if this process had joined already (Ray does so before it calls us)."""
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


def _write_results(
    spec: TrainingSpec, training: TrainingState, counts: ModelCounts, *, seconds: float, first: int
) -> JsonObject:
    with replacing(spec.folder / MODEL / "tokenizer.json") as beside:
        shutil.copyfile(spec.tokenizer, beside)
    curve = write_table(spec.folder, CURVE, training.curve.table())
    speed = (training.done - first) * spec.section.batch_tokens / seconds
    journal = {
        "from_step": first, "training_seconds": round(seconds, 1), "tokens_per_second": round(speed, 1),
        "worker_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "goodput": training.meter.goodput.totals(), "goodput_until": time.time(),
    }  # fmt: skip
    names = [*MODEL_FILES, *([ANOMALIES] if (spec.folder / ANOMALIES).exists() else [])]
    result = {
        "counts": {**counts, "languages": spec.languages}, "numerics": training.numerics, "journal": journal,
        "files": [curve.to_dict(), *(entry_of(spec.folder, path).to_dict() for path in names)],
    }  # fmt: skip
    write_json(spec.folder / RESULT, result)  # written last: its presence means that the results are complete
    return result
