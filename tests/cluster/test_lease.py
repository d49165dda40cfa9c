"""One run at a time in a work directory behind a URL: living holders are named, dead ones have one successor."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from cluster import lease as leases
from cluster.lease import WorkdirLocked, lease
from pipeline.core.objects import ObjectStore


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(leases, "RENEWAL_S", 0.05)
    monkeypatch.setattr(leases, "PERIOD_S", 0.8)
    monkeypatch.setattr(leases, "POLL_S", 0.05)
    if request.param == "file":
        yield f"file://{tmp_path}/bucket"
        return
    yield f"memory://{tmp_path.name}"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run takes itself to be on a machine of its own."""
    numbers = iter(range(1000))
    monkeypatch.setattr(leases, "_machine", lambda: f"machine {next(numbers)}")


def test_a_second_run_on_this_machine_is_refused_at_once_and_names_the_first(url: str) -> None:
    with lease(url, "bloomery run a.yaml") as check:
        check()
        with (
            pytest.raises(WorkdirLocked, match=r"process \d+ on .* since .*`bloomery run a.yaml`.*kill \d+"),
            lease(url, "b"),
        ):
            pass
    with lease(url, "c") as check:
        check()


@pytest.mark.usefixtures("elsewhere")
def test_a_second_run_on_another_machine_is_refused_while_the_first_renews(url: str) -> None:
    refused = pytest.raises(WorkdirLocked, match="`bloomery run a.yaml`")
    with lease(url, "bloomery run a.yaml"), refused, lease(url, "b"):
        pass
    with lease(url, "c"):
        assert len(ObjectStore(url).list("lease")) == 1


@pytest.mark.usefixtures("elsewhere")
def test_a_holder_that_does_not_renew_is_succeeded_and_finds_out(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = threading.Event()
    current = leases._current

    def slow(objects: ObjectStore) -> tuple[int, leases.Holder | None]:
        if threading.current_thread().name == "lease" and not silent.is_set():
            silent.wait(30)
        return current(objects)

    monkeypatch.setattr(leases, "_current", slow)
    with lease(url, "first") as check_first, lease(url, "second") as check_second:
        silent.set()
        for thread in threading.enumerate():
            if isinstance(thread, leases._Renewal) and thread.holder["command"] == "first":
                thread.join(10)
        with pytest.raises(WorkdirLocked, match="was taken over: .*`second`"):
            check_first()
        check_second()


@pytest.mark.usefixtures("elsewhere")
def test_of_many_successors_one_wins(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = ObjectStore(url)
    dead = leases._new_holder("dead")
    assert objects.put_if_absent("lease/000007.json", leases.sealed(leases._json(dead)))
    winners, losers, done = list[int](), list[str](), threading.Event()

    def start(number: int) -> None:
        try:
            with lease(url, f"run {number}"):
                winners.append(number)
                done.wait(20)
        except WorkdirLocked as error:
            losers.append(str(error))

    threads = [threading.Thread(target=start, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while len(winners) + len(losers) < 4:
        threads[0].join(0.05)
    done.set()
    for thread in threads:
        thread.join(10)
    assert len(winners) == 1 and all(f"`run {winners[0]}`" in error for error in losers)


def test_a_process_that_died_on_this_machine_is_succeeded_without_a_wait(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "PERIOD_S", 600.0)
    dead = {**leases._new_holder("dead"), "pid": 2**22 + 1, "born": 5}
    ObjectStore(url).put("lease/000003.json", leases.sealed(dead))
    with lease(url, "next") as check:
        check()
        assert ObjectStore(url).list("lease") == ["lease/000004.json"]


@pytest.mark.parametrize("url", ["memory"], indirect=True)  # a disk loses no answers
def test_a_lost_answer_to_a_claim_is_found(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    system = type(ObjectStore(url)._root[0])
    pipe = system.pipe_file
    lost: list[str] = []

    def losing(self: object, path: str, value: bytes, mode: str = "overwrite", **options: object) -> None:
        pipe(self, path, value, mode=mode, **options)
        if mode == "create" and not lost:
            lost.append(path)
            raise TimeoutError("the answer was lost")

    monkeypatch.setattr(system, "pipe_file", losing)
    with lease(url, "a") as check:
        check()
        assert lost and ObjectStore(url).list("lease") == ["lease/000001.json"]
