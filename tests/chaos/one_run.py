"""A run whose processes are killed: submitted, struck, submitted again where its driver ended, compared in the end."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cluster.restarts import TWICE
from tests.chaos.kills import Kill, victim_of
from tests.chaos.places import LocalPlace
from tests.support.processes import kill_group
from tests.support.small_run import Digests, of_data

POLL_S, OBSERVE_S = 0.2, 0.5
MOST_SUBMISSIONS = 8
LAST_S = 10.0  # after a run for its processes to end
OWN = ("driver", "stage", "training worker", "Beam worker")  # what a run starts, and must not leave behind
GOES_ON = OWN[1:]  # after kills of these alone a run needs no second command


@dataclass
class Outcome:
    """How a run went. `seconds` is its wall time with all its submissions; `problem` is empty where all is well.

    `missed`: kills that never came, because the run ended before: it shows nothing, and is done again.
    """

    run: int
    kills: list[dict[str, object]] = field(default_factory=list)
    resubmissions: int = 0
    seconds: float = 0.0
    digests: Digests = field(default_factory=dict)
    problem: str = ""
    missed: int = 0

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def observe(place: LocalPlace, name: str, limit_s: float) -> tuple[Outcome, Mapping[str, Sequence[float]]]:
    """An undisturbed run, and the moments at which it had a process of each class."""
    alive: dict[str, list[float]] = defaultdict(list)
    _remove(place, name)
    started = time.monotonic()
    process = place.submit(name)
    while process.poll() is None and time.monotonic() - started < limit_s:
        for victim in {victim_of(line) for line in place.processes().values()} - {None}:
            alive[str(victim)].append(round(time.monotonic() - started, 2))
        time.sleep(OBSERVE_S)
    outcome = Outcome(-1, seconds=round(time.monotonic() - started, 1), digests=place.digests(name))
    if process.poll() != 0:
        kill_group(process)
        outcome.problem = f"an undisturbed run failed: {tail(place.log(name))}"
    return outcome, alive


def perform(
    place: LocalPlace, number: int, kills: Sequence[Kill], expected: Digests, limit_s: float, *, again: int = 0
) -> Outcome:
    """A run with its kills, in a work directory of its own each time.

    `expected`: the digests of an undisturbed run; `limit_s`: when it counts as hung.
    """
    name, outcome, pending = f"run-{number:03}-{again}", Outcome(number), list(kills)
    _remove(place, name)
    started = time.monotonic()
    process, own_end = place.submit(name), False
    while not own_end and not outcome.problem:
        time.sleep(POLL_S)
        elapsed = time.monotonic() - started
        if elapsed > limit_s:
            outcome.problem = f"no end within {limit_s:.0f} s"
        if pending and elapsed >= pending[0].at_s and _strike(place, pending[0], elapsed, outcome):
            pending.pop(0)
        if process.poll() is None:
            continue
        own_end = process.returncode == 0
        if not own_end and not _may_end(outcome.kills, tail(place.log(name))):
            outcome.problem = f"it did not go on by itself: {tail(place.log(name))}"
        elif not own_end and outcome.resubmissions + 1 < MOST_SUBMISSIONS:
            outcome.resubmissions += 1
            _note_resubmission(outcome)
            process = place.submit(name)
        elif not own_end:
            outcome.problem = f"failed {MOST_SUBMISSIONS} times: {tail(place.log(name))}"
    outcome.seconds, outcome.missed = round(time.monotonic() - started, 1), len(pending)
    kill_group(process)
    _examine(place, name, outcome, expected)
    return outcome


def _strike(place: LocalPlace, kill: Kill, elapsed: float, outcome: Outcome) -> bool:
    """Kill a process of the class, if there is one."""
    pids = [pid for pid, line in place.processes().items() if victim_of(line) == kill.victim]
    if not pids:
        return False
    pid = kill.among(pids)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    outcome.kills.append({"victim": kill.victim, "at_s": round(elapsed, 1), "resubmitted": False})
    place.repair(kill.victim, pid)
    return True


def _may_end(kills: Sequence[Mapping[str, object]], printed: str) -> bool:
    """Whether a run may end before its work is done: another process was killed, or the stage twice at one task."""
    return any(kill["victim"] not in GOES_ON for kill in kills) or TWICE in printed


def _note_resubmission(outcome: Outcome) -> None:
    """The last kill ended the driver, directly or by a failure from which the run did not recover by itself."""
    if outcome.kills:
        outcome.kills[-1]["resubmitted"] = True


def _examine(place: LocalPlace, name: str, outcome: Outcome, expected: Digests) -> None:
    outcome.digests = place.digests(name)
    different = sorted(set(of_data(outcome.digests).items()) ^ set(of_data(expected).items()))
    if not outcome.problem and different:
        outcome.problem = f"other digests: {', '.join(sorted({key for key, _ in different}))}"
    end = time.monotonic() + LAST_S
    while left := [line for line in place.processes().values() if victim_of(line) in OWN]:
        if time.monotonic() > end:
            outcome.problem = outcome.problem or f"left behind: {left[0][:120]}"
            break
        time.sleep(POLL_S)
    if not outcome.problem:
        _remove(place, name)


def _remove(place: LocalPlace, name: str) -> None:
    workdir = place.workdir(name)
    if "://" not in workdir:
        shutil.rmtree(workdir, ignore_errors=True)
    place.log(name).unlink(missing_ok=True)


def tail(log: Path, lines: int = 4) -> str:
    return " | ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]) if log.exists() else ""
