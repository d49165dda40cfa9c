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

from cluster.config import Loaded
from cluster.plan import Planned
from cluster.program import program
from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.files import read_json, replacing, write_json
from pipeline.core.store import Store

FOLDER, PLAN = "runs", "plan.json"
ENDED = ("finished", "failed", "stopped")


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

    def artifact(self, stage: str) -> Path:
        """A link to what a stage published, as this run used it."""
        return self.path / "artifacts" / stage

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

    def plan(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = read_json(self.path / PLAN)
        return found

    def write_plan(self, planned: Sequence[Planned], loaded: Loaded) -> None:
        write_json(self.path / PLAN, loaded.veiled([one.to_dict() for one in planned]))

    def write_lineage(self, store: Store) -> None:
        """What was made of what, as far as it is published; and a link to each artifact, for people who look around."""
        made = artifacts_of(self, store)
        write_json(self.path / "lineage.json", [_lineage(artifact) for artifact in made.values()])
        (self.path / "artifacts").mkdir(exist_ok=True)
        for stage, artifact in made.items():
            if not self.artifact(stage).is_symlink():
                self.artifact(stage).symlink_to(os.path.relpath(artifact.folder(""), self.path / "artifacts"))

    def state(self) -> str:
        """finished, failed or stopped by its last event; else running or killed by whether its process lives."""
        started: dict[str, Any] = {}
        for event in self.events():
            if event["event"] in ENDED:
                return str(event["event"])
            if event["event"] == "started":
                started = event
        return "running" if started and _lives(started["pid"], started["born"]) else "killed"


def create(loaded: Loaded) -> Run:
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


def every(workdir: Path) -> list[Run]:
    """The runs of a work directory, the oldest first."""
    return [Run(path.parent.absolute()) for path in sorted((workdir / FOLDER).glob("*/config.yaml"))]


def find(workdir: Path, name: str | None) -> Run:
    """A run by its directory, by its name in `workdir`, or the only one there; never "the latest" unasked.

    Raises: UserError when there is none of that name, or several and none was named.
    """
    if name and (Path(name) / "config.yaml").exists():
        return Run(Path(name).absolute())
    runs = every(workdir)
    if not runs:
        raise UserError(f"{workdir / FOLDER}: no run yet. Start one: {program()} run CONFIG.yaml")
    for run in runs:
        if name == run.path.name or (name is None and len(runs) == 1):
            return run
    listed = "\n".join(f"  {run.path.name}" for run in runs[-10:])
    what = f"no run named {name}; name one of" if name else "there are several runs; name one"
    raise UserError(f"{workdir / FOLDER}: {what}:\n{listed}")


def artifacts_of(run: Run, store: Store) -> dict[str, Artifact]:
    """Stage → the artifact that the run's plan names, where it is published."""
    found = {one["stage"]: store.find(one["stage"], one["fingerprint"]) for one in run.plan()}
    return {stage: artifact for stage, artifact in found.items() if artifact is not None}


def born(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 when there is none. With the id it names it for good."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[19])


def _lives(pid: int, ticks: int) -> bool:
    return born(pid) == ticks


def _lineage(artifact: Artifact) -> dict[str, Any]:
    manifest = artifact.manifest
    return {
        "stage": manifest.stage, "fingerprint": manifest.fingerprint, "kind": manifest.kind, "inputs": manifest.inputs,
        "digest": manifest.digest, "content_digest": manifest.content_digest,
        "path": f"store/{manifest.stage}/{manifest.fingerprint}", "files": len(manifest.files),
        "bytes": sum(file.bytes for file in manifest.files),
    }  # fmt: skip
