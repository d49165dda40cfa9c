"""Everything the report shows, as plain values: read from the run directory and from the artifacts its plan names.

A stage that was skipped or resumed has its times and memory in the artifact's journal, so the report of a second run is
as full as that of the first; a stage that was never finished is left out, and the page says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cluster import figures
from cluster.report import examples
from cluster.report.charts import Series, curves
from cluster.report.funnel import Gate, funnel
from cluster.run import Run, artifacts_of
from cluster.summary import told
from pipeline.core.artifact import Artifact
from pipeline.core.files import read_json
from pipeline.core.shards import batches
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
    facts.stages = stage_rows(run, made, events)
    facts.raw = _json(made.get("ingest"), "raw.json") or []
    facts.config = (run.path / "config.yaml").read_text(encoding="utf-8")
    facts.versions = first.get("versions", {})
    facts.tiles = tiles(made, facts)
    return facts


def gates(made: dict[str, Artifact]) -> list[Gate]:
    """The columns of the funnel, from the manifests' counts."""
    counts = {stage: artifact.manifest.counts for stage, artifact in made.items()}
    if "ingest" not in counts:
        return []
    ingest = counts["ingest"]
    raw = f"{figures.count(ingest.get('raw_files', 0))} files"
    size = figures.size(ingest.get("raw_bytes", 0))
    lost = _lost({f"quarantined: {k}": v for k, v in ingest.get("reasons", {}).items()})
    found = [Gate("raw", raw, size, ingest["in"], lost)]
    label, rest = "documents", dict.fromkeys(("signals", "clean", "dedupe", "pack"))
    note, value = figures.size(ingest.get("text_bytes", 0)), ingest["out"]
    for stage in (stage for stage in rest if stage in counts):
        if stage == "signals" and not any(counts[stage].get("dropped", {}).values()):
            continue
        if stage == "pack":
            break
        found.append(Gate(label, figures.count(value), note, value, _lost(counts[stage].get("dropped", {}))))
        label = {"signals": "cleaned", "clean": "kept by rules", "dedupe": "without copies"}[stage]
        note, value = f"after {stage}", counts[stage]["out"]
    found.append(Gate(label, figures.count(value), note, value))
    if "pack" in counts:
        splits = _json(made["pack"], "splits.json")
        tokens = sum(split["tokens"] for split in splits.values())
        found.append(Gate("tokens", figures.short(tokens), f"{figures.count(value)} documents", value))
    return found


