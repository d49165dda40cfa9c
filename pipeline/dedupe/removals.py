"""Who goes, by number; then by name; then out of the files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.core.records import DUPLICATES
from pipeline.dedupe.base import Numbers

# a document that goes: which, the one that stays in its place, their true Jaccard index, whether their keys are equal,
# and whether the texts are equal to the byte
REMOVAL = np.dtype([("document", "<u8"), ("kept", "<u8"), ("similarity", "<f8"), ("equal", "?"), ("identical", "?")])
EXACT, NORMALIZED = "exact", "normalized"
Removals = NDArray[np.void]

NAMED = pa.schema([("document", pa.uint64()), *((name, DUPLICATES.field(name).type) for name in DUPLICATES.names[2:])])


def named(removals: Removals, kept: Numbers, names: pa.Table, method: str) -> pa.Table:
    """Removals with the id and source_id of the copy that stays; `kept`: the documents that `names` names, rising."""
    chosen = names.take(pa.array(np.searchsorted(kept, removals["kept"])))
    columns = {
        "document": pa.array(removals["document"]),
        "kept_id": chosen["id"],
        "kept_source_id": chosen["source_id"],
        "method": pa.array(
            np.select([removals["identical"], removals["equal"]], [EXACT, NORMALIZED], method), pa.string()
        ),
        "similarity": pa.array(removals["similarity"]),
    }
    return pa.table([columns[name] for name in NAMED.names], schema=NAMED)


def divide(documents: Numbers, batch: pa.Table, gone: pa.Table, removed: Numbers) -> tuple[pa.Table, pa.Table]:
    """A row group → the rows that stay, and a row of DUPLICATES for each that goes.

    `gone` is in document order; `removed`: its documents, taken out once for all row groups.
    """
    first, last = np.searchsorted(removed, [documents[0], documents[-1] + np.uint64(1)])
    here = gone.slice(first, last - first)
    rows = here["document"].to_numpy() - documents[0]
    stays = np.ones(len(documents), np.bool_)
    stays[rows] = False
    which = batch.select(["id", "source_id"]).take(pa.array(rows))
    duplicates = pa.table([*which.columns, *here.columns[1:]], schema=DUPLICATES)
    return batch.filter(pa.array(stays)), duplicates


def pack(table: pa.Table) -> NDArray[np.uint8]:
    """A table as bytes that can be spilled."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, NAMED) as stream:
        stream.write_table(table)
    return np.frombuffer(sink.getvalue(), np.uint8)


def unpack(segments: Sequence[NDArray[np.uint8]]) -> pa.Table:
    """The spilled tables as one, in document order."""
    tables = [pa.ipc.open_stream(pa.py_buffer(data)).read_all() for data in segments]
    return pa.concat_tables([NAMED.empty_table(), *tables]).sort_by("document")
