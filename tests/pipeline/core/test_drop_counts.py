"""Dropped documents by reason, language and source: exact, however they are divided, and bounded."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.core.drop_counts import DropCounter, merged_drops
from pipeline.core.records import DOCUMENTS, REJECTED
from pipeline.core.shards import FileEntry, ShardWriter, documents_dropped
from pipeline.core.source_counts import MOST_LANGUAGES, OTHERS

LANGUAGES = ("en", "zh", None)


def batch(first: int, count: int) -> pa.Table:
    """Documents of three languages and two sources."""
    rows = [
        {"id": f"d{n}", "text": "铁", "source": "书" if n % 2 else "web", "language": LANGUAGES[n % 3]}
        for n in range(first, first + count)
    ]
    return pa.Table.from_pylist(rows, schema=DOCUMENTS)


def dropped(documents: pa.Table) -> pa.Table:
    """Every document but each fourth, for one of two reasons."""
    rows = [
        {"id": name, "stage": "clean", "rule": "short" if number % 2 else "长"}
        for number, name in enumerate(documents["id"].to_pylist())
        if number % 4
    ]
    return pa.Table.from_pylist(rows, schema=REJECTED)


EXPECTED = {
    "short": {"languages": {"en": 2, "unknown": 2, "zh": 2}, "sources": {"书": 6}},
    "长": {"languages": {"en": 1, "unknown": 1, "zh": 1}, "sources": {"web": 3}},
}


@pytest.mark.parametrize("size", [4, 12])
def test_the_counts_do_not_depend_on_how_documents_are_divided(size: int) -> None:
    parts = []
    for first in range(0, 12, size):
        counter, documents = DropCounter(), batch(first, size)
        counter.add(dropped(documents), documents)
        counter.add(dropped(documents).slice(0, 0), documents)
        parts.append(counter.result())
    assert merged_drops(parts) == EXPECTED
    assert merged_drops([]) == {}


def test_languages_of_a_reason_are_bounded_and_none_is_lost() -> None:
    rows = [{"id": f"d{n}", "text": "x", "source": "s", "language": f"x{n}"} for n in range(3 * MOST_LANGUAGES)]
    documents = pa.Table.from_pylist(rows, schema=DOCUMENTS)
    names = [{"id": row["id"], "rule": "r", "stage": "clean"} for row in rows]
    counter = DropCounter()
    counter.add(pa.Table.from_pylist(names, schema=REJECTED), documents)
    languages = counter.result()["r"]["languages"]
    assert len(languages) == MOST_LANGUAGES and sum(languages.values()) == 3 * MOST_LANGUAGES and OTHERS in languages


def test_dropped_documents_are_counted_while_they_are_written(tmp_path: Path) -> None:
    documents = batch(0, 12)
    with ShardWriter(tmp_path, "rejected", "a", REJECTED) as shard:
        shard.write(dropped(documents), dropped_from=documents)
    assert shard.entry is not None
    again = FileEntry.from_dict(shard.entry.to_dict())
    assert documents_dropped([again, FileEntry("parts/a", 1, 1, "", "", {})]) == EXPECTED
    assert documents_dropped([again, FileEntry("rejected/b", 1, 1, "", "")]) is None, "of an earlier version"
