"""GloVe (Pennington et al. 2014, equations 8 and 9): weighted least squares on the logarithm of co-occurrence counts.

    J = ½ Σ f(X_ij) (w_i · w̃_j + b_i + b̃_j − log X_ij)²        f(x) = min(1, (x / x_max)^α)

minimised by AdaGrad (Duchi et al. 2011) a cell at a time, as the published program does: squares begin at 1 and add up
(rate × gradient)². A row holds a vector, its bias and a constant 1, where the other side has 1 and its bias: so the
score is one product of rows, and a bias moves like any other number.

    row of a word      w_1 … w_d  b  1  0 …  |  squares of each
    row of a context   w̃_1 … w̃_d  1  b̃  0 …  |  squares of each

10 to 25 M cells per CPU-second at 100 numbers a vector, most of it waiting for rows: 13 times the published program.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.vectors.compiler import inlined, kernel
from training.vectors.simd import SIMD_WIDTH, divide, fma, load, multiply, prefetch, splat, square_root, store, total
from training.vectors.windows import mixed

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

CELL = np.dtype([("word", "<i4"), ("context", "<i4"), ("log", "<f4"), ("weight", "<f4")])
Cells = NDArray[np.void]  # of CELL: rows of the two tables, log X_ij and f(X_ij)

# how many cells ahead the rows are prefetched
AHEAD = 3
_GOLDEN = 0x9E3779B97F4A7C15


def stride_of(width: int) -> int:
    """Numbers of a row without their squares: the vector and two for the biases, padded to the SIMD width."""
    return -(-(width + 2) // SIMD_WIDTH) * SIMD_WIDTH


@kernel
def shuffle(order: Ints, count: int, key: int) -> None:
    """order[:count] = a permutation of range(count), by `key` alone (Fisher and Yates)."""
    for at in range(count):
        order[at] = at
    for at in range(count - 1, 0, -1):
        draw = mixed(np.uint64(key) + np.uint64(at) * np.uint64(_GOLDEN))
        swapped = np.int64(((draw >> np.uint64(32)) * np.uint64(at + 1)) >> np.uint64(32))
        order[at], order[swapped] = order[swapped], order[at]


@kernel
def descend(
    cells: Cells,
    order: Ints,  # in which they are visited
    words: Floats,  # rows of words, end to end, the first of them that of word `first_word`
    contexts: Floats,
    first_word: int,
    first_context: int,
    stride: int,  # a row is `stride` numbers, then their squares
    width: int,  # of the vectors
    rate: float,
) -> float:
    """One step of AdaGrad for each cell; returns the summed loss, each cell's before its own step."""
    loss, wide, minus = 0.0, 2 * stride, splat(np.float32(-1))
    word_moves, context_moves = _moving(stride, width), _moving(stride, width + 1)
    word_moves[width + 1], context_moves[width] = 0, 0
    for at in range(len(order)):
        if at + AHEAD < len(order):
            ahead = cells[order[at + AHEAD]]
            _prefetch_row(words, (ahead.word - first_word) * wide, wide)
            _prefetch_row(contexts, (ahead.context - first_context) * wide, wide)
        cell = cells[order[at]]
        word, context = (cell.word - first_word) * wide, (cell.context - first_context) * wide
        score = splat(np.float32(0))
        for n in range(0, stride, SIMD_WIDTH):
            score = fma(load(words, word + n), load(contexts, context + n), score)
        difference = total(score) - cell.log
        weighted_difference = cell.weight * difference
        loss += 0.5 * np.float64(weighted_difference) * np.float64(difference)
        step = splat(np.float32(weighted_difference) * np.float32(rate))
        for n in range(0, stride, SIMD_WIDTH):
            w, c = load(words, word + n), load(contexts, context + n)
            w_squares, c_squares = load(words, word + stride + n), load(contexts, context + stride + n)
            # rate × gradient of each number; the constant ones stay
            w_move = multiply(multiply(step, c), load(word_moves, n))
            c_move = multiply(multiply(step, w), load(context_moves, n))
            store(words, word + n, fma(minus, divide(w_move, square_root(w_squares)), w))
            store(contexts, context + n, fma(minus, divide(c_move, square_root(c_squares)), c))
            store(words, word + stride + n, fma(w_move, w_move, w_squares))
            store(contexts, context + stride + n, fma(c_move, c_move, c_squares))
    return loss


@inlined
def _prefetch_row(rows: Floats, first: int, wide: int) -> None:
    for n in range(0, wide, SIMD_WIDTH):
        prefetch(rows, first + n)


@inlined
def _moving(stride: int, last: int) -> Floats:
    """1 up to the number `last`, 0 beyond."""
    moving = np.zeros(stride, np.float32)
    moving[: last + 1] = 1
    return moving
