"""Where the wall time goes: every moment has one kind, lost work is counted once, and a figure changes no result."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.trainer.goodput import KINDS, Goodput, process_started


class Clock:
    """The clocks of `time`, moved by hand; `monotonic` has another origin."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        monkeypatch.setattr("time.time", lambda: self.now)
        monkeypatch.setattr("time.monotonic", lambda: self.now - 900_000.0)

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def step(goodput: Goodput, clock: Clock, number: int) -> None:
    """A step that waits 1 s for its rows and computes for 3 s."""
    goodput.begin("data_wait", step=number)
    clock.advance(1)
    goodput.begin("compute", step=number)
    clock.advance(3)
    goodput.finished(number + 1)


def test_every_second_belongs_to_one_kind(clock: Clock) -> None:
    goodput = Goodput(started=clock.now - 7)
    clock.advance(2)
    goodput.resume(None)
    step(goodput, clock, 0)
    goodput.begin("validation")
    clock.advance(5)
    goodput.begin("checkpoint")
    clock.advance(0.5)
    assert goodput.totals() == {
        "start_up": 9.0, "data_wait": 1.0, "compute": 3.0, "validation": 5.0, "checkpoint": 0.5, "restart": 0.0,
    }  # fmt: skip
    assert tuple(goodput.totals()) == KINDS


def test_a_gang_that_starts_again_counts_what_the_loss_cost_as_restart(clock: Clock, tmp_path: Path) -> None:
    started = clock.now
    first = Goodput(started, folder=tmp_path)
    clock.advance(10)
    first.resume(None)
    step(first, clock, 0)
    saved = first.saved()
    step(first, clock, 1)  # lost: 4 s
    clock.advance(6)  # until the loss is found and the gang is there again
    second = Goodput(started, folder=tmp_path)
    second.resume(saved)
    clock.advance(2)  # the checkpoint is read
    step(second, clock, 1)
    assert second.totals() == {
        "start_up": 10.0, "data_wait": 2.0, "compute": 6.0, "validation": 0.0, "checkpoint": 0.0, "restart": 12.0,
    }  # fmt: skip
    assert sum(second.totals().values()) == clock.now - started


def test_a_gang_lost_before_its_first_checkpoint_was_a_restart_too(clock: Clock, tmp_path: Path) -> None:
    started = clock.now
    first = Goodput(started, folder=tmp_path)
    clock.advance(10)
    first.resume(None)
    step(first, clock, 0)
    second = Goodput(started, folder=tmp_path)
    second.resume(None)
    totals = second.totals()
    assert (totals["start_up"], totals["restart"]) == (10.0, 4.0)


def test_another_attempt_counts_the_steps_that_it_computes_again(clock: Clock, tmp_path: Path) -> None:
    first = Goodput(clock.now, folder=tmp_path)
    first.resume(None)
    for number in range(3):
        step(first, clock, number)
    clock.advance(3600)  # killed; the same command an hour later
    second = Goodput(clock.now, folder=tmp_path)
    clock.advance(10)
    second.resume({"started": 1_000_000.0, "seconds": {"compute": 3.0}})  # of the checkpoint after step 1
    for number in range(1, 4):
        step(second, clock, number)
    assert second.totals() == {
        "start_up": 10.0, "data_wait": 1.0, "compute": 3.0, "validation": 0.0, "checkpoint": 0.0, "restart": 8.0,
    }  # fmt: skip


def test_worker_0_may_be_on_a_host_where_no_stage_has_run(clock: Clock, tmp_path: Path) -> None:
    goodput = Goodput(clock.now, folder=tmp_path / "draft" / "attempt-1")
    goodput.resume(None)
    step(goodput, clock, 0)
    goodput.finished(1, last=True)
    assert list((tmp_path / "draft" / "attempt-1").iterdir())


def test_a_clock_that_is_behind_gives_no_negative_seconds(clock: Clock) -> None:
    assert Goodput(started=clock.now + 50).totals()["start_up"] == 0.0


def test_a_process_knows_when_it_was_created() -> None:
    psutil = pytest.importorskip("psutil")
    assert process_started() == pytest.approx(psutil.Process().create_time(), abs=2.0)
