"""A linear classifier over hashed n-grams of characters, in the manner of fastText (Joulin et al. 2017).

Every n-gram of 1 to `order` folded code points has a cell of a table, and the cell a weight for each label. The score
of a label is its bias plus the sum of the weights of all n-grams, divided by the square root of their number (plain
means made accuracy worse); probabilities are their softmax. AdaGrad (Duchi et al. 2011), one document a step. Of a long
text four windows are read. Speeds are in training/annotation/LEARNED.md.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.kernels.code_points import Integer
from pipeline.kernels.compiler import inlined, kernel
from pipeline.kernels.folded_text import (
    NGRAM_SEED,
    NgramCells,
    cell_of,
    extend_ngram,
    fold_text,
    folded_scratch,
)
from pipeline.text.unicode import Bytes, CodePoints, Tables

LabelWeights = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
WINDOWS = 4
# log2(e), ln 2 in two parts (fdlibm), and the last power of the series: its remainder is below half a bit
PER_LN2, LN2_HIGH, LN2_LOW, TERMS = 1.4426950408889634, 6.93147180369123816490e-01, 1.90821492927058770002e-10, 13
LEAST_EXPONENT = -700.0
EPSILON = np.float32(1e-8)


class Features(NamedTuple):
    """What is read of a document: n-grams of up to `order` code points in a table of 2 ** `bits` cells, of at most
    `most` code points."""

    order: int
    bits: int
    most: int


class Rates(NamedTuple):
    """`step`: AdaGrad's rate; `bias_step`: that of the biases, without AdaGrad; `decay`: of weights that are used."""

    step: np.float32
    bias_step: np.float32
    decay: np.float32


class DocumentCells(NamedTuple):
    """Scratch space for one document: its folded text, and the cells of its n-grams."""

    points: CodePoints
    cells: NgramCells


def document_scratch(largest: int, features: Features) -> DocumentCells:
    """Allocate scratch space for documents of up to `largest` bytes."""
    read = min(largest + 2, features.most)
    return DocumentCells(folded_scratch(largest), np.empty(read * features.order, np.uint32))


@inlined
def ngram_cells(
    data: Bytes, start: Integer, end: Integer, tables: Tables, features: Features, scratch: DocumentCells
) -> Integer:
    """Write the cells of the n-grams of a document. Returns their number."""
    points, cells = scratch
    n = fold_text(data, start, end, tables, points)
    width, windows = n, 1
    if n > features.most:
        width, windows = features.most // WINDOWS, WINDOWS
    number = 0
    for window in range(windows):
        first = window * (n - width) // max(1, windows - 1)
        for i in range(first, first + width):
            value = NGRAM_SEED
            for k in range(min(features.order, i - first + 1)):
                value = extend_ngram(value, points[i - k])
                cells[number] = np.uint32(cell_of(value, features.bits))
                number += 1
    return number


@inlined
def exponential(x: float) -> float:
    """e ** x for x <= 0, from additions and products alone: the same bits on every processor."""
    if x < LEAST_EXPONENT:
        return 0.0
    power = math.floor(x * PER_LN2 + 0.5)
    rest = (x - power * LN2_HIGH) - power * LN2_LOW
    value = 1.0
    for k in range(TERMS, 0, -1):
        value = 1.0 + value * rest / k
    return math.ldexp(value, int(power))


@inlined
def label_scores(cells: NgramCells, number: Integer, weights: LabelWeights, scores: LabelWeights) -> Integer:
    """Set `scores` to the scores of the labels. Returns the factor of a weight. The last row of weights are biases."""
    scale = np.float32(1) / np.sqrt(np.float32(max(1, number)))
    bias = len(weights) - 1
    for label in range(len(scores)):
        scores[label] = 0
    for j in range(number):
        for label in range(len(scores)):
            scores[label] += weights[cells[j], label]
    for label in range(len(scores)):
        scores[label] = scores[label] * scale + weights[bias, label]
    return scale


@inlined
def to_probabilities(scores: LabelWeights) -> None:
    """The softmax of scores, in place."""
    largest = scores[0]
    for label in range(1, len(scores)):
        largest = max(largest, scores[label])
    total = 0.0
    for label in range(len(scores)):
        total += exponential(float(scores[label]) - float(largest))
    for label in range(len(scores)):
        scores[label] = np.float32(exponential(float(scores[label]) - float(largest)) / total)


@kernel
def train_epoch(
    data: Bytes,
    offsets: Labels,
    labels: Labels,
    order: Labels,
    tables: Tables,
    features: Features,
    rates: Rates,
    scratch: DocumentCells,
    weights: LabelWeights,
    squares: LabelWeights,
) -> None:
    """One pass over the documents in this order. `squares`: sums of squared gradients, in the shape of `weights`."""
    scores = np.zeros(weights.shape[1], np.float32)
    bias = len(weights) - 1
    for d in order:
        number = ngram_cells(data, offsets[d], offsets[d + 1], tables, features, scratch)
        scale = label_scores(scratch.cells, number, weights, scores)
        to_probabilities(scores)
        scores[labels[d]] -= np.float32(1)  # from here on the gradient of the loss
        for j in range(number):
            cell = scratch.cells[j]
            for label in range(len(scores)):
                gradient = scores[label] * scale + rates.decay * weights[cell, label]
                squares[cell, label] += gradient * gradient
                weights[cell, label] -= rates.step * gradient / np.sqrt(squares[cell, label] + EPSILON)
        for label in range(len(scores)):
            weights[bias, label] -= rates.bias_step * scores[label]


@kernel
def predict(
    data: Bytes,
    offsets: Labels,
    tables: Tables,
    features: Features,
    scratch: DocumentCells,
    weights: LabelWeights,
    out: LabelWeights,
) -> None:
    """Set out[d] to the probabilities of the labels of document d, NaN for a blank one."""
    for d in range(len(offsets) - 1):
        number = ngram_cells(data, offsets[d], offsets[d + 1], tables, features, scratch)
        if number == 0:
            out[d, :] = np.nan
            continue
        label_scores(scratch.cells, number, weights, out[d])
        to_probabilities(out[d])
