"""A full disk and exhausted memory: one sentence, whatever was finished is kept, and the same command resumes."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from pipeline.beam.local import FolderChannel
from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.core.errors import StageFailed
from pipeline.core.job import Job
from pipeline.core.shortage import shortage_in, shortage_of

MakeJob = Callable[..., Job]
ISOLATIONS = ("threads", "processes")
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
WORK = """
import errno, os, resource
import numpy as np
from pipeline.beam.local import FolderChannel

def done(job, task):
    with open(job.place.scratch / "seen", "a") as stream:
        stream.write(task.key + "\\n")
    return {"key": task.key}

def disk_full(job, task):
    if task.key == "t2":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(job.folder / "spill/a.bin"))
    return done(job, task)

def disk_full_for_errors_too(job, task):
    def record(self, failure):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if task.key == "t2":
        FolderChannel.record = record
    return disk_full(job, task)

def starved(job, task):
    if task.key == "t2":
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (128 << 20), resource.RLIM_INFINITY))
        np.ones(1 << 29)
    return done(job, task)

def aborted(job, task):
    if task.key == "t2":
        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\\n")
        os.abort()
    return done(job, task)
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    name = f"starving_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(WORK, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return __import__(name)


def tasks_of(count: int) -> list[Task]:
    return [Task(f"t{number}", count - number, {}) for number in range(count)]


def failed(job: Job, work: Any, isolation: Any) -> str:
    with pytest.raises(StageFailed) as caught:
        run_tasks(job, "step", tasks_of(4), work, isolation=isolation)
    message = str(caught.value)
    assert "\n" not in message
    assert "run the same command again: finished tasks are kept." in message
    return message


def resumed(job: Job, work: ModuleType) -> None:
    """What was finished before is not done again, and nothing is missing."""
    assert [result["key"] for result in run_tasks(job, "step", tasks_of(4), work.done)] == ["t0", "t1", "t2", "t3"]
    assert sorted((job.place.scratch / "seen").read_text().split()) == ["t0", "t1", "t2", "t3"]


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_full_disk_is_one_sentence_and_resumes(isolation: str, work: ModuleType, make_job: MakeJob) -> None:
    job = make_job()
    message = failed(job, work.disk_full, isolation)
    assert message.startswith("test: step: t2: no space left on the disk (")
    assert "spill/a.bin" in message
    resumed(job, work)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_disk_too_full_to_record_the_error_is_the_same_sentence(
    isolation: str, work: ModuleType, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FolderChannel, "record", FolderChannel.record)  # the work changes it in this process too
    job = make_job()
    assert "no space left on the disk" in failed(job, work.disk_full_for_errors_too, isolation)
    resumed(job, work)


def test_a_worker_process_under_a_memory_limit_is_one_sentence_and_resumes(work: ModuleType, make_job: MakeJob) -> None:
    job = make_job(workers=2)
    message = failed(job, work.starved, "processes")
    assert message.startswith("test: step: t2: out of memory (")
    assert "Use fewer workers than 2, or raise the limit (ulimit -v)" in message
    resumed(job, work)


def test_a_worker_that_a_library_aborts_for_memory_says_so(work: ModuleType, make_job: MakeJob) -> None:
    message = failed(make_job(), work.aborted, "processes")
    assert message.startswith("test: step: t2: out of memory (a worker process ended with -6)")


def test_threads_under_a_memory_limit_are_one_sentence_and_resume(
    work: ModuleType, make_job: MakeJob, tmp_path: Path
) -> None:
    job = make_job()
    script = f"""
        import json, sys; sys.path.insert(0, {str(tmp_path)!r})
        import {work.__name__} as work
        from pathlib import Path
        from pipeline.beam.run import run_tasks
        from pipeline.beam.task import Task
        from pipeline.core.errors import StageFailed
        from pipeline.core.job import Job
        tasks = [Task(f"t{{number}}", 4 - number, {{}}) for number in range(4)]
        try:
            run_tasks(Job.from_dict(json.loads(sys.argv[1])), "step", tasks, work.starved)
        except StageFailed as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), json.dumps(job.to_dict())], text=True, capture_output=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.startswith("test: step: t2: out of memory (")
    assert len(done.stdout.splitlines()) == 1
    resumed(job, work)


@pytest.mark.parametrize(
    ("error", "shortage"),
    [
        (OSError(errno.ENOSPC, "x"), "disk"),
        (OSError(errno.EDQUOT, "x"), "disk"),
        (OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"), "disk"),
        (MemoryError(), "memory"),
        (pa.lib.ArrowMemoryError("malloc of size 64 failed"), "memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (RuntimeError("std::bad_alloc"), "memory"),
        (RuntimeError("can't start new thread"), "memory"),
        (OSError(errno.ENOENT, "no such file"), None),
        (ValueError("bad offset"), None),
    ],
    ids=str,
)
def test_a_shortage_is_known_whoever_reports_it(error: Exception, shortage: str | None) -> None:
    assert shortage_of(error) == shortage


def test_the_output_of_a_dead_process_tells_a_shortage() -> None:
    assert shortage_in("memory allocation of 1073741824 bytes failed\n") == "memory"
    assert shortage_in("Segmentation fault\n") is None
