"""From what a worker is told to a run in hand: model, data and engine, at the step where the last checkpoint stands."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from pipeline.core.errors import UserError
from pipeline.core.numerics import ModelNumerics, resumed, without_earlier
from pipeline.core.progress import Progress
from training import augment, engines, objectives
from training.engines import device as devices
from training.engines.base import Setting
from training.engines.layout import join_states
from training.families import order_of
from training.models.base import Model, RecurrentState
from training.objectives.base import LossModule, Objective
from training.section import Pretrain
from training.spec import TrainingSpec
from training.trainer import checkpoint, initial
from training.trainer.feed import Feed
from training.trainer.initial import EMBEDDING, first_model
from training.trainer.loop import TrainingRun
from training.trainer.meter import Curve, Meter, SilentMeter
from training.trainer.packed_rows import split_rows
from training.trainer.step_plan import StepPlan, plan_steps


def prepare(spec: TrainingSpec, where: torch.device) -> TrainingRun:
    """Everything that `loop.train` needs; every worker calls it."""
    section, folder, seed = spec.section, spec.folder, spec.seed
    rank, world = dist.get_rank(), dist.get_world_size()
    precision = devices.precision(section.precision, where)
    objective = objectives.OBJECTIVES.create(section.objective, spec.tokenizer)
    feed = _feed(spec, objective)
    objective.examine(row[:length] for row, length in zip(feed.train.tokens, feed.train.lengths, strict=True))
    micro_tokens = section.engine.options.get("micro_batch_tokens") or devices.micro_batch_tokens(where)
    cut = plan_steps(section, length=spec.length, rows=len(feed.train), world=world, micro_tokens=micro_tokens,
               precision=precision, group=objective.group)  # fmt: skip
    numerics = _numerics(section, cut, where, spec.threads, precision)
    meter = SilentMeter() if rank else Meter(spec.metrics, Progress(spec.progress, spec.stage),
                                        steps=cut.steps, batch_tokens=section.batch_tokens)  # fmt: skip
    found = _whole_checkpoint(folder, numerics, meter)
    states = [found.load(index) for index in range(found.world)] if found else []

    loss_module = LossModule(_first_model(spec, objective, meter), objective)
    loss_module.carries = loss_module.model.carries and feed.order == "streams"
    optimizer = engines.OPTIMIZERS.create(section.optimizer)
    frozen = {EMBEDDING: section.init_embeddings.freeze_steps} if section.init_embeddings else {}
    setting = Setting(where, precision, optimizer, section.clip, cut.micro_batches, rank, world, frozen)
    kept = join_states([state["engine"] for state in states])
    engine = engines.ENGINES.create(section.engine, loss_module, setting, kept)

    run = TrainingRun(section, cut, engine, feed, Curve(), meter, folder, numerics, seed)
    checkpoint.seed(seed, 1 + rank)
    if found:
        _go_on(run, found, states)
    return run


def _feed(spec: TrainingSpec, objective: Objective) -> Feed:
    section, rows = spec.section, split_rows(spec)
    made = tuple(augment.AUGMENTATIONS.create(one, objective.tokenizer) for one in section.augment)
    order = order_of(section.model.name, section.objective.name)
    batch_rows = section.batch_tokens // spec.length
    return Feed(rows["train"], rows["validation"], objective, made, order, batch_rows, spec.seed)


def _first_model(spec: TrainingSpec, objective: Objective, meter: Meter) -> Model:
    """The model as training begins: drawn from the seed, or as another run left it, or with embeddings of another."""
    section, externals = spec.section, spec.externals
    context = initial.context(spec.length + objective.extra_tokens, externals.get("init"))
    model = first_model(
        section.model.name, section.model.options, vocabulary=spec.vocabulary, context=context,
        seed=spec.seed,
    )  # fmt: skip
    if folder := externals.get("init"):
        initial.take_weights(model, folder)
    if (folder := externals.get("init_embeddings")) and section.init_embeddings:
        share = initial.take_embeddings(
            model, folder, spec.tokenizer, spec.train, languages=spec.languages,
            least=section.init_embeddings.least_coverage,
        )  # fmt: skip
        meter.note(f"embeddings of {folder.name[:12]}: {share:.1%} of the training tokens begin with a learned vector")
    return model


def _numerics(section: Pretrain, cut: StepPlan, where: torch.device, threads: int, precision: str) -> ModelNumerics:
    """What decides the last bits of the weights; the same for every worker.

    Raises: UserError when workers differ.
    """
    stage = section.engine.options.get("stage")
    mine: ModelNumerics = {
        "device": devices.describe(where), "precision": precision, "workers": dist.get_world_size(),
        "threads": threads, "engine": section.engine.name if stage is None else f"{section.engine.name} {stage}",
        "micro_batch_rows": cut.micro_rows, "torch": torch.__version__,
    }  # fmt: skip
    if section.model.name == "hf":  # the library draws the first weights
        mine["transformers"] = version("transformers")
    everyones: list[ModelNumerics] = [mine] * dist.get_world_size()
    dist.all_gather_object(everyones, mine)
    for rank, other in enumerate(everyones):
        if other["precision"] != mine["precision"]:
            raise UserError(
                f"pretrain.precision: worker {rank} computes in {other['precision']}, another in {mine['precision']}. "
                "Write one of them instead of auto."
            )
    kinds = sorted({other["device"] for other in everyones})
    return {**mine, "device": " + ".join(kinds)}


def _whole_checkpoint(folder: Path, numerics: ModelNumerics, meter: Meter) -> checkpoint.Checkpoint | None:
    found = checkpoint.newest(folder)
    if found and found.numerics["precision"] != numerics["precision"]:
        # the number of steps may depend on it: half a run of each would be neither
        meter.note(f"restarts from step 0: the checkpoint was computed in {found.numerics['precision']}")
        return None
    return found


def _go_on(run: TrainingRun, found: checkpoint.Checkpoint, states: list[dict[str, Any]]) -> None:
    """Stand where the checkpoint stood. In another numerics class that is said, here and in the model's manifest."""
    run.done, run.curve = found.step, Curve(states[0]["curve"])
    before, now = without_earlier(found.numerics), without_earlier(run.numerics)
    run.numerics = resumed(run.numerics, found.numerics, steps=found.step)
    rank, world = run.engine.setting.rank, run.engine.setting.world
    if before == now:
        run.meter.note(f"goes on after step {found.step:,}")
    else:
        changed = ", ".join(
            f"{key} {before.get(key)} → {value}" for key, value in now.items() if before.get(key) != value
        )
        run.meter.note(
            f"goes on after step {found.step:,} with other last bits ({changed}); the same rows in each step"
        )
    run.engine.loss_module.carried = _carried(run, states)
    if found.world == world:
        checkpoint.set_random_state(states[rank]["random"])
    else:
        checkpoint.seed(run.seed + found.step, 1 + rank)


def _carried(run: TrainingRun, states: list[dict[str, Any]]) -> dict[int, RecurrentState]:
    """The states of this worker's streams, cut for its micro-batches, whoever carried them before."""
    parts = [state["carried"][slot] for state in states for slot in sorted(state["carried"])]
    if not parts:
        return {}
    whole = [torch.cat(tensors, dim=1) for tensors in zip(*parts, strict=True)]  # layers, rows of the batch, H
    rows, setting = run.plan.micro_rows, run.engine.setting
    first = setting.rank * run.plan.micro_batches
    return {
        slot: [t[:, (first + slot) * rows : (first + slot + 1) * rows].to(setting.device) for t in whole]
        for slot in range(run.plan.micro_batches)
    }
