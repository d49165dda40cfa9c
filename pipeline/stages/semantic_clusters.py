"""The steps of semantic that make clusters: a sample of the vectors, centroids, and the members of each cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.beam.shuffle import spill, split
from pipeline.beam.task import Task
from pipeline.core.arrays import load_array, save_arrays
from pipeline.core.inputs import InputFile
from pipeline.core.job import Job
from pipeline.core.plugins import without_sources
from pipeline.core.shards import batches
from pipeline.dedupe.corpus import CorpusIndex
from pipeline.dedupe.task_types import FileRange, SpilledFiles
from pipeline.filters.annotations import files_beside
from pipeline.semantic.groups import SAMPLE_OF_CENTROID
from pipeline.semantic.kmeans import assign, find_centroids
from pipeline.semantic.records import Members, member_type, sample_order
from pipeline.semantic.section import Semantic
from pipeline.stages.passages_inputs import spill_bytes

VECTORS = "vectors"  # the kind of the artifact, and the folder in it
MOST_CLUSTERS = 4096  # beyond that clusters grow, and are divided by the tasks that compare their members
SAMPLE_BYTES = 64 << 20
SAMPLES, CENTROIDS = "sample", "centroids"


class SampledRange(TypedDict):
    """Of one file range: documents with a vector in the sample, and documents without any vector."""

    sampled: int
    without_vector: int


class RangeCount(TypedDict):
    """The payload of the step that learns centroids: the number of file ranges."""

    ranges: int


class LearnedCentroids(TypedDict):
    """The number of centroids, at least 1."""

    centroids: int


def section_of(job: Job) -> Semantic:
    """The options of the stage."""
    params = without_sources(job.params)
    return Semantic.model_validate({key: value for key, value in params.items() if key != "seed"})


def cluster_count(job: Job, documents: int) -> int:
    """The number of clusters; it follows from the corpus alone."""
    return min(max(1, -(-documents // section_of(job).cluster_size)), MOST_CLUSTERS)


def sample_vectors(job: Job, task: Task[FileRange]) -> SampledRange:
    """A file range → its share of the sample: documents whose hash is small."""
    corpus = CorpusIndex.load(job.draft)
    width = vector_width(job)
    most = min(SAMPLE_OF_CENTROID * task.payload["count"], SAMPLE_BYTES // (2 * width))
    share = np.uint64(min(most / max(1, len(corpus)), 1.0) * (2**64 - 2**12))
    parts, without = [np.empty(0, member_type(width))], 0
    for members, rows in range_members(job, corpus, task.payload["file_range"]):
        parts.append(members[sample_order(members["document"], job.identity.seed) <= share])
        without += rows - len(members)
    sample = np.concatenate(parts)
    save_arrays(job.folder / SAMPLES, task.key, document=sample["document"], vector=sample["vector"])
    return {"sampled": len(sample), "without_vector": without}


def learn_centroids(job: Job, task: Task[RangeCount]) -> LearnedCentroids:
    """The samples of all file ranges → the centroids. A task of its own, so that its memory is a worker's."""
    ranges = range(task.payload["ranges"])
    documents, vectors = (
        np.concatenate([np.empty(shape, dtype), *(load_array(job.draft, f"{SAMPLES}/{n:06d}", name) for n in ranges)])
        for name, shape, dtype in (
            ("document", (0,), np.uint64), ("vector", (0, vector_width(job)), np.int16),
        )
    )  # fmt: skip
    vectors = vectors[np.argsort(sample_order(documents, job.identity.seed), kind="stable")]
    centroids = find_centroids(vectors, cluster_count(job, len(CorpusIndex.load(job.draft))))
    if not len(centroids):
        centroids = np.zeros((1, vectors.shape[1]), np.int16)
    save_arrays(job.folder, CENTROIDS, vector=centroids)
    return {"centroids": len(centroids)}


def assign_members(job: Job, task: Task[FileRange]) -> SpilledFiles:
    """A file range → its documents by cluster: row, length of the text, and vector."""
    corpus, centroids = CorpusIndex.load(job.draft), np.array(load_array(job.draft, CENTROIDS, "vector"))
    waiting, spills, size = list[Members](), list[str](), 0

    def flush() -> None:
        members = np.concatenate([np.empty(0, member_type(centroids.shape[1])), *waiting])
        labels, _ = assign(members["vector"], centroids)
        parts = split(members, labels.astype(np.uint16), len(centroids))
        spills.extend(spill(job.folder, f"spill/members-{task.key}-{len(spills):06d}.bin", parts))
        waiting.clear()

    for members, _ in range_members(job, corpus, task.payload["file_range"]):
        waiting.append(members)
        size += members.nbytes
        if size >= spill_bytes(len(centroids)):
            flush()
            size = 0
    flush()
    return {"spills": spills}


def vector_files(job: Job) -> list[InputFile]:
    """For each file of documents, in the order of the corpus, its file of vectors."""
    return [files[0] for files in files_beside(job.inputs, VECTORS, f"{VECTORS}/")]


def vector_width(job: Job) -> int:
    """The width of the vectors, from the footer of the first file; 1 where there is none."""
    files = vector_files(job)
    return int(pq.read_schema(job.inputs.local(files[0])).field("vector").type.list_size) if files else 1


def range_members(job: Job, corpus: CorpusIndex, file_range: int) -> Iterator[tuple[Members, int]]:
    """The documents of a file range that have a vector, a row group at a time, and how many documents it has."""
    files = vector_files(job)
    for file in corpus.files_of(file_range):
        start = int(corpus.starts[file])
        for table in batches(job.inputs.local(files[file]), ["bytes", "vector"]):
            yield _members(table, start), table.num_rows
            start += table.num_rows


def _members(table: pa.Table, start: int) -> Members:
    """The rows of a file of vectors that have one: a vector of zeros is none."""
    column = table["vector"].combine_chunks()
    vectors = column.flatten().to_numpy().reshape(table.num_rows, column.type.list_size)
    known = vectors.any(axis=1)
    members = np.empty(int(known.sum()), member_type(vectors.shape[1]))
    members["document"] = np.arange(start, start + table.num_rows, dtype=np.uint64)[known]
    members["length"] = np.minimum(table["bytes"].to_numpy()[known], 2**32 - 1)
    members["vector"] = vectors[known]
    return members
