"""Write a model's arrays as safetensors, a slice at a time: the library would hold all of them twice.

The bytes equal those of the library: arrays by alignment, then by name, and {"format": "pt"} as the only metadata.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pipeline.core.files import JsonObject, replacing
from training.vectors.base import Arrays

_DTYPES = {"float32": "F32", "int64": "I64"}
_ROWS_AT_ONCE = 4096


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write these arrays, float32 or int64, contiguous or not."""
    header: JsonObject = {"__metadata__": {"format": "pt"}}
    place = 0
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    for name in order:
        array = arrays[name]
        ends = [place, place + array.size * array.itemsize]
        header[name] = {"dtype": _DTYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": ends}
        place = ends[1]
    described = json.dumps(header, separators=(",", ":")).encode()
    described += b" " * (-len(described) % 8)
    with replacing(path) as beside, beside.open("wb") as stream:
        stream.write(len(described).to_bytes(8, "little") + described)
        for name in order:
            for first in range(0, len(arrays[name]), _ROWS_AT_ONCE):
                stream.write(np.ascontiguousarray(arrays[name][first : first + _ROWS_AT_ONCE]).tobytes())
