"""Build a training run from a worker's spec: model, data and engine, at the step of the last checkpoint."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version

import torch
import torch.distributed as dist

from pipeline.core.errors import UserError
from pipeline.core.numerics import ModelNumerics
from pipeline.core.progress import Progress
from training import augment, engines, objectives
from training.batch_size import uneven_batch
from training.engines import device as devices
from training.engines.base import Engine, Setting
from training.engines.section import Plain as PlainOptions
from training.engines.tree import Tree
from training.families import order_of
from training.models.base import Model
from training.objectives.base import LossModule, Objective
from training.section import Pretrain
from training.spec import TrainingSpec
from training.trainer import initial, random_state
from training.trainer.checkpoint import Checkpoint, Checkpoints
from training.trainer.checkpoint_places import place_of
from training.trainer.feed import Feed
from training.trainer.initial import EMBEDDING, first_model
from training.trainer.loop import TrainingRun
from training.trainer.meter import Curve, Meter, SilentMeter, goodput_of
from training.trainer.mixed_order import mixed_order
from training.trainer.monitor import Monitor
from training.trainer.packed_rows import split_rows
from training.trainer.restore import restore, saved_seconds
from training.trainer.skipped_rows import SkippedRows
from training.trainer.step_plan import StepPlan, plan_steps


def prepare(spec: TrainingSpec, device: torch.device) -> TrainingRun:
    """Everything that `loop.train` needs; every worker calls it."""
    section, seed = spec.section, spec.seed
    rank, world = dist.get_rank(), dist.get_world_size()
    goodput = goodput_of(spec, device, rank)
    precision = devices.precision(section.precision, device)
    objective = objectives.OBJECTIVES.create(section.objective, spec.tokenizer)
    feed = _feed(spec, objective)
    objective.examine(row[:length] for row, length in zip(feed.train.tokens, feed.train.lengths, strict=True))
    micro_tokens = section.engine.options.get("micro_batch_tokens") or devices.micro_batch_tokens(device)
    steps = plan_steps(section, length=spec.length, rows=len(feed.train), world=world, micro_tokens=micro_tokens,
                       precision=precision, group=objective.group)  # fmt: skip
    if section.mixture is not None:
        order = mixed_order(section.mixture, spec.groups, seed=seed, steps=steps.steps, batch_rows=steps.batch_rows)
        feed = replace(feed, mixed=order)
    numerics = _numerics(section, steps, device, spec.threads, precision)
    meter = SilentMeter(goodput) if rank else Meter(spec.metrics, Progress(spec.progress, spec.stage), goodput,
                                               steps=steps.steps, batch_tokens=section.batch_tokens)  # fmt: skip
    if cost := uneven_batch(section, length=spec.length, workers=world):
        meter.note(cost)
    if steps.leaves and device.type != "cpu":
        meter.note("reduction: tree has been tested on CPUs only; on this device the bits may depend on the workers")
    if feed.mixed is not None:
        for sentence in feed.mixed.describe(lambda place: place // steps.batch_rows + 1):
            meter.note(sentence)
    # a roll-back needs one from before the steps that it gives up
    back = section.anomalies.back if section.anomalies.rolls_back else None
    checkpoints = Checkpoints(place_of(spec), attempt=spec.attempt, rank=rank, keep=section.keep, back=back)
    usable = _usable_checkpoint(checkpoints, numerics, meter)

    loss_module = LossModule(_first_model(spec, objective, meter), objective)
    loss_module.carries = loss_module.model.carries and feed.order == "streams"
    optimizer = engines.OPTIMIZERS.create(section.optimizer)
    frozen = {EMBEDDING: section.init_embeddings.freeze_steps} if section.init_embeddings else {}
    setting = Setting(device, precision, optimizer, section.clip, steps.micro_batches, rank, world, frozen)
    if steps.leaves:
        engine: Engine = Tree(PlainOptions(), loss_module, setting, leaves=steps.leaves)
    else:
        engine = engines.ENGINES.create(section.engine, loss_module, setting)

    monitor = Monitor(section.anomalies)
    run = TrainingRun(
        section, steps, engine, feed, Curve(), meter, checkpoints, numerics, seed, monitor, stage=spec.stage
    )
    random_state.seed(seed, 1 + rank)
    if usable:
        run.heartbeat.beat("load")
        saved = checkpoints.saved(usable)
        restore(run, saved)
        goodput.resume(saved_seconds(saved))
    else:
        goodput.resume(None)
    return run


def _feed(spec: TrainingSpec, objective: Objective) -> Feed:
    section, rows = spec.section, split_rows(spec)
    augmentations = tuple(augment.AUGMENTATIONS.create(component, objective.tokenizer) for component in section.augment)
    order = order_of(section.model.name, section.objective.name)
    batch_rows = section.batch_tokens // spec.length
    skipped = SkippedRows(section.skip_rows)
    skipped.check(len(rows["train"]))
    return Feed(
        rows["train"], rows["validation"], objective, augmentations, order, batch_rows, spec.seed,
        section.document_mask, skipped,
    )  # fmt: skip


def _first_model(spec: TrainingSpec, objective: Objective, meter: Meter) -> Model:
    """The model before step 0: random from the seed, with another run's weights, or with another run's embeddings."""
    section, externals = spec.section, spec.externals
    context = initial.context(spec.length + objective.extra_tokens, externals.get("init"))
    model = first_model(
        section.model.name, section.model.options, vocabulary=spec.vocabulary, context=context,
        seed=spec.seed,
    )  # fmt: skip
    model.document_mask = section.document_mask
    if model.document_mask and not model.supports_document_mask:  # a user's own: `check` knows the others
        raise UserError(
            f"pretrain.document_mask: the model {model.family} does not take `documents`. Let its forward, hidden and "
            "logits take them and set supports_document_mask, or remove document_mask."
        )
    if folder := externals.get("init"):
        initial.take_weights(model, folder)
    if (folder := externals.get("init_embeddings")) and section.init_embeddings:
        share = initial.take_embeddings(
            model, folder, spec.tokenizer, spec.train, languages=spec.languages,
            least=section.init_embeddings.least_coverage,
        )  # fmt: skip
        meter.note(f"embeddings of {folder.name[:12]}: {share:.1%} of the training tokens start with a learned vector")
    return model


def _numerics(section: Pretrain, plan: StepPlan, device: torch.device, threads: int, precision: str) -> ModelNumerics:
    """What decides the last bits of the weights; the same for every worker.

    Raises: UserError when workers differ.
    """
    stage = section.engine.options.get("stage")
    own: ModelNumerics = {
        "device": devices.describe(device), "precision": precision, "workers": dist.get_world_size(),
        "threads": threads, "engine": section.engine.name if stage is None else f"{section.engine.name} {stage}",
        "micro_batch_rows": plan.micro_rows, "torch": torch.__version__,
    }  # fmt: skip
    if plan.leaves:
        del own["workers"]
        own["tree_leaves"] = plan.leaves
    elif plan.empty_rows:
        own["empty_rows"] = plan.empty_rows
    if precision == "bf16" and device.type == "cpu":  # it compiles the loops of models/cpu
        own["numba"] = version("numba")
    if section.model.name == "hf":  # the library creates the first weights
        own["transformers"] = version("transformers")
    numerics_of_rank: list[ModelNumerics] = [own] * dist.get_world_size()
    dist.all_gather_object(numerics_of_rank, own)
    for rank, numerics in enumerate(numerics_of_rank):
        if numerics["precision"] != own["precision"]:
            raise UserError(
                f"pretrain.precision: worker {rank} computes in {numerics['precision']}, another in "
                f"{own['precision']}. Write one of them instead of auto."
            )
    device_names = sorted({numerics["device"] for numerics in numerics_of_rank})
    return {**own, "device": " + ".join(device_names)}


def _usable_checkpoint(checkpoints: Checkpoints, numerics: ModelNumerics, meter: Meter) -> Checkpoint | None:
    """The checkpoint to resume from: worker 0 selects it for all."""
    selected = [None if checkpoints.rank else checkpoints.newest()]
    if dist.get_world_size() > 1:
        dist.broadcast_object_list(selected, src=0)
    (saved,) = selected
    if checkpoints.has_earlier_release:
        meter.note("restarts from step 0: the checkpoints are of an earlier release, which this one does not read")
    if saved and saved.numerics["precision"] != numerics["precision"]:
        # the number of steps may depend on the precision, so a run cannot continue in another one
        meter.note(f"restarts from step 0: the checkpoint was computed in {saved.numerics['precision']}")
        return None
    return saved
