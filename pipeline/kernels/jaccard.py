"""Which documents are truly alike: the exact Jaccard index of their shingle sets, within a group that might be.

Sets are sorted arrays of distinct 32-bit hashes, end to end: set i is values[offsets[i]:offsets[i + 1]]. 32 bits cost
an error below 0.03 % even between two documents of a million shingles. About 1 ns a shingle compared, less where sets
part early. In a large group a member meets its neighbours alone, so groups come in an order that puts like by like.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.kernels.compiler import inlined, kernel

Values = npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# sets this small say too little: they are alike only when equal
FEW = 5
# what one member may cost in a group: sets compared, and members looked at (most are skipped: already linked)
COMPARED = 128
LOOKED = 4096


@inlined
def differ_in_size(offsets: Ints, one: int, other: int, least: float) -> bool:
    """Whether the sizes of two sets alone keep their Jaccard index under `least`."""
    size, size_other = offsets[one + 1] - offsets[one], offsets[other + 1] - offsets[other]
    return bool(min(size, size_other) < least * max(size, size_other) - 1e-9)


@inlined
def alike(values: Values, offsets: Ints, one: int, other: int, least: float) -> float:
    """The Jaccard index of two sets where it is `least` or more, else 0; ends as soon as `least` is out of reach."""
    a, a_end, b, b_end = offsets[one], offsets[one + 1], offsets[other], offsets[other + 1]
    size_a, size_b = a_end - a, b_end - b
    if min(size_a, size_b) < FEW:
        least = 1.0
    if min(size_a, size_b) == 0 or differ_in_size(offsets, one, other, least):
        return 0.0
    common = 0
    # common / (size_a + size_b - common) >= least
    needed = least * (size_a + size_b) / (1.0 + least) - 1e-9
    while a < a_end and b < b_end:
        if common + min(a_end - a, b_end - b) < needed:
            return 0.0
        left, right = values[a], values[b]
        common += left == right
        a += left <= right
        b += right <= left
    return common / (size_a + size_b - common) if common >= needed else 0.0


@inlined
def root(parents: Ints, member: int) -> int:
    """The member that stands for all linked to this one; halves the path on its way."""
    while parents[member] != member:
        parents[member] = parents[parents[member]]
        member = parents[member]
    return member


@kernel
def link(
    values: Values, offsets: Ints, members: Ints, groups: Ints, least: float, pairs: Ints, index: Floats, parents: Ints
) -> int:
    """Find pairs of true Jaccard `least` or more: enough to join every group's members that are alike, and no more.

    Group g is the sets members[groups[g]:groups[g + 1]]. Each member meets those before it, the nearest first, unless
    a pair already links the two or their sizes part them. Up to COMPARED members a group that is every pair; beyond, a
    member meets COMPARED unlinked ones: linear in the group's size, however hot. Fills `pairs` and `index`; returns
    their number.
    """
    found = 0
    for g in range(len(groups) - 1):
        start, end = groups[g], groups[g + 1]
        for i in range(start, end):
            parents[i] = i
            compared = 0
            for k in range(i - 1, max(start, i - LOOKED) - 1, -1):
                if root(parents, k) == root(parents, i) or differ_in_size(offsets, members[k], members[i], least):
                    continue
                compared += 1
                if compared > COMPARED:
                    break
                similarity = alike(values, offsets, members[k], members[i], least)
                if similarity > 0:
                    parents[root(parents, i)] = root(parents, k)
                    pairs[found, 0], pairs[found, 1], index[found] = members[k], members[i], similarity
                    found += 1
    return found


@kernel
def choose(
    values: Values, offsets: Ints, members: Ints, groups: Ints, least: float, kept: Ints, index: Floats, stays: Ints
) -> None:
    """Settle who stays: in a group's order, a member goes if one that stays is alike by `least`, else it stays itself.

    kept[i] is the position of the most similar of those that stay, and index[i] their similarity; of a member that
    stays, its own position and 1. `stays`: scratch. A member meets the COMPARED that were last to stay.
    """
    for g in range(len(groups) - 1):
        count = 0
        for i in range(groups[g], groups[g + 1]):
            kept[i], index[i] = i, 0.0
            for k in range(count - 1, max(0, count - COMPARED) - 1, -1):
                similarity = alike(values, offsets, members[stays[k]], members[i], max(least, index[i]))
                if similarity >= index[i] and similarity > 0:
                    kept[i], index[i] = stays[k], similarity
            if kept[i] == i:
                index[i] = 1.0
                stays[count] = i
                count += 1
