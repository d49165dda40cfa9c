"""One worker of a gang that trains the same tiny model with every engine in turn: `WORLD RANK FOLDER ENGINES STEPS`.

All in one process, since what takes seconds is to import DeepSpeed. Worker 0 leaves {engine: losses} in curves.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from pipeline.core.config import Component
from training import engines, objectives
from training.engines.base import Engine, Setting
from training.models.base import build
from training.objectives.base import LossModule
from training.worker import leave

VOCABULARY, LENGTH, ROWS, MICRO_BATCHES = 64, 16, 8, 2


# recurrent models with all their dropouts, of layers of two widths or a head of its own
DROPS = {"dropout": 0.1, "embedding_dropout": 0.1, "weight_dropout": 0.2}
MODELS: dict[str, dict[str, Any]] = {
    "gpt": {"layers": 2, "heads": 2, "width": 32},
    # its products, norms and heads take weights of several modules at once
    "bf16": {"layers": 2, "heads": 2, "width": 32, "qk_norm": True},
    "lstm": {"layers": 1, "width": 32, "hidden": 48, "tied": False, **DROPS},
    "gru": {"layers": 2, "width": 32, "hidden": 48, **DROPS},
    "bilstm": {"layers": 2, "width": 32, "dropout": 0.1},
}


def engine_of(name: str, optimizer: str, family: str = "gpt") -> Engine:
    """`zero-2` is the engine zero at stage 2."""
    kind, _, stage = name.partition("-")
    torch.manual_seed(11)
    in_bf16 = family == "bf16"
    model = build("gpt" if in_bf16 else family, MODELS[family], vocabulary=VOCABULARY, context=LENGTH)
    objective_name = "bidirectional" if family == "bilstm" else "causal"
    # neither reads the tokenizer
    objective = objectives.OBJECTIVES.create(Component(name=objective_name), Path("tokenizer.json"))
    loss_module = LossModule(model, objective)
    loss_module.carries = model.carries
    # recurrent models begin slowly
    optimizer_rule = engines.OPTIMIZERS.create(
        Component(name=optimizer, options={} if model.family == "gpt" else {"lr": 0.03})
    )
    setting = Setting(
        torch.device("cpu"),
        "bf16" if in_bf16 else "fp32",
        optimizer_rule,
        1.0,
        MICRO_BATCHES,
        dist.get_rank(),
        dist.get_world_size(),
    )
    options = {"stage": int(stage)} if stage else {}
    engine: Engine = engines.ENGINES.create(Component(name=kind, options=options), loss_module, setting)
    return engine


def losses(engine: Engine, steps: int) -> list[float]:
    """Every step has its own rows; a worker takes its part of them, in `MICRO_BATCHES`."""
    draw, curve = torch.Generator().manual_seed(5), []
    torch.manual_seed(engine.setting.rank)  # the same masks with every engine
    for step in range(steps):
        rows = torch.randint(0, VOCABULARY, (ROWS, LENGTH), generator=draw)
        rows[:, 1::2] = (rows[:, 0::2] * 5 + 1) % VOCABULARY  # every other token can be learned
        lengths = np.full(ROWS, LENGTH)
        batch, targets = engine.loss_module.objective.batch(rows.numpy(), lengths, lengths.astype(np.uint64))
        counted, loss = targets.sum(), torch.zeros(())
        local_rows = slice(engine.setting.rank, None, engine.setting.world)
        for number in range(MICRO_BATCHES):
            engine.loss_module.slot = number
            micro = {name: tensor[local_rows].chunk(MICRO_BATCHES)[number] for name, tensor in batch.items()}
            loss += engine.backward(micro, scale=1 / counted, last=number == MICRO_BATCHES - 1)
        engine.step(step, 1.0)
        curve.append((engine.total(loss) / counted).item())
    return curve


def main() -> None:
    world, rank, folder, names, steps = sys.argv[1:]
    torch.set_num_threads(1)
    store = dist.FileStore(str(Path(folder) / "store"), int(world))  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=int(rank), world_size=int(world))
    # name is `muon/zero-2`, or `lstm/muon/zero-2`
    curves = {name: losses(engine_of(*name.split("/")[::-1]), int(steps)) for name in names.split(",")}
    if rank == "0":
        (Path(folder) / "curves.json").write_text(json.dumps(curves))
    dist.barrier()
    leave()


if __name__ == "__main__":
    main()
