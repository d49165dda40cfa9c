"""From verified pairs to the documents that stay: connected components, an order by content, and the choice in each.

Which copy stays never depends on the order of arrival. The first is the one in the earliest part of the corpus (a
document that was kept stays kept), then the copy with the most shingles, then the one spelled in the fewest bytes, then
by a hash of its text. Only copies that are equal to the byte are ordered by their place in the corpus.
Memory: about 100 bytes per document that has a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.dedupe.base import Hashes, Indices, RowNumbers
from pipeline.dedupe.groups import Groups
from pipeline.dedupe.removals import REMOVAL, Removals
from pipeline.dedupe.sets import SetStore, slice_sets
from pipeline.kernels.jaccard import MAX_COMPARED, assign_survivors

# how far below the threshold a chain of pairs may reach: if A is like B and B is like C, C is removed in favour of A
# when their index is at least this close to the threshold
CHAIN_SLACK = 0.1


def connected_components(first: RowNumbers, second: RowNumbers) -> Groups:
    """The documents that pairs connect, component by component, each in the order of the corpus."""
    documents, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    labels = np.arange(len(documents))
    left, right = places[: len(first)], places[len(first) :]
    while True:
        least = np.minimum(labels[left], labels[right])
        before = labels.copy()
        np.minimum.at(labels, labels[left], least)
        np.minimum.at(labels, labels[right], least)
        labels = labels[labels]  # halves every path, so the rounds grow with the logarithm of the longest chain
        if np.array_equal(labels, before):
            break
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    return Groups(documents[order], np.append(starts, len(order)).astype(np.int64))


def split_components(groups: Groups, members: int) -> Iterator[Groups]:
    """The components in batches of about `members` documents; no component is split."""
    start = 0
    while start < len(groups.offsets) - 1:
        first = groups.offsets[start]
        end = max(start + 1, int(np.searchsorted(groups.offsets, first + members, side="right")) - 1)
        yield Groups(groups.members[first : groups.offsets[end]], groups.offsets[start : end + 1] - first)
        start = end


class Leaders:
    """Looks up the first document with an equal key, from one (document, leader) pair per document that has one."""

    def __init__(self, document: RowNumbers, leader: RowNumbers) -> None:
        order = np.argsort(document)
        self.document = document[order]
        self.leader = leader[order]

    def lookup(self, members: RowNumbers) -> RowNumbers:
        """The leader of each member: itself, if no document before it has an equal key."""
        if not len(self.document):
            return members
        places = np.minimum(np.searchsorted(self.document, members), len(self.document) - 1)
        return np.where(self.document[places] == members, self.leader[places], members)


class Copies(NamedTuple):
    """Documents of some components and the values that order them, one entry for each document of `groups`.

    `leader`: the first document with an equal key (itself, if there is none before); `size`: its distinct shingles;
    `length`: bytes of the text; `raw`: a hash of the text in form NFKC; `identity`: a hash of the text itself, which
    only decides how a removal is labelled; `part`: the part of the corpus.
    """

    groups: Groups
    leader: RowNumbers
    size: Indices
    length: Indices
    raw: Hashes
    identity: Hashes
    part: Indices


def select_survivors(copies: Copies, store: SetStore, threshold: float) -> Removals:
    """The removals: the first document of a component stays; a later one is removed in favour of a similar survivor.

    Similar means a true Jaccard index of at least `threshold` minus CHAIN_SLACK. So a long chain of edits ends where
    its ends have little in common, and no document is removed in favour of one that it does not resemble.
    """
    component = np.repeat(np.arange(len(copies.groups.offsets) - 1), np.diff(copies.groups.offsets))
    members = copies.groups.members
    order = np.lexsort((members, copies.raw, copies.length, -copies.size, copies.part, component))
    # equal texts are one candidate, represented by the first copy in this order
    _, first, of_leader = np.unique(copies.leader[order], return_index=True, return_inverse=True)
    heads = np.sort(first)
    head_of = np.searchsorted(heads, first)[of_leader]
    candidates = order[heads]
    survivor_of, similarity = _choose_survivors(
        copies.leader[candidates], component[candidates], copies.size[candidates], store, threshold
    )
    survivors = candidates[survivor_of][head_of]
    removals: Removals = np.empty(len(members), REMOVAL)
    removals["document"] = members[order]
    removals["kept"] = members[survivors]
    removals["equal"] = survivor_of[head_of] == head_of
    same_hash = copies.identity[order] == copies.identity[survivors]
    same_text = same_hash & (copies.length[order] == copies.length[survivors])
    removals["identical"] = removals["equal"] & same_text
    removals["similarity"] = np.where(removals["equal"], 1.0, similarity[head_of])
    removed: Removals = removals[removals["document"] != removals["kept"]]
    return removed


def _choose_survivors(
    leaders: RowNumbers, component: Indices, sizes: Indices, store: SetStore, threshold: float
) -> tuple[Indices, NDArray[np.float64]]:
    """For each candidate the candidate that stays in its place (itself, if it stays), and their similarity."""
    survivor_of = np.arange(len(leaders))
    similarity = np.ones(len(leaders))
    least = max(threshold - CHAIN_SLACK, 0.0)
    survivors = np.empty(0, np.int64)  # of the component that the previous slice cut, the last MAX_COMPARED
    for start, end in slice_sets(sizes):
        previous = survivors[component[survivors] == component[start]]
        candidates = np.append(previous, np.arange(start, end))
        sets, places = store.read(leaders[candidates])
        choice = np.empty(len(candidates), np.int64)
        alike = np.empty(len(candidates))
        offsets = np.append(np.flatnonzero(np.diff(component[candidates], prepend=-1)), len(candidates))
        workspace = np.empty(len(candidates), np.int64)
        assign_survivors(sets.values, sets.offsets, places, offsets, least, choice, alike, workspace)
        survivor_of[start:end] = candidates[choice[len(previous) :]]
        similarity[start:end] = alike[len(previous) :]
        remaining = candidates[survivor_of[candidates] == candidates]
        survivors = remaining[component[remaining] == component[end - 1]][-MAX_COMPARED:]
    return survivor_of, similarity
