"""When a stage starts again by itself: after a death, a bounded number of times, and not twice at the same task."""

from __future__ import annotations

import pickle

import pytest

from cluster.progress import StageProgress
from cluster.restarts import Restarts
from pipeline.core.errors import ProcessDied, StageFailed

KILLED = ProcessDied("signals: killed (signal 9): out of memory? Free memory.", what="its process was killed (SIGKILL)")


def at(*begun: str, finished: int = 0, step: str = "measure") -> StageProgress:
    """The progress of a stage that has begun these tasks and finished so many others."""
    progress = StageProgress("signals", started=0.0)
    progress.apply({"kind": "total", "step": step, "total": 9, "unit": "bytes", "tasks": 9}, 0.0)
    progress.apply({"kind": "add", "step": step, "n": 1, "tasks": finished}, 0.0)
    for task in begun:
        progress.apply({"kind": "task_started", "step": step, "task": task}, 0.0)
    return progress


def add(restarts: Restarts, progress: StageProgress, died: ProcessDied = KILLED) -> str:
    return restarts.add(died, progress, attempt=len(restarts.done) + 1, seconds=2.0)["what"]


def test_a_restart_says_what_died_and_at_which_tasks() -> None:
    restarts = Restarts("signals", 3)
    assert add(restarts, at("000004", "000002")) == f"{KILLED.what} while working on tasks 000002, 000004 of measure"
    assert restarts.done[0]["attempt"] == 1 and restarts.done[0]["seconds"] == 2.0
    assert add(Restarts("pretrain", 3), StageProgress("pretrain")) == KILLED.what


def test_a_finished_task_is_not_one_that_it_was_working_on() -> None:
    progress = at("a", "b")
    progress.apply({"kind": "add", "step": "measure", "n": 1, "tasks": 1, "task": "a"}, 0.0)
    assert add(Restarts("signals", 3), progress).endswith("while working on task b of measure")


def test_two_deaths_at_one_task_with_nothing_finished_in_between_end_the_run() -> None:
    restarts = Restarts("signals", 3)
    add(restarts, at("a", "b", finished=4))
    with pytest.raises(StageFailed) as raised:
        add(restarts, at("a", "c", finished=4))
    message = str(raised.value)
    assert message.startswith("signals: its process died twice in a row while working on task a of measure, and no ")
    assert message.endswith("killed (signal 9): out of memory? Free memory.")


def test_a_worker_that_dies_names_its_own_task_and_no_other() -> None:
    died = ProcessDied("signals: measure: killed", what="a worker process was killed by signal 9", task="a")
    restarts = Restarts("signals", 3)
    assert add(restarts, at("a", "b"), died).endswith("signal 9 while working on task a of measure")
    other = ProcessDied("signals: measure: killed", what="a worker process was killed by signal 9", task="b")
    add(restarts, at("a", "b"), other)
    with pytest.raises(StageFailed, match="task b of measure"):
        add(restarts, at("a", "b"), other)


@pytest.mark.parametrize(
    "second", [at("a", finished=5), at("a", step="write"), at("b"), at()],
    ids=["a task was finished", "another step", "another task", "no task known"],
)  # fmt: skip
def test_progress_in_between_lets_it_go_on(second: StageProgress) -> None:
    restarts = Restarts("signals", 3)
    add(restarts, at("a"))
    add(restarts, second)
    assert len(restarts.done) == 2


def test_the_number_of_restarts_is_bounded() -> None:
    restarts = Restarts("pretrain", 2)
    for _ in range(2):
        add(restarts, StageProgress("pretrain"))
    with pytest.raises(StageFailed, match=r"It died again after 2 restarts \(cluster.max_failures: 2\)\.$"):
        add(restarts, StageProgress("pretrain"))


def test_without_restarts_the_death_is_the_error() -> None:
    with pytest.raises(ProcessDied) as raised:
        add(Restarts("signals", 0), at("a"))
    assert raised.value is KILLED


def test_a_death_crosses_to_another_process_with_its_task() -> None:
    died = pickle.loads(pickle.dumps(ProcessDied("s: killed", what="killed", task="t3")))
    assert (str(died), died.what, died.task) == ("s: killed", "killed", "t3")
