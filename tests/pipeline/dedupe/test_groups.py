"""Who shares a hash: groups against plain dictionaries."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dedupe.groups import RECORD, equal_documents, find_buckets, make_records

RECORDS = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2)), max_size=20)


def records_of(keys: list[tuple[int, int]]) -> np.ndarray:  # type: ignore[type-arg]
    return np.array([(hashed, check, document) for document, (hashed, check) in enumerate(keys)], RECORD)


@given(RECORDS)
def test_equal_texts_point_to_the_first(keys: list[tuple[int, int]]) -> None:
    expected = {document: keys.index(key) for document, key in enumerate(keys) if keys.index(key) != document}
    documents, leaders = equal_documents(records_of(keys)[::-1])
    assert dict(zip(documents.tolist(), leaders.tolist(), strict=True)) == expected


@given(RECORDS)
def test_a_bucket_holds_the_first_of_each_text_and_no_bucket_comes_twice(keys: list[tuple[int, int]]) -> None:
    by_hash: dict[int, dict[int, int]] = defaultdict(dict)
    for document, (hashed, check) in enumerate(keys):
        by_hash[hashed].setdefault(check, document)
    expected = {tuple(sorted(members.values())) for members in by_hash.values() if len(members) > 1}
    groups = find_buckets(records_of(keys)[::-1])
    ends = groups.offsets
    lists = [tuple(groups.members[a:b].tolist()) for a, b in zip(ends[:-1], ends[1:], strict=True)]
    assert sorted(lists) == sorted(expected)


def test_nothing_makes_no_group() -> None:
    assert len(find_buckets(np.empty(0, RECORD)).members) == 0
    assert len(equal_documents(np.empty(0, RECORD))[0]) == 0


def test_a_hash_of_nought_makes_no_record() -> None:
    numbers = np.arange(3, dtype=np.uint64)
    made_records = make_records(np.array([5, 0, 7], np.uint64), numbers, numbers)
    assert made_records["document"].tolist() == [0, 2]
