"""Allows one run at a time in a work directory behind a URL, wherever runs start: a lease that its holder renews.

    lease/<n>.json   the n-th holder: host, process, command, a nonce, and how often it renewed; n alone writes it

Who wants the lease reads the highest number. A holder that renews, or whose process lives on this machine, is named in
the error. One that does not renew for PERIOD_S, on the clock of who waits, has crashed: its successor takes the next
number with a conditional put, and only one can. No clock is compared with another. A holder that was cut off finds its
successor at its next renewal and stops; what it still wrote belongs to attempts that are never published.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TypedDict, cast

from cluster.machine_processes import process_start_ticks
from pipeline.core.backends.remote_draft import name_of
from pipeline.core.errors import BloomeryError
from pipeline.core.files import JsonObject
from pipeline.core.objects import ObjectStore
from pipeline.core.sealed import sealed

FOLDER = "lease"
RENEWAL_S, PERIOD_S, POLL_S = 5.0, 20.0, 1.0


class WorkdirLocked(BloomeryError):
    """Another run is using the work directory."""


class Holder(TypedDict):
    """A lease object. `machine`: what names a table of processes; `born`: when the process started, in ticks."""

    host: str
    machine: str
    pid: int
    born: int
    command: str
    since: str
    nonce: str
    renewals: int
    released: bool


@contextmanager
def lease(url: str, command: str, *, say: Callable[[str], None] = print) -> Iterator[Callable[[], None]]:
    """Hold the lease of a work directory. Gives a function that raises WorkdirLocked once the lease was lost.

    `say` is told when a holder may have crashed, and is waited for.

    Raises: WorkdirLocked, which names the holder; StageFailed when the store does not answer.
    """
    objects = ObjectStore(url)
    number, holder = _take(objects, command, say)
    ended = threading.Event()
    renewal = _Renewal(objects, number, holder, ended)
    renewal.start()
    try:
        yield renewal.check
    finally:
        ended.set()
        renewal.join()
        if renewal.successor is None:
            # a lease that cannot be given back ends with its period
            with suppress(BloomeryError):
                objects.put(_key(number), sealed(_json({**holder, "released": True})))


def _take(objects: ObjectStore, command: str, say: Callable[[str], None]) -> tuple[int, Holder]:
    while True:
        number, current = _current(objects)
        if current is not None and not current["released"]:
            _wait_until_dead(objects, number, current, say)
        holder = _new_holder(command)
        if objects.put_if_absent(_key(number + 1), sealed(_json(holder))):
            objects.delete_all(key for key in objects.list(FOLDER) if int(name_of(key)) <= number)
            return number + 1, holder


def _wait_until_dead(objects: ObjectStore, number: int, holder: Holder, say: Callable[[str], None]) -> None:
    """Return when the holder is dead.

    Raises: WorkdirLocked when it is alive.
    """
    if holder["machine"] == _machine():
        if process_start_ticks(holder["pid"]) == holder["born"]:
            raise _busy(objects.url, holder)
        return
    owner = f"process {holder['pid']} on {holder['host']}"
    say(f"{objects.url}: {owner} held this work directory. Looking for up to {PERIOD_S:.0f} s whether it is alive.")
    end = time.monotonic() + PERIOD_S
    while time.monotonic() < end:
        time.sleep(POLL_S)
        current_number, current = _current(objects)
        if current is None or current["released"]:
            return
        if current_number != number or current["renewals"] != holder["renewals"]:
            raise _busy(objects.url, current)


def _current(objects: ObjectStore) -> tuple[int, Holder | None]:
    """The highest number, and its holder; 0 where there never was one."""
    while True:
        numbers = [int(name_of(key)) for key in objects.list(FOLDER)]
        if not numbers:
            return 0, None
        # a successor may have deleted it meanwhile
        with suppress(FileNotFoundError):
            return max(numbers), cast(Holder, objects.read_record(_key(max(numbers))))


class _Renewal(threading.Thread):
    """Renews a lease until `ended`, or until there is a successor."""

    def __init__(self, objects: ObjectStore, number: int, holder: Holder, ended: threading.Event) -> None:
        super().__init__(name="lease", daemon=True)
        self.objects, self.number, self.holder, self.ended = objects, number, holder, ended
        self.successor: Holder | None = None

    def run(self) -> None:
        while not self.ended.wait(RENEWAL_S):
            # while the store does not answer nobody can take the lease, and nothing can be published
            with suppress(BloomeryError):
                number, current = _current(self.objects)
                if number > self.number and current is not None:
                    self.successor = current
                    return
                self.holder["renewals"] += 1
                self.objects.put(_key(self.number), sealed(_json(self.holder)))

    def check(self) -> None:
        """Raises: WorkdirLocked when another run has taken the lease."""
        if self.successor is not None:
            message = f"the lease of this run was not renewed for {PERIOD_S:.0f} s, and was taken over: "
            raise WorkdirLocked(f"{message}{_busy(self.objects.url, self.successor)}")


def _new_holder(command: str) -> Holder:
    return {
        "host": socket.gethostname(), "machine": _machine(), "pid": os.getpid(),
        "born": process_start_ticks(os.getpid()), "command": command, "since": f"{datetime.now():%H:%M:%S}",
        "nonce": secrets.token_hex(8), "renewals": 0, "released": False,
    }  # fmt: skip


def _machine() -> str:
    """Differs between two machines, two starts of one, and two containers: each has a table of processes of its own."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"


def _busy(url: str, holder: Holder) -> WorkdirLocked:
    owner = f"process {holder['pid']} on {holder['host']} since {holder['since']} (`{holder['command']}`)"
    stop = f"stop it there: kill {holder['pid']}"
    return WorkdirLocked(f"{url}: {owner} is using this work directory. Wait for it, or {stop}.")


def _key(number: int) -> str:
    return f"{FOLDER}/{number:06d}.json"


def _json(holder: Holder) -> JsonObject:
    return dict(holder)
