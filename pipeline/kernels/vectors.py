"""Unit vectors as whole numbers: their cosines, nearest centroids, and which of a group stay.

A vector is int16 with the length SCALE, so a cosine is a sum of whole numbers over SCALE², right to 0.0002: no order of
additions and no processor changes a bit of it, which no sum of floating-point numbers can promise. The sums fit into 32
bits: by Cauchy and Schwarz no partial sum exceeds the product of two lengths. Speeds: pipeline/semantic/README.md.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.kernels.compiler import inlined, kernel
from pipeline.kernels.hash_table import Hashes

Vectors = npt.NDArray[np.int16]
Ints = npt.NDArray[np.int64]
Dots = npt.NDArray[np.int32]

SCALE = 1 << 14
ONE = SCALE * SCALE  # the product of a vector with itself, but for rounding
TILE = 64  # vectors that are compared with one after another while they are in the cache


def to_unit(matrix: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    """Rows at length SCALE, and which of them have a direction: a row of zeros or with a NaN has none, and is zeros."""
    vectors, known = np.zeros(matrix.shape, np.int16), np.zeros(len(matrix), np.bool_)
    scale_rows(np.ascontiguousarray(matrix, np.float64), vectors, known)
    return vectors, known


@kernel
def scale_rows(matrix: npt.NDArray[np.float64], vectors: Vectors, known: npt.NDArray[np.bool_]) -> None:
    """Set vectors[i] to row i at length SCALE, and known[i] to whether it has a direction. Numbers are divided by the
    largest first, so that no square overflows; they are added up in their order."""
    for i in range(len(matrix)):
        largest = 0.0
        for j in range(matrix.shape[1]):
            size = abs(matrix[i, j])
            if np.isnan(size) or size > largest:  # a NaN stays the largest
                largest = size
        known[i] = 0.0 < largest < np.inf
        if not known[i]:
            continue
        total = 0.0
        for j in range(matrix.shape[1]):
            value = matrix[i, j] / largest
            total += value * value
        factor = SCALE / np.sqrt(total)
        for j in range(matrix.shape[1]):
            vectors[i, j] = np.int16(np.rint(matrix[i, j] / largest * factor))


@inlined
def dot(left: Vectors, right: Vectors) -> np.int32:
    """The product of two vectors."""
    total = np.int32(0)
    for j in range(len(left)):
        total = np.int32(total + np.int32(np.int32(left[j]) * np.int32(right[j])))
    return total


@kernel
def nearest(vectors: Vectors, centroids: Vectors, labels: Ints, products: Dots) -> None:
    """Set labels[i] to the centroid with the largest product with vector i, the first of equal ones, and products[i]
    to that product."""
    for first in range(0, len(centroids), TILE):
        for i in range(len(vectors)):
            for k in range(first, min(first + TILE, len(centroids))):
                product = dot(vectors[i], centroids[k])
                if k == 0 or product > products[i]:
                    labels[i], products[i] = k, product


@kernel
def sum_by_label(vectors: Vectors, labels: Ints, sums: Ints) -> None:
    """Add every vector to the row of its label."""
    for i in range(len(vectors)):
        for j in range(vectors.shape[1]):
            sums[labels[i], j] += vectors[i, j]


@kernel
def select_distinct(vectors: Vectors, least: np.int32, survivor_of: Ints, products: Dots, survivors: Ints) -> Ints:
    """Which vectors stay: in their order, one whose product with an earlier survivor is `least` or more is removed.

    survivor_of[i] is the survivor most like vector i, the first of equal ones, and products[i] their product; for a
    survivor itself and ONE. `survivors` is scratch. Returns the number of survivors and of products. A tile of vectors
    is compared with all survivors before it, one survivor at a time, then with those of its own.
    """
    result = np.zeros(2, np.int64)
    count = 0
    for first in range(0, len(vectors), TILE):
        last, before = min(first + TILE, len(vectors)), count
        for i in range(first, last):
            survivor_of[i], products[i] = i, least - 1
        for s in range(before):
            for i in range(first, last):
                product = dot(vectors[survivors[s]], vectors[i])
                if product > products[i]:
                    survivor_of[i], products[i] = survivors[s], product
        result[1] += before * (last - first)
        for i in range(first, last):
            for s in range(before, count):
                product = dot(vectors[survivors[s]], vectors[i])
                if product > products[i]:
                    survivor_of[i], products[i] = survivors[s], product
            result[1] += count - before
            if survivor_of[i] == i:
                products[i] = ONE
                survivors[count] = i
                count += 1
    result[0] = count
    return result


@kernel
def project(hashes: Hashes, offsets: Ints, out: Ints) -> None:
    """Add each hash of document d to one place of out[d], with a sign (Weinberger et al. 2009, arXiv 0902.2206).

    Both follow from the hash. Of two documents the product is, but for chance, the number of hashes they share.
    """
    width = np.uint64(out.shape[1])
    for d in range(len(offsets) - 1):
        for h in range(offsets[d], offsets[d + 1]):
            value = hashes[h] * np.uint64(0x9E3779B97F4A7C15)
            place = ((value >> np.uint64(32)) * width) >> np.uint64(32)
            out[d, place] += 1 if value & np.uint64(1 << 20) else -1
