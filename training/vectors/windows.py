"""From the tokens of a block to windows: which words are kept, which are around which, and what is to be predicted.

Only integers: this file defines the windows, skipgram.py and cbow.py use them to update vectors. Words are numbered
within a block (slots), so that a block's vectors lie side by side. About 30 ns a kept word.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.vectors.compiler import inlined, kernel

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
BORDER = -1  # between words: no window crosses it
ALWAYS = 1 << 32  # of 2^32 draws, those that keep a word; 0: never (unknown); BORDER: an end of sentence or text
GOLDEN = 0x9E3779B97F4A7C15


@inlined
def mixed(x: np.uint64) -> np.uint64:
    """The finaliser of splitmix64 (Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@kernel
def kept_words(
    tokens: Ints,  # rows × length
    lengths: Ints,  # of which so many count
    keep: NDArray[np.int64],  # a number a token: ALWAYS … 0, or BORDER
    slots: Ints,  # of each token, or -1: all -1 before; set for those in `members` after
    key: int,
    words: Ints,  # slots of the words that stay, BORDER between sentences and at the end
    members: Ints,  # the token of each slot
) -> tuple[int, int]:
    """Drop unknown words, and frequent ones at random; returns the number of words (with borders) and of slots."""
    count = distinct = 0
    draw = np.uint64(key)
    for row in range(len(lengths)):
        for at in range(lengths[row]):
            token = tokens[row, at]
            chance = keep[token]
            if chance < ALWAYS:
                if chance == BORDER and count and words[count - 1] != BORDER:
                    words[count] = BORDER
                    count += 1
                if chance <= 0:
                    continue
                draw += np.uint64(GOLDEN)
                if np.int64(mixed(draw) >> np.uint64(32)) >= chance:
                    continue
            if slots[token] < 0:
                slots[token], members[distinct] = distinct, token
                distinct += 1
            words[count] = slots[token]
            count += 1
        if count and words[count - 1] != BORDER:
            words[count] = BORDER
            count += 1
    return count, distinct


@kernel
def windows_with_negatives(
    words: Ints,
    count: int,
    pool: Ints,  # slots to draw negatives from, a power of two of them, at most 4096
    negatives: int,
    size: int,  # words on each side, at most
    least: int,  # words on each side, at least: `size`, or 1 for a window that is drawn
    blank_input: int,
    blank_output: int,
    key: int,
    contexts: Ints, context_ends: Ints, targets: Ints, labels: Floats, target_ends: Ints,
) -> int:  # fmt: skip
    """Write a window (contexts, the word, negatives) for each word with a neighbour; returns the number of windows."""
    windows = context = target = sentence_start = 0
    draw, mask, wide = np.uint64(key), np.uint64(len(pool) - 1), (negatives + 6) // 6 * 6
    for position in range(count):
        word = words[position]
        if word == BORDER:
            sentence_start = position + 1
            continue
        draw += np.uint64(GOLDEN)
        bits = mixed(draw)
        reach = least + int(((bits >> np.uint64(40)) * np.uint64(size - least + 1)) >> np.uint64(24))
        context_end = around(words, count, sentence_start, position, reach, blank_input, contexts, context)
        if context_end == context:
            continue
        context = context_end
        targets[target], labels[target] = word, 1
        draw += np.uint64(GOLDEN)
        bits = mixed(draw)
        for index in range(1, wide):
            # a negative that is the word itself does not count (as in word2vec.c), nor do those that only fill up
            negative = blank_output
            if index <= negatives:
                if index % 5 == 0:
                    draw += np.uint64(GOLDEN)
                    bits = mixed(draw)
                negative = pool[np.int64(bits & mask)]
                bits >>= np.uint64(12)
                if negative == word:
                    negative = blank_output
            targets[target + index] = negative
            labels[target + index] = np.float32(0.5) if negative == blank_output else np.float32(0)
        target += wide
        context_ends[windows], target_ends[windows] = context, target
        windows += 1
    return windows


@inlined
def around(
    words: Ints, count: int, sentence_start: int, position: int, reach: int, blank: int, contexts: Ints, context: int
) -> int:
    """Write the words within `reach` of `position` in its sentence, padded to an even number; returns their end."""
    for at in range(max(sentence_start, position - reach), position):
        contexts[context] = words[at]
        context += 1
    first = context
    for at in range(position + 1, min(count, position + reach + 1)):
        if words[at] == BORDER:
            break
        contexts[context] = words[at]
        context += 1
    context_count = context - first + position - max(sentence_start, position - reach)
    if context_count % 2:
        contexts[context] = blank
        context += 1
    return context


@kernel
def draw_pool(
    cumulative: NDArray[np.float64], guide: Ints, key: int, slots: Ints, members: Ints, distinct: int, pool: Ints,
) -> int:  # fmt: skip
    """Fill `pool` with the slots of words drawn by their probability; returns the number of slots, new ones included.

    One draw from each of len(pool) equal parts of the distribution: as likely as free draws, and more even.
    cumulative: for each word, the probability of it and all before; guide[i]: the first word that ends after
    i / len(guide).
    """
    draw = np.uint64(key)
    for index in range(len(pool)):
        draw += np.uint64(GOLDEN)
        point = (index + (mixed(draw) >> np.uint64(11)) * 2.0**-53) / len(pool)
        word = guide[int(point * len(guide))]
        while cumulative[word] <= point:
            word += 1
        if slots[word] < 0:
            slots[word], members[distinct] = distinct, word
            distinct += 1
        pool[index] = slots[word]
    return distinct


@kernel
def forget(slots: Ints, members: Ints, distinct: int) -> None:
    """Make every slot -1 again."""
    for index in range(distinct):
        slots[members[index]] = -1


@kernel
def count_visits(
    contexts: Ints, context_ends: Ints, targets: Ints, target_ends: Ints, windows: int,
    inputs: Ints, input_count: int, outputs: Ints, output_count: int,
) -> None:  # fmt: skip
    """How many products of an input and an output row each takes part in (for blocks.share_of)."""
    inputs[:input_count] = 0
    outputs[:output_count] = 0
    context = target = 0
    for window in range(windows):
        # a blank is counted among the others of its window, and has no count of its own
        around, wide = context_ends[window] - context, target_ends[window] - target
        for c in range(context, context_ends[window]):
            if contexts[c] < input_count:
                inputs[contexts[c]] += wide
        for t in range(target, target_ends[window]):
            if targets[t] < output_count:
                outputs[targets[t]] += around
        context, target = context_ends[window], target_ends[window]
