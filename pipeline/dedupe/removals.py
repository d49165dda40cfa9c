"""Removed documents: by row number, then with the ids of the copies that stay, then taken out of the files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.core.records import DUPLICATES
from pipeline.core.tables import sorted_by
from pipeline.dedupe.base import RowNumbers

# a removed document, the one that stays in its place, their true Jaccard index, whether their keys are equal, and
# whether the texts are equal to the byte
REMOVAL = np.dtype([("document", "<u8"), ("kept", "<u8"), ("similarity", "<f8"), ("equal", "?"), ("identical", "?")])
EXACT, NORMALIZED = "exact", "normalized"
Removals = NDArray[np.void]

NAMED = pa.schema([("document", pa.uint64()), *((name, DUPLICATES.field(name).type) for name in DUPLICATES.names[2:])])


def with_names(removals: Removals, kept: RowNumbers, names: pa.Table, method: str) -> pa.Table:
    """Removals with the id and source_id of the copy that stays; row i of `names` belongs to document `kept[i]`."""
    kept_names = names.take(pa.array(np.searchsorted(kept, removals["kept"])))
    columns = {
        "document": pa.array(removals["document"]),
        "kept_id": kept_names["id"],
        "kept_source_id": kept_names["source_id"],
        "method": pa.array(
            np.select([removals["identical"], removals["equal"]], [EXACT, NORMALIZED], method), pa.string()
        ),
        "similarity": pa.array(removals["similarity"]),
    }
    return pa.table([columns[name] for name in NAMED.names], schema=NAMED)


def split_removed(
    documents: RowNumbers, batch: pa.Table, removals: pa.Table, removed: RowNumbers
) -> tuple[pa.Table, pa.Table]:
    """A row group → the remaining rows, and a row of DUPLICATES for each removed one.

    `removals` is in document order; `removed` is its column of documents as an array.
    """
    first, last = np.searchsorted(removed, [documents[0], documents[-1] + np.uint64(1)])
    local_removals = removals.slice(first, last - first)
    rows = local_removals["document"].to_numpy() - documents[0]
    remains = np.ones(len(documents), np.bool_)
    remains[rows] = False
    ids = batch.select(["id", "source_id"]).take(pa.array(rows))
    duplicates = pa.table([*ids.columns, *local_removals.columns[1:]], schema=DUPLICATES)
    return batch.filter(pa.array(remains)), duplicates


def table_to_bytes(table: pa.Table) -> NDArray[np.uint8]:
    """A table as bytes, to be written to a spill."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return np.frombuffer(sink.getvalue(), np.uint8)


def tables_from_bytes(segments: Sequence[NDArray[np.uint8]], schema: pa.Schema = NAMED) -> pa.Table:
    """The spilled tables as one table, in document order."""
    tables = [pa.ipc.open_stream(pa.py_buffer(data)).read_all() for data in segments]
    return sorted_by(pa.concat_tables([schema.empty_table(), *tables]), "document")
