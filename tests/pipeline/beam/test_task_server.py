"""TaskServer with workers in threads: tasks done once, errors as they were, lost workers, other versions."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline.beam.task import JobStep, Task
from pipeline.beam.task_client import draw_tasks
from pipeline.beam.task_server import TaskServer
from pipeline.core.errors import StageFailed, UserError
from pipeline.core.job import Job
from pipeline.core.line_client import LineClient
from pipeline.core.progress import Progress
from pipeline.core.remote_progress import relay

MakeJob = Callable[..., Job]
HOST = "127.0.0.1"
WORK = """
import time
from pipeline.core.errors import UserError

def done(job, task):
    job.progress.note("step", task.key)
    with open(job.place.scratch / "seen", "a") as stream:
        stream.write(task.key + "\\n")
    return {"key": task.key}

def wrong_input(job, task):
    if task.key == "t3":
        raise UserError("data/语料.jsonl:7: 编码错误. Fix the line.")
    time.sleep(0.02)
    return done(job, task)

def our_mistake(job, task):
    raise ValueError("bad offset 第七行")
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    name = f"served_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(WORK, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield __import__(name)
    sys.modules.pop(name, None)


@pytest.fixture
def messages(tmp_path: Path) -> Iterator[list[dict[str, Any]]]:
    """The messages that reached the supervisor so far; its address is in `tmp_path`."""
    received: list[dict[str, Any]] = []

    def read(listener: socket.socket) -> None:
        while data := listener.recv(1 << 16):
            received.append(json.loads(data))

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "s"))
        thread = threading.Thread(target=read, args=(listener,), daemon=True)
        thread.start()
        yield received
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def tasks_of(count: int) -> list[Task]:
    return [Task(f"t{number}", 100 - number, {}) for number in range(count)]


@contextmanager
def serving(job: Job, work: Any, tasks: list[Task]) -> Iterator[TaskServer]:
    if job.folder.is_dir():
        job.draft.results("step")
    with relay(job.progress, HOST) as remote, TaskServer(
        JobStep(job, "step"), tasks, work, host=HOST, progress=remote
    ) as server:  # fmt: skip
        yield server


def start(server: TaskServer, *names: str) -> list[threading.Thread]:
    threads = [threading.Thread(target=draw_tasks, args=(server.place, name), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    return threads


def draw(server: TaskServer, name: str) -> tuple[LineClient, dict[str, Any]]:
    """A worker that draws one task and does nothing about it."""
    from pipeline.beam.versions import versions

    client = LineClient(server.place)
    client.ask({"hello": {"worker": name, "host": f"host-of-{name}", "pid": 1, "versions": versions()}})
    return client, client.ask({})


def seen(job: Job) -> list[str]:
    return sorted((job.place.scratch / "seen").read_text().split())


def test_workers_do_every_task_once(work: ModuleType, make_job: MakeJob) -> None:
    job, tasks = make_job(), tasks_of(20)
    with serving(job, work.done, tasks) as server:
        threads = start(server, "a", "b", "c")
        assert server.settled.wait(10)
        for thread in threads:
            thread.join(5)
    assert server.failure is None
    assert seen(job) == sorted(task.key for task in tasks)


def test_the_first_error_is_kept_as_it_was_and_stops_the_others(work: ModuleType, make_job: MakeJob) -> None:
    job = make_job()
    with serving(job, work.wrong_input, tasks_of(200)) as server:
        for thread in start(server, "a", "b"):
            thread.join(10)
    assert server.failure is not None
    error = server.failure.exception(JobStep(job, "step"))
    assert isinstance(error, UserError)
    assert str(error) == "data/语料.jsonl:7: 编码错误. Fix the line."
    assert len(seen(job)) < 20


def test_another_error_names_the_task_and_the_host(work: ModuleType, make_job: MakeJob) -> None:
    job = make_job()
    with serving(job, work.our_mistake, tasks_of(1)) as server:
        start(server, "a")
        assert server.settled.wait(10)
    assert server.failure is not None
    message = str(server.failure.exception(JobStep(job, "step")))
    assert message.startswith(f"test: step: t0 on {socket.gethostname()}: ValueError: bad offset 第七行")


def test_the_task_of_a_lost_worker_is_given_to_another(
    work: ModuleType, make_job: MakeJob, tmp_path: Path, messages: list[dict[str, Any]]
) -> None:
    job, tasks = replace(make_job(), progress=Progress(f"unix:{tmp_path / 's'}", "test")), tasks_of(6)
    with serving(job, work.done, tasks) as server:
        client, reply = draw(server, "lost")
        assert reply["task"]["key"] == "t0"
        start(server, "a")
        time.sleep(0.3)
        assert not server.settled.is_set()
        client.close()
        deadline = time.monotonic() + 60
        while sum(message["kind"] == "note" for message in messages) < 6 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.settled.wait(5)
    assert server.failure is None
    assert seen(job) == sorted(task.key for task in tasks)
    by_kind = {message["kind"]: message for message in messages}
    assert by_kind["worker_lost"]["host"] == "host-of-lost"
    assert (by_kind["task_retried"]["task"], by_kind["task_retried"]["attempt"]) == ("t0", 2)
    assert sum(message["n"] for message in messages if message["kind"] == "add") == sum(task.size for task in tasks)


def test_a_task_that_loses_three_workers_fails_the_step_by_name(work: ModuleType, make_job: MakeJob) -> None:
    job = make_job()
    with serving(job, work.done, tasks_of(2)) as server:
        for name in ("x", "y", "z"):
            client, reply = draw(server, name)
            assert reply["task"]["key"] == "t0"
            server.lose(name, "it was killed by signal 9")
            client.close()
        assert server.settled.wait(10)
    assert server.failure is not None
    error = server.failure.exception(JobStep(job, "step"))
    assert isinstance(error, StageFailed)
    assert str(error).startswith(
        "test: step: t0: 3 workers ended while working on it, the last on host-of-z (it was killed by signal 9)."
    )


def test_a_host_with_another_version_is_refused_by_name(work: ModuleType, make_job: MakeJob) -> None:
    with serving(make_job(), work.done, tasks_of(1)) as server, LineClient(server.place) as client:
        hello = {"worker": "a", "host": "node-7", "pid": 1, "versions": {"pyarrow": "1.0"}}
        assert client.ask({"hello": hello}) == {}
        assert server.settled.wait(5)
    assert server.failure is not None
    assert "the host node-7 has" in server.failure.message
    assert "pyarrow 1.0 where the driver has" in server.failure.message


def test_a_host_that_does_not_see_the_work_directory_is_named(work: ModuleType, make_job: MakeJob) -> None:
    job = make_job()
    gone = replace(job, place=replace(job.place, folder=job.place.folder / "elsewhere"))
    with serving(gone, work.done, tasks_of(1)) as server:
        start(server, "a")
        assert server.settled.wait(10)
    assert server.failure is not None
    assert f"the host {socket.gethostname()} does not see {gone.folder}. Use a work dir" in server.failure.message


def test_who_does_not_know_the_token_gets_nothing(work: ModuleType, make_job: MakeJob) -> None:
    with serving(make_job(), work.done, tasks_of(1)) as server:
        host, port, _ = server.place.split(":")
        with pytest.raises(OSError), LineClient(f"{host}:{port}:{'0' * 32}") as client:
            client.ask({"hello": {}})
        assert not server.hosts
