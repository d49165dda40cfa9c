"""From verified pairs to who stays: connected components, an order by content, and the choice within each.

Which copy stays never depends on arrival: first the earliest part of the corpus (what was kept stays kept), then the
copy with the most shingles, then the one spelled in the fewest bytes, then by a hash of its text; only copies that are
equal to the byte are left to their place in the corpus. Memory: some 100 bytes a document that has a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.dedupe.base import Numbers, Offsets
from pipeline.dedupe.groups import Groups
from pipeline.dedupe.removals import REMOVAL, Removals
from pipeline.dedupe.sets import SetStore, slices
from pipeline.kernels.jaccard import MAX_COMPARED, assign_survivors

# how far below the threshold a chain of pairs may carry: A like B, B like C; C goes with A when they are this alike
CHAIN_SLACK = 0.1


def components(first: Numbers, second: Numbers) -> Groups:
    """The documents that pairs connect, component by component; within one, in the order of the corpus."""
    documents, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    labels, one, other = np.arange(len(documents)), places[: len(first)], places[len(first) :]
    while True:
        least = np.minimum(labels[one], labels[other])
        before = labels.copy()
        np.minimum.at(labels, labels[one], least)
        np.minimum.at(labels, labels[other], least)
        labels = labels[labels]  # halves every path, so the rounds grow with the logarithm of the longest chain
        if np.array_equal(labels, before):
            break
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    return Groups(documents[order], np.append(starts, len(order)).astype(np.int64))


def cut(groups: Groups, members: int) -> Iterator[Groups]:
    """The components in stretches of about so many members, each component whole."""
    start = 0
    while start < len(groups.offsets) - 1:
        first = groups.offsets[start]
        end = max(start + 1, int(np.searchsorted(groups.offsets, first + members, side="right")) - 1)
        yield Groups(groups.members[first : groups.offsets[end]], groups.offsets[start : end + 1] - first)
        start = end


class Leaders:
    """The first document with an equal key, for any document: `document` → `leader` says so where that is another."""

    def __init__(self, document: Numbers, leader: Numbers) -> None:
        order = np.argsort(document)
        self.document, self.leader = document[order], leader[order]

    def of(self, members: Numbers) -> Numbers:
        """For each member its leader: itself, if there is none before."""
        if not len(self.document):
            return members
        places = np.minimum(np.searchsorted(self.document, members), len(self.document) - 1)
        return np.where(self.document[places] == members, self.leader[places], members)


class Copies(NamedTuple):
    """Documents that stand for the same thing, and what their order is made of; one entry a document of `groups`.

    `leader`: the first document with an equal key (itself, if there is none before); `size`: its distinct shingles;
    `length`: bytes of the text; `raw`: a hash of the text in form NFKC; `identity`: one of the text as it stands, which
    decides nothing but what a removal is called; `part`: of the corpus.
    """

    groups: Groups
    leader: Numbers
    size: Offsets
    length: Offsets
    raw: Numbers
    identity: Numbers
    part: Offsets


def select_survivors(copies: Copies, store: SetStore, threshold: float) -> Removals:
    """The removals: in each component the first stays; a later one is removed in favour of one that stays and is alike.

    Alike means a true Jaccard index of `threshold` less CHAIN_SLACK or more, so a long chain of edits ends where its
    ends have little in common: no document goes for one that it does not resemble.
    """
    component = np.repeat(np.arange(len(copies.groups.offsets) - 1), np.diff(copies.groups.offsets))
    members = copies.groups.members
    order = np.lexsort((members, copies.raw, copies.length, -copies.size, copies.part, component))
    # equal texts are one candidate, its first copy in this order
    _, first, of_leader = np.unique(copies.leader[order], return_index=True, return_inverse=True)
    heads = np.sort(first)
    head_of = np.searchsorted(heads, first)[of_leader]
    chosen = order[heads]
    kept, similarity = _choose(copies.leader[chosen], component[chosen], copies.size[chosen], store, threshold)
    removals: Removals = np.empty(len(members), REMOVAL)
    stays = chosen[kept][head_of]
    removals["document"], removals["kept"] = members[order], members[stays]
    removals["equal"] = kept[head_of] == head_of
    same_text = (copies.identity[order] == copies.identity[stays]) & (copies.length[order] == copies.length[stays])
    removals["identical"] = removals["equal"] & same_text
    removals["similarity"] = np.where(removals["equal"], 1.0, similarity[head_of])
    gone: Removals = removals[removals["document"] != removals["kept"]]
    return gone


def _choose(
    leaders: Numbers, component: Offsets, sizes: Offsets, store: SetStore, threshold: float
) -> tuple[Offsets, NDArray[np.float64]]:
    """For each head the head that stays in its place (itself, if it stays), and how alike they are."""
    kept, similarity = np.arange(len(leaders)), np.ones(len(leaders))
    least = max(threshold - CHAIN_SLACK, 0.0)
    survivors = np.empty(0, np.int64)  # of the component that the slice before cut, the last MAX_COMPARED
    for start, end in slices(sizes):
        before = survivors[component[survivors] == component[start]]
        here = np.append(before, np.arange(start, end))
        sets, places = store.read(leaders[here])
        choice, alike = np.empty(len(here), np.int64), np.empty(len(here))
        offsets = np.append(np.flatnonzero(np.diff(component[here], prepend=-1)), len(here))
        assign_survivors(
            sets.values, sets.offsets, places, offsets, least, choice, alike, np.empty(len(here), np.int64)
        )
        kept[start:end], similarity[start:end] = here[choice[len(before) :]], alike[len(before) :]
        stays = here[kept[here] == here]
        survivors = stays[component[stays] == component[end - 1]][-MAX_COMPARED:]
    return kept, similarity
