"""Training tokens a CPU-second: our trainer's step beside a bare PyTorch loop of the same model, in the same run.

    python tests/benchmarks/bench_training.py [--rounds 5] [--steps 2] [--width 256]

The bare loop is bare_loop.py; ours is the trainer's own step (trainer_step.py). One thread, the model of
configs/demo.yaml. About a minute.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import bare_loop
import numpy as np
import torch
from measured import table
from numpy.typing import NDArray
from trainer_step import CPU, Step, compared, speeds, trainer_step

from pipeline.core.files import JsonObject
from training import objectives
from training.engines import device
from training.models.base import Model, build
from training.section import Precision, Pretrain

TOY = "--rounds 1 --steps 1 --width 32"  # the arguments with which the tests run this file

VOCABULARY, LENGTH, BATCH_ROWS = 8192, 256, 16
DEMO = {"layers": 4, "heads": 4}


def ours(model: Model, rows: NDArray[np.uint16], precision: Precision, optimizer: JsonObject) -> Step:
    """A step of the trainer, in one process."""
    section = Pretrain.model_validate(
        {"steps": 1000, "batch_tokens": BATCH_ROWS * LENGTH, "precision": precision, "optimizer": optimizer}
    )
    objective = objectives.OBJECTIVES.create(section.objective, None)
    return trainer_step(section, model, objective, rows, precision)


def rows_of(shape: str, precision: Precision, rows: NDArray[np.uint16], chosen: argparse.Namespace) -> list[list[Any]]:
    """The rows of the table for one model: AdamW and Muon of ours beside the bare loop's AdamW."""
    torch.manual_seed(0)
    size = {**DEMO, "width": chosen.width}
    models = [build("gpt", {"shape": shape, **size}, vocabulary=VOCABULARY, context=LENGTH) for _ in range(2)]
    hidden = models[0].config.hidden
    bare = bare_loop.Gpt(shape, **size, hidden=hidden, vocabulary=VOCABULARY, context=LENGTH)
    parameters = sum(p.numel() for p in bare.parameters())
    assert parameters == sum(p.numel() for p in models[0].parameters()), "the same model, or it compares nothing"
    measured = speeds(
        {
            "bare": bare_loop.stepper(bare, rows, batch_rows=BATCH_ROWS, bf16=precision == "bf16"),
            "AdamW": ours(models[0], rows, precision, {"adamw": {"lr": 1e-3}}),
            "Muon": ours(models[1], rows, precision, {"muon": {}}),
        },
        tokens=BATCH_ROWS * LENGTH, rounds=chosen.rounds, steps_a_round=chosen.steps,
    )  # fmt: skip
    name = f"{shape}, {parameters / 1e6:.1f} M, {precision}"
    return [[name, optimizer, *compared(measured, optimizer)] for optimizer in ("AdamW", "Muon")]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--steps", type=int, default=2, help="of each side in a round")
    options.add_argument("--width", type=int, default=256)
    chosen = options.parse_args()
    warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
    torch.set_num_threads(1)
    rows = np.random.default_rng(1).integers(0, VOCABULARY, (256, LENGTH)).astype(np.uint16)
    fast = device.precision("auto", CPU)
    printed = [row for shape in ("llama", "gpt2") for row in rows_of(shape, fast, rows, chosen)]
    header = ["model", "our optimizer", "bare loop (AdamW)", "ours", "ratio", "of rounds"]
    table(f"Training, tokens a CPU-second, one thread, {BATCH_ROWS} rows of {LENGTH} tokens a step", header, printed)


if __name__ == "__main__":
    main()
