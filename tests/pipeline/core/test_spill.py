"""A spill is read back partition by partition, whatever is empty, and says when it was cut short."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.draft import LocalDraft
from pipeline.core.errors import StageFailed
from pipeline.core.spill import segment, write_spill


@given(st.lists(st.lists(st.integers(0, 2**63), max_size=4), min_size=1, max_size=9))
def test_every_partition_is_read_back(tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]]) -> None:
    path = tmp_path_factory.mktemp("spill") / "a.bin"
    arrays = [np.array(part, np.uint64) for part in parts]
    assert write_spill(path, [array.nbytes for array in arrays], arrays) == any(parts)
    if any(parts):
        assert [
            segment(LocalDraft(path.parent), path.name, number).read(np.uint64).tolist() for number in range(len(parts))
        ] == parts


def test_an_index_that_was_cut_short_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_spill(path, [8, 8], [np.zeros(2, np.uint64)])
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(StageFailed, match="shorter"):
        segment(LocalDraft(path.parent), path.name, 1)


def test_blocks_of_another_size_than_announced_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="announced"):
        write_spill(tmp_path / "a.bin", [16], [np.zeros(1, np.uint64)])
    assert list(tmp_path.iterdir()) == []
