"""Removes the repeated passages of a batch: what every finder repeats in it, what is left, and which documents go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.beam.shuffle import Partition, read_partition, read_segments
from pipeline.beam.task import Task
from pipeline.core.job import Job
from pipeline.core.records import REJECTED
from pipeline.dedupe.removals import tables_from_bytes
from pipeline.passages.base import PassageFinder, select
from pipeline.passages.batch import DocumentBatch
from pipeline.passages.records import REMOVAL, REPEAT, KeyTable, RecordArray
from pipeline.passages.removals import KeptNames, cut, merge, removals_of, union
from pipeline.stages.passages_inputs import RangePartition, batches_of, finders_of, section_of
from pipeline.stages.passages_keys import NAMES, grouped_keys

RULE = "passages.short"


class Edited(NamedTuple):
    """A batch after removal. `removals`: of each finder; `changed`: the number of documents that lost a passage."""

    kept: pa.Table
    rejected: pa.Table
    removals: list[RecordArray]
    changed: int


class Remover:
    """What a file range needs: repeated keys, removals of finders with steps of their own, ids of kept documents.

    Memory: 37 bytes for each repeated key of the range, and the ids.
    """

    def __init__(self, job: Job, task: Task[RangePartition]) -> None:
        self.section, self.finders = section_of(job), finders_of(job)
        repeats = read_partition(job, _listed(task, task.payload["spills"]), REPEAT)
        self.keys = [KeyTable.of(repeats, kind) for kind in range(len(self.finders) + 1)]
        removals = read_partition(job, _listed(task, task.payload["removals"]), REMOVAL)
        self.removals = removals[np.lexsort((removals["start"], removals["document"]))]
        names = read_segments(job, _listed(task, task.payload["names"]), np.uint8)
        self.names = KeptNames(tables_from_bytes(list(names), NAMES))

    def batches(self, table: pa.Table, first_row: int) -> Iterator[tuple[int, DocumentBatch]]:
        """A row group in batches, with the row number of the first document of each."""
        for first, batch in batches_of(table, self.section.skip_languages):
            yield first_row + first, batch

    def edit(self, first_row: int, batch: DocumentBatch) -> Edited:
        """Remove passages, then documents that are left too short."""
        removals = [self._removals(kind, finder, first_row, batch) for kind, finder in enumerate(self.finders)]
        together = union(removals)
        if not len(together):
            return Edited(batch.table, REJECTED.empty_table(), removals, 0)
        texts = cut(batch, together, first_row)
        changed = np.unique(together["document"] - np.uint64(first_row)).astype(np.int64)
        units = _units(texts.take(pa.array(changed)))
        is_short = np.zeros(len(batch), np.bool_)
        is_short[changed[units < self.section.min_units]] = True
        column = batch.table.schema.get_field_index("text")
        left = batch.table.set_column(column, batch.table.schema.field(column), texts)
        rejected = self._rejections(batch.table.filter(pa.array(is_short)), units[units < self.section.min_units])
        return Edited(left.filter(pa.array(~is_short)), rejected, removals, len(changed))

    def _removals(self, kind: int, finder: PassageFinder, first_row: int, batch: DocumentBatch) -> RecordArray:
        """The removals of one finder in a batch."""
        rows = np.searchsorted(self.removals["document"], [first_row, first_row + len(batch)])
        own = self.removals[rows[0] : rows[1]]
        own = own[own["kind"] == kind]
        if not len(self.keys[kind].repeats):
            return merge(own)
        keys, groups = grouped_keys(finder, batch, kind)
        places = self.keys[kind].rows(keys.hash, keys.check)
        copies = np.where(places >= 0, self.keys[kind].repeats["copies"][places].astype(np.int64), 0)
        totals = np.zeros(len(batch), np.int64)
        if groups is not None:
            totals = self.keys[-1].repeats["copies"][self.keys[-1].rows(groups[:, 0], groups[:, 1])].astype(np.int64)
        repeated = np.flatnonzero(finder.is_repeated(batch, keys, copies, totals) & (copies > 0))
        repeats = self.keys[kind].repeats[places[repeated]]
        return merge(
            np.concatenate(
                [own, removals_of(select(keys, repeated), repeats, first_row, within_documents=finder.within_documents)]
            )
        )

    def _rejections(self, documents: pa.Table, units: NDArray[np.int64]) -> pa.Table:
        """The rows of rejected/, with the text as it was."""
        number = documents.num_rows
        columns = {
            "id": documents["id"], "source_id": documents["source_id"],
            "stage": pa.array(["passages"] * number, pa.string()), "rule": pa.array([RULE] * number, pa.string()),
            "value": pa.array(units.astype(np.float64)),
            "threshold": pa.array(np.full(number, float(self.section.min_units))), "text": documents["text"],
        }  # fmt: skip
        return pa.table(columns).cast(REJECTED)


def _listed(task: Task[RangePartition], spills: str) -> Task[Partition]:
    """The same partition of other spilled files."""
    return Task(task.key, 0, Partition(partition=task.payload["partition"], spills=spills))


def _units(texts: pa.LargeStringArray) -> NDArray[np.int64]:
    """The number of units of each text."""
    lines = DocumentBatch.of_texts(texts).lines
    return np.bincount(lines.document, lines.words + lines.characters, len(texts)).astype(np.int64)
