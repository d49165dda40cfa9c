"""The steps of dedupe after pairs are known: which copy stays, the ids of those that stay, and the files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.beam.run import run_tasks
from pipeline.beam.shuffle import Partition, read_segments, spill
from pipeline.beam.task import Task
from pipeline.core.arrays import load_array, save_arrays
from pipeline.core.job import Job
from pipeline.core.records import DOCUMENTS, DUPLICATES
from pipeline.core.shards import ShardWriter
from pipeline.dedupe.components import Copies, Leaders, connected_components, select_survivors, split_components
from pipeline.dedupe.corpus import CorpusIndex, group_by_label, read_rows
from pipeline.dedupe.groups import Groups
from pipeline.dedupe.removals import (
    REMOVAL,
    Removals,
    split_removed,
    table_to_bytes,
    tables_from_bytes,
    with_names,
)
from pipeline.dedupe.task_types import (
    ComponentRange,
    ConnectedDocuments,
    FileRange,
    ItemCount,
    MatchedPartitions,
    SpilledFiles,
    WrittenFiles,
)
from pipeline.stages.dedupe_inputs import TEXT_FACTS, listed_documents, range_rows, section_of, set_store
from pipeline.stages.dedupe_pairs import MATCHES

TASK_MEMBERS = 1 << 17
COMPONENTS = "components"


def choose_survivors(job: Job, exact: Sequence[int], near: Sequence[int]) -> int:
    """Connect all pairs of the partitions `exact` and `near`, and choose in each component which documents stay.

    Returns the number of files of removals.
    """
    partitions = MatchedPartitions(exact=list(exact), near=list(near))
    (connected,) = run_tasks(job, "connect", [Task("all", 1, partitions)], connect)
    tasks = [
        Task(f"{at:06d}", members, ComponentRange(sets=bool(near))) for at, members in enumerate(connected["members"])
    ]
    run_tasks(job, "survivors", tasks, find_removals)
    return len(tasks)


def connect(job: Job, task: Task[MatchedPartitions]) -> ConnectedDocuments:
    """All pairs → components, in files of about TASK_MEMBERS documents.

    A task of its own, so that its memory (about 100 bytes for each document that has a copy) is a worker's.
    """
    none = np.empty(0, np.uint64)
    document, leader = (
        np.concatenate([none, *(load_array(job.draft, f"{MATCHES}/{n:06d}", part) for n in task.payload["exact"])])
        for part in ("document", "leader")
    )
    pairs = [load_array(job.draft, f"pairs/{n:06d}", "pairs") for n in task.payload["near"]]
    first = np.concatenate([document, *(part["first"] for part in pairs)])
    second = np.concatenate([leader, *(part["second"] for part in pairs)])
    leaders = Leaders(document, leader)
    members = []
    for at, groups in enumerate(split_components(connected_components(first, second), TASK_MEMBERS)):
        save_arrays(
            job.folder / COMPONENTS, f"{at:06d}", members=groups.members, offsets=groups.offsets,
            leader=leaders.lookup(groups.members),
        )  # fmt: skip
        members.append(len(groups.members))
    return {"members": members}


def find_removals(job: Job, task: Task[ComponentRange]) -> ItemCount:
    """Some components → their removals, in the order of the documents that stay."""
    corpus = CorpusIndex.load(job.draft)
    members, offsets, leader = (
        np.array(load_array(job.draft, f"{COMPONENTS}/{task.key}", part)) for part in ("members", "offsets", "leader")
    )
    facts = np.empty(len(members), TEXT_FACTS)
    for file_range, rows in group_by_label(corpus.range_of(members)):
        range_facts = load_array(job.draft, f"facts/{file_range:06d}", "facts")
        facts[rows] = range_facts[members[rows] - corpus.range_starts[file_range]]
    store = set_store(job, written=task.payload["sets"])
    copies = Copies(
        groups=Groups(members, offsets), leader=leader, size=store.sizes(leader),
        length=facts["length"].astype(np.int64), raw=facts["raw"], identity=facts["identity"],
        part=corpus.part_of(members),
    )  # fmt: skip
    removals = select_survivors(copies, store, section_of(job).threshold)
    save_arrays(job.folder / "removals", task.key, removals=np.sort(removals, order=("kept", "document")))
    return {"amount": len(removals)}


def name_kept(job: Job, task: Task[FileRange]) -> SpilledFiles:
    """A file range → the removals whose surviving copy lies in it, with that copy's ids, by the removed one's range."""
    corpus, file_range = CorpusIndex.load(job.draft), task.payload["file_range"]
    bounds = corpus.range_starts[file_range : file_range + 2]
    shares = []
    for at in range(task.payload["count"]):
        removals = load_array(job.draft, f"removals/{at:06d}", "removals")
        first, last = np.searchsorted(removals["kept"], bounds)
        shares.append(removals[first:last])
    return spill_names(job, file_range, np.concatenate([np.empty(0, REMOVAL), *shares]), section_of(job).method)


def spill_names(job: Job, file_range: int, removals: Removals, method: str) -> SpilledFiles:
    """Removals whose surviving copy lies in a file range → with that copy's ids, by the removed one's range."""
    if not len(removals):
        return {"spills": []}
    corpus = CorpusIndex.load(job.draft)
    kept = np.unique(removals["kept"])
    names = pa.concat_tables(
        batch.filter(pa.array(np.isin(documents, kept, assume_unique=True)))
        for documents, batch in range_rows(job, corpus, file_range, ["id", "source_id"])
    )
    tables = [np.empty(0, np.uint8)] * corpus.file_ranges
    for target, rows in group_by_label(corpus.range_of(removals["document"])):
        tables[target] = table_to_bytes(with_names(removals[rows], kept, names, method))
    return {"spills": spill(job.folder, f"spill/names-{file_range:06d}.bin", tables)}


def write(job: Job, task: Task[Partition]) -> WrittenFiles:
    """A file range → its remaining documents and its duplicates, one output file of each per input file."""
    corpus, files = CorpusIndex.load(job.draft), listed_documents(job)
    removals = tables_from_bytes(list(read_segments(job, task, np.uint8)))
    removed = removals["document"].to_numpy()
    counts: WrittenFiles = {"documents": 0, "bytes_in": 0, "bytes_out": 0, "removed": {}, "entries": []}
    for file in corpus.files_of(task.payload["partition"]):
        with (
            ShardWriter(job.folder, "parts", f"{file:06d}", DOCUMENTS) as parts,
            ShardWriter(job.folder, "duplicates", f"{file:06d}", DUPLICATES) as duplicates,
        ):
            for documents, batch in read_rows(job.inputs.local(files[file]), int(corpus.starts[file])):
                remaining, duplicate_rows = split_removed(documents, batch, removals, removed)
                parts.write(remaining)
                duplicates.write(duplicate_rows, dropped_from=batch)
                counts["documents"] += len(batch)
                counts["bytes_in"] += pc.sum(pc.binary_length(batch["text"])).as_py()
                counts["bytes_out"] += pc.sum(pc.binary_length(remaining["text"])).as_py() or 0
        counts["entries"] += [shard.entry.to_dict() for shard in (parts, duplicates) if shard.entry]
    counts["removed"] = {row["values"]: row["counts"] for row in pc.value_counts(removals["method"]).to_pylist()}
    return counts
