"""`trace`: the documents of a training step, or the training steps of a document and its raw file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from cluster.commands.trace_anomalies import describe_anomaly, print_anomalies, print_anomalies_json
from cluster.run import find
from cluster.table import table
from cluster.tracing import Trace
from pipeline.core import figures
from pipeline.core.errors import UserError
from pipeline.core.raw import RawPosition
from pipeline.core.store import Store

MOST_SHOWN = 200


def trace(
    workdir: Path, name: str | None, *, step: int | None, document: str | None, anomalies: bool = False,
    of: str | None = None, as_json: bool = False,
) -> None:  # fmt: skip
    """Print the answer, as a table or as JSON.

    Raises: UserError unless exactly one of the questions is asked, or if the run has no trained model.
    """
    if [step is not None, document is not None, anomalies].count(True) != 1:
        raise UserError("trace: give one of --step N, --document ID and --anomalies.")
    run = find(workdir, name)
    traced = Trace(run, Store(run.workdir), of)
    if anomalies:
        (print_anomalies_json if as_json else print_anomalies)(traced)
    elif step is not None:
        (_print_step_json if as_json else _print_step)(traced, step)
    else:
        (_print_document_json if as_json else _print_document)(traced, str(document))


def _print_step(traced: Trace, step: int) -> None:
    """One line per document of the step, in the order of the batch."""
    rows = traced.step(step)
    lines = [
        [str(place), f"{number:,}", span.document, f"{span.start}–{span.end}"]
        for place, (number, spans) in enumerate(rows)
        for span in spans
    ]
    begins = traced.beginnings([line[2] for line in lines[:MOST_SHOWN]])
    shown = [[*line, begins.get(line[2], "")] for line in lines[:MOST_SHOWN]]
    left_out = sum(number < 0 for number, _ in rows)
    empty = f", {left_out:,} left out" if left_out else ""
    print(f"Step {step:,}: {len(rows):,} rows{empty}, {len({line[2] for line in lines}):,} documents.")
    if anomaly := traced.anomaly_of(step):
        print(f"{describe_anomaly(anomaly)} See trace --anomalies.")
    print(table(["place", "row", "document", "tokens", "begins"], shown))
    if len(lines) > MOST_SHOWN:
        print(f"and {figures.count(len(lines) - MOST_SHOWN)} more.")


def _print_step_json(traced: Trace, step: int) -> None:
    rows = [{"row": number, "documents": [asdict(span) for span in spans]} for number, spans in traced.step(step)]
    print(json.dumps({"step": step, "rows": rows, "anomaly": traced.anomaly_of(step)}, ensure_ascii=False))


def _print_document(traced: Trace, text: str) -> None:
    """Print where the document came from, and every step that trained on it."""
    document = traced.resolve(text)
    origin = traced.origin(document)
    document_rows = traced.rows_with(document)
    source = f" {_describe_origin(origin)}" if origin else ""
    if not document_rows:
        raise UserError(f"trace: {document} is in no training row. {traced.absence_reason(document)}{source}")
    occurrences = traced.occurrences(document_rows)
    seen = f"seen {len(occurrences):,} times in {traced.order.steps:,} steps"
    print(f"{document}: in {len(document_rows):,} rows, {seen}.{source}")
    lines = [
        [f"{occurrence.step:,}", f"{occurrence.row:,}", f"{occurrence.start}–{occurrence.end}"]
        for occurrence in occurrences
    ]
    if lines:
        print(table(["step", "row", "tokens"], lines[:MOST_SHOWN]))
    if len(lines) > MOST_SHOWN:
        print(f"and {figures.count(len(lines) - MOST_SHOWN)} more.")


def _print_document_json(traced: Trace, text: str) -> None:
    document = traced.resolve(text)
    origin, document_rows = traced.origin(document), traced.rows_with(document)
    answer = {
        "document": document, "raw": asdict(origin) if origin else None, "steps": traced.order.steps,
        "seen": [asdict(occurrence) for occurrence in traced.occurrences(document_rows)],
        "elsewhere": None if document_rows else traced.absence_reason(document),
    }  # fmt: skip
    print(json.dumps(answer, ensure_ascii=False))


def _describe_origin(origin: RawPosition) -> str:
    return f"It came from {origin.file} of the source {origin.source}, record {origin.position:,}."
