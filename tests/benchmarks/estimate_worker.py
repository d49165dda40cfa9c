"""One worker of bench_estimate.py: `WORLD RANK QUESTION`; worker 0 prints the peak of its process as JSON.

It trains three steps of made-up rows with the engine of the question's section, two micro-batches each.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

import training.trainer.worker  # noqa: F401  as in a worker
from training import engines, objectives
from training.engines import device as devices
from training.engines.base import Setting
from training.models.base import build
from training.objectives.base import LossModule
from training.planning.measure import _peak
from training.section import Pretrain
from training.worker import leave

MICRO_BATCHES, STEPS = 2, 3


def main() -> None:
    world, rank, path = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    question = json.loads(path.read_text())
    section = Pretrain.model_validate(question["section"])
    torch.set_num_threads(1)
    store = dist.FileStore(str(path.with_suffix(".store")), world)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world)
    torch.manual_seed(1)
    length, vocabulary = question["length"], question["vocabulary"]
    model = build(section.model.name, section.model.options, vocabulary=vocabulary, context=length)
    loss_module = LossModule(model, objectives.OBJECTIVES.create(section.objective, Path("tokenizer.json")))
    setting = Setting(
        torch.device("cpu"), devices.precision("auto", torch.device("cpu")),
        engines.OPTIMIZERS.create(section.optimizer), section.clip, MICRO_BATCHES, rank, world,
    )  # fmt: skip
    engine = engines.ENGINES.create(section.engine, loss_module, setting)
    rows = section.engine.options["micro_batch_tokens"] // length
    for step in range(STEPS):
        for number in range(MICRO_BATCHES):
            tokens = torch.randint(0, vocabulary, (rows, length))
            last = number == MICRO_BATCHES - 1
            engine.backward({"tokens": tokens, "targets": tokens}, scale=torch.tensor(1e-3), last=last)
        engine.step(step, 1.0)
    peak = _peak()
    dist.barrier()
    if rank == 0:
        print(json.dumps({"peak": peak}), flush=True)
    leave()


if __name__ == "__main__":
    main()
