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

from pipeline.passages.base import PassageFinder, PassageKeys, PassageMask, keys_of
from pipeline.passages.batch import DocumentBatch, Hashes
from pipeline.passages.section import Boilerplate

HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:]+)"


class BoilerplateLines(PassageFinder):
    """Every line that is long enough, compared within its source."""

    def __init__(self, options: Boilerplate) -> None:
        super().__init__(options)
        self.min_copies = options.min_documents

    def keys(self, batch: DocumentBatch) -> PassageKeys:
        lines = batch.lines
        return keys_of(lines, self.is_long(lines.words, lines.characters))

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
        return common if options.where == "anywhere" else common & self._at_edges(batch, keys, common)

    def _at_edges(self, batch: DocumentBatch, keys: PassageKeys, common: PassageMask) -> PassageMask:
        """Which passages have nothing but boilerplate and lines without a unit before them, or after them."""
        lines = batch.lines
        transparent = lines.words + lines.characters == 0
        transparent[self.is_long(lines.words, lines.characters)] |= common
        blocks = np.flatnonzero(~transparent)
        block_documents = lines.document[blocks].astype(np.int64)
        first, last = np.full(len(batch), np.iinfo(np.int64).max), np.full(len(batch), -1)
        np.minimum.at(first, block_documents, lines.start[blocks].astype(np.int64))
        np.maximum.at(last, block_documents, lines.start[blocks].astype(np.int64))
        start = keys.start.astype(np.int64)
        edges: PassageMask = (start < first[keys.document]) | (start > last[keys.document])
        return edges


def hosts(table: pa.Table) -> pa.Array:
    """The host of each URL in lower case; without a URL, the source of the document."""
    match = pc.struct_field(pc.extract_regex(table["url"], HOST), "host")
    host = pc.utf8_lower(match)
    source = pc.binary_join_element_wise(pa.scalar("source:"), table["source"], "")
    return pc.coalesce(host, source)
