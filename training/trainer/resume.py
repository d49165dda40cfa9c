"""Continue a training run after its last checkpoint: the position, the curve, and a note when the numerics changed."""

from __future__ import annotations

from typing import Protocol

from pipeline.core.files import JsonObject
from training.trainer.checkpoint import Checkpoint
from training.trainer.meter import Curve, CurveColumns, Meter

EARLIER = "earlier"  # the numerics of the steps before a change, in the order of the changes


class ResumableRun(Protocol):
    """The part of a run that both trainers share."""

    done: int
    curve: Curve
    meter: Meter
    numerics: JsonObject


def restore_progress(run: ResumableRun, saved: Checkpoint, columns: CurveColumns) -> None:
    """Set the run to the checkpoint's step and curve.

    If this run computes in other numerics than the checkpoint, a note says what changed, and the earlier numerics are
    kept for the model's manifest.
    """
    run.done = saved.step
    run.curve = Curve(columns)
    earlier = saved.numerics.get(EARLIER, [])
    before = {key: value for key, value in saved.numerics.items() if key != EARLIER}
    changes = [f"{key} {before.get(key)} → {now}" for key, now in run.numerics.items() if before.get(key) != now]
    if before == run.numerics:
        run.meter.note(f"resumes after step {saved.step:,}")
    else:
        earlier = [*earlier, {**before, "steps": saved.step}]
        run.meter.note(
            f"resumes after step {saved.step:,} with the same rows in each step; results differ in the last bits, "
            f"because the numerics changed ({', '.join(changes)})"
        )
    if earlier:
        run.numerics[EARLIER] = earlier
