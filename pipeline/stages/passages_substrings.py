"""The steps of the finder `substrings`: exact repeats of text over a corpus that does not fit into memory.

    anchors   a file range: some grams of its text, one in ten words             → ANCHOR records by hash
    repeated  a partition   the anchors that occur twice                         → hashes by file range
    windows   a file range: windows of text around repeated anchors, in blocks   → WINDOW records by hash
    equal     a partition   windows that are equal, and the first of each        → WINDOW_REPEAT records by block
    pieces    a block       the text that repeats cover                          → removals by file range

The functions over records are in `pipeline.passages.windows`. The text is read twice. What crosses a shuffle is about a
fifth of the text, and 36 bytes for each word or character of text that does repeat. A worker holds a batch of text, the
repeated anchors of its file range, and a block or a partition; the driver a few bytes for each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from pipeline.beam.run import run_tasks
from pipeline.beam.shuffle import Partition, read_partition, run_shuffle, spill, split
from pipeline.beam.task import Task
from pipeline.core.arrays import Array, load_array, save_arrays
from pipeline.core.draft import sharing
from pipeline.core.job import Job
from pipeline.dedupe.corpus import CorpusIndex
from pipeline.dedupe.task_types import FileRange, SpilledFiles
from pipeline.kernels.substrings import WindowSizes
from pipeline.passages.records import name_requests
from pipeline.passages.substrings import RepeatedSubstrings
from pipeline.passages.windows import (
    ANCHOR,
    WINDOW,
    WINDOW_REPEAT,
    anchors_of,
    as_removals,
    equal_windows,
    hash_table,
    make_anchors,
    pieces,
    repeated_anchors,
    resolve,
    split_block,
    windows_of,
)
from pipeline.stages.dedupe_inputs import file_range_tasks
from pipeline.stages.passages_inputs import (
    SearchResult,
    finders_of,
    partition_count,
    partitions_for,
    range_batches,
    section_of,
    spill_bytes,
)
from pipeline.stages.passages_keys import spill_files

NAME = "substrings"
BLOCK_BYTES = 16 << 20  # of windows; memory is about six times this. A document is never divided among blocks
WINDOWS_BYTES = 20 * WINDOW.itemsize  # for each repeated anchor: 10 windows in English, 22 in Chinese
BLOCKS = f"{NAME}/blocks"


class SelectedAnchors(TypedDict):
    """The result of a partition: its repeated anchors by file range, and how many there are, counted in each."""

    spills: list[str]
    anchors: int


class FoundBlocks(TypedDict):
    """The result of a file range: the spilled windows, and the first document of each of its blocks."""

    spills: list[str]
    blocks: list[int]


class FoundPieces(TypedDict):
    """The result of a block: removals by file range, and the documents that keep a copy by file range."""

    removals: list[str]
    requests: list[str]


def search(job: Job, corpus: CorpusIndex, kind: int) -> SearchResult:
    """Find exact repeats. `kind`: the index of the finder."""
    count = partition_count(job)
    anchors = run_tasks(job, f"{NAME}-anchors", file_range_tasks(job, corpus, count), find_anchors)
    repeated = run_shuffle(job, f"{NAME}-repeated", spill_files(anchors), select_repeated, partitions=count)
    count = partitions_for(WINDOWS_BYTES * sum(result["anchors"] for result in repeated))
    with sharing(job.draft, job.folder, f"{NAME}-count"):
        save_arrays(job.folder / NAME, "partitions", count=np.array([count]))
    spills = [file for result in repeated for file in result["spills"]]
    windows = run_shuffle(job, f"{NAME}-windows", spills, find_windows, partitions=corpus.file_ranges)
    spills = [file for result in windows for file in result["spills"]]
    blocks = _number_blocks(job, windows)
    equal = run_shuffle(job, f"{NAME}-equal", spills, compare_windows, partitions=count)
    covered = run_shuffle(job, f"{NAME}-pieces", spill_files(equal), find_pieces, partitions=blocks)
    return SearchResult(
        [file for result in covered for file in result["removals"]],
        [file for result in covered for file in result["requests"]],
    )


def _number_blocks(job: Job, windows: Sequence[FoundBlocks]) -> int:
    """Number the blocks of all file ranges, for the steps that follow. Returns how many there are."""
    first = np.array([document for result in windows for document in result["blocks"]], np.uint64)
    place = [(number, at) for number, result in enumerate(windows) for at in range(len(result["blocks"]))]
    with sharing(job.draft, job.folder, f"{NAME}-blocks"):
        save_arrays(job.folder / NAME, "blocks", first=first, place=np.array(place, np.int64).reshape(-1, 2))
    return len(first)


def find_anchors(job: Job, task: Task[FileRange]) -> SpilledFiles:
    """A file range → its anchors, each once for every few megabytes."""
    corpus, sizes, count = CorpusIndex.load(job.draft), _sizes(job), task.payload["count"]
    file_range, hashes, spills = task.payload["file_range"], list[Array](), list[str]()

    def flush() -> None:
        records = make_anchors(np.concatenate([np.empty(0, np.uint64), *hashes]), file_range)
        file = f"spill/{NAME}-anchors-{task.key}-{len(spills):06d}.bin"
        spills.extend(spill(job.folder, file, _by_hash(records, records["hash"], count)))
        hashes.clear()

    for _, batch in range_batches(job, corpus, file_range):
        hashes.append(anchors_of(batch, sizes))
        if sum(map(len, hashes)) * ANCHOR.itemsize >= spill_bytes(count):
            flush()
    flush()
    return {"spills": spills}


def select_repeated(job: Job, task: Task[Partition]) -> SelectedAnchors:
    """A partition → its anchors that occur twice, for each file range that has them."""
    corpus, partition = CorpusIndex.load(job.draft), task.payload["partition"]
    repeated = repeated_anchors(read_partition(job, task, ANCHOR))
    hashes = split(repeated["hash"], repeated["file_range"].astype(np.uint16), corpus.file_ranges)
    return {
        "spills": spill(job.folder, f"spill/{NAME}-repeated-{partition:06d}.bin", hashes),
        "anchors": len(repeated),
    }


def find_windows(job: Job, task: Task[Partition]) -> FoundBlocks:
    """A file range → its windows around repeated anchors: of each block the first of equal ones is spilled."""
    corpus, sizes, file_range = CorpusIndex.load(job.draft), _sizes(job), task.payload["partition"]
    count = int(load_array(job.draft, f"{NAME}/partitions", "count")[0])
    table = hash_table(read_partition(job, task, np.uint64))
    result: FoundBlocks = {"spills": [], "blocks": []}
    windows: list[Array] = []

    def flush() -> None:
        block = split_block(np.concatenate(windows))
        at = len(result["blocks"])
        save_arrays(job.folder / NAME, f"{file_range:06d}-{at:06d}", repeats=block.repeats)
        # the order of names is that of the corpus
        file = f"spill/{NAME}-windows-{file_range:06d}-{at:06d}.bin"
        result["spills"] += spill(job.folder, file, _by_hash(block.first, block.first["a"], count))
        result["blocks"].append(int(block.first["document"][0]))
        windows.clear()

    for first_row, batch in range_batches(job, corpus, file_range) if table.any() else ():
        records = windows_of(batch, first_row, sizes, table)
        if len(records):
            windows.append(records)
        if sum(map(len, windows)) * WINDOW.itemsize >= BLOCK_BYTES:
            flush()
    if windows:
        flush()
    return result


def compare_windows(job: Job, task: Task[Partition]) -> SpilledFiles:
    """A partition → the first window of a block that has an equal one anywhere, with the first in the corpus."""
    first, partition = load_array(job.draft, BLOCKS, "first"), task.payload["partition"]
    repeats = equal_windows(read_partition(job, task, WINDOW))
    block = np.searchsorted(first, repeats["document"], side="right") - 1
    return {"spills": spill(job.folder, f"spill/{NAME}-equal-{partition:06d}.bin", split(repeats, block, len(first)))}


def find_pieces(job: Job, task: Task[Partition]) -> FoundPieces:
    """A block → the text that its repeats cover, and the documents that keep it."""
    corpus, partition = CorpusIndex.load(job.draft), task.payload["partition"]
    file_range, at = load_array(job.draft, BLOCKS, "place")[partition].tolist()
    within = load_array(job.draft, f"{NAME}/{file_range:06d}-{at:06d}", "repeats")
    covering = pieces(resolve(within, read_partition(job, task, WINDOW_REPEAT)))
    kind = [component.name for component in section_of(job).finders].index(NAME)
    ranges = np.full(len(covering), file_range)
    requests = name_requests(covering["kept"], ranges)
    keeping = corpus.range_of(requests["document"])
    name = f"{file_range:06d}-{at:06d}.bin"
    return {
        "removals": _by_range(job, corpus, f"spill/{NAME}-removals-{name}", as_removals(covering, kind), ranges),
        "requests": _by_range(job, corpus, f"spill/{NAME}-requests-{name}", requests, keeping),
    }


def _sizes(job: Job) -> WindowSizes:
    """The weights that the options name."""
    return next(finder.sizes for finder in finders_of(job) if isinstance(finder, RepeatedSubstrings))


def _by_hash(records: Array, hashes: Array, count: int) -> list[Array]:
    """Records by the first bits of their hash, in `count` partitions (a power of two)."""
    return split(records, (hashes >> np.uint64(65 - count.bit_length())).astype(np.uint16), count)


def _by_range(job: Job, corpus: CorpusIndex, file: str, records: Array, ranges: Array) -> list[str]:
    return spill(job.folder, file, split(records, ranges.astype(np.uint16), corpus.file_ranges))
