"""Compares the numerics class of a model with that of this machine, without importing torch.

A model's weights are bit-for-bit reproducible within one class (device, workers, threads, torch version; in
its manifest). The class is not part of the fingerprint: a difference is reported, and the model is reused.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cluster.sections import Cluster

# fastest first: the first one that the processor has names its level
LEVELS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "asimd")


def other_class(numerics: Mapping[str, object] | None, cluster: Cluster) -> str:
    """The difference between a model's class and this machine's; empty if there is none."""
    if not numerics:
        return ""
    local: dict[str, object] = {"workers": cluster.most_workers, "threads": cluster.threads, "torch": _torch()}
    if str(numerics.get("device", "")).startswith("cpu"):
        local["device"] = f"cpu {cpu_level()}"
    differing = [
        f"{key} {numerics[key]}, here {value}" for key, value in local.items() if numerics.get(key, value) != value
    ]
    return f"reused, of another numerics class ({'; '.join(differing)})" if differing else ""


def cpu_level() -> str:
    """The widest arithmetic of this processor."""
    path = Path("/proc/cpuinfo")
    words = set(path.read_text(encoding="utf-8", errors="replace").split()) if path.exists() else set()
    return next((level for level in LEVELS if level in words), platform.machine())


def _torch() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "absent"
