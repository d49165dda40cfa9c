"""Arrays a step leaves for the next: named, written by rename, opened without reading them whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import replacing


def save_arrays(folder: Path, name: str, **arrays: NDArray[Any]) -> None:
    """Write each array to <folder>/<name>.<its name>.npy."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, array in arrays.items():
        with replacing(_path(folder, name, part)) as beside, beside.open("wb") as stream:
            np.save(stream, array)


def load_array(folder: Path, name: str, part: str) -> NDArray[Any]:
    """One array, mapped: what is not touched is not read."""
    array: NDArray[Any] = np.load(_path(folder, name, part), mmap_mode="r")
    return array


def _path(folder: Path, name: str, part: str) -> Path:
    return folder / f"{name}.{part}.npy"