def _lost(dropped: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(((reason, n) for reason, n in dropped.items() if n), key=lambda item: (-item[1], item[0]))


def drops(made: dict[str, Artifact]) -> Table:
    """A group a stage: its reasons with their counts and examples."""
    groups = []
    for stage, artifact in made.items():
        counts = artifact.manifest.counts
        lost = counts.get("reasons", {}) if stage == "ingest" else counts.get("dropped", {})
        rows = _lost(lost) if isinstance(lost, dict) else []
        if not rows:
            continue
        shown = _examples(stage, artifact, made)
        reasons = [
            {"reason": reason, "count": n, "share": n / (counts.get("in") or 1), "examples": shown.get(reason, [])}
            for reason, n in rows
        ]
        groups.append({"stage": stage, "in": counts.get("in", 0), "total": sum(n for _, n in rows), "reasons": reasons})
    return groups


def _examples(stage: str, artifact: Artifact, made: dict[str, Artifact]) -> dict[str, Table]:
    if artifact.files("rejected/"):
        return examples.rejected(artifact)
    if artifact.files("quarantine/"):
        return examples.quarantined(artifact)
    if artifact.files("duplicates/"):
        return examples.duplicates(artifact, next((made[one] for one in artifact.manifest.inputs if one in made), None))
    return {}


def curve(artifact: Artifact | None, run: Run) -> Table:
    """The training curve: of the model artifact, or of the live metrics while there is none."""
    if artifact is not None:
        files = artifact.files("curve.parquet")
        return [row for file in files for batch in batches(file) for row in batch.to_pylist()]
    rows: Table = []
    for path in sorted(run.metrics.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = _line(line)
            if "step" in row:
                rows.append(row)
    return sorted(rows, key=lambda row: row["step"])


def _line(text: str) -> dict[str, Any]:
    import json

    try:
        found = json.loads(text)
    except ValueError:  # the line a kill cut short
        return {}
    return found if isinstance(found, dict) else {}


def training_charts(points: Table) -> list[tuple[str, str]]:
    """Loss, learning rate and gradient norm over steps, each a title and its drawing."""
    loss = curves(
        [
            Series("training loss", _pairs(points, "loss"), "a"),
            Series("validation loss", _pairs(points, "validation_loss"), "b", dots=True),
        ],
        x_label="step", y_label="loss",
    )  # fmt: skip
    rate = _small("learning rate", _pairs(points, "learning_rate"), "c")
    norm = _small("gradient norm", _pairs(points, "gradient_norm"), "d")
    named = (("Loss, nats per token", loss), ("Learning rate", rate), ("Gradient norm", norm))
    return [(title, drawing) for title, drawing in named if drawing]


def _small(name: str, pairs: list[tuple[float, float]], tone: str) -> str:
    return curves([Series(name, pairs, tone)], x_label="step", y_label=name, height=200, width=470)


def _pairs(points: Table, key: str) -> list[tuple[float, float]]:
    return [(float(row["step"]), float(row[key])) for row in points if row.get(key) is not None]


def training_figures(points: Table, artifact: Artifact | None) -> list[tuple[str, str]]:
    """The training run in single figures."""
    found = []
    losses, held = _pairs(points, "loss"), _pairs(points, "validation_loss")
    if losses:
        tail = losses[-max(1, len(losses) // 50) :]
        found.append(("last training loss", f"{sum(y for _, y in tail) / len(tail):.3f}"))
    if held:
        found.append(("last validation loss", f"{held[-1][1]:.3f}"))
    if artifact is None:
        return found
    counts = artifact.manifest.counts
    found += [(key.replace("_", " "), figures.count(n)) for key, n in counts.items() if isinstance(n, int)]
    numerics = artifact.manifest.numerics or {}
    return found + [(key.replace("_", " "), str(value)) for key, value in numerics.items()]


def stage_rows(run: Run, made: dict[str, Artifact], events: list[dict[str, Any]]) -> Table:
    """Time, memory and lineage of each stage, whether it ran now or long ago."""
    outcome = {event["stage"]: event["event"] for event in events if event.get("stage") and event["event"] != "told"}
    rows = []
    for one in run.plan():
        artifact = made.get(one["stage"])
        row = {
            "stage": one["stage"], "fingerprint": one["fingerprint"], "inputs": one["inputs"], "why": one["why"],
            "how": _how(outcome.get(one["stage"]), artifact), "summary": "", "digest": "", "bytes": 0, "files": 0,
            "seconds": 0.0, "peak_bytes": 0, "attempts": 0, "path": "",
        }  # fmt: skip
        if artifact is not None:
            row |= _measured(artifact)
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
    measured = [line for line in lines if line.get("event") == "measured"] or lines
    seconds = sum(line.get("seconds", 0.0) for line in measured)
    cpu = sum(line.get("cpu_seconds", 0.0) for line in measured)
    peak = max((line.get("peak_bytes", 0) for line in lines), default=0)
    attempts = max((line.get("attempt", 1) for line in lines), default=1)
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak, "attempts": attempts}


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
        rest = {key: value for key, value in row.items() if key not in ("prompt", "text", "completion", "continuation")}
        found.append({"prompt": prompt, "text": text, "rest": rest})
    return found


def _json(artifact: Artifact | None, name: str) -> Any:
    if artifact is None or not (artifact.path / name).exists():
        return {}
    return read_json(Path(artifact.path / name))
