"""What every step of passages reads: its section, its finders, and the documents of a range of files in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from pipeline.beam.shuffle import Partition
from pipeline.core.job import Job
from pipeline.core.plugins import without_sources
from pipeline.dedupe.corpus import CorpusIndex, text_slices
from pipeline.passages import FINDERS
from pipeline.passages.base import PassageFinder
from pipeline.passages.batch import COLUMNS, DocumentBatch
from pipeline.passages.section import Passages
from pipeline.stages.dedupe_inputs import listed_documents, range_rows

RECORD_SHARE = 3.0  # bytes of records for each byte of a file of documents: measured 0.7 to 2.4 (README)
PARTITION_BYTES = 8 << 20
# beyond 12 GB of files partitions grow instead: a segment of each stands in each spill, and must not get small
MOST_PARTITIONS, SEGMENT_BYTES = 4096, 16 << 10


class RangePartition(Partition):
    """The payload of a task that writes a file range: the keys of its partition, the removals that finders with steps
    of their own found, and the ids of the documents that keep a copy."""

    removals: str
    names: str


class SearchResult(NamedTuple):
    """What a finder with steps of its own spilled: REMOVAL records by the range of `document`, and REQUEST records by
    the range of the document that keeps a copy."""

    removals: list[str]
    requests: list[str]


def section_of(job: Job) -> Passages:
    """The options of the stage."""
    params = without_sources(job.params)
    return Passages.model_validate({key: value for key, value in params.items() if key != "unicode"})


def finders_of(job: Job) -> list[PassageFinder]:
    """The finders that the options name, in their order."""
    return [FINDERS.create(component) for component in section_of(job).finders]


def partition_count(job: Job) -> int:
    """The number of partitions of a finder. It follows from the corpus alone."""
    return partitions_for(int(RECORD_SHARE * sum(file["bytes"] for file in listed_documents(job))))


def partitions_for(record_bytes: int) -> int:
    """The number of partitions for so many records: a power of two, at least four."""
    least = -(-record_bytes // PARTITION_BYTES)
    return min(max(4, 1 << max(least - 1, 0).bit_length()), MOST_PARTITIONS)


def spill_bytes(partitions: int) -> int:
    """How many bytes of records a task holds before it spills them."""
    return max(PARTITION_BYTES, partitions * SEGMENT_BYTES)


def range_batches(job: Job, corpus: CorpusIndex, file_range: int) -> Iterator[tuple[int, DocumentBatch]]:
    """The documents of a file range, about two megabytes at a time, with the row number of the first."""
    skip_languages = section_of(job).skip_languages
    for documents, table in range_rows(job, corpus, file_range, COLUMNS):
        for first, batch in batches_of(table, skip_languages):
            yield int(documents[0]) + first, batch


def batches_of(table: pa.Table, skip_languages: Sequence[str]) -> Iterator[tuple[int, DocumentBatch]]:
    """A row group in batches, with the index of the first document of each."""
    for first, last in text_slices(table["text"].combine_chunks()):
        yield first, DocumentBatch(table.slice(first, last - first), list(skip_languages))
