"""Training tokens a CPU-second of rnn, lstm, gru and bilstm: our trainer's step beside a bare PyTorch loop, in one run.

The bare loop is written here: nn.RNN, nn.LSTM or nn.GRU over a tied embedding, bf16 by autocast, a state carried from
batch to batch, cross_entropy over all logits, clipping, fused AdamW. Ours is the trainer's own step, all of it. They
take turns; a figure is the median of the rounds, a ratio the median of their ratios. One thread; about two minutes.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from measured import table
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.core.config import Component
from training import engines, objectives
from training.components import make
from training.engines import device
from training.engines.base import Setting
from training.families import order_of
from training.models.base import Model, build
from training.objectives.base import Task
from training.section import Precision, Pretrain
from training.trainer.feed import Feed
from training.trainer.loop import Run, one_step
from training.trainer.meter import Curve, Silent
from training.trainer.plan import plan
from training.trainer.stream import Rows

VOCABULARY, LENGTH, BATCH_ROWS = 8192, 128, 32
SMALL: dict[str, Any] = {"layers": 2, "width": 256}
AWD = {"dropout": 0.4, "embedding_dropout": 0.1, "weight_dropout": 0.5}
KINDS: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
ROUNDS, STEPS = 5, 2
CPU = torch.device("cpu")

Step = Callable[[int], object]


class Bare(nn.Module):
    """What one writes by hand: a stack, or for bilstm one in each direction, over a tied embedding."""

    def __init__(self, family: str) -> None:
        super().__init__()
        width, layers = SMALL["width"], SMALL["layers"]
        self.embed, kind = nn.Embedding(VOCABULARY, width), KINDS.get(family, nn.LSTM)
        self.stacks = nn.ModuleList(
            kind(width, width, layers, batch_first=True) for _ in range(2 if family == "bilstm" else 1)
        )
        self.state: Any = None
        nn.init.uniform_(self.embed.weight, -0.1, 0.1)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        if len(self.stacks) == 1:
            x, state = self.stacks[0](self.embed(tokens), self.state)
            self.state = tuple(t.detach() for t in state) if isinstance(state, tuple) else state.detach()
            return F.cross_entropy(F.linear(x, self.embed.weight).flatten(0, 1), targets.flatten())
        back = torch.roll(tokens.flip(1), -1, dims=1)
        back[:, -1] = -100
        losses = (
            F.cross_entropy(F.linear(stack(self.embed(read))[0], self.embed.weight).flatten(0, 1), wanted.flatten())
            for stack, read, wanted in zip(self.stacks, (tokens, tokens.flip(1)), (targets, back), strict=True)
        )
        return sum(losses) / 2  # type: ignore[return-value]


def bare(model: Bare, rows: NDArray[np.uint16], *, bf16: bool) -> Step:
    """step(number) → loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def step(number: int) -> float:
        first = number * BATCH_ROWS % len(rows)
        tokens = torch.from_numpy(rows[first : first + BATCH_ROWS].astype(np.int64))
        targets = torch.roll(tokens, -1, dims=1)
        targets[:, -1] = -100
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = model(tokens, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss.item())

    return step


def ours(model: Model, rows: NDArray[np.uint16], precision: Precision) -> Step:
    """A step of the trainer, in one process."""
    section = Pretrain.model_validate({
        "model": {"family": model.family}, "steps": 1000, "batch_tokens": BATCH_ROWS * LENGTH, "precision": precision,
    })  # fmt: skip
    cut = plan(
        section, length=LENGTH, rows=len(rows), world=1, micro_tokens=device.micro_batch_tokens(CPU),
        precision=precision,
    )  # fmt: skip
    asked = Component(name=section.objective.name, options=section.objective.options)
    task = Task(model, make(asked, objectives.SECTIONS, objectives.OBJECTIVES, Path("tokenizer.json")))
    order = order_of(model.family, section.objective.name)
    task.carries = model.carries and order == "streams"
    setting = Setting(CPU, precision, engines.OPTIMIZERS.load("adamw")(), 1.0, cut.micro_batches, 0, 1)
    engine = engines.ENGINES.load("plain")(None, task, setting, {})
    split = Rows(rows, np.full(len(rows), LENGTH, np.int32))
    feed = Feed(split, split, task.objective, (), order, cut.batch_rows, 17)
    run = Run(section, cut, engine, feed, Curve(), Silent(), Path(tempfile.gettempdir()), {}, 17)
    return lambda number: one_step(run)


def speeds(steps: dict[str, Step]) -> dict[str, list[float]]:
    """Tokens a CPU-second of each in every round, in turn, after one step to warm up."""
    for step in steps.values():
        step(0)
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = time.process_time()
            for number in range(STEPS):
                step(number)
            found[name].append(STEPS * BATCH_ROWS * LENGTH / (time.process_time() - start))
    return found


def compared(family: str, precision: Precision, rows: NDArray[np.uint16], **more: float) -> list[object]:
    """The row of the table for one family."""
    torch.manual_seed(0)
    model, peer = build(family, {**SMALL, **more}, vocabulary=VOCABULARY, context=LENGTH), Bare(family)
    size = sum(p.numel() for p in model.parameters())
    assert size == sum(p.numel() for p in peer.parameters()), "the same model, or it compares nothing"
    found = speeds(
        {"bare": bare(peer, rows, bf16=precision == "bf16"), "ours": ours(model, rows, precision)}
    )  # fmt: skip
    ratios = sorted(mine / theirs for mine, theirs in zip(found["ours"], found["bare"], strict=True))
    name = f"{family}{' with the dropouts of AWD-LSTM' if more else ''}, {size / 1e6:.1f} M, {precision}"
    medians = [f"{statistics.median(found[which]):,.0f}" for which in ("bare", "ours")]
    return [name, *medians, statistics.median(ratios), f"{ratios[0]:.2f}–{ratios[-1]:.2f}"]


def main() -> None:
    torch.set_num_threads(1)
    rows = np.random.default_rng(1).integers(0, VOCABULARY, (256, LENGTH)).astype(np.uint16)
    fast = device.precision("auto", CPU)
    printed = [compared(family, fast, rows) for family in ("rnn", "lstm", "gru", "bilstm")]
    printed.append(compared("lstm", fast, rows, **AWD))
    if fast != "fp32":
        printed.append(compared("lstm", "fp32", rows))
    header = ["model (ours drops, the bare loop never)", "bare loop", "ours", "ratio", "of rounds"]
    title = f"Recurrent models, training tokens a CPU-second, one thread, {BATCH_ROWS} rows of {LENGTH} tokens a step"
    table(title, header, printed)


if __name__ == "__main__":
    main()
