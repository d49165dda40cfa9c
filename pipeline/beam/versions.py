"""What must be the same on every host that works on a step, or its bytes may differ: our code, and libraries."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pipeline.core

LIBRARIES = ("apache-beam", "gigatoken", "jieba", "numba", "numpy", "polars", "pyarrow", "tokenizers")


@cache
def versions() -> dict[str, str]:
    """Name → version: Python's, those of libraries that decide content, and a digest of our source files; 20 ms."""
    installed = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for name in LIBRARIES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = "absent"
    return installed | {"the code of Bloomery": _code()}


def versions_differ(remote: Mapping[str, str]) -> str:
    """The versions of another host that are not those of this one, as words; empty if they are the same."""
    return "; ".join(
        f"{name} {remote.get(name, 'absent')} where the driver has {ours}"
        for name, ours in versions().items()
        if remote.get(name) != ours
    )


def _code() -> str:
    folder = Path(pipeline.core.__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
