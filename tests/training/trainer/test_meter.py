"""The curve and the live figures: what was done before a kill is shown again, once."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.core.progress import Progress
from training.trainer.meter import CURVE, Curve, Meter


def curve_of(steps: int) -> Curve:
    curve = Curve()
    for step in range(1, steps + 1):
        curve.add(step=step, loss=5.0 - step, learning_rate=0.1, gradient_norm=1.0, rows=f"{step:016x}")
    return curve


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "pretrain.jsonl").read_text(encoding="utf-8").splitlines()]


def meter_of(folder: Path) -> Meter:
    return Meter(folder, Progress(), steps=10, batch_tokens=100)


def test_the_held_out_loss_stands_where_it_was_taken() -> None:
    curve = curve_of(2)
    curve.validated(3.5)
    curve.add(step=3, loss=2.0, learning_rate=0.1, gradient_norm=1.0, rows="x")
    assert curve.table().schema == CURVE
    assert curve.table()["validation_loss"].to_pylist() == [None, 3.5, None]
    assert "validation_loss" not in curve.last() and curve.rows()[1]["validation_loss"] == 3.5


def test_a_resumed_run_shows_what_was_done_and_goes_on(tmp_path: Path) -> None:
    first = meter_of(tmp_path)
    curve = curve_of(3)
    first.begin(Curve())
    for row in curve.rows():
        first.show(row)
    first.close()
    # killed after step 3; the checkpoint is of step 2
    second = meter_of(tmp_path)
    second.begin(curve_of(2))
    second.show(curve.rows()[2])
    second.close()
    written = lines(tmp_path)
    assert [line["step"] for line in written] == [1, 2, 3]
    assert written[2]["loss"] == 2.0 and {"tokens_per_second", "left_s", "time"} <= set(written[2])
