"""How the processes of a gang ended, and whether to start them again: pure decisions, without processes or clocks.

Retried is what need not happen again: a process that was killed or crashed, a host that is gone, a process that hangs,
a pre-emption, and the broken connections that these leave in other processes. Not retried is what would happen again:
Bloomery's own errors, and every other exception in the code of a process.
"""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

from pipeline.core.errors import BloomeryError, Preempted, StageFailed, UserError
from pipeline.core.files import read_json

Kind = Literal["died", "lost", "hung", "preempted", "connection"]

# libraries that raise a plain RuntimeError name themselves in its message
CONNECTION_WORDS = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe", "socket", "tcpstore")
CONNECTION_TYPES = ("ConnectionError", "DistError")  # DistError: the base of torch.distributed's errors


class WorkerFailure(TypedDict):
    """The error of a process: `ours` if one of Bloomery's own errors, `user` if the user can correct it."""

    ours: bool
    user: bool
    connection: bool
    text: str
    time: float


@dataclass(frozen=True)
class Exit:
    """How a process ended: its exit code (negative: the signal that killed it), and the error that it recorded."""

    rank: int
    host: str
    status: int
    failure: WorkerFailure | None = None

    @property
    def was_killed(self) -> bool:
        return self.status < 0 and self.status != -signal.SIGTERM

    @property
    def was_preempted(self) -> bool:
        return self.status in (Preempted.exit_code, -signal.SIGTERM)


@dataclass(frozen=True)
class Ending:
    """Why a gang ended early: what happened, in a clause, and the error to raise if it is not started again.

    `kind` is None for an error that would happen again. `worker`, `host`: the lost one's, as far as they are known.
    """

    kind: Kind | None
    what: str
    error: BloomeryError
    worker: str = ""
    host: str = ""


def failure_of(error: BaseException, stage: str) -> WorkerFailure:
    """The record of an exception."""
    ours = isinstance(error, BloomeryError)
    text = str(error)
    if not ours:
        last = traceback.extract_tb(error.__traceback__)[-1]
        first_line = next(iter(text.strip().splitlines()), "")
        place = f"at {Path(last.filename).name}:{last.lineno}; the whole trace is in log.txt"
        text = f"{stage}: {type(error).__name__}: {first_line} ({place})"
    is_connection = not ours and is_connection_error(error)
    return {
        "ours": ours, "user": isinstance(error, UserError), "connection": is_connection, "text": text,
        "time": time.time(),
    }  # fmt: skip


def is_connection_error(error: BaseException) -> bool:
    """Whether an exception says that another process can no longer be reached."""
    if any(base.__name__ in CONNECTION_TYPES for base in type(error).__mro__):
        return True
    return type(error) is RuntimeError and any(word in str(error).lower() for word in CONNECTION_WORDS)


def error_of(failures: Sequence[WorkerFailure]) -> BloomeryError | None:
    """The error to raise for these failures: our own come first, and last lost connections, which follow from others.

    Of several of a kind it is the earliest.
    """
    if not failures:
        return None
    first = min(failures, key=lambda failure: (not failure["ours"], failure["connection"], failure["time"]))
    return UserError(first["text"]) if first["user"] else StageFailed(first["text"])


def read_failures(folder: Path) -> list[WorkerFailure]:
    """The failures that processes recorded in a folder."""
    return [read_json(path) for path in sorted(folder.glob("failed-*.json"))]


def ending_of(exits: Sequence[Exit], lost: Mapping[str, str], *, stage: str, made_steps: bool) -> Ending | None:
    """Why a gang ended early; None if it has not.

    `lost`: the hosts that are gone, and why. `made_steps`: this start of the gang has finished steps, so its processes
    could reach each other. An error of our own in any process counts before a death, because a death does not cause it.
    """
    failures = [each.failure for each in exits if each.failure is not None]
    own = error_of([failure for failure in failures if failure["ours"]])
    if own is not None:
        return Ending(None, str(own), own)
    for host, reason in sorted(lost.items()):
        what = f"host {host} was lost ({reason})"
        return Ending("lost", what, StageFailed(f"{stage}: {what}."), host=host)
    if killed := [each for each in exits if each.was_killed]:
        what = f"{_worker(killed[0])} was killed ({_signal(-killed[0].status)})"
        hint = ": out of memory is the usual reason" if killed[0].status == -signal.SIGKILL else "; see log.txt"
        return Ending("died", what, StageFailed(f"{stage}: {what}{hint}."), *_place(killed[0]))
    if preempted := [each for each in exits if each.was_preempted]:
        what = f"{_worker(preempted[0])} was asked to end"
        error = Preempted(f"{stage}: {what}. The same command continues.")
        return Ending("preempted", what, error, *_place(preempted[0]))
    return _error(exits, stage, made_steps)


def _error(exits: Sequence[Exit], stage: str, made_steps: bool) -> Ending | None:
    """The ending by an exception, or without any record."""
    failed = [each for each in exits if each.status]
    if not failed:
        return None
    failures = [each.failure for each in failed if each.failure is not None]
    error = error_of(failures)
    if error is None:
        what = f"{_worker(failed[0])} ended with exit code {failed[0].status} and without an error message"
        return Ending("died", what, StageFailed(f"{stage}: {what}. See log.txt."), *_place(failed[0]))
    if made_steps and all(failure["connection"] for failure in failures):
        what = f"{_worker(failed[0])} lost the connection to another worker"
        return Ending("connection", what, error, *_place(failed[0]))
    return Ending(None, str(error), error)


def _place(ended: Exit) -> tuple[str, str]:
    return str(ended.rank), ended.host


def _worker(ended: Exit) -> str:
    where = f" on {ended.host}" if ended.host else ""
    return f"worker {ended.rank}{where}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
