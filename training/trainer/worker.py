"""The trainer of models with gradients: one process of a gang (training/worker.py).

Plain Python, torchrun and both launchers start here:
    python -m training.trainer.worker SPEC.json
    torchrun --nproc-per-node 2 -m training.trainer.worker SPEC.json
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.distributed as dist

from pipeline.core.files import JsonObject, JsonValue, write_json
from training import engines, objectives, worker
from training.engines import device as devices
from training.finite import check_saved
from training.models.saved import save_weights
from training.section import Pretrain
from training.spec import TrainingSpec
from training.trainer import loop
from training.trainer.prepare import prepare
from training.worker import ModelCounts


class GradientTrainer:
    """Trains a model under an objective with an optimizer."""

    def device(self) -> torch.device:
        return devices.device()

    def prepare(self, spec: TrainingSpec, device: torch.device) -> loop.TrainingRun:
        return prepare(spec, device)

    def train(self, training: loop.TrainingRun) -> None:
        loop.train(training)

    def save_model(self, training: loop.TrainingRun, folder: Path) -> ModelCounts | None:
        weights = training.engine.consolidate()
        if weights is None:
            return None
        check_saved(weights)
        save_weights(weights, training.engine.model.saved_config(), folder)
        steps, anomalies = training.plan.steps, training.monitor.anomalies
        (folder.parent / worker.ANOMALIES).unlink(missing_ok=True)
        if anomalies:
            write_json(folder.parent / worker.ANOMALIES, anomalies)
        counts: ModelCounts = {
            "steps": steps, "tokens": steps * training.section.batch_tokens, "rows": len(training.feed.train),
            "batch_rows": training.plan.batch_rows, "parameters": sum(weight.numel() for weight in weights.values()),
        }  # fmt: skip
        if skipped := training.monitor.skipped_steps():
            counts["skipped_steps"] = len(skipped)
        if training.section.skip_rows:
            counts["skipped_rows"] = len(training.section.skip_rows)
        if training.feed.mixed is not None:
            counts["mixture"] = training.feed.mixed.counts()
        return counts

    def wait(self, training: loop.TrainingRun) -> None:
        dist.barrier()


def work(spec: Mapping[str, JsonValue], report: worker.Report) -> None:
    """Train a model as one worker; `spec` is a TrainingSpec as JSON."""
    worker.work(GradientTrainer(), spec, report)


def preload(spec: JsonObject) -> None:
    """Import what a worker of this spec will need, in the process that workers are forked from."""
    section = Pretrain.model_validate(spec["section"])
    engines.ENGINES.load(section.engine.name)
    objectives.OBJECTIVES.load(section.objective.name)
    if section.engine.name == "zero":
        from training.engines import zero

        zero.preload()


if __name__ == "__main__":
    worker.main(GradientTrainer())
