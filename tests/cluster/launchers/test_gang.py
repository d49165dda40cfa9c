"""How a gang goes on after losses, on hosts that are told what to answer: no process is started."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import pytest

from cluster.launchers import gang
from cluster.launchers.base import LaunchOrder
from cluster.launchers.failures import WorkerFailure
from cluster.launchers.gang import GangRun
from cluster.launchers.host import Ended, HostReport
from cluster.launchers.hosts import HostsLost, Variables
from cluster.launchers.placement import Placement
from pipeline.core.errors import StageFailed
from pipeline.core.files import JsonObject
from pipeline.core.job import Job
from pipeline.core.progress import Progress

ORDER: LaunchOrder = {
    "target": "", "gang": True, "stage": "pretrain", "folder": "", "log": "", "home": "", "path": [], "gpus": 0,
}  # fmt: skip
DONE = "done"


class ToldHosts:
    """Each start plays the next event: DONE, a rank that is killed, a host that is lost, a failure, an exit code."""

    ready: tuple[str, ...] = ()

    def __init__(self, places: Mapping[str, int], events: Sequence[object]) -> None:
        self.room, self.events = dict(places), deque(events)
        self.starts: list[Placement] = []
        self.incarnations: list[str] = []
        self.stops = 0
        self.asked_for: list[int] = []

    def places(self) -> Mapping[str, int]:
        return self.room

    def ask_for(self, workers: int) -> None:
        self.asked_for.append(workers)

    def describe(self, host: str) -> str:
        return host

    def leaving(self) -> Collection[str]:
        return ()

    def rendezvous(self, placement: Placement) -> dict[str, str]:
        if self.events[0] == "no agent":
            self.events.popleft()
            raise HostsLost({next(iter(placement)): "its agent did not start within 60 s"})
        return {"MASTER_ADDR": next(iter(placement))}

    def start(self, placement: Placement, order: LaunchOrder, spec: JsonObject, variables: Variables) -> None:
        self.starts.append(placement)
        self.incarnations.append(variables[0]["BLOOMERY_INCARNATION"])
        assert {own["WORLD_SIZE"] for own in variables.values()} == {str(len(variables))}

    def poll(self, wait_s: float) -> tuple[dict[str, HostReport], dict[str, str]]:
        event, placement = self.events.popleft(), self.starts[-1]
        if isinstance(event, tuple):  # a host, gone for good
            del self.room[event[0]]
            return {}, {event[0]: "no answer for 15 s"}
        reports = {}
        for host, ranks in placement.items():
            ended: dict[int, Ended] = {}
            for rank in ranks:
                if event == DONE:
                    ended[rank] = {"status": 0, "failure": None}
                elif isinstance(event, dict):
                    ended[rank] = {"status": 1, "failure": event}  # type: ignore[typeddict-item]
                elif event == rank:
                    ended[rank] = {"status": -signal.SIGKILL, "failure": None}
                elif event == "asked":
                    ended[rank] = {"status": 80, "failure": None}
            reports[host] = HostReport(ended=ended, beats={}, start=0, output=b"", progress=[])
        return reports, {}

    def signal(self, number: int) -> None:
        pass

    def stop(self) -> None:
        self.stops += 1

    def close(self) -> None:
        pass


class Heard(Progress):
    """Keeps the messages."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "messages", [])

    def event(self, kind: str, **fields: object) -> None:
        self.messages.append({"kind": kind, **fields})  # type: ignore[attr-defined]


def run(hosts: ToldHosts, job: Job, *, sizes: Sequence[int] = (1, 2, 3), max_failures: int = 3) -> GangRun:
    run = GangRun(hosts, ORDER, {}, sizes, max_failures, job)
    run.run()
    return run


THREE = {"a": 1, "b": 1, "c": 1}


def test_a_killed_worker_is_followed_by_a_new_start_of_all_with_a_new_incarnation(job: Job) -> None:
    hosts = ToldHosts(THREE, [1, DONE])
    job = replace(job, progress=Heard())
    done = run(hosts, job)
    assert [sum(map(len, start.values())) for start in hosts.starts] == [3, 3]
    assert hosts.incarnations == ["1", "2"] and hosts.stops == 1
    [recovery] = done.recoveries
    assert recovery["kind"] == "died" and recovery["incarnation"] == 2 and recovery["workers"] == 3
    kinds = [message["kind"] for message in job.progress.messages]  # type: ignore[attr-defined]
    assert kinds == ["worker_lost", "gang_restarted", "gang_recovered"]


def test_a_lost_host_leaves_fewer_workers_and_its_return_more_again(job: Job) -> None:
    hosts = ToldHosts(THREE, [("b",), 0, DONE])
    original = hosts.start

    def start(placement: Placement, *rest: object) -> None:
        original(placement, *rest)  # type: ignore[arg-type]
        if len(hosts.starts) == 2:
            hosts.room["b"] = 1

    hosts.start = start  # type: ignore[method-assign]
    run(hosts, job)
    assert [sum(map(len, start.values())) for start in hosts.starts] == [3, 2, 3]


def test_only_possible_sizes_are_taken(job: Job) -> None:
    hosts = ToldHosts({"a": 2, "b": 2}, [("b",), DONE])
    run(hosts, job, sizes=(1, 4))
    assert hosts.asked_for == [4], "an autoscaler may bring a host back"
    assert [sum(map(len, start.values())) for start in hosts.starts] == [4, 1]


def test_failures_are_counted_and_preemptions_are_not(job: Job) -> None:
    run(ToldHosts(THREE, ["asked", "asked", "asked", 0, DONE]), job, max_failures=1)
    with pytest.raises(StageFailed, match=r"worker 0 on a was killed.*\(cluster.max_failures: 1 is reached\)\.$"):
        run(ToldHosts(THREE, [0, 0, DONE]), job, max_failures=1)


def test_no_failure_is_allowed_where_none_is_asked_for(job: Job) -> None:
    with pytest.raises(StageFailed, match=r"^pretrain: worker 2 on c was killed .SIGKILL.: out of memory [^(]*$"):
        run(ToldHosts(THREE, [2, DONE]), job, max_failures=0)


def test_an_error_of_a_worker_ends_the_run_at_once(job: Job) -> None:
    failure: WorkerFailure = {
        "ours": True, "user": False, "connection": False, "text": "the loss is not finite.", "time": 1.0,
    }  # fmt: skip
    hosts = ToldHosts(THREE, [failure, DONE])
    with pytest.raises(StageFailed, match="^the loss is not finite.$"):
        run(hosts, job)
    assert len(hosts.starts) == 1


def test_a_host_that_does_not_get_ready_counts_as_lost(job: Job) -> None:
    hosts = ToldHosts(THREE, ["no agent", DONE])
    done = run(hosts, job)
    assert done.failures == 1 and hosts.incarnations == ["2"]


def test_too_little_room_is_an_error_that_says_how_much_there_is(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gang, "ROOM_S", 0.0)
    with pytest.raises(StageFailed, match=r"there is room for 1 workers, and 2 are the least"):
        run(ToldHosts({"a": 1}, [DONE]), job, sizes=(2, 3))
