"""What must be the same on every host that works on a step, or its bytes may differ: our code, and libraries."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pipeline.core

LIBRARIES = (
    "apache-beam", "gigatoken", "jieba", "lxml", "numba", "numpy", "polars", "pyarrow", "resiliparse", "tokenizers",
    "trafilatura",
)  # fmt: skip


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


def versions_differ(driver: Mapping[str, str], worker: Mapping[str, str], host: str) -> str:
    """How the versions on a worker's host are not those of the driver, in a sentence; empty if they are the same."""
    differences = "; ".join(
        f"{name} {worker.get(name, 'absent')} where the driver has {version}"
        for name, version in driver.items()
        if worker.get(name) != version
    )
    return f"the host {host} has {differences}. Install the same there." if differences else ""


def _code() -> str:
    folder = Path(pipeline.core.__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
