"""The supervisor: one stage after another, each a process of its own; this one stays small and imports nothing heavy.

Killed anywhere, the same command goes on: artifacts are whole or absent, drafts are resumed, and a lock keeps two runs
apart. The last line after a failure is the command that resumes.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cluster
from cluster import figures, interrupt, lock
from cluster.child import result_path, versions
from cluster.config import Loaded
from cluster.console import Console
from cluster.plan import Planned, plan, select
from cluster.process import Ended, StageProcess, oom_kills, verdict
from cluster.program import command, program
from cluster.progress import Listener, Standing
from cluster.run import Run, born, create
from cluster.summary import brief, told
from pipeline.core.artifact import Artifact
from pipeline.core.errors import BloomeryError, StageFailed
from pipeline.core.files import RawFile, read_json, write_json
from pipeline.core.manifest import Prints
from pipeline.core.registry import load
from pipeline.core.stage import Identity, Inputs, Job, Place, Resources
from pipeline.core.store import Store

STOPPED = 130  # the shell's code for Ctrl-C
SNAPSHOT_S = 5.0  # between two progress events of a stage in events.jsonl
LINGER_S = 20.0  # a library's thread may keep a process that has said how it went
CANNOT = "training.families:why_not_sampled"  # by name, as everything of models
LOUD = ("add", "total", "train")  # too many to keep one by one


@dataclass(frozen=True)
class Wish:
    """What `bloomery run` was asked besides the configuration. `head`: address of a Ray of ours that runs share."""

    start: str | None = None
    end: str | None = None
    force: bool = False
    head: str | None = None


@dataclass
class Supervisor:
    """What the stages of one run share."""

    loaded: Loaded
    store: Store
    run: Run
    console: Console
    listener: Listener
    wish: Wish


def execute(loaded: Loaded, wish: Wish, console: Console) -> int:
    """Plan, lock, run what is not done, report. Returns the exit code; says everything there is to say.

    Raises: UserError for a wrong range; Busy when another run holds the work directory.
    """
    typed = command_of(loaded, wish)
    with lock.held(loaded.workdir, typed), Listener() as listener, interrupt.ended_politely():
        store = Store(loaded.workdir)
        planned = plan(loaded, store, hashed=_Hashing(console))
        chosen = select(planned, wish.start, wish.end)
        run = create(loaded)
        run.write_plan(planned, loaded)
        run.event(
            "started", pid=os.getpid(), born=born(os.getpid()), command=typed, host=socket.gethostname(),
            versions=versions(), stages=[one.name for one in chosen],
        )  # fmt: skip
        supervisor = Supervisor(loaded, store, run, console, listener, wish)
        return _supervise(supervisor, chosen, wish)


def _supervise(supervisor: Supervisor, chosen: Sequence[Planned], wish: Wish) -> int:
    console, run, started = supervisor.console, supervisor.run, time.monotonic()
    console.say(f"{supervisor.loaded.config.name}: {len(chosen)} stages, {relative(run.path)}")
    console.stages([one.name for one in chosen])
    here = chosen[0]
    try:
        for number, here in enumerate(chosen, 1):
            console.begin(number, len(chosen), here.name)
            _stage(supervisor, here)
    except KeyboardInterrupt:
        console.end("stopped", "stopped; what is finished is kept")
        run.event("stopped", stage=here.name)
        _close(supervisor)
        console.say(f"To go on:\n{command_of(supervisor.loaded, wish, failed=here.name)}")
        return STOPPED
    except BloomeryError as error:
        console.end("failed", str(error))
        run.event("failed", stage=here.name, error=str(error))
        _close(supervisor)
        console.say(f"Log: {relative(run.log)}\nTo go on:\n{command_of(supervisor.loaded, wish, failed=here.name)}")
        return error.exit_code
    run.event("finished", seconds=round(time.monotonic() - started, 3))
    _close(supervisor)
    _farewell(supervisor, chosen, time.monotonic() - started)
    return 0


def _stage(supervisor: Supervisor, planned: Planned) -> None:
    """Run one stage, or say why it need not run."""
    console, run, store = supervisor.console, supervisor.run, supervisor.store
    if planned.artifact is not None and not supervisor.wish.force:
        run.event("skipped", stage=planned.name, why=planned.why)
        came = brief(planned.artifact.manifest)
        console.end("skipped", f"done before: {planned.why}{f' ({came})' if came else ''}")
        return
    attempt, folder = store.begin(planned.name, planned.fingerprint, fresh=supervisor.wish.force)
    run.event("stage_started", stage=planned.name, attempt=attempt, state=planned.state, why=planned.why)
    if planned.state == "resume" and not supervisor.wish.force:
        console.say(f"{console.place}   resuming, attempt {attempt}: {planned.why}")
    # in a private folder that goes with the run: raw files' addresses may hold a key
    job_path = Path(supervisor.listener.folder) / f"{planned.name}.json"
    write_json(job_path, _order(supervisor, planned, attempt, folder))
    killed_before = oom_kills()
    ended = _watch(supervisor, planned, StageProcess(job_path, run.log), result_path(job_path))
    artifact = _result(supervisor, planned, ended, result_path(job_path), killed=oom_kills() - killed_before)
    measured = {"seconds": ended.seconds, "cpu_seconds": ended.cpu_seconds, "peak_bytes": ended.peak_bytes}
    store.note(artifact, event="measured", run=run.path.name, attempt=attempt, **measured)
    run.event("stage_done", stage=planned.name, digest=artifact.manifest.digest, **measured)
    summary = told(artifact.manifest)
    cost = f"in {figures.duration(ended.seconds)}, peak {figures.size(ended.peak_bytes)}"
    console.end("done", f"{cost}: {summary}" if summary else cost)


def _order(supervisor: Supervisor, planned: Planned, attempt: int, folder: Path) -> dict[str, Any]:
    """What the child is told: the job, whom it must not outlive, where it publishes."""
    where = supervisor.loaded.config.cluster.model_dump(mode="json")
    if supervisor.wish.head:
        where["head"] = supervisor.wish.head
    config, run, workdir = supervisor.loaded.config, supervisor.run, supervisor.loaded.workdir
    inputs: dict[str, Artifact] = {}
    digests: Prints = dict(planned.inputs)  # raw files and artifacts of other runs stand there by what they hold
    for kind, (stage, fingerprint) in planned.needs.items():
        artifact = supervisor.store.find(stage, fingerprint)
        if artifact is None:
            raise StageFailed(f"{planned.name}: its input {stage} is gone from the store. Run again from {stage}.")
        inputs[kind], digests[stage] = artifact, artifact.manifest.digest
    identity = Identity(
        stage=planned.name, version=planned.spec.version, kind=planned.spec.makes, run=planned.spec.run,
        fingerprint=planned.fingerprint, params=planned.params, seed=config.seed, attempt=attempt,
        input_fingerprints=dict(planned.inputs), input_digests=digests,
    )  # fmt: skip
    place = Place(folder=folder, scratch=workdir / "scratch", metrics=run.metrics, log=run.log)
    resources = Resources(workers=config.cluster.beam.workers or os.cpu_count() or 1, cluster=where)
    job = Job(identity, Inputs.of(inputs | planned.externals), place, resources, planned.sources)
    place.scratch.mkdir(exist_ok=True)
    return {
        "job": job.to_dict() | {"progress": supervisor.listener.address}, "parent": os.getpid(),
        "home": str(Path(cluster.__file__).parent), "plugins": str(Path.cwd()), "workdir": str(workdir),
    }  # fmt: skip


def _watch(supervisor: Supervisor, planned: Planned, process: StageProcess, result: Path) -> Ended:
    """Draw the stage's progress until its process ends; end it when this one is to end, or when it does not part."""
    standing, next_snapshot, linger = Standing(planned.name), time.monotonic() + SNAPSHOT_S, 0.0
    try:
        with supervisor.listener.awake_for(process.descriptor):
            while (ended := process.poll()) is None:
                for message in supervisor.listener.receive(0.1):
                    standing.take(message)
                    if message.get("kind") not in LOUD:
                        supervisor.run.event("told", message=message)
                supervisor.console.update(standing)
                if linger == 0.0 and result.exists():
                    linger = time.monotonic() + LINGER_S
                elif linger and time.monotonic() > linger:
                    process.ask()
                if time.monotonic() > next_snapshot:
                    next_snapshot = time.monotonic() + SNAPSHOT_S
                    supervisor.run.event("progress", stage=planned.name, line=standing.line())
    except BaseException:
        with interrupt.deaf():
            process.stop()
        raise
    return ended


