"""Which words stand near which: weighted pairs of a token stream, added up in a hash table of bounded size.

A pair is one whole number, `word << bits | context`, its weight another, so that sums are exact in any order. A word
meets the words before it alone; a symmetric table is kept half (the smaller number first) and mirrored when it leaves.
The stream is read once, without looking ahead: what was begun in one call goes on in the next.

About 4 million tokens a CPU-second at window 10 on a vocabulary of 30,000 (README of pipeline/counts).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.kernels.compiler import inlined, kernel

Words = npt.NDArray[np.int32]
Keys = npt.NDArray[np.uint64]

# what a token can be beside a word's number: left out before windows are drawn, or a border that no window crosses
LEFT_OUT, BORDER = -1, -2
# an empty slot of the table
EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
# where the next of the last words goes, how many there are, slots in use, tokens that were words
NEXT, HELD, USED, SEEN = range(4)
# of the table's slots may be in use: fuller ones are slow to search
FULL = 0.5
RADIX = 11


@inlined
def slot_of(table: Keys, key: np.uint64) -> int:
    """Where this key is, or the empty slot where it belongs; neighbours are tried in turn (linear probing)."""
    mask = len(table) - 1
    at = int((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while table[at, 0] != EMPTY and table[at, 0] != key:
        at = (at + 1) & mask
    return at


@kernel
def count(
    tokens: Words, start: int, numbers: Words, weights: Keys, last: Words, state: npt.NDArray[np.int64], table: Keys,
    bits: int, symmetric: bool,
) -> int:  # fmt: skip
    """Add the pairs of tokens[start:] to the table; returns the first token not done, because the table is full.

    numbers[token]: the word's number, LEFT_OUT or BORDER. weights[d]: of two words d apart; its length is the window
    and one. last: the words before, a ring of the window's size. state: NEXT, HELD, USED, SEEN. table: slots (a power
    of two) × (key, sum).
    """
    window, room, shift = len(last), np.int64(len(table) * FULL), np.uint64(bits)
    for at in range(start, len(tokens)):
        word = numbers[tokens[at]]
        if word == BORDER:
            state[HELD] = 0
        if word < 0:
            continue
        if state[USED] + window > room:
            return at
        place = state[NEXT]
        for distance in range(1, state[HELD] + 1):
            place = place - 1 if place > 0 else window - 1
            other, weight = last[place], weights[distance]
            key = (np.uint64(word) << shift) | np.uint64(other)
            if symmetric and word >= other:
                key = (np.uint64(other) << shift) | np.uint64(word)
                if word == other:  # it stands in the other's window as the other stands in its own
                    weight = weight + weight
            slot = slot_of(table, key)
            if table[slot, 0] == EMPTY:
                table[slot, 0], table[slot, 1] = key, np.uint64(0)
                state[USED] += 1
            table[slot, 1] += weight
        last[state[NEXT]] = word
        state[NEXT] = (state[NEXT] + 1) % window
        state[HELD] = min(state[HELD] + 1, window)
        state[SEEN] += 1
    return len(tokens)


@kernel
def empty(table: Keys, bits: int, symmetric: bool, keys: Keys, sums: Keys) -> int:
    """Take every pair out of the table, and its mirror image if it is kept half; returns how many there are."""
    found, shift, mask = 0, np.uint64(bits), (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    for at in range(len(table)):
        key = table[at, 0]
        if key == EMPTY:
            continue
        keys[found], sums[found] = key, table[at, 1]
        found += 1
        word, context = key >> shift, key & mask
        if symmetric and word != context:
            keys[found], sums[found] = (context << shift) | word, table[at, 1]
            found += 1
        table[at, 0] = EMPTY
    return found


@kernel
def sort(keys: Keys, sums: Keys, spare_keys: Keys, spare_sums: Keys, bits: int) -> bool:
    """Order pairs by key, of `bits` bits (radix sort, smallest digits first); whether they end in the spare arrays."""
    flipped, buckets = False, np.empty(1 << RADIX, np.int64)
    mask = np.uint64((1 << RADIX) - 1)
    for low in range(0, bits, RADIX):
        digit = np.uint64(low)
        buckets[:] = 0
        for at in range(len(keys)):
            buckets[int((keys[at] >> digit) & mask)] += 1
        total = 0
        for bucket in range(len(buckets)):
            total, buckets[bucket] = total + buckets[bucket], total
        for at in range(len(keys)):
            bucket = int((keys[at] >> digit) & mask)
            spare_keys[buckets[bucket]], spare_sums[buckets[bucket]] = keys[at], sums[at]
            buckets[bucket] += 1
        keys, spare_keys, sums, spare_sums = spare_keys, keys, spare_sums, sums
        flipped = not flipped
    return flipped


@kernel
def merge(keys: Keys, sums: Keys, other_keys: Keys, other_sums: Keys, into_keys: Keys, into_sums: Keys) -> int:
    """Two ordered lists of pairs into one, equal keys added up; returns its length."""
    one, other, found = 0, 0, 0
    while one < len(keys) and other < len(other_keys):
        key, other_key = keys[one], other_keys[other]
        takes, takes_other = key <= other_key, other_key <= key  # no branch: which comes first cannot be foretold
        into_keys[found] = min(key, other_key)
        into_sums[found] = sums[one] * np.uint64(takes) + other_sums[other] * np.uint64(takes_other)
        one += takes
        other += takes_other
        found += 1
    for at in range(one, len(keys)):
        into_keys[found], into_sums[found] = keys[at], sums[at]
        found += 1
    for at in range(other, len(other_keys)):
        into_keys[found], into_sums[found] = other_keys[at], other_sums[at]
        found += 1
    return found
