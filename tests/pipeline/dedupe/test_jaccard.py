"""Links between sets, and who stays: against plain Python, and however hot the group."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.draft import LocalDraft
from pipeline.dedupe.base import Sets
from pipeline.dedupe.components import connected_components
from pipeline.dedupe.groups import Groups
from pipeline.dedupe.pairs import verify_pairs
from pipeline.dedupe.sets import SetStore, slice_sets, write_sets
from pipeline.kernels.jaccard import SMALL_SET

SETS = st.lists(st.sets(st.integers(0, 30), min_size=1, max_size=24), min_size=2, max_size=9)


def stored(folder: Path, sets: list[set[int]], file: int = 0, first: int = 0) -> None:
    values = [np.array(sorted(shingles), np.uint32) for shingles in sets]
    offsets = np.cumsum([0, *map(len, values)])
    numbers = np.arange(first, first + len(sets), dtype=np.uint64)
    write_sets(folder, file, iter([(numbers, Sets(np.concatenate([*values, np.empty(0, np.uint32)]), offsets))]))


def index_of(first: set[int], second: set[int]) -> float:
    if min(len(first), len(second)) < SMALL_SET:
        return float(first == second)
    return len(first & second) / len(first | second)


def connected(pairs: set[tuple[int, int]], count: int) -> list[int]:
    label = list(range(count))
    for _ in range(count):
        for left, right in pairs:
            label[left] = label[right] = min(label[left], label[right])
    return label


def group(count: int) -> Groups:
    return Groups(np.arange(count, dtype=np.uint64), np.array([0, count]))


@settings(max_examples=150, deadline=None)
@given(sets=SETS, threshold=st.sampled_from([0.3, 0.5, 0.7, 1.0]))
def test_links_are_true_and_connect_all_that_are_alike(
    tmp_path_factory: pytest.TempPathFactory, sets: list[set[int]], threshold: float
) -> None:
    folder = tmp_path_factory.mktemp("sets")
    stored(folder, sets)
    similar_pairs = verify_pairs(
        group(len(sets)), SetStore(LocalDraft(folder), np.array([0, len(sets)], np.uint64)), threshold
    )
    for pair in similar_pairs:
        true = index_of(sets[pair["first"]], sets[pair["second"]])
        assert true >= threshold
        assert pair["similarity"] == true
    every = {(a, b) for a in range(len(sets)) for b in range(a) if index_of(sets[a], sets[b]) >= threshold}
    linked = {(int(pair["first"]), int(pair["second"])) for pair in similar_pairs}
    assert connected(linked, len(sets)) == connected(every, len(sets))


def test_a_hot_group_of_near_equals_is_one_component_and_its_pairs_stay_few(tmp_path: Path) -> None:
    count = 20_000
    stored(tmp_path, [set(range(n % 3, 60)) for n in range(count)])
    similar_pairs = verify_pairs(group(count), SetStore(LocalDraft(tmp_path), np.array([0, count], np.uint64)), 0.7)
    assert connected_components(similar_pairs["first"], similar_pairs["second"]).offsets.tolist() == [0, count]
    assert len(similar_pairs) < 3 * count


def test_a_hot_group_of_strangers_stays_linear_and_still_finds_the_twins(tmp_path: Path) -> None:
    # every pair meets in this one bucket: all pairs would be two hundred million comparisons of sixty shingles
    draw, count = random.Random(3), 20_000
    sets = [{0, 1, 2, 3, *(draw.getrandbits(32) for _ in range(40 + n % 90))} for n in range(count)]
    for n in range(0, 200, 2):
        sets[n] = set(sorted(sets[n + 1])[1:])
    stored(tmp_path, sets)
    similar_pairs = verify_pairs(group(count), SetStore(LocalDraft(tmp_path), np.array([0, count], np.uint64)), 0.7)
    pairs = {tuple(sorted((int(pair["first"]), int(pair["second"])))) for pair in similar_pairs}
    assert pairs == {(n, n + 1) for n in range(0, 200, 2)}


def test_a_bucket_larger_than_memory_is_met_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(slice_sets(np.array([3, 3, 9, 1, 1, 1]), 6)) == [(0, 2), (2, 3), (3, 6)]
    assert list(slice_sets(np.array([0, 0]), 6)) == [(0, 2)]
    sets = [set(range(n, n + 40)) for n in range(300)]
    stored(tmp_path, sets)
    store = SetStore(LocalDraft(tmp_path), np.array([0, 300], np.uint64))
    whole = verify_pairs(group(300), store, 0.9)
    monkeypatch.setattr("pipeline.dedupe.pairs.slice_sets", lambda sizes: slice_sets(sizes, 500))
    cut = verify_pairs(group(300), store, 0.9)
    assert len(connected_components(whole["first"], whole["second"]).offsets) == 2
    assert len(connected_components(cut["first"], cut["second"]).offsets) == 2


def test_sets_come_back_by_document_from_any_file(tmp_path: Path) -> None:
    first, second = [{1, 2, 3}, set(), {9}], [{4, 5}, {6}]
    stored(tmp_path, first)
    stored(tmp_path, second, file=2, first=3)
    store = SetStore(LocalDraft(tmp_path), np.array([0, 3, 3, 5], np.uint64))
    sets, places = store.read(np.array([4, 0, 4, 2, 3], np.uint64))
    contents = [set(sets.values[sets.offsets[n] : sets.offsets[n + 1]].tolist()) for n in places]
    assert contents == [{6}, {1, 2, 3}, {6}, {9}, {4, 5}]
    assert store.sizes(np.array([1, 3, 0], np.uint64)).tolist() == [0, 2, 3]


def test_a_document_without_a_stored_set_is_empty() -> None:
    store = SetStore(None, np.array([0, 2], np.uint64))
    assert store.sizes(np.array([0, 1], np.uint64)).tolist() == [0, 0]
    sets, places = store.read(np.array([1], np.uint64))
    assert (len(sets.values), places.tolist()) == (0, [0])
