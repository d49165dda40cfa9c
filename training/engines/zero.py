"""DeepSpeed ZeRO, and the only door to it. Weights are fp32; our own optimizer moves its flat shares (README).

Nothing is compiled: the one operation that DeepSpeed builds at start serves inference alone and is switched off, and
Muon is ours. What is taken from DeepSpeed's inside (the flat shares and their order) is in `_shares` alone; its version
is pinned, and tests compare every stage with the plain engine.
"""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any

import torch
from torch import Tensor

from training.engines.base import Engine, Setting
from training.engines.optimizer import total_norm
from training.engines.section import Zero as Options
from training.engines.share import Held, Kept, Shared, sliced, striped
from training.objectives.base import LossModule, Tensors


class Zero(Engine):
    """See the module. At stage 0 it holds everything, like the plain engine; from 1 on, its share."""

    name = "zero"

    def __init__(self, options: Options, loss_module: LossModule, setting: Setting, kept: Kept) -> None:
        super().__init__(options, loss_module, setting, kept)
        trained = [p for p in self.loss_module.parameters() if p.requires_grad]
        self.module, *_ = _deepspeed(setting.device).initialize(
            model=self.loss_module, model_parameters=trained, optimizer=self.optimizer,
            config=_config(options.stage, setting), dist_init_required=False,
        )  # fmt: skip
        self.held = _shares(self.module, options.stage, setting) if options.stage else self.whole_parameters()
        if options.stage:
            self.optimizer.shares = {id(held.tensor): Shared(held.layout, setting.rank) for held in self.held}
        self.restore(kept)

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

    def step(self, number: int, factor: float) -> tuple[Tensor, float]:
        rate = self.optimizer.at(number, factor)
        if self.options.stage:  # DeepSpeed has the norm before it calls our optimizer, group by group
            self.optimizer.norm = lambda: torch.as_tensor(self.module.optimizer._global_grad_norm)
        else:
            norm = total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
            self.optimizer.norm = lambda: norm
        self.module.step()
        return self.optimizer.norm(), rate

    def state(self) -> dict[str, Any]:
        copies = self.options.stage == 0 and self.setting.rank > 0
        return {"held": []} if copies else super().state()

    def consolidate(self) -> dict[str, Tensor] | None:
        if self.options.stage < 3:
            return super().consolidate()
        gathered = _deepspeed(self.setting.device).zero.GatheredParameters
        weights = {}
        for name, p in self.model.named_parameters():
            with gathered([p]):  # one at a time: the whole is never on a device
                if not self.setting.rank:
                    weights[name] = p.detach().to("cpu", copy=True)
        return None if self.setting.rank else weights


def _deepspeed(device: torch.device) -> Any:
    """DeepSpeed, silent and without a compiler."""
    if device.type == "cpu":
        os.environ["DS_ACCELERATOR"] = "cpu"
    # it refuses to start without; who starts one worker by hand has none, and devices.device() means the same
    os.environ.setdefault("LOCAL_RANK", "0")
    # torch 2.13 renamed the collectives that DeepSpeed calls at every step
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    import deepspeed
    import deepspeed.ops

    deepspeed.utils.logger.setLevel(logging.ERROR)
    # else the start builds an operation for inference over shared memory, or raises where there is no compiler
    deepspeed.ops.__dict__["__compatible_ops__"] = {}
    return deepspeed


def _config(stage: int, setting: Setting) -> dict[str, Any]:
    return {
        # DeepSpeed wants a size; the loss is a sum, scaled by us, and no size enters it
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": setting.micro_batches,
        # the norm is wanted, the clipping is our optimizer's; DeepSpeed's default would clip at 1
        "gradient_clipping": 0.0,
        # overlap costs a second thread, which a CPU worker does not have
        "zero_optimization": {"stage": stage, "overlap_comm": setting.device.type == "cuda"},
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 10**9,
    }


def _shares(module: Any, stage: int, setting: Setting) -> list[Held]:
    """The flat fp32 shares of this worker, and how the parameters lie in them. The one look into DeepSpeed's inside."""
    inside, names = module.optimizer, {id(p): name for name, p in module.module.model.named_parameters()}
    held = []
    if stage == 3:
        for flat, group in zip(inside.fp32_partitioned_groups_flat, inside.fp16_groups, strict=True):
            shapes, parts = [tuple(p.ds_shape) for p in group], [p.partition_numel() for p in group]
            layout = sliced(shapes, parts, setting.world)
            held.append(Held(flat, tuple(names[id(p)] for p in group), layout, setting.rank))
        return held
    for flat, group in zip(inside.single_partition_of_fp32_groups, inside.bit16_groups, strict=True):
        layout = striped([tuple(p.shape) for p in group], flat.numel(), setting.world)
        held.append(Held(flat, tuple(names[id(p)] for p in group), layout, setting.rank))
    return held
