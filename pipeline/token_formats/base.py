"""What a format of packed tokens is: it writes the rows of a split into a folder, a row group at a time."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike

from pipeline.core.shards import FileEntry, HashingFile


@dataclass(frozen=True)
class PackedSplit:
    """The shards of a split in the order of their rows. `best_fit`: its rows hold pieces of documents out of order."""

    name: str
    shards: tuple[Path, ...]
    best_fit: bool = False


@dataclass
class WrittenSplit:
    """What was written: `sequences`, of the parts of a split that the format tells apart; None where it tells none."""

    rows: int = 0
    tokens: int = 0
    sequences: int | None = None
    files: list[FileEntry] = field(default_factory=list)


class TokenFormat(ABC):
    """A format; `vocabulary` is the largest token id and one. `USAGE` says how its consumer opens a folder."""

    USAGE: ClassVar[str]

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary

    def refusal(self) -> str | None:
        """Why the format cannot hold tokens of this vocabulary, in one sentence with what to do; None if it can."""
        return None

    @abstractmethod
    def dtype(self) -> np.dtype[np.integer]:
        """The type in which it stores a token."""

    @abstractmethod
    def write(self, split: PackedSplit, folder: Path) -> WrittenSplit:
        """Write the files of a split. Memory: a row group of a shard, about a million tokens, unless it says more."""

    def write_vocabulary(self, folder: Path) -> list[FileEntry]:
        """Write what the consumer has to know beside the tokens, if anything."""
        return []


@contextmanager
def hashed_file(folder: Path, name: str, files: list[FileEntry]) -> Iterator[HashingFile]:
    """A new file of the folder, hashed while it is written; its entry is added to `files` when it is on the disk."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        target = HashingFile(stream)
        yield target
        stream.flush()
        os.fsync(stream.fileno())
    sha256 = target.sha256.hexdigest()
    files.append(FileEntry(name, target.size, None, sha256, sha256))


def flat_tokens(table: pa.Table, dtype: DTypeLike) -> memoryview:
    """The tokens of all rows end to end, little-endian, as bytes."""
    tokens = table["tokens"].combine_chunks().flatten().to_numpy()
    return np.ascontiguousarray(tokens, np.dtype(dtype).newbyteorder("<")).view(np.uint8).data
