"""Runs one step: starts its stage in a separate process, follows its progress, and returns what it published."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cluster
from cluster import interrupt
from cluster.child import StageRequest, StageResult, result_path
from cluster.config import LoadedConfig
from cluster.console import Console
from cluster.events import announcement, event_of
from cluster.forked_stage import StageServer
from cluster.launchers.head import RayHead
from cluster.live import FILE as LIVE
from cluster.live import LiveState, published
from cluster.lock import held_for_ever
from cluster.metrics import MetricsExport
from cluster.plan import PlannedStep
from cluster.process import ProcessExit, StageProcess, failure_message, oom_kills
from cluster.progress import Listener, ProgressMessage, StageProgress
from cluster.result import RunOptions, relative
from cluster.run import Run
from cluster.run_records import EventFields
from cluster.summary import documents, summary
from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.errors import StageFailed
from pipeline.core.files import read_json, write_json
from pipeline.core.inputs import Inputs
from pipeline.core.job import Identity, Job, Resources
from pipeline.core.journal import JournalLine
from pipeline.core.manifest import StageHashes
from pipeline.core.places import JobPaths, url_of
from pipeline.core.store import Store

LAUNCHER = "cluster.launchers:launcher"
REMOTE = "cluster.launchers:remote_processes"
SHOW_S = 2.0  # between two snapshots for `top` and the metrics
SNAPSHOT_S = 5.0  # between two progress events of a stage in events.jsonl
SAVING = "stopping: the stage saves its work. Interrupt again to end it at once"
LINGER_S = 20.0  # a thread of a library may keep a process alive after it wrote its result


@dataclass
class Supervisor:
    """What all steps of one run share."""

    loaded: LoadedConfig
    store: Store
    run: Run
    console: Console
    listener: Listener
    options: RunOptions
    live: LiveState
    metrics: MetricsExport
    server: StageServer
    ray: RayHead | None = None  # for the run alone, where no address is given
    check_lock: Callable[[], None] = held_for_ever

    def show(self) -> None:
        """Write what the run is doing now, for `top` and the metrics. Metrics that cannot be written do not fail it."""
        snapshot = self.live.snapshot()
        write_json(self.run.path / LIVE, snapshot)
        try:
            self.metrics.update(snapshot)
        except OSError as error:
            self.console.say(f"no metrics from here on: {error}")
            self.run.event("no_metrics", error=str(error))
            self.metrics.close()


def skip(supervisor: Supervisor, step: PlannedStep) -> None:
    """Report why a step does not have to run."""
    assert step.artifact is not None
    supervisor.run.event("skipped", stage=step.id, why=step.reason)
    supervisor.live.end(step.id, "cached", step.artifact)
    counted = documents(step.artifact.manifest)
    supervisor.console.end("skipped", f"cached: {step.reason}{f' ({counted})' if counted else ''}")


def perform(supervisor: Supervisor, step: PlannedStep) -> None:
    """Run a step.

    Raises: StageFailed when it does not publish.
    """
    console, run, store, force = supervisor.console, supervisor.run, supervisor.store, supervisor.options.force
    supervisor.check_lock()
    attempt, folder = store.begin(step.stage, step.exact, fresh=force)
    run.event("stage_started", stage=step.id, attempt=attempt, state=step.state, why=step.reason)
    if step.state == "resume" and not force:
        console.say(f"{console.place}   resuming, attempt {attempt}: {step.reason}")
    # in a private folder that is deleted after the run: addresses of raw files may contain a key
    job_path = Path(supervisor.listener.folder) / f"{step.id}.json"
    write_json(job_path, _request(supervisor, step, attempt, folder))
    killed_before, progress = oom_kills(), StageProgress(step.id)
    supervisor.live.begin(step.id, progress, attempt)
    ended = _watch(supervisor, step, _start(supervisor, step, job_path), result_path(job_path), progress)
    artifact = _published(supervisor, step, ended, result_path(job_path), killed=oom_kills() - killed_before)
    # of workers on other hosts the kernel of this one knows nothing
    peak_bytes = max([ended.peak_bytes, *(line.get("worker_peak_bytes", 0) for line in artifact.journal())])
    measured: EventFields = {"seconds": ended.seconds, "cpu_seconds": ended.cpu_seconds, "peak_bytes": peak_bytes}
    line: JournalLine = {
        "event": "measured", "run": run.path.name, "attempt": attempt, "seconds": ended.seconds,
        "cpu_seconds": ended.cpu_seconds, "peak_bytes": peak_bytes,
    }  # fmt: skip
    store.note(artifact, line)
    supervisor.live.end(
        step.id, "done", artifact, seconds=ended.seconds, cpu_seconds=ended.cpu_seconds, peak_bytes=peak_bytes
    )
    done: EventFields = {"stage": step.id, "digest": artifact.manifest.digest, **measured, **published(artifact)}
    run.event("stage_done", **done)
    text = summary(artifact.manifest, step.spec)
    cost = f"in {figures.duration(ended.seconds)}, peak {figures.size(peak_bytes)}"
    console.end("done", f"{cost}: {text}" if text else cost)


def _start(supervisor: Supervisor, step: PlannedStep, job_path: Path) -> StageProcess:
    """A data stage on this machine is a fork of a process that has imported Beam; others load their own libraries."""
    embedded = supervisor.loaded.config.cluster.beam.runner == "embedded"
    if embedded and step.spec.is_data_stage:
        return supervisor.server.start(job_path, supervisor.run.log)
    return StageProcess(job_path, supervisor.run.log)


def _request(supervisor: Supervisor, step: PlannedStep, attempt: int, folder: Path) -> StageRequest:
    """What the child process needs: the job, its parent's process id, and where to publish."""
    return {
        "job": _job(supervisor, step, attempt, folder).to_dict() | {"progress": supervisor.listener.address},
        "parent": os.getpid(), "home": str(Path(cluster.__file__).parent), "plugins": str(Path.cwd()),
        "workdir": str(supervisor.loaded.workdir),
    }  # fmt: skip


