"""dedupe: documents → the documents that stay in parts/, and in duplicates/ each that goes, with the copy that stays.

Seven steps; text is read in three of them, a row group at a time, and never leaves its file. What crosses a shuffle
are 24-byte records (a hash and a document's number), and in the last one the names of copies:

    keys      a stretch    of each text 128 bits and a hash a band                     → records by partition
    match     a partition  documents with equal keys; buckets that share a band
    sets      a stretch    the shingle sets of its candidates
    verify    a partition  pairs of a bucket with a true Jaccard index ≥ threshold
    survivors components   who stays in each                                           → removals
    name      a stretch    ids of those that stay                                      → removals by stretch
    write     a stretch    parts/ and duplicates/

Documents go by number, their row in the corpus; a stretch is a file, or several where there are more than 1,024. The
driver holds a few bytes a file and a partition, and about 100 bytes a document that has a copy. A worker: a row group
and a partition. About 29 MB of text a CPU-second (README).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.beam.run import run_tasks
from pipeline.beam.shuffle import Partition, read_partition, read_segments, run_shuffle, spill, split
from pipeline.beam.task import Task
from pipeline.core.counts import Counts
from pipeline.core.plugins import without_sources
from pipeline.core.records import DOCUMENTS, DUPLICATES
from pipeline.core.shards import FileEntry, ShardWriter, number
from pipeline.core.stage import Job, Outcome
from pipeline.dedupe import METHODS
from pipeline.dedupe.arrays import load, save
from pipeline.dedupe.base import Method, Numbers, Sets
from pipeline.dedupe.components import Copies, Leaders, components, cut, select_survivors
from pipeline.dedupe.corpus import Corpus, grouped, read_rows, read_texts
from pipeline.dedupe.exact import text_hashes
from pipeline.dedupe.groups import RECORD, Groups, Records, buckets, equal, records
from pipeline.dedupe.normalized import keys as normalized_hashes
from pipeline.dedupe.normalized import normal
from pipeline.dedupe.pairs import verified
from pipeline.dedupe.removals import EXACT, NORMALIZED, divide, named, pack, unpack
from pipeline.dedupe.section import Dedupe
from pipeline.dedupe.sets import SetStore, write_sets
from pipeline.dedupe.steps import Amount, Bucket, Empty, Matched, Spilled, Stretch, Written

PARTITION_BYTES = 8 << 20
TASK_MEMBERS = 1 << 17
FACTS = np.dtype([("length", "<u4"), ("raw", "<u8"), ("identity", "<u8")])


def run(job: Job) -> Outcome:
    """Keys, matches, sets, pairs, who stays, their names, the files."""
    positions = [at for at, part in enumerate(job.inputs.all("documents")) for _ in part.files("parts/")]
    corpus = Corpus.of(_files(job), positions)
    corpus.save(job.folder)
    partitions = _partitions(len(corpus), _section(job).bands)
    keyed = run_tasks(job, "keys", _stretches(job, corpus, partitions), find_keys)
    matched = run_shuffle(job, "match", _spills(keyed), match, partitions=2 * partitions)
    near = [number for number, result in enumerate(matched) if result["candidates"]]
    if near:
        run_tasks(job, "sets", _stretches(job, corpus, partitions), store_sets)
        buckets = [Task(f"{n:06d}", matched[n]["candidates"], Bucket(partition=n)) for n in near]
        run_tasks(job, "verify", buckets, verify)
    removal_files = _select_survivors(job, [number for number, result in enumerate(matched) if result["equal"]], near)
    names = run_tasks(job, "name", _stretches(job, corpus, removal_files), name_kept)
    written = run_shuffle(job, "write", _spills(names), write, partitions=corpus.stretches)
    return _outcome(job, written)


def _section(job: Job) -> Dedupe:
    return Dedupe.model_validate(without_sources(job.params))


def _method(job: Job) -> Method:
    method: Method = METHODS.load(_section(job).method)(_section(job))
    return method


def _files(job: Job) -> list[Path]:
    return job.inputs.files("documents", "parts/")


def _stretches(job: Job, corpus: Corpus, count: int) -> list[Task[Stretch]]:
    sizes = [path.stat().st_size for path in _files(job)]
    return [
        Task(
            f"{stretch:06d}",
            sum(sizes[file] for file in corpus.files_of(stretch)),
            Stretch(stretch=stretch, count=count),
        )
        for stretch in range(corpus.stretches)
    ]


def _spills(results: Sequence[Spilled]) -> Iterator[str]:
    return (file for result in results for file in result["spills"])


def _partitions(documents: int, bands: int) -> int:
    """So many that one's records fit in PARTITION_BYTES: a power of two, four at least, by the corpus alone."""
    wanted = -(-documents * bands * RECORD.itemsize // PARTITION_BYTES)
    return max(4, 1 << max(wanted - 1, 0).bit_length())


def _rows(job: Job, corpus: Corpus, stretch: int, columns: Sequence[str]) -> Iterator[tuple[Numbers, pa.Table]]:
    files = _files(job)
    for file in corpus.files_of(stretch):
        yield from read_rows(files[file], int(corpus.starts[file]), columns)


def _texts(job: Job, corpus: Corpus, stretch: int) -> Iterator[tuple[Numbers, pa.LargeStringArray]]:
    files = _files(job)
    for file in corpus.files_of(stretch):
        yield from read_texts(files[file], int(corpus.starts[file]))


def find_keys(job: Job, task: Task[Stretch]) -> Spilled:
    """A stretch → records of equal texts in partitions [0, n), of bands in [n, 2n); and each document's facts."""
    method, count, corpus = _method(job), task.payload["count"], Corpus.load(job.folder)
    exact, near, facts, spills, held = list[Records](), list[Records](), [np.empty(0, FACTS)], list[str](), 0

    def flush() -> None:
        parts = [*_partitioned(exact, count), *_partitioned(near, count)]
        spills.extend(spill(job.folder, f"spill/keys-{task.key}-{len(facts):06d}.bin", parts))
        exact.clear()
        near.clear()

    for documents, texts in _texts(job, corpus, task.payload["stretch"]):
        composed = normal(texts)
        hashes, bands = normalized_hashes(composed), method.bands(composed)
        keys = method.keys(texts, hashes[:, :2])
        exact.append(records(keys[:, 0], keys[:, 1], documents))
        near.extend(records(bands[:, band], keys[:, 0], documents) for band in range(bands.shape[1]))
        held += bands.size * RECORD.itemsize
        rows = np.empty(len(documents), FACTS)
        rows["length"], rows["raw"] = pc.binary_length(texts).to_numpy(), hashes[:, 2]
        rows["identity"] = hashes[:, 2] if composed is texts else text_hashes(texts)[:, 0]
        facts.append(rows)
        if held >= PARTITION_BYTES:
            flush()
            held = 0
    flush()
    save(job.folder / "facts", task.key, facts=np.concatenate(facts))
    return {"spills": spills}


def _partitioned(parts: Sequence[Records], count: int) -> list[Records]:
    """Records by the first bits of their hash, in `count` partitions (a power of two)."""
    every = np.concatenate([np.empty(0, RECORD), *parts])
    # 16 bits are sorted by radix
    partition = (every["hash"] >> np.uint64(65 - count.bit_length())).astype(np.uint16)
    return split(every, partition, count)


def match(job: Job, task: Task[Partition]) -> Matched:
    """One partition → pairs of equal documents, or buckets and the candidates in them."""
    part, folder, key = read_partition(job, task, RECORD), job.folder / "matches", f"{task.payload['partition']:06d}"
    if task.payload["partition"] < _partitions(len(Corpus.load(job.folder)), _section(job).bands):
        document, leader = equal(part)
        save(folder, key, document=document, leader=leader)
        return {"equal": len(document), "candidates": 0}
    groups = buckets(part)
    candidates = np.unique(groups.members)
    save(folder, key, members=groups.members, offsets=groups.offsets, candidates=candidates)
    return {"equal": 0, "candidates": len(candidates)}


def store_sets(job: Job, task: Task[Stretch]) -> Amount:
    """A stretch → the shingle sets of the documents that some bucket holds."""
    method, corpus, stretch, count = (
        _method(job),
        Corpus.load(job.folder),
        task.payload["stretch"],
        task.payload["count"],
    )
    bounds = corpus.stretch_starts[stretch : stretch + 2]
    shares = [np.empty(0, np.uint64)]
    for partition in range(count, 2 * count):
        candidates = load(job.folder / "matches", f"{partition:06d}", "candidates")
        first, last = np.searchsorted(candidates, bounds)
        shares.append(candidates[first:last])
    wanted = np.unique(np.concatenate(shares))

    def batch_sets() -> Iterator[tuple[Numbers, Sets]]:
        for documents, texts in _texts(job, corpus, stretch) if len(wanted) else ():
            chosen = np.isin(documents, wanted, assume_unique=True)
            yield documents[chosen], method.sets(normal(texts.filter(pa.array(chosen))))

    return {"amount": write_sets(job.folder / "sets", stretch, batch_sets())}


def _store(job: Job) -> SetStore:
    return SetStore(job.folder / "sets", Corpus.load(job.folder).stretch_starts)


def verify(job: Job, task: Task[Bucket]) -> Amount:
    """One partition's buckets → pairs that are truly alike."""
    folder, key = job.folder / "matches", f"{task.payload['partition']:06d}"
    groups = Groups(np.array(load(folder, key, "members")), np.array(load(folder, key, "offsets")))
    pairs = verified(groups, _store(job), _section(job).threshold)
    save(job.folder / "pairs", task.key, pairs=pairs)
    return {"amount": len(pairs)}


def _select_survivors(job: Job, exact: Sequence[int], near: Sequence[int]) -> int:
    """Components of all pairs, cut into tasks of whole components; returns how many tasks there were."""
    none = np.empty(0, np.uint64)
    document, leader = (
        np.concatenate([none, *(load(job.folder / "matches", f"{n:06d}", part) for n in exact)])
        for part in ("document", "leader")
    )
    pairs = [load(job.folder / "pairs", f"{n:06d}", "pairs") for n in near]
    first = np.concatenate([document, *(part["first"] for part in pairs)])
    second = np.concatenate([leader, *(part["second"] for part in pairs)])
    tasks, leaders = [], Leaders(document, leader)
    for at, groups in enumerate(cut(components(first, second), TASK_MEMBERS)):
        arrays = {"members": groups.members, "offsets": groups.offsets}
        save(job.folder / "components", f"{at:06d}", **arrays, leader=leaders.of(groups.members))
        tasks.append(Task(f"{at:06d}", len(groups.members), Empty()))
    run_tasks(job, "survivors", tasks, find_removals)
    return len(tasks)


def find_removals(job: Job, task: Task[Empty]) -> Amount:
    """Some components → removals, in the order of the documents that stay."""
    folder, corpus = job.folder / "components", Corpus.load(job.folder)
    members, offsets, leader = (np.array(load(folder, task.key, part)) for part in ("members", "offsets", "leader"))
    facts, starts = np.empty(len(members), FACTS), corpus.stretch_starts
    for stretch, rows in grouped(corpus.stretch_of(members)):
        facts[rows] = load(job.folder / "facts", f"{stretch:06d}", "facts")[members[rows] - starts[stretch]]
    groups, length = Groups(members, offsets), facts["length"].astype(np.int64)
    store = _store(job)
    copies = Copies(
        groups, leader, store.sizes(leader), length, facts["raw"], facts["identity"], corpus.part_of(members)
    )
    removals = select_survivors(copies, store, _section(job).threshold)
    save(job.folder / "removals", task.key, removals=np.sort(removals, order=("kept", "document")))
    return {"amount": len(removals)}


def name_kept(job: Job, task: Task[Stretch]) -> Spilled:
    """A stretch → for each document removed in favour of one of its own, the name of the latter; by stretch."""
    corpus, stretch, method = Corpus.load(job.folder), task.payload["stretch"], _section(job).method
    bounds, shares = corpus.stretch_starts[stretch : stretch + 2], []
    for at in range(task.payload["count"]):
        removals = load(job.folder / "removals", f"{at:06d}", "removals")
        first, last = np.searchsorted(removals["kept"], bounds)
        shares.append(removals[first:last])
    if not sum(map(len, shares)):
        return {"spills": []}
    removals = np.concatenate(shares)
    kept = np.unique(removals["kept"])
    names = pa.concat_tables(
        batch.filter(pa.array(np.isin(documents, kept, assume_unique=True)))
        for documents, batch in _rows(job, corpus, stretch, ["id", "source_id"])
    )
    tables = [np.empty(0, np.uint8)] * corpus.stretches
    for target, rows in grouped(corpus.stretch_of(removals["document"])):
        tables[target] = pack(named(removals[rows], kept, names, method))
    return {"spills": spill(job.folder, f"spill/names-{task.key}.bin", tables)}


def write(job: Job, task: Task[Partition]) -> Written:
    """A stretch → its documents that stay, and its duplicates; a file of each for every file."""
    corpus, files = Corpus.load(job.folder), _files(job)
    gone = unpack(list(read_segments(job, task, np.uint8)))
    removed = gone["document"].to_numpy()
    counts: Written = {"documents": 0, "bytes_in": 0, "bytes_out": 0, "removed": {}, "entries": []}
    for file in corpus.files_of(task.payload["partition"]):
        with (
            ShardWriter(job.folder, "parts", f"{file:06d}", DOCUMENTS) as parts,
            ShardWriter(job.folder, "duplicates", f"{file:06d}", DUPLICATES) as duplicates,
        ):
            for documents, batch in read_rows(files[file], int(corpus.starts[file])):
                stays, goes = divide(documents, batch, gone, removed)
                parts.write(stays)
                duplicates.write(goes)
                counts["documents"] += len(batch)
                counts["bytes_in"] += pc.sum(pc.binary_length(batch["text"])).as_py()
                counts["bytes_out"] += pc.sum(pc.binary_length(stays["text"])).as_py() or 0
        counts["entries"] += [shard.entry.to_dict() for shard in (parts, duplicates) if shard.entry]
    counts["removed"] = {row["values"]: row["counts"] for row in pc.value_counts(gone["method"]).to_pylist()}
    return counts


def _outcome(job: Job, written: Sequence[Written]) -> Outcome:
    method = _section(job).method
    names = dict.fromkeys([EXACT] if method == EXACT else [EXACT, NORMALIZED, method])
    dropped = {name: sum(result["removed"].get(name, 0) for result in written) for name in names}
    documents, bytes_in, bytes_out = (
        sum(result[name] for result in written) for name in ("documents", "bytes_in", "bytes_out")
    )
    files = number(job.folder, [FileEntry.from_dict(entry) for result in written for entry in result["entries"]])
    counts: Counts = {"in": documents, "out": documents - sum(dropped.values()), "dropped": dropped}
    return Outcome(files, counts | Counts(bytes_in=bytes_in, bytes_out=bytes_out))
