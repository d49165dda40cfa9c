"""`doctor`: checks the hardware, and that the installed libraries are the tested versions.

Heavy libraries are imported in parallel in separate processes, so a crash is reported as one line. Takes about 10 s.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from cluster.commands.operations import PROBE
from cluster.numerics import cpu_level
from cluster.process import environment
from pipeline.core import figures

HEAVY = {
    "Beam": "import apache_beam; print(apache_beam.__version__)",
    "Ray": "import ray; print(ray.__version__)",
    "DeepSpeed": PROBE,
    "transformers": "import transformers; print(transformers.__version__)",
    "GPU": "import torch; n = torch.cuda.device_count(); "
           "print(', '.join(torch.cuda.get_device_name(i) for i in range(n)) or 'none: training runs on the CPU')",
}  # fmt: skip
FAST = ("amx_bf16", "avx512_bf16")
LEAST_MEMORY = 4e9
LEAST_DISK = 5e9


@dataclass(frozen=True)
class Diagnosis:
    """One line: good, worth knowing, or wrong."""

    mark: Literal["✓", "!", "✗"]
    subject: str
    text: str


def doctor(workdir: Path) -> int:
    """Print one line per check; return 1 when a check fails."""
    failures = 0
    started = {name: _start(code) for name, code in HEAVY.items()}
    for diagnosis in (*_python(), *_machine(workdir), *_libraries(), *map(_heavy, started.items())):
        failures += show(diagnosis)
    print(
        f"{failures} checks failed. Reinstall with: pip install -c constraints.txt bloomery"
        if failures
        else "All checks passed."
    )
    return 1 if failures else 0


def show(diagnosis: Diagnosis) -> bool:
    """Print a line; whether it says that something is wrong."""
    print(f"{diagnosis.mark} {diagnosis.subject:<13} {diagnosis.text}", flush=True)
    return diagnosis.mark == "✗"


def _python() -> Iterator[Diagnosis]:
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Diagnosis("✓" if good else "✗", "Python", f"{platform.python_version()} (3.11 to 3.13), {platform.machine()}")
    linux = sys.platform == "linux"
    yield Diagnosis("✓" if linux else "✗", "system", f"{platform.system()} {platform.release()} (Linux is needed)")


def _machine(workdir: Path) -> Iterator[Diagnosis]:
    memory = _memory()
    enough: Literal["✓", "!"] = "✓" if memory["MemAvailable"] > LEAST_MEMORY else "!"
    yield Diagnosis("✓", "cores", f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} available")
    yield Diagnosis(
        enough, "memory", f"{figures.size(memory['MemAvailable'])} free of {figures.size(memory['MemTotal'])}"
    )
    folder = workdir if workdir.exists() else Path.cwd()
    free = shutil.disk_usage(folder).free
    yield Diagnosis("✓" if free > LEAST_DISK else "!", "disk", f"{figures.size(free)} free in {folder.absolute()}")
    shared = shutil.disk_usage("/dev/shm").free if Path("/dev/shm").exists() else 0
    yield Diagnosis("✓" if shared > 1e8 else "!", "shared memory", f"{figures.size(shared)} in /dev/shm (Ray, NCCL)")
    level = cpu_level()
    fast = level in FAST
    yield Diagnosis("✓" if fast else "!", "bf16", f"{level}: " + ("multiplied natively" if fast else "fp32 is used"))
    compiler = shutil.which("g++") or "no g++"
    yield Diagnosis("✓", "compiler", f"{compiler} (not needed)")


def _memory() -> dict[str, float]:
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {line[0].rstrip(":"): float(line[1]) * 1024 for line in lines}


def _libraries() -> Iterator[Diagnosis]:
    """Compares the installed libraries with the requirements of bloomery."""
    from packaging.requirements import Requirement

    requirements = [Requirement(text) for text in requires("bloomery") or ()]
    bad = []
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            bad.append(f"{requirement.name} is missing (required: {requirement.specifier})")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            bad.append(f"{requirement.name} {installed} (required: {requirement.specifier})")
    if bad:
        yield Diagnosis("✗", "libraries", "; ".join(bad))
    else:
        yield Diagnosis("✓", "libraries", f"all {len(requirements)} requirements are met")


def _start(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code], text=True, env=environment() | {"DS_ACCELERATOR": "cpu"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _heavy(started: tuple[str, subprocess.Popen[str]]) -> Diagnosis:
    name, process = started
    try:
        printed, complaint = process.communicate(timeout=180)
    except subprocess.TimeoutExpired:
        process.kill()
        return Diagnosis("✗", name, "does not import within three minutes")
    if process.returncode:
        last = complaint.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        return Diagnosis("✗", name, f"does not import: {last[0]}")
    return Diagnosis("✓", name, printed.strip().splitlines()[-1])
