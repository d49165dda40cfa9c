"""What the steps of the stage are given and give back: payloads of tasks, and results, as they stand in JSON."""

from __future__ import annotations

from typing import TypedDict

from pipeline.core.shards import EntryFields


class Stretch(TypedDict):
    """The payload of a task over files. `count`: how many partitions of a kind, or lists of removals, there are."""

    stretch: int
    count: int


class Bucket(TypedDict):
    """The payload of a task over one partition's buckets."""

    partition: int


class Empty(TypedDict):
    """The payload of a task whose key says all."""


class Spilled(TypedDict):
    """What a task left for a shuffle."""

    spills: list[str]


class Matched(TypedDict):
    """How many documents of a partition have an equal text before them; how many may have a near copy."""

    equal: int
    candidates: int


class Amount(TypedDict):
    """How much a task made: sets, pairs or removals."""

    amount: int


class Written(TypedDict):
    """What became of the documents of a stretch; `removed`: how many by each method."""

    documents: int
    bytes_in: int
    bytes_out: int
    removed: dict[str, int]
    entries: list[EntryFields]
