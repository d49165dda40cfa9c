"""Memory that the workers of one host share: a file that has no name any more once all have opened it.

It lies in /dev/shm where there is room, else in the run's scratch folder. A process that is killed leaves nothing: the
last one that has it open takes it along. A worker that is alone on its host has plain memory.
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


class Memory:
    """One mapping, cut into named arrays of zeros; the same at every worker of a host."""

    def __init__(self, shapes: dict[str, tuple[str, tuple[int, ...]]], hosts: Hosts, scratch: Path) -> None:
        """`shapes`: of each array its kind of number and its shape."""
        places, size = {}, 0
        for name, (kind, shape) in shapes.items():
            places[name] = size
            size += -(-np.dtype(kind).itemsize * prod(shape) // _PAGE) * _PAGE
        mapped = _mapped(max(size, _PAGE), hosts, scratch)
        # rows are visited in any order: with pages of 4 kB the processor would look up a page for each
        mapped.madvise(mmap.MADV_HUGEPAGE)
        self.arrays: dict[str, NDArray[Any]] = {
            name: np.frombuffer(mapped, kind, prod(shape), places[name]).reshape(shape)
            for name, (kind, shape) in shapes.items()
        }


def _mapped(size: int, hosts: Hosts, scratch: Path) -> mmap.mmap:
    if hosts.local_world == 1:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    name = _new_file(size, scratch) if hosts.leads else ""
    path = Path(hosts.from_leader(name))
    with path.open("r+b") as stream:
        mapped = mmap.mmap(stream.fileno(), size)
    hosts.meet()
    if hosts.leads:
        path.unlink()
    return mapped


def _new_file(size: int, scratch: Path) -> str:
    scratch.mkdir(parents=True, exist_ok=True)
    folder = next((one for one in (SHARED, scratch) if one.is_dir() and shutil.disk_usage(one).free > size), None)
    if folder is None:
        raise StageFailed(
            f"pretrain: the workers share {size / 1e9:.1f} GB of vectors, and neither {SHARED} nor {scratch} has room. "
            "Free some space, use one worker, fewer engine.blocks, or a smaller vocabulary or width."
        )
    handle, name = tempfile.mkstemp(prefix="bloomery-vectors-", dir=folder)
    os.ftruncate(handle, size)
    os.close(handle)
    return name
