"""Starts the process of a stage, waits for it, and turns the way it ended into a message.

Each stage has its own process group, an environment without thread counts, and no terminal, and dies with its parent.
Memory and CPU time are the kernel's figures, from `wait4`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cluster.child import EXIT_CODES
from pipeline.core import figures
from pipeline.core.errors import ProcessDied, StageFailed
from pipeline.core.shortage import Shortage, sentence, shortage_in

LOG_TAIL_BYTES = 4096  # of the end of the log: what a library prints before it aborts
SLOW_S = 5.0  # after SIGTERM, before people are told that the stage still saves
SAVE_S = 150.0  # between SIGTERM and SIGKILL: a launcher waits 120 s for its workers to save (`launchers/gang.py`)
ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
# inherited values would change the speed of workers and, in training, the last bits of weights
THREADS = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM",
    "RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
)  # fmt: skip
SETTINGS = {
    "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "PYTHONUTF8": "1",
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1", "RAY_USAGE_STATS_ENABLED": "0",
}  # fmt: skip


@dataclass(frozen=True)
class ProcessExit:
    """How a stage's process ended: its exit status as `subprocess` has it (−9: killed), and what it cost.

    `peak_bytes` is of the largest process of the stage, `cpu_seconds` of all that were waited for.
    """

    status: int
    peak_bytes: int
    cpu_seconds: float
    seconds: float


class StageProcess:
    """`python -m cluster.child JOB`, started at once; `poll` until it gives an ProcessExit."""

    def __init__(self, job_path: Path, log: Path) -> None:
        self.started = time.monotonic()
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cluster.child", str(job_path)],
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment(), process_group=0,
            )  # fmt: skip
        self.pid = self._process.pid
        self.descriptor = os.pidfd_open(self.pid)  # becomes readable when the process ends

    def poll(self) -> ProcessExit | None:
        """None while it runs. When it has ended, the rest of its process group is killed."""
        if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        self._signal(signal.SIGKILL)  # before it is reaped, while its process group id cannot be reused
        _, status, usage = os.wait4(self.pid, 0)
        os.close(self.descriptor)
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code  # so that Popen does not wait for it again
        cpu = usage.ru_utime + usage.ru_stime
        return ProcessExit(code, usage.ru_maxrss * 1024, round(cpu, 2), round(time.monotonic() - self.started, 3))

    def terminate(self) -> None:
        """Send SIGTERM to the process group."""
        self._signal(signal.SIGTERM)

    def stop(self, hurry: threading.Event, tell_slow: Callable[[], None]) -> None:
        """Send SIGTERM to the process group, then SIGKILL if it does not exit in time, or at once on `hurry`.

        A trainer saves its state before it ends, which takes as long as its checkpoint is large: `tell_slow` is called
        once if it takes more than some seconds.
        """
        self.terminate()
        started, has_told = time.monotonic(), False
        while self.poll() is None:
            elapsed = time.monotonic() - started
            if not has_told and elapsed > SLOW_S:
                has_told = True
                tell_slow()
            if elapsed > SAVE_S or hurry.is_set():
                self._signal(signal.SIGKILL)
            time.sleep(0.02)

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:  # the group has no process left
            return


def environment() -> dict[str, str]:
    """The environment of a stage: this one without thread counts and ranks, with libraries switched to offline."""
    inherited = {name: value for name, value in os.environ.items() if name not in THREADS}
    return inherited | SETTINGS


def failure(stage: str, ended: ProcessExit, log: Path, *, workers: int, oom_kills: int) -> StageFailed:
    """The error for a process that ended without writing a result.

    ProcessDied where it was killed or crashed, which need not happen again: not by a signal that asks it to end, nor
    for lack of a resource other than the memory of this machine.
    """
    message = failure_message(stage, ended, log, workers=workers, oom_kills=oom_kills)
    if ended.status >= 0 or -ended.status in ASKING or _shortage(ended, log):
        return StageFailed(message)
    verb = "was killed" if ended.status == -signal.SIGKILL else "crashed"
    return ProcessDied(message, what=f"its process {verb} ({_signal_name(-ended.status)})")


def failure_message(stage: str, ended: ProcessExit, log: Path, *, workers: int, oom_kills: int) -> str:
    """The error message for a process that ended without writing a result."""
    if ended.status == -signal.SIGKILL:
        certain = "the system killed it for lack of memory" if oom_kills else "killed (signal 9): out of memory?"
        return (
            f"{stage}: {certain}; its largest process had {figures.size(ended.peak_bytes)}. "
            f"Use fewer workers (cluster.beam.workers={max(1, workers // 2)}) or free memory, then go on."
        )
    if shortage := _shortage(ended, log):
        return f"{stage}: {sentence(shortage, '', folder=log.parent, workers=workers)}"
    if ended.status < 0:
        name = _signal_name(-ended.status)
        crash = name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT")
        cause = f"crashed in native code ({name})" if crash else f"was ended by {name}"
        return f"{stage}: {cause}; the stack is at the end of {log}. What is finished is kept."
    return f"{stage}: ended with exit code {ended.status} and no message; see the end of {log}."


def _signal_name(number: int) -> str:
    """SIGKILL; "signal 40" of those without a name."""
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def _shortage(ended: ProcessExit, log: Path) -> Shortage | None:
    """The resource that a process lacked: by its exit code, its signal, or the last lines of its log."""
    for shortage, code in EXIT_CODES.items():
        if ended.status == code:
            return shortage
    if ended.status == -signal.SIGXFSZ:
        return "file size"
    if ended.status != -signal.SIGABRT:
        return None
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
        return shortage_in(stream.read().decode(errors="replace"))


def oom_kills() -> int:
    """How many processes of this container the kernel has killed for lack of memory; 0 if unknown."""
    try:
        lines = Path("/sys/fs/cgroup/memory.events").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
