"""The figures of a training run: the curve, which is saved, and live figures, which are not.

The curve (step, loss, learning_rate, gradient_norm, rows, validation_loss) is part of the model artifact and of every
checkpoint. Times and speeds go only to the run's metrics: JSON lines and TensorBoard, for people.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TypedDict, cast

import pyarrow as pa
import torch
from torch.utils.tensorboard import SummaryWriter

from pipeline.core import figures
from pipeline.core.files import JsonValue, replacing
from pipeline.core.messages import AnomalyFound
from pipeline.core.order import TrainingAnomaly
from pipeline.core.progress import Progress
from training.spec import TrainingSpec
from training.trainer.goodput import Goodput, RankReport

CURVE = pa.schema(
    [
        ("step", pa.int64()),  # counted from 1: `bloomery trace --step` means the same
        ("loss", pa.float64()),  # nats a predicted token, over the batch of this step, before its update
        ("learning_rate", pa.float64()),
        ("gradient_norm", pa.float64()),  # of the whole gradient, before clipping
        ("rows", pa.string()),  # which rows the batch held: batches.fingerprint
        ("validation_loss", pa.float64()),  # after this step's update; null where it was not computed
    ]
)
WINDOW_S = 10.0  # over which a speed is measured
LONG_S = 8 * 3600.0  # a training that takes longer says so, once

CurveColumns = dict[str, list[JsonValue]]


class CurveRow(TypedDict, total=False):
    """A row of the curve (CURVE), without its empty columns."""

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    rows: str
    validation_loss: float


class Curve:
    """The columns so far."""

    def __init__(self, columns: CurveColumns | None = None) -> None:
        self.columns: CurveColumns = columns or {name: [] for name in CURVE.names}

    def add(self, **row: int | float | str | None) -> None:
        for name in CURVE.names:
            self.columns[name].append(row.get(name))

    def validated(self, loss: float) -> None:
        """Record the held-out loss after the last step."""
        self.columns["validation_loss"][-1] = loss

    def last(self) -> CurveRow:
        """The last row, without empty columns."""
        return _row([self.columns[name][-1] for name in CURVE.names])

    def rows(self) -> list[CurveRow]:
        """Every row, without empty columns."""
        return [_row(values) for values in zip(*(self.columns[name] for name in CURVE.names), strict=True)]

    def table(self) -> pa.Table:
        return pa.table(self.columns, CURVE)


class Meter:
    """Shows live figures, in worker 0; other workers show none (`SilentMeter`). Every worker's has its goodput."""

    def __init__(
        self, folder: Path, progress: Progress, goodput: Goodput | None = None, *, steps: int, batch_tokens: int
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.goodput = goodput or Goodput()
        self.folder, self.progress, self.steps, self.batch_tokens = folder, progress, steps, batch_tokens
        self.recent: deque[tuple[float, int]] = deque()
        self.has_warned = False

    def begin(self, curve: Curve) -> None:
        """Show the steps of earlier attempts first."""
        rows = curve.rows()
        path = self.folder / "pretrain.jsonl"
        with replacing(path) as beside:
            beside.write_text("".join(_line(row) for row in rows), encoding="utf-8")
        self.stream: IO[str] = path.open("a", encoding="utf-8", buffering=1)
        self.board = SummaryWriter(str(self.folder / "tensorboard"), purge_step=len(rows) + 1)
        self.progress.total("train", self.steps, "steps")
        self.progress.add("train", len(rows))
        for row in rows:
            self._draw(row)
        self.recent.append((time.monotonic(), len(rows)))
        self.began = time.monotonic()

    def show(self, row: CurveRow, *, steps: int = 1) -> None:
        """Show the last of `steps` finished steps."""
        now = time.monotonic()
        self.recent.append((now, row["step"]))
        while len(self.recent) > 2 and now - self.recent[0][0] > WINDOW_S:
            self.recent.popleft()
        seconds = (now - self.recent[0][0]) / max(1, row["step"] - self.recent[0][1])
        speed = {
            "tokens_per_second": round(self.batch_tokens / seconds, 1),
            "left_s": round(seconds * (self.steps - row["step"]), 1),
        }
        if not self.has_warned and now - self.began > WINDOW_S and speed["left_s"] > LONG_S:
            self.has_warned = True
            self.note(f"at this speed training takes another {figures.duration(speed['left_s'])}")
        self.stream.write(_line({**row, **speed, "time": round(time.time(), 3)}))
        self._draw({**row, **speed})
        self.progress.add("train", steps)
        self.progress.event("train", **row, **speed)
        if "validation_loss" in row:
            self.progress.event("validate", step=row["step"], loss=row["validation_loss"])

    def note(self, text: str) -> None:
        """Print one line for people."""
        self.progress.note("train", text)

    def saved(self, step: int, *, size_bytes: int, seconds: float) -> None:
        """Tell that the checkpoint after `step` steps is complete, and how long training waited for it."""
        self.progress.send(
            {"kind": "checkpoint_saved", "step": step, "bytes": size_bytes, "seconds": round(seconds, 3)}
        )

    def anomaly(self, anomaly: TrainingAnomaly) -> None:
        """Tell that a batch stands out, with its rows."""
        message: AnomalyFound = {
            "kind": "anomaly", "step": anomaly["step"], "cause": anomaly["kind"], "quantity": anomaly["quantity"],
            "action": anomaly["action"], "first": anomaly["first"],
            "training_rows": [row["row"] for row in anomaly["rows"]],
        }  # fmt: skip
        if anomaly["value"] is not None and anomaly["usual"] is not None:
            message |= {"value": anomaly["value"], "usual": anomaly["usual"]}
        self.progress.send(message)

    def go_back(self, curve: Curve) -> None:
        """Show a curve that has become shorter."""
        self.close()
        self.recent.clear()
        self.begin(curve)

    def close(self) -> None:
        self.stream.close()
        self.board.close()

    def _draw(self, row: Mapping[str, object]) -> None:
        for name, value in row.items():
            if isinstance(value, float):
                self.board.add_scalar(name, value, row["step"])


class SilentMeter(Meter):
    """The meter of workers that show nothing."""

    def __init__(self, goodput: Goodput | None = None) -> None:
        self.goodput = goodput or Goodput()

    def begin(self, curve: Curve) -> None:
        pass

    def show(self, row: CurveRow, *, steps: int = 1) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def saved(self, step: int, *, size_bytes: int, seconds: float) -> None:
        pass

    def anomaly(self, anomaly: TrainingAnomaly) -> None:
        pass

    def go_back(self, curve: Curve) -> None:
        pass

    def close(self) -> None:
        pass


def goodput_of(spec: TrainingSpec, device: torch.device, rank: int) -> Goodput:
    """The clock of a worker that has joined its gang; tells the supervisor that it has."""
    gpu_bytes = partial(torch.cuda.memory_allocated, device) if device.type == "cuda" else None
    report = RankReport(Progress(spec.progress, spec.stage), rank, gpu_bytes)
    report.started(torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu")
    return Goodput(spec.started, folder=None if rank else spec.folder, report=report)


def _row(values: Sequence[JsonValue]) -> CurveRow:
    row = {name: value for name, value in zip(CURVE.names, values, strict=True) if value is not None}
    return cast(CurveRow, row)


def _line(row: Mapping[str, object]) -> str:
    return json.dumps(row) + "\n"
