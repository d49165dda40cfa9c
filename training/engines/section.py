"""The options of engines, optimizers and schedules (pydantic only: `check` and `plan` read this without torch)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from pipeline.core.config import Section


class Plain(Section):
    """One process, or PyTorch's own data parallelism (DDP) over gloo or NCCL: every worker holds everything."""

    micro_batch_tokens: PositiveInt | None = None  # tokens a worker computes at once; None: by device (engines/README)


class Zero(Section):
    """DeepSpeed ZeRO: workers share the optimizer's state (1), the gradients too (2), the weights too (3)."""

    stage: Literal[0, 1, 2, 3] = 2
    micro_batch_tokens: PositiveInt | None = None


class Blocks(Section):
    """Word vectors: a batch is `blocks` blocks of rows that start from the same vectors, and what each changed meets.

    Workers share the blocks, so that their number changes nothing; a worker computes one block at a time.
    """

    blocks: PositiveInt = 8


class Decay(Section):
    """Weight decay by what a parameter is: a block's matrix, an embedding or head, or a vector (norm, bias)."""

    matrix: float = Field(0.1, ge=0)
    embedding: float = Field(0.0, ge=0)
    vector: float = Field(0.0, ge=0)


class Sgd(Section):
    """Plain stochastic gradient descent, as word2vec has it."""

    lr: PositiveFloat | None = None  # None: 0.025 for skip-gram, 0.05 for CBOW (word2vec.c)


class Adagrad(Section):
    """AdaGrad (Duchi et al. 2011), as GloVe has it."""

    lr: PositiveFloat = 0.05


class Adamw(Section):
    """AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101). A single `weight_decay` falls on matrices alone."""

    lr: PositiveFloat = 3e-3
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.95, ge=0, lt=1)
    eps: PositiveFloat = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] | Decay = 0.1


class Muon(Section):
    """Muon (Jordan 2024) for the matrices of the blocks at `lr`; AdamW for everything else at `rest_lr`."""

    lr: PositiveFloat = 0.02
    momentum: float = Field(0.95, ge=0, lt=1)
    rest_lr: PositiveFloat = 3e-3
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.95, ge=0, lt=1)
    eps: PositiveFloat = 1e-8
    weight_decay: Annotated[float, Field(ge=0)] | Decay = 0.01


class Wsd(Section):
    """Warm-up, constant, then linear decay (Hu et al. 2024, arXiv 2404.06395): the constant part can be prolonged."""

    warmup_steps: NonNegativeInt | None = None  # None: 2 % of the steps
    decay: float = Field(0.3, ge=0, le=1)  # the last fraction of the steps
    floor: float = Field(0.0, ge=0, le=1)  # the last learning rate, as a fraction of the highest


class Cosine(Section):
    """Warm-up, then half a cosine down to `floor`."""

    warmup_steps: NonNegativeInt | None = None
    floor: float = Field(0.1, ge=0, le=1)


class Linear(Section):
    """Warm-up, then a straight line down to `floor`."""

    warmup_steps: NonNegativeInt | None = 0
    floor: float = Field(0.0, ge=0, le=1)


class Constant(Section):
    """Always the same rate."""
