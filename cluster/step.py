"""Runs one step: starts its stage in a separate process, follows its progress, and returns what it published."""

from __future__ import annotations

import os
import time
from pathlib import Path

from cluster import interrupt
from cluster.child import StageResult, result_path
from cluster.events import announcement, event_of
from cluster.live import published
from cluster.plan import PlannedStep
from cluster.process import ProcessExit, StageProcess, failure, oom_kills
from cluster.progress import ProgressMessage, StageProgress
from cluster.restarts import Restarts
from cluster.result import relative
from cluster.run_records import EventFields
from cluster.step_job import request
from cluster.summary import documents, summary
from cluster.supervisor import Supervisor
from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.errors import ProcessDied, StageFailed
from pipeline.core.files import read_json, write_json
from pipeline.core.journal import JournalLine
from pipeline.core.plugins import PLUGINS

SHOW_S = 2.0  # between two snapshots for `top` and the metrics
SNAPSHOT_S = 5.0  # between two progress events of a stage in events.jsonl
SAVING = "stopping: the stage saves its work. Interrupt again to end it at once"
LINGER_S = 20.0  # a thread of a library may keep a process alive after it wrote its result


def skip(supervisor: Supervisor, step: PlannedStep) -> None:
    """Report why a step does not have to run."""
    assert step.artifact is not None
    supervisor.run.event("skipped", stage=step.id, why=step.reason)
    supervisor.live.end(step.id, "cached", step.artifact)
    counted = documents(step.artifact.manifest)
    supervisor.console.end("skipped", f"cached: {step.reason}{f' ({counted})' if counted else ''}")


def perform(supervisor: Supervisor, step: PlannedStep) -> None:
    """Run a step, again where one of its processes died (`restarts.py`).

    Raises: StageFailed when it does not publish.
    """
    supervisor.check_lock()
    attempts = _Attempts(supervisor, step)
    while (artifact := attempts.next()) is None:
        pass
    console, run, store = supervisor.console, supervisor.run, supervisor.store
    # of workers on other hosts the kernel of this one knows nothing
    peak_bytes = max([attempts.peak_bytes, *(line.get("worker_peak_bytes", 0) for line in artifact.journal())])
    seconds, cpu_seconds = round(attempts.seconds, 3), round(attempts.cpu_seconds, 2)
    line: JournalLine = {
        "event": "measured", "run": run.path.name, "attempt": attempts.number, "seconds": seconds,
        "cpu_seconds": cpu_seconds, "peak_bytes": peak_bytes, "publish_seconds": round(attempts.publish_seconds, 3),
    }  # fmt: skip
    if attempts.restarts.done:
        line["restarts"] = attempts.restarts.done
    store.note(artifact, line)
    supervisor.live.end(step.id, "done", artifact, seconds=seconds, cpu_seconds=cpu_seconds, peak_bytes=peak_bytes)
    measured: EventFields = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak_bytes}
    done: EventFields = {"stage": step.id, "digest": artifact.manifest.digest, **measured, **published(artifact)}
    run.event("stage_done", **done)
    text = summary(artifact.manifest, step.spec)
    cost = f"in {figures.duration(seconds)}, peak {figures.size(peak_bytes)}"
    console.end("done", f"{cost}: {text}" if text else cost)


class _Attempts:
    """The attempts of one run at one step, and what all of them cost.

    `seconds`: from the beginning of the first to the end of the last; `publish_seconds`: of these, since the last had
    done its work.
    """

    def __init__(self, supervisor: Supervisor, step: PlannedStep) -> None:
        self.supervisor, self.step = supervisor, step
        self.restarts = Restarts(step.id, supervisor.loaded.config.cluster.max_failures)
        self.began, self._began = time.time(), time.monotonic()
        self.number, self.peak_bytes, self.cpu_seconds = 0, 0, 0.0
        self.seconds, self.publish_seconds = 0.0, 0.0

    def next(self) -> Artifact | None:
        """Make an attempt; None when a process of it died and the next one goes on from what it finished.

        Raises: StageFailed when it failed.
        """
        supervisor, step, started = self.supervisor, self.step, self.seconds
        folder = self._begin()
        # in a private folder that is deleted after the run: addresses of raw files may contain a key
        job_path = Path(supervisor.listener.folder) / f"{step.id}.json"
        result_path(job_path).unlink(missing_ok=True)
        write_json(job_path, request(supervisor, step, self.number, folder, self.began))
        killed_before, progress = oom_kills(), StageProgress(step.id)
        supervisor.live.begin(step.id, progress, self.number, restarts=len(self.restarts.done))
        ended = _watch(supervisor, step, _start(supervisor, step, job_path), result_path(job_path), progress)
        self.seconds = time.monotonic() - self._began
        self.cpu_seconds += ended.cpu_seconds
        self.peak_bytes = max(self.peak_bytes, ended.peak_bytes)
        result: StageResult = read_json(result_path(job_path)) if result_path(job_path).exists() else {}
        self.publish_seconds = max(0.0, self.began + self.seconds - result.get("worked_until", float("inf")))
        try:
            return _published(supervisor, step, ended, result, killed=oom_kills() - killed_before)
        except ProcessDied as died:
            restart = self.restarts.add(died, progress, attempt=self.number, seconds=self.seconds - started)
        times = f"restart {len(self.restarts.done)} of at most {self.restarts.most}"
        console = supervisor.console
        console.say(f"{console.place} ! {restart['what']}; the stage goes on from what is finished ({times})")
        return None

    def _begin(self) -> Path:
        """Claim the next attempt, and tell of it; returns its folder."""
        supervisor, step, restarts = self.supervisor, self.step, self.restarts.done
        force = supervisor.options.force
        self.number, folder = supervisor.store.begin(step.stage, step.exact, fresh=force and not restarts)
        if restarts:
            cause, lost_s = restarts[-1]["what"], restarts[-1]["seconds"]
            supervisor.run.event("stage_restarted", stage=step.id, attempt=self.number, cause=cause, seconds=lost_s)
            return folder
        supervisor.run.event("stage_started", stage=step.id, attempt=self.number, state=step.state, why=step.reason)
        if step.state == "resume" and not force:
            console = supervisor.console
            console.say(f"{console.place}   resuming, attempt {self.number}: {step.reason}")
        return folder


