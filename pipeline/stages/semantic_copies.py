"""The steps of semantic that decide: the copies within each cluster, and the ids of the documents that stay."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from pipeline.beam.shuffle import Partition, read_partition, read_segments, segments, spill, split
from pipeline.beam.task import Task
from pipeline.core.arrays import load_array
from pipeline.core.job import Job
from pipeline.dedupe.corpus import CorpusIndex
from pipeline.dedupe.removals import REMOVAL, Removals
from pipeline.dedupe.task_types import SpilledFiles
from pipeline.semantic.copies import METHOD, GroupCopies, find_copies
from pipeline.semantic.groups import Divider
from pipeline.semantic.records import member_type
from pipeline.stages.dedupe_survivors import spill_names
from pipeline.stages.semantic_clusters import CENTROIDS, section_of


class ComparedCluster(TypedDict):
    """Of one cluster: spilled removals, members, groups it was divided into, pairs compared, and its copies by the
    cosine, rounded down to 0.01."""

    spills: list[str]
    members: int
    groups: int
    pairs: int
    similarities: dict[str, int]


def compare(job: Job, task: Task[Partition]) -> ComparedCluster:
    """A cluster → its copies, by the file range of the document that stays."""
    corpus, section = CorpusIndex.load(job.draft), section_of(job)
    dtype = member_type(load_array(job.draft, CENTROIDS, "vector").shape[1])
    count = sum(place.length for place in segments(job, task)) // dtype.itemsize
    (job.folder / "spill").mkdir(parents=True, exist_ok=True)
    divider = Divider(section.cluster_size, job.identity.seed, job.folder / "spill")
    groups = pairs = 0
    removals: list[Removals] = [np.empty(0, REMOVAL)]
    for members in divider.groups(lambda: read_segments(job, task, dtype), count):
        parts = corpus.part_of(members["document"])
        copies = find_copies(members, parts, threshold=section.threshold, keep=section.keep)
        removals.append(_removals(copies))
        groups, pairs = groups + 1, pairs + copies.compared
    every = np.concatenate(removals)
    every = every[np.argsort(every["document"])]
    by_range = split(every, corpus.range_of(every["kept"]).astype(np.uint16), corpus.file_ranges)
    bands, numbers = np.unique(np.floor(every["similarity"] * 100).astype(np.int64), return_counts=True)
    return {
        "spills": spill(job.folder, f"spill/removals-{task.key}.bin", by_range),
        "members": count, "groups": groups, "pairs": pairs,
        "similarities": {f"{band / 100:.2f}": int(n) for band, n in zip(bands, numbers, strict=True)},
    }  # fmt: skip


def name_kept(job: Job, task: Task[Partition]) -> SpilledFiles:
    """The removals whose surviving document lies in a file range → with its ids, by the removed one's range."""
    removals = read_partition(job, task, REMOVAL)
    return spill_names(job, task.payload["partition"], removals, METHOD)


def _removals(copies: GroupCopies) -> Removals:
    removals: Removals = np.zeros(len(copies.documents), REMOVAL)
    removals["document"], removals["kept"] = copies.documents, copies.kept
    removals["similarity"] = copies.similarity
    return removals
