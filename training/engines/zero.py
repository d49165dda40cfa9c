"""DeepSpeed ZeRO: the only file that imports it. Weights are fp32; our own optimizer updates its flat shares (README).

Nothing is compiled: the one operation that DeepSpeed builds at start is for inference only and is switched off, and
Muon is ours. Only `_owned_tensors` and `_spread_weights` read DeepSpeed's internals (the flat shares, their order, and
how weights follow them); its version is pinned, and tests compare every stage with the plain engine.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import warnings
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.core.files import JsonObject
from training.engines.base import Accepts, Engine, Setting, always
from training.engines.layout import EngineState, LayoutPartition, OwnedTensor, SavedPieces, sliced, striped
from training.engines.optimizer import total_norm
from training.engines.section import Zero as Options
from training.objectives.base import LossModule, Tensors

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine


class Zero(Engine):
    """See the module. At stage 0 a worker owns everything, like the plain engine; from 1 on, its share."""

    name = "zero"

    options: Options

    def __init__(self, options: Options, loss_module: LossModule, setting: Setting) -> None:
        super().__init__(options, loss_module, setting)
        trained = [p for p in self.loss_module.parameters() if p.requires_grad]
        self.module, *_ = deepspeed_for(setting.device).initialize(
            model=self.loss_module, model_parameters=trained, optimizer=self.optimizer,
            config=_config(options.stage, setting), dist_init_required=False,
        )  # fmt: skip
        self.owned = (
            _owned_tensors(self.module, options.stage, setting) if options.stage else self.unsharded_parameters()
        )
        if options.stage:
            self.optimizer.partitions = {
                id(owned.tensor): LayoutPartition(owned.layout, setting.rank) for owned in self.owned
            }

    def forward(self, batch: Tensors) -> Tensor:
        with self.autocast():
            loss: Tensor = self.module(**batch)
        return loss

    def backward(self, batch: Tensors, *, scale: Tensor, last: bool) -> Tensor:
        self.module.set_gradient_accumulation_boundary(last)
        loss = self.forward(batch)
        # DeepSpeed averages over workers; the loss is a sum over all of them
        self.module.backward(loss * scale * self.setting.world, scale_wrt_gas=False)
        return loss.detach()

    def step(self, number: int, factor: float, accepts: Accepts = always) -> tuple[Tensor, float]:
        rate = self.optimizer.set_step(number, factor)
        answers: list[bool] = []

        def answer() -> bool:
            if not answers:
                answers.append(accepts(self.optimizer.norm()))
            return answers[0]

        self.optimizer.accepts = answer
        if self.options.stage:  # DeepSpeed computes the norm before it calls our optimizer, group by group
            self.optimizer.norm = lambda: torch.as_tensor(self.module.optimizer._global_grad_norm)
        else:
            norm = total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
            self.optimizer.norm = lambda: norm
        self.module.step()
        answer()  # stages 1 to 3 do not call our optimizer where the norm is not finite
        return self.optimizer.norm(), rate

    def load(self, saved: SavedPieces) -> None:
        if not self.options.stage:
            self.load_copies(saved)
            return
        super().load(saved)
        _spread_weights(self.module, self.options.stage)

    def state(self) -> EngineState:
        copies = self.options.stage == 0 and self.setting.rank > 0
        return {"held": []} if copies else super().state()

    def consolidate(self) -> dict[str, Tensor] | None:
        if self.options.stage < 3:
            return super().consolidate()
        gathered = deepspeed_for(self.setting.device).zero.GatheredParameters
        weights = {}
        for name, p in self.model.named_parameters():
            with gathered([p]):  # one at a time: the complete model is never on a device
                if not self.setting.rank:
                    weights[name] = p.detach().to("cpu", copy=True)
        return None if self.setting.rank else weights


def deepspeed_for(device: torch.device) -> ModuleType:
    """DeepSpeed, silent and without a compiler."""
    if device.type == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
    # it refuses to start without; a worker that is started by hand has none, and device() then uses 0 too
    os.environ.setdefault("LOCAL_RANK", "0")
    # torch 2.13 renamed the collectives that DeepSpeed calls at every step
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    import deepspeed
    import deepspeed.ops

    _import_muon()
    deepspeed.utils.logger.setLevel(logging.ERROR)
    # otherwise it builds an operation for inference over shared memory at start, or raises where there is no compiler
    deepspeed.ops.__dict__["__compatible_ops__"] = {}
    module: ModuleType = deepspeed
    return module


def preload() -> None:
    """Import what the engine will import when it starts, for processes that are forked from this one.

    DeepSpeed decorates functions when it is initialized, which imports torch._dynamo: 3 CPU-seconds.
    """
    import torch._dynamo

    deepspeed_for(torch.device("cpu"))


def _import_muon() -> None:
    """Import DeepSpeed's Muon, which its initialization does, without torch.compile.

    Decorating its functions imports TorchInductor: 5.6 CPU-seconds in every worker. Our optimizer never calls them.
    """
    from deepspeed.runtime import compiler

    name = "deepspeed.runtime.zero.muon.muon_optimizer"
    if name in sys.modules:
        return
    compiled = compiler.compile
    compiler.compile = lambda **options: lambda function: function
    try:
        importlib.import_module(name)
    finally:
        compiler.compile = compiled


def _config(stage: int, setting: Setting) -> JsonObject:
    return {
        # DeepSpeed requires a size; the loss is a sum that we scale, so no size enters it
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": setting.micro_batches,
        # our optimizer clips; DeepSpeed's default would clip at 1
        "gradient_clipping": 0.0,
        # overlap costs a second thread, which a CPU worker does not have
        "zero_optimization": {"stage": stage, "overlap_comm": setting.device.type == "cuda"},
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 10**9,
    }


def _spread_weights(module: DeepSpeedEngine, stage: int) -> None:
    """Copy the fp32 shares of all workers into the weights that compute, as DeepSpeed does after a step."""
    optimizer = module.optimizer
    if stage < 3:
        optimizer.update_lp_params()
        return
    optimizer._partition_all_parameters()
    for group in range(len(optimizer.fp16_groups)):
        optimizer._reassign_or_swap_out_partitioned_parameters(group)
    optimizer._post_step(set())  # gathers the small parameters that every worker keeps complete


def _owned_tensors(module: DeepSpeedEngine, stage: int, setting: Setting) -> list[OwnedTensor]:
    """The flat fp32 shares of this worker and their layouts."""
    optimizer = module.optimizer
    names = {id(p): name for name, p in module.module.model.named_parameters()}
    owned = []
    if stage == 3:
        for flat, group in zip(optimizer.fp32_partitioned_groups_flat, optimizer.fp16_groups, strict=True):
            shapes = [tuple(p.ds_shape) for p in group]
            parts = [p.partition_numel() for p in group]
            layout = sliced(shapes, parts, setting.world)
            owned.append(OwnedTensor(flat, tuple(names[id(p)] for p in group), layout, setting.rank))
        return owned
    for flat, group in zip(optimizer.single_partition_of_fp32_groups, optimizer.bit16_groups, strict=True):
        layout = striped([tuple(p.shape) for p in group], flat.numel(), setting.world)
        owned.append(OwnedTensor(flat, tuple(names[id(p)] for p in group), layout, setting.rank))
    return owned
