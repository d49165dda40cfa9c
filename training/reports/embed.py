"""Vectors of documents in a report: how many, of which model, and a line of the data card."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core import figures
from pipeline.core.files import read_json
from pipeline.core.manifest import Manifest
from pipeline.core.report import Done, ReportedStep, StageReport

ABOUT = "embedding.json"


def summary(manifest: Manifest) -> str:
    """ "1,769 documents, 3 without a vector, 4.1 MB of text"."""
    counts = manifest.counts
    missing = sum(counts.get("without_vector", {}).values())
    without = f", {figures.count(missing)} without a vector" if missing else ""
    return f"{figures.plural(counts['out'], 'document')}{without}, {figures.size(counts['text_bytes'])} of text"


def embed(steps: Sequence[ReportedStep]) -> StageReport:
    """A line of the data card: how many documents a model gave vectors."""
    artifacts = [step.artifact for step in steps if step.artifact is not None]
    if not artifacts:
        return StageReport()
    documents = sum(artifact.manifest.counts["out"] for artifact in artifacts)
    model = read_json(artifacts[0].file(ABOUT))["model"]
    return StageReport(done=(Done(f"vectors of {figures.plural(documents, 'document')} by the model {model}"),))
