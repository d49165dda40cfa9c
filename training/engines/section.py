"""The options of engines, optimizers and schedules (pydantic only: `check` and `plan` read this without torch)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, Tag

from pipeline.core.config import MAPPING, VALUE, VALUE_OR_SECTION, Section


class Plain(Section):
    """One process, or PyTorch's own data parallelism (DDP) over gloo or NCCL: every worker holds all state."""

    micro_batch_tokens: PositiveInt | None = (
        None  # tokens that a worker computes at once; None: by device (engines/README)
    )


class Zero(Section):
    """DeepSpeed ZeRO: workers share the optimizer's state (1), the gradients too (2), the weights too (3)."""

    stage: Literal[0, 1, 2, 3] = 2
    micro_batch_tokens: PositiveInt | None = None


class Blocks(Section):
    """Word vectors: a batch is `blocks` blocks of rows that start from the same vectors; their changes are merged.

    Workers share the blocks, so their number does not change the result; each computes one block at a time.
    """

    blocks: PositiveInt = 8


class Decay(Section):
    """Weight decay by the kind of parameter: a block's matrix, an embedding or head, or a vector (norm, bias)."""

    matrix: float = Field(0.1, ge=0)
    embedding: float = Field(0.0, ge=0)
    vector: float = Field(0.0, ge=0)


DecayOption = Annotated[Annotated[float, Field(ge=0), Tag(VALUE)] | Annotated[Decay, Tag(MAPPING)], VALUE_OR_SECTION]
"""One number, for matrices alone, or one by kind."""


class Sgd(Section):
    """Plain stochastic gradient descent, as in word2vec."""

    lr: PositiveFloat | None = None  # None: 0.025 for skip-gram, 0.05 for CBOW (word2vec.c)


class Adagrad(Section):
    """AdaGrad (Duchi et al. 2011), as in GloVe."""

    lr: PositiveFloat = 0.05


class Adamw(Section):
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101). A single `weight_decay` applies to matrices only."""

    lr: PositiveFloat = 3e-3
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.95, ge=0, lt=1)
    eps: PositiveFloat = 1e-8
    weight_decay: DecayOption = 0.1


class Muon(Section):
    """Muon (Jordan 2024) for the matrices of the blocks at `lr`; AdamW for everything else at `rest_lr`."""

    lr: PositiveFloat = 0.02
    momentum: float = Field(0.95, ge=0, lt=1)
    rest_lr: PositiveFloat = 3e-3
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.95, ge=0, lt=1)
    eps: PositiveFloat = 1e-8
    weight_decay: DecayOption = 0.01


class Schedule(Section):
    """The base class of schedules; a schedule is its own section. Name your own as my_pkg.schedules:Steps."""

    def factor(self, step: int, steps: int) -> float:
        """The learning rate of step `step` (from 0) of `steps`, as a fraction of its peak: a pure function."""
        raise NotImplementedError


class WarmUp(Schedule):
    """A linear rise over `warmup_steps`, then the rest of the schedule."""

    warmup_steps: NonNegativeInt | None = None  # None: 2 % of the steps
    floor: float = Field(0.0, ge=0, le=1)  # the last learning rate, as a fraction of the highest

    def factor(self, step: int, steps: int) -> float:
        warmup = max(1, round(0.02 * steps)) if self.warmup_steps is None else self.warmup_steps
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return self.floor + (1 - self.floor) * self.after(step, steps, warmup)

    def after(self, step: int, steps: int, warmup: int) -> float:
        """The schedule after the warm-up, from 1 to 0; it is scaled to end at `floor`."""
        raise NotImplementedError


class Wsd(WarmUp):
    """Warm-up, constant, then linear decay (Hu et al. 2024, arXiv 2404.06395): the constant part can be extended."""

    decay: float = Field(0.3, ge=0, le=1)  # the last fraction of the steps

    def after(self, step: int, steps: int, warmup: int) -> float:
        return min(1.0, (steps - step) / max(1.0, self.decay * steps))


class Cosine(WarmUp):
    """Warm-up, then half a cosine down to `floor`."""

    floor: float = Field(0.1, ge=0, le=1)

    def after(self, step: int, steps: int, warmup: int) -> float:
        return (1 + math.cos(math.pi * ((step - warmup) / max(1, steps - warmup)))) / 2


class Linear(WarmUp):
    """Warm-up, then a linear decay to `floor`."""

    warmup_steps: NonNegativeInt | None = 0

    def after(self, step: int, steps: int, warmup: int) -> float:
        return min(1.0, (steps - step) / max(1.0, 1.0 * steps))


class Constant(Schedule):
    """A constant rate."""

    def factor(self, step: int, steps: int) -> float:
        return 1.0
