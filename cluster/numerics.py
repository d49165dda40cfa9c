"""The numerics class of a model, as far as it is known without torch: what it was trained on, against here.

A model's weights are the same bits within one class (device, workers, threads, torch version; in its manifest).
The class is no part of the fingerprint: another class is said, and the model stands.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cluster.sections import Cluster

# fastest first: the first one that the processor has names its level
LEVELS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "asimd")


def other_class(numerics: Mapping[str, object] | None, cluster: Cluster) -> str:
    """What differs between a model's class and the one it would have here, or an empty string."""
    if not numerics:
        return ""
    local: dict[str, Any] = {"workers": cluster.workers, "threads": cluster.threads, "torch": _torch()}
    if str(numerics.get("device", "")).startswith("cpu"):
        local["device"] = f"cpu {cpu_level()}"
    differing = [
        f"{key} {numerics[key]}, here {value}" for key, value in local.items() if numerics.get(key, value) != value
    ]
    return (
        f"its last bits are of another numerics class ({'; '.join(differing)}); it stands as it is" if differing else ""
    )


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
