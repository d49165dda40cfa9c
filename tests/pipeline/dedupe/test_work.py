"""Work grows with the corpus and not with its square: what numpy is given to look at is counted, no time is taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.draft import LocalDraft
from pipeline.dedupe.base import Sets
from pipeline.dedupe.components import Copies, Leaders, connected_components, select_survivors, split_components
from pipeline.dedupe.corpus import group_by_label
from pipeline.dedupe.groups import RECORD, Groups, equal_documents, find_buckets
from pipeline.dedupe.sets import SetStore, slice_sets, write_sets

LOOKED_AT = ("argsort", "flatnonzero", "lexsort", "unique", "searchsorted", "isin", "sort", "arange", "cumsum")

SEARCH = np.searchsorted


class Counter:
    """Elements that functions of numpy were given or made."""

    def __init__(self) -> None:
        self.elements = 0

    def counting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            result = function(*args, **options)
            # a binary search looks at few of what it searches
            looked_at = (result,) if function is SEARCH else (*args, result)
            arrays = [value for value in looked_at if isinstance(value, np.ndarray)]
            self.elements += max((array.size for array in arrays), default=0)
            return result

        return counted


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    count = Counter()
    for name in LOOKED_AT:
        monkeypatch.setattr(np, name, count.counting(getattr(np, name)))
    return count


def elements(counter: Counter, work: Callable[[int], Any], size: int) -> int:
    counter.elements = 0
    work(size)
    return counter.elements


def numbers(count: int) -> Any:
    return np.arange(count, dtype=np.uint64)


def test_many_tasks_of_components_find_their_leaders_in_one_order(counter: Counter) -> None:
    def work(documents: int) -> None:
        first, second = numbers(documents)[::2], numbers(documents)[1::2]
        leaders = Leaders(second, first)
        for groups in split_components(connected_components(first, second), 20):
            assert (leaders.lookup(groups.members)[::2] == groups.members[::2]).all()

    few, many = (elements(counter, work, size) for size in (4_000, 16_000))
    assert many < 6 * few


def giant(folder: Path, documents: int) -> tuple[Copies, SetStore]:
    """One component of documents that are nearly alike, neighbour by neighbour."""
    sets = Sets(
        (np.arange(40, dtype=np.uint32) + 7 * np.arange(documents, dtype=np.uint32)[:, None]).ravel(),
        40 * np.arange(documents + 1),
    )
    write_sets(folder, 0, iter([(numbers(documents), sets)]))
    same = np.zeros(documents, np.int64)
    copies = Copies(
        Groups(numbers(documents), np.array([0, documents])), numbers(documents), sets.sizes, same, numbers(documents),
        numbers(documents), same,
    )  # fmt: skip
    return copies, SetStore(LocalDraft(folder), np.array([0, documents], np.uint64))


def test_a_giant_component_costs_its_size_however_many_slices_it_takes(
    tmp_path: Path, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.dedupe.components.MAX_COMPARED", 4)
    monkeypatch.setattr("pipeline.dedupe.components.slice_sets", lambda sizes: slice_sets(sizes, 400))

    def work(documents: int) -> None:
        select_survivors(*giant(tmp_path / str(documents), documents), 0.7)

    few, many = (elements(counter, work, size) for size in (500, 2_000))
    assert many < 6 * few


def test_a_hundred_thousand_equal_texts_are_looked_at_a_few_times_each(counter: Counter) -> None:
    def work(documents: int) -> None:
        records = np.zeros(documents, RECORD)
        records["hash"], records["check"], records["document"] = 7, 9, numbers(documents)
        document, leader = equal_documents(records)
        assert len(document) == documents - 1
        assert not len(find_buckets(records).members)
        groups = connected_components(document, leader)
        assert groups.offsets.tolist() == [0, documents]
        assert not Leaders(document, leader).lookup(groups.members).any()

    few, many = (elements(counter, work, size) for size in (10_000, 100_000))
    assert many < 12 * few
    assert many < 60 * 100_000


def test_documents_of_many_files_are_grouped_by_one_sort(counter: Counter) -> None:
    def work(files: int) -> None:
        labels = np.arange(4 * files) % files
        assert [len(places) for _, places in group_by_label(labels)] == [4] * files

    few, many = (elements(counter, work, size) for size in (200, 800))
    assert many < 6 * few
