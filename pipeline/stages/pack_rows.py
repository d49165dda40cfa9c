"""The last step of pack: the token streams of all files, cut into shards of rows.

By concat a shard holds a fixed number of rows, cut from the streams end to end wherever files end. By best fit a shard
holds the documents of whole files, about as many tokens. Where rows are apart by source and language, the shards of one
such group follow each other. So shards follow from content alone, whatever the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import get_ident
from typing import cast

import pyarrow as pa

from pipeline.beam.task import Task
from pipeline.core.counts import ByLanguage, GroupCounts, SplitCounts
from pipeline.core.job import Job
from pipeline.core.records import tokens_schema
from pipeline.core.shards import ShardWriter
from pipeline.tokenizers.best_fit_rows import BestFitRows
from pipeline.tokenizers.grouped_streams import merged, parts_of_file
from pipeline.tokenizers.pack_tasks import EncodedFile, Encoding, ShardRanges, Split, WrittenShard
from pipeline.tokenizers.packed_rows import TokenSpan, file_ranges, to_table
from pipeline.tokenizers.packer import REFERENCE, load_packer
from pipeline.tokenizers.section import Pack
from pipeline.tokenizers.token_streams import StreamRange, read_ranges

SPLITS: tuple[Split, ...] = ("train", "validation")
SHARD_TOKENS = 1 << 23
WRITE_TOKENS = 1 << 20
STREAMS = "streams"  # in the folder of the draft, so publication deletes it

FilePart = tuple[int, int]
"""Of the stream of a file: the first token of a group, and how many."""


def split_counts(section: Pack, encoded: Sequence[EncodedFile]) -> dict[str, SplitCounts]:
    """Documents, tokens and bytes of text by split and language, rows by split: the content of splits.json."""
    splits: dict[str, SplitCounts] = {}
    for split in SPLITS:
        languages: ByLanguage = {}
        for result in encoded:
            for language, counts in result["counts"][split].items():
                totals = languages.setdefault(language, dict.fromkeys(counts, 0))
                for name, value in counts.items():
                    totals[name] += value
        names = next(iter(languages.values()), ("documents", "tokens", "bytes"))
        sums = {name: sum(totals[name] for totals in languages.values()) for name in names}
        rows = -(-sums["tokens"] // section.length)
        splits[split] = cast(SplitCounts, {**sums, "rows": rows, "languages": dict(sorted(languages.items()))})
    return splits


def shard_tasks(section: Pack, encoding: Encoding) -> list[Task[ShardRanges]]:
    """The shards of both splits in the order of their rows, as ranges of streams."""
    tasks: list[Task[ShardRanges]] = []
    for split in SPLITS:
        index = 0
        for group, parts in enumerate(_parts(section, split, encoding.files)):
            best_fit = section.packing == "best_fit" and split == "train"
            for ranges in _whole_files(parts) if best_fit else _fixed_rows(parts, section.length):
                payload = ShardRanges(
                    split=split, encoder_choice=encoding.encoder_choice,
                    ranges=[(f"{split}-{file:06d}", skip, take) for file, skip, take in ranges],
                )  # fmt: skip
                if section.is_grouped:
                    payload["group"] = group
                size = sum(take for _, _, take in ranges)
                tasks.append(Task(f"{split}-{index:06d}", size, payload))
                index += 1
    return tasks


def _parts(section: Pack, split: Split, files: Sequence[EncodedFile]) -> Iterator[list[FilePart]]:
    """For each group of a split, its part of every file; where there are no groups, all of every file."""
    if not section.is_grouped:
        yield [(0, result["tokens"][split]) for result in files]
        return
    groups = [result["groups"][split] for result in files]
    parts_of_files = [parts_of_file(file_groups) for file_groups in groups]
    for group in merged(groups):
        yield [parts.get((group["source"], group["language"]), (0, 0)) for parts in parts_of_files]


def _fixed_rows(parts: Sequence[FilePart], length: int) -> Iterator[list[tuple[int, int, int]]]:
    """Ranges (file, skip, take) of a fixed number of rows each."""
    sizes = [size for _, size in parts]
    shard_tokens = max(1, SHARD_TOKENS // length) * length
    for first in range(0, sum(sizes), shard_tokens):
        ranges = file_ranges(sizes, first, min(first + shard_tokens, sum(sizes)))
        yield [(file, parts[file][0] + skip, take) for file, skip, take in ranges]


def _whole_files(parts: Sequence[FilePart]) -> Iterator[list[tuple[int, int, int]]]:
    """Ranges of whole files, as many as hold SHARD_TOKENS: no document crosses a file."""
    ranges: list[tuple[int, int, int]] = []
    tokens = 0
    for file, (first, size) in enumerate(parts):
        if size:
            ranges.append((file, first, size))
            tokens += size
        if tokens >= SHARD_TOKENS:
            yield ranges
            ranges, tokens = [], 0
    if ranges:
        yield ranges


def write_rows(job: Job, task: Task[ShardRanges]) -> WrittenShard:
    """Write one shard from its ranges of the streams, in row groups of about a million tokens."""
    section = Pack.model_validate(job.params)
    pack = load_packer(job.inputs.single("tokenizer").file("tokenizer.json"), REFERENCE, get_ident())
    schema = tokens_schema(pack.vocabulary)
    folder = f"{STREAMS}/{task.payload['encoder_choice']}"
    span = read_ranges(job.draft, folder, [StreamRange(*part) for part in task.payload["ranges"]], pack.dtype)
    rows = max(1, WRITE_TOKENS // section.length)
    best_fit = None
    if section.packing == "best_fit" and task.payload["split"] == "train":
        best_fit = BestFitRows(span, section.length)
    tables = _concat(span, section.length, rows, schema) if best_fit is None else best_fit.tables(rows, schema)
    with ShardWriter(job.folder, task.payload["split"], task.key, schema) as shard:
        for table in tables:
            shard.write(table)
    assert shard.entry is not None  # a shard has at least one token
    written: WrittenShard = {"entry": shard.entry.to_dict()}
    return written if best_fit is None else {**written, "truncated": best_fit.truncated}


def _concat(span: TokenSpan, length: int, rows: int, schema: pa.Schema) -> Iterator[pa.Table]:
    step = rows * length
    for first in range(0, len(span.tokens), step):
        yield to_table(span.part(first, first + step), length, schema)


def with_groups(
    splits: Mapping[str, SplitCounts],
    files: Sequence[EncodedFile],
    tasks: Sequence[Task[ShardRanges]],
    written: Sequence[WrittenShard],
) -> dict[str, SplitCounts]:
    """The counts of the splits with the rows of each group, and of all of them, as they were written."""
    counted: dict[str, SplitCounts] = {}
    for split in SPLITS:
        groups: list[GroupCounts] = [
            {**group, "rows": 0} for group in merged([result["groups"][split] for result in files])
        ]
        truncated = [shard["truncated"] for shard in written if "truncated" in shard] if split == "train" else []
        for task, shard in zip(tasks, written, strict=True):
            if task.payload["split"] == split:
                groups[task.payload["group"]]["rows"] += shard["entry"]["rows"] or 0
        counts: SplitCounts = {**splits[split], "rows": sum(group["rows"] for group in groups), "groups": groups}
        counted[split] = {**counts, "truncated": sum(truncated)} if truncated else counts
    return counted
