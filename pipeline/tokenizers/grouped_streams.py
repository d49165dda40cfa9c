"""Token streams whose documents are sorted by source and language, so that no row holds two of either.

A group is a pair of source and language. Within one, documents keep their order. Memory: the tokens of one file of
documents, of which stages make no more than about 64 MB of text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.core.counts import NO_LANGUAGE, GroupCounts
from pipeline.tokenizers.token_streams import StreamWriter

GroupName = tuple[str, str]
"""Source and language."""


class GroupedStreamWriter(StreamWriter):
    """A StreamWriter that sorts its documents by group when the block ends; `groups` counts them, in that order."""

    def __init__(self, folder: Path, stem: str) -> None:
        super().__init__(folder, stem)
        self._collected: list[NDArray[np.unsignedinteger]] = []
        self._ids: list[pa.Array] = []
        self._sizes: list[NDArray[np.int64]] = []
        self._groups: list[NDArray[np.int64]] = []
        self._names: dict[GroupName, int] = {}

    def write(self, tokens: NDArray[np.unsignedinteger], documents: pa.Table, sizes: NDArray[np.int64]) -> None:
        """Append documents in order: their tokens end to end, a table with id, source and language, and their sizes."""
        if not len(sizes):
            return
        source, language = (
            documents[name].combine_chunks().fill_null(missing).dictionary_encode()
            for name, missing in (("source", ""), ("language", NO_LANGUAGE))
        )
        pairs, inverse = np.unique(
            source.indices.to_numpy().astype(np.int64) * len(language.dictionary) + language.indices.to_numpy(),
            return_inverse=True,
        )
        names = [divmod(pair, len(language.dictionary)) for pair in pairs.tolist()]
        numbers = [
            self._names.setdefault((source.dictionary[a].as_py(), language.dictionary[b].as_py()), len(self._names))
            for a, b in names
        ]
        self._collected.append(tokens)
        self._ids.append(documents["id"].combine_chunks())
        self._sizes.append(sizes)
        self._groups.append(np.array(numbers)[inverse])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            if kind is None and self._names:
                self._write_groups()
        except BaseException as failure:
            super().__exit__(type(failure), failure, failure.__traceback__)
            raise
        return super().__exit__(kind, error, trace)

    def _write_groups(self) -> None:
        ordered = sorted(self._names)
        rank = np.empty(len(ordered), np.int64)
        rank[[self._names[name] for name in ordered]] = np.arange(len(ordered))
        group, sizes = rank[np.concatenate(self._groups)], np.concatenate(self._sizes)
        collected, ids = np.concatenate(self._collected), pa.concat_arrays(self._ids)
        starts = np.cumsum(sizes) - sizes
        for number, (source, language) in enumerate(ordered):
            own = np.flatnonzero(group == number)
            size = sizes[own]
            ends = np.cumsum(size)
            tokens = collected[np.arange(ends[-1]) + np.repeat(starts[own] - ends + size, size)]
            super().write(tokens, pa.table({"id": ids.take(pa.array(own))}), size)
            counts = GroupCounts(source=source, language=language, documents=len(own), tokens=int(ends[-1]))
            self.groups.append(counts)


def merged(files: Sequence[Sequence[GroupCounts]]) -> list[GroupCounts]:
    """The sums of the groups of all files, in alphabetical order."""
    sums: dict[GroupName, GroupCounts] = {}
    for groups in files:
        for group in groups:
            name = group["source"], group["language"]
            total = sums.setdefault(name, GroupCounts(source=name[0], language=name[1], documents=0, tokens=0))
            total["documents"] += group["documents"]
            total["tokens"] += group["tokens"]
    return [sums[name] for name in sorted(sums)]


def parts_of_file(groups: Sequence[GroupCounts]) -> dict[GroupName, tuple[int, int]]:
    """Where each group lies in the stream of a file: its first token, and how many."""
    parts, first = {}, 0
    for group in groups:
        parts[group["source"], group["language"]] = first, group["tokens"]
        first += group["tokens"]
    return parts
