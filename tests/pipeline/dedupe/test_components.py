"""Components, the order in them, and the choice: by content, and never for a document that has little in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.draft import LocalDraft
from pipeline.dedupe.base import Sets
from pipeline.dedupe.components import Copies, Leaders, connected_components, select_survivors, split_components
from pipeline.dedupe.groups import Groups
from pipeline.dedupe.sets import SetStore, slice_sets, write_sets

EDGES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(lambda e: e[0] != e[1]), max_size=14)


def numbers(*values: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(values, np.uint64)


def plain_components(edges: list[tuple[int, int]]) -> list[list[int]]:
    label = {node: node for edge in edges for node in edge}
    for _ in label:
        for left, right in edges:
            label[left] = label[right] = min(label[left], label[right])
    return [sorted(node for node in label if label[node] == least) for least in sorted(set(label.values()))]


@given(EDGES)
def test_components_are_those_of_a_plain_search(edges: list[tuple[int, int]]) -> None:
    first, second = numbers(*(a for a, _ in edges)), numbers(*(b for _, b in edges))
    groups = connected_components(first, second)
    components = [groups.members[a:b].tolist() for a, b in zip(groups.offsets[:-1], groups.offsets[1:], strict=True)]
    assert components == plain_components(edges)


def test_a_long_chain_is_one_component() -> None:
    chain = np.random.default_rng(5).permutation(20_000).astype(np.uint64)
    assert connected_components(chain[:-1], chain[1:]).offsets.tolist() == [0, 20_000]


def test_components_are_cut_into_whole_ones() -> None:
    groups = Groups(np.arange(9, dtype=np.uint64), np.array([0, 2, 7, 9]))
    pieces = list(split_components(groups, 3))
    assert [piece.members.tolist() for piece in pieces] == [[0, 1], [2, 3, 4, 5, 6], [7, 8]]
    assert [piece.offsets.tolist() for piece in pieces] == [[0, 2], [0, 5], [0, 2]]
    assert list(split_components(Groups(numbers(), np.zeros(1, np.int64)), 3)) == []


def test_a_leader_is_the_first_of_equal_texts() -> None:
    leaders = Leaders(numbers(9, 5), numbers(2, 1))
    assert leaders.lookup(numbers(2, 5, 7, 9)).tolist() == [2, 1, 7, 2]
    assert Leaders(numbers(), numbers()).lookup(numbers(4)).tolist() == [4]


def removed(
    folder: Path, sets: list[set[int]], *, length: list[int] | None = None, raw: list[int] | None = None,
    part: list[int] | None = None, leader: list[int] | None = None, threshold: float = 0.7,
) -> dict[int, tuple[int, float, bool]]:  # fmt: skip
    """Select survivors in one component of all; {document that goes: (for which, similarity, equal texts)}."""
    count = len(sets)
    values = [np.array(sorted(shingles), np.uint32) for shingles in sets]
    held = Sets(np.concatenate(values), np.cumsum([0, *map(len, values)]))
    write_sets(folder, 0, iter([(np.arange(count, dtype=np.uint64), held)]))
    store = SetStore(LocalDraft(folder), numbers(0, count))
    copies = Copies(
        Groups(np.arange(count, dtype=np.uint64), np.array([0, count])),
        numbers(*(leader or range(count))),
        np.array([len(sets[n]) for n in (leader or range(count))]),
        np.array(length or [100] * count),
        numbers(*(raw or [7] * count)),
        numbers(*(raw or [7] * count)),
        np.array(part or [0] * count),
    )
    removals = select_survivors(copies, store, threshold)
    return {int(r["document"]): (int(r["kept"]), float(r["similarity"]), bool(r["equal"])) for r in removals}


BASE = set(range(100))


def test_the_copy_with_the_most_shingles_stays(tmp_path: Path) -> None:
    assert removed(tmp_path, [BASE, BASE | {200, 201}, BASE | {200}]) == {
        0: (1, 100 / 102, False),
        2: (1, 101 / 102, False),
    }


def test_an_earlier_part_stays_even_when_it_holds_less(tmp_path: Path) -> None:
    assert set(removed(tmp_path, [BASE | {200}, BASE], part=[1, 0])) == {0}


def test_the_cleanest_spelling_stays_then_the_text_decides_then_the_place(tmp_path: Path) -> None:
    assert set(removed(tmp_path, [BASE, BASE], length=[101, 100])) == {0}
    assert set(removed(tmp_path, [BASE, BASE], raw=[9, 8])) == {0}
    assert set(removed(tmp_path, [BASE, BASE])) == {1}


def test_equal_texts_go_with_the_one_that_stands_for_them(tmp_path: Path) -> None:
    removals = removed(tmp_path, [BASE | {200}, BASE, BASE], leader=[0, 1, 1])
    assert removals == {1: (0, 100 / 101, False), 2: (0, 100 / 101, False)}
    removals = removed(tmp_path, [BASE, BASE, BASE], leader=[0, 0, 0], length=[102, 101, 103])
    assert removals == {0: (1, 1.0, True), 2: (1, 1.0, True)}


def test_a_chain_ends_where_its_ends_have_little_in_common(tmp_path: Path) -> None:
    chain = [set(range(n, n + 100)) for n in (0, 15, 30, 45)]
    removals = removed(tmp_path, chain)
    # 0 stays; 15 is alike by 85/115; 30 by 70/130, which is too little: it stays, and takes 45 with it
    assert removals == {1: (0, 85 / 115, False), 3: (2, 85 / 115, False)}


def test_a_chain_may_carry_a_little_below_the_threshold(tmp_path: Path) -> None:
    chain = [set(range(n, n + 100)) for n in (0, 12, 24)]
    removals = removed(tmp_path, chain, threshold=0.7)
    assert removals[2] == (0, 76 / 124, False)


def test_who_stays_is_never_one_that_goes(tmp_path: Path) -> None:
    chain = [set(range(7 * n, 7 * n + 100)) for n in range(60)]
    removals = removed(tmp_path, chain)
    assert removals
    assert not {kept for kept, _, _ in removals.values()} & removals.keys()
    assert min(similarity for _, similarity, _ in removals.values()) >= 0.6


def test_a_component_larger_than_memory_is_read_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [set(range(7 * n, 7 * n + 100)) for n in range(60)]
    whole = removed(tmp_path / "whole", sets)
    monkeypatch.setattr("pipeline.dedupe.components.slice_sets", lambda sizes: slice_sets(sizes, 450))
    assert removed(tmp_path / "cut", sets) == whole
