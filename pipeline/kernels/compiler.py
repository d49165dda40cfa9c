"""Compiles kernels with numba: without the GIL, without bounds checks or fast-math, cached on disk.

The cache is in NUMBA_CACHE_DIR or XDG_CACHE_HOME (~/.cache) or, if neither is writable, in a temporary folder of the
process. Its name contains a hash of all kernel sources, because numba notices a changed file but not a change in a file
that it calls. The first use compiles for several seconds; later processes load in milliseconds.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numba

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile a function that is called from Python."""
    compiled: F = numba.njit(nogil=True, cache=True, boundscheck=False, error_model="numpy")(function)
    return compiled


def inlined(function: F) -> F:
    """Compile a function that is inlined into the kernels that call it."""
    compiled: F = numba.njit(nogil=True, boundscheck=False, error_model="numpy", forceinline=True)(function)
    return compiled


def bare_kernel(function: F) -> F:
    """Compile a function that is called from Python and allocates nothing, without numba's runtime.

    With the runtime, arrays are reference-counted: where numba cannot prove a pair of counts superfluous, as in inlined
    functions with loops, each use costs two atomic operations (12 times the time of a look-up in a hash table). The
    caller holds the arguments, so they stay alive.
    """
    compiled: F = numba.njit(nogil=True, cache=True, boundscheck=False, error_model="numpy", _nrt=False)(function)
    return compiled


def bare_inlined(function: F) -> F:
    """Compile a function that is inlined into bare kernels."""
    compiled: F = numba.njit(nogil=True, boundscheck=False, error_model="numpy", forceinline=True, _nrt=False)(function)
    return compiled


def cache_folder(sources: Path = Path(__file__).parent) -> Path:
    """A writable folder for compiled kernels. Its name contains a hash of their sources."""
    name = f"bloomery-kernels-{_sources_hash(sources)}"
    for base in _bases():
        folder = base / name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    return Path(tempfile.mkdtemp(prefix=name))


def _bases() -> list[Path]:
    configured = [os.environ.get(name) for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")]
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is no home
    return [Path(base) for base in configured if base] + ([Path(home) / ".cache"] if home != "~" else [])


def _sources_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


# must be set before the first kernel is decorated, when numba reads it
numba.config.CACHE_DIR = str(cache_folder())
