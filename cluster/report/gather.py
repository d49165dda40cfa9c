"""Everything the report shows, as plain values: read from the run directory and from the artifacts its plan names.

A stage that was skipped or resumed has its times and memory in the artifact's journal, so the report of a second run is
as full as that of the first; a stage that was never finished is left out, and the page says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cluster import figures
from cluster.report.flow import drops, gates
from cluster.report.funnel import funnel
from cluster.report.training import curve, training_charts, training_figures
from cluster.run import Run, artifacts_of
from cluster.summary import told
from pipeline.core.artifact import Artifact
from pipeline.core.files import read_json
from pipeline.core.store import Store

Table = list[dict[str, Any]]


@dataclass
class Facts:
    """What `page.html.jinja` is given."""

    name: str
    state: str
    started: str
    command: str
    error: str = ""
    tiles: list[tuple[str, str, str]] = field(default_factory=list)
    funnel: str = ""
    drops: Table = field(default_factory=list)
    tokenizer: dict[str, Any] = field(default_factory=dict)
    splits: dict[str, Any] = field(default_factory=dict)
    charts: list[tuple[str, str]] = field(default_factory=list)
    training: list[tuple[str, str]] = field(default_factory=list)
    scores: Table = field(default_factory=list)
    samples: Table = field(default_factory=list)
    neighbours: Table = field(default_factory=list)
    gaps: Table = field(default_factory=list)
    stages: Table = field(default_factory=list)
    raw: Table = field(default_factory=list)
    config: str = ""
    versions: dict[str, str] = field(default_factory=dict)


def gather(run: Run, store: Store) -> Facts:
    """Read everything; what is not there is left empty."""
    events = list(run.events())
    first = next((event for event in events if event["event"] == "started"), {})
    failed = next((event for event in events if event["event"] == "failed"), {})
    started = datetime.fromtimestamp(first["time"]).strftime("%Y-%m-%d %H:%M") if first else ""
    facts = Facts(run.path.name, run.state(), started, first.get("command", ""), failed.get("error", ""))
    made = artifacts_of(run, store)
    facts.funnel = funnel(gates(made))
    facts.drops = drops(made)
    facts.tokenizer = _json(made.get("tokenizer"), "stats.json")
    facts.splits = _json(made.get("pack"), "splits.json")
    points = curve(made.get("pretrain"), run)
    facts.charts, facts.training = training_charts(points), training_figures(points, made.get("pretrain"))
    facts.scores = _json(made.get("evaluate"), "scores.json") or []
    facts.samples = _samples(_json(made.get("evaluate"), "samples.json") or [])
    facts.neighbours = _json(made.get("evaluate"), "neighbours.json") or []
    facts.gaps = _json(made.get("evaluate"), "fill.json") or []
    facts.stages = stage_rows(run, made, events)
    facts.raw = _json(made.get("ingest"), "raw.json") or []
    facts.config = (run.path / "config.yaml").read_text(encoding="utf-8")
    facts.versions = first.get("versions", {})
    facts.tiles = tiles(made, facts)
    return facts


def stage_rows(run: Run, made: dict[str, Artifact], events: list[dict[str, Any]]) -> Table:
    """Time, memory and lineage of each stage, whether it ran now or long ago."""
    outcome = {event["stage"]: event["event"] for event in events if event.get("stage") and event["event"] != "told"}
    rows = []
    for one in run.plan():
        artifact = made.get(one["stage"])
        row = {
            "stage": one["stage"], "fingerprint": one["fingerprint"], "inputs": one["inputs"], "why": one["why"],
            "how": _how(outcome.get(one["stage"]), artifact), "summary": "", "digest": "", "bytes": 0, "files": 0,
            "seconds": 0.0, "peak_bytes": 0, "path": "", "speed": "",
        }  # fmt: skip
        if artifact is not None:
            row |= _measured(artifact)
            row["speed"] = _speed(artifact, row["seconds"])
            row |= {
                "digest": artifact.manifest.digest, "files": len(artifact.manifest.files),
                "bytes": sum(file.bytes for file in artifact.manifest.files), "summary": told(artifact.manifest),
                "path": f"store/{one['stage']}/{one['fingerprint']}",
            }  # fmt: skip
        rows.append(row)
    return rows


def _how(event: str | None, artifact: Artifact | None) -> str:
    if event == "skipped":
        return "done before"
    if artifact is not None:
        return "done" if event == "stage_done" else "done before"
    return {"failed": "failed", "stopped": "stopped"}.get(event or "", "not run")


def _measured(artifact: Artifact) -> dict[str, Any]:
    lines = artifact.journal()
    # the last time it was done; an attempt that was killed has left no line
    measured: dict[str, Any] = next((line for line in reversed(lines) if "seconds" in line), {})
    return {key: measured.get(key, 0) for key in ("seconds", "cpu_seconds", "peak_bytes", "attempt")}


def _speed(artifact: Artifact, seconds: float) -> str:
    """Text or tokens a second of a stage's whole time, its start included."""
    counts = artifact.manifest.counts
    if artifact.manifest.kind == "model" and seconds and "tokens" in counts:
        return figures.rate(counts["tokens"] / seconds, "tokens")
    splits = sum(split["bytes"] for split in counts.get("splits", {}).values())
    read = next((counts[key] for key in ("text_bytes_in", "bytes_in", "text_bytes") if key in counts), splits)
    return figures.rate(read / seconds, "bytes") if read and seconds else ""


def tiles(made: dict[str, Artifact], facts: Facts) -> list[tuple[str, str, str]]:
    """The run in a few large figures: (figure, what it is, a remark)."""
    found = []
    if "ingest" in made:
        counts = made["ingest"].manifest.counts
        found.append(
            (figures.count(counts["out"]), "documents read", f"{figures.count(counts['quarantined'])} quarantined")
        )
    last = next((stage for stage in ("dedupe", "clean") if stage in made), None)
    if last and "ingest" in made:
        kept, read = made[last].manifest.counts["out"], made["ingest"].manifest.counts["out"]
        found.append((figures.count(kept), "documents kept", figures.percent(kept, read)))
    if facts.splits:
        tokens = {split: one["tokens"] for split, one in facts.splits.items()}
        remark = f"{figures.short(tokens.get('validation', 0))} held out"
        found.append((figures.short(sum(tokens.values())), "tokens", remark))
    scores = {
        (row["task"], row["metric"]): row["value"] for row in facts.scores if row.get("language") in (None, "all")
    }
    bits, xz = scores.get(("perplexity", "bits_per_byte")), scores.get(("perplexity", "xz_bits_per_byte"))
    if bits is not None:
        remark = f"{bits / xz:.2f} × xz -9" if xz else "held-out text"
        found.append((f"{bits:.3f}", "bits per byte", remark))
    seconds = sum(row["seconds"] for row in facts.stages)
    if seconds:
        found.append((figures.duration(seconds), "of work", "all stages, whenever they ran"))
    return found


def _samples(rows: Any) -> Table:
    """Prompt and continuation, whatever else a sample carries shown beside it."""
    found = []
    for row in rows if isinstance(rows, list) else []:
        text = row.get("text") or row.get("completion") or row.get("continuation") or ""
        prompt = row.get("prompt", "")
        text = text.removeprefix(prompt)
        said = ("prompt", "text", "completion", "continuation")
        rest = {key: value for key, value in row.items() if key not in said and value is not None}
        found.append({"prompt": prompt, "text": text, "rest": rest})
    return found


def _json(artifact: Artifact | None, name: str) -> Any:
    if artifact is None or not artifact.has(name):
        return {}
    return read_json(artifact.file(name))
