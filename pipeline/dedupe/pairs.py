"""From buckets of possible pairs to verified ones; the sets are in memory one slice at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.dedupe.base import Indices, RowNumbers
from pipeline.dedupe.groups import Groups
from pipeline.dedupe.sets import SetStore, slice_sets
from pipeline.kernels.jaccard import MAX_COMPARED, link_similar

# two documents, the smaller number first, and their true Jaccard index
PAIR = np.dtype([("first", "<u8"), ("second", "<u8"), ("similarity", "<f8")])
SimilarPairs = NDArray[np.void]


def verify_pairs(groups: Groups, store: SetStore, threshold: float) -> SimilarPairs:
    """Pairs with a true Jaccard index of at least `threshold`, enough to connect all similar members of a bucket.

    Members are compared in order of size: every pair in a bucket of up to MAX_COMPARED members. In a larger bucket each
    is compared with MAX_COMPARED neighbours, so its members are compared again in the order of their least and of their
    greatest shingle: a pair with index s has the same least shingle with probability s. A missed pair still has its
    other bands.
    """
    bucket = np.repeat(np.arange(len(groups.offsets) - 1), np.diff(groups.offsets))
    sizes = store.sizes(groups.members)
    pairs = [_similar_neighbours(groups.members, bucket, -sizes, store, threshold)]
    hot = np.repeat(np.diff(groups.offsets) > MAX_COMPARED, np.diff(groups.offsets))
    if hot.any():
        for keys in store.extremes(groups.members[hot]):
            pairs.append(_similar_neighbours(groups.members[hot], bucket[hot], keys, store, threshold))
    return np.unique(np.concatenate(pairs))


def _similar_neighbours(
    members: RowNumbers, bucket: Indices, keys: Indices, store: SetStore, threshold: float
) -> SimilarPairs:
    """Similar pairs of neighbours in the order of `keys`.

    Memory is one slice of sets. Where a slice cuts a bucket, its last MAX_COMPARED members are compared again in the
    next.
    """
    order = np.lexsort((members, keys, bucket))
    members, bucket = members[order], bucket[order]
    parts = [np.empty(0, PAIR)]
    for start, end in slice_sets(store.sizes(members)):
        previous = np.arange(max(0, start - MAX_COMPARED), start)
        selected = np.append(previous[bucket[previous] == bucket[start]], np.arange(start, end))
        sets, places = store.read(members[selected])
        offsets = np.append(np.flatnonzero(np.diff(bucket[selected], prepend=-1)), len(selected))
        pairs = np.empty((len(selected), 2), np.int64)
        index = np.empty(len(selected))
        parents = np.empty(len(selected), np.int64)
        count = link_similar(sets.values, sets.offsets, places, offsets, threshold, pairs, index, parents)
        # the kernel returns indices of sets, one set per document
        documents = np.unique(members[selected])
        similar = np.empty(count, PAIR)
        similar["first"], similar["second"] = np.sort(documents[pairs[:count]], axis=1).T
        similar["similarity"] = index[:count]
        parts.append(similar)
    return np.concatenate(parts)
