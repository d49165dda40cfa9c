"""semantic: documents and their vectors → the documents without semantic copies, and duplicates/ as in dedupe.

    sample     a file range the vectors that k-means learns from                → arrays
    centroids  once         k-means                                             → the centroids
    assign     a file range each vector to its nearest centroid                 → members by cluster
    compare    a cluster    all pairs of a cluster, or of its parts             → removals by file range
    name       a file range ids of the documents that stay                      → removals by file range
    write      a file range parts/ and duplicates/

A document is in one cluster, so its cluster alone decides about it, and work grows with the size of the corpus ×
`cluster_size`, not with its square. The driver holds a few bytes per file and per cluster; a worker a row group and
64 MiB of a cluster, whatever its size; the step `centroids` 64 MiB of vectors and the centroids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline.beam.run import run_tasks
from pipeline.beam.shuffle import run_shuffle
from pipeline.beam.task import Task
from pipeline.core.counts import StageCounts
from pipeline.core.draft import sharing
from pipeline.core.job import Job, StageOutput
from pipeline.core.shards import FileEntry, number
from pipeline.dedupe.corpus import CorpusIndex
from pipeline.dedupe.task_types import SpilledFiles, WrittenFiles
from pipeline.semantic.copies import METHOD
from pipeline.stages.dedupe_inputs import file_range_tasks
from pipeline.stages.dedupe_survivors import write
from pipeline.stages.semantic_clusters import RangeCount, assign_members, cluster_count, learn_centroids, sample_vectors
from pipeline.stages.semantic_copies import ComparedCluster, compare, name_kept


def run(job: Job) -> StageOutput:
    """Cluster the vectors, find copies within clusters, and write the remaining documents."""
    corpus = CorpusIndex.of(job.inputs.all("documents"))
    with sharing(job.draft, job.folder, "corpus"):
        corpus.save(job.folder)
    clusters = cluster_count(job, len(corpus))
    sampled = run_tasks(job, "sample", file_range_tasks(job, corpus, clusters), sample_vectors)
    learned = run_tasks(job, "centroids", [Task("all", 1, RangeCount(ranges=corpus.file_ranges))], learn_centroids)
    assigned = run_tasks(job, "assign", file_range_tasks(job, corpus, clusters), assign_members)
    compared = run_shuffle(job, "compare", _spills(assigned), compare, partitions=learned[0]["centroids"])
    named = run_shuffle(job, "name", _spills(compared), name_kept, partitions=corpus.file_ranges)
    written = run_shuffle(job, "write", _spills(named), write, partitions=corpus.file_ranges)
    return _output(job, written, compared, without_vector=sum(result["without_vector"] for result in sampled))


def _spills(results: Sequence[SpilledFiles]) -> Iterator[str]:
    return (file for result in results for file in result["spills"])


def _output(
    job: Job, written: Sequence[WrittenFiles], compared: Sequence[ComparedCluster], *, without_vector: int
) -> StageOutput:
    documents, bytes_in, bytes_out = (
        sum(result[name] for result in written) for name in ("documents", "bytes_in", "bytes_out")
    )
    dropped = sum(result["removed"].get(METHOD, 0) for result in written)
    files = number(job.draft, [FileEntry.from_dict(entry) for result in written for entry in result["entries"]])
    counts: StageCounts = {
        "in": documents, "out": documents - dropped, "dropped": {METHOD: dropped}, "bytes_in": bytes_in,
        "bytes_out": bytes_out,
        "clusters": {
            "clusters": sum(result["members"] > 0 for result in compared),
            "largest": max((result["members"] for result in compared), default=0),
            "divided": sum(result["groups"] > 1 for result in compared),
            "pairs": sum(result["pairs"] for result in compared),
            "without_vector": without_vector,
        },
        "copies_by_similarity": _summed([result["similarities"] for result in compared]),
    }  # fmt: skip
    return StageOutput(files, counts)


def _summed(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for name, n in count.items():
            total[name] = total.get(name, 0) + n
    return dict(sorted(total.items()))
