"""Rows laid flat: read from anywhere, and the words before any place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.records import tokens_schema
from pipeline.core.shards import ShardWriter
from pipeline.counts import stream as module
from pipeline.counts.stream import TokenStream, write_tokens
from pipeline.kernels.cooccurrence import BORDER, LEFT_OUT

NUMBERS = np.array([BORDER, LEFT_OUT, 0, 1, 2], np.int32)


def flat(folder: Path, tokens: list[list[int]], vocabulary: int = 5) -> TokenStream:
    paths = [folder / f"{at}.tokens" for at in range(len(tokens))]
    for path, file_tokens in zip(paths, tokens, strict=True):
        np.array(file_tokens, module.token_dtype(vocabulary)).tofile(path)
    return TokenStream(paths, vocabulary=vocabulary)


def test_any_stretch_of_several_files_is_read(tmp_path: Path) -> None:
    stream = flat(tmp_path, [[1, 2, 3], [], [4, 0], [2]])
    whole = [1, 2, 3, 4, 0, 2]
    assert len(stream) == 6
    for first in range(6):
        for last in range(first, 7):
            assert stream.read(first, last).tolist() == whole[first:last]


@settings(max_examples=80, deadline=None)
@given(tokens=st.lists(st.lists(st.integers(0, 4), max_size=30), min_size=1, max_size=3), window=st.integers(1, 5))
def test_the_words_before_a_place_reach_back_to_a_border_and_no_further(
    tmp_path_factory: pytest.TempPathFactory, tokens: list[list[int]], window: int
) -> None:
    stream = flat(tmp_path_factory.mktemp("flat"), tokens)
    whole = [token for file_tokens in tokens for token in file_tokens]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LOOK_BACK", 3)
        for place in range(len(whole) + 1):
            numbers = NUMBERS[whole[:place]].tolist()
            since = numbers[max((at for at, number in enumerate(numbers) if number == BORDER), default=-1) + 1 :]
            expected = [number for number in since if number >= 0][-window:]
            assert stream.before(place, NUMBERS, window=window).tolist() == expected


@pytest.mark.parametrize("vocabulary", [70_000, 300])
def test_rows_are_laid_down_and_their_tokens_counted(tmp_path: Path, vocabulary: int) -> None:
    rows = [[5, 6, vocabulary - 1], [5], []]
    with ShardWriter(tmp_path, "train", "rows", tokens_schema(vocabulary)) as shard:
        for group in (rows[:2], rows[2:]):
            table = pa.table({"tokens": group, "documents": [[]] * len(group)}, schema=tokens_schema(vocabulary))
            shard.write(table)
    assert shard.entry is not None
    counts = write_tokens(tmp_path / shard.entry.path, tmp_path / "flat" / "0.tokens", vocabulary=vocabulary)
    assert TokenStream([tmp_path / "flat" / "0.tokens"], vocabulary=vocabulary).read(0, 4).tolist() == [
        5,
        6,
        vocabulary - 1,
        5,
    ]
    assert np.flatnonzero(counts).tolist() == [5, 6, vocabulary - 1]
    assert counts[[5, 6]].tolist() == [2, 1]
