"""A model's file, written a slice at a time, is the library's own byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from training.vectors.saved import write_arrays


def test_the_bytes_are_those_of_the_library(tmp_path: Path) -> None:
    padded = np.random.default_rng(1).random((9000, 32), np.float32)
    arrays = {"output": padded[:, 16:20], "counts": np.arange(9000), "input": padded[:, :7], "bias": padded[:, 8]}
    write_arrays(tmp_path / "ours", arrays)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    save_file(tensors, tmp_path / "theirs", metadata={"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert torch.equal(load_file(tmp_path / "ours")["input"], tensors["input"])
