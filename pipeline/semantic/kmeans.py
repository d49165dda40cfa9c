"""Spherical k-means over whole numbers: the same centroids on every machine, whatever the number of workers.

Lloyd's algorithm with cosines, on a sample that is in memory; the first centroids are its first vectors that differ.
Sums are of whole numbers, and a centroid is rounded as a vector is. Cost: sample × clusters × width × ROUNDS products.
"""

from __future__ import annotations

import numpy as np

from pipeline.kernels.vectors import Dots, Ints, Vectors, nearest, sum_by_label, to_unit

ROUNDS = 10  # at most; the last ones move few vectors


def find_centroids(sample: Vectors, count: int) -> Vectors:
    """At most `count` centroids of length SCALE, one for each row; fewer where fewer vectors of the sample differ."""
    centroids = _first_distinct(sample, count)
    before = np.empty(0, np.int64)
    for _ in range(ROUNDS):
        labels, _ = assign(sample, centroids)
        if np.array_equal(labels, before):
            break
        before = labels
        sums = np.zeros(centroids.shape, np.int64)
        sum_by_label(sample, labels, sums)
        moved, known = to_unit(sums)
        # without a member, or with opposite ones, it stays where it is
        centroids = np.where(known[:, None], moved, centroids)
    return centroids


def assign(vectors: Vectors, centroids: Vectors) -> tuple[Ints, Dots]:
    """The nearest centroid of each vector, and their product."""
    labels, products = np.zeros(len(vectors), np.int64), np.zeros(len(vectors), np.int32)
    nearest(np.ascontiguousarray(vectors), centroids, labels, products)
    return labels, products


def _first_distinct(sample: Vectors, count: int) -> Vectors:
    _, first = np.unique(sample, axis=0, return_index=True)
    return np.ascontiguousarray(sample[np.sort(first)[:count]])
