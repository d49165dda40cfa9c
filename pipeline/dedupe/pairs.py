"""From buckets of possible pairs to pairs that are truly alike, sets in memory a slice at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.dedupe.base import Numbers, Offsets
from pipeline.dedupe.groups import Groups
from pipeline.dedupe.sets import SetStore, slices
from pipeline.kernels.jaccard import MAX_COMPARED, link_similar

# two documents, the smaller number first, and their true Jaccard index
PAIR = np.dtype([("first", "<u8"), ("second", "<u8"), ("similarity", "<f8")])
SimilarPairs = NDArray[np.void]


def verified(groups: Groups, store: SetStore, threshold: float) -> SimilarPairs:
    """Pairs with a true Jaccard index of `threshold` or more, enough to connect all of a bucket that are alike.

    The members of a bucket are compared in order of size, and every pair up to MAX_COMPARED members. Those of a larger
    bucket are compared with MAX_COMPARED neighbours, and again in order of their least and of their greatest shingle: a
    pair of index s has the same least one with probability s. What is missed still has the other bands.
    """
    bucket = np.repeat(np.arange(len(groups.offsets) - 1), np.diff(groups.offsets))
    sizes = store.sizes(groups.members)
    pairs = [_linked(groups.members, bucket, -sizes, store, threshold)]
    hot = np.repeat(np.diff(groups.offsets) > MAX_COMPARED, np.diff(groups.offsets))
    if hot.any():
        for keys in store.extremes(groups.members[hot]):
            pairs.append(_linked(groups.members[hot], bucket[hot], keys, store, threshold))
    return np.unique(np.concatenate(pairs))


def _linked(members: Numbers, bucket: Offsets, keys: Offsets, store: SetStore, threshold: float) -> SimilarPairs:
    """Pairs of neighbours in the order of `keys`. Memory is a slice of sets: of a bucket that a slice cuts, the last
    MAX_COMPARED members are met again in the next."""
    order = np.lexsort((members, keys, bucket))
    members, bucket = members[order], bucket[order]
    parts = [np.empty(0, PAIR)]
    for start, end in slices(store.sizes(members)):
        again = np.arange(max(0, start - MAX_COMPARED), start)
        here = np.append(again[bucket[again] == bucket[start]], np.arange(start, end))
        sets, places = store.read(members[here])
        offsets = np.append(np.flatnonzero(np.diff(bucket[here], prepend=-1)), len(here))
        pairs, index = np.empty((len(here), 2), np.int64), np.empty(len(here))
        parents = np.empty(len(here), np.int64)
        count = link_similar(sets.values, sets.offsets, places, offsets, threshold, pairs, index, parents)
        # the kernel names sets; a set is one document's
        documents = np.unique(members[here])
        similar = np.empty(count, PAIR)
        similar["first"], similar["second"] = np.sort(documents[pairs[:count]], axis=1).T
        similar["similarity"] = index[:count]
        parts.append(similar)
    return np.concatenate(parts)
