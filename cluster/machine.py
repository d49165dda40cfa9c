"""Describes this machine in one line, to be shown with measured figures."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from cluster.numerics import cpu_level
from pipeline.core import figures


def machine() -> str:
    """Processor, cores, memory, vector unit: "AMD EPYC, 2 cores, 25.2 GB, avx512_bf16"."""
    parts = (_processor(), f"{len(os.sched_getaffinity(0))} cores", _memory(), cpu_level())
    return ", ".join(part for part in parts if part)


def _processor() -> str:
    names = (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name"))
    return next(names, platform.machine())


def _memory() -> str:
    total = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "")
    return figures.size(float(total) * 1024) if total else ""


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
