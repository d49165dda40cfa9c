"""The JSON that a run directory holds: lines of events.jsonl, steps of plan.json, artifacts of lineage.json."""

from __future__ import annotations

from typing import NotRequired, Required, TypedDict

from cluster.live import RowOutcomes
from cluster.progress import ProgressMessage
from pipeline.core.files import JsonObject
from pipeline.core.manifest import StageHashes
from pipeline.core.stage import ArtifactKind


class EventFields(TypedDict, total=False):
    """What an event of a run may say beside its kind and time; each kind has some of these."""

    pid: int
    born: int  # when that process started, in clock ticks since boot
    command: str
    host: str
    versions: dict[str, str]
    stages: list[str]
    stage: str
    attempt: int
    state: str
    why: str
    digest: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    files: int  # published, as are bytes and rows
    rows: RowOutcomes
    message: ProgressMessage
    line: str
    error: str
    # from messages of a stage: pipeline/core/messages.py
    step: str | int
    text: str
    loss: float
    task: str
    worker: str
    workers: int
    device: str
    cause: str
    from_step: int
    bytes: int
    quantity: str
    value: float
    usual: float
    action: str
    first: int
    training_rows: list[int]


class Event(EventFields, total=False):
    """A line of events.jsonl."""

    time: Required[float]
    event: Required[str]


class PlanEntry(TypedDict):
    """A step in plan.json; plans of earlier releases have fewer keys."""

    step: NotRequired[str]
    name: NotRequired[str]
    stage: str
    version: int
    makes: NotRequired[str]
    state: str
    why: NotRequired[str]
    fingerprint: str
    exact: NotRequired[str]
    inputs: StageHashes
    params: JsonObject
    reads: NotRequired[dict[ArtifactKind, list[str]]]


class LineageEntry(TypedDict):
    """A published artifact in lineage.json."""

    step: str
    stage: str
    fingerprint: str
    kind: str
    inputs: StageHashes
    digest: str
    content_digest: str
    path: str
    files: int
    bytes: int
