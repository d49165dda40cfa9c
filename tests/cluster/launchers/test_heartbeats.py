"""A worker that hangs is found and named; a slow one, and one that reads a checkpoint, is not."""

from __future__ import annotations

from cluster.launchers.heartbeats import LEAST_LIMIT_S, SLOW_LIMIT_S, STEPS, Heartbeats
from cluster.launchers.host import Beat


def beat(step: int, phase: str, from_step: int = 0, **fields: float) -> Beat:
    measured = {"age_s": 0.0, "stopped_s": 0.0, "busy_s": 0.0, **fields}
    return {"step": step, "from_step": from_step, "phase": phase, **measured}  # type: ignore[typeddict-item]


def steps(seconds: float, count: int = 3) -> tuple[Heartbeats, float]:
    """Two workers that have made some steps of so many seconds; and the time."""
    beats, now = Heartbeats(), 0.0
    for step in range(count):
        now = step * seconds
        beats.update({rank: beat(step, "compute") for rank in (0, 1)}, now)
    return beats, now


def test_the_one_that_does_not_wait_is_named() -> None:
    beats, now = steps(0.5)
    beats.update({0: beat(2, "wait"), 1: beat(2, "compute", age_s=0.1)}, now)
    assert beats.hanging(now + LEAST_LIMIT_S - 1, 2) is None
    rank, silence = beats.hanging(now + LEAST_LIMIT_S + 1, 2) or (None, 0.0)
    assert rank == 1 and silence > LEAST_LIMIT_S


def test_a_stopped_process_is_named_even_while_it_saves_and_soon() -> None:
    beats, now = steps(0.5)
    beats.update({0: beat(2, "compute", busy_s=30.0), 1: beat(2, "save", stopped_s=25.0)}, now)
    assert (beats.hanging(now + LEAST_LIMIT_S + 1, 2) or (None,))[0] == 1


def test_of_two_in_the_same_place_the_busy_one_is_named() -> None:
    beats, now = steps(0.5)
    beats.update({0: beat(2, "compute", busy_s=0.1), 1: beat(2, "compute", busy_s=19.0)}, now)
    assert (beats.hanging(now + LEAST_LIMIT_S + 1, 2) or (None,))[0] == 1


def test_where_all_wait_the_one_furthest_behind_is_named() -> None:
    beats, now = steps(0.5)
    beats.update({0: beat(2, "wait"), 1: beat(3, "wait")}, now)
    assert (beats.hanging(now + 60, 2) or (None,))[0] == 0


def test_long_steps_are_given_time() -> None:
    beats, now = steps(30.0)
    assert beats.hanging(now + 30.0 * STEPS - 1, 2) is None
    assert beats.hanging(now + 30.0 * STEPS + 1, 2) is not None


def test_reading_a_checkpoint_or_saving_may_take_long_but_not_for_ever() -> None:
    for phase in ("load", "save", "validate"):
        beats, now = steps(0.5)
        beats.update({0: beat(2, phase), 1: beat(2, "wait")}, now)
        assert beats.hanging(now + SLOW_LIMIT_S - 1, 2) is None
        assert (beats.hanging(now + SLOW_LIMIT_S + 1, 2) or (None,))[0] == 0


def test_the_first_step_may_take_as_long() -> None:
    beats = Heartbeats()
    beats.update({rank: beat(30, "compute", from_step=30) for rank in (0, 1)}, 0.0)
    assert beats.hanging(SLOW_LIMIT_S - 1, 2) is None
    assert beats.hanging(SLOW_LIMIT_S + 1, 2) is not None
    beats.update({rank: beat(31, "compute", from_step=30) for rank in (0, 1)}, 1.0)
    assert beats.hanging(1.0 + LEAST_LIMIT_S + 1, 2) is not None


def test_workers_that_say_nothing_are_not_judged() -> None:
    beats, now = steps(0.5)
    assert beats.hanging(now + 10_000, 3) is None
    assert Heartbeats().hanging(10_000, 2) is None


def test_the_step_of_the_checkpoint_is_what_the_worker_says() -> None:
    beats = Heartbeats()
    beats.update({0: beat(30, "load", from_step=30)}, 0.0)
    assert not beats.has_made_a_step and beats.first_step is None
    beats.update({0: beat(32, "compute", from_step=30)}, 1.0)  # two steps between two reports
    assert beats.has_made_a_step and (beats.first_step, beats.last_step) == (30, 32)
