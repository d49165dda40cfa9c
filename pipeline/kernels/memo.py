"""Splits a column into numbered pieces and memoizes them, so that a slow encoder encodes each distinct piece once.

Text is split only where BERT's own rules also split: at ASCII white space (dropped) and around ASCII punctuation and
Han characters of the first block (each is a piece). The text between is a piece. A piece is looked up by its hash and
compared byte by byte. About 200 MB per CPU-second.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels.code_points import PRIME, SEED, Integer, mix
from pipeline.kernels.compiler import inlined, kernel
from pipeline.kernels.hash_table import Hashes, Ints
from pipeline.text.unicode import Bytes

Longs = npt.NDArray[np.int64]
Ids = npt.NDArray[np.uint32]
UPPER = np.uint64(0xFFFFFFFF00000000)
PIECES, BYTES = 0, 1  # `Memo.state` by index


class Memo(NamedTuple):
    """Piece i is text[ends[i]:ends[i + 1]]. `table`: in each slot the upper half of a piece's hash and its number + 1,
    or 0 if empty; `state`: the number of pieces and of their bytes."""

    table: Hashes
    ends: Longs
    text: Bytes
    state: Longs


def empty_memo(most_pieces: int, most_bytes: int) -> Memo:
    """A memo without pieces. Capacity that is not used takes no memory."""
    table = np.zeros(1 << (2 * most_pieces).bit_length(), np.uint64)
    ends = np.empty(most_pieces + 1, np.int64)
    ends[0] = 0
    return Memo(table, ends, np.empty(most_bytes, np.uint8), np.zeros(2, np.int64))


@kernel
def number_pieces(data: Bytes, offsets: Longs, memo: Memo, out: Ints, ends: Longs) -> Integer:
    """Split documents into pieces and add new pieces to the memo. Those of document d are out[ends[d]:ends[d + 1]].

    Returns the number of documents done, which is smaller than their number if the memo became full.
    """
    table, borders, text, state = memo
    mask = np.uint64(len(table) - 1)
    count = ends[0] = 0
    for d in range(len(offsets) - 1):
        at, end = offsets[d], offsets[d + 1]
        while at < end:
            begin = at
            at = piece_end(data, begin, end)
            if at == begin:  # white space
                at = begin + 1
                continue
            value = SEED
            for k in range(begin, at):
                value = (value ^ np.uint64(data[k])) * PRIME
            value = mix(value)
            slot, number, size = value & mask, np.int64(-1), at - begin
            while table[slot]:
                if not (table[slot] ^ value) & UPPER:
                    candidate = np.int64(table[slot] & ~UPPER) - 1
                    equal: Integer = borders[candidate + 1] - borders[candidate] == size
                    k = 0
                    while equal and k < size:
                        equal = text[borders[candidate] + k] == data[begin + k]
                        k += 1
                    if equal:
                        number = candidate
                        break
                slot = (slot + np.uint64(1)) & mask
            if number < 0:
                number = state[PIECES]
                if number + 1 >= len(borders) or state[BYTES] + size > len(text):
                    return d
                for k in range(size):
                    text[borders[number] + k] = data[begin + k]
                table[slot] = value & UPPER | np.uint64(number + 1)
                borders[number + 1] = borders[number] + size
                state[PIECES], state[BYTES] = number + 1, borders[number + 1]
            out[count] = number
            count += 1
        ends[d + 1] = count
    return len(offsets) - 1


@inlined
def piece_end(data: Bytes, begin: Integer, end: Integer) -> Integer:
    """The end of the piece that begins at `begin`; `begin` itself if that byte is white space."""
    at = begin
    while at < end:
        byte = data[at]
        if byte == 32 or 9 <= byte <= 10 or byte == 13:
            break
        if is_mark(byte):
            at = at + 1 if at == begin else at
            break
        # Han from U+4E00 to U+9FFF: E4 B8 80 to E9 BF BF
        if 0xE4 <= byte <= 0xE9 and (byte > 0xE4 or data[at + 1] >= 0xB8):
            at = at + 3 if at == begin else at
            break
        at += 1
    return at


@inlined
def is_mark(byte: Integer) -> Integer:
    """Whether a byte is ASCII punctuation or an ASCII symbol."""
    return 33 <= byte <= 47 or 58 <= byte <= 64 or 91 <= byte <= 96 or 123 <= byte <= 126


@kernel
def join_ids(numbers: Ints, number_ends: Longs, ids: Ids, id_ends: Longs, out: Ids, ends: Longs) -> Integer:
    """Replace pieces by their ids: piece i has ids[id_ends[i]:id_ends[i + 1]]. Returns the number of ids written."""
    count = ends[0] = 0
    for d in range(len(number_ends) - 1):
        for i in range(number_ends[d], number_ends[d + 1]):
            for k in range(id_ends[numbers[i]], id_ends[numbers[i] + 1]):
                out[count] = ids[k]
                count += 1
        ends[d + 1] = count
    return count
