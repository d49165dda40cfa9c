"""What a training run says of itself: the curve that is kept, and the live figures that are not.

The curve (step, loss, learning_rate, gradient_norm, rows, validation_loss) is part of the model artifact and of every
checkpoint. Times and speeds go to the run's metrics alone: JSON lines and TensorBoard, for people.
"""

from __future__ import annotations

import json
import time
from collections import deque
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from torch.utils.tensorboard import SummaryWriter

from pipeline.core.files import replacing
from pipeline.core.progress import Progress

CURVE = pa.schema(
    [
        ("step", pa.int64()),  # counted from 1: `bloomery trace --step` means the same
        ("loss", pa.float64()),  # nats a predicted token, over the batch of this step, before its update
        ("learning_rate", pa.float64()),
        ("gradient_norm", pa.float64()),  # of the whole gradient, before clipping
        ("rows", pa.string()),  # which rows the batch held: batches.fingerprint
        ("validation_loss", pa.float64()),  # after this step's update; null where it was not taken
    ]
)
WINDOW_S = 10.0  # over which a speed is told


class Curve:
    """The columns so far."""

    def __init__(self, columns: dict[str, list[Any]] | None = None) -> None:
        self.columns: dict[str, list[Any]] = columns or {name: [] for name in CURVE.names}

    def add(self, **row: Any) -> None:
        for name in CURVE.names:
            self.columns[name].append(row.get(name))

    def validated(self, loss: float) -> None:
        """Note the held-out loss after the last step."""
        self.columns["validation_loss"][-1] = loss

    def last(self) -> dict[str, Any]:
        """The last row, without what was not taken."""
        row = {name: column[-1] for name, column in self.columns.items()}
        return {name: value for name, value in row.items() if value is not None}

    def rows(self) -> list[dict[str, Any]]:
        """Every row, without what was not taken."""
        whole = [dict(zip(CURVE.names, values, strict=True)) for values in zip(*self.columns.values(), strict=True)]
        return [{name: value for name, value in row.items() if value is not None} for row in whole]

    def table(self) -> pa.Table:
        return pa.table(self.columns, CURVE)


class Meter:
    """The live figures, from worker 0; other workers have none (`SilentMeter`)."""

    def __init__(self, folder: Path, progress: Progress, *, steps: int, batch_tokens: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.progress, self.steps, self.batch_tokens = folder, progress, steps, batch_tokens
        self.seen: deque[tuple[float, int]] = deque()

    def begin(self, curve: Curve) -> None:
        """Show what an earlier attempt had done, then go on from there."""
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
        self.seen.append((time.monotonic(), len(rows)))

    def show(self, row: dict[str, Any], *, steps: int = 1) -> None:
        """Tell the last of `steps` finished steps."""
        now = time.monotonic()
        self.seen.append((now, row["step"]))
        while len(self.seen) > 2 and now - self.seen[0][0] > WINDOW_S:
            self.seen.popleft()
        seconds = (now - self.seen[0][0]) / max(1, row["step"] - self.seen[0][1])
        speed = {
            "tokens_per_second": round(self.batch_tokens / seconds, 1),
            "left_s": round(seconds * (self.steps - row["step"]), 1),
        }
        self.stream.write(_line({**row, **speed, "time": round(time.time(), 3)}))
        self._draw({**row, **speed})
        self.progress.add("train", steps)
        self.progress.event("train", **row, **speed)
        if "validation_loss" in row:
            self.progress.event("validate", step=row["step"], loss=row["validation_loss"])

    def note(self, text: str) -> None:
        """One line for people."""
        self.progress.note("train", text)

    def close(self) -> None:
        self.stream.close()
        self.board.close()

    def _draw(self, row: dict[str, Any]) -> None:
        for name, value in row.items():
            if isinstance(value, float):
                self.board.add_scalar(name, value, row["step"])


class SilentMeter(Meter):
    """A meter for workers that say nothing."""

    def __init__(self) -> None:
        pass

    def begin(self, curve: Curve) -> None:
        pass

    def show(self, row: dict[str, Any], *, steps: int = 1) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row) + "\n"
