"""Records on their way into Arrow: gathered until they hold 8 MiB, then two tables, documents and quarantine.

All that is kept counts, metadata and urls as well as text: a crawl may carry its HTML beside a short text. A batch is
cut by content alone, so its row groups are the same at any number of workers. The ids are made here.
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
from pipeline.readers.base import Bad, Record
from pipeline.text.language import canonical

BATCH_BYTES = 8 << 20
BATCH_RECORDS = 1 << 16
PAIR_BYTES = 16  # of metadata, beside its characters: very many empty values must count too

_canonical = lru_cache(maxsize=4096)(canonical)


class Batch:
    """What was read of one source since the last cut; `size` is about the bytes that it holds, bad records included.

    `language` is the source's constant, which wins over a record's.
    """

    def __init__(self, source: str, language: str | None) -> None:
        self.source, self.language = source, _canonical(language)
        self.size = self.text_bytes = 0
        self.records: list[Record] = []
        self.ids: list[str] = []
        self.bad: list[tuple[str, Bad]] = []

    def add(self, name: str, record: Record) -> None:
        """Take a document of the raw file `name`."""
        digest = hashlib.sha256(record.text).hexdigest()
        self.ids.append(document_id(self.source, name, record.position, digest))
        self.records.append(record)
        self.text_bytes += len(record.text)
        self.size += _size(record)

    def reject(self, name: str, bad: Bad) -> None:
        """Take a bad record of the raw file `name`."""
        self.bad.append((name, bad))
        self.size += len(bad.raw) + len(bad.detail) + len(name)

    @property
    def full(self) -> bool:
        return self.size >= BATCH_BYTES or len(self.records) + len(self.bad) >= BATCH_RECORDS

    def documents(self) -> pa.Table:
        """The documents with the columns of DOCUMENTS; a language that no record names is told by its script."""
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
        named = pa.array([_canonical(record.language) for record in self.records], pa.string())
        if not named.null_count:
            return named
        # numba's import and its compiled loops are needed only where a language is missing
        from pipeline.kernels.column import languages

        return pc.replace_with_mask(named, named.is_null(), languages(text.filter(named.is_null())))


def _size(record: Record) -> int:
    """What a record adds to its batch: bytes of its text, characters of all else."""
    size = len(record.text) + len(record.source_id or "") + len(record.url or "")
    if metadata := record.metadata:
        size += PAIR_BYTES * len(metadata) + sum(map(len, metadata)) + sum(map(len, metadata.values()))
    return size


def _text(texts: list[bytes]) -> pa.LargeStringArray:
    """The column over one joined buffer: the texts are valid UTF-8, so nothing needs to be checked again."""
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
