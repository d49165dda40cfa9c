"""Exact repeats compared with a search of every window of the text itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels.substrings import WindowSizes
from pipeline.passages.batch import DocumentBatch
from pipeline.passages.windows import (
    ANCHOR,
    WINDOW,
    WINDOW_REPEAT,
    anchors_of,
    equal_windows,
    hash_table,
    make_anchors,
    pieces,
    repeated_anchors,
    resolve,
    sizes_of,
    split_block,
    windows_of,
)
from pipeline.text.written_units import written_units

Removed = set[tuple[int, int]]


def all_windows(texts: Sequence[str], window: int) -> Iterator[tuple[int, int, str]]:
    """Document, first byte and text of every window, in the order of the corpus."""
    for document, text in enumerate(texts):
        units = written_units(text)
        for i, first in enumerate(units):
            weight = 0
            for last in units[i:]:
                weight += last.weight
                if weight >= window:
                    yield document, len(text[: first.start].encode()), text[first.start : last.end]
                    break


def by_search(texts: Sequence[str], window: int) -> tuple[Removed, Counter[tuple[int, int]]]:
    """Every byte of a window that occurs before, and every repeat's number of copies, by plain comparison."""
    windows = list(all_windows(texts, window))
    copies = Counter(text for _, _, text in windows)
    seen: set[str] = set()
    removed: Removed = set()
    counts: Counter[tuple[int, int]] = Counter()
    for document, start, text in windows:
        if text in seen:
            removed |= {(document, at) for at in range(start, start + len(text.encode()))}
            counts[document, start] = copies[text]
        seen.add(text)
    return removed, counts


def by_anchors(texts: Sequence[str], sizes: WindowSizes, *, ranges: int = 2, partitions: int = 3) -> np.ndarray:
    """The repeats of all documents, by the steps of the finder: a document is a block, and file ranges hold some."""
    batches = [DocumentBatch.of_texts(pa.array([text], pa.large_string())) for text in texts]
    range_of = [document * ranges // max(1, len(texts)) for document in range(len(texts))]
    anchors = np.concatenate(
        [np.empty(0, ANCHOR), *(make_anchors(anchors_of(b, sizes), r) for b, r in zip(batches, range_of, strict=True))]
    )
    split_anchors = [anchors[anchors["hash"] % partitions == n] for n in range(partitions)]
    repeated = np.concatenate([repeated_anchors(partition) for partition in split_anchors])
    blocks = []
    for document, batch in enumerate(batches):
        table = hash_table(repeated["hash"][repeated["file_range"] == range_of[document]])
        blocks.append(split_block(windows_of(batch, document, sizes, table)))
    firsts = np.concatenate([np.empty(0, WINDOW), *(block.first for block in blocks)])
    found = [equal_windows(firsts[firsts["a"] % partitions == n]) for n in range(partitions)]
    of_firsts = np.concatenate(found)
    found = [
        resolve(block.repeats, of_firsts[of_firsts["document"] == document]) for document, block in enumerate(blocks)
    ]
    return np.concatenate([np.empty(0, WINDOW_REPEAT), *found])


def bytes_of(ranges: np.ndarray) -> Removed:
    return {
        (int(row["document"]), at) for row in ranges for at in range(int(row["start"]), int(row["start"] + row["size"]))
    }


def check(texts: Sequence[str], sizes: WindowSizes, **divided: int) -> None:
    removed, counts = by_search(texts, sizes.window)
    repeats = by_anchors(texts, sizes, **divided)
    assert bytes_of(repeats) == removed
    assert {(int(row["document"]), int(row["start"])): int(row["copies"]) for row in repeats} == counts
    merged = pieces(repeats)
    assert bytes_of(merged) == removed
    assert merged["size"].sum() == len(removed)
    data = [text.encode() for text in texts]
    for row in merged:
        document, start, size, kept, kept_start = (int(row[name]) for name in WINDOW_REPEAT.names[:5])
        assert data[document][start : start + size] == data[kept][kept_start : kept_start + size]
        assert (kept, kept_start) < (document, start)
        data[document][start : start + size].decode()


WORDS = st.lists(
    st.sampled_from("a bb ccc. (d 中 文。 か ่ internationalization \r\n e\u0301 ️ 好".split(" ")), max_size=80
)
SPACED = st.tuples(WORDS, st.sampled_from(["", " ", "\n"])).map(lambda drawn: drawn[1].join(drawn[0]))
REPETITIVE = st.tuples(SPACED, st.integers(1, 6)).map(lambda drawn: drawn[0] * drawn[1])


@settings(max_examples=300, deadline=None)
@given(st.lists(SPACED | REPETITIVE, max_size=8), st.sampled_from([(4, 2), (8, 4), (15, 8), (20, 3)]))
def test_repeats_equal_those_of_a_search_of_every_window(texts: list[str], sizes: tuple[int, int]) -> None:
    check(texts, WindowSizes(*sizes))


@pytest.mark.parametrize(
    "text", ["ha " * 90, "哈" * 90, "one two three. " * 40, "一二三。" * 60, "x" * 5000, "=-" * 500]
)
def test_a_text_that_repeats_itself_is_left_with_one_period(text: str) -> None:
    sizes = WindowSizes(20, 10)
    check([text, text, "new " + text], sizes)
    removed, _ = by_search([text], sizes.window)
    period = {"h": 2, "哈": 3, "o": 14, "一": 12}.get(text[0], len(text))
    assert len(text.strip().encode()) - len(removed) == (period + text.startswith(("ha", "one")) if removed else period)


def test_a_text_repeated_a_hundred_times_is_kept_once() -> None:
    notice = "All rights reserved. No part of it may be copied without leave. 版权所有，未经许可不得转载本文任何部分。"
    texts = [f"第 {number} {notice} {number}" for number in range(100)]
    sizes = sizes_of(25)
    check(texts, sizes, ranges=3, partitions=4)
    merged = pieces(by_anchors(texts, sizes))
    assert merged["document"].tolist() == list(range(1, 100))
    assert set(merged["kept"].tolist()) == {0}
    assert set(merged["copies"].tolist()) == {100}
    assert texts[7].encode()[merged["start"][6] :][: merged["size"][6]].decode() == notice


def test_the_division_into_ranges_and_partitions_changes_nothing() -> None:
    draw = np.random.default_rng(17)
    words = np.array("the old river 河 流 passes 经过 a station 车 站".split())
    texts = [" ".join(draw.choice(words, 40)) for _ in range(6)]
    texts += [" ".join(draw.permutation([*texts[:3], "end"])) for _ in range(4)]
    first = by_anchors(texts, WindowSizes(30, 15), ranges=1, partitions=1)
    assert len(first)
    for ranges, partitions in ((2, 3), (5, 1), (10, 8)):
        np.testing.assert_array_equal(
            by_anchors(texts, WindowSizes(30, 15), ranges=ranges, partitions=partitions), first
        )


def test_fifty_tokens_are_36_words_or_72_characters() -> None:
    assert sizes_of(50).window == 72
    assert sizes_of(50).gram == 36
