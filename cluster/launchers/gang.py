"""Run a gang to its end, on whatever hosts there are: start it, watch it, and start it again when it may go on.

Processes of a gang cannot replace one of them, so when one is lost all are started again, from the last complete
checkpoint: on the hosts that remain, or on more again. Each start has a number, its incarnation, by which the trainer
keeps the checkpoints of a start that goes on unseen (on a host that was cut off) apart from those that count.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from cluster.launchers.base import LaunchOrder
from cluster.launchers.failures import Ending, Exit, ending_of
from cluster.launchers.heartbeats import Heartbeats
from cluster.launchers.host import INCARNATION, HostReport, ranks_environment
from cluster.launchers.hosts import GangHosts, HostsLost
from cluster.launchers.placement import Placement, largest, place
from pipeline.core.errors import Preempted, StageFailed
from pipeline.core.files import JsonObject
from pipeline.core.job import Job
from pipeline.core.journal import Recovery
from pipeline.core.messages import GangRecovered, GangRestarted, WorkerLost

POLL_S = 0.5
SETTLE_S = 3.0  # after an exception in a worker: another may have died of the cause, or record its own error
SAVE_S = 120.0  # for the others to save, once one has ended because it was asked to
STACKS_S = 1.0  # to write the stacks of a gang that hangs
ROOM_S = 600.0  # to wait for hosts, when there are too few


@dataclass
class GangRun:
    """A gang of a stage; `run` returns when it is done."""

    hosts: GangHosts
    order: LaunchOrder
    spec: JsonObject
    sizes: Sequence[int]
    max_failures: int
    job: Job
    recoveries: list[Recovery] = field(default_factory=list)
    failures: int = 0
    incarnation: int = 0

    def run(self) -> list[Recovery]:
        """Run until every process has finished.

        Raises: StageFailed or UserError of a worker, or when it ended early too often; Preempted when this process
        was asked to end.
        """
        with _stop_requests() as stop_request:
            lost_at, interrupted = 0.0, None
            while True:
                start = _Start(self, stop_request, interrupted, lost_at)
                ending = start.run()
                if ending is None:
                    return self.recoveries
                self.hosts.stop()
                if start.interrupted is not None:  # it ended again before its first step
                    start.tell_recovery(time.monotonic() if start.beats.heard else start.started)
                if stop_request.is_set():
                    raise Preempted(f"{self.job.stage}: asked to end; what is saved is kept.")
                self._count(ending)
                interrupted, lost_at = _interruption(ending, start.beats), start.last_sign

    def _count(self, ending: Ending) -> None:
        """Decide whether to go on.

        Raises: the error of the ending, if the gang is not started again.
        """
        if ending.kind is None:
            raise ending.error
        self.failures += ending.kind != "preempted"
        if self.failures > self.max_failures:
            if not self.max_failures:
                raise ending.error
            times = f"cluster.max_failures: {self.max_failures} is reached"
            raise StageFailed(f"{str(ending.error).rstrip('.')} ({times}).") from ending.error
        lost: WorkerLost = {"kind": "worker_lost", "worker": ending.worker, "host": ending.host, "cause": ending.what}
        self.job.progress.send(lost)

    def placement(self) -> Placement:
        """GangHosts for the largest possible number of workers.

        Raises: StageFailed when there is no room for the smallest after ROOM_S seconds.
        """
        deadline = time.monotonic() + ROOM_S
        has_told = False
        while True:
            places = self.hosts.places()
            room = sum(places.values())
            if room < max(self.sizes):
                self.hosts.ask_for(max(self.sizes))
            if (size := largest(self.sizes, room)) is not None:
                return place(size, places, self.hosts.ready)
            if time.monotonic() > deadline:
                raise StageFailed(
                    f"{self.job.stage}: there is room for {room} workers, and {min(self.sizes)} are the least "
                    f"(waited {ROOM_S:.0f} s). Add hosts, or allow fewer workers (cluster.workers: {{min: …, max: …}})."
                )
            if not has_told:
                has_told = True
                self.job.progress.note("train", f"waiting for hosts: room for {room} of {min(self.sizes)} workers")
            time.sleep(POLL_S)

    def append_to_log(self, output: bytes) -> None:
        """What workers on other hosts printed."""
        if output:
            with self.job.log.open("ab") as log:
                log.write(output)


class _Start:
    """One start of a gang: until all processes have finished, or one has ended early."""

    def __init__(
        self, gang: GangRun, stop_request: threading.Event, interrupted: Recovery | None, lost_at: float
    ) -> None:
        self.gang, self.stop_request, self.interrupted, self.lost_at = gang, stop_request, interrupted, lost_at
        self.beats = Heartbeats()
        self.world = 0
        self.exits: dict[int, Exit] = {}
        self.lost: dict[str, str] = {}
        self.last_sign = self.started = time.monotonic()  # before what ended it; of its processes
        self.settled_at: float | None = None
        self.has_passed_on = False

    def run(self) -> Ending | None:
        """None when every process has finished; else why not."""
        gang, hosts = self.gang, self.gang.hosts
        gang.incarnation += 1
        try:
            placement = gang.placement()
            self.world = sum(map(len, placement.values()))
            shared = {**hosts.rendezvous(placement), INCARNATION: str(gang.incarnation)}
        except HostsLost as error:
            self.lost = {hosts.describe(host): reason for host, reason in error.args[0].items()}
            return self._ending()
        variables = {
            rank: {**shared, **own}
            for ranks in placement.values() for rank, own in ranks_environment(ranks, self.world).items()
        }  # fmt: skip
        hosts.start(placement, gang.order, gang.spec, variables)
        if self.interrupted is not None:
            restarted: GangRestarted = {
                "kind": "gang_restarted", "attempt": gang.incarnation, "workers": self.world,
                "cause": self.interrupted["what"],
            }  # fmt: skip
            gang.job.progress.send(restarted)
        self.started = time.monotonic()
        while True:
            reports, lost = hosts.poll(POLL_S)
            now = time.monotonic()
            for host, report in reports.items():
                self._take(host, report, now)
            self.lost |= {hosts.describe(host): reason for host, reason in lost.items()}
            self._leave(hosts.leaving())
            is_done = len(self.exits) == self.world and not any(each.status for each in self.exits.values())
            if self.interrupted is not None and (is_done or self.beats.has_made_a_step):
                # a target that reports no steps: the start counts
                self.tell_recovery(now if self.beats.heard else self.started)
            if is_done:
                return None
            if (ending := self._ended(now)) is not None:
                return ending

    def _take(self, host: str, report: HostReport, now: float) -> None:
        self.beats.update(report["beats"], now)
        for rank, ended in report["ended"].items():
            exit_ = Exit(rank, self.gang.hosts.describe(host), ended["status"], ended["failure"])
            self.exits.setdefault(rank, exit_)
        self.gang.append_to_log(report["output"])
        for message in report["progress"]:
            self.gang.job.progress.forward(message)

    def _ended(self, now: float) -> Ending | None:
        """Why the gang has ended early, once that is certain."""
        failed = [each for each in self.exits.values() if each.status]
        if self.stop_request.is_set():
            return self._save_and_end(now)
        if not failed and not self.lost:
            self.last_sign = now
            return self._hung(now)
        self.settled_at = self.settled_at or now
        preempted = any(each.was_preempted for each in failed)
        is_certain = self.lost or any(each.was_killed for each in failed) or len(self.exits) == self.world
        if any(each.failure and each.failure["ours"] for each in failed):
            is_certain = True
        if is_certain or now - self.settled_at > (SAVE_S if preempted else SETTLE_S):
            return self._ending()
        return None

    def _ending(self) -> Ending | None:
        stage, made_steps = self.gang.job.stage, self.beats.has_made_a_step
        return ending_of(list(self.exits.values()), self.lost, stage=stage, made_steps=made_steps)

    def _save_and_end(self, now: float) -> Ending | None:
        """This process was asked to end: pass it on, and wait until the workers have saved."""
        if not self.has_passed_on:
            self.has_passed_on, self.settled_at = True, now
            self.gang.hosts.signal(signal.SIGTERM)
        if len(self.exits) == self.world or self.lost or now - (self.settled_at or now) > SAVE_S:
            return Ending("preempted", "asked to end", Preempted(""))
        return None

    def _leave(self, leaving: Collection[str]) -> None:
        """A host is about to end: let the workers save, so that the gang goes on without it."""
        if leaving and not self.has_passed_on:
            self.has_passed_on = True
            self.gang.hosts.signal(signal.SIGTERM)

    def _hung(self, now: float) -> Ending | None:
        hanging = self.beats.hanging(now, self.world)
        if hanging is None:
            return None
        rank, seconds = hanging
        self.last_sign = now - seconds
        self.gang.hosts.signal(signal.SIGUSR1)  # every worker writes its stacks
        time.sleep(STACKS_S)
        reports, _ = self.gang.hosts.poll(POLL_S)
        for report in reports.values():
            self.gang.append_to_log(report["output"])
        phase, step = self.beats.phase[rank], self.beats.step.get(rank, 0)
        what = f"worker {rank} hung for {seconds:.0f} s after step {step:,} ({phase})"
        error = StageFailed(f"{self.gang.job.stage}: {what}; its stack is in log.txt.")
        return Ending("hung", what, error, str(rank))

    def tell_recovery(self, now: float) -> None:
        """Record that the gang goes on since `now`: how long that took, and what was lost."""
        recovery, gang = self.interrupted, self.gang
        assert recovery is not None
        recovery |= {
            "incarnation": gang.incarnation, "workers": self.world, "from_step": self.beats.first_step,
            "seconds": round(now - self.lost_at, 2),
        }  # fmt: skip
        gang.recoveries.append(recovery)
        message: GangRecovered = {
            "kind": "gang_recovered", "attempt": gang.incarnation, "workers": self.world, "cause": recovery["what"],
            "seconds": recovery["seconds"],
        }  # fmt: skip
        if recovery["step"] is not None and recovery["from_step"] is not None:
            message |= {"step": recovery["step"], "from_step": recovery["from_step"]}
        gang.job.progress.send(message)
        self.interrupted = None


def _interruption(ending: Ending, beats: Heartbeats) -> Recovery:
    assert ending.kind is not None
    return {
        "kind": ending.kind, "what": ending.what, "incarnation": 0, "workers": 0, "step": beats.last_step,
        "from_step": None, "seconds": 0.0,
    }  # fmt: skip


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """An event that SIGTERM sets within the block, in the main thread; elsewhere it is never set."""
    stop_request = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop_request
        return

    def note(number: int, frame: FrameType | None) -> None:
        stop_request.set()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield stop_request
    finally:
        signal.signal(signal.SIGTERM, before)
