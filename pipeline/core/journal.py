"""The journal of an artifact: what was measured while it was made. It enters neither the fingerprint nor the digest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from pipeline.core.files import JsonObject


class Recovery(TypedDict):
    """Why a gang was started again, and what it cost.

    `kind`: died, lost (its host), hung, preempted, connection. `workers`: of the gang that followed, whose number
    within the attempt is `incarnation`. `step`: the last finished step, `from_step` the step of the checkpoint; both
    None if the processes report no steps. `seconds`: from the loss, or the last sign of life, to the first new step.
    """

    kind: str
    what: str
    incarnation: int
    workers: int
    step: int | None
    from_step: int | None
    seconds: float


class StageRestart(TypedDict):
    """An attempt of the same run whose process died `seconds` after its start, and `what` happened to it."""

    attempt: int
    what: str
    seconds: float


class JournalLine(TypedDict, total=False):
    """One line of journal.jsonl: what the stage's process and its supervisor noted."""

    event: str
    attempt: int
    run: str
    started: float  # seconds since 1970
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    host: str
    workers: int
    cluster: JsonObject
    versions: dict[str, str]
    # ingest: repository of a hub → the commits that were read
    commits: dict[str, list[str]]
    # pack
    encoder: str
    # pretrain
    from_step: int
    training_seconds: float
    tokens_per_second: float
    worker_peak_bytes: int
    recoveries: list[Recovery]
    goodput: dict[str, float]  # seconds by kind, since the run began this stage (training/trainer/goodput.py)
    goodput_until: float  # seconds since 1970, by the clock of worker 0
    # of the supervisor
    publish_seconds: float  # from the end of the stage's work to the end of its process
    restarts: list[StageRestart]


def merged(lines: Iterable[JournalLine]) -> JournalLine:
    """All lines as one; a later value replaces an earlier one."""
    values: JournalLine = {}
    for line in lines:
        values.update(line)
    return values
