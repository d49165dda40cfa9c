"""dedupe: documents → the documents that stay in parts/, and in duplicates/ each that goes, with the copy that stays.

Seven steps; text is read in three of them, a row group at a time, and never leaves its file. What crosses a shuffle
are 24-byte records (a hash and a document's number), and in the last one the names of copies:

    keys      a file       of each text 128 bits and a hash a band                     → records by partition
    match     a partition  documents with equal texts; buckets that share a band
    sets      a file       the shingle sets of its candidates
    verify    a partition  pairs of a bucket with a true Jaccard index ≥ threshold
    settle    components   who stays in each                                           → removals
    name      a file       ids of those that stay                                      → removals by file
    write     a file       parts/ and duplicates/

Documents go by number, their row in the corpus. Memory: a row group and a partition a worker, and about 100 bytes a
document that has a copy. About 29 MB of text a CPU-second (README).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.beam.run import run_tasks
from pipeline.beam.shuffle import pieces, run_shuffle, spill, split, whole
from pipeline.beam.task import Task
from pipeline.core.records import DOCUMENTS, DUPLICATES
from pipeline.core.shards import FileEntry, ShardWriter, number
from pipeline.core.stage import Job, Outcome
from pipeline.dedupe import METHODS
from pipeline.dedupe.arrays import load, save
from pipeline.dedupe.base import Method, Numbers, Sets
from pipeline.dedupe.components import Copies, components, cut, leaders, settle
from pipeline.dedupe.corpus import Corpus
from pipeline.dedupe.exact import keys as text_keys
from pipeline.dedupe.exact import normal
from pipeline.dedupe.groups import RECORD, Groups, Records, buckets, equal, records
from pipeline.dedupe.pairs import verified
from pipeline.dedupe.removals import divide, named, pack, unpack
from pipeline.dedupe.section import Dedupe
from pipeline.dedupe.sets import SetStore, write_sets

PARTITION_BYTES = 8 << 20
SETTLE_MEMBERS = 1 << 17
FACTS = np.dtype([("length", "<u4"), ("raw", "<u8")])


def run(job: Job) -> Outcome:
    """Keys, matches, sets, pairs, who stays, their names, the files."""
    corpus = _corpus(job)
    partitions = _partitions(len(corpus), _section(job).bands)
    keyed = run_tasks(job, "keys", _file_tasks(corpus, partitions=partitions), find_keys)
    matched = run_shuffle(job, "match", (piece for result in keyed for piece in result["pieces"]), match)
    near = [n for n, result in matched.items() if result["candidates"]]
    if near:
        run_tasks(job, "sets", _file_tasks(corpus, matches=near), store_sets)
        run_tasks(job, "verify", [Task(f"{n:06d}", matched[n]["candidates"], {"match": n}) for n in near], verify)
    settled = _settle(job, [n for n, result in matched.items() if result["equal"]], near)
    named_by_file = run_tasks(job, "name", _file_tasks(corpus, settled=settled), name_kept)
    written = run_shuffle(job, "write", (piece for result in named_by_file for piece in result["pieces"]), write)
    return _outcome(job, list(written.values()))


def _section(job: Job) -> Dedupe:
    return Dedupe.model_validate(job.params)


def _method(job: Job) -> Method:
    made: Method = METHODS.load(_section(job).method)(_section(job))
    return made


def _corpus(job: Job) -> Corpus:
    return _corpus_of(tuple(job.inputs["documents"].files("parts/")))


@lru_cache(maxsize=8)
def _corpus_of(files: tuple[Path, ...]) -> Corpus:
    """Reads every footer; an artifact never changes, so once is enough."""
    return Corpus(files)


def _file_tasks(corpus: Corpus, **payload: Any) -> list[Task]:
    sizes = [path.stat().st_size for path in corpus.files]
    return [Task(f"{file:06d}", size, {"file": file, **payload}) for file, size in enumerate(sizes)]


def _partitions(documents: int, bands: int) -> int:
    """So many that one's records fit in PARTITION_BYTES: a power of two, four at least, by the corpus alone."""
    wanted = -(-documents * bands * RECORD.itemsize // PARTITION_BYTES)
    return max(4, 1 << max(wanted - 1, 0).bit_length())


def find_keys(job: Job, task: Task) -> dict[str, Any]:
    """One file → records of equal texts in partitions [0, n), of bands in [n, 2n); and each document's facts."""
    method, count = _method(job), task.payload["partitions"]
    exact, near, facts, found = list[Records](), list[Records](), [np.empty(0, FACTS)], list[Any]()

    def flush() -> None:
        parts = [*_partitioned(exact, count), *_partitioned(near, count)]
        found.extend(spill(job.folder, f"spill/keys-{task.key}-{len(facts):06d}.bin", parts))
        exact.clear()
        near.clear()

    for documents, texts in _corpus(job).texts(task.payload["file"]):
        composed = normal(texts)
        keys, bands = text_keys(composed), method.bands(composed)
        exact.append(records(keys[:, 0], keys[:, 1], documents))
        near.extend(records(bands[:, band], keys[:, 0], documents) for band in range(bands.shape[1]))
        some = np.empty(len(documents), FACTS)
        some["length"], some["raw"] = pc.binary_length(texts).to_numpy(), keys[:, 2]
        facts.append(some)
        if sum(part.nbytes for part in near) >= PARTITION_BYTES:
            flush()
    flush()
    save(job.folder / "facts", task.key, facts=np.concatenate(facts))
    return {"pieces": found}


def _partitioned(found: Sequence[Records], count: int) -> list[Records]:
    """Records by the first bits of their hash, in `count` partitions (a power of two)."""
    every = np.concatenate([np.empty(0, RECORD), *found])
    # 16 bits are sorted by radix
    partition = (every["hash"] >> np.uint64(65 - count.bit_length())).astype(np.uint16)
    return split(every, partition, count)


def match(job: Job, task: Task) -> dict[str, Any]:
    """One partition → pairs of equal documents, or buckets and the candidates in them."""
    found, folder, key = whole(job, task, RECORD), job.folder / "matches", f"{task.payload['partition']:06d}"
    if task.payload["partition"] < _partitions(len(_corpus(job)), _section(job).bands):
        document, leader = equal(found)
        save(folder, key, document=document, leader=leader)
        return {"equal": len(document), "candidates": 0}
    groups = buckets(found)
    candidates = np.unique(groups.members)
    save(folder, key, members=groups.members, offsets=groups.offsets, candidates=candidates)
    return {"equal": 0, "candidates": len(candidates)}


def store_sets(job: Job, task: Task) -> dict[str, Any]:
    """One file → the shingle sets of the documents that some bucket holds."""
    method, corpus, file = _method(job), _corpus(job), task.payload["file"]
    bounds = corpus.starts[file : file + 2]
    found = [np.empty(0, np.uint64)]
    for partition in task.payload["matches"]:
        candidates = load(job.folder / "matches", f"{partition:06d}", "candidates")
        first, last = np.searchsorted(candidates, bounds)
        found.append(candidates[first:last])
    wanted = np.unique(np.concatenate(found))

    def batch_sets() -> Iterator[tuple[Numbers, Sets]]:
        for documents, texts in corpus.texts(file) if len(wanted) else ():
            chosen = np.isin(documents, wanted, assume_unique=True)
            yield documents[chosen], method.sets(normal(texts.filter(pa.array(chosen))))

    return {"documents": write_sets(job.folder / "sets", file, batch_sets())}


def verify(job: Job, task: Task) -> dict[str, Any]:
    """One partition's buckets → pairs that are truly alike."""
    folder, key = job.folder / "matches", f"{task.payload['match']:06d}"
    groups = Groups(np.array(load(folder, key, "members")), np.array(load(folder, key, "offsets")))
    store = SetStore(job.folder / "sets", _corpus(job).starts)
    pairs = verified(groups, store, _section(job).threshold)
    save(job.folder / "pairs", task.key, pairs=pairs)
    return {"pairs": len(pairs)}


def _settle(job: Job, exact: Sequence[int], near: Sequence[int]) -> list[str]:
    """Components of all pairs, cut into tasks of whole components; returns the tasks' keys."""
    none = np.empty(0, np.uint64)
    document, leader = (
        np.concatenate([none, *(load(job.folder / "matches", f"{n:06d}", part) for n in exact)])
        for part in ("document", "leader")
    )
    pairs = [load(job.folder / "pairs", f"{n:06d}", "pairs") for n in near]
    first = np.concatenate([document, *(found["first"] for found in pairs)])
    second = np.concatenate([leader, *(found["second"] for found in pairs)])
    tasks = []
    for at, groups in enumerate(cut(components(first, second), SETTLE_MEMBERS)):
        found = {"members": groups.members, "offsets": groups.offsets}
        save(job.folder / "components", f"{at:06d}", **found, leader=leaders(groups.members, document, leader))
        tasks.append(Task(f"{at:06d}", len(groups.members), {}))
    run_tasks(job, "settle", tasks, settle_components)
    return [task.key for task in tasks]


def settle_components(job: Job, task: Task) -> dict[str, Any]:
    """Some components → removals, in the order of the documents that stay."""
    folder, corpus, store = job.folder / "components", _corpus(job), SetStore(job.folder / "sets", _corpus(job).starts)
    members, offsets, leader = (np.array(load(folder, task.key, part)) for part in ("members", "offsets", "leader"))
    facts, files = np.empty(len(members), FACTS), corpus.file_of(members)
    for file in np.unique(files):
        here = files == file
        facts[here] = load(job.folder / "facts", f"{file:06d}", "facts")[members[here] - corpus.starts[file]]
    groups, length = Groups(members, offsets), facts["length"].astype(np.int64)
    copies = Copies(groups, leader, store.sizes(leader), length, facts["raw"], corpus.parts(members))
    removals = settle(copies, store, _section(job).threshold)
    save(job.folder / "removals", task.key, removals=np.sort(removals, order=("kept", "document")))
    return {"removals": len(removals)}


def name_kept(job: Job, task: Task) -> dict[str, Any]:
    """One file → for every document that goes for one of this file's, its name; by the file that the former is in."""
    corpus, file, method = _corpus(job), task.payload["file"], _section(job).method
    bounds, found = corpus.starts[file : file + 2], []
    for key in task.payload["settled"]:
        removals = load(job.folder / "removals", key, "removals")
        first, last = np.searchsorted(removals["kept"], bounds)
        found.append(removals[first:last])
    tables = [np.empty(0, np.uint8)] * len(corpus.files)
    tables[file] = pack(unpack([]))  # so that a file with nothing to remove is written too
    if sum(map(len, found)):
        removals = np.concatenate(found)
        kept = np.unique(removals["kept"])
        names = pa.concat_tables(
            batch.filter(pa.array(np.isin(documents, kept, assume_unique=True)))
            for documents, batch in corpus.rows(file, ["id", "source_id"])
        )
        files = corpus.file_of(removals["document"])
        for target in np.unique(files):
            tables[target] = pack(named(removals[files == target], kept, names, method))
    return {"pieces": spill(job.folder, f"spill/names-{task.key}.bin", tables)}


def write(job: Job, task: Task) -> dict[str, Any]:
    """One file → its documents that stay, and its duplicates."""
    corpus, file = _corpus(job), task.payload["partition"]
    gone = unpack(list(pieces(job, task, np.uint8)))
    counts = {"in": 0, "bytes_in": 0, "bytes_out": 0}
    with (
        ShardWriter(job.folder, "parts", f"{file:06d}", DOCUMENTS) as parts,
        ShardWriter(job.folder, "duplicates", f"{file:06d}", DUPLICATES) as duplicates,
    ):
        for documents, batch in corpus.rows(file):
            stays, goes = divide(documents, batch, gone)
            parts.write(stays)
            duplicates.write(goes)
            counts["in"] += len(batch)
            counts["bytes_in"] += pc.sum(pc.binary_length(batch["text"])).as_py()
            counts["bytes_out"] += pc.sum(pc.binary_length(stays["text"])).as_py() or 0
    entries = [shard.entry.to_dict() for shard in (parts, duplicates) if shard.entry]
    equal_texts = pc.sum(pc.equal(gone["method"], "exact")).as_py() or 0
    return {**counts, "exact": equal_texts, "gone": len(gone), "entries": entries}


def _outcome(job: Job, written: Sequence[dict[str, Any]]) -> Outcome:
    sums = {name: sum(one[name] for one in written) for name in ("in", "gone", "exact", "bytes_in", "bytes_out")}
    method = _section(job).method
    dropped = {"exact": sums["exact"]}
    if method != "exact":
        dropped[method] = sums["gone"] - sums["exact"]
    files = number(job.folder, [FileEntry.from_dict(entry) for one in written for entry in one["entries"]])
    counts = {"in": sums["in"], "out": sums["in"] - sums["gone"], "dropped": dropped}
    return Outcome(files, {**counts, "bytes_in": sums["bytes_in"], "bytes_out": sums["bytes_out"]})
