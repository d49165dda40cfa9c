"""Processes that tests start: finding them, waiting for what they do, ending them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1


def end_with_parent() -> Callable[[], None]:
    """For a child between fork and exec: the kernel kills it when the thread that started it ends."""
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def run_gang(world: int, command: Sequence[str | Path], environment: Mapping[str, str], *, timeout: float) -> None:
    """Run `command WORLD RANK …` for every rank: the two numbers follow its second word. All end when one is late.

    Raises: AssertionError with what all printed when one fails.
    """
    program, rest = command[:2], command[2:]
    started = [
        subprocess.Popen(
            [*program, str(world), str(rank), *rest], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment,
        )
        for rank in range(world)
    ]  # fmt: skip
    try:
        printed = [process.communicate(timeout=timeout)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert not any(process.returncode for process in started), "\n".join(printed)


def kill_group(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """Kill a process and its group, and reap it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def processes_of(init: int) -> dict[int, str]:
    """The processes in the namespace of a process: pid → command line. Those that end meanwhile are left out."""
    with suppress(OSError):
        namespace = Path(f"/proc/{init}/ns/pid").readlink()
        return dict(_processes_in(namespace))
    return {}


def _processes_in(namespace: Path) -> Iterator[tuple[int, str]]:
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and (folder / "ns" / "pid").readlink() == namespace:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if line:  # a zombie has none
                    yield int(folder.name), line


def wait_until(condition: Callable[[], bool], what: str, *, timeout: float, step: float = 0.2) -> None:
    """Wait for a condition. Raises: TimeoutError, which says for what."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout:.0f} s: {what}")
        time.sleep(step)


def kill_after(process: subprocess.Popen[str], folder: Path, pattern: str, *, count: int = 8) -> None:
    """Kill a run and all processes of its group once it has kept `count` results of tasks, files of this pattern."""
    kill_when(process, lambda: len(list(folder.glob(pattern))), count=count)


def kill_when(process: subprocess.Popen[str], kept_results: Callable[[], int], *, count: int) -> None:
    """Kill a run and all processes of its group once there are `count` results of tasks."""
    deadline = time.monotonic() + 240
    kept = 0
    while time.monotonic() < deadline and process.poll() is None and kept < count:
        kept = kept_results()
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert kept >= count
