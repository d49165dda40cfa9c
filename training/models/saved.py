"""A saved model: config.json and model.safetensors, to use and to export (to resume, see trainer/checkpoint.py).

The same weights give the same bytes: tensors by name, and {"format": "pt"} as the only metadata (with two keys the
library's order, and so the hash, differs from process to process).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.core.errors import UserError
from pipeline.core.files import read_json, replacing, write_json
from training.models.base import Model, SavedConfig, build

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def save(model: Model, folder: Path) -> None:
    """Write a model that lies whole in this process."""
    save_weights(model.state_dict(), model.described(), folder)


def save_weights(weights: Mapping[str, Tensor], described: dict[str, Any], folder: Path) -> None:
    """Write weights under their names in the model; `described` is what `Model.described` said."""
    folder.mkdir(parents=True, exist_ok=True)
    ready = {name: _kept(weights[name]).contiguous() for name in sorted(weights)}
    with replacing(folder / WEIGHTS) as beside:
        save_file(ready, beside, metadata={"format": "pt"})
    write_json(folder / CONFIG, described)


def load(folder: Path, *, device: str | torch.device = "cpu") -> Model:
    """The model of a folder, ready to be asked (in evaluation mode, fp32). Nothing in a file is executed.

    Raises: UserError when the folder holds no model of ours.
    """
    if not (folder / CONFIG).exists():
        raise UserError(
            f"{folder}: no saved model here ({CONFIG} is missing). Name the model/ folder of a model artifact."
        )
    described = read_json(folder / CONFIG)
    model = build(
        described["family"], described["options"], vocabulary=described["vocabulary"], context=described["context"]
    )
    model.load_state_dict(read_weights(folder))
    return model.to(device).eval()


def read_config(folder: Path) -> SavedConfig:
    """config.json of a saved model."""
    config: SavedConfig = read_json(folder / CONFIG)
    return config


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of a saved model by their names in it."""
    found: dict[str, Tensor] = load_file(folder / WEIGHTS)
    return found


def _kept(tensor: Tensor) -> Tensor:
    """Weights in fp32; counts and other integers as they are."""
    here = tensor.detach().to("cpu")
    return here.float() if here.is_floating_point() else here
