"""The steps of dedupe that find copies: hashes of every text, equal documents, and verified pairs of similar ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.beam.shuffle import Partition, read_partition, spill, split
from pipeline.beam.task import Task
from pipeline.core.arrays import load_array, save_arrays
from pipeline.core.job import Job
from pipeline.dedupe.base import RowNumbers, Sets
from pipeline.dedupe.corpus import CorpusIndex
from pipeline.dedupe.exact import text_hashes
from pipeline.dedupe.groups import RECORD, Groups, Records, equal_documents, find_buckets, make_records
from pipeline.dedupe.normalized import normalized_hashes, to_nfkc
from pipeline.dedupe.pairs import verify_pairs
from pipeline.dedupe.sets import write_sets
from pipeline.dedupe.task_types import BucketPartition, FileRange, ItemCount, MatchCounts, SpilledFiles
from pipeline.stages.dedupe_inputs import TEXT_FACTS, method_of, range_texts, section_of, set_store

PARTITION_BYTES = 8 << 20
# beyond 100 million documents partitions grow instead: a segment of each stands in each spill, and must not get small
MOST_PARTITIONS, SEGMENT_BYTES = 4096, 16 << 10
MATCHES = "matches"


def partition_count(documents: int, bands: int) -> int:
    """The number of partitions: a power of two, at least four, so that one fits in PARTITION_BYTES if they are enough.

    It follows from the corpus alone.
    """
    least = -(-documents * bands * RECORD.itemsize // PARTITION_BYTES)
    return min(max(4, 1 << max(least - 1, 0).bit_length()), MOST_PARTITIONS)


def spill_bytes(partitions: int) -> int:
    """How many bytes of records a task holds before it spills them: a segment each of whole texts and of bands."""
    return max(PARTITION_BYTES, 2 * partitions * SEGMENT_BYTES)


def find_keys(job: Job, task: Task[FileRange]) -> SpilledFiles:
    """A file range → records of whole texts in partitions [0, n), of bands in [n, 2n), and each document's facts."""
    method, count, corpus = method_of(job), task.payload["count"], CorpusIndex.load(job.draft)
    exact, near, spills = list[Records](), list[Records](), list[str]()
    facts = [np.empty(0, TEXT_FACTS)]
    buffered_bytes = 0

    def flush() -> None:
        parts = [*_partitioned(exact, count), *_partitioned(near, count)]
        spills.extend(spill(job.folder, f"spill/keys-{task.key}-{len(facts):06d}.bin", parts))
        exact.clear()
        near.clear()

    for documents, texts in range_texts(job, corpus, task.payload["file_range"]):
        composed = to_nfkc(texts)
        hashes = normalized_hashes(composed)
        bands = method.bands(composed)
        keys = method.keys(texts, hashes[:, :2])
        exact.append(make_records(keys[:, 0], keys[:, 1], documents))
        near.extend(make_records(bands[:, band], keys[:, 0], documents) for band in range(bands.shape[1]))
        buffered_bytes += bands.size * RECORD.itemsize
        rows = np.empty(len(documents), TEXT_FACTS)
        rows["length"] = pc.binary_length(texts).to_numpy()
        rows["raw"] = hashes[:, 2]
        rows["identity"] = hashes[:, 2] if composed is texts else text_hashes(texts)[:, 0]
        facts.append(rows)
        if buffered_bytes >= spill_bytes(count):
            flush()
            buffered_bytes = 0
    flush()
    save_arrays(job.folder / "facts", task.key, facts=np.concatenate(facts))
    return {"spills": spills}


def _partitioned(parts: Sequence[Records], count: int) -> list[Records]:
    """Records by the first bits of their hash, in `count` partitions (a power of two)."""
    records = np.concatenate([np.empty(0, RECORD), *parts])
    # 16-bit keys are sorted by radix
    partition = (records["hash"] >> np.uint64(65 - count.bit_length())).astype(np.uint16)
    return split(records, partition, count)


def match(job: Job, task: Task[Partition]) -> MatchCounts:
    """One partition → pairs of equal documents, or buckets and the candidates in them."""
    records = read_partition(job, task, RECORD)
    folder, key = job.folder / MATCHES, f"{task.payload['partition']:06d}"
    if task.payload["partition"] < partition_count(len(CorpusIndex.load(job.draft)), section_of(job).bands):
        document, leader = equal_documents(records)
        save_arrays(folder, key, document=document, leader=leader)
        return {"equal": len(document), "candidates": 0}
    groups = find_buckets(records)
    candidates = np.unique(groups.members)
    save_arrays(folder, key, members=groups.members, offsets=groups.offsets, candidates=candidates)
    return {"equal": 0, "candidates": len(candidates)}


def store_sets(job: Job, task: Task[FileRange]) -> ItemCount:
    """A file range → the shingle sets of the documents that are in a bucket."""
    method, corpus = method_of(job), CorpusIndex.load(job.draft)
    file_range, count = task.payload["file_range"], task.payload["count"]
    bounds = corpus.range_starts[file_range : file_range + 2]
    shares = [np.empty(0, np.uint64)]
    for partition in range(count, 2 * count):
        candidates = load_array(job.draft, f"{MATCHES}/{partition:06d}", "candidates")
        first, last = np.searchsorted(candidates, bounds)
        shares.append(candidates[first:last])
    in_buckets = np.unique(np.concatenate(shares))

    def batch_sets() -> Iterator[tuple[RowNumbers, Sets]]:
        for documents, texts in range_texts(job, corpus, file_range) if len(in_buckets) else ():
            selected = np.isin(documents, in_buckets, assume_unique=True)
            yield documents[selected], method.sets(to_nfkc(texts.filter(pa.array(selected))))

    return {"amount": write_sets(job.folder, file_range, batch_sets())}


def verify(job: Job, task: Task[BucketPartition]) -> ItemCount:
    """The buckets of one partition → pairs whose true Jaccard index reaches the threshold."""
    name = f"{MATCHES}/{task.payload['partition']:06d}"
    groups = Groups(*(np.array(load_array(job.draft, name, part)) for part in ("members", "offsets")))
    pairs = verify_pairs(groups, set_store(job), section_of(job).threshold)
    save_arrays(job.folder / "pairs", task.key, pairs=pairs)
    return {"amount": len(pairs)}
