"""How kernels are compiled: numba, without the GIL, without bounds checks or fast-math, cached on disk.

The cache lies in NUMBA_CACHE_DIR, or XDG_CACHE_HOME (~/.cache), or, if none is writable, in a folder of this process
alone. Its name holds a hash of all kernel sources: numba notices a changed file, but not a changed file that it calls.
First use compiles for some seconds; later processes load in milliseconds.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a loop that is called from Python."""
    compiled: F = numba.njit(nogil=True, cache=True, boundscheck=False, error_model="numpy")(function)
    return compiled


def inlined(function: F) -> F:
    """Compile a piece of a kernel into its callers."""
    compiled: F = numba.njit(nogil=True, boundscheck=False, error_model="numpy", forceinline=True)(function)
    return compiled


def cache_folder(sources: Path = Path(__file__).parent) -> Path:
    """A writable folder for compiled kernels, named by what they are compiled from."""
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
    given = [os.environ.get(name) for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")]
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is no home
    return [Path(base) for base in given if base] + ([Path(home) / ".cache"] if home != "~" else [])


def _sources_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


# before the first kernel is decorated: numba reads it then
numba.config.CACHE_DIR = str(cache_folder())
