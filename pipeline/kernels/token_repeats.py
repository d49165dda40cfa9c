"""Repeated n-grams of tokens by datatrove's reading of Gopher's table A1: its scan, its ties, its characters.

The most frequent n-gram of 2 to 4 tokens counts its characters, with a space between tokens, once for each occurrence;
the first in the text wins a tie, and an n-gram that occurs once counts too. For 5 to 10 tokens a scan adds the
characters of an n-gram that it has recorded and jumps past it; what it jumps over is not recorded. As in `ngrams`, a
size is counted only where the size below it repeats. (About 400 MB of English text per CPU-second.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.kernels.code_points import Integer, mix
from pipeline.kernels.compiler import bare_inner
from pipeline.kernels.hash_table import Hashes, Ints
from pipeline.kernels.ngrams import LARGEST, TOP
from pipeline.kernels.tokens import Tokens
from pipeline.kernels.units import CountArray
from pipeline.text.unicode import Bytes

WIDTH = LARGEST + 1
LARGEST_TOP = max(TOP)


class Repeats(NamedTuple):
    """Scratch space for one document.

    `run[i]`: hash of the n-gram at token i; `live`: positions where n-grams may repeat, ascending; `counts[i]`:
    occurrences of the n-gram whose first position is i, 0 elsewhere; `repeats[i]`: whether the n-gram at i occurs
    elsewhere too; `recorded[i]`: whether the scan recorded the n-gram whose first position is i.
    """

    run: Hashes
    live: Ints
    counts: Ints
    repeats: Bytes
    recorded: Bytes
    table: Ints


def scratch(most: int) -> Repeats:
    """Allocate scratch space for documents of up to `most` tokens."""
    size = max(8, 1 << (2 * most + 1).bit_length())
    return Repeats(
        np.empty(most + 1, np.uint64), np.empty(most + 1, np.int32), np.empty(most + 1, np.int32),
        np.empty(most + 1, np.uint8), np.empty(most + 1, np.uint8), np.empty(size, np.int32),
    )  # fmt: skip


@bare_inner
def measure_token_repeats(tokens: Tokens, n: Integer, grams: Repeats, counts: CountArray) -> None:
    """Fill `counts[size]` for a document of n tokens."""
    counts[:WIDTH] = 0
    for size in TOP:
        if n >= size:
            counts[size] = tokens.end[size] + size - 1
    for i in range(n):
        grams.run[i], grams.live[i] = tokens.hash[i], i
    live = n
    for size in range(1, LARGEST + 1):
        if live < 2:
            break
        characters = count_size(tokens, grams, live, size)
        if size > 1 and characters > 0:
            counts[size] = characters
        if size < LARGEST:
            live = narrow(tokens, grams, live, size, n)


@bare_inner
def count_size(tokens: Tokens, grams: Repeats, live: Integer, size: Integer) -> Integer:
    """Count the n-grams of this size at live positions. Returns the characters of the most frequent n-gram if it occurs
    more than once (sizes 2 to 4), or those that the scan found (other sizes). `skip`: the scan ignores what is before.
    """
    slots = 8
    while slots < 2 * live:
        slots *= 2
    grams.table[:slots] = -1
    mask, total, skip = np.uint64(slots - 1), np.int64(0), 0
    for k in range(live):
        i = grams.live[k]
        slot = mix(grams.run[i]) & mask
        while grams.table[slot] >= 0 and grams.run[grams.table[slot]] != grams.run[i]:
            slot = (slot + np.uint64(1)) & mask
        first = grams.table[slot]
        if first < 0:
            first = i
            grams.table[slot], grams.counts[i], grams.repeats[i], grams.recorded[i] = i, 1, 0, 0
        else:
            grams.counts[first] += 1
            grams.counts[i], grams.repeats[first], grams.repeats[i] = 0, 1, 1
        if i >= skip:
            if grams.recorded[first]:
                total += tokens.end[i + size] - tokens.end[i]
                skip = i + size
            grams.recorded[first] = 1
    if size > LARGEST_TOP:
        return total
    best = 1
    total = np.int64(0)
    for k in range(live):
        i = grams.live[k]
        if grams.counts[i] > best:
            best = grams.counts[i]
            total = np.int64(best) * (tokens.end[i + size] - tokens.end[i] + size - 1)
    return total


@bare_inner
def narrow(tokens: Tokens, grams: Repeats, live: Integer, size: Integer, n: Integer) -> Integer:
    """Keep the positions where the next size may repeat: this size repeats there and one token later."""
    live_after = 0
    for k in range(live - 1):
        i = grams.live[k]
        if grams.repeats[i] and grams.live[k + 1] == i + 1 and grams.repeats[i + 1] and i + size < n:
            # the hash of the tokens joined without a separator, as datatrove joins them
            grams.run[i] = grams.run[i] * tokens.power[i + size] + tokens.hash[i + size]
            grams.live[live_after] = i
            live_after += 1
    return live_after
