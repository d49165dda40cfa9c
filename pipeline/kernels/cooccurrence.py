"""Co-occurrence counts: weighted pairs of nearby words of a token stream, summed in a hash table of bounded size.

A pair is an integer, `word << bits | context`, and so is its weight: sums are exact in any order. A word is paired only
with the words before it. Of a symmetric table one half is stored (the smaller number first); `drain` adds the other.
The stream is read once, without look-ahead; a call continues where the last one stopped.

About 4 million tokens per CPU-second at window 10 on a vocabulary of 30,000 (README of pipeline/counts).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.kernels.compiler import inlined, kernel

WordNumbers = npt.NDArray[np.int32]
PairKeys = npt.NDArray[np.uint64]

# a token is a word's number or one of these: left out before windows are formed, or a border that no window crosses
LEFT_OUT, BORDER = -1, -2
# marks an empty slot of the table
EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
# indexes of `state`: the next position in the ring, words in the ring, slots in use, tokens that were words
NEXT, FILLED, USED, COUNTED = range(4)
# the share of slots that may be in use; a fuller table is slow to search
MAX_LOAD = 0.5
RADIX = 11


@inlined
def find_slot(table: PairKeys, key: np.uint64) -> int:
    """The slot that holds the key, or the empty slot where it belongs (linear probing)."""
    mask = len(table) - 1
    slot = int((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while table[slot, 0] != EMPTY and table[slot, 0] != key:
        slot = (slot + 1) & mask
    return slot


@kernel
def count(
    tokens: WordNumbers, start: int, numbers: WordNumbers, weights: PairKeys, recent: WordNumbers,
    state: npt.NDArray[np.int64], table: PairKeys, bits: int, symmetric: bool,
) -> int:  # fmt: skip
    """Add the pairs of tokens[start:] to the table. Returns the index of the first token not done if the table is full.

    numbers[token]: the word's number, LEFT_OUT or BORDER. weights[d]: the weight of two words d apart; its length is
    the window plus one. recent: the last words, a ring buffer of the window's size. state: NEXT, FILLED, USED, COUNTED.
    table: slots (a power of two) × (key, sum).
    """
    window, capacity, shift = len(recent), np.int64(len(table) * MAX_LOAD), np.uint64(bits)
    for at in range(start, len(tokens)):
        word = numbers[tokens[at]]
        if word == BORDER:
            state[FILLED] = 0
        if word < 0:
            continue
        if state[USED] + window > capacity:
            return at
        ring_index = state[NEXT]
        for distance in range(1, state[FILLED] + 1):
            ring_index = ring_index - 1 if ring_index > 0 else window - 1
            context, weight = recent[ring_index], weights[distance]
            key = (np.uint64(word) << shift) | np.uint64(context)
            if symmetric and word >= context:
                key = (np.uint64(context) << shift) | np.uint64(word)
                if word == context:  # each of the two occurrences is in the window of the other
                    weight = weight + weight
            slot = find_slot(table, key)
            if table[slot, 0] == EMPTY:
                table[slot, 0], table[slot, 1] = key, np.uint64(0)
                state[USED] += 1
            table[slot, 1] += weight
        recent[state[NEXT]] = word
        state[NEXT] = (state[NEXT] + 1) % window
        state[FILLED] = min(state[FILLED] + 1, window)
        state[COUNTED] += 1
    return len(tokens)


@kernel
def drain(table: PairKeys, bits: int, symmetric: bool, keys: PairKeys, sums: PairKeys) -> int:
    """Move every pair, and its mirror image in a symmetric table, out of the table. Returns the number of pairs."""
    count, shift, mask = 0, np.uint64(bits), (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    for slot in range(len(table)):
        key = table[slot, 0]
        if key == EMPTY:
            continue
        keys[count], sums[count] = key, table[slot, 1]
        count += 1
        word, context = key >> shift, key & mask
        if symmetric and word != context:
            keys[count], sums[count] = (context << shift) | word, table[slot, 1]
            count += 1
        table[slot, 0] = EMPTY
    return count


@kernel
def sort(keys: PairKeys, sums: PairKeys, spare_keys: PairKeys, spare_sums: PairKeys, bits: int) -> bool:
    """Sort pairs by keys of `bits` bits (radix sort, smallest digits first). Returns whether they are in the spares."""
    flipped, buckets = False, np.empty(1 << RADIX, np.int64)
    mask = np.uint64((1 << RADIX) - 1)
    for low in range(0, bits, RADIX):
        digit = np.uint64(low)
        buckets[:] = 0
        for i in range(len(keys)):
            buckets[int((keys[i] >> digit) & mask)] += 1
        total = 0
        for bucket in range(len(buckets)):
            total, buckets[bucket] = total + buckets[bucket], total
        for i in range(len(keys)):
            bucket = int((keys[i] >> digit) & mask)
            spare_keys[buckets[bucket]], spare_sums[buckets[bucket]] = keys[i], sums[i]
            buckets[bucket] += 1
        keys, spare_keys, sums, spare_sums = spare_keys, keys, spare_sums, sums
        flipped = not flipped
    return flipped


@kernel
def merge(
    left_keys: PairKeys,
    left_sums: PairKeys,
    right_keys: PairKeys,
    right_sums: PairKeys,
    into_keys: PairKeys,
    into_sums: PairKeys,
) -> int:
    """Merge two sorted lists of pairs and add up the sums of equal keys. Returns the length of the merged list."""
    left, right, count = 0, 0, 0
    while left < len(left_keys) and right < len(right_keys):
        left_key, right_key = left_keys[left], right_keys[right]
        # computed without a branch, because the processor could not predict it
        takes_left, takes_right = left_key <= right_key, right_key <= left_key
        into_keys[count] = min(left_key, right_key)
        into_sums[count] = left_sums[left] * np.uint64(takes_left) + right_sums[right] * np.uint64(takes_right)
        left += takes_left
        right += takes_right
        count += 1
    for i in range(left, len(left_keys)):
        into_keys[count], into_sums[count] = left_keys[i], left_sums[i]
        count += 1
    for i in range(right, len(right_keys)):
        into_keys[count], into_sums[count] = right_keys[i], right_sums[i]
        count += 1
    return count
