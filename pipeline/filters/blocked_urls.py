"""The filter `blocked_urls`: drops documents whose URL is on a list, by page, host, or a domain above the host.

The driver writes the hashes of all entries, sorted, into one file, which all workers map into memory: 8 bytes an entry.
The signal is 1 for a document on a list, 0 for others, and not measured for one without a URL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.core.arrays import load_array, save_arrays
from pipeline.core.draft import Draft
from pipeline.core.errors import StageFailed
from pipeline.core.job import SourceFiles
from pipeline.filters import addresses
from pipeline.filters.base import Filter, Floats, Rule
from pipeline.filters.blocklist_section import BLOCKED_URLS
from pipeline.filters.blocklist_section import BlockedUrls as Options
from pipeline.kernels.column import buffers
from pipeline.kernels.text_hash import hash_plain
from pipeline.readers.streams import StreamError, blocks

FOLDER = "blocklists"
BATCH_BYTES = 16 << 20


class UrlBlocklist(Filter):
    """One rule: the URL is on a list."""

    Options = Options
    keys: NDArray[np.uint64] | None = None

    def build(self, sources: Sequence[SourceFiles], folder: Path) -> None:
        paths = [file["path"] for source in sources if source["source"] == BLOCKED_URLS for file in source["files"]]
        batches = [hashes(addresses.entries(lines)) for path in paths for lines in lines_of(path)]
        keys = np.concatenate(batches or [np.empty(0, np.uint64)])
        batches.clear()
        keys.sort()  # in place: np.unique would hold two more copies
        is_new = np.ones(len(keys), np.bool_)
        is_new[1:] = keys[1:] != keys[:-1]
        save_arrays(folder / FOLDER, BLOCKED_URLS, keys=keys[is_new])

    def load(self, draft: Draft) -> None:
        self.keys = load_array(draft, f"{FOLDER}/{BLOCKED_URLS}", "keys")

    def signal_names(self) -> Sequence[str]:
        return [BLOCKED_URLS]

    def signals(self, documents: pa.Table) -> dict[str, Floats]:
        assert self.keys is not None
        urls = pl.Series(documents["url"].combine_chunks().cast(pa.large_string()), dtype=pl.String)
        levels = addresses.domains(addresses.hosts(urls)).with_columns(addresses.pages(urls).alias("page"))
        blocked = np.zeros(len(urls), np.bool_)
        for column in levels:
            blocked |= contains(self.keys, hashes(column)) & (column != "").to_numpy()
        return {BLOCKED_URLS: np.where(urls.is_null().to_numpy(), np.nan, blocked)}

    def rules(self) -> Sequence[Rule]:
        return [self.rule("max_matches", BLOCKED_URLS)]


def hashes(texts: pl.Series) -> NDArray[np.uint64]:
    """64 bits of each text."""
    data, offsets = buffers(texts.fill_null("").to_arrow().cast(pa.large_string()))
    out = np.empty((len(offsets) - 1, 2), np.uint64)
    hash_plain(data, offsets, out)
    return out[:, 0].copy()


def contains(keys: NDArray[np.uint64], values: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each value is one of the sorted keys."""
    if not len(keys):
        return np.zeros(len(values), np.bool_)
    at = np.minimum(np.searchsorted(keys, values), len(keys) - 1)
    return np.asarray(keys[at] == values)


def lines_of(path: str) -> Iterator[pl.Series]:
    """The lines of a list, some megabytes at a time; bytes that are no UTF-8 are replaced.

    Raises: StageFailed when the file cannot be decompressed.
    """
    rest, size, parts = b"", 0, list[bytes]()
    try:
        for block in blocks(path):
            parts.append(block)
            size += len(block)
            if size >= BATCH_BYTES:
                complete, _, rest = b"".join([rest, *parts]).rpartition(b"\n")
                yield _lines(complete)
                size, parts = 0, []
    except (StreamError, OSError) as error:
        raise StageFailed(f"blocklist {path}: cannot be read: {error}. Replace the file.") from error
    yield _lines(b"".join([rest, *parts]))


def _lines(content: bytes) -> pl.Series:
    return pl.Series(content.decode("utf-8", "replace").splitlines(), dtype=pl.String)
