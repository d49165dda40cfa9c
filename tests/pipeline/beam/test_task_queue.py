"""TaskQueue: largest first, lost tasks again, copies of slow ones, and every task done once; without a clock."""

from __future__ import annotations

import random

import pytest

from pipeline.beam.task_queue import MOST_LOSSES, TaskQueue


def test_tasks_are_drawn_in_their_order_and_each_once() -> None:
    queue = TaskQueue([30, 20, 10])
    assert [queue.draw(worker, 0.0) for worker in "abc"] == [0, 1, 2]
    assert queue.draw("d", 0.0) is None
    for worker in "abc":
        queue.finish(worker, 1.0)
    assert queue.finished


def test_the_task_of_a_lost_worker_comes_before_smaller_ones() -> None:
    queue = TaskQueue([30, 20, 10])
    queue.draw("a", 0.0)
    loss = queue.lose("a")
    assert loss is not None
    assert (loss.number, loss.losses, loss.waits) == (0, 1, True)
    assert queue.draw("b", 0.0) == 0


def test_losses_are_counted_for_each_task() -> None:
    queue = TaskQueue([2, 1])
    for losses in range(1, MOST_LOSSES + 1):
        assert queue.draw("a", 0.0) == 0
        loss = queue.lose("a")
        assert loss is not None
        assert loss.losses == losses
    assert queue.losses == {0: MOST_LOSSES}


def test_a_worker_without_a_task_is_lost_without_consequence() -> None:
    queue = TaskQueue([1])
    assert queue.lose("nobody") is None


def slow_queue() -> TaskQueue:
    """Task 0 runs since 0.0 at a; the others took a second each."""
    queue = TaskQueue([10, 10, 10, 10])
    queue.draw("a", 0.0)
    for at in range(3):
        queue.draw("b", float(at))
        queue.finish("b", at + 1.0)
    return queue


def test_a_slow_task_is_copied_once_and_only_when_nothing_waits() -> None:
    queue = slow_queue()
    assert queue.draw("b", 4.0) is None  # too early to say
    assert queue.draw("b", 6.0) == 0
    assert queue.draw("c", 60.0) is None


def test_the_first_of_two_copies_counts() -> None:
    queue = slow_queue()
    queue.draw("b", 6.0)
    assert queue.finish("b", 7.0) == 0
    assert queue.finished
    assert queue.idle_copies() == ["a"]
    assert queue.finish("a", 9.0) is None


def test_a_lost_copy_does_not_wait_while_the_other_runs() -> None:
    queue = slow_queue()
    queue.draw("b", 6.0)
    loss = queue.lose("a")
    assert loss is not None
    assert not loss.waits
    assert queue.lose("b") == type(loss)(0, 2, True)
    assert queue.draw("c", 8.0) == 0


def test_a_large_task_is_given_the_time_that_its_size_explains() -> None:
    queue = TaskQueue([1000, 10, 10])
    queue.draw("a", 0.0)
    for at in range(2):
        queue.draw("b", float(at))
        queue.finish("b", at + 1.0)
    assert queue.draw("b", 150.0) is None
    assert queue.draw("b", 201.0) == 0


@pytest.mark.parametrize("seed", range(20))
def test_every_task_is_done_whoever_is_lost(seed: int) -> None:
    draw = random.Random(seed)
    queue, now, done = TaskQueue(sorted((draw.randint(1, 99) for _ in range(40)), reverse=True)), 0.0, []
    busy: set[str] = set()
    while not queue.finished:
        now += draw.random() * 4
        worker = draw.choice("abcd")
        if worker not in busy:
            if queue.draw(worker, now) is not None:
                busy.add(worker)
            continue
        busy.discard(worker)
        if draw.random() < 0.3:
            queue.lose(worker)
        elif (number := queue.finish(worker, now)) is not None:
            done.append(number)
    assert sorted(done) == list(range(40))
