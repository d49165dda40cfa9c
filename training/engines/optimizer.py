"""The optimizers and their schedules: the same formula for complete weights and for a worker's flat share of them.

AdamW is elementwise. Muon needs complete matrices: an engine that shards the weights gives a `MatrixPartition`, which
gathers a matrix for the step and keeps this worker's part of the update. Momentum is never gathered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, get_args

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from pipeline.core.config import Component
from pipeline.core.errors import UserError
from training.engines import SCHEDULES
from training.engines.rules import UpdateRule
from training.engines.section import Adamw, Muon
from training.models.base import ParameterKind

# Newton-Schulz as in Jordan 2024 (kellerjordan.github.io/posts/muon): singular values end between about 0.7 and 1.2
QUINTIC = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
ParamGroup = dict[str, Any]
"""A parameter group of torch, with the options of its rule."""


class MatrixPartition(Protocol):
    """The matrices of which the flat tensor of an engine holds this worker's parts."""

    def gather(self, flat: Tensor) -> list[Tensor | None]:
        """The complete matrices of which this worker owns a part (a collective call); None for the others."""

    def scatter(self, matrices: Sequence[Tensor | None], like: Tensor) -> Tensor:
        """This worker's part of these matrices, flat, as long as `like`."""


class Optimizer(torch.optim.Optimizer):
    """AdamW for embeddings and vectors, AdamW or Muon for the matrices of the blocks; or a user's own rule.

    The learning rates of a step are set only by `set_step`, so there is no scheduler state to save; the initial rate is
    0. `partitions`: id of a flat tensor → its matrices; empty where parameters are complete. `norm` returns the norm of
    the gradient over all groups and workers, which only the engine knows; clipping is done here. `accepts`: whether
    this step may change weights. `frozen`: parameter → number of steps in which it is not updated.
    """

    def __init__(
        self, model: nn.Module, kinds: Mapping[str, ParameterKind], config: Adamw | Muon | UpdateRule, *,
        dtype: torch.dtype, clip: float, frozen: Mapping[str, int] | None = None,
    ) -> None:  # fmt: skip
        self.update_rule = config if isinstance(config, UpdateRule) else None
        self.dtype = dtype  # in which Newton-Schulz runs
        self.clip = clip
        self.norm: Callable[[], Tensor] = lambda: torch.zeros(())
        self.accepts: Callable[[], bool] = lambda: True
        self.partitions: dict[int, MatrixPartition] = {}
        parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        groups = []
        for kind in get_args(ParameterKind):
            for names, frozen_steps in _by_frozen_steps(
                [name for name in parameters if kinds[name] == kind], frozen or {}
            ):
                rule = {**_rule(kind, config), "frozen_steps": frozen_steps}
                groups.append({"params": [parameters[name] for name in names], "names": names, **rule})
        super().__init__(groups, {"lr": 0.0})

    def set_step(self, step: int, factor: float) -> float:
        """Set up step number `step` (from 0) with every peak rate times `factor`; returns the first group's rate."""
        for group in self.param_groups:
            group["lr"] = group["peak"] * factor
            group["number"] = step + 1
        return float(self.param_groups[0]["lr"])

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        if not self.accepts():
            return
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if group["number"] <= group["frozen_steps"]:
                continue
            if self.clip and parameters:
                scale = clip_scale(self.norm(), self.clip)
                for p in parameters:
                    _gradient(p).mul_(scale)
            if not parameters:
                continue
            if self.update_rule is not None:
                self._custom(self.update_rule, parameters, group)
            else:
                (self._muon if group["rule"] == "muon" else self._adamw)(parameters, group)

    def _adamw(self, parameters: list[Tensor], group: ParamGroup) -> None:
        first = [self._state_tensor(p, "first") for p in parameters]
        second = [self._state_tensor(p, "second") for p in parameters]
        # the kernel increments the step count itself, in a tensor for each parameter
        before = [torch.full((), group["number"] - 1.0, device=p.device) for p in parameters]
        adamw(
            parameters, [_gradient(p) for p in parameters], first, second, [], before, fused=True, amsgrad=False,
            beta1=group["beta1"], beta2=group["beta2"], lr=group["lr"], weight_decay=group["weight_decay"],
            eps=group["eps"], maximize=False,
        )  # fmt: skip

    def _muon(self, parameters: list[Tensor], group: ParamGroup) -> None:
        for p in parameters:
            momentum = self._state_tensor(p, "first")
            gradient = _gradient(p)
            momentum.mul_(group["momentum"]).add_(gradient)
            update = gradient.add(momentum, alpha=group["momentum"])  # Nesterov: one step ahead
            partition = self.partitions.get(id(p))
            update = update.to(self.dtype)
            if partition is None:
                direction = self._orthogonal(update)
            else:
                gathered = partition.gather(update)
                directions = [None if matrix is None else self._orthogonal(matrix) for matrix in gathered]
                direction = partition.scatter(directions, update)
            p.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-group["lr"])

    def _custom(self, rule: UpdateRule, parameters: list[Tensor], group: ParamGroup) -> None:
        for p in parameters:
            state = partial(self._state_tensor, p)
            rule.update(
                p, _gradient(p), state, lr=group["lr"], weight_decay=group["weight_decay"], step=group["number"]
            )

    @staticmethod
    def _orthogonal(matrix: Tensor) -> Tensor:
        # a tall matrix has fewer directions to move in, each gets more (Jordan 2024)
        return orthogonal(matrix) * math.sqrt(max(1.0, matrix.shape[0] / matrix.shape[1]))

    def _state_tensor(self, p: Tensor, name: str) -> Tensor:
        state = self.state[p]
        if name not in state:
            state[name] = torch.zeros_like(p, memory_format=torch.preserve_format)
        tensor: Tensor = state[name]
        return tensor


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix whose singular values are about 1, by Newton-Schulz, in the precision of `matrix`.

    Costs 5 × (4 m² n + 2 m³) operations for m ≤ n: about 6 m / (batch tokens) of what its gradient cost.
    """
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.t() if tall else matrix
    # the norm in fp32: a sum of squares in bf16 stops growing after a few hundred terms
    x = x / torch.linalg.vector_norm(x, dtype=torch.float32).clamp_min(1e-7).to(x.dtype)
    for _ in range(ROUNDS):
        gram = x @ x.t()
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.t() if tall else x


def total_norm(gradients: Sequence[Tensor]) -> Tensor:
    """The norm of all gradients as one vector; in float64, since float32 on a CPU is 4e-4 off for 10 M numbers."""
    norms = [torch.linalg.vector_norm(gradient, dtype=torch.float64) for gradient in gradients]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms)).float()
    return norm


def clip_scale(norm: Tensor, max_norm: float) -> Tensor:
    """The factor that clips a gradient of this norm to `max_norm`.

    Truncated to 12 bits: the last bits of a norm depend on how the gradient is sharded, and must not change the result.
    So engines agree to the bit, with a clip that is up to 1/4,000 tighter.
    """
    scale: Tensor = (max_norm / norm.float().clamp_min(1e-12)).clamp_max(1.0)
    return scale.view(torch.int32).bitwise_and(-(1 << 11)).view(torch.float32)


def factor(step: int, steps: int, schedule: Component) -> float:
    """The learning rate of step `step` (from 0) of `steps`, as a fraction of its peak: a pure function.

    Raises: UserError when a schedule of a user's own gives no finite number.
    """
    fraction = float(SCHEDULES.create(schedule).factor(step, steps))
    if not math.isfinite(fraction):
        raise UserError(f"pretrain.schedule: {schedule.name} gives {fraction} for step {step} of {steps}.")
    return fraction


def _rule(kind: ParameterKind, config: Adamw | Muon | UpdateRule) -> ParamGroup:
    if isinstance(config, UpdateRule):
        return {"rule": "own", "number": 1, "peak": config.rate(kind), "weight_decay": config.decay(kind)}
    adam = {"rule": "adamw", "beta1": config.beta1, "beta2": config.beta2, "eps": config.eps, "number": 1}
    if isinstance(config, Adamw):
        return {**adam, "peak": config.lr, "weight_decay": _decay(config, kind)}
    if kind == "matrix":
        rule = {"rule": "muon", "momentum": config.momentum, "number": 1}
        return {**rule, "peak": config.lr, "weight_decay": _decay(config, kind)}
    return {**adam, "peak": config.rest_lr, "weight_decay": _decay(config, kind)}


def _by_frozen_steps(names: Sequence[str], frozen: Mapping[str, int]) -> list[tuple[list[str], int]]:
    """Parameters of a kind, grouped by the number of steps in which they are frozen."""
    counts = sorted({frozen.get(name, 0) for name in names})
    return [([name for name in names if frozen.get(name, 0) == steps], steps) for steps in counts]


def _decay(config: Adamw | Muon, kind: ParameterKind) -> float:
    """A single number applies to matrices only."""
    if isinstance(config.weight_decay, float):
        return config.weight_decay if kind == "matrix" else 0.0
    return float(getattr(config.weight_decay, kind))


def _gradient(p: Tensor) -> Tensor:
    assert p.grad is not None
    return p.grad
