"""count: rows of tokens → co-occurrence counts in parts/: word, context, count, sorted by word and context.

Three steps over the training rows:

    words    a file       tokens as a flat array, and their counts
    runs     a range      weighted pairs of words, in sorted runs
    merge    a part       the runs of a range of words, added up                       → one file of parts/

Sums are integers until the last division, so the order of work cannot change a bit. A shuffle moves file names only.
Memory: 128 MiB per worker for pairs, 100 MiB for merging, and two 8-byte numbers per word. About 3 million tokens a
CPU-second at window 10 (pipeline/counts/README.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, reduce
from pathlib import Path
from typing import TypedDict

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.beam.run import run_tasks
from pipeline.beam.shuffle import Partition, run_shuffle, segments
from pipeline.beam.task import Task
from pipeline.core.arrays import load_array, save_arrays
from pipeline.core.counts import StageCounts
from pipeline.core.draft import Draft, sharing
from pipeline.core.errors import StageFailed
from pipeline.core.job import Job, StageOutput
from pipeline.core.shards import EntryFields, FileEntry, ShardWriter, number
from pipeline.counts.merging import RunReader, merge_runs, write_run
from pipeline.counts.runs import KeySums, sorted_runs
from pipeline.counts.section import Count
from pipeline.counts.stream import TokenStream, write_tokens
from pipeline.counts.vocabulary import CountedWords, select_words
from pipeline.counts.weights import LIMIT, largest_sum, weight_scale
from pipeline.tokenizers.reference_encoder import load
from pipeline.tokenizers.special_tokens import END_OF_SENTENCE

COUNTS = pa.schema([("word", pa.int32()), ("context", pa.int32()), ("count", pa.float64())])

# tokens per task, and the least number of tasks; neither changes a bit of the table
TASK_TOKENS, TASKS = 1 << 22, 4
# a row group of the table
GROUP_CELLS = 1 << 20
WORDS, FLAT = "words", "flat"


class TokenFile(TypedDict):
    """The payload of a task over a file of rows."""

    path: str


class NoResult(TypedDict):
    """The result of a task that leaves only files."""


class TokenRange(TypedDict):
    """The payload of a task over the tokens [first, last)."""

    first: int
    last: int


class PairRuns(TypedDict):
    """The files of runs of a token range, the sum of their weights, and the number of counted words."""

    spills: list[str]
    sum: int
    words: int


class MergedPart(TypedDict):
    """A part of the table: its file, unless it is empty, and the sum of its weights."""

    entry: EntryFields | None
    sum: int


def run(job: Job) -> StageOutput:
    """Count the words, count the pairs, merge the runs into the table."""
    files = _files(job)
    run_tasks(job, "words", files, count_words)
    words = _vocabulary(job, reduce(np.add, (load_array(job.draft, f"{FLAT}/{task.key}", "counts") for task in files)))
    paired = run_tasks(job, "runs", _range_tasks(len(_stream(job, words))), count_pairs)
    spills = [file for result in paired for file in result["spills"]]
    if not spills:
        raise StageFailed(
            "count: no two words stand in one window: every sentence has one word at most. Look at the tokenizer's "
            "vocabulary, or lower count.min_count."
        )
    merged_parts = run_shuffle(job, "merge", spills, merge_part, partitions=len(words.parts))
    _check(sum(result["sum"] for result in paired), sum(result["sum"] for result in merged_parts))
    return _output(job, words, merged_parts, sum(result["words"] for result in paired))


def _section(job: Job) -> Count:
    return Count.model_validate(job.params)


def _files(job: Job) -> list[Task[TokenFile]]:
    paths = job.inputs.single("tokens").files("train/")
    return [Task(f"{at:06d}", path.stat().st_size, TokenFile(path=str(path))) for at, path in enumerate(paths)]


def count_words(job: Job, task: Task[TokenFile]) -> NoResult:
    """One file → its tokens as a flat array, and the number of occurrences of each."""
    size = load(job.inputs.single("tokenizer").file("tokenizer.json")).vocabulary
    counts = write_tokens(Path(task.payload["path"]), job.folder / FLAT / f"{task.key}.tokens", vocabulary=size)
    save_arrays(job.folder / FLAT, task.key, counts=counts)
    return {}


def _vocabulary(job: Job, counts: NDArray[np.int64]) -> CountedWords:
    """The words to count, saved for the tasks.

    Raises: StageFailed when there are no words, or when sums could exceed 64 bits.
    """
    section, reference = _section(job), load(job.inputs.single("tokenizer").file("tokenizer.json"))
    sentence, unknown = reference.special(END_OF_SENTENCE), reference.unknown
    borders = sorted({reference.end_of_text, *([] if sentence is None else [sentence])})
    no_word = [] if unknown is None else [unknown]
    words = select_words(counts, section, borders=borders, unknown=no_word)
    most = int(np.delete(counts, [*borders, *no_word]).max(initial=0))
    if not len(words.ids):
        raise StageFailed(
            f"count: no word is left: min_count is {section.min_count:,}, and the most frequent word of the training "
            f"rows occurs {most:,} times. Lower count.min_count, or add documents."
        )
    if largest_sum(section, most) >= LIMIT:
        raise StageFailed(f"count: a word occurs {most:,} times: too often for a window of "
                          f"{section.window}. Lower count.window.")  # fmt: skip
    with sharing(job.draft, job.folder, WORDS):
        save_arrays(job.folder, WORDS, ids=words.ids, numbers=words.numbers, parts=words.parts)
    return words


@lru_cache(maxsize=8)
def _words_of(draft: Draft) -> CountedWords:
    ids, numbers, parts = (np.array(load_array(draft, WORDS, name)) for name in ("ids", "numbers", "parts"))
    return CountedWords(ids, numbers, parts)


def _stream(job: Job, words: CountedWords) -> TokenStream:
    files = [job.draft.file(f"{FLAT}/{task.key}.tokens") for task in _files(job)]
    return TokenStream(files, vocabulary=len(words.numbers))


def _range_tasks(tokens: int) -> list[Task[TokenRange]]:
    step = max(1, min(TASK_TOKENS, -(-tokens // TASKS)))
    spans = [(first, min(first + step, tokens)) for first in range(0, tokens, step)]
    return [
        Task(f"{first:015d}-{last:015d}", last - first, TokenRange(first=first, last=last)) for first, last in spans
    ]


def count_pairs(job: Job, task: Task[TokenRange]) -> PairRuns:
    """One range of tokens → its pairs in sorted runs, by part of the table."""
    section, words = _section(job), _words_of(job.draft)
    stream = _stream(job, words)
    first, last = task.payload["first"], task.payload["last"]
    before = stream.before(first, words.numbers, window=section.window)
    spills = list[str]()
    total, word_count = 0, 0
    parts = words.parts.astype(np.uint64) << np.uint64(words.bits)
    for at, (pairs, run_words) in enumerate(sorted_runs(stream.read(first, last), before, words, section)):
        spills += write_run(job.folder, f"runs/{task.key}-{at:06d}.bin", pairs, parts=parts)
        total += int(pairs[1].sum())
        word_count += run_words
    return {"spills": spills, "sum": total, "words": word_count}


def merge_part(job: Job, task: Task[Partition]) -> MergedPart:
    """One part of the table: add up the runs of its words, divide, write."""
    words = _words_of(job.draft)
    scale = weight_scale(_section(job))
    readers = [RunReader.of(segment) for segment in segments(job, task)]
    total = 0
    with ShardWriter(job.folder, "parts", f"{task.payload['partition']:06d}", COUNTS) as shard:
        for keys, sums in _row_groups(merge_runs(readers)):
            total += int(sums.sum())
            shard.write(_cells(keys, sums, words, scale=scale))
    return {"entry": shard.entry.to_dict() if shard.entry else None, "sum": total}


def _row_groups(blocks: Iterator[KeySums]) -> Iterator[KeySums]:
    """The same pairs, GROUP_CELLS at a time: the size of blocks depends on memory, row groups must not."""
    buffered = list[KeySums]()
    count = 0
    for keys, sums in blocks:
        at = 0
        while at < len(keys):
            rows = keys[at : at + GROUP_CELLS - count], sums[at : at + GROUP_CELLS - count]
            buffered.append((rows[0].copy(), rows[1].copy()))
            at += len(rows[0])
            count += len(rows[0])
            if count == GROUP_CELLS:
                yield _joined(buffered)
                buffered, count = [], 0
    if buffered:
        yield _joined(buffered)


def _joined(lists: Sequence[KeySums]) -> KeySums:
    return np.concatenate([keys for keys, _ in lists]), np.concatenate([sums for _, sums in lists])


def _cells(keys: NDArray[np.uint64], sums: NDArray[np.uint64], words: CountedWords, *, scale: int) -> pa.Table:
    """The rows of the table: tokens instead of word numbers, and divided counts."""
    word = words.ids[keys >> np.uint64(words.bits)]
    context = words.ids[keys & np.uint64((1 << words.bits) - 1)]
    return pa.table([pa.array(word), pa.array(context), pa.array(sums / np.float64(scale))], schema=COUNTS)


def _check(paired: int, merged_sum: int) -> None:
    """Check that the table holds every weight that was counted."""
    if paired != merged_sum:
        raise StageFailed(
            f"count: weights do not add up: {paired:,} given, {merged_sum:,} in the table. Nothing was published; "
            "please report this."
        )


def _output(job: Job, words: CountedWords, parts: Sequence[MergedPart], word_count: int) -> StageOutput:
    entries = [FileEntry.from_dict(result["entry"]) for result in parts if result["entry"]]
    cells = sum(entry.rows or 0 for entry in entries)
    # `words`: those in the rows that are counted; the others are unknown, rare, or ends of sentences and texts
    counts: StageCounts = {
        "tokens": len(_stream(job, words)),
        "words": word_count,
        "vocabulary": len(words.ids),
        "cells": cells,
    }
    return StageOutput(number(job.draft, entries), counts)
