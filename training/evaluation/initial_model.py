"""The model as it was before training: drawn from the seed again, or with the weights or embeddings it started from.

Nothing of it is stored: the manifest of the model's artifact records the seed, and the artifacts of other runs are
inputs of the stage. Another version of torch may draw other weights; the manifest's numerics name the version.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import torch

from pipeline.core.inputs import Inputs
from training.identity import EXTERNALS
from training.models.base import Model
from training.models.saved import read_config
from training.trainer import initial


class TrainingStart(TypedDict):
    """What decides the first weights: the seed, the folders of artifacts of other runs, and the training files."""

    seed: int
    externals: dict[str, str]
    train: list[str]


def training_start_of(inputs: Inputs) -> TrainingStart | None:
    """How the training of the model among the inputs started; None where the inputs do not say it."""
    model = inputs.single("model").manifest
    externals = {name: str(inputs.single(name).folder("")) for name in EXTERNALS if name in inputs}
    if "seed" not in model.params or any(name in model.inputs and name not in externals for name in EXTERNALS):
        return None
    train = [str(path) for path in inputs.single("tokens").files("train/")]
    return {"seed": model.params["seed"], "externals": externals, "train": train}


def initial_model(folder: Path, tokenizer: Path, start: TrainingStart, device: torch.device) -> Model:
    """The model of `folder` as it was before its first step, in evaluation mode."""
    config = read_config(folder)
    model = initial.first_model(
        config["family"], config["options"], vocabulary=config["vocabulary"], context=config["context"],
        seed=start["seed"],
    )  # fmt: skip
    if artifact := start["externals"].get("init"):
        initial.take_weights(model, Path(artifact))
    if artifact := start["externals"].get("init_embeddings"):
        # coverage and languages were checked when training started
        train = [Path(path) for path in start["train"]]
        initial.take_embeddings(model, Path(artifact), tokenizer, train, languages=(), least=0.0)
    return model.to(device).eval()
