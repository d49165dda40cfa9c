"""count: rows of tokens → how often words stand near each other, in parts/: word, context, count, in order of the two.

Three steps over the training rows:

    words    a file       tokens laid down flat, how often each occurs
    runs     a stretch    weighted pairs of words, in ordered runs
    merge    a part       the runs of a range of words, added up                       → one file of parts/

Sums are whole numbers until the last division, so no order of work can change a bit. What crosses a shuffle are names
of files. Memory: 128 MiB a worker for pairs, 100 MiB for merging; two 8-byte numbers a word besides. About
3 million tokens a CPU-second at window 10 (pipeline/counts/README.md).
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
from pipeline.core.errors import StageFailed
from pipeline.core.job import Job, StageOutput
from pipeline.core.shards import EntryFields, FileEntry, ShardWriter, number
from pipeline.counts.merging import RunReader, merged, write
from pipeline.counts.runs import KeySums, runs
from pipeline.counts.section import Count
from pipeline.counts.stream import TokenStream
from pipeline.counts.stream import write as write_flat
from pipeline.counts.vocabulary import WordTable, vocabulary
from pipeline.counts.weights import LIMIT, largest_sum, unit
from pipeline.tokenizers.reference_encoder import load
from pipeline.tokenizers.special_tokens import END_OF_SENTENCE

COUNTS = pa.schema([("word", pa.int32()), ("context", pa.int32()), ("count", pa.float64())])

# a task counts as many tokens, and there are TASKS at least; neither changes a bit of the table
TASK_TOKENS, TASKS = 1 << 22, 4
# a row group of the table
GROUP_CELLS = 1 << 20
WORDS = "words"


class TokenFile(TypedDict):
    """The payload of a task over a file of rows."""

    path: str


class NoResult(TypedDict):
    """The result of a task whose files say all."""


class TokenRange(TypedDict):
    """The payload of a task over the tokens [first, last)."""

    first: int
    last: int


class PairRuns(TypedDict):
    """The runs of a stretch, the weights in them, and the words that were counted."""

    spills: list[str]
    sum: int
    words: int


class MergedPart(TypedDict):
    """A part of the table: its file, unless it is empty, and the weights in it."""

    entry: EntryFields | None
    sum: int


def run(job: Job) -> StageOutput:
    """Words, pairs, the merged table."""
    files = _files(job)
    run_tasks(job, "words", files, count_words)
    words = _vocabulary(job, reduce(np.add, (load_array(job.folder / "flat", task.key, "counts") for task in files)))
    paired = run_tasks(job, "runs", _stretches(len(_stream(job, words))), count_pairs)
    spills = [file for result in paired for file in result["spills"]]
    if not spills:
        raise StageFailed(
            "count: no two words stand in one window: every sentence has one word at most. Look at the tokenizer's "
            "vocabulary, or lower count.min_count."
        )
    merged_parts = run_shuffle(job, "merge", spills, merge_part, partitions=len(words.parts))
    _check(sum(result["sum"] for result in paired), sum(result["sum"] for result in merged_parts))
    return _outcome(job, words, merged_parts, sum(result["words"] for result in paired))


def _section(job: Job) -> Count:
    return Count.model_validate(job.params)


def _files(job: Job) -> list[Task[TokenFile]]:
    paths = job.inputs.one("tokens").files("train/")
    return [Task(f"{at:06d}", path.stat().st_size, TokenFile(path=str(path))) for at, path in enumerate(paths)]


def count_words(job: Job, task: Task[TokenFile]) -> NoResult:
    """One file → its tokens, flat, and how often each occurs."""
    size = load(job.inputs.one("tokenizer").file("tokenizer.json")).vocabulary
    counts = write_flat(Path(task.payload["path"]), job.folder / "flat" / f"{task.key}.tokens", vocabulary=size)
    save_arrays(job.folder / "flat", task.key, counts=counts)
    return {}


def _vocabulary(job: Job, counts: NDArray[np.int64]) -> WordTable:
    """The words that are counted; written down for the tasks.

    Raises: StageFailed when there is none, or when sums could leave 64 bits.
    """
    section, reference = _section(job), load(job.inputs.one("tokenizer").file("tokenizer.json"))
    sentence, unknown = reference.special(END_OF_SENTENCE), reference.unknown
    borders = sorted({reference.end_of_text, *([] if sentence is None else [sentence])})
    no_word = [] if unknown is None else [unknown]
    words = vocabulary(counts, section, borders=borders, unknown=no_word)
    most = int(np.delete(counts, [*borders, *no_word]).max(initial=0))
    if not len(words.ids):
        raise StageFailed(
            f"count: no word is left: min_count is {section.min_count:,}, and the most frequent word of the training "
            f"rows occurs {most:,} times. Lower count.min_count, or add documents."
        )
    if largest_sum(section, most) >= LIMIT:
        raise StageFailed(f"count: a word occurs {most:,} times: too often for a window of "
                          f"{section.window}. Lower count.window.")  # fmt: skip
    save_arrays(job.folder, WORDS, ids=words.ids, numbers=words.numbers, parts=words.parts)
    return words


@lru_cache(maxsize=8)
def _words_of(folder: Path) -> WordTable:
    ids, numbers, parts = (np.array(load_array(folder, WORDS, name)) for name in ("ids", "numbers", "parts"))
    return WordTable(ids, numbers, parts)


def _stream(job: Job, words: WordTable) -> TokenStream:
    files = [job.folder / "flat" / f"{task.key}.tokens" for task in _files(job)]
    return TokenStream(files, vocabulary=len(words.numbers))


def _stretches(tokens: int) -> list[Task[TokenRange]]:
    step = max(1, min(TASK_TOKENS, -(-tokens // TASKS)))
    spans = [(first, min(first + step, tokens)) for first in range(0, tokens, step)]
    return [
        Task(f"{first:015d}-{last:015d}", last - first, TokenRange(first=first, last=last)) for first, last in spans
    ]


def count_pairs(job: Job, task: Task[TokenRange]) -> PairRuns:
    """One stretch of tokens → its pairs in runs, by part of the table."""
    section, words = _section(job), _words_of(job.folder)
    stream = _stream(job, words)
    first, last = task.payload["first"], task.payload["last"]
    before, spills, total, seen = stream.before(first, words.numbers, window=section.window), list[str](), 0, 0
    parts = words.parts.astype(np.uint64) << np.uint64(words.bits)
    for at, (pairs, took) in enumerate(runs(stream.read(first, last), before, words, section)):
        spills += write(job.folder, f"runs/{task.key}-{at:06d}.bin", pairs, parts=parts)
        total, seen = total + int(pairs[1].sum()), seen + took
    return {"spills": spills, "sum": total, "words": seen}


def merge_part(job: Job, task: Task[Partition]) -> MergedPart:
    """One part of the table: the runs of its words, added up, divided, written."""
    words, whole = _words_of(job.folder), unit(_section(job))
    sources, total = [RunReader.of(segment) for segment in segments(job, task)], 0
    with ShardWriter(job.folder, "parts", f"{task.payload['partition']:06d}", COUNTS) as shard:
        for keys, sums in _groups(merged(sources)):
            total += int(sums.sum())
            shard.write(_cells(keys, sums, words, whole=whole))
    return {"entry": shard.entry.to_dict() if shard.entry else None, "sum": total}


def _groups(blocks: Iterator[KeySums]) -> Iterator[KeySums]:
    """The same pairs, GROUP_CELLS at a time: blocks are cut by memory, row groups by content alone."""
    held, count = list[KeySums](), 0
    for keys, sums in blocks:
        at = 0
        while at < len(keys):
            some = keys[at : at + GROUP_CELLS - count], sums[at : at + GROUP_CELLS - count]
            held.append((some[0].copy(), some[1].copy()))
            at, count = at + len(some[0]), count + len(some[0])
            if count == GROUP_CELLS:
                yield _joined(held)
                held, count = [], 0
    if held:
        yield _joined(held)


def _joined(lists: Sequence[KeySums]) -> KeySums:
    return np.concatenate([keys for keys, _ in lists]), np.concatenate([sums for _, sums in lists])


def _cells(keys: NDArray[np.uint64], sums: NDArray[np.uint64], words: WordTable, *, whole: int) -> pa.Table:
    """Pairs as the table has them: tokens, and counts that are no longer whole."""
    word = words.ids[keys >> np.uint64(words.bits)]
    context = words.ids[keys & np.uint64((1 << words.bits) - 1)]
    return pa.table([pa.array(word), pa.array(context), pa.array(sums / np.float64(whole))], schema=COUNTS)


def _check(paired: int, merged_sum: int) -> None:
    """Every weight that was given to a pair is in the table."""
    if paired != merged_sum:
        raise StageFailed(
            f"count: weights do not add up: {paired:,} given, {merged_sum:,} in the table. Nothing was published; "
            "please report this."
        )


def _outcome(job: Job, words: WordTable, parts: Sequence[MergedPart], seen: int) -> StageOutput:
    entries = [FileEntry.from_dict(result["entry"]) for result in parts if result["entry"]]
    cells = sum(entry.rows or 0 for entry in entries)
    # `words`: those in the rows that are counted; the others are unknown, rare, or ends of sentences and texts
    counts: StageCounts = {
        "tokens": len(_stream(job, words)),
        "words": seen,
        "vocabulary": len(words.ids),
        "cells": cells,
    }
    return StageOutput(number(job.folder, entries), counts)
