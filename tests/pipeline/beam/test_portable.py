"""The portable executor: Beam's own job service with a worker pool in another process; and which options it takes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline.beam import portable
from pipeline.beam.portable_options import problems
from pipeline.beam.run import run_tasks
from pipeline.beam.task import Task
from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed, UserError
from pipeline.core.files import write_json
from pipeline.core.job import BeamOptions, ClusterOptions, Job
from pipeline.core.progress import Progress
from pipeline.dedupe.section import Dedupe
from pipeline.stages import dedupe

MakeJob = Callable[..., Job]
SERVICES = {
    "job": ("apache_beam.runners.portability.local_job_service_main", "--port"),
    "pool": ("apache_beam.runners.worker.worker_pool_main", "--service_port"),
}
WORK = """
import os, threading, time
from pipeline.core.errors import UserError

def done(job, task):
    return {"key": task.key, "pid": os.getpid()}

def wrong_input(job, task):
    if task.key == "t3":
        raise UserError("data/语料.jsonl:7: 编码错误. Fix the line.")
    return done(job, task)

def end_after_the_last(job, task):
    # the worker dies when all results are there, before the engine knows
    if task.key == "t0":
        def die():
            while len(job.draft.results("step")) < 3:
                time.sleep(0.1)
            os._exit(1)
        threading.Thread(target=die, daemon=True).start()
        time.sleep(1)
    return done(job, task)

def die_at_once(job, task):
    if task.key == "t2":
        os._exit(1)
    return done(job, task)

def our_mistake(job, task):
    raise ValueError("bad offset 第七行")
"""


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The options of a job service and an external worker pool, each a process."""
    folder = tmp_path_factory.mktemp("services")
    # the pool starts the `python` of the path
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    processes, ports = [], {}
    for name, (module, flag) in SERVICES.items():
        ports[name] = free_port()
        with (folder / f"{name}.log").open("wb") as log:
            processes.append(subprocess.Popen(
                [sys.executable, "-m", module, flag, str(ports[name])], env=environment, stdout=log, stderr=log,
                start_new_session=True,
            ))  # fmt: skip
    for port in ports.values():
        wait_for(port)
    yield {
        "job_endpoint": f"localhost:{ports['job']}",
        "environment_type": "EXTERNAL",
        "environment_config": f"localhost:{ports['pool']}",
    }
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def on_pool(make_job: MakeJob, options: dict[str, Any]) -> MakeJob:
    return lambda name="draft", **fields: make_job(
        name, cluster=ClusterOptions(beam=BeamOptions("portable", 0, options)), **fields
    )


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    name = f"portable_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(WORK, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return __import__(name)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail("a service of Beam did not start")


def tasks_of(count: int) -> list[Task]:
    return [Task(f"t{number}", 100 - number, {}) for number in range(count)]


@pytest.mark.long
def test_tasks_run_in_the_worker_pool(work: ModuleType, on_pool: MakeJob) -> None:
    results = run_tasks(on_pool(), "step", tasks_of(300), work.done)
    assert [result["key"] for result in results] == [f"t{number}" for number in range(300)]
    assert os.getpid() not in {result["pid"] for result in results}


@pytest.mark.long
def test_errors_arrive_as_they_were(work: ModuleType, on_pool: MakeJob) -> None:
    with pytest.raises(UserError) as caught:
        run_tasks(on_pool("one"), "step", tasks_of(9), work.wrong_input)
    assert str(caught.value) == "data/语料.jsonl:7: 编码错误. Fix the line."
    job = on_pool("two")
    with pytest.raises(StageFailed, match=f"test: step: t0 on {socket.gethostname()}: ValueError: bad offset 第七行"):
        run_tasks(job, "step", tasks_of(1), work.our_mistake)
    assert "our_mistake" in job.log.read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("work_name", ["end_after_the_last", "die_at_once"])
def test_a_lost_worker_is_not_waited_for_in_silence(
    work_name: str, work: ModuleType, on_pool: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("LINGER_S", 3.0), ("SILENT_S", 3.0), ("POLL_S", 0.5)):
        monkeypatch.setattr(portable, name, seconds)
    notes = list[str]()

    def note(_: object, step: str, text: str) -> None:
        notes.append(text)
        if text.startswith("no task"):
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "note", note)
    job = on_pool()
    if work_name == "end_after_the_last":
        assert len(run_tasks(job, "step", tasks_of(3), getattr(work, work_name))) == 3
        assert notes in ([], ["every task is finished; the runner does not end its job: given up"])
    else:
        with pytest.raises(KeyboardInterrupt):
            run_tasks(job, "step", tasks_of(3), getattr(work, work_name))
        assert notes[0].startswith("no task has finished for")


@pytest.mark.long
def test_a_stage_makes_the_bytes_of_a_local_run(
    make_documents: Callable[..., Artifact], make_job: MakeJob, on_pool: MakeJob
) -> None:
    texts = ["The ore is hot and the furnace is ready for it.", "铁块已经炼好了，炉火还很旺。", "the ore is cold"]
    documents = make_documents([{"text": f"{text} {n % 7}"} for n, text in enumerate(texts * 20)], files=5)
    write_json(Path(documents.uri) / "manifest.json", documents.manifest.to_dict())
    fields = {"stage": "dedupe", "inputs": {"documents": documents}, "params": Dedupe().model_dump()}
    here, there = dedupe.run(make_job("here", **fields)), dedupe.run(on_pool("there", **fields))
    assert (there.files, there.counts) == (here.files, here.counts)


def test_an_option_that_beam_does_not_know_is_named() -> None:
    [problem] = problems("flink", {"flink_mastr": "host:8081", "parallelism": 4})
    assert (problem.name, problem.hint) == ("flink_mastr", "Did you mean 'flink_master'?")
    [problem] = problems("spark", {"runner": "x"})
    assert problem.name == "runner"


def test_a_job_server_must_be_named_and_answer() -> None:
    assert [problem.what for problem in problems("portable", {})] == ["the runner portable needs a job server."]
    address = f"localhost:{free_port()}"
    [problem] = problems("portable", {"job_endpoint": address})
    assert problem.what == f"no job server answers at {address} (Connection refused)."
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        [problem] = problems("portable", {"job_endpoint": address})
    assert "it is no job server of Beam" in problem.what
