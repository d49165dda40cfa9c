"""The run directory: what one `bloomery run` was asked, did and found; small, by time, for people.

runs/<time>-<name>/: config.yaml (resolved: run it to repeat the run), plan.json, lineage.json, events.jsonl, metrics/,
artifacts/ (links), log.txt, report.html
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cluster.config import LoadedConfig
from cluster.plan import PlannedStep
from cluster.program import program
from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.files import read_json, replacing, write_json
from pipeline.core.manifest import StageHashes, as_list
from pipeline.core.store import Store

FOLDER, PLAN = "runs", "plan.json"
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
    reads: dict[str, list[str]]

    @classmethod
    def of(cls, value: dict[str, Any]) -> RecordedStep:
        """From plan.json; plans of earlier releases know no names and no `reads`."""
        return cls(
            value.get("step", value["stage"]), value.get("name", ""), value["stage"], value.get("makes", ""),
            value["fingerprint"], value["inputs"], value.get("why", ""), value.get("reads", {}),
        )  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One run directory. Events are appended; everything else is written whole."""

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
    def workdir(self) -> Path:
        return self.path.parent.parent

    def metrics_of(self, step: str) -> Path:
        """The live metrics of a step; an empty id is the only step of its stage, whose figures lie on top."""
        return self.metrics / step if step else self.metrics

    def artifact(self, step: str) -> Path:
        """A link to what a step published, as this run used it."""
        return self.path / "artifacts" / step

    def event(self, kind: str, **fields: Any) -> None:
        """Append one event with its Unix time."""
        line = json.dumps({"time": round(time.time(), 3), "event": kind, **fields}, ensure_ascii=False)
        with (self.path / "events.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    def events(self) -> Iterator[dict[str, Any]]:
        """The events so far; a line that a kill cut short is left out."""
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
        """What was made of what, as far as it is published; and a link to each artifact, for people who look around."""
        artifacts = artifacts_of(self, store)
        lineage = [{"step": step, **_lineage(artifact)} for step, artifact in artifacts.items()]
        write_json(self.path / "lineage.json", lineage)
        (self.path / "artifacts").mkdir(exist_ok=True)
        for step, artifact in artifacts.items():
            link = self.artifact(step)
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(artifact.folder(""), self.path / "artifacts"))

    def state(self) -> str:
        """finished, failed or stopped by its last event; else running or killed by whether its process lives."""
        started: dict[str, Any] = {}
        for event in self.events():
            if event["event"] in ENDED:
                return str(event["event"])
            if event["event"] == "started":
                started = event
        return "running" if started and _is_running(started["pid"], started["born"]) else "killed"


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
    """The runs of a work directory, the oldest first."""
    return [Run(path.parent.absolute()) for path in sorted((workdir / FOLDER).glob("*/config.yaml"))]


def find(workdir: Path, name: str | None) -> Run:
    """A run by its directory, by its name in `workdir`, or the only one there; never "the latest" unasked.

    Raises: UserError when there is none of that name, or several and none was named.
    """
    if name and (Path(name) / "config.yaml").exists():
        return Run(Path(name).absolute())
    runs = all_runs(workdir)
    if not runs:
        raise UserError(f"{workdir / FOLDER}: no run yet. Start one: {program()} run CONFIG.yaml")
    for run in runs:
        if name == run.path.name or (name is None and len(runs) == 1):
            return run
    listed = "\n".join(f"  {run.path.name}" for run in runs[-10:])
    problem = f"no run named {name}; name one of" if name else "there are several runs; name one"
    raise UserError(f"{workdir / FOLDER}: {problem}:\n{listed}")


def artifacts_of(run: Run, store: Store) -> dict[str, Artifact]:
    """Step → the artifact that the run's plan names, where it is published."""
    artifacts = {step.id: store.find(step.stage, step.fingerprint) for step in run.plan()}
    return {step: artifact for step, artifact in artifacts.items() if artifact is not None}


def inputs_of(artifact: Artifact, store: Store) -> tuple[Artifact, ...]:
    """What an artifact was made of, by its own manifest, as far as the store still has it."""
    inputs = artifact.manifest.inputs.items()
    sources = (store.find(stage, fingerprint) for stage, prints in inputs for fingerprint in as_list(prints))
    return tuple(source for source in sources if source is not None)


def process_start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 when there is none. With the id it names it for good."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[19])


def _is_running(pid: int, ticks: int) -> bool:
    return process_start_ticks(pid) == ticks


def _lineage(artifact: Artifact) -> dict[str, Any]:
    manifest = artifact.manifest
    return {
        "stage": manifest.stage, "fingerprint": manifest.fingerprint, "kind": manifest.kind, "inputs": manifest.inputs,
        "digest": manifest.digest, "content_digest": manifest.content_digest,
        "path": f"store/{manifest.stage}/{manifest.fingerprint}", "files": len(manifest.files),
        "bytes": sum(file.bytes for file in manifest.files),
    }  # fmt: skip
