"""Arrays in memory that the workers of one host share, in a file that is unlinked once all of them have mapped it.

The file lies in /dev/shm if it has room, else in the run's scratch folder. A killed process leaves nothing behind: the
system frees the file with the last process that maps it. A worker that is alone on its host uses plain memory.
"""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import StageFailed
from training.vectors.hosts import Hosts

SHARED = Path("/dev/shm")
_PAGE = 4096

ArrayShapes = dict[str, tuple[str, tuple[int, ...]]]
"""For each array its dtype and its shape."""


class SharedArrays:
    """One mapping, cut into named arrays of zeros; the same for every worker of a host."""

    def __init__(self, shapes: ArrayShapes, hosts: Hosts, scratch: Path) -> None:
        offsets: dict[str, int] = {}
        size = 0
        for name, (dtype, shape) in shapes.items():
            offsets[name] = size
            size += -(-np.dtype(dtype).itemsize * prod(shape) // _PAGE) * _PAGE
        mapping = _map_memory(max(size, _PAGE), hosts, scratch)
        # rows are visited in any order: with pages of 4 kB the processor would look up a page for each
        mapping.madvise(mmap.MADV_HUGEPAGE)
        self.arrays: dict[str, NDArray[Any]] = {
            name: np.frombuffer(mapping, dtype, prod(shape), offsets[name]).reshape(shape)
            for name, (dtype, shape) in shapes.items()
        }


def _map_memory(size: int, hosts: Hosts, scratch: Path) -> mmap.mmap:
    if hosts.local_world == 1:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    name = _new_file(size, scratch) if hosts.is_leader else ""
    path = Path(hosts.broadcast_from_leader(name))
    with path.open("r+b") as stream:
        mapping = mmap.mmap(stream.fileno(), size)
    hosts.barrier()
    if hosts.is_leader:
        path.unlink()
    return mapping


def _new_file(size: int, scratch: Path) -> str:
    scratch.mkdir(parents=True, exist_ok=True)
    candidates = (SHARED, scratch)
    folder = next((path for path in candidates if path.is_dir() and shutil.disk_usage(path).free > size), None)
    if folder is None:
        raise StageFailed(
            f"pretrain: the workers share {size / 1e9:.1f} GB of vectors, and neither {SHARED} nor {scratch} has room. "
            "Free some space, use one worker, fewer engine.blocks, or a smaller vocabulary or width."
        )
    handle, name = tempfile.mkstemp(prefix="bloomery-vectors-", dir=folder)
    os.ftruncate(handle, size)
    os.close(handle)
    return name
