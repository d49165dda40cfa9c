"""passages: documents → the same documents without passages that stand in the corpus several times; the first stays.

    keys     a file range 128 bits of every passage that a finder looks at      → a record per key and spill
    match    a partition  keys with enough copies, and the copy that stays      → keys by file range
    name     a file range ids of the documents that keep a copy                 → ids by file range
    write    a file range parts/, rejected/ (too little is left), removed/ (every passage, with the copy that stays)
    samples  once         samples/: a few of them, with the text around both copies

Positions are bytes of the text that the stage reads; all finders see that text, and what any of them finds goes. The
driver holds a few bytes per file and per partition; a worker a batch of two megabytes, a partition, and the repeated
keys of a file range. Speed: pipeline/passages/README.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pipeline.beam.run import run_tasks
from pipeline.beam.shuffle import list_spills, run_shuffle
from pipeline.beam.task import Task
from pipeline.core.counts import StageCounts, summed
from pipeline.core.draft import sharing
from pipeline.core.job import Job, StageOutput
from pipeline.core.shards import FileEntry, number
from pipeline.dedupe.corpus import CorpusIndex
from pipeline.passages.base import PassageFinder
from pipeline.stages import passages_substrings
from pipeline.stages.dedupe_inputs import file_range_tasks
from pipeline.stages.passages_inputs import RangePartition, SearchResult, finders_of, partition_count, section_of
from pipeline.stages.passages_keys import block_count, find_keys, match, name_kept, spill_files
from pipeline.stages.passages_remove import RULE
from pipeline.stages.passages_write import SampleList, WrittenRange, quote_samples, smallest_samples, write

Search = Callable[[Job, CorpusIndex, int], SearchResult]
"""(job, corpus, index of the finder): runs the steps of a finder that has its own."""

SEARCHES: Mapping[str, Search] = {passages_substrings.NAME: passages_substrings.search}


def run(job: Job) -> StageOutput:
    """Find repeated passages, cut them out, and write what was removed."""
    corpus = CorpusIndex.of(job.inputs.all("documents"))
    with sharing(job.draft, job.folder, "corpus"):
        corpus.save(job.folder)
    finders, count = finders_of(job), partition_count(job)
    has_keys = any(type(finder).keys is not PassageFinder.keys for finder in finders)
    keys = run_tasks(job, "keys", file_range_tasks(job, corpus, count), find_keys) if has_keys else []
    matched = run_shuffle(job, "match", spill_files(keys), match, partitions=count * block_count(finders))
    searched = [
        SEARCHES[component.name](job, corpus, kind)
        for kind, component in enumerate(section_of(job).finders)
        if component.name in SEARCHES
    ]
    requests = [file for result in matched for file in result["requests"]] + [
        f for own in searched for f in own.requests
    ]
    named = run_shuffle(job, "name", requests, name_kept, partitions=corpus.file_ranges)
    repeats = list_spills(job, "repeats", [file for result in matched for file in result["repeats"]])
    removals = list_spills(job, "removals", [file for own in searched for file in own.removals])
    names = list_spills(job, "names", spill_files(named))
    tasks = [
        Task(
            task.key, task.size,
            RangePartition(partition=task.payload["file_range"], spills=repeats, removals=removals, names=names),
        )
        for task in file_range_tasks(job, corpus, count)
    ]  # fmt: skip
    return _output(job, run_tasks(job, "write", tasks, write))


def _output(job: Job, written: Sequence[WrittenRange]) -> StageOutput:
    entries = [entry for result in written for entry in result["entries"]]
    samples = smallest_samples([sample for result in written for sample in result["samples"]])
    if samples:
        tasks = [Task("all", len(samples), SampleList(samples=samples))]
        entries += [entry for result in run_tasks(job, "samples", tasks, quote_samples) for entry in result["entries"]]
    files = number(job.draft, [FileEntry.from_dict(entry) for entry in entries])
    kept, dropped = np.sum([[0, 0], *(result["rows"] for result in written)], axis=0).tolist()
    before, after = np.sum([[0, 0], *(result["text_bytes"] for result in written)], axis=0).tolist()
    counts: StageCounts = {
        "in": kept + dropped, "out": kept, "dropped": {RULE: dropped} if dropped else {},
        "passages": {
            component.name: {
                key: sum(result["removed"][component.name][key] for result in written)
                for key in ("passages", "documents", "characters")
            }
            for component in section_of(job).finders
        },
        "passage_sources": summed(result["sources"] for result in written),
        "changed": {"passages": sum(result["changed"] for result in written)},
        "text_bytes_in": before, "text_bytes": after,
    }  # fmt: skip
    return StageOutput(files, counts)
