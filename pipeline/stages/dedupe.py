"""dedupe: documents → the remaining documents in parts/, and in duplicates/ each removed one with the copy that stays.

The stage has eight steps. Text is read in three of them, one row group at a time, and never leaves its file. A shuffle
moves 24-byte records (a hash and a document's row number), and in the last step the ids of the copies that stay:

    keys      a file range of each text 128 bits and one hash per band                  → records by partition
    match     a partition  documents with equal keys; buckets that share a band hash
    sets      a file range the shingle sets of the candidates
    verify    a partition  pairs of a bucket with a true Jaccard index ≥ threshold
    connect   all pairs    the components of documents that are alike, in one task
    survivors components   the document that stays in each                              → removals
    name      a file range ids of the documents that stay                               → removals by file range
    write     a file range parts/ and duplicates/

Documents are identified by their row in the corpus. A file range is one file, or several where there are more than
1,024 files. The driver holds a few bytes per file and per partition; a worker holds a row group and a partition, and
the one that connects pairs about 100 bytes per document that has a copy. About 29 MB of text a CPU-second (README).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.beam.run import run_tasks
from pipeline.beam.shuffle import run_shuffle
from pipeline.beam.task import Task
from pipeline.core.counts import StageCounts
from pipeline.core.draft import sharing
from pipeline.core.job import Job, StageOutput
from pipeline.core.shards import FileEntry, number
from pipeline.dedupe.corpus import CorpusIndex
from pipeline.dedupe.removals import EXACT, NORMALIZED
from pipeline.dedupe.task_types import BucketPartition, SpilledFiles, WrittenFiles
from pipeline.stages.dedupe_inputs import file_range_tasks, section_of
from pipeline.stages.dedupe_pairs import find_keys, match, partition_count, store_sets, verify
from pipeline.stages.dedupe_survivors import choose_survivors, name_kept, write


def run(job: Job) -> StageOutput:
    """Find copies, choose which of them stay, and write the remaining documents."""
    corpus = CorpusIndex.of(job.inputs.all("documents"))
    with sharing(job.draft, job.folder, "corpus"):
        corpus.save(job.folder)
    partitions = partition_count(len(corpus), section_of(job).bands)
    keys = run_tasks(job, "keys", file_range_tasks(job, corpus, partitions), find_keys)
    matches = run_shuffle(job, "match", _spills(keys), match, partitions=2 * partitions)
    near = [partition for partition, counts in enumerate(matches) if counts["candidates"]]
    if near:
        run_tasks(job, "sets", file_range_tasks(job, corpus, partitions), store_sets)
        buckets = [Task(f"{n:06d}", matches[n]["candidates"], BucketPartition(partition=n)) for n in near]
        run_tasks(job, "verify", buckets, verify)
    exact = [partition for partition, counts in enumerate(matches) if counts["equal"]]
    removal_files = choose_survivors(job, exact, near)
    names = run_tasks(job, "name", file_range_tasks(job, corpus, removal_files), name_kept)
    written = run_shuffle(job, "write", _spills(names), write, partitions=corpus.file_ranges)
    return _output(job, written)


def _spills(results: Sequence[SpilledFiles]) -> Iterator[str]:
    return (file for result in results for file in result["spills"])


def _output(job: Job, written: Sequence[WrittenFiles]) -> StageOutput:
    method = section_of(job).method
    names = dict.fromkeys([EXACT] if method == EXACT else [EXACT, NORMALIZED, method])
    dropped = {name: sum(result["removed"].get(name, 0) for result in written) for name in names}
    documents, bytes_in, bytes_out = (
        sum(result[name] for result in written) for name in ("documents", "bytes_in", "bytes_out")
    )
    files = number(job.draft, [FileEntry.from_dict(entry) for result in written for entry in result["entries"]])
    counts: StageCounts = {"in": documents, "out": documents - sum(dropped.values()), "dropped": dropped}
    return StageOutput(files, counts | StageCounts(bytes_in=bytes_in, bytes_out=bytes_out))
