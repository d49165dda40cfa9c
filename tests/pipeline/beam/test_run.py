"""run_tasks: results in order, resume, errors word for word and at once, dead workers, orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.core.errors import ProcessDied, StageFailed, UserError
from pipeline.core.job import Job

MakeJob = Callable[..., Job]
ISOLATIONS = ("threads", "processes")
# a worker that is gone leaves a broken pipe to a thread of Beam's; the stage's log is where it tells
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
WORK = """
import os, signal, time
from pipeline.core.errors import StageFailed, UserError

def done(job, task):
    with open(job.place.scratch / "seen", "a") as stream:
        stream.write(task.key + "\\n")
    return {"text": task.payload["text"], "pid": os.getpid(), "threads": os.environ.get("POLARS_MAX_THREADS")}

def wrong_input(job, task):
    if task.key == "t3":
        raise UserError("data/语料.jsonl:7: 编码错误. Fix the line.")
    return done(job, task)

def our_mistake(job, task):
    if task.key == "t3":
        raise ValueError("bad offset 第七行")
    return done(job, task)

def slow_after_error(job, task):
    if task.key == "t0":
        raise StageFailed("the first task failed.")
    time.sleep(0.5)
    return done(job, task)

def killed(job, task):
    if task.key == "t3":
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return done(job, task)

def sleeping(job, task):
    done(job, task)
    time.sleep(60)
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module of the user's, found by the driver's import path: workers must find it too."""
    name = f"work_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(WORK, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield __import__(name)
    sys.modules.pop(name, None)


def tasks_of(count: int) -> list[Task]:
    """t0 is the largest, so it is the first that is dealt out."""
    return [Task(f"t{number}", 9 + 10 // (number + 1), {"text": f"文档 {number}"}) for number in range(count)]


def seen(job: Job) -> list[str]:
    path = job.place.scratch / "seen"
    return path.read_text().split() if path.exists() else []


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_results_come_back_in_the_order_of_the_tasks(isolation: Any, work: ModuleType, make_job: MakeJob) -> None:
    job, tasks = make_job(workers=2), tasks_of(9)
    results = run_tasks(job, "step", tasks, work.done, isolation=isolation)
    assert [result["text"] for result in results] == [task.payload["text"] for task in tasks]
    assert sorted(seen(job)) == sorted(task.key for task in tasks)


def test_processes_are_as_many_as_the_job_says_and_share_the_cores(work: ModuleType, make_job: MakeJob) -> None:
    results = run_tasks(make_job(workers=2), "step", tasks_of(8), work.done, isolation="processes")
    assert len({result["pid"] for result in results} - {os.getpid()}) == 2
    assert {result["threads"] for result in results} == {str(max(1, len(os.sched_getaffinity(0)) // 2))}


def test_a_task_that_has_a_result_is_not_run_again(work: ModuleType, make_job: MakeJob) -> None:
    job, tasks = make_job(), tasks_of(5)
    run_tasks(job, "step", tasks[:3], work.done)
    results = run_tasks(job, "step", tasks, work.done)
    assert len(results) == 5
    assert sorted(seen(job)) == ["t0", "t1", "t2", "t3", "t4"]


def test_no_tasks_are_no_work(work: ModuleType, make_job: MakeJob) -> None:
    assert run_tasks(make_job(), "step", [], work.done) == []


def test_keys_that_are_no_file_names_are_refused(work: ModuleType, make_job: MakeJob) -> None:
    for keys in (["a", "a"], ["a/b"], [""]):
        with pytest.raises(StageFailed, match="step"):
            run_tasks(make_job(), "step", [Task(key, 1, {}) for key in keys], work.done)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_an_error_of_ours_comes_out_as_it_was_raised(isolation: Any, work: ModuleType, make_job: MakeJob) -> None:
    with pytest.raises(UserError) as caught:
        run_tasks(make_job(workers=2), "step", tasks_of(6), work.wrong_input, isolation=isolation)
    assert str(caught.value) == "data/语料.jsonl:7: 编码错误. Fix the line."


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_any_other_error_becomes_one_sentence_and_its_traceback_is_logged(
    isolation: Any, work: ModuleType, make_job: MakeJob
) -> None:
    job = make_job(workers=2)
    with pytest.raises(StageFailed) as caught:
        run_tasks(job, "step", tasks_of(6), work.our_mistake, isolation=isolation)
    assert str(caught.value).startswith("test: step: t3: ValueError: bad offset 第七行. ")
    assert "\n" not in str(caught.value)
    assert "our_mistake" in job.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_the_first_error_ends_the_step_before_the_other_workers_are_through(
    isolation: Any, work: ModuleType, make_job: MakeJob
) -> None:
    job = make_job(workers=2)
    with pytest.raises(StageFailed, match="the first task failed"):
        run_tasks(job, "step", tasks_of(40), work.slow_after_error, isolation=isolation)
    assert len(seen(job)) <= 2


def test_what_was_finished_before_an_error_is_kept(work: ModuleType, make_job: MakeJob) -> None:
    job, tasks = make_job(), tasks_of(6)
    with pytest.raises(UserError):
        run_tasks(job, "step", tasks, work.wrong_input)
    before = set(seen(job))
    run_tasks(job, "step", tasks, work.done)
    assert len(seen(job)) == 6
    assert before


def test_a_killed_worker_is_an_error_at_once_that_names_its_task(work: ModuleType, make_job: MakeJob) -> None:
    started = time.monotonic()
    with pytest.raises(ProcessDied, match=r"killed by signal 9 \(out of memory\?\) while working on t3") as died:
        run_tasks(make_job(workers=2), "step", tasks_of(30), work.killed, isolation="processes")
    assert (died.value.what, died.value.task) == ("a worker process was killed by signal 9", "t3")
    assert time.monotonic() - started < 120


def test_workers_end_when_the_driver_is_killed(work: ModuleType, tmp_path: Path) -> None:
    script = f"""
        import sys; sys.path.insert(0, {str(tmp_path)!r})
        import {work.__name__} as work
        from pathlib import Path
        from pipeline.beam.run import run_tasks
        from pipeline.beam.task import Task
        from pipeline.core.inputs import Inputs
        from pipeline.core.job import Identity, Job, Resources
        from pipeline.core.places import JobPaths
        root = Path({str(tmp_path)!r})
        identity = Identity("test", 1, "documents", "", "0" * 64, {{}}, 17)
        job = Job(identity, Inputs(), JobPaths(root, root, root, root / "log.txt"), Resources(workers=2))
        tasks = [Task(f"t{{number}}", 1, {{"text": ""}}) for number in range(2)]
        run_tasks(job, "step", tasks, work.sleeping, isolation="processes")
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)]) as driver:
        children: list[psutil.Process] = []
        deadline = time.monotonic() + 120
        while len(children) < 2 or not (tmp_path / "seen").exists():
            assert time.monotonic() < deadline, "the workers did not start"
            time.sleep(0.1)
            children = psutil.Process(driver.pid).children()
        driver.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive
