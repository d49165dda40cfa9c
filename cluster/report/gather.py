"""Everything the report shows, as plain values: what each stage gives of its artifacts, and what the run itself knows.

A stage that was skipped or resumed has its times and memory in the artifact's journal, so the report of a second run is
as full as that of the first; a stage that was never finished is left out, and the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cluster.report.funnel import funnel
from cluster.run import RecordedStep, Run, artifacts_of, inputs_of
from cluster.summary import summary
from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.journal import JournalLine
from pipeline.core.manifest import StageHashes, as_list
from pipeline.core.registry import load
from pipeline.core.report import Chapter, FunnelColumn, ReportedStep, StageReport, Tile
from pipeline.core.stage import StageSpec
from pipeline.core.store import Store

FUNNEL = Chapter("funnel", "From raw files to tokens", ())


@dataclass(frozen=True)
class StageRow:
    """Time, memory and lineage of one step."""

    step: str
    fingerprint: str
    inputs: dict[str, list[str]]
    status: str
    summary: str
    digest: str = ""
    bytes: int = 0
    files: int = 0
    seconds: float = 0.0
    peak_bytes: float = 0.0
    speed: str = ""


@dataclass(frozen=True)
class Facts:
    """What `page.html.jinja` is given."""

    name: str
    state: str
    started: str
    command: str
    error: str
    tiles: tuple[Tile, ...]
    funnel: str
    chapters: tuple[Chapter, ...]
    stages: tuple[StageRow, ...]
    config: str
    versions: dict[str, str]


def gather(run: Run, store: Store, specs: Sequence[StageSpec]) -> Facts:
    """Read everything; what is not there is left empty."""
    events = list(run.events())
    first = next((event for event in events if event["event"] == "started"), {})
    failed = next((event for event in events if event["event"] == "failed"), {})
    started = datetime.fromtimestamp(first["time"]).strftime("%Y-%m-%d %H:%M") if first else ""
    artifacts = artifacts_of(run, store)
    reports = list(_reports(run, store, specs, artifacts))
    gates = [gate for report in reports for gate in report.gates]
    rows = tuple(_rows(run, specs, artifacts, events))
    return Facts(
        run.path.name, run.state(), started, first.get("command", ""), failed.get("error", ""),
        (*_tiles(reports, gates), *_work(rows)), funnel(gates),
        tuple(_chapters(reports, with_funnel=len(gates) > 1)), rows,
        (run.path / "config.yaml").read_text(encoding="utf-8"), first.get("versions", {}),
    )  # fmt: skip


def _reports(
    run: Run, store: Store, specs: Sequence[StageSpec], artifacts: Mapping[str, Artifact]
) -> list[StageReport]:
    """What each stage of the run shows, in the order of the flow."""
    plan = run.plan()
    reports = []
    for spec in specs:
        steps = [_reported(run, store, step, artifacts.get(step.id)) for step in plan if step.stage == spec.name]
        if steps and spec.report is not None:
            reports.append(load(spec.report)(steps))
    return reports


def _reported(run: Run, store: Store, step: RecordedStep, artifact: Artifact | None) -> ReportedStep:
    inputs = inputs_of(artifact, store) if artifact is not None else ()
    return ReportedStep(step.name, artifact, inputs, run.metrics_of(step.name and step.id))


def _chapters(reports: Sequence[StageReport], *, with_funnel: bool) -> list[Chapter]:
    """The chapters of all stages, those of one id put together; the funnel's first."""
    merged: dict[str, Chapter] = {FUNNEL.id: FUNNEL} if with_funnel else {}
    for chapter in (chapter for report in reports for chapter in report.chapters):
        existing = merged.get(chapter.id)
        merged[chapter.id] = replace(existing, blocks=(*existing.blocks, *chapter.blocks)) if existing else chapter
    return list(merged.values())


def _tiles(reports: Sequence[StageReport], gates: Sequence[FunnelColumn]) -> list[Tile]:
    """The stages' figures, and after the first how many documents were kept of those that were read."""
    tiles = [tile for report in reports for tile in report.tiles]
    documents = gates[1:]
    if len(documents) > 1 and tiles:
        read, kept = documents[0].value, documents[-1].value
        tiles.insert(1, Tile(figures.count(kept), "documents kept", figures.percent(kept, read)))
    return tiles


def _work(rows: Sequence[StageRow]) -> tuple[Tile, ...]:
    seconds = sum(row.seconds for row in rows)
    return (Tile(figures.duration(seconds), "of work", "all stages, whenever they ran"),) if seconds else ()


def _rows(
    run: Run, specs: Sequence[StageSpec], artifacts: Mapping[str, Artifact], events: Sequence[Mapping[str, Any]]
) -> list[StageRow]:
    """A row for each step, whether it ran now or long ago."""
    outcome = {event["stage"]: event["event"] for event in events if event.get("stage") and event["event"] != "told"}
    by_name = {spec.name: spec for spec in specs}
    return [_row(step, outcome.get(step.id), artifacts.get(step.id), by_name.get(step.stage)) for step in run.plan()]


def _row(step: RecordedStep, event: str | None, artifact: Artifact | None, spec: StageSpec | None) -> StageRow:
    status = _status(event, artifact)
    if artifact is None:
        return StageRow(step.id, step.fingerprint, _lists(step.inputs), status, step.reason)
    manifest = artifact.manifest
    # the last time it was done; an attempt that was killed has left no line
    measured = next((line for line in reversed(artifact.journal()) if "seconds" in line), JournalLine())
    seconds = float(measured.get("seconds", 0))
    return StageRow(
        step.id, manifest.fingerprint, _lists(manifest.inputs), status, summary(manifest, spec) or step.reason,
        manifest.digest, sum(file.bytes for file in manifest.files), len(manifest.files), seconds,
        measured.get("peak_bytes", 0), _speed(artifact, seconds),
    )  # fmt: skip


def _lists(prints: StageHashes) -> dict[str, list[str]]:
    return {stage: as_list(value) for stage, value in prints.items()}


def _status(event: str | None, artifact: Artifact | None) -> str:
    if event == "skipped":
        return "done before"
    if artifact is not None:
        return "done" if event == "stage_done" else "done before"
    return {"failed": "failed", "stopped": "stopped"}.get(event or "", "not run")


def _speed(artifact: Artifact, seconds: float) -> str:
    """Text or tokens a second of a stage's whole time, its start included."""
    counts = artifact.manifest.counts
    if artifact.manifest.kind == "model" and seconds and "tokens" in counts:
        return figures.rate(counts["tokens"] / seconds, "tokens")
    splits = sum(split["bytes"] for split in counts.get("splits", {}).values())
    read = next((counts[key] for key in ("text_bytes_in", "bytes_in", "text_bytes") if key in counts), splits)
    return figures.rate(read / seconds, "bytes") if read and seconds else ""
