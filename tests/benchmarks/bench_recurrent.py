"""Training tokens a CPU-second of rnn, lstm, gru and bilstm: our trainer's step beside a bare PyTorch loop, in one run.

    python tests/benchmarks/bench_recurrent.py [--rounds 5] [--steps 2] [--width 256]

The bare loop is written here: nn.RNN, nn.LSTM or nn.GRU over a tied embedding, bf16 by autocast, a state carried from
batch to batch, cross_entropy over all logits, clipping, fused AdamW. Ours is the trainer's own step (trainer_step.py).
One thread; about two minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from measured import table
from numpy.typing import NDArray
from torch import Tensor, nn
from trainer_step import CPU, Step, compared, speeds, trainer_step

from pipeline.core.files import JsonObject
from training import objectives
from training.engines import device
from training.models.base import Model, build
from training.section import Precision, Pretrain

TOY = "--rounds 1 --steps 1 --width 16"  # the arguments with which the tests run this file

VOCABULARY, LENGTH, BATCH_ROWS, LAYERS = 8192, 128, 32, 2
AWD = {"dropout": 0.4, "embedding_dropout": 0.1, "weight_dropout": 0.5}
KINDS: JsonObject = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Bare(nn.Module):
    """What one writes by hand: a stack, or for bilstm one in each direction, over a tied embedding."""

    def __init__(self, family: str, width: int) -> None:
        super().__init__()
        self.embed, kind = nn.Embedding(VOCABULARY, width), KINDS.get(family, nn.LSTM)
        self.stacks = nn.ModuleList(
            kind(width, width, LAYERS, batch_first=True) for _ in range(2 if family == "bilstm" else 1)
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
    objective = objectives.OBJECTIVES.create(section.objective, Path("tokenizer.json"))
    return trainer_step(section, model, objective, rows, precision)


def row_of(
    family: str, precision: Precision, rows: NDArray[np.uint16], chosen: argparse.Namespace, **more: float
) -> list[object]:
    """The row of the table for one family."""
    torch.manual_seed(0)
    size = {"layers": LAYERS, "width": chosen.width}
    model = build(family, {**size, **more}, vocabulary=VOCABULARY, context=LENGTH)
    peer = Bare(family, chosen.width)
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == sum(p.numel() for p in peer.parameters()), "the same model, or it compares nothing"
    steps = {"bare": bare(peer, rows, bf16=precision == "bf16"), "ours": ours(model, rows, precision)}
    measured = speeds(steps, tokens=BATCH_ROWS * LENGTH, rounds=chosen.rounds, steps_a_round=chosen.steps)
    name = f"{family}{' with the dropouts of AWD-LSTM' if more else ''}, {parameters / 1e6:.1f} M, {precision}"
    return [name, *compared(measured, "ours")]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--steps", type=int, default=2, help="of each side in a round")
    options.add_argument("--width", type=int, default=256)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    rows = np.random.default_rng(1).integers(0, VOCABULARY, (256, LENGTH)).astype(np.uint16)
    fast = device.precision("auto", CPU)
    printed = [row_of(family, fast, rows, chosen) for family in ("rnn", "lstm", "gru", "bilstm")]
    printed.append(row_of("lstm", fast, rows, chosen, **AWD))
    if fast != "fp32":
        printed.append(row_of("lstm", "fp32", rows, chosen))
    header = ["model (ours drops, the bare loop never)", "bare loop", "ours", "ratio", "of rounds"]
    title = f"Recurrent models, training tokens a CPU-second, one thread, {BATCH_ROWS} rows of {LENGTH} tokens a step"
    table(title, header, printed)


if __name__ == "__main__":
    main()
