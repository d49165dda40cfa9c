"""Collects records until they hold 8 MiB and converts them to two Arrow tables: documents and quarantine.

Metadata and urls count towards the size as well as text, because a crawl may carry its HTML beside a short text. The
size depends on content alone, so row groups are the same with any number of workers. Document ids are computed here.
Cost: 3 us a document, and 800 MB of text per CPU-second (one join and one sha256 of it).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.records import DOCUMENTS, METADATA, QUARANTINE, document_id
from pipeline.readers.base import BadRecord, Record
from pipeline.text.language import canonical

BATCH_BYTES = 8 << 20
BATCH_RECORDS = 1 << 16
METADATA_PAIR_BYTES = 16  # added for every pair, so that very many empty values count too

_canonical = lru_cache(maxsize=4096)(canonical)


class Batch:
    """Records of one source that are not written yet. `size` estimates their bytes, bad records included.

    `language` is the constant of the source; it overrides the language of a record.
    """

    def __init__(self, source: str, language: str | None) -> None:
        self.source = source
        self.language = _canonical(language)
        self.size = 0
        self.text_bytes = 0
        self.records: list[Record] = []
        self.ids: list[str] = []
        self.bad: list[tuple[str, BadRecord]] = []

    def add(self, name: str, record: Record) -> None:
        """Add a document of the raw file `name`."""
        digest = hashlib.sha256(record.text).hexdigest()
        self.ids.append(document_id(self.source, name, record.position, digest))
        self.records.append(record)
        self.text_bytes += len(record.text)
        self.size += _size(record)

    def reject(self, name: str, bad: BadRecord) -> None:
        """Add a bad record of the raw file `name`."""
        self.bad.append((name, bad))
        self.size += len(bad.raw) + len(bad.detail) + len(name)

    @property
    def full(self) -> bool:
        return self.size >= BATCH_BYTES or len(self.records) + len(self.bad) >= BATCH_RECORDS

    def documents(self) -> pa.Table:
        """The documents with the columns of DOCUMENTS. A missing language is detected from the script of the text."""
        text = _text([record.text for record in self.records])
        columns = [
            pa.array(self.ids, pa.string()),
            pa.array([record.source_id for record in self.records], pa.string()),
            text,
            pa.array([self.source] * len(self.records), pa.string()),
            pa.array([record.url for record in self.records], pa.string()),
            self._languages(text),
            _metadata([record.metadata or {} for record in self.records]),
        ]
        return pa.Table.from_arrays(columns, schema=DOCUMENTS)

    def quarantine(self) -> pa.Table:
        """The bad records with the columns of QUARANTINE."""
        rows = [{"file": name, **bad._asdict()} for name, bad in self.bad]
        return pa.Table.from_pylist(rows, schema=QUARANTINE)

    def _languages(self, text: pa.LargeStringArray) -> pa.StringArray:
        if self.language:
            return pa.array([self.language] * len(text), pa.string())
        column = pa.array([_canonical(record.language) for record in self.records], pa.string())
        if not column.null_count:
            return column
        # imported late: numba and its compiled loops are needed only where a language is missing
        from pipeline.kernels.column import languages

        missing = column.is_null()
        return pc.replace_with_mask(column, missing, languages(text.filter(missing)))


def _size(record: Record) -> int:
    """What a record adds to the size of its batch: the bytes of its text and the characters of all other fields."""
    size = len(record.text) + len(record.source_id or "") + len(record.url or "")
    if metadata := record.metadata:
        size += METADATA_PAIR_BYTES * len(metadata) + sum(map(len, metadata)) + sum(map(len, metadata.values()))
    return size


def _text(texts: list[bytes]) -> pa.LargeStringArray:
    """A column over one joined buffer. The texts are known to be valid UTF-8, so Arrow need not validate them again."""
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)), out=offsets[1:])
    return pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(b"".join(texts)))


def _metadata(columns: Sequence[Mapping[str, str]]) -> pa.ListArray:
    offsets = np.zeros(len(columns) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, columns), np.int32, len(columns)), out=offsets[1:])
    keys = pa.array([key for metadata in columns for key in metadata], pa.string())
    values = pa.array([value for metadata in columns for value in metadata.values()], pa.string())
    pairs = pa.StructArray.from_arrays([keys, values], fields=list(METADATA.value_type))
    return pa.ListArray.from_arrays(pa.array(offsets), pairs, type=METADATA)
