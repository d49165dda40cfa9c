"""Named arrays that one step writes for the next: written by rename, memory-mapped when read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import replacing

Array: TypeAlias = NDArray[Any]
"""An array of any element type."""


def save_arrays(folder: Path, name: str, **arrays: Array) -> None:
    """Write each array to <folder>/<name>.<its name>.npy."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, array in arrays.items():
        with replacing(_path(folder, name, part)) as beside, beside.open("wb") as stream:
            np.save(stream, array)


def load_array(folder: Path, name: str, part: str) -> Array:
    """One array, memory-mapped: only the parts that are used are read."""
    array: Array = np.load(_path(folder, name, part), mmap_mode="r")
    return array


def _path(folder: Path, name: str, part: str) -> Path:
    return folder / f"{name}.{part}.npy"
