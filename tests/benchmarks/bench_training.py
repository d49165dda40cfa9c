"""Training tokens a CPU-second: our trainer's step beside a bare PyTorch loop of the same model, in the same run.

The bare loop is bare_loop.py. Ours is the trainer's own step, all of it: rows from the stream, objective, engine,
clipping, curve. They take turns, so that a busy machine slows both; a figure is the median of the rounds, a ratio the
median of the rounds' ratios. One thread, the model of configs/demo.yaml. About a minute.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bare_loop
import numpy as np
import torch
from measured import table
from numpy.typing import NDArray

from training import engines
from training.engines import device
from training.engines.base import Setting
from training.models.base import Model, build
from training.objectives.base import Task
from training.objectives.causal import Causal
from training.objectives.section import Causal as CausalOptions
from training.section import Precision, Pretrain
from training.trainer.loop import Run, one_step
from training.trainer.meter import Curve, Silent
from training.trainer.plan import plan
from training.trainer.stream import Rows

VOCABULARY, LENGTH, BATCH_ROWS = 8192, 256, 16
DEMO = {"layers": 4, "heads": 4, "width": 256}
ROUNDS, STEPS = 5, 2
CPU = torch.device("cpu")

Step = Callable[[int], object]


def ours(model: Model, rows: NDArray[np.uint16], precision: Precision, optimizer: dict[str, Any]) -> Step:
    """A step of the trainer, in one process."""
    section = Pretrain.model_validate(
        {"steps": 1000, "batch_tokens": BATCH_ROWS * LENGTH, "precision": precision, "optimizer": optimizer}
    )
    micro_tokens = device.micro_batch_tokens(CPU)
    cut = plan(section, length=LENGTH, world=1, micro_tokens=micro_tokens, precision=precision)
    chosen = engines.OPTIMIZERS.load(section.optimizer.name).model_validate(section.optimizer.options)
    setting = Setting(CPU, precision, chosen, 1.0, cut.micro_batches, 0, 1)
    engine = engines.ENGINES.load("plain")(None, Task(model, Causal(CausalOptions())), setting, {})  # type: ignore[operator]
    split = Rows(rows, np.full(len(rows), LENGTH, np.int32))
    run = Run(section, cut, engine, split, split, Curve(), Silent(), Path(tempfile.gettempdir()), {}, 17)
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


def compared(shape: str, precision: Precision, rows: NDArray[np.uint16]) -> list[list[object]]:
    """The rows of the table for one model: AdamW and Muon of ours beside the bare loop's AdamW."""
    torch.manual_seed(0)
    models = [build("gpt", {"shape": shape, **DEMO}, vocabulary=VOCABULARY, context=LENGTH) for _ in range(2)]
    hidden = models[0].config.hidden
    bare = bare_loop.Gpt(shape, **DEMO, hidden=hidden, vocabulary=VOCABULARY, context=LENGTH)
    size = sum(p.numel() for p in bare.parameters())
    assert size == sum(p.numel() for p in models[0].parameters()), "the same model, or it compares nothing"
    found = speeds(
        {
            "bare": bare_loop.stepper(bare, rows, batch_rows=BATCH_ROWS, bf16=precision == "bf16"),
            "AdamW": ours(models[0], rows, precision, {"adamw": {"lr": 1e-3}}),
            "Muon": ours(models[1], rows, precision, {"muon": {}}),
        }
    )
    median = {name: statistics.median(each) for name, each in found.items()}
    printed: list[list[object]] = []
    for name in ("AdamW", "Muon"):
        ratios = sorted(mine / theirs for mine, theirs in zip(found[name], found["bare"], strict=True))
        spread = f"{ratios[0]:.2f}–{ratios[-1]:.2f}"
        figures = [f"{median['bare']:,.0f}", f"{median[name]:,.0f}", statistics.median(ratios), spread]
        printed.append([f"{shape}, {size / 1e6:.1f} M, {precision}", name, *figures])
    return printed


def main() -> None:
    warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
    torch.set_num_threads(1)
    rows = np.random.default_rng(1).integers(0, VOCABULARY, (256, LENGTH)).astype(np.uint16)
    fast = device.precision("auto", CPU)
    printed = [row for shape in ("llama", "gpt2") for row in compared(shape, fast, rows)]
    header = ["model", "our optimizer", "bare loop (AdamW)", "ours", "ratio", "of rounds"]
    table(f"Training, tokens a CPU-second, one thread, {BATCH_ROWS} rows of {LENGTH} tokens a step", header, printed)


if __name__ == "__main__":
    main()
