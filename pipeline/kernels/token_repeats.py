"""Repeated n-grams of tokens by datatrove's reading of Gopher's table A1: its scan, its ties, its characters.

The most frequent n-gram of 2 to 4 tokens counts its characters, with a space between tokens, once for each occurrence;
the first in the text wins a tie, and an n-gram that occurs once counts too. For 5 to 10 tokens a scan adds the
characters of an n-gram that it has recorded and jumps past it; what it jumps over is not recorded. As in `ngrams`, a
size is counted only where the size below it repeats. Linear in the tokens.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.kernels import ngrams
from pipeline.kernels.code_points import Integer, mix
from pipeline.kernels.compiler import bare_inner
from pipeline.kernels.hash_table import begin, first_position
from pipeline.kernels.ngrams import LARGEST, LARGEST_TOP, TOP, WIDTH, Grams, first_live, narrow
from pipeline.kernels.tokens import Tokens
from pipeline.kernels.units import CountArray
from pipeline.text.unicode import Bytes


class Repeats(NamedTuple):
    """Scratch space for one document. `recorded[i]`: whether the scan recorded the n-gram whose first position is i."""

    grams: Grams
    recorded: Bytes


def scratch(most: int) -> Repeats:
    """Allocate scratch space for documents of up to `most` tokens."""
    return Repeats(ngrams.scratch(most), np.empty(most + 1, np.uint8))


@bare_inner
def measure_token_repeats(tokens: Tokens, n: Integer, repeats: Repeats, counts: CountArray) -> None:
    """Fill `counts[size]` for a document of n tokens."""
    counts[:WIDTH] = 0
    for size in TOP:
        if n >= size:
            counts[size] = tokens.end[size] + size - 1
    grams = repeats.grams
    count_tokens(tokens, n, grams)
    live = first_live(grams, n)
    for k in range(live):
        i = grams.live[k]
        grams.run[i] = tokens.hash[i]
    for size in range(2, LARGEST + 1):
        if live < 2:
            break
        for k in range(live):
            i = grams.live[k]
            # the hash of the tokens joined without a separator, as datatrove joins them
            grams.run[i] = grams.run[i] * tokens.power[i + size - 1] + tokens.hash[i + size - 1]
        if size <= LARGEST_TOP:
            characters = count_top(tokens, grams, live, size, n)
            counts[size] = characters if characters else counts[size]
        else:
            counts[size] = scan(tokens, repeats, live, size, n)
        if size < LARGEST:
            live = narrow(grams, live, size, n)


@bare_inner
def count_tokens(tokens: Tokens, n: Integer, grams: Grams) -> None:
    """Find the first position of every token and count its occurrences."""
    mask, base = begin(grams.positions, n, n)
    for i in range(n):
        slot = mix(tokens.hash[i]) & mask
        first = first_position(tokens.hash, i, slot, grams.positions, mask, base)
        grams.first[i] = first
        grams.occurrences[first] = np.int64(grams.occurrences[first]) * (first < np.uint64(i)) + 1


@bare_inner
def count_top(tokens: Tokens, grams: Grams, live: Integer, size: Integer, n: Integer) -> Integer:
    """Count the n-grams of this size at live positions. Returns the characters of the most frequent one, the first in
    the text among equals; 0 if none occurs twice."""
    mask, base = begin(grams.positions, live, n)
    best, best_first = np.int64(1), np.uint64(0)
    for k in range(live):
        i = grams.live[k]
        slot = mix(grams.run[i]) & mask
        first = first_position(grams.run, i, slot, grams.positions, mask, base)
        occurrences = np.int64(grams.occurrences[first]) * (first < np.uint64(i)) + 1
        grams.first[i], grams.occurrences[first] = first, occurrences
        if occurrences > best or (occurrences == best and first < best_first):
            best, best_first = occurrences, first
    if best == 1:
        return np.int64(0)
    return best * np.int64(tokens.end[best_first + np.uint64(size)] - tokens.end[best_first] + size - 1)


@bare_inner
def scan(tokens: Tokens, repeats: Repeats, live: Integer, size: Integer, n: Integer) -> Integer:
    """Count the n-grams of this size at live positions. Returns the characters that the scan finds. `skip`: the scan
    ignores what is before."""
    grams, recorded = repeats
    mask, base = begin(grams.positions, live, n)
    total, skip = np.int64(0), 0
    for k in range(live):
        i = grams.live[k]
        slot = mix(grams.run[i]) & mask
        first = first_position(grams.run, i, slot, grams.positions, mask, base)
        known = first < np.uint64(i)
        grams.first[i] = first
        grams.occurrences[first] = np.int64(grams.occurrences[first]) * known + 1
        recorded[first] &= known
        if i >= skip:
            if recorded[first]:
                total += tokens.end[i + size] - tokens.end[i]
                skip = i + size
            recorded[first] = 1
    return total
