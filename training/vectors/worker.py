"""The trainer of word vectors: one process of a gang (training/worker.py).

torchrun --nproc-per-node 2 -m training.vectors.worker SPEC.json
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.distributed as dist

from pipeline.core.files import JsonValue, write_json
from training import worker
from training.models.saved import CONFIG, WEIGHTS
from training.spec import TrainingSpec
from training.vectors import loop
from training.vectors.hosts import Hosts
from training.vectors.prepare import prepare
from training.vectors.saved import write_arrays
from training.worker import ModelCounts


class VectorTrainer:
    """Trains tables of vectors block by block, on the CPU and through gloo, also on a machine with GPUs."""

    def device(self) -> torch.device:
        return torch.device("cpu")

    def prepare(self, spec: TrainingSpec, device: torch.device) -> loop.VectorRun:
        return prepare(spec, Hosts())

    def train(self, training: loop.VectorRun) -> None:
        loop.train(training)

    def save_model(self, training: loop.VectorRun, folder: Path) -> ModelCounts | None:
        if training.shared_tables.hosts.rank:
            return None
        learner = training.learner
        folder.mkdir(parents=True, exist_ok=True)
        write_arrays(folder / WEIGHTS, learner.tensors(training.shared_tables.matrices()))
        write_json(folder / CONFIG, learner.described())
        steps = learner.plan.steps
        return {
            "steps": steps, "tokens": steps * training.section.batch_tokens, "rows": learner.rows,
            "batch_rows": learner.plan.batch_rows, "parameters": learner.parameters,
        }  # fmt: skip

    def wait(self, training: loop.VectorRun) -> None:
        dist.barrier(group=training.shared_tables.hosts.all_workers)


def work(spec: Mapping[str, JsonValue], report: worker.Report) -> None:
    """Train word vectors as one worker; `spec` is a TrainingSpec as JSON."""
    worker.work(VectorTrainer(), spec, report)


if __name__ == "__main__":
    worker.main(VectorTrainer())