def _start(supervisor: Supervisor, step: PlannedStep, job_path: Path) -> StageProcess:
    """A data stage on this machine is a fork of a process that has imported Beam; others load their own libraries.

    So does one with plug-ins, which may need what that process has left out (`pipeline/stages/preload.py`).
    """
    embedded = supervisor.loaded.config.cluster.beam.runner == "embedded"
    if embedded and step.spec.is_data_stage and PLUGINS not in step.params:
        return supervisor.server.start(job_path, supervisor.run.log)
    return StageProcess(job_path, supervisor.run.log)


def _watch(
    supervisor: Supervisor, step: PlannedStep, process: StageProcess, result: Path, progress: StageProgress
) -> ProcessExit:
    """Show progress until the process of the stage ends. Stop it on an interrupt, or if it outlives its result."""
    next_snapshot, next_shown, linger = time.monotonic() + SNAPSHOT_S, 0.0, 0.0
    try:
        with supervisor.listener.wake_on(process.descriptor):
            while (ended := process.poll()) is None:
                _take_messages(supervisor, step, progress, wait_s=0.1)
                supervisor.console.update(progress)
                supervisor.check_lock()
                if linger == 0.0 and result.exists():
                    linger = time.monotonic() + LINGER_S
                elif linger and time.monotonic() > linger:
                    process.terminate()
                if time.monotonic() > next_shown:
                    next_shown = time.monotonic() + SHOW_S
                    supervisor.show()
                if time.monotonic() > next_snapshot:
                    next_snapshot = time.monotonic() + SNAPSHOT_S
                    supervisor.run.event("progress", stage=step.id, line=progress.line())
    except BaseException:
        console = supervisor.console
        with interrupt.note_signals() as asked_again:
            process.stop(asked_again, lambda: console.say(f"{console.place} ! {SAVING}"))
        raise
    _take_messages(supervisor, step, progress, wait_s=0.0)  # the last ones: at which tasks it was
    return ended


def _take_messages(supervisor: Supervisor, step: PlannedStep, progress: StageProgress, *, wait_s: float) -> None:
    for message in supervisor.listener.receive(wait_s):
        progress.apply(message)
        supervisor.live.apply(message)
        _record(supervisor, step, message)


def _record(supervisor: Supervisor, step: PlannedStep, message: ProgressMessage) -> None:
    """Add the event of a message to the run's records, and tell people what cannot wait for the next progress line."""
    if event := event_of(message, step.id):
        kind, fields = event
        supervisor.run.event(kind, **fields)
    if text := announcement(message):
        supervisor.console.say(f"{supervisor.console.place} ! {text}")


def _published(
    supervisor: Supervisor, step: PlannedStep, ended: ProcessExit, result: StageResult, *, killed: int
) -> Artifact:
    """The artifact that the child published.

    Raises: StageFailed with the child's own error message, or with one derived from how the process ended; ProcessDied
    where a process was killed or crashed.
    """
    artifact = supervisor.store.find(step.stage, step.exact)
    # a library may crash while the interpreter shuts down, and a kill come right after: the artifact is complete
    if artifact is not None and ("published" in result or (ended.status < 0 and not supervisor.options.force)):
        return artifact
    if "died" in result:
        raise ProcessDied(result["error"], **result["died"])
    if "error" in result:
        failed = StageFailed(result["error"])
        failed.exit_code = result["exit_code"]
        raise failed
    workers = supervisor.loaded.config.cluster.beam.workers or os.cpu_count() or 1
    log = relative(supervisor.run.log)
    raise failure(step.id, ended, Path(log), workers=workers, oom_kills=killed)
