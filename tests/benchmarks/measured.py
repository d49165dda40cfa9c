"""What every benchmark needs: the machine in a line, a table, and the CPU-seconds of a command with its children."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DATA = Path(os.environ.get("BLOOMERY_DATA", Path(__file__).parents[3] / "shared" / "data"))


def machine() -> str:
    """Processor, cores, bf16 support and date."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":")[1].strip() for line in info.splitlines() if "model name" in line), platform.machine())
    bf16 = "AMX bf16" if "amx_bf16" in info else "AVX-512 bf16" if "avx512_bf16" in info else "no bf16"
    return f"{model}, {os.cpu_count()} cores, {bf16}, Python {platform.python_version()}, {datetime.date.today()}"


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table under the machine's line."""
    print(f"\n{title}\n{machine()}\n")
    print("| " + " | ".join(header) + " |")
    print("| --- " + "| ---: " * (len(header) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(f"{cell:,.2f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
    print(flush=True)


@dataclass(frozen=True)
class Measure:
    """One finished command: seconds on the wall and on all processors, children included."""

    wall: float
    cpu: float
    printed: str


def measure(command: Sequence[str | Path], **environment: str) -> Measure:
    """Run a command to its end. Its CPU time counts every process that was waited for, as the system accounts it."""
    # where nobody may write compiled modules, every process compiles its own; an installation has them
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, start = os.times(), time.monotonic()
    done = subprocess.run(
        list(map(str, command)), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**inherited, **environment}, check=False,
    )  # fmt: skip
    after = os.times()
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-4000:]}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return Measure(time.monotonic() - start, cpu, done.stdout)
