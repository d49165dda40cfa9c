"""Payloads and results of the tasks of the stage `pack`, as they are stored in JSON."""

from __future__ import annotations

from typing import Literal, NamedTuple, NotRequired, TypedDict

from pipeline.core.counts import ByLanguage, BySource, GroupCounts
from pipeline.core.inputs import InputFile
from pipeline.core.shards import EntryFields

Split = Literal["train", "validation"]


class SurveyFile(TypedDict):
    """The payload of `survey`: a file of documents."""

    file: InputFile


class Survey(TypedDict):
    """A file: the smallest validation hash of each language, the smallest verification hashes, and its size."""

    least: dict[str, int]
    verify: list[int]
    documents: int
    bytes: int


class EncodeFile(TypedDict):
    """The payload of `encode`. `cutoffs`: by language, the largest hash of a document that is held out; `verify`: the
    largest hash of a document that is compared with the reference."""

    file: InputFile
    encoder_choice: str
    cutoffs: dict[str, int]
    verify: int


class EncodedFile(TypedDict):
    """The token streams of a file: tokens by split, counts by split and language, and by source and language, the name
    of the encoder."""

    difference: None
    documents: int
    tokens: dict[Split, int]
    counts: dict[Split, ByLanguage]
    sources: NotRequired[BySource]
    groups: NotRequired[dict[Split, list[GroupCounts]]]
    encoder: str


class EncodingFailed(TypedDict):
    """How the ids of the fast encoder differ from the reference in a file."""

    difference: str


class ShardRanges(TypedDict):
    """The payload of `rows`: the parts of streams that make up a shard, each as (stem, skip, take); the number of its
    group, where there are groups."""

    split: Split
    encoder_choice: str
    ranges: list[tuple[str, int, int]]
    group: NotRequired[int]


class WrittenShard(TypedDict):
    """The file that `rows` wrote; by best fit, how many of its documents lie in several rows."""

    entry: EntryFields
    truncated: NotRequired[int]


class Encoding(NamedTuple):
    """Every file as the same encoder encoded it; `encoder_name` is its name, or the reason why it is the reference."""

    encoder_choice: str
    files: list[EncodedFile]
    encoder_name: str