def _job(supervisor: Supervisor, step: PlannedStep, attempt: int, folder: Path) -> Job:
    config, run, workdir = supervisor.loaded.config, supervisor.run, supervisor.loaded.workdir
    inputs: dict[str, tuple[Artifact, ...]] = {}
    for kind, sources in step.reads.items():
        inputs[kind] = tuple(
            _input(supervisor.store, step, source.step, source.stage, source.fingerprint) for source in sources
        )
    identity = Identity(
        stage=step.stage, version=step.spec.version, kind=step.spec.makes, run=step.spec.run, fingerprint=step.exact,
        params=step.params, seed=config.seed, attempt=attempt, input_fingerprints=dict(step.inputs),
        input_digests=_digests(step, inputs),
    )  # fmt: skip
    # steps of the same stage must not mix their curves
    metrics = run.metrics_of(step.name and step.id)
    metrics.mkdir(exist_ok=True)
    place = JobPaths(
        folder=folder, scratch=workdir / "scratch", metrics=metrics, log=run.log, store=url_of(workdir) or ""
    )
    place.scratch.mkdir(exist_ok=True)
    cluster_options = config.cluster.options(head=_head(supervisor, step))
    resources = Resources(
        workers=config.cluster.beam.workers or os.cpu_count() or 1, cluster=cluster_options, launcher=LAUNCHER,
        remote=REMOTE,
    )  # fmt: skip
    secrets = {text: value for value, text in supervisor.loaded.secrets.items()}
    return Job(
        identity, Inputs.of({**inputs, **step.externals}), place, resources, step.sources, step.section, secrets=secrets
    )


def _head(supervisor: Supervisor, step: PlannedStep) -> str | None:
    """The address of the Ray that the steps of this run share; it starts when the first step that uses it runs."""
    uses_ray = step.spec.is_data_stage or supervisor.loaded.config.cluster.launcher == "ray"
    return supervisor.ray.address() if supervisor.ray and uses_ray else supervisor.options.head


def _input(store: Store, step: PlannedStep, source: str, stage: str, fingerprint: str) -> Artifact:
    artifact = store.find(stage, fingerprint)
    if artifact is None:
        raise StageFailed(f"{step.id}: its input {source} is no longer in the store. Run again with --from {source}.")
    return artifact


def _digests(step: PlannedStep, inputs: dict[str, tuple[Artifact, ...]]) -> StageHashes:
    """As `step.inputs`, with content digests; raw files and artifacts of other runs have digests there already."""
    digests: StageHashes = dict(step.inputs)
    for artifacts in inputs.values():
        of_kind = [artifact.manifest.digest for artifact in artifacts]
        digests[artifacts[0].manifest.stage] = of_kind[0] if len(of_kind) == 1 else of_kind
    return digests


def _watch(
    supervisor: Supervisor, step: PlannedStep, process: StageProcess, result: Path, progress: StageProgress
) -> ProcessExit:
    """Show progress until the process of the stage ends. Stop it on an interrupt, or if it outlives its result."""
    next_snapshot, next_shown, linger = time.monotonic() + SNAPSHOT_S, 0.0, 0.0
    try:
        with supervisor.listener.wake_on(process.descriptor):
            while (ended := process.poll()) is None:
                for message in supervisor.listener.receive(0.1):
                    progress.apply(message)
                    supervisor.live.apply(message)
                    _record(supervisor, step, message)
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
    return ended


def _record(supervisor: Supervisor, step: PlannedStep, message: ProgressMessage) -> None:
    """Add the event of a message to the run's records, and tell people what cannot wait for the next progress line."""
    if event := event_of(message, step.id):
        kind, fields = event
        supervisor.run.event(kind, **fields)
    if text := announcement(message):
        supervisor.console.say(f"{supervisor.console.place} ! {text}")


def _published(supervisor: Supervisor, step: PlannedStep, ended: ProcessExit, path: Path, *, killed: int) -> Artifact:
    """The artifact that the child published.

    Raises: StageFailed with the child's own error message, or with one derived from how the process ended.
    """
    artifact = supervisor.store.find(step.stage, step.exact)
    result: StageResult = read_json(path) if path.exists() else {}
    # a library may crash while the interpreter shuts down: the artifact is complete all the same
    if "published" in result and artifact is not None:
        return artifact
    if "error" in result:
        failure = StageFailed(result["error"])
        failure.exit_code = result["exit_code"]
        raise failure
    workers = supervisor.loaded.config.cluster.beam.workers or os.cpu_count() or 1
    log = relative(supervisor.run.log)
    raise StageFailed(failure_message(step.id, ended, Path(log), workers=workers, oom_kills=killed))
