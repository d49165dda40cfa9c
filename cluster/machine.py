"""This machine: its description in one line, to be shown with measured figures, and its limit on address space."""

from __future__ import annotations

import os
import platform
import resource
from pathlib import Path

from pipeline.core import figures
from pipeline.core.errors import UserError

# `check` was seen to need 330 MB; below that, native libraries abort before Python can raise an error
ADDRESS_SPACE = 384 << 20


def require_address_space() -> None:
    """Check the limit of this process (`ulimit -v`), before a native library meets it.

    Raises: UserError when it is below ADDRESS_SPACE.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE:
        raise UserError(
            f"ulimit -v allows {figures.size(limit)} of address space, and {figures.size(ADDRESS_SPACE)} are needed to "
            "start. Raise it (ulimit -v unlimited)."
        )


def machine() -> str:
    """Processor, cores, memory, vector unit: "AMD EPYC, 2 cores, 25.2 GB, avx512_bf16"."""
    from cluster.numerics import cpu_level

    parts = (_processor(), f"{len(os.sched_getaffinity(0))} cores", _memory(), cpu_level())
    return ", ".join(part for part in parts if part)


def _processor() -> str:
    names = (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name"))
    return next(names, platform.machine())


def memory_bytes() -> int:
    """The memory of this machine; 0 where the kernel does not tell."""
    total = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    return int(total) * 1024


def _memory() -> str:
    total = memory_bytes()
    return figures.size(total) if total else ""


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
