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
from pipeline.kernels.jaccard import COMPARED, choose

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


def leaders(members: Numbers, document: Numbers, leader: Numbers) -> Numbers:
    """For each member the first document with an equal text; `document` → `leader` says so where that is another."""
    order = np.argsort(document)
    places = np.searchsorted(document, members, sorter=order)
    found = members.copy()
    if len(document):
        nearest = order[np.minimum(places, len(document) - 1)]
        found = np.where(document[nearest] == members, leader[nearest], members)
    return found


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


def settle(copies: Copies, store: SetStore, threshold: float) -> Removals:
    """Who goes, in favour of whom. In each component the first stays; a later one goes if one that stays is alike.

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
    found: Removals = np.empty(len(members), REMOVAL)
    stays = chosen[kept][head_of]
    found["document"], found["kept"] = members[order], members[stays]
    found["equal"] = kept[head_of] == head_of
    same_text = (copies.identity[order] == copies.identity[stays]) & (copies.length[order] == copies.length[stays])
    found["identical"] = found["equal"] & same_text
    found["similarity"] = np.where(found["equal"], 1.0, similarity[head_of])
    gone: Removals = found[found["document"] != found["kept"]]
    return gone


def _choose(
    leaders: Numbers, component: Offsets, sizes: Offsets, store: SetStore, threshold: float
) -> tuple[Offsets, NDArray[np.float64]]:
    """For each head the head that stays in its place (itself, if it stays), and how alike they are."""
    kept, similarity = np.arange(len(leaders)), np.ones(len(leaders))
    least = max(threshold - CHAIN_SLACK, 0.0)
    for start, end in slices(sizes):
        # of a component that the slice cuts, those that stay so far are met again
        before = np.flatnonzero((component[:start] == component[start]) & (kept[:start] == np.arange(start)))
        here = np.append(before[-COMPARED:], np.arange(start, end))
        sets, places = store.read(leaders[here])
        found, alike = np.empty(len(here), np.int64), np.empty(len(here))
        offsets = np.append(np.flatnonzero(np.diff(component[here], prepend=-1)), len(here))
        choose(sets.values, sets.offsets, places, offsets, least, found, alike, np.empty(len(here), np.int64))
        fresh = len(here) - (end - start)
        kept[start:end], similarity[start:end] = here[found[fresh:]], alike[fresh:]
    return kept, similarity
