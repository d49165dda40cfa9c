"""From what a worker is told to a run in hand: model, data and engine, at the step where the last checkpoint stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from pipeline.core.errors import UserError
from pipeline.core.progress import Progress
from training import engines, objectives
from training.components import make
from training.engines import device as devices
from training.engines.base import Setting
from training.engines.share import joined
from training.models.base import build
from training.objectives.base import Task
from training.section import Pretrain
from training.trainer import checkpoint
from training.trainer.loop import Run
from training.trainer.meter import Curve, Meter, Silent
from training.trainer.plan import Plan, plan
from training.trainer.stream import open_rows


def prepare(spec: dict[str, Any], where: torch.device) -> Run:
    """Everything that `loop.train` needs; every worker calls it."""
    section, folder = Pretrain.model_validate({k: v for k, v in spec["params"].items() if k != "seed"}), spec["folder"]
    rank, world, seed = dist.get_rank(), dist.get_world_size(), spec["params"]["seed"]
    precision = devices.precision(section.precision, where)
    micro_tokens = section.engine.options.get("micro_batch_tokens") or devices.micro_batch_tokens(where)
    cut = plan(section, length=spec["length"], world=world, micro_tokens=micro_tokens, precision=precision)
    numerics = _numerics(section, cut, where, spec["threads"], precision)
    meter = Silent() if rank else Meter(Path(spec["metrics"]), Progress(spec["progress"], spec["stage"]),
                                        steps=cut.steps, batch_tokens=section.batch_tokens)  # fmt: skip
    found = _whole_checkpoint(Path(folder), numerics, meter)
    states = [found.load(index) for index in range(found.world)] if found else []

    checkpoint.seed(seed, 0)  # the same weights in every worker, at any number of them
    model = build(section.model.name, section.model.options, vocabulary=spec["vocabulary"], context=spec["length"])
    task = Task(model, make(section.objective, objectives.SECTIONS, objectives.OBJECTIVES))
    optimizer = engines.OPTIMIZERS.load(section.optimizer.name).model_validate(section.optimizer.options)
    setting = Setting(where, precision, optimizer, section.clip, cut.micro_batches, rank, world)
    kept = joined([state["engine"] for state in states])
    engine = make(section.engine, engines.SECTIONS, engines.ENGINES, task, setting, kept)

    rows = {
        split: open_rows([Path(path) for path in spec[split]], length=spec["length"],
                         name=f"{split}-{spec['digest'][:16]}", scratch=Path(spec["scratch"]))
        for split in ("train", "validation")
    }  # fmt: skip
    run = Run(section, cut, engine, rows["train"], rows["validation"], Curve(), meter, Path(folder), numerics, seed)
    checkpoint.seed(seed, 1 + rank)
    if found:
        _go_on(run, found, states)
    return run


def _numerics(section: Pretrain, cut: Plan, where: torch.device, threads: int, precision: str) -> dict[str, Any]:
    """What decides the last bits of the weights; the same for every worker.

    Raises: UserError when workers differ.
    """
    stage = section.engine.options.get("stage")
    mine = {
        "device": devices.describe(where), "precision": precision, "workers": dist.get_world_size(),
        "threads": threads, "engine": section.engine.name if stage is None else f"{section.engine.name} {stage}",
        "micro_batch_rows": cut.micro_rows, "torch": torch.__version__,
    }  # fmt: skip
    everyones: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyones, mine)
    for rank, other in enumerate(everyones):
        if other["precision"] != mine["precision"]:
            raise UserError(
                f"pretrain.precision: worker {rank} computes in {other['precision']}, another in {mine['precision']}. "
                "Write one of them instead of auto."
            )
    kinds = sorted({other["device"] for other in everyones})
    return {**mine, "device": " + ".join(kinds)}


def _whole_checkpoint(folder: Path, numerics: dict[str, Any], meter: Meter) -> checkpoint.Checkpoint | None:
    found = checkpoint.newest(folder)
    if found and found.numerics["precision"] != numerics["precision"]:
        # the number of steps may depend on it: half a run of each would be neither
        meter.note(f"begins anew: the checkpoint was computed in {found.numerics['precision']}")
        return None
    return found


def _go_on(run: Run, found: checkpoint.Checkpoint, states: list[dict[str, Any]]) -> None:
    """Stand where the checkpoint stood. In another numerics class that is said, here and in the model's manifest."""
    run.done, run.curve = found.step, Curve(states[0]["curve"])
    run.numerics |= {key: value for key, value in found.numerics.items() if key == "earlier"}
    before = {key: value for key, value in found.numerics.items() if key != "earlier"}
    now = {key: value for key, value in run.numerics.items() if key != "earlier"}
    rank, world = run.engine.setting.rank, run.engine.setting.world
    if before == now:
        run.meter.note(f"goes on after step {found.step:,}")
    else:
        changed = ", ".join(f"{key} {before.get(key)} → {now[key]}" for key in now if before.get(key) != now[key])
        run.meter.note(
            f"goes on after step {found.step:,} with other last bits ({changed}); the same rows in each step"
        )
        run.numerics["earlier"] = [*run.numerics.get("earlier", []), {**before, "steps": found.step}]
    if found.world == world:
        checkpoint.set_random_state(states[rank]["random"])
    else:
        checkpoint.seed(run.seed + found.step, 1 + rank)
