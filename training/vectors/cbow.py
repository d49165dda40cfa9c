"""CBOW (Mikolov et al. 2013): the mean of the words around a word predicts it. One loop over the windows of a block.

As in word2vec.c and gensim, each context word gets the whole change of the mean, which is not divided by their number:
it is the gradient times that number. About 0.1 us a window of 6 words and 6 targets at 100 numbers a vector (README).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.vectors.compiler import inlined, kernel
from training.vectors.logistic import gradients, nats, probabilities
from training.vectors.simd import SIMD_WIDTH, add, fma, load, multiply, splat, store, total

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


@kernel
def cbow(
    inputs: Floats,  # rows of `stride` numbers, end to end; the last row is blank: zeros
    outputs: Floats,  # the same
    stride: int,  # numbers a row: a multiple of 16
    contexts: Ints,  # rows of `inputs`, window after window; a blank may be the last
    context_ends: Ints,  # where each window's contexts end
    targets: Ints,  # rows of `outputs`, window after window, a multiple of six each, filled up with blanks
    labels: Floats,  # 1 where a target is to be predicted, 0 where not, 0.5 for a blank
    target_ends: Ints,
    windows: int,
    rate: float,
    loss_every: int,
) -> tuple[float, int]:
    """Update the rows once a window; returns the summed loss of every `loss_every`-th window, and their number."""
    blank, widest, before = len(inputs) // stride - 1, 0, 0
    for window in range(windows):
        widest, before = max(widest, target_ends[window] - before), target_ends[window]
    scores, mean, change = (
        np.zeros(widest + SIMD_WIDTH, np.float32),
        np.zeros(stride, np.float32),
        np.zeros(stride, np.float32),
    )
    loss, loss_windows = 0.0, 0
    context, target = 0, 0
    for window in range(windows):
        context_end, target_end = context_ends[window], target_ends[window]
        around = context_end - context - (contexts[context_end - 1] == blank)
        wide = target_end - target
        average(inputs, stride, contexts, context, around, mean)
        score_mean(mean, outputs, stride, targets, target, wide, scores)
        probabilities(scores, wide)
        if window % loss_every == 0:
            loss += nats(scores, labels, target, 1, wide)
            loss_windows += 1
        gradients(scores, labels, target, 1, wide, rate)
        move_mean(mean, outputs, stride, targets, target, wide, scores, change)
        for c in range(around):
            source = np.int64(contexts[context + c]) * stride
            for at in range(0, stride, SIMD_WIDTH):
                store(inputs, source + at, add(load(inputs, source + at), load(change, at)))
        context, target = context_end, target_end
    return loss, loss_windows


@inlined
def average(inputs: Floats, stride: int, contexts: Ints, context: int, around: int, mean: Floats) -> None:
    """mean = Σ inputs[c] / around."""
    part = splat(np.float32(1.0 / around))
    first = np.int64(contexts[context]) * stride
    for at in range(0, stride, SIMD_WIDTH):
        store(mean, at, multiply(part, load(inputs, first + at)))
    for c in range(1, around):
        source = np.int64(contexts[context + c]) * stride
        for at in range(0, stride, SIMD_WIDTH):
            store(mean, at, fma(part, load(inputs, source + at), load(mean, at)))


@inlined
def score_mean(
    mean: Floats, outputs: Floats, stride: int, targets: Ints, target: int, wide: int, scores: Floats
) -> None:
    """scores[t] = mean · output t, three at a time."""
    for t in range(0, wide, 3):
        a, b = np.int64(targets[target + t]) * stride, np.int64(targets[target + t + 1]) * stride
        d = np.int64(targets[target + t + 2]) * stride
        sum_a = sum_b = sum_d = splat(0.0)
        for at in range(0, stride, SIMD_WIDTH):
            word = load(mean, at)
            sum_a = fma(word, load(outputs, a + at), sum_a)
            sum_b = fma(word, load(outputs, b + at), sum_b)
            sum_d = fma(word, load(outputs, d + at), sum_d)
        scores[t], scores[t + 1], scores[t + 2] = total(sum_a), total(sum_b), total(sum_d)


@inlined
def move_mean(
    mean: Floats, outputs: Floats, stride: int, targets: Ints, target: int, wide: int, scores: Floats, change: Floats
) -> None:
    """change = Σ scores[t] outputs[t], then outputs[t] += scores[t] mean; six targets at a time."""
    for at in range(0, stride, SIMD_WIDTH):
        store(change, at, splat(0.0))
    for t in range(0, wide, 6):
        a, b = np.int64(targets[target + t]) * stride, np.int64(targets[target + t + 1]) * stride
        d, e = np.int64(targets[target + t + 2]) * stride, np.int64(targets[target + t + 3]) * stride
        f, g = np.int64(targets[target + t + 4]) * stride, np.int64(targets[target + t + 5]) * stride
        score_a, score_b, score_d = splat(scores[t]), splat(scores[t + 1]), splat(scores[t + 2])
        score_e, score_f, score_g = splat(scores[t + 3]), splat(scores[t + 4]), splat(scores[t + 5])
        for at in range(0, stride, SIMD_WIDTH):
            word = load(mean, at)
            sum_change = fma(score_b, load(outputs, b + at), fma(score_a, load(outputs, a + at), load(change, at)))
            sum_change = fma(score_e, load(outputs, e + at), fma(score_d, load(outputs, d + at), sum_change))
            store(change, at, fma(score_g, load(outputs, g + at), fma(score_f, load(outputs, f + at), sum_change)))
            # each read again: a target may come twice
            store(outputs, a + at, fma(score_a, word, load(outputs, a + at)))
            store(outputs, b + at, fma(score_b, word, load(outputs, b + at)))
            store(outputs, d + at, fma(score_d, word, load(outputs, d + at)))
            store(outputs, e + at, fma(score_e, word, load(outputs, e + at)))
            store(outputs, f + at, fma(score_f, word, load(outputs, f + at)))
            store(outputs, g + at, fma(score_g, word, load(outputs, g + at)))