def _result(supervisor: Supervisor, planned: Planned, ended: Ended, path: Path, *, killed: int) -> Artifact:
    """The artifact that the child published, or its sentence; a child without words gets ours.

    Raises: BloomeryError when the stage failed.
    """
    found = supervisor.store.find(planned.name, planned.fingerprint)
    said = read_json(path) if path.exists() else {}
    # a library that crashes while the interpreter shuts down has done its work: the artifact is whole
    if "published" in said and found is not None:
        return found
    if "error" in said:
        failure = StageFailed(said["error"])
        failure.exit_code = said["exit_code"]
        raise failure
    workers = supervisor.loaded.config.cluster.beam.workers or os.cpu_count() or 1
    log = relative(supervisor.run.log)
    raise StageFailed(verdict(planned.name, ended, Path(log), workers=workers, oom_kills=killed))


def _close(supervisor: Supervisor) -> None:
    """Lineage and report, of a failed run too; a report that cannot be drawn is said and harms nothing."""
    from cluster.report import write

    supervisor.run.write_lineage(supervisor.store)
    try:
        write(supervisor.run, supervisor.store)
    except Exception as error:
        supervisor.run.event("no_report", error=repr(error))
        supervisor.console.say(
            f"The report could not be drawn ({error!r}); try: {program()} report {supervisor.run.path}"
        )


