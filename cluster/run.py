"""The run directory: the configuration, plan, events and results of one `bloomery run`.

runs/<time>-<name>/: config.yaml (resolved: run it to repeat the run), plan.json, lineage.json, events.jsonl, metrics/,
artifacts/ (links), log.txt, report.html, data-card.md
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Unpack

from cluster.config import LoadedConfig
from cluster.machine_processes import process_start_ticks
from cluster.plan import PlannedStep
from cluster.program import program
from cluster.run_records import Event, EventFields, LineageEntry, PlanEntry
from cluster.stored_runs import FOLDER, fetch_runs
from pipeline.core.artifact import Artifact, Remote
from pipeline.core.errors import UserError
from pipeline.core.files import read_json, replacing, write_json
from pipeline.core.manifest import StageHashes, as_list
from pipeline.core.stage import ArtifactKind
from pipeline.core.store import Store

PLAN = "plan.json"
SILENT_S = 120.0
ENDED = ("finished", "failed", "stopped")


@dataclass(frozen=True)
class RecordedStep:
    """A step as a run's plan.json has it. `reads`: kind → ids of the steps that make it."""

    id: str
    name: str
    stage: str
    makes: str
    fingerprint: str
    inputs: StageHashes
    reason: str
    reads: dict[ArtifactKind, list[str]]

    @classmethod
    def of(cls, value: PlanEntry) -> RecordedStep:
        """From plan.json; plans of earlier releases know no names and no `reads`."""
        return cls(
            value.get("step", value["stage"]), value.get("name", ""), value["stage"], value.get("makes", ""),
            value["fingerprint"], value["inputs"], value.get("why", ""), value.get("reads", {}),
        )  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One run directory. Events are appended; other files are replaced atomically."""

    path: Path

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def data_card(self) -> Path:
        return self.path / "data-card.md"

    @property
    def workdir(self) -> Path:
        return self.path.parent.parent

    def metrics_of(self, step: str) -> Path:
        """The live metrics of a step; an empty id means the only step of its stage (top level)."""
        return self.metrics / step if step else self.metrics

    def artifact(self, step: str) -> Path:
        """A link to the artifact of a step."""
        return self.path / "artifacts" / step

    def event(self, kind: str, **fields: Unpack[EventFields]) -> None:
        """Append one event with its Unix time."""
        line = json.dumps({"time": round(time.time(), 3), "event": kind, **fields}, ensure_ascii=False)
        with (self.path / "events.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    def events(self) -> Iterator[Event]:
        """The events so far; an incomplete last line is left out."""
        path = self.path / "events.jsonl"
        if not path.exists():
            return
        with path.open(encoding="utf-8") as stream:
            for line in stream:
                if line.endswith("\n"):
                    yield json.loads(line)

    def plan(self) -> list[RecordedStep]:
        return [RecordedStep.of(value) for value in read_json(self.path / PLAN)]

    def write_plan(self, steps: Sequence[PlannedStep], loaded: LoadedConfig) -> None:
        write_json(self.path / PLAN, loaded.without_secrets([step.to_dict() for step in steps]))

    def write_lineage(self, store: Store) -> None:
        """Record the published artifacts with their inputs, and link to each artifact."""
        artifacts = artifacts_of(self, store)
        lineage = [_lineage(step, artifact) for step, artifact in artifacts.items()]
        write_json(self.path / "lineage.json", lineage)
        (self.path / "artifacts").mkdir(exist_ok=True)
        for step, artifact in artifacts.items():
            if isinstance(artifact.place, Remote):
                continue  # its files are downloaded when they are read; lineage.json says where they are
            link = self.artifact(step)
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(artifact.folder(""), self.path / "artifacts"))

    def state(self) -> str:
        """finished, failed or stopped, by its last event; else running or killed, by whether its process is alive.

        Of a run on another machine, by whether an event came in the last two minutes.
        """
        started: Event | None = None
        for event in self.events():
            if event["event"] in ENDED:
                return str(event["event"])
            if event["event"] == "started":
                started = event
        if started is None:
            return "killed"
        if started.get("host", socket.gethostname()) != socket.gethostname():
            # the process is on another machine: events come every few seconds while it lives
            return "running" if time.time() - event["time"] < SILENT_S else "killed"
        return "running" if _is_running(started["pid"], started["born"]) else "killed"


def create(loaded: LoadedConfig) -> Run:
    """A new run directory, with the resolved configuration in it."""
    parent = loaded.workdir / FOLDER
    base = f"{datetime.now():%Y%m%d-%H%M%S}-{loaded.config.name}"
    for number in range(1, 1000):
        path = parent / (base if number == 1 else f"{base}-{number}")
        try:
            path.mkdir(parents=True)
            break
        except FileExistsError:
            continue
    run = Run(path)
    run.metrics.mkdir()
    with replacing(path / "config.yaml") as beside:
        beside.write_text(loaded.resolved_yaml(), encoding="utf-8")
    return run


def all_runs(workdir: Path) -> list[Run]:
    """The runs of a work directory, oldest first."""
    fetch_runs(workdir)
    return [Run(path.parent.absolute()) for path in sorted((workdir / FOLDER).glob("*/config.yaml"))]


def find(workdir: Path, name: str | None) -> Run:
    """A run by its directory, by its name in `workdir`, or the only one there; never implicitly the latest.

    Raises: UserError if there is none of that name, or there are several and no name is given.
    """
    if name and (Path(name) / "config.yaml").exists():
        return Run(Path(name).absolute())
    runs = all_runs(workdir)
    if not runs:
        raise UserError(f"{workdir / FOLDER}: no runs yet. Start one with: {program()} run CONFIG.yaml")
    for run in runs:
        if name == run.path.name or (name is None and len(runs) == 1):
            fetch_runs(workdir, run.path.name)
            return run
    listed = "\n".join(f"  {run.path.name}" for run in runs[-10:])
    problem = f"no run is named {name}; the runs are" if name else "there are several runs; give the name of one"
    raise UserError(f"{workdir / FOLDER}: {problem}:\n{listed}")


def artifacts_of(run: Run, store: Store) -> dict[str, Artifact]:
    """Step → its artifact by the plan of the run, if it is published."""
    artifacts = {step.id: store.find(step.stage, step.fingerprint) for step in run.plan()}
    return {step: artifact for step, artifact in artifacts.items() if artifact is not None}


def inputs_of(artifact: Artifact, store: Store) -> tuple[Artifact, ...]:
    """The inputs of an artifact by its manifest, if the store still has them."""
    inputs = artifact.manifest.inputs.items()
    sources = (store.find(stage, fingerprint) for stage, prints in inputs for fingerprint in as_list(prints))
    return tuple(source for source in sources if source is not None)


def _is_running(pid: int, ticks: int) -> bool:
    return process_start_ticks(pid) == ticks


def _lineage(step: str, artifact: Artifact) -> LineageEntry:
    manifest = artifact.manifest
    return {
        "step": step, "stage": manifest.stage, "fingerprint": manifest.fingerprint, "kind": manifest.kind,
        "inputs": manifest.inputs,
        "digest": manifest.digest, "content_digest": manifest.content_digest,
        "path": f"store/{manifest.stage}/{manifest.fingerprint}", "files": len(manifest.files),
        "bytes": sum(file.bytes for file in manifest.files),
    }  # fmt: skip
