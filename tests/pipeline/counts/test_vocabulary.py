"""Which tokens are words, and where the table is cut."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.counts import vocabulary as module
from pipeline.counts.section import Count
from pipeline.counts.vocabulary import select_words
from pipeline.kernels.cooccurrence import BORDER, LEFT_OUT


def test_rare_and_unknown_tokens_are_left_out_and_ends_are_borders() -> None:
    words = select_words(np.array([9, 9, 9, 5, 1, 2]), Count(min_count=2), borders=[0, 2], unknown=[1])
    assert words.ids.tolist() == [3, 5]
    assert words.numbers.tolist() == [BORDER, LEFT_OUT, BORDER, 0, LEFT_OUT, 1]
    assert words.bits == 1


def test_parts_begin_so_that_none_can_outgrow_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_CELLS", 10)
    counts = np.array([0, 0, 0, 50, 50, 1, 1, 1, 1, 1, 1])
    words = select_words(counts, Count(window=2), borders=[0, 2], unknown=[1])
    contexts = np.minimum(8, counts[words.ids] * 4)
    sizes = [int(part.sum()) for part in np.split(contexts, words.parts[1:])]
    assert words.parts[0] == 0
    assert max(sizes) <= 10 + 8
    assert len(sizes) > 2
