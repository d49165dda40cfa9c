"""Data stages on a Ray of two nodes: the bytes of a local run, whatever is killed; errors as they were."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed, UserError
from pipeline.core.files import write_json
from pipeline.core.job import BeamOptions, ClusterOptions, Job
from pipeline.dedupe.section import Dedupe
from pipeline.stages import dedupe

MakeJob = Callable[..., Job]
# a worker that is gone leaves a broken stream to a thread of Beam's; the stage's log is where it tells
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")]
WORK = """
import os, signal, time
import ray
from pipeline.core.errors import UserError

def done(job, task):
    time.sleep(0.05)
    return {"node": ray.get_runtime_context().get_node_id(), "threads": os.environ["POLARS_MAX_THREADS"]}

def wrong_input(job, task):
    if task.key == "t3":
        raise UserError("data/语料.jsonl:7: 编码错误. Fix the line.")
    (job.place.scratch / task.key).touch()
    time.sleep(0.5)
    return {}

def killed_once(job, task):
    flag = job.place.scratch / "killed"
    if task.key == "t3" and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"key": task.key}

def killed_always(job, task):
    if task.key == "t3":
        os.kill(os.getpid(), signal.SIGKILL)
    return {}

def slow(job, task):
    (job.place.scratch / f"pid-{os.getpid()}").touch()
    time.sleep(0.1)
    return {"node": ray.get_runtime_context().get_node_id()}
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A Ray of two nodes with a CPU each, on this machine; three workers are asked for."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def options(nodes: Any) -> Iterator[ClusterOptions]:
    from cluster.launchers import ray_workers

    chosen = ClusterOptions(address=nodes.address, beam=BeamOptions("ray", 3))
    yield chosen
    ray_workers.remote_processes(chosen).close()
    ray_workers.remote_processes.cache_clear()


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    name = f"on_ray_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(WORK, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return __import__(name)


@pytest.fixture
def on_ray(make_job: MakeJob, options: ClusterOptions) -> MakeJob:
    def make(name: str = "draft", **fields: Any) -> Job:
        job = make_job(name, cluster=options, **fields)
        return replace(job, resources=replace(job.resources, remote="cluster.launchers:remote_processes"))

    return make


def tasks_of(count: int) -> list[Task]:
    return [Task(f"t{number}", 100 - number, {}) for number in range(count)]


def test_tasks_run_on_all_nodes_with_one_thread_each(work: ModuleType, on_ray: MakeJob) -> None:
    results = run_tasks(on_ray(), "step", tasks_of(30), work.done)
    assert len({result["node"] for result in results}) == 2
    assert {result["threads"] for result in results} == {"1"}


def test_an_error_of_ours_arrives_as_it_was_and_soon(work: ModuleType, on_ray: MakeJob) -> None:
    job, start = on_ray(), time.monotonic()
    with pytest.raises(UserError) as caught:
        run_tasks(job, "step", tasks_of(60), work.wrong_input)
    assert str(caught.value) == "data/语料.jsonl:7: 编码错误. Fix the line."
    assert len(list(job.place.scratch.iterdir())) < 12, f"after {time.monotonic() - start:.0f} s"


def test_the_task_of_a_killed_worker_is_done_by_another(work: ModuleType, on_ray: MakeJob) -> None:
    results = run_tasks(on_ray(), "step", tasks_of(12), work.killed_once)
    assert [result["key"] for result in results] == [f"t{number}" for number in range(12)]


def test_a_task_that_kills_three_workers_fails_the_step_by_name(work: ModuleType, on_ray: MakeJob) -> None:
    with pytest.raises(StageFailed, match=f"step: t3: 3 workers ended .* the last on {socket.gethostname()}"):
        run_tasks(on_ray(), "step", tasks_of(6), work.killed_always)


def test_an_interrupt_ends_all_workers(work: ModuleType, on_ray: MakeJob) -> None:
    job = on_ray()
    when(lambda: pids(job), lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run_tasks(job, "step", tasks_of(2000), work.slow)
    processes = [psutil.Process(pid) for pid in pids(job) if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive


def test_the_tasks_of_a_lost_node_are_done_on_those_that_remain(work: ModuleType, on_ray: MakeJob, nodes: Any) -> None:
    node, job = nodes.add_node(num_cpus=1), on_ray()
    when(lambda: len(pids(job)) == 3, lambda: nodes.remove_node(node, allow_graceful=False))
    results = run_tasks(job, "step", tasks_of(400), work.slow)
    assert len({result["node"] for result in results}) == 3


@pytest.mark.parametrize("killed", [False, True])
def test_a_stage_makes_the_bytes_of_a_local_run(
    killed: bool, make_documents: Callable[..., Artifact], make_job: MakeJob, on_ray: MakeJob
) -> None:
    texts = ["The ore is hot and the furnace is ready for it.", "铁块已经炼好了，炉火还很旺。", "the ore is cold"]
    documents = make_documents([{"text": f"{text} {n % 7}"} for n, text in enumerate(texts * 20)], files=5)
    write_json(Path(documents.uri) / "manifest.json", documents.manifest.to_dict())
    fields = {"stage": "dedupe", "inputs": {"documents": documents}, "params": Dedupe().model_dump()}
    outputs = [dedupe.run(make_job(f"local-{workers}", workers=workers, **fields)) for workers in (1, 3)]
    if killed:
        when(actors, lambda: actors()[0].kill())
    outputs.append(dedupe.run(on_ray("ray", **fields)))
    assert all((output.files, output.counts) == (outputs[0].files, outputs[0].counts) for output in outputs[1:])


def pids(job: Job) -> list[int]:
    """The processes that have begun a slow task."""
    return [int(path.name.removeprefix("pid-")) for path in job.place.scratch.glob("pid-*")]


def actors() -> list[psutil.Process]:
    """The workers of data stages."""
    return [
        child for child in psutil.Process().children(recursive=True) if "ray::DataWorker" in " ".join(cmdline(child))
    ]


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def when(condition: Callable[[], Any], action: Callable[[], Any]) -> None:
    """Do something once a condition holds, from a thread; nothing after two minutes."""

    def watch() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if condition():
                action()
                return
            time.sleep(0.1)

    threading.Thread(target=watch, daemon=True).start()
