"""Continue a training run after its last checkpoint: the position, the curve, and a note when the numerics changed."""

from __future__ import annotations

from typing import Protocol

from pipeline.core.numerics import ModelNumerics, resumed, without_earlier
from training.trainer.checkpoint import SavedCheckpoint
from training.trainer.meter import Curve, CurveColumns, Meter


class ResumableRun(Protocol):
    """The part of a run that both trainers share."""

    done: int
    curve: Curve
    meter: Meter
    numerics: ModelNumerics


def restore_progress(run: ResumableRun, saved: SavedCheckpoint, columns: CurveColumns | None) -> None:
    """Set the run to the checkpoint's step and curve; workers that do not write the curve begin an empty one.

    If this run computes in other numerics than the checkpoint, a note says what changed, and the earlier numerics are
    kept for the model's manifest.
    """
    run.done = saved.step
    run.curve = Curve(columns)
    before, now = without_earlier(saved.numerics), without_earlier(run.numerics)
    run.numerics = resumed(run.numerics, saved.numerics, steps=saved.step)
    changes = [f"{key} {before.get(key)} → {value}" for key, value in now.items() if before.get(key) != value]
    if before == now:
        run.meter.note(f"resumes after step {saved.step:,}")
    else:
        run.meter.note(
            f"resumes after step {saved.step:,} with the same rows in each step; results differ in the last bits, "
            f"because the numerics changed ({', '.join(changes)})"
        )
