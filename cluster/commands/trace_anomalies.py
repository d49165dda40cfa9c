"""`trace --anomalies`: the batches that were not finite or a spike, and the documents of the rows that stand out."""

from __future__ import annotations

import json
from dataclasses import asdict

from cluster.table import table
from cluster.tracing import Trace
from pipeline.core.order import TrainingAnomaly


def print_anomalies(traced: Trace) -> None:
    """A line for each anomaly, and the documents of its rows."""
    anomalies = traced.order.anomalies
    if not anomalies:
        print("No batch of this training was recorded as not finite or a spike.")
        return
    documents = traced.rows([row["row"] for anomaly in anomalies for row in anomaly["rows"]])
    begins = traced.beginnings([span.document for spans in documents.values() for span in spans])
    for anomaly in anomalies:
        print(describe_anomaly(anomaly))
        lines = [
            [f"{row['row']:,}", "not finite" if row["loss"] is None else f"{row['loss']:.3f}", span.document,
             f"{span.start}–{span.end}", begins.get(span.document, "")]
            for row in anomaly["rows"] for span in documents[row["row"]]
        ]  # fmt: skip
        print(table(["row", "loss", "document", "tokens", "begins"], lines) if lines else "No row stands out.")


def print_anomalies_json(traced: Trace) -> None:
    anomalies = traced.order.anomalies
    documents = traced.rows([row["row"] for anomaly in anomalies for row in anomaly["rows"]])
    answer = [
        {**anomaly, "rows": [{**row, "documents": [asdict(span) for span in documents[row["row"]]]}
                             for row in anomaly["rows"]]}
        for anomaly in anomalies
    ]  # fmt: skip
    print(json.dumps(answer, ensure_ascii=False))


def describe_anomaly(anomaly: TrainingAnomaly) -> str:
    """ "Step 12 was skipped: its loss is not a finite number." """
    several = anomaly["first"] < anomaly["step"]
    subject = f"Steps {anomaly['first']:,} to {anomaly['step']:,} were" if several else f"Step {anomaly['step']:,} was"
    value, usual = anomaly["value"], anomaly["usual"]
    what = "is not a finite number" if value is None else f"is a spike: {value:.4g}, usually {usual:.4g}"
    of_step = "the last one's" if several else "its"
    done = "recorded and used" if anomaly["action"] == "recorded" else anomaly["action"]
    return f"{subject} {done}: {of_step} {anomaly['quantity']} {what}."
