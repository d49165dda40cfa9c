"""The passages of a batch that go: merged per finder for removed/, together for the text that is left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.core.tables import sorted_by
from pipeline.kernels.cut import cut_passages, quote, to_code_points
from pipeline.passages.base import PassageKeys
from pipeline.passages.batch import DocumentBatch
from pipeline.passages.records import REMOVAL, RecordArray
from pipeline.text.unicode import tables

QUOTED = 1000  # characters of a passage that are kept in removed/
REMOVED = pa.schema(
    [
        ("id", pa.string()), ("source_id", pa.string()), ("source", pa.string()), ("language", pa.string()),
        ("finder", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("copies", pa.int64()),
        ("kept_id", pa.string()), ("kept_source_id", pa.string()), ("text", pa.large_string()),
    ]
)  # fmt: skip


def removals_of(keys: PassageKeys, repeats: RecordArray, first_row: int, *, within_documents: bool) -> RecordArray:
    """Repeated passages but for those in the document that keeps the copy, or `within_documents` those that overlap it.

    `repeats[i]`: the REPEAT record of passage i; `first_row`: the row number of the first document. A passage is
    taken for as long as the copy that stays.
    """
    documents = keys.document.astype(np.uint64) + np.uint64(first_row)
    kept_end = repeats["kept_start"].astype(np.uint64) + (keys.end - keys.start)
    stays = documents == repeats["kept"]
    if within_documents:
        stays &= (keys.start >= repeats["kept_start"]) & (keys.start < kept_end)
    rows = np.flatnonzero(~stays)
    removals = np.empty(len(rows), REMOVAL)
    removals["document"], removals["start"], removals["end"] = documents[rows], keys.start[rows], keys.end[rows]
    for name in ("kept", "kept_start", "copies", "kind"):
        removals[name] = repeats[name][rows]
    return merge(removals)


def merge(removals: RecordArray) -> RecordArray:
    """One removal for those that overlap and are kept in the same document; others no longer overlap."""
    if not len(removals):
        return removals
    ordered = removals[np.lexsort((removals["end"], removals["start"], removals["document"]))]
    before = _end_before(ordered)
    overlaps = ordered["start"] < before
    joins = overlaps & np.append(False, ordered["kept"][1:] == ordered["kept"][:-1])
    ordered["start"] = np.maximum(ordered["start"], before)
    first = np.flatnonzero(~joins)
    merged = ordered[first]
    merged["end"] = np.maximum.reduceat(ordered["end"], first)
    merged["copies"] = np.maximum.reduceat(ordered["copies"], first)
    remaining: RecordArray = merged[merged["start"] < merged["end"]]
    return remaining


def union(parts: Sequence[RecordArray]) -> RecordArray:
    """What goes altogether: in order, without overlaps."""
    removals = np.concatenate([np.empty(0, REMOVAL), *parts])
    ordered = removals[np.lexsort((removals["end"], removals["start"], removals["document"]))]
    if len(ordered):
        ordered["start"] = np.maximum(ordered["start"], _end_before(ordered))
    remaining: RecordArray = ordered[ordered["start"] < ordered["end"]]
    return remaining


def _end_before(ordered: RecordArray) -> NDArray[np.uint32]:
    """The furthest end of the removals before each one in its document, 0 if it is the first."""
    place = (ordered["document"] - ordered["document"][0]) << np.uint64(32)
    furthest = np.maximum.accumulate(place + ordered["end"])
    before = np.append(np.uint64(0), furthest[:-1])
    same_document = np.append(False, ordered["document"][1:] == ordered["document"][:-1])
    return np.where(same_document, before - place, 0).astype(np.uint32)


def cut(batch: DocumentBatch, removals: RecordArray, first_row: int) -> pa.LargeStringArray:
    """The texts of a batch without these passages, which are in order and do not overlap."""
    out = np.empty(int(batch.offsets[-1] - batch.offsets[0]), np.uint8)
    ends = np.empty(len(batch) + 1, np.int64)
    document = (removals["document"] - np.uint64(first_row)).astype(np.int32)
    start, end = removals["start"].copy(), removals["end"].copy()
    cut_passages(batch.data, batch.offsets, tables().classes, document, start, end, out, ends)
    data = pa.py_buffer(out[: ends[-1]].copy())
    return pa.LargeStringArray.from_buffers(len(batch), pa.py_buffer(ends), data)


def removed_rows(
    batch: DocumentBatch, removals: RecordArray, first_row: int, finder: str, names: KeptNames
) -> pa.Table:
    """The rows of removed/ for the removals of one finder."""
    document = (removals["document"] - np.uint64(first_row)).astype(np.int32)
    start, end = removals["start"].copy(), removals["end"].copy()
    points = np.empty((2, len(removals)), np.int64)
    for side, positions in enumerate((start, end)):
        to_code_points(batch.data, batch.offsets, document, positions, points[side])
    ends = np.empty(len(removals) + 1, np.int64)
    most_bytes = np.minimum(end - start, 4 * QUOTED).sum(dtype=np.int64)
    out = np.empty(most_bytes, np.uint8)
    quote(batch.data, batch.offsets, document, start, end, QUOTED, out, ends)
    text = pa.LargeStringArray.from_buffers(len(removals), pa.py_buffer(ends), pa.py_buffer(out[: ends[-1]].copy()))
    own = batch.table.select(["id", "source_id", "source", "language"]).take(pa.array(document))
    columns = {
        **{name: own[name] for name in own.column_names},
        "finder": pa.array([finder] * len(removals), pa.string()),
        "start": pa.array(points[0]), "end": pa.array(points[1]),
        "copies": pa.array(removals["copies"].astype(np.int64)),
        **names.columns(removals["kept"]), "text": text,
    }  # fmt: skip
    return pa.table([columns[name] for name in REMOVED.names], schema=REMOVED)


class KeptNames:
    """The ids of the documents that keep a copy, by row number."""

    def __init__(self, table: pa.Table) -> None:
        self.table = sorted_by(table, "document")
        self.documents = self.table["document"].to_numpy()

    def columns(self, kept: NDArray[np.uint64]) -> dict[str, pa.ChunkedArray]:
        rows = self.table.take(pa.array(np.searchsorted(self.documents, kept)))
        return {"kept_id": rows["id"], "kept_source_id": rows["source_id"]}
