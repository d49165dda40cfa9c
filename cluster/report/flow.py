"""What the manifests' counts say of the documents' way: the funnel's columns, and every reason with its examples."""

from __future__ import annotations

from typing import Any

from cluster import figures
from cluster.report import examples
from cluster.report.funnel import Gate
from pipeline.core.artifact import Artifact

Table = list[dict[str, Any]]


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
        tokens = sum(split["tokens"] for split in counts["pack"]["splits"].values())
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
