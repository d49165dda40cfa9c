"""The fast encoder for byte-level BPE, without checks: use it through `verified_encoder`, which compares its ids.

gigatoken reads the bytes of the column, 7 to 15 times as fast as the reference. Its word cache is unbounded (measured:
9 bytes of memory per byte of random words), so the encoder is rebuilt when the process has grown too large. Not
picklable; one instance per thread; it releases the GIL.
"""

from __future__ import annotations

import ctypes
import json
from functools import cache
from pathlib import Path

import awkward
import gigatoken
import numpy as np
import pyarrow as pa

from pipeline.tokenizers import escaped_specials
from pipeline.tokenizers.base import Encoded, Encoder

# growth of the whole process since its first encoder: shared by all encoders, so memory does not grow with their number
GROWTH_BYTES = 80 << 20
# the least text between two rebuilds: one costs as much as encoding 4 MB
REBUILD_BYTES = 8 << 20
PAGE_BYTES = 4096


class GigatokenEncoder(Encoder):
    """gigatoken on one thread."""

    def __init__(self, json_text: str) -> None:
        # gigatoken takes ids from the file and always matches special tokens in text: it gets a file without any
        self._json_text = escaped_specials.to_json_text(escaped_specials.drop_specials(json.loads(json_text)))
        self.rebuilt = 0
        first_resident_bytes()
        self._build()

    def _build(self) -> None:
        self._tokenizer = gigatoken.Tokenizer.from_json(self._json_text)
        self._encoded_bytes = 0

    def encode(self, column: pa.LargeStringArray) -> Encoded:
        if not len(column):
            return Encoded(np.empty(0, np.uint32), np.zeros(1, np.int64))
        self._rebuild_when_large()
        self._encoded_bytes += column.nbytes
        layout = self._tokenizer.encode_batch(awkward.from_arrow(column), parallel=False).layout
        offsets = np.asarray(layout.offsets.data, np.int64)
        return Encoded(np.asarray(layout.content.data, np.uint32), offsets)

    def _rebuild_when_large(self) -> None:
        if self._encoded_bytes >= REBUILD_BYTES and resident_bytes() - first_resident_bytes() >= GROWTH_BYTES:
            del self._tokenizer
            trim_memory()
            self._build()
            self.rebuilt += 1


@cache
def first_resident_bytes() -> int:
    """Resident memory of this process at the first call."""
    return resident_bytes()


def resident_bytes() -> int:
    """Resident memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def trim_memory() -> None:
    """Return freed memory to the system; the C library keeps most of a dropped cache otherwise. Needs glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