def _farewell(supervisor: Supervisor, chosen: Sequence[Planned], seconds: float) -> None:
    """Where things are, and the next command."""
    console, run, loaded = supervisor.console, supervisor.run, supervisor.loaded
    console.say(f"\nDone in {figures.duration(seconds)}.")
    console.say(f"  report      {relative(run.report)}")
    last = loaded.chosen()[-1].name
    made = {one.spec.makes: run.artifact(one.name) for one in chosen}
    for kind, path in made.items():
        label = {"model": "checkpoint", "scores": "scores", "files": "export"}.get(kind)
        if label:
            inside = sorted(path.glob("*/")) if kind != "scores" else []
            console.say(f"  {label:<11} {relative(inside[0] if inside else path)}")
    if "model" in made and _writes(loaded):
        console.say(f'  try         {program()} sample {relative(run.path)} --prompt "{_prompt(loaded)}"')
    elif chosen[-1].name != last:
        console.say(f"  go on       {command_of(loaded, Wish())}")
    else:
        console.say(f"  look        {program()} report {relative(run.path)}")


def _writes(loaded: Loaded) -> bool:
    """Whether the model is of a family that goes on with a prompt."""
    model = getattr(loaded.config.section("pretrain"), "model", None)
    return load(CANNOT)(getattr(model, "name", "")) is None


def _prompt(loaded: Loaded) -> str:
    """A prompt of the user's own, or a neutral one."""
    for task in getattr(loaded.config.section("evaluate"), "tasks", ()):
        for prompt in (getattr(task, "options", {}).get("prompts") or ())[:1]:
            return str(prompt).strip().splitlines()[0]
    return "Once upon a time"


def command_of(loaded: Loaded, wish: Wish, *, failed: str | None = None) -> str:
    """The command line of a run; with `failed`, the one that goes on from there.

    Without --force a resumed run is the same command. With it the stages that were forced and are done stay done.
    """
    start = failed if failed and wish.force else wish.start
    flags = [*(["--from", start] if start else []), *(["--to", wish.end] if wish.end else [])]
    forced = ["--force"] if wish.force else []
    return command("run", loaded.path, loaded.overrides, [*flags, *forced])


class _Hashing:
    """Says, now and then, that raw files are being read for the first time."""

    def __init__(self, console: Console) -> None:
        self.console, self.bytes, self.files, self.next = console, 0, 0, time.monotonic() + 2.0

    def __call__(self, file: RawFile) -> None:
        self.bytes, self.files = self.bytes + file.size, self.files + 1
        if time.monotonic() > self.next:
            self.next = time.monotonic() + 5.0
            self.console.say(f"looking at raw files: {self.files:,} hashed, {figures.size(self.bytes)}")


def relative(path: Path) -> str:
    """A path as people write it from where they stand."""
    inside = path.is_relative_to(Path.cwd())
    return str(path.relative_to(Path.cwd()) if inside else path)
