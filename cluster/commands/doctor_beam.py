"""`doctor --beam CONFIG`: runs a toy step on the runner that a configuration names, and says what works."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cluster.commands.doctor import Diagnosis, show
from cluster.config import LoadedConfig
from cluster.step_job import LAUNCHER, REMOTE
from pipeline.beam.toy_job import TASKS, ToyReport, does_retry, run_toy_job
from pipeline.core import figures
from pipeline.core.errors import BloomeryError
from pipeline.core.inputs import Inputs
from pipeline.core.job import Identity, Job, Resources
from pipeline.core.places import JobPaths, url_of
from pipeline.core.store import Store

STAGE = "doctor"
RETRY_S = {"dataflow": 900.0}  # its workers take minutes to start
OTHER_RETRY_S = 120.0


def doctor_beam(loaded: LoadedConfig) -> int:
    """Print one line per finding; return 1 when the runner or the store does not work."""
    runner = loaded.config.cluster.beam.runner
    print(f"A toy step of {TASKS} tasks on the runner {runner}, in {loaded.config.workdir}", flush=True)
    job = _job(loaded)
    try:
        failures = sum(show(diagnosis) for diagnosis in _findings(job))
    finally:
        shutil.rmtree(job.folder, ignore_errors=True)
    print("The data stages can run there." if not failures else "The data stages cannot run there.", flush=True)
    return 1 if failures else 0


def _job(loaded: LoadedConfig) -> Job:
    """A job with a draft of its own, in the work directory or the store."""
    config, workdir = loaded.config, loaded.workdir
    fingerprint = f"{STAGE}{uuid.uuid4().hex}".ljust(64, "0")
    attempt, folder = Store(workdir).begin(STAGE, fingerprint)
    identity = Identity(STAGE, 1, "documents", "", fingerprint, {}, config.seed, attempt)
    scratch = workdir / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    place = JobPaths(
        folder=folder, scratch=scratch, metrics=folder, log=folder / "log.txt", store=url_of(workdir) or ""
    )
    workers = config.cluster.beam.workers or os.cpu_count() or 1
    return Job(identity, Inputs(), place, Resources(workers, config.cluster.options(), LAUNCHER, REMOTE))


def _findings(job: Job) -> Iterator[Diagnosis]:
    try:
        report = run_toy_job(job)
    except BloomeryError as error:
        yield Diagnosis("✗", "runner", f"{error}{_end_of(job.log)}")
        return
    yield Diagnosis("✓", "runner", f"it ran the tasks in {figures.duration(report.seconds)}")
    yield _parallelism(report)
    yield Diagnosis("✓", "store", "what the workers wrote is read here")
    if report.differences:
        yield Diagnosis("✗", "versions", " ".join(report.differences))
    else:
        yield Diagnosis(
            "✓", "versions", "Python, our code and the libraries that decide content are the same everywhere"
        )
    yield _retries(job)


def _parallelism(report: ToyReport) -> Diagnosis:
    where = f"{report.processes} process{'' if report.processes == 1 else 'es'} on {', '.join(report.hosts)}"
    text = f"{report.most_at_once} tasks at once, in {where}"
    if report.most_at_once > 1:
        return Diagnosis("✓", "parallelism", text)
    return Diagnosis("!", "parallelism", f"one task at a time, in {where}: this runner gains nothing by more machines")


@dataclass
class RetryAttempt:
    """The step whose worker is killed, in a thread: a runner may wait for the dead worker without end."""

    job: Job
    complaint: list[str] = field(default_factory=list)

    def run(self) -> None:
        self.complaint.append(does_retry(self.job))


def _retries(job: Job) -> Diagnosis:
    attempt = RetryAttempt(job)
    thread = threading.Thread(target=attempt.run, daemon=True)
    thread.start()
    limit = RETRY_S.get(job.cluster.beam.runner, OTHER_RETRY_S)
    thread.join(limit)
    if thread.is_alive():
        text = f"a worker was killed, and after {limit:.0f} s the runner had neither repeated its task nor failed"
        return Diagnosis("!", "lost workers", f"{text}: stop the run and start it again if that happens")
    if attempt.complaint[0]:
        return Diagnosis(
            "!", "lost workers", f"they end the step; the same command resumes it ({attempt.complaint[0]})"
        )
    return Diagnosis("✓", "lost workers", "the task of a killed worker was done again")


def _end_of(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return "".join(f"\n  {line}" for line in lines[-5:])
