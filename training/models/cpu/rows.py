"""Runs a loop over rows in as many threads as PyTorch has, and views tensors as arrays.

Each thread gets a contiguous part of the rows, which follows from the number of threads alone; sums over rows are one
partial sum a part, added in order. So the bits follow from `threads`, which is set by config.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Loop = Callable[..., None]
FEWEST = 64  # rows of a part: below it, handing work to a thread costs more than it saves


def bits(tensor: Tensor) -> NDArray[np.uint16]:
    """The memory of a contiguous bf16 tensor as 16-bit integers, of the same shape."""
    assert tensor.dtype == torch.bfloat16 and tensor.is_contiguous()
    array: NDArray[np.uint16] = tensor.detach().view(torch.uint16).numpy()
    return array


def floats(tensor: Tensor) -> NDArray[np.float32]:
    """The memory of a contiguous fp32 tensor, of the same shape."""
    assert tensor.dtype == torch.float32 and tensor.is_contiguous()
    array: NDArray[np.float32] = tensor.detach().numpy()
    return array


def parts(rows: int) -> int:
    """Into how many parts `run` cuts so many rows."""
    return max(1, min(torch.get_num_threads(), rows // FEWEST))


def run(loop: Loop, rows: int, *arguments: Any) -> None:
    """loop(first, last, part, *arguments) for each part of the rows."""
    count = parts(rows)
    if count == 1:
        loop(0, rows, 0, *arguments)
        return
    bounds = [rows * part // count for part in range(count + 1)]
    futures = [_pool(count).submit(loop, bounds[part], bounds[part + 1], part, *arguments) for part in range(1, count)]
    loop(bounds[0], bounds[1], 0, *arguments)
    for future in futures:
        future.result()


@cache
def _pool(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="rows")
