"""A saved model: config.json and model.safetensors, to use and to export (to resume, see trainer/checkpoint.py).

The same weights give the same bytes: tensors are sorted by name, and {"format": "pt"} is the only metadata (with two
keys the library's order, and so the hash, differs from process to process).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.core.errors import UserError
from pipeline.core.files import read_json, replacing, write_json
from training.models.base import Model, SavedConfig, build

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def save(model: Model, folder: Path) -> None:
    """Write a model whose weights are all in this process."""
    save_weights(model.state_dict(), model.saved_config(), folder)


def save_weights(weights: Mapping[str, Tensor], config: SavedConfig, folder: Path) -> None:
    """Write weights under their names in the model, and its config."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: _to_save(weights[name]).contiguous() for name in sorted(weights)}
    with replacing(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_json(folder / CONFIG, config)


def load(folder: Path, *, device: str | torch.device = "cpu") -> Model:
    """The model of a folder, in evaluation mode and fp32. Nothing in a file is executed.

    Raises: UserError when the folder holds no model of ours.
    """
    if not (folder / CONFIG).exists():
        raise UserError(
            f"{folder}: no saved model here ({CONFIG} is missing). Name the model/ folder of a model artifact."
        )
    config = read_config(folder)
    model = build(config["family"], config["options"], vocabulary=config["vocabulary"], context=config["context"])
    model.document_mask = config.get("document_mask", False)
    model.load_state_dict(read_weights(folder))
    return model.to(device).eval()


def read_config(folder: Path) -> SavedConfig:
    """config.json of a saved model."""
    config: SavedConfig = read_json(folder / CONFIG)
    return config


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of a saved model by their names in it."""
    weights: dict[str, Tensor] = load_file(folder / WEIGHTS)
    return weights


def _to_save(tensor: Tensor) -> Tensor:
    """Weights in fp32; counts and other integers unchanged."""
    tensor = tensor.detach().to("cpu")
    return tensor.float() if tensor.is_floating_point() else tensor
