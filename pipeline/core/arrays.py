"""Named arrays that one step writes for the next: written by rename, memory-mapped when read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.core.draft import Draft
from pipeline.core.files import replacing

Array: TypeAlias = NDArray[Any]
"""An array of any element type."""


def save_arrays(folder: Path, name: str, **arrays: Array) -> None:
    """Write each array to <folder>/<name>.<its name>.npy."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, array in arrays.items():
        with replacing(folder / _file(name, part)) as beside, beside.open("wb") as stream:
            np.save(stream, array)


def load_array(draft: Draft, name: str, part: str) -> Array:
    """One array of a draft, memory-mapped; `name` may have a folder before it."""
    array: Array = np.load(draft.file(_file(name, part)), mmap_mode="r")
    return array


def _file(name: str, part: str) -> str:
    return f"{name}.{part}.npy"
