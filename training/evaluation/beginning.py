"""The model as its training began: drawn from the seed again, or with the weights or embeddings it was given.

Nothing of it is stored: the manifest of the model's artifact says the seed, and artifacts of other runs are inputs of
the stage. Another version of torch may draw other weights; the manifest's numerics name the version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pipeline.core.files import read_json
from pipeline.core.stage import Inputs
from training.identity import EXTERNALS
from training.models.base import Model
from training.models.saved import CONFIG
from training.trainer import initial


def beginning_of(inputs: Inputs) -> dict[str, Any] | None:
    """What `first_weights` is told; None where a model's beginning cannot be known from the inputs of this stage."""
    model = inputs.one("model").manifest
    given = {name: str(inputs.one(name).folder("")) for name in EXTERNALS if name in inputs}
    if "seed" not in model.params or any(name in model.inputs and name not in given for name in EXTERNALS):
        return None
    train = [str(path) for path in inputs.one("tokens").files("train/")]
    return {"seed": model.params["seed"], "externals": given, "train": train}


def first_weights(folder: Path, tokenizer: Path, told: dict[str, Any], device: torch.device) -> Model:
    """The model of `folder` as it was before its first step, ready to be asked."""
    described = read_json(folder / CONFIG)
    model = initial.first_model(
        described["family"], described["options"], vocabulary=described["vocabulary"], context=described["context"],
        seed=told["seed"],
    )  # fmt: skip
    if artifact := told["externals"].get("init"):
        initial.take_weights(model, Path(artifact))
    if artifact := told["externals"].get("init_embeddings"):
        # it was accepted when training began
        train = [Path(path) for path in told["train"]]
        initial.take_embeddings(model, Path(artifact), tokenizer, train, languages=(), least=0.0)
    return model.to(device).eval()
