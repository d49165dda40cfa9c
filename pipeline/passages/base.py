"""The interface of a finder: which passages of a batch it looks at, and when one counts as repeated."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import Array
from pipeline.core.config import Section
from pipeline.kernels.passages import Pieces
from pipeline.passages.batch import DocumentBatch, Hashes
from pipeline.passages.section import Lengths

PassageMask = NDArray[np.bool_]
OWN_SHARE = 0.5  # a passage with more single characters than this is measured in characters (as decontamination)


class PassageKeys(NamedTuple):
    """Passages of a batch in the order of the text; equal ones have the same 128 bits, `hash` and `check`.

    `document`: index in the batch; `start`, `end`: bytes of its text, on borders of code points.
    """

    hash: Hashes
    check: Hashes
    document: NDArray[np.int64]
    start: NDArray[np.uint32]
    end: NDArray[np.uint32]


NO_KEYS = PassageKeys(
    np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.uint32),
    np.empty(0, np.uint32),
)  # fmt: skip


class PassageFinder:
    """Gives each passage a key; of passages with equal keys the first in the corpus stays.

    A finder without keys has steps of its own (`pipeline.stages.passages`). A passage is repeated if its key has at
    least `min_copies` copies; a finder with `groups` counts the documents of its group that have a key, not its copies.
    """

    min_copies = 2

    def __init__(self, options: Section) -> None:
        self.options = options
        # whether a document loses what it repeats itself; else one that keeps a copy is left as it is
        self.within_documents: bool = getattr(options, "within_documents", False)

    def keys(self, batch: DocumentBatch) -> PassageKeys:
        """The passages that may repeat, in the order of the text."""
        return NO_KEYS

    def groups(self, batch: DocumentBatch) -> Hashes | None:
        """Two hashes of the group of each document, if passages are compared within groups only."""
        return None

    def is_repeated(
        self, batch: DocumentBatch, keys: PassageKeys, copies: NDArray[np.int64], totals: NDArray[np.int64]
    ) -> PassageMask:
        """Which passages are repeated: all but the first copy of those are removed.

        `copies[i]`: how many passage i has, 0 if fewer than `min_copies`; `totals`: documents of each document's group.
        """
        return copies > 0

    def is_long(self, words: Array, characters: Array) -> PassageMask:
        """Whether passages with so many units are long enough to be looked at."""
        lengths = cast(Lengths, self.options)
        units = words + characters
        in_characters = characters > OWN_SHARE * units
        mask: PassageMask = units >= np.where(in_characters, lengths.min_characters, lengths.min_words)
        return mask


def select(keys: PassageKeys, rows: Array) -> PassageKeys:
    """Some passages of a batch."""
    return PassageKeys(keys.hash[rows], keys.check[rows], keys.document[rows], keys.start[rows], keys.end[rows])


def keys_of(pieces: Pieces, rows: PassageMask) -> PassageKeys:
    """Some lines or sentences as passages."""
    return PassageKeys(
        pieces.hash[rows], pieces.check[rows], pieces.document[rows].astype(np.int64), pieces.start[rows],
        pieces.end[rows],
    )  # fmt: skip


def mix(values: Hashes) -> Hashes:
    """The finalizer of MurmurHash3 (public domain), as in `kernels.code_points`."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
        values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))
