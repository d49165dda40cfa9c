"""The logistic loss of scores: its gradient, sixteen at once, and its nats.

The curve is a rational function, within 2e-7 of the logistic function between -9 and 9 and flat beyond (word2vec.c
looks it up in a table of 1,000 steps between -6 and 6).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from training.vectors.compiler import inlined
from training.vectors.simd import SIMD_WIDTH, add, divide, fma, larger, load, multiply, smaller, splat, store

Floats = NDArray[np.float32]
# 1 / (1 + exp(-x)) - 1/2 = x P(x²) / Q(x²), lowest power first; least squares, reweighted until the error was even
P = (0.25, 0.007867309264838696, 3.9830942114349455e-05, 2.1269345396035533e-08)
Q = (1.0, 0.11480244249105453, 0.001392905367538333, 2.719504436754505e-06)


@inlined
def probabilities(scores: Floats, count: int) -> None:
    """The logistic function of the first `count` scores, in place (and of some beyond, up to a multiple of 16)."""
    for at in range(0, count, SIMD_WIDTH):
        x = smaller(larger(load(scores, at), splat(-9.0)), splat(9.0))
        square = multiply(x, x)
        above = fma(fma(fma(splat(P[3]), square, splat(P[2])), square, splat(P[1])), square, splat(P[0]))
        below = fma(fma(fma(splat(Q[3]), square, splat(Q[2])), square, splat(Q[1])), square, splat(Q[0]))
        store(scores, at, add(splat(0.5), divide(multiply(x, above), below)))


@inlined
def nats(scores: Floats, labels: Floats, target: int, around: int, wide: int) -> float:
    """The summed -log of the probabilities of the labels; blanks (0.5) do not count."""
    summed_nats, product = 0.0, 1.0
    for c in range(around):
        for t in range(wide):
            label = labels[target + t]
            if label != np.float32(0.5):
                positive = float(scores[c * wide + t])
                product *= positive if label == np.float32(1) else 1.0 - positive
                # one logarithm for many factors, taken before the product is too small for a float64
                if product < 1e-250:
                    summed_nats, product = summed_nats - math.log(product), 1.0
    return summed_nats - math.log(product)


@inlined
def gradients(scores: Floats, labels: Floats, target: int, around: int, wide: int, rate: float) -> None:
    """From probabilities to rate × (label - probability): exactly zero for a blank, whose score is zero."""
    step, minus = np.float32(rate), splat(np.float32(-rate))
    for at in range(0, around * wide, SIMD_WIDTH):
        store(scores, at, multiply(minus, load(scores, at)))
    for t in range(wide):
        if labels[target + t] != np.float32(0):
            for c in range(around):
                scores[c * wide + t] += step * labels[target + t]
