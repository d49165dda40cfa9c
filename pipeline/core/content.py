"""A hash of the values of a table. It does not depend on row groups, the Parquet library or compression.

Each column gives streams by name: `NAME?` validity, `NAME#` lengths (strings, lists, maps) and `NAME` the values,
little-endian. A list goes on with `NAME[]`, a struct with `NAME.FIELD`. So `metadata`, a list<struct<key, value>>, is
`metadata?`, `metadata#`, `metadata[]?`, and `?`, `#` and values of `metadata[].key` and `metadata[].value`. The digest
is sha256 over the lines `STREAM SHA256`, sorted by name. The map that `metadata` was before gave other streams.
sha256 runs at over 1 GB a CPU-second, so this costs well under a tenth of writing the file.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from pipeline.core.arrays import Array


class ContentHash:
    """Call `update` with tables of one schema, in order; the digest does not depend on where they were split."""

    def __init__(self) -> None:
        self._streams: dict[str, hashlib._Hash] = {}

    def update(self, table: pa.Table) -> None:
        for name, column in zip(table.column_names, table.columns, strict=True):
            for chunk in column.chunks:
                self._array(name, chunk)

    def hexdigest(self) -> str:
        lines = (f"{name} {stream.hexdigest()}\n" for name, stream in sorted(self._streams.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _feed(self, name: str, values: Array) -> None:
        stream = self._streams.setdefault(name, hashlib.sha256())
        stream.update(np.ascontiguousarray(values).view(np.uint8).data)

    def _array(self, name: str, array: pa.Array) -> None:
        self._feed(f"{name}?", pc.is_valid(array).cast(pa.uint8()).to_numpy(zero_copy_only=False))
        kind = array.type
        if kinds.is_dictionary(kind):
            array, kind = array.dictionary_decode(), kind.value_type
        if kinds.is_string(kind) or kinds.is_binary(kind) or kinds.is_large_string(kind) or kinds.is_large_binary(kind):
            self._bytes(name, array)
        elif kinds.is_map(kind):
            self._map(name, array)
        elif kinds.is_list(kind) or kinds.is_large_list(kind):
            self._feed(f"{name}#", array.value_lengths().fill_null(0).cast(pa.int64()).to_numpy(zero_copy_only=False))
            self._array(f"{name}[]", array.flatten())
        elif kinds.is_fixed_size_list(kind):
            self._feed(f"{name}#", np.full(len(array), kind.list_size, np.int64))
            self._array(f"{name}[]", array.flatten())
        elif kinds.is_struct(kind):
            for field, child in zip(kind, array.flatten(), strict=True):
                self._array(f"{name}.{field.name}", child)
        elif kinds.is_null(kind):
            return
        else:
            filled = array.fill_null(False if kinds.is_boolean(kind) else 0)
            self._feed(name, filled.to_numpy(zero_copy_only=False))

    def _bytes(self, name: str, array: pa.Array) -> None:
        wide = array.cast(pa.large_binary())
        if wide.null_count:
            wide = wide.fill_null(b"")
        offsets = (
            np.frombuffer(wide.buffers()[1], np.int64)[wide.offset : wide.offset + len(wide) + 1] if len(wide) else None
        )
        if offsets is None:
            return
        self._feed(f"{name}#", np.diff(offsets))
        if offsets[-1] > offsets[0]:
            self._feed(name, np.frombuffer(wide.buffers()[2], np.uint8)[offsets[0] : offsets[-1]])

    def _map(self, name: str, array: pa.Array) -> None:
        if not len(array):
            return
        offsets = array.offsets
        first, last = offsets[0].as_py(), offsets[len(array)].as_py()
        self._feed(f"{name}#", np.diff(offsets.to_numpy()).astype(np.int64))
        self._array(f"{name}.key", array.keys.slice(first, last - first))
        self._array(f"{name}.value", array.items.slice(first, last - first))
