"""Skip-gram (Mikolov et al. 2013): each word around a word predicts it. One loop over the windows of a block.

All words around one word share its targets (the word itself and its negatives, or its path in the Huffman tree), so a
window is two small products of matrices: all scores first, then all changes, each computed from the vectors as they
were before the window. That is the exact gradient of the window's loss. About 0.2 us a window of 6 × 6 at 100 numbers a
vector: 5.5 M words per CPU-second, 13 times gensim (README).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.vectors.compiler import inlined, kernel
from training.vectors.logistic import gradients, nats, probabilities
from training.vectors.simd import SIMD_WIDTH, add, fma, load, splat, store, total

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
TILE = 6  # targets that are moved at once


@kernel
def skipgram(
    inputs: Floats,  # rows of `stride` numbers, end to end; the last row is blank: zeros
    outputs: Floats,  # the same
    stride: int,  # numbers a row: a multiple of 16
    contexts: Ints,  # rows of `inputs`, window after window, an even number each: the last may be blank
    context_ends: Ints,  # where each window's contexts end
    targets: Ints,  # rows of `outputs`, window after window, a multiple of six each, filled up with blanks
    labels: Floats,  # 1 where a target is to be predicted, 0 where not, 0.5 for a blank
    target_ends: Ints,
    windows: int,
    rate: float,
    loss_every: int,
) -> tuple[float, int]:
    """Update the rows once a window; returns the summed loss of every `loss_every`-th window, and their pairs."""
    blank = len(inputs) // stride - 1
    scores = np.zeros(_largest(context_ends, windows) * _largest(target_ends, windows) + SIMD_WIDTH, np.float32)
    # only where a window has more than six targets: the changes of its inputs and outputs
    back = np.zeros(_largest(context_ends, windows) * stride, np.float32)
    forth = np.zeros(_largest(target_ends, windows) * stride, np.float32)
    loss, pairs = 0.0, 0
    context, target = 0, 0
    for window in range(windows):
        context_end, target_end = context_ends[window], target_ends[window]
        around, wide = context_end - context, target_end - target
        score(inputs, outputs, stride, contexts, context, around, targets, target, wide, scores)
        around -= contexts[context_end - 1] == blank
        probabilities(scores, around * wide)
        if window % loss_every == 0:
            loss += nats(scores, labels, target, around, wide)
            pairs += around
        gradients(scores, labels, target, around, wide, rate)
        if wide == TILE:
            move_six(inputs, outputs, stride, contexts, context, around, targets, target, scores)
        else:
            move_many(inputs, outputs, stride, contexts, context, around, targets, target, wide, scores, back, forth)
        context, target = context_end, target_end
    return loss, pairs


@inlined
def _largest(ends: Ints, windows: int) -> int:
    largest = before = 0
    for window in range(windows):
        largest, before = max(largest, ends[window] - before), ends[window]
    return largest


@inlined
def score(
    inputs: Floats, outputs: Floats, stride: int, contexts: Ints, context: int, around: int, targets: Ints,
    target: int, wide: int, scores: Floats,
) -> None:  # fmt: skip
    """scores[c, t] = input c · output t, in tiles of two by three that stay in registers."""
    zero = splat(np.float32(0))
    for c in range(0, around, 2):
        first_row, second_row = np.int64(contexts[context + c]) * stride, np.int64(contexts[context + c + 1]) * stride
        for t in range(0, wide, 3):
            a = np.int64(targets[target + t]) * stride
            b = np.int64(targets[target + t + 1]) * stride
            d = np.int64(targets[target + t + 2]) * stride
            one_a = one_b = one_d = two_a = two_b = two_d = zero
            for at in range(0, stride, SIMD_WIDTH):
                first, second = load(inputs, first_row + at), load(inputs, second_row + at)
                out_a, out_b, out_d = load(outputs, a + at), load(outputs, b + at), load(outputs, d + at)
                one_a, one_b, one_d = fma(first, out_a, one_a), fma(first, out_b, one_b), fma(first, out_d, one_d)
                two_a, two_b, two_d = fma(second, out_a, two_a), fma(second, out_b, two_b), fma(second, out_d, two_d)
            offset = c * wide + t
            scores[offset], scores[offset + 1], scores[offset + 2] = total(one_a), total(one_b), total(one_d)
            offset += wide
            scores[offset], scores[offset + 1], scores[offset + 2] = total(two_a), total(two_b), total(two_d)


@inlined
def move_six(
    inputs: Floats, outputs: Floats, stride: int, contexts: Ints, context: int, around: int, targets: Ints, target: int,
    scores: Floats,
) -> None:  # fmt: skip
    """inputs[c] += Σ scores[c, t] outputs[t] and outputs[t] += Σ scores[c, t] inputs[c], for six targets.

    Six outputs and six sums stay in registers while the inputs pass by. An input that comes twice moves twice.
    """
    a, b = np.int64(targets[target]) * stride, np.int64(targets[target + 1]) * stride
    d, e = np.int64(targets[target + 2]) * stride, np.int64(targets[target + 3]) * stride
    f, g = np.int64(targets[target + 4]) * stride, np.int64(targets[target + 5]) * stride
    for at in range(0, stride, SIMD_WIDTH):
        out_a, out_b, out_d = load(outputs, a + at), load(outputs, b + at), load(outputs, d + at)
        out_e, out_f, out_g = load(outputs, e + at), load(outputs, f + at), load(outputs, g + at)
        sum_a = sum_b = sum_d = sum_e = sum_f = sum_g = splat(np.float32(0))
        for c in range(around):
            place, offset = np.int64(contexts[context + c]) * stride + at, c * 6
            word = load(inputs, place)
            score_a, score_b, score_d = splat(scores[offset]), splat(scores[offset + 1]), splat(scores[offset + 2])
            moved = fma(score_d, out_d, fma(score_b, out_b, fma(score_a, out_a, word)))
            sum_a, sum_b, sum_d = fma(score_a, word, sum_a), fma(score_b, word, sum_b), fma(score_d, word, sum_d)
            score_e, score_f, score_g = splat(scores[offset + 3]), splat(scores[offset + 4]), splat(scores[offset + 5])
            moved = fma(score_g, out_g, fma(score_f, out_f, fma(score_e, out_e, moved)))
            sum_e, sum_f, sum_g = fma(score_e, word, sum_e), fma(score_f, word, sum_f), fma(score_g, word, sum_g)
            store(inputs, place, moved)
        # read again: a target may come twice
        store(outputs, a + at, add(load(outputs, a + at), sum_a))
        store(outputs, b + at, add(load(outputs, b + at), sum_b))
        store(outputs, d + at, add(load(outputs, d + at), sum_d))
        store(outputs, e + at, add(load(outputs, e + at), sum_e))
        store(outputs, f + at, add(load(outputs, f + at), sum_f))
        store(outputs, g + at, add(load(outputs, g + at), sum_g))


@inlined
def move_many(
    inputs: Floats, outputs: Floats, stride: int, contexts: Ints, context: int, around: int, targets: Ints, target: int,
    wide: int, scores: Floats, back: Floats, forth: Floats,
) -> None:  # fmt: skip
    """The same for any multiple of six targets: sums first, in `back` (inputs) and `forth` (outputs), then both."""
    back[: around * stride] = 0
    for t in range(0, wide, TILE):
        a, b = np.int64(targets[target + t]) * stride, np.int64(targets[target + t + 1]) * stride
        d, e = np.int64(targets[target + t + 2]) * stride, np.int64(targets[target + t + 3]) * stride
        f, g = np.int64(targets[target + t + 4]) * stride, np.int64(targets[target + t + 5]) * stride
        for at in range(0, stride, SIMD_WIDTH):
            out_a, out_b, out_d = load(outputs, a + at), load(outputs, b + at), load(outputs, d + at)
            out_e, out_f, out_g = load(outputs, e + at), load(outputs, f + at), load(outputs, g + at)
            sum_a = sum_b = sum_d = sum_e = sum_f = sum_g = splat(np.float32(0))
            for c in range(around):
                offset, place = c * wide + t, c * stride + at
                word, moved = load(inputs, np.int64(contexts[context + c]) * stride + at), load(back, place)
                score_a, score_b, score_d = splat(scores[offset]), splat(scores[offset + 1]), splat(scores[offset + 2])
                moved = fma(score_d, out_d, fma(score_b, out_b, fma(score_a, out_a, moved)))
                sum_a, sum_b, sum_d = fma(score_a, word, sum_a), fma(score_b, word, sum_b), fma(score_d, word, sum_d)
                score_e, score_f, score_g = (
                    splat(scores[offset + 3]),
                    splat(scores[offset + 4]),
                    splat(scores[offset + 5]),
                )
                moved = fma(score_g, out_g, fma(score_f, out_f, fma(score_e, out_e, moved)))
                sum_e, sum_f, sum_g = fma(score_e, word, sum_e), fma(score_f, word, sum_f), fma(score_g, word, sum_g)
                store(back, place, moved)
            offset = t * stride + at
            store(forth, offset, sum_a)
            store(forth, offset + stride, sum_b)
            store(forth, offset + 2 * stride, sum_d)
            store(forth, offset + 3 * stride, sum_e)
            store(forth, offset + 4 * stride, sum_f)
            store(forth, offset + 5 * stride, sum_g)
    shift(inputs, stride, contexts, context, around, back)
    shift(outputs, stride, targets, target, wide, forth)


@inlined
def shift(table: Floats, stride: int, members: Ints, first: int, count: int, changes: Floats) -> None:
    """table[members[first + i]] += changes[i]."""
    for index in range(count):
        place, offset = np.int64(members[first + index]) * stride, index * stride
        for at in range(0, stride, SIMD_WIDTH):
            store(table, place + at, add(load(table, place + at), load(changes, offset + at)))
