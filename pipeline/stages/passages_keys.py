"""The steps of passages that find what repeats: keys of passages, those with enough copies, ids of what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TypedDict

import numpy as np
import pyarrow as pa

from pipeline.beam.shuffle import Partition, read_partition, spill, split
from pipeline.beam.task import Task
from pipeline.core.job import Job
from pipeline.dedupe.corpus import CorpusIndex, group_by_label
from pipeline.dedupe.removals import table_to_bytes
from pipeline.dedupe.task_types import FileRange, SpilledFiles
from pipeline.passages.base import PassageFinder, PassageKeys, mix
from pipeline.passages.batch import DocumentBatch, Hashes
from pipeline.passages.records import RECORD, REQUEST, Occurrences, RecordArray, RepeatedKeys, combine, name_requests
from pipeline.stages.dedupe_inputs import range_rows
from pipeline.stages.passages_inputs import finders_of, partition_count, range_batches, spill_bytes

NAMES = pa.schema([("document", pa.uint64()), ("id", pa.string()), ("source_id", pa.string())])
PASSAGE_BYTES = 36  # a passage while it is held: two hashes, a document, a position


class MatchedKeys(TypedDict):
    """The files of a partition's repeated keys by file range, and of the documents that keep a copy."""

    repeats: list[str]
    requests: list[str]


def find_keys(job: Job, task: Task[FileRange]) -> SpilledFiles:
    """A file range → records of its passages: those of finder f in partitions [f·n, (f + 1)·n), then of groups."""
    count, corpus, finders = task.payload["count"], CorpusIndex.load(job.draft), finders_of(job)
    parts: list[list[Occurrences]] = [[] for _ in range(block_count(finders))]
    by_document = [has_groups(finder) for finder in finders] + [True] * (len(parts) - len(finders))
    spills: list[str] = []
    buffered = 0

    def flush() -> None:
        records = [combine(part, by_document=counted) for part, counted in zip(parts, by_document, strict=True)]
        partitions = list(chain.from_iterable(_partitioned(array, count) for array in records))
        spills.extend(spill(job.folder, f"spill/keys-{task.key}-{len(spills):06d}.bin", partitions))
        for part in parts:
            part.clear()

    for first, batch in range_batches(job, corpus, task.payload["file_range"]):
        documents = np.arange(first, first + len(batch), dtype=np.uint64)
        for kind, finder in enumerate(finders):
            keys, groups = grouped_keys(finder, batch, kind)
            parts[kind].append(Occurrences.of(keys, documents))
            buffered += len(keys.hash) * PASSAGE_BYTES
            if groups is not None:
                parts[-1].append(Occurrences(groups[:, 0], groups[:, 1], documents, np.zeros(len(batch), np.uint32)))
        if buffered >= spill_bytes(count * len(parts)):
            flush()
            buffered = 0
    flush()
    return {"spills": spills}


def grouped_keys(finder: PassageFinder, batch: DocumentBatch, kind: int) -> tuple[PassageKeys, Hashes | None]:
    """The passages of a batch, with the group of their document in the hashes, and the groups if there are any.

    `kind`: the index of the finder; groups of two finders differ, whatever they are called.
    """
    keys, groups = finder.keys(batch), finder.groups(batch)
    if groups is None:
        return keys, None
    groups = mix(groups ^ mix(np.array([kind + 1], np.uint64)))
    with np.errstate(over="ignore"):
        hashes = mix(keys.hash + groups[keys.document, 0])
        checks = mix(keys.check + groups[keys.document, 1])
    return keys._replace(hash=hashes, check=checks), groups


def has_groups(finder: PassageFinder) -> bool:
    """Whether the finder compares passages within groups, whose documents are counted too."""
    return type(finder).groups is not PassageFinder.groups


def block_count(finders: Sequence[PassageFinder]) -> int:
    """Blocks of partitions: one for each finder, and one for the documents of groups if there are any."""
    return len(finders) + any(has_groups(finder) for finder in finders)


def _partitioned(records: RecordArray, count: int) -> list[RecordArray]:
    """RecordArray by the first bits of their hash, in `count` partitions (a power of two)."""
    partition = (records["hash"] >> np.uint64(65 - count.bit_length())).astype(np.uint16)
    return split(records, partition, count)


def match(job: Job, task: Task[Partition]) -> MatchedKeys:
    """One partition → the keys with enough copies, for each range that has them."""
    corpus, finders = CorpusIndex.load(job.draft), finders_of(job)
    partition = task.payload["partition"]
    kind = partition // partition_count(job)
    records = read_partition(job, task, RECORD)
    repeated = RepeatedKeys.of(records, finders[kind].min_copies if kind < len(finders) else 1)
    repeats, ranges = repeated.by_range(kind, corpus.range_of(repeated.records["document"]))
    names = list[str]()
    if kind < len(finders):
        requests = name_requests(repeats["kept"], ranges)
        names = _spill_by_range(
            job, corpus, f"requests-{partition:06d}", requests, corpus.range_of(requests["document"])
        )
    return {"repeats": _spill_by_range(job, corpus, f"repeats-{partition:06d}", repeats, ranges), "requests": names}


def _spill_by_range(
    job: Job,
    corpus: CorpusIndex,
    name: str,
    records: RecordArray,
    ranges: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> list[str]:
    return spill(job.folder, f"spill/{name}.bin", split(records, ranges.astype(np.uint16), corpus.file_ranges))


def name_kept(job: Job, task: Task[Partition]) -> SpilledFiles:
    """A file range → ids of its documents that keep a copy, for each range that has another copy."""
    corpus, file_range = CorpusIndex.load(job.draft), task.payload["partition"]
    requests = np.unique(read_partition(job, task, REQUEST))
    if not len(requests):
        return {"spills": []}
    kept = np.unique(requests["document"])
    names = pa.concat_tables(
        batch.filter(pa.array(np.isin(documents, kept, assume_unique=True)))
        for documents, batch in range_rows(job, corpus, file_range, ["id", "source_id"])
    )
    tables = [np.empty(0, np.uint8)] * corpus.file_ranges
    for target, rows in group_by_label(requests["file_range"].astype(np.int64)):
        documents = requests["document"][rows]
        ids = names.take(pa.array(np.searchsorted(kept, documents)))
        tables[target] = table_to_bytes(pa.table([pa.array(documents), ids["id"], ids["source_id"]], schema=NAMES))
    return {"spills": spill(job.folder, f"spill/names-{file_range:06d}.bin", tables)}


def spill_files(results: Sequence[SpilledFiles]) -> list[str]:
    """The files of several tasks."""
    return [file for result in results for file in result["spills"]]
