"""Many ordered lists become one, whatever memory there is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import StageFailed
from pipeline.core.spill import segment
from pipeline.counts.merging import RunReader, merged, write

LISTS = st.lists(st.dictionaries(st.integers(0, 40), st.integers(1, 9), max_size=25), min_size=1, max_size=6)


def sources(folder: Path, lists: list[dict[int, int]]) -> list[RunReader]:
    found = []
    for at, one in enumerate(lists):
        pairs = np.array(sorted(one), np.uint64), np.array([one[key] for key in sorted(one)], np.uint64)
        for file in write(folder, f"{at}.bin", pairs, parts=np.zeros(1, np.uint64)):
            found.append(RunReader.of(segment(folder / file, 0)))
    return found


@settings(max_examples=80, deadline=None)
@given(lists=LISTS, room=st.integers(1, 40))
def test_every_key_comes_once_in_order_with_all_its_sums(
    tmp_path_factory: pytest.TempPathFactory, lists: list[dict[int, int]], room: int
) -> None:
    blocks = [
        (keys.tolist(), sums.tolist())
        for keys, sums in merged(sources(tmp_path_factory.mktemp("lists"), lists), room=room)
    ]
    keys, sums = ([value for block in blocks for value in block[part]] for part in (0, 1))
    expected = sum((Counter(one) for one in lists), Counter())
    assert keys == sorted(expected)
    assert dict(zip(keys, sums, strict=True)) == dict(expected)


def test_a_list_is_cut_where_a_part_of_the_table_begins(tmp_path: Path) -> None:
    pairs = np.array([1, 4, 5, 9], np.uint64), np.array([10, 40, 50, 90], np.uint64)
    (file,) = write(tmp_path, "run.bin", pairs, parts=np.array([0, 4, 6, 9], np.uint64))
    by_part = [RunReader.of(segment(tmp_path / file, part)) for part in range(4)]
    assert [source.length for source in by_part] == [1, 2, 0, 1]
    keys = [[keys.tolist() for keys, _ in merged([source])] for source in by_part if source.length]
    assert keys == [[[1]], [[4, 5]], [[9]]]


def test_a_list_that_was_cut_short_is_said(tmp_path: Path) -> None:
    (source,) = sources(tmp_path, [{1: 1, 2: 2}])
    source.path.write_bytes(source.path.read_bytes()[:-8])
    with pytest.raises(StageFailed, match="the file is shorter than it was"):
        list(merged([source]))
