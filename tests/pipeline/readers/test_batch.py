"""A batch is bounded by the bytes of its records, whichever field holds them."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.readers.base import BadRecord, Record
from pipeline.readers.batch import BATCH_BYTES, Batch

LARGE = 100_000
TEXT = "短文 short".encode()
RECORDS = {
    "text": lambda at: Record(at, b"x" * LARGE),
    "a metadata value": lambda at: Record(at, TEXT, metadata={"html": "<" * LARGE}),
    "a metadata key": lambda at: Record(at, TEXT, metadata={"键" * LARGE: ""}),
    "many pairs": lambda at: Record(at, TEXT, metadata={str(number): "" for number in range(LARGE // 16)}),
    "url": lambda at: Record(at, TEXT, url="u" * LARGE),
    "id": lambda at: Record(at, TEXT, source_id="i" * LARGE),
}


def filled(batch: Batch, make: Any) -> int:
    """How many records a batch takes until it is full."""
    for at in range(1_000_000):
        if batch.full:
            return at
        record = make(at)
        batch.add("a.jsonl", record) if isinstance(record, Record) else batch.reject("a.jsonl", record)
    raise AssertionError("the batch is never full")


@pytest.mark.parametrize("field", RECORDS)
def test_a_batch_is_full_by_whatever_field_holds_the_bytes(field: str) -> None:
    batch = Batch("web", "en")
    assert filled(batch, RECORDS[field]) <= BATCH_BYTES / LARGE + 1
    assert batch.documents().nbytes < 4 * BATCH_BYTES, "a character has four bytes at most"


def test_the_kept_bytes_of_bad_records_count_towards_the_size() -> None:
    batch = Batch("web", "en")
    count = filled(batch, lambda at: BadRecord(at, "unparsable_json", "d" * 1000, b"r" * 2000))
    assert count <= BATCH_BYTES / 3000 + 1
    assert batch.quarantine().nbytes < 2 * BATCH_BYTES


def test_the_text_alone_is_counted_as_text() -> None:
    batch = Batch("web", "en")
    batch.add("a.jsonl", Record(1, TEXT, "id", "url", None, {"标题": "名"}))
    assert batch.text_bytes == len(TEXT) < batch.size
