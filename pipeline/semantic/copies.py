"""A group of documents → those that go, each with the one that stays in its place.

The documents are put in the order of the rule `keep`; in this order one goes when a document that stays is enough like
it. So none goes for a document that goes itself, or that it is not like. SemDeDup (Abbas et al. 2023, arXiv 2303.09540)
also removes what is like a removed document.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.vectors import ONE, select_distinct, sum_by_label, to_unit
from pipeline.semantic.records import Members

ROUNDING = 2e-4  # by which the product of two rounded vectors may differ from their cosine
METHOD = "semantic"  # the reason in duplicates/ and in the counts


class GroupCopies(NamedTuple):
    """Rows of the documents that go, rows of those that stay in their place, their cosines, and the number of pairs
    that were compared."""

    documents: NDArray[np.uint64]
    kept: NDArray[np.uint64]
    similarity: NDArray[np.float64]
    compared: int


def least_product(threshold: float) -> np.int32:
    """The smallest product of two vectors whose cosine reaches the threshold; equal vectors reach 1."""
    return np.int32(np.ceil(min(threshold, 1 - ROUNDING) * ONE - 1e-6))


def find_copies(members: Members, parts: NDArray[np.int64], *, threshold: float, keep: str) -> GroupCopies:
    """The copies of a group. `parts`: the part of the corpus of each document; an earlier one stays."""
    vectors = np.ascontiguousarray(members["vector"])
    rank = -members["length"].astype(np.int64) if keep == "longest" else _from_middle(vectors)
    order = np.lexsort((members["document"], -rank if keep == "farthest" else rank, parts))
    vectors = vectors[order]
    count = len(order)
    survivor_of, survivors = np.empty(count, np.int64), np.empty(count, np.int64)
    products = np.empty(count, np.int32)
    _, compared = select_distinct(vectors, least_product(threshold), survivor_of, products, survivors).tolist()
    gone = np.flatnonzero(survivor_of != np.arange(count))
    documents = members["document"][order]
    similarity = np.minimum(products[gone] / ONE, 1.0)
    return GroupCopies(documents[gone], documents[survivor_of[gone]], similarity, compared)


def _from_middle(vectors: NDArray[np.int16]) -> NDArray[np.int64]:
    """A number for each vector that grows with its distance to the middle of the group."""
    sums = np.zeros((1, vectors.shape[1]), np.int64)
    sum_by_label(vectors, np.zeros(len(vectors), np.int64), sums)
    middle, _ = to_unit(sums)
    distances: NDArray[np.int64] = -(vectors.astype(np.int64) @ middle[0].astype(np.int64))
    return distances
