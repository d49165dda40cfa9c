"""SIGTERM: all workers save after the step in hand and end together; the next start goes on to the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import Preempted
from pipeline.core.files import JsonObject, write_json
from pipeline.core.job import Job, StageOutput
from training.stages.pretrain import run, spec_of
from training.stop_request import StopRequest
from training.trainer import loop
from training.trainer.worker import work

SMALL: JsonObject = {"steps": 12, "save_every": 5, "model": {"family": "gpt", "layers": 1, "heads": 2, "width": 16}}


def digests(outcome: StageOutput) -> dict[str, str]:
    return {file.path: file.sha256 for file in outcome.files}


def markers(job: Job) -> list[str]:
    return sorted(path.stem for path in (job.folder / "checkpoints").glob("*/*.json"))


@pytest.mark.parametrize("at", [4, 7], ids=["in the step that is saved anyway", "between two checkpoints"])
def test_a_worker_that_is_asked_to_end_saves_first(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    work(spec_of(whole := make_job("whole", **SMALL)).to_dict(), lambda figures: None)
    job = make_job("stopped", **SMALL)
    one_step, before = loop.one_step, signal.getsignal(signal.SIGTERM)

    def step(run_: loop.TrainingRun) -> None:
        if run_.done == at:
            os.kill(os.getpid(), signal.SIGTERM)
        one_step(run_)

    with monkeypatch.context() as context:
        context.setattr(loop, "one_step", step)
        with pytest.raises(Preempted, match=f"asked to end; saved after step {at + 1}"):
            work(spec_of(job).to_dict(), lambda figures: None)
    assert markers(job)[-1] == f"{at + 1:08d}"
    assert signal.getsignal(signal.SIGTERM) is before, "the signal means again what it meant before"
    work(spec_of(job).to_dict(), lambda figures: None)
    assert digests(run(job)) == digests(run(whole))


def test_a_request_in_the_last_step_changes_nothing(
    make_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, one_step = make_job("a", **SMALL), loop.one_step

    def step(run_: loop.TrainingRun) -> None:
        if run_.done == 11:
            os.kill(os.getpid(), signal.SIGTERM)
        one_step(run_)

    monkeypatch.setattr(loop, "one_step", step)
    work(spec_of(job).to_dict(), lambda figures: None)
    assert run(job).counts["steps"] == 12


def test_a_thread_that_may_set_no_signal_trains_without() -> None:
    request, errors = StopRequest(), list[BaseException]()

    def listen() -> None:
        try:
            with request.listening():
                pass
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert not errors and not request.requested


@pytest.mark.long
@pytest.mark.parametrize("engine", ["plain", {"zero": {"stage": 3}}], ids=["plain", "zero 3"])
def test_one_worker_is_asked_and_all_end_with_the_same_checkpoint(
    make_job: Callable[..., Job], engine: JsonObject, tmp_path: Path
) -> None:
    job = make_job("a", workers=2, engine=engine, **{**SMALL, "steps": 3000, "save_every": 10})
    write_json(spec := tmp_path / "spec.json", spec_of(job).to_dict())
    environment = {**os.environ, "WORLD_SIZE": "2", "BLOOMERY_STORE_FILE": str(tmp_path / "store")}
    with job.log.open("w") as log:
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", "training.trainer.worker", str(spec)], stdout=log, stderr=log,
                env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in (0, 1)
        ]  # fmt: skip
    while not markers(job):
        assert all(worker.poll() is None for worker in workers), job.log.read_text()
        time.sleep(0.05)
    workers[1].send_signal(signal.SIGTERM)
    assert [worker.wait(120) for worker in workers] == [Preempted.exit_code] * 2, job.log.read_text()
    steps = {int(line.split("step ")[1].split(".")[0].replace(",", "")) for line in job.log.read_text().splitlines()
             if "asked to end; saved after step" in line}  # fmt: skip
    assert len(steps) == 1 and markers(job)[-1] == f"{steps.pop():08d}"
