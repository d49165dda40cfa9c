"""Packed rows, token streams and id hashes, compared with plain loops."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.draft import LocalDraft
from pipeline.core.records import tokens_schema
from pipeline.tokenizers import id_hash
from pipeline.tokenizers.base import Encoded
from pipeline.tokenizers.packed_rows import TokenSpan, file_ranges, to_table, with_end_of_text
from pipeline.tokenizers.token_streams import StreamRange, StreamWriter, read_ranges

SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def span_of(sizes: list[int]) -> TokenSpan:
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    tokens = np.arange(sum(sizes), dtype=np.uint16)
    return TokenSpan(tokens, pa.array([f"document-{n}" for n in range(len(sizes))]), starts)


def plain_rows(sizes: list[int], length: int) -> list[dict[str, object]]:
    owners = [n for n, size in enumerate(sizes) for _ in range(size)]
    rows = []
    for first in range(0, len(owners), length):
        row, spans = owners[first : first + length], []
        for owner in dict.fromkeys(row):
            start = row.index(owner)
            spans.append({"id": f"document-{owner}", "start": start, "end": start + row.count(owner)})
        rows.append({"tokens": list(range(first, first + len(row))), "documents": spans})
    return rows


@given(SIZES, st.integers(1, 8))
def test_rows_and_spans_are_those_of_a_plain_loop(sizes: list[int], length: int) -> None:
    assert to_table(span_of(sizes), length, tokens_schema(300)).to_pylist() == plain_rows(sizes, length)


@given(SIZES, st.integers(1, 8), st.integers(1, 3))
def test_a_span_in_parts_gives_the_rows_of_the_whole_span(sizes: list[int], length: int, rows: int) -> None:
    span, step = span_of(sizes), rows * length
    parts = [span.part(first, first + step) for first in range(0, sum(sizes), step)]
    part_rows = [row for part in parts for row in to_table(part, length, tokens_schema(300)).to_pylist()]
    assert part_rows == plain_rows(sizes, length)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.data())
def test_file_ranges_cover_a_range_of_concatenated_files(sizes: list[int], data: st.DataObject) -> None:
    total = sum(sizes)
    first = data.draw(st.integers(0, total))
    last = data.draw(st.integers(first, total))
    tokens = [(file, at) for file, size in enumerate(sizes) for at in range(size)]
    covered = [(file, at) for file, skip, take in file_ranges(sizes, first, last) for at in range(skip, skip + take)]
    assert covered == tokens[first:last]


def test_end_of_text_follows_each_document_and_belongs_to_it() -> None:
    encoded = Encoded(np.array([5, 6, 7], np.uint32), np.array([0, 2, 2, 3], np.int64))
    ended = with_end_of_text(encoded, 0, np.dtype(np.uint16))
    assert [ended.document(n).tolist() for n in range(3)] == [[5, 6, 0], [0], [7, 0]]
    assert ended.ids.dtype == np.uint16


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, second=SIZES, data=st.data())
def test_ranges_of_stored_streams_are_read_by_themselves(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], second: list[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("streams")
    for name, part in (("a", sizes), ("b", second)):
        with StreamWriter(folder, name) as stream:
            documents = pa.table({"id": [f"{name}{n}" for n in range(len(part))]})
            stream.write(np.arange(sum(part), dtype=np.uint16), documents, np.array(part))
    skip = data.draw(st.integers(0, sum(sizes) - 1))
    take = data.draw(st.integers(1, sum(second)))
    ranges = [StreamRange("a", skip, sum(sizes) - skip), StreamRange("b", 0, take)]
    span = read_ranges(LocalDraft(folder.parent), folder.name, ranges, np.dtype(np.uint16))
    assert span.tokens.tolist() == [*range(skip, sum(sizes)), *range(take)]
    owners = [f"a{n}" for n, size in enumerate(sizes) for _ in range(size)][skip:]
    owners += [f"b{n}" for n, size in enumerate(second) for _ in range(size)][:take]
    place = np.searchsorted(span.starts, np.arange(len(owners)), side="right") - 1
    assert span.ids.take(pa.array(place)).to_pylist() == owners


def test_a_hash_depends_only_on_the_id() -> None:
    ids = pa.array([f"{n:032x}" for n in range(1000)])
    hashes = id_hash.hash_ids(ids, "sample")
    assert np.array_equal(id_hash.hash_ids(ids.slice(300, 7), "sample"), hashes[300:307])
    assert len(set(hashes.tolist())) == 1000
    assert hashes.min() >= 0 and hashes.max() < id_hash.HASH_RANGE
    assert len(id_hash.hash_ids(pa.array([], pa.string()), "sample")) == 0


def test_hashes_are_spread_evenly_and_purposes_are_independent() -> None:
    ids = pa.array([f"{n:032x}" for n in range(4000)])
    sample, validation = id_hash.hash_ids(ids, "sample"), id_hash.hash_ids(ids, "validation")
    assert abs((sample < id_hash.HASH_RANGE // 10).sum() - 400) < 80
    assert abs(np.corrcoef(sample, validation)[0, 1]) < 0.06


def test_ids_of_any_form_are_hashed() -> None:
    ids = pa.array(["a", "文档", "", "a-rather-long-identifier-of-forty-bytes!"])
    hashes = id_hash.hash_ids(ids, "sample")
    assert len(set(hashes.tolist())) == 4
    assert id_hash.hash_ids(ids.slice(1, 1), "sample")[0] == hashes[1]
