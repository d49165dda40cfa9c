"""Lines that many documents of a source share: menus, notices, signatures, found by counting.

ROOTS counts lines within a source too (Laurençon et al. 2022): as templates, lines of 15 characters or more that occur
10 times or more; of crawled pages, lines in more than 1 % of the documents. It also keeps the first copy of the latter.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.core.arrays import Array
from pipeline.passages.base import PassageFinder, PassageKeys, PassageMask, keys_of
from pipeline.passages.batch import DocumentBatch, Hashes
from pipeline.passages.section import Boilerplate

HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:]+)"


class BoilerplateLines(PassageFinder):
    """Lines compared within their source. Short ones are counted too: they may stand within a menu, or end it."""

    def __init__(self, options: Boilerplate) -> None:
        super().__init__(options)
        self.min_copies = options.min_documents

    def keys(self, batch: DocumentBatch) -> PassageKeys:
        return keys_of(batch.lines, _with_units(batch))

    def groups(self, batch: DocumentBatch) -> Hashes | None:
        by = cast(Boilerplate, self.options).by
        if by == "corpus":
            return np.ones((len(batch), 2), np.uint64)
        return batch.hashes_of("source" if by == "source" else hosts(batch.table))

    def is_repeated(
        self, batch: DocumentBatch, keys: PassageKeys, copies: NDArray[np.int64], totals: NDArray[np.int64]
    ) -> PassageMask:
        options = cast(Boilerplate, self.options)
        common: PassageMask = (copies > 0) & (copies >= options.min_share * totals[keys.document])
        rows = np.flatnonzero(_with_units(batch))
        long_common = common & self.is_long(batch.lines.words[rows], batch.lines.characters[rows])
        return long_common if options.where == "anywhere" else _at_edges(batch, rows, common, long_common)


def _with_units(batch: DocumentBatch) -> PassageMask:
    """Which lines hold a word or a character."""
    mask: PassageMask = batch.lines.words + batch.lines.characters > 0
    return mask


def _at_edges(batch: DocumentBatch, rows: Array, common: PassageMask, long_common: PassageMask) -> PassageMask:
    """Which common lines have nothing but common lines and lines without units before them, or after them, in their
    document: in the first run up to its last long one, in the last run from its first long one on. `rows`: lines."""
    document = batch.lines.document[rows].astype(np.int64)
    blocking, long_lines = rows[~common], rows[long_common]
    most = len(batch.lines.document)
    first_block, last_block = np.full(len(batch), most), np.full(len(batch), -1)
    np.minimum.at(first_block, batch.lines.document[blocking], blocking)
    np.maximum.at(last_block, batch.lines.document[blocking], blocking)
    of_long = batch.lines.document[long_lines]
    first_run, last_run = long_lines < first_block[of_long], long_lines > last_block[of_long]
    head_end, foot_start = np.full(len(batch), -1), np.full(len(batch), most)
    np.maximum.at(head_end, of_long[first_run], long_lines[first_run])
    np.minimum.at(foot_start, of_long[last_run], long_lines[last_run])
    edges: PassageMask = common & ((rows <= head_end[document]) | (rows >= foot_start[document]))
    return edges


def hosts(table: pa.Table) -> pa.Array:
    """The host of each URL in lower case; without a URL, the source of the document."""
    match = pc.struct_field(pc.extract_regex(table["url"], HOST), "host")
    host = pc.utf8_lower(match)
    source = pc.binary_join_element_wise(pa.scalar("source:"), table["source"], "")
    return pc.coalesce(host, source)
