"""Many ordered lists become one, whatever memory there is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.draft import LocalDraft
from pipeline.core.errors import StageFailed
from pipeline.core.spill import segment
from pipeline.counts.merging import RunReader, merge_runs, write_run

LISTS = st.lists(st.dictionaries(st.integers(0, 40), st.integers(1, 9), max_size=25), min_size=1, max_size=6)


def run_readers(folder: Path, lists: list[dict[int, int]]) -> list[RunReader]:
    readers = []
    for at, sums_by_key in enumerate(lists):
        pairs = (
            np.array(sorted(sums_by_key), np.uint64),
            np.array([sums_by_key[key] for key in sorted(sums_by_key)], np.uint64),
        )
        for file in write_run(folder, f"{at}.bin", pairs, parts=np.zeros(1, np.uint64)):
            readers.append(RunReader.of(segment(LocalDraft(folder), file, 0)))
    return readers


@settings(max_examples=80, deadline=None)
@given(lists=LISTS, capacity=st.integers(1, 40))
def test_every_key_comes_once_in_order_with_all_its_sums(
    tmp_path_factory: pytest.TempPathFactory, lists: list[dict[int, int]], capacity: int
) -> None:
    blocks = [
        (keys.tolist(), sums.tolist())
        for keys, sums in merge_runs(run_readers(tmp_path_factory.mktemp("lists"), lists), capacity=capacity)
    ]
    keys, sums = ([value for block in blocks for value in block[part]] for part in (0, 1))
    expected = sum((Counter(sums_by_key) for sums_by_key in lists), Counter())
    assert keys == sorted(expected)
    assert dict(zip(keys, sums, strict=True)) == dict(expected)


def test_a_run_is_split_where_a_part_of_the_table_begins(tmp_path: Path) -> None:
    pairs = np.array([1, 4, 5, 9], np.uint64), np.array([10, 40, 50, 90], np.uint64)
    (file,) = write_run(tmp_path, "run.bin", pairs, parts=np.array([0, 4, 6, 9], np.uint64))
    by_part = [RunReader.of(segment(LocalDraft(tmp_path), file, part)) for part in range(4)]
    assert [reader.length for reader in by_part] == [1, 2, 0, 1]
    keys = [[keys.tolist() for keys, _ in merge_runs([reader])] for reader in by_part if reader.length]
    assert keys == [[[1]], [[4, 5]], [[9]]]


def test_a_truncated_run_is_an_error(tmp_path: Path) -> None:
    (reader,) = run_readers(tmp_path, [{1: 1, 2: 2}])
    reader.path.write_bytes(reader.path.read_bytes()[:-8])
    with pytest.raises(StageFailed, match="the file is shorter than it was"):
        list(merge_runs([reader]))
