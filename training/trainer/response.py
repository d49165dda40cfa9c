"""What a run does about an anomalous batch: find its rows, record it, then go on, stop, or go back to a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch.distributed as dist

from pipeline.core.errors import StageFailed
from pipeline.core.order import AnomalousRow, TrainingAnomaly
from training.finite import TRAINER
from training.section import AnomalyAction
from training.trainer.all_workers import check_weights, gather
from training.trainer.anomalous_rows import find_rows
from training.trainer.monitor import ADVICE, Finding
from training.trainer.restore import restore

if TYPE_CHECKING:
    from training.trainer.loop import TrainingRun

DONE: dict[AnomalyAction, Literal["recorded", "skipped", "rolled back", "stopped"]] = {
    "record": "recorded", "skip": "skipped", "roll_back": "rolled back", "stop": "stopped",
}  # fmt: skip
MOST_NAMED = 8


def respond(run: TrainingRun, finding: Finding) -> bool:
    """Act on the batch of the step before `run.done`, in every worker; returns False where training has gone back.

    Raises: StageFailed where the section says so, where too many were skipped, or where the weights are not finite.
    """
    check_weights(run.engine, run.done)  # no batch is to blame then
    rows = find_rows(run, run.done - 1, finding)
    anomaly = _anomaly(run, finding, rows)
    run.meter.anomaly(anomaly)
    if finding.action == "stop":
        raise StageFailed(f"pretrain: {finding.sentence(run.done)}{_caused_by(rows, finding)}. {TRAINER} {ADVICE}")
    run.monitor.record(anomaly)
    run.meter.note(f"{finding.sentence(run.done)}{_caused_by(rows, finding)}; {_consequence(anomaly)}")
    if finding.action == "roll_back":
        go_back(run, anomaly)
        return False
    run.feed.skipped.follow(run.monitor.anomalies)
    return True


def go_back(run: TrainingRun, anomaly: TrainingAnomaly) -> None:
    """Set the run to the newest checkpoint from before the steps that are given up; from there they are passed over."""
    run.heartbeat.beat("load", run.done)
    run.checkpoints.wait(gather)
    selected = [None if run.engine.setting.rank else run.checkpoints.go_back(anomaly["first"] - 1)]
    if run.engine.setting.world > 1:
        dist.broadcast_object_list(selected, src=0)
    (checkpoint,) = selected
    assert checkpoint is not None
    anomalies, reached = run.monitor.anomalies, run.done
    saved = run.checkpoints.saved(checkpoint)
    restore(run, saved, later=[entry for entry in anomalies if entry["step"] > saved.step])
    run.meter.goodput.repeat(reached)
    run.meter.go_back(run.curve)


def _anomaly(run: TrainingRun, finding: Finding, rows: list[AnomalousRow]) -> TrainingAnomaly:
    first = run.done
    if finding.action == "roll_back":
        first = max(1, run.done - run.section.anomalies.back)
    acts = finding.action in ("skip", "roll_back")
    # what is not finite once is so in each epoch; where most rows of a batch are, it is not due to the rows; and a
    # stream of rows has no place for an empty one
    few = 2 * len(rows) <= run.plan.batch_rows
    leaves_out = acts and finding.kind == "not finite" and few and run.feed.order == "shuffled"
    return {
        "step": run.done, "kind": finding.kind, "quantity": finding.quantity, "value": finding.value,
        "usual": finding.usual, "action": DONE[finding.action], "first": first, "rows": rows,
        "left_out": sorted(row["row"] for row in rows) if leaves_out else [],
    }  # fmt: skip


def _caused_by(rows: list[AnomalousRow], finding: Finding) -> str:
    """ " (rows 17, 203)"; where no row stands out, " (inf)", or nothing where the value is finite."""
    if not rows:
        return f" ({finding.written})" if finding.written else ""
    numbers = [f"{row['row']:,}" for row in rows[:MOST_NAMED]]
    more = f" and {len(rows) - MOST_NAMED:,} more" if len(rows) > MOST_NAMED else ""
    return f" (row{'s' * (len(rows) > 1)} {', '.join(numbers)}{more})"


def _consequence(anomaly: TrainingAnomaly) -> str:
    if anomaly["action"] == "recorded":
        return "it is only recorded"
    sentence = "its batch is skipped"
    if anomaly["action"] == "rolled back":
        sentence = f"the batches of steps {anomaly['first']:,} to {anomaly['step']:,} are undone and skipped"
    return sentence + ", and these rows are left out from now on" * bool(anomaly["left_out"])
