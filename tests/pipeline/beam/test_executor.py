"""The seam behind `run_tasks`: an executor that shares nothing but files and JSON gives the same results and errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline.beam.failure import Failure
from pipeline.beam.run import run_tasks
from pipeline.beam.shuffle import run_shuffle
from pipeline.beam.task import JobStep, Task
from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed, UserError
from pipeline.core.files import read_json, write_json
from pipeline.core.job import Job
from pipeline.dedupe.section import Dedupe
from pipeline.stages import dedupe

MakeJob = Callable[..., Job]
WORK = """
import os, time
import numpy as np
from pipeline.beam.shuffle import read_partition, spill, split
from pipeline.core.errors import UserError

def done(job, task):
    return {"text": task.payload["text"] * 2, "seed": job.identity.seed}

def wrong_input(job, task):
    if task.key == "t1":
        raise UserError("data/语料.jsonl:7: 编码错误. Fix the line.")
    return done(job, task)

def our_mistake(job, task):
    if task.key == "t1":
        raise ValueError("bad offset 第七行")
    return done(job, task)

def spread(job, task):
    numbers = np.arange(20, dtype=np.uint64) + np.uint64(task.payload["first"])
    return {"spills": spill(job.folder, f"spill/{task.key}.bin", split(numbers, numbers % np.uint64(2), 2))}

def join(job, task):
    return {"numbers": read_partition(job, task, np.uint64).tolist()}
"""
ENTRY = """
import sys
from pathlib import Path
from pipeline.beam.executor import run_task
from pipeline.beam.failure import Failure
from pipeline.beam.task import JobStep, Task
from pipeline.core.files import read_json, write_json
from pipeline.core.registry import load
from pipeline.core.job import Job
request = read_json(Path(sys.argv[1]))
sys.path.append(request["path"])
task = Task(**request["task"])
try:
    run_task(JobStep(Job.from_dict(request["job"]), request["step"]), task, load(request["work"]))
except Exception as error:
    write_json(Path(request["failure"]), Failure.of(task.key, error).to_dict())
"""


class ProcessPerTask:
    """An executor that starts a process for each task, and gives it one file of JSON."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, step: JobStep, tasks: Sequence[Task[Any]], work: Any) -> None:
        for task in tasks:
            request, failure = (self.folder / f"{step.name}-{task.key}.{name}.json" for name in ("request", "failure"))
            write_json(request, {
                "job": step.job.to_dict(), "step": step.name, "task": task.to_dict(), "path": str(self.folder),
                "work": f"{work.__module__}:{work.__qualname__}", "failure": str(failure),
            })  # fmt: skip
            subprocess.run([sys.executable, "-c", ENTRY, str(request)], check=True)
            if failure.exists():
                raise Failure.from_dict(read_json(failure)).exception(step)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    name = f"executed_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(WORK, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return __import__(name)


def tasks_of(count: int) -> list[Task]:
    return [Task(f"t{number}", 1, {"text": f"文档 {number} "}) for number in range(count)]


def test_another_executor_gives_the_same_results(work: ModuleType, make_job: MakeJob, tmp_path: Path) -> None:
    by_thread = run_tasks(make_job("one"), "step", tasks_of(3), work.done)
    by_process = run_tasks(make_job("two"), "step", tasks_of(3), work.done, executor=ProcessPerTask(tmp_path))
    assert by_process == by_thread


@pytest.mark.parametrize(("name", "kind"), [("wrong_input", UserError), ("our_mistake", StageFailed)])
def test_another_executor_raises_the_same_errors(
    name: str, kind: type[Exception], work: ModuleType, make_job: MakeJob, tmp_path: Path
) -> None:
    messages = []
    for executor in (None, ProcessPerTask(tmp_path)):
        job = make_job("one" if executor is None else "two")
        with pytest.raises(kind) as caught:
            run_tasks(job, "step", tasks_of(2), getattr(work, name), executor=executor)
        messages.append(str(caught.value))
        assert "Traceback" in job.log.read_text(encoding="utf-8")
    assert messages[0] == messages[1]


def test_another_executor_shuffles_alike(
    work: ModuleType, make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shuffled(job: Job) -> list[dict[str, Any]]:
        tasks = [Task(f"t{first}", 1, {"first": first}) for first in (0, 100)]
        spills = [file for result in run_tasks(job, "spread", tasks, work.spread) for file in result["spills"]]
        return run_shuffle(job, "join", spills, work.join, partitions=2)

    by_thread = shuffled(make_job("one"))
    monkeypatch.setattr("pipeline.beam.run.executor_of", lambda job, isolation: ProcessPerTask(tmp_path))
    assert shuffled(make_job("two")) == by_thread
    assert sorted(number for part in by_thread for number in part["numbers"]) == [*range(20), *range(100, 120)]


@pytest.mark.long
def test_another_executor_runs_a_stage_to_the_same_bytes(
    make_documents: Callable[..., Artifact], make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["The ore is hot and the furnace is ready for it.", "铁块已经炼好了，炉火还很旺。", "the ore is cold"]
    documents = make_documents([{"text": text} for text in [*texts, *texts]], files=2)
    write_json(Path(documents.uri) / "manifest.json", documents.manifest.to_dict())
    fields = {"stage": "dedupe", "inputs": {"documents": documents}, "params": Dedupe().model_dump()}
    by_thread = dedupe.run(make_job("one", **fields))
    monkeypatch.setattr("pipeline.beam.run.executor_of", lambda job, isolation: ProcessPerTask(tmp_path))
    by_process = dedupe.run(make_job("two", **fields))
    assert (by_process.files, by_process.counts) == (by_thread.files, by_thread.counts)
    assert by_thread.counts["dropped"]["exact"] == 3
