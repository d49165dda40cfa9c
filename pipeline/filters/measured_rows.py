"""Reads what the stages `signals` and `annotate` published, row group by row group: signals, with language and source
of each document. Artifacts are those of documents with their signals, and of scores, in any order.

The text stays on disk: a batch of a million documents takes 300 MB of signals at most, and is read in a second or two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.artifact import Artifact
from pipeline.filters.annotations import ANNOTATIONS, SCORES, scores_beside
from pipeline.filters.base import Floats
from pipeline.filters.rules import resolve_languages

ALWAYS = ("own_units", "function_words")  # what resolving languages reads


@dataclass(frozen=True)
class RowGroup:
    """A row group of documents and their signals; the text is read when it is asked for."""

    part: Path
    index: int
    ids: pa.ChunkedArray
    sources: list[str]
    languages: list[str | None]
    signals: dict[str, Floats]

    def take(self, rows: pa.Array) -> pa.ChunkedArray:
        """The texts of these rows."""
        return _read(self.part, self.index, ["text"])["text"].take(rows)

    def resolved(self) -> tuple[list[str | None], dict[str, Floats]]:
        """Languages and signals as the stage `clean` uses them: corrected where the text contradicts its tag."""
        return resolve_languages(self.languages, self.signals, self)


def row_groups(
    artifacts: Sequence[Artifact], names: Sequence[str] | None = None, *, step: int = 1
) -> Iterator[RowGroup]:
    """Every row group, or one of `step`, with the signals `names` (None: all)."""
    number = 0
    for part, measured in _measured_files(artifacts):
        for index in range(pq.read_metadata(part).num_row_groups):
            if number % step == 0:
                yield _row_group(part, measured, index, names)
            number += 1


def signal_names(artifacts: Sequence[Artifact]) -> list[str]:
    """The signals that were measured, in the order of the stage, then the scores."""
    for _, measured in _measured_files(artifacts):
        return [name for file in measured for name in pq.read_schema(file).names if name != "id"]
    return []


def documents_of(artifacts: Sequence[Artifact]) -> int:
    return sum(artifact.manifest.counts["out"] for artifact in _documents(artifacts))


def _documents(artifacts: Sequence[Artifact]) -> list[Artifact]:
    return [artifact for artifact in artifacts if artifact.manifest.kind != ANNOTATIONS]


def _measured_files(artifacts: Sequence[Artifact]) -> Iterator[tuple[Path, list[Path]]]:
    """Every file of documents, and the files of their signals and scores."""
    for documents in _documents(artifacts):
        scores = [each.files(SCORES) for each in scores_beside(artifacts, documents)]
        for part, *measured in zip(
            documents.files("parts/"), *filter(None, [documents.files("signals/"), *scores]), strict=True
        ):
            yield part, measured


def _row_group(part: Path, measured: Sequence[Path], index: int, names: Sequence[str] | None) -> RowGroup:
    documents = _read(part, index, ["id", "source", "language"])
    values: dict[str, Floats] = {}
    for file in measured:
        columns = [name for name in pq.read_schema(file).names if name != "id"]
        if names is not None:
            columns = [name for name in columns if name in ALWAYS or name in names]
        signals = _read(file, index, columns)
        values |= {name: _floats(signals[name]) for name in columns}
    return RowGroup(part, index, documents["id"], documents["source"].to_pylist(),
                    documents["language"].to_pylist(), values)  # fmt: skip


def _floats(column: pa.ChunkedArray) -> Floats:
    """A column of signals, which holds NaN and never a null. Arrow's own conversion imports pandas: 0.3 CPU-seconds."""
    array = column.combine_chunks().cast(pa.float64())
    if array.null_count or not len(array):
        return np.array(array.to_pylist(), np.float64)
    return np.frombuffer(array.buffers()[1], np.float64, len(array), array.offset * 8)


def _read(path: Path, index: int, columns: list[str] | None) -> pa.Table:
    with pq.ParquetFile(path, pre_buffer=False) as file:
        return file.read_row_group(index, columns=columns, use_threads=False)
