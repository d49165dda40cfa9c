"""Gathers everything the report shows, as plain values: the reports of the stages, and what the run itself recorded.

Times and memory of a cached stage come from the journal of its artifact, so a second run has a complete report
too. A stage that never finished is marked "not run".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import yaml

from cluster.report.card import DataCard, data_card
from cluster.report.data_stage import DataStage
from cluster.report.funnel import funnel
from cluster.run import RecordedStep, Run, artifacts_of, inputs_of
from cluster.run_records import Event
from cluster.summary import summary
from pipeline.core import figures
from pipeline.core.artifact import Artifact
from pipeline.core.files import JsonObject
from pipeline.core.journal import JournalLine
from pipeline.core.manifest import StageHashes, as_list
from pipeline.core.registry import load
from pipeline.core.report import Chapter, FunnelColumn, ReportedStep, StageReport, Tile
from pipeline.core.stage import StageSpec
from pipeline.core.store import Store
from pipeline.core.tables import leave_out_pandas

OUTCOMES = ("stage_started", "stage_done", "skipped", "failed", "stopped")  # events that say where a step stands
CONFIG = "config.yaml"
CARD = "card"
CARD_NOTE = "What the documents are, where they are from, and what was done to them. In Markdown: data-card.md."
DATA = ("documents", "annotations", "vectors", "tokens")  # kinds of artifacts that the card is about


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
class RunReport:
    """What `page.html.jinja` is given."""

    name: str
    title: str
    state: str
    started: str
    command: str
    error: str
    tiles: tuple[Tile, ...]
    funnel: str
    chapters: tuple[Chapter, ...]
    card: DataCard | None
    stages: tuple[StageRow, ...]
    config: str
    versions: dict[str, str]


def gather(run: Run, store: Store, specs: Sequence[StageSpec]) -> RunReport:
    """Read everything; missing values stay empty."""
    leave_out_pandas()
    events = list(run.events())
    first = _first(events, "started")
    failed = _first(events, "failed")
    started = datetime.fromtimestamp(first["time"]).strftime("%Y-%m-%d %H:%M") if first["time"] else ""
    artifacts = artifacts_of(run, store)
    pairs = list(_reports(run, store, specs, artifacts))
    reports = [report for _, report in pairs]
    card = data_card([stage for stage, _ in pairs if stage.makes in DATA and stage.parts])
    gates = [gate for report in reports for gate in report.gates]
    rows = tuple(_rows(run, specs, artifacts, events))
    config = (run.path / CONFIG).read_text(encoding="utf-8")
    title = _plain(config).get("name", run.path.name)
    return RunReport(
        run.path.name, title, run.state(), started, first.get("command", ""), failed.get("error", ""),
        (*_tiles(reports, gates), *_work(rows)), funnel(gates), tuple(_chapters(reports, card)), card, rows,
        config, first.get("versions", {}),
    )  # fmt: skip


def _first(events: Sequence[Event], kind: str) -> Event:
    """The first event of a kind; an empty one at time 0 if there is none."""
    return next((event for event in events if event["event"] == kind), Event(time=0.0, event=kind))


def _reports(
    run: Run, store: Store, specs: Sequence[StageSpec], artifacts: Mapping[str, Artifact]
) -> Iterator[tuple[DataStage, StageReport]]:
    """The stages of the run and their reports, in the order of the flow."""
    plan = run.plan()
    sections = _plain((run.path / CONFIG).read_text(encoding="utf-8"))
    for spec in specs:
        section = sections.get(spec.section)
        steps = [
            _reported(run, store, step, artifacts.get(step.id), section if isinstance(section, dict) else {})
            for step in plan if step.stage == spec.name
        ]  # fmt: skip
        if steps:
            report: StageReport = StageReport() if spec.report is None else load(spec.report)(steps)
            manifests = [step.artifact.manifest for step in steps if step.artifact is not None]
            counts = tuple(manifest.counts for manifest in manifests)
            summaries = tuple(summary(manifest, spec) for manifest in manifests)
            yield DataStage(spec.name, spec.makes, counts, summaries, report), report


def _plain(config: str) -> JsonObject:
    """The configuration with every scalar as a string, as it was written."""
    sections: JsonObject = yaml.load(config, Loader=yaml.BaseLoader) or {}
    return sections


def _reported(
    run: Run, store: Store, step: RecordedStep, artifact: Artifact | None, section: JsonObject
) -> ReportedStep:
    inputs = inputs_of(artifact, store) if artifact is not None else ()
    return ReportedStep(step.name, artifact, inputs, run.metrics_of(step.name and step.id), section)


def _chapters(reports: Sequence[StageReport], card: DataCard | None) -> list[Chapter]:
    """The chapters of all stages, with those of the same id merged; the data card comes first."""
    first = [Chapter(CARD, "Data card", card.blocks, note=CARD_NOTE, of_data=True)] if card else []
    merged: dict[str, Chapter] = {}
    for chapter in (*first, *(chapter for report in reports for chapter in report.chapters)):
        existing = merged.get(chapter.id)
        merged[chapter.id] = replace(existing, blocks=(*existing.blocks, *chapter.blocks)) if existing else chapter
    return list(merged.values())


def _tiles(reports: Sequence[StageReport], gates: Sequence[FunnelColumn]) -> list[Tile]:
    """The figures of the stages; after the first one, how many of the documents were kept."""
    tiles = [tile for report in reports for tile in report.tiles]
    documents = gates[1:]
    if len(documents) > 1 and tiles:
        read, kept = documents[0].value, documents[-1].value
        tiles.insert(1, Tile(figures.count(kept), "documents kept", figures.percent(kept, read)))
    return tiles


def _work(rows: Sequence[StageRow]) -> tuple[Tile, ...]:
    seconds = sum(row.seconds for row in rows)
    return (Tile(figures.duration(seconds), "total time", "all stages, cached ones included"),) if seconds else ()


def _rows(
    run: Run, specs: Sequence[StageSpec], artifacts: Mapping[str, Artifact], events: Sequence[Event]
) -> list[StageRow]:
    """A row for each step, cached ones included."""
    outcome = {event["stage"]: event["event"] for event in events if event["event"] in OUTCOMES}
    by_name = {spec.name: spec for spec in specs}
    return [_row(step, outcome.get(step.id), artifacts.get(step.id), by_name.get(step.stage)) for step in run.plan()]


def _row(step: RecordedStep, event: str | None, artifact: Artifact | None, spec: StageSpec | None) -> StageRow:
    status = _status(event, artifact)
    if artifact is None:
        return StageRow(step.id, step.fingerprint, _lists(step.inputs), status, step.reason)
    manifest = artifact.manifest
    # the last complete run of the step; a killed attempt leaves no line
    measured = next((line for line in reversed(artifact.journal()) if "seconds" in line), JournalLine())
    seconds = float(measured.get("seconds", 0))
    text = (summary(manifest, spec) or step.reason) + _restarts(measured)
    return StageRow(
        step.id, manifest.fingerprint, _lists(manifest.inputs), status, text,
        manifest.digest, sum(file.bytes for file in manifest.files), len(manifest.files), seconds,
        measured.get("peak_bytes", 0), _speed(artifact, seconds),
    )  # fmt: skip


def _restarts(measured: JournalLine) -> str:
    """ "; started again after 3.2 s: its process was killed (SIGKILL)", for each restart; else nothing."""
    restarts = measured.get("restarts", [])
    return "".join(
        f"; started again after {figures.duration(restart['seconds'])}: {restart['what']}" for restart in restarts
    )


def _lists(prints: StageHashes) -> dict[str, list[str]]:
    return {stage: as_list(value) for stage, value in prints.items()}


def _status(event: str | None, artifact: Artifact | None) -> str:
    if event == "skipped":
        return "cached"
    if artifact is not None:
        return "done" if event == "stage_done" else "cached"
    return {"failed": "failed", "stopped": "stopped"}.get(event or "", "not run")


def _speed(artifact: Artifact, seconds: float) -> str:
    """Text or tokens per second over the total time of a stage, including the start of its process."""
    counts = artifact.manifest.counts
    if artifact.manifest.kind == "model" and seconds and "tokens" in counts:
        return figures.rate(counts["tokens"] / seconds, "tokens")
    splits = sum(split["bytes"] for split in counts.get("splits", {}).values())
    read = next((counts[key] for key in ("text_bytes_in", "bytes_in", "text_bytes") if key in counts), splits)
    return figures.rate(read / seconds, "bytes") if read and seconds else ""
