"""Rows that training leaves out: those that the configuration names, and those that made a loss infinite once.

Such a row becomes an empty one in its place of the batch, so no other row moves: every step reads the same rows as
without the list, at any number of workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.core.order import TrainingAnomaly


class SkippedRows:
    """The numbers of rows that are left out, and from which step (from 0) on."""

    def __init__(self, rows: Sequence[int] = ()) -> None:
        """`rows`: those of the configuration, left out from the first step on."""
        self._configured = dict.fromkeys(rows, 0)
        self._set(self._configured)

    def follow(self, anomalies: Iterable[TrainingAnomaly]) -> None:
        """Leave out what these anomalies leave out, and what the configuration names."""
        since = dict(self._configured)
        for anomaly in anomalies:
            for row in anomaly["left_out"]:
                since.setdefault(row, anomaly["step"])
        self._set(since)

    def without(self, numbers: NDArray[np.int64], step: int) -> NDArray[np.int64]:
        """The row numbers of a step, with -1 in place of those that are left out."""
        if not len(self._rows):
            return numbers
        at = np.searchsorted(self._rows, numbers).clip(max=len(self._rows) - 1)
        return np.where((self._rows[at] == numbers) & (self._since[at] <= step), -1, numbers)

    def check(self, rows: int) -> None:
        """Raises: UserError when the configuration names a row that does not exist."""
        if self._configured and (largest := max(self._configured)) >= rows:
            raise UserError(
                f"pretrain.skip_rows: there is no row {largest:,}: training has {rows:,} rows, 0 to {rows - 1:,}. "
                "`bloomery trace` shows the numbers of rows."
            )

    def _set(self, since: dict[int, int]) -> None:
        self._rows = np.array(sorted(since), np.int64)
        self._since = np.array([since[row] for row in sorted(since)], np.int64)
