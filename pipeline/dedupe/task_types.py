"""Payloads and results of the tasks of dedupe, as they are written in JSON."""

from __future__ import annotations

from typing import TypedDict

from pipeline.core.shards import EntryFields


class FileRange(TypedDict):
    """The payload of a task over a range of files. `count`: the partitions of one kind, or the files of removals."""

    file_range: int
    count: int


class BucketPartition(TypedDict):
    """The payload of a task over the buckets of one partition."""

    partition: int


class MatchedPartitions(TypedDict):
    """The payload of the task that connects copies: the partitions with equal documents, and those with buckets."""

    exact: list[int]
    near: list[int]


class ConnectedDocuments(TypedDict):
    """The number of documents in each file of components."""

    members: list[int]


class ComponentRange(TypedDict):
    """The payload of a task over some components; its key names their file. `sets`: whether sets were stored."""

    sets: bool


class SpilledFiles(TypedDict):
    """The files that a task wrote for a shuffle."""

    spills: list[str]


class MatchCounts(TypedDict):
    """Of one partition: documents that repeat an earlier text, and documents that may have a near copy."""

    equal: int
    candidates: int


class ItemCount(TypedDict):
    """The number of sets, pairs or removals that a task wrote."""

    amount: int


class WrittenFiles(TypedDict):
    """Documents and files of one file range after removal; `removed` counts removed documents by method."""

    documents: int
    bytes_in: int
    bytes_out: int
    removed: dict[str, int]
    entries: list[EntryFields]
