"""Counts by source, language and licence: exact, the same however documents are divided, bounded for hostile tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.core.records import DOCUMENTS
from pipeline.core.shards import FileEntry, ShardWriter, documents_by_source
from pipeline.core.source_counts import MOST_LANGUAGES, MOST_LICENCES, OTHERS, SourceCounter, merged

ENGLISH, CHINESE = "Iron is worked while it is hot.", "趁热打铁，炉火正旺。"


def document(text: str, source: str, language: str | None, **metadata: str) -> dict[str, Any]:
    pairs = [{"key": key, "value": value} for key, value in metadata.items()]
    return {"id": "0", "text": text, "source": source, "language": language, "metadata": pairs}


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=DOCUMENTS)


ROWS = [
    document(ENGLISH, "web", "en", license="MIT", licence="CC0"),
    document(CHINESE, "web", "zh", title="炉"),
    document(CHINESE, "books", "zh", licence=" CC BY-SA 4.0\n"),
    document(ENGLISH, "books", None, licence=""),
]


def test_documents_bytes_and_characters_are_counted_by_source_and_language() -> None:
    counter = SourceCounter()
    counter.add(table(*ROWS))
    english = {"bytes": 31, "characters": 31, "documents": 1}
    chinese = {"bytes": 30, "characters": 10, "documents": 1}
    assert counter.result() == {
        "books": {"languages": {"unknown": english, "zh": chinese}, "licences": {"CC BY-SA 4.0": 1}},
        "web": {"languages": {"en": english, "zh": chinese}, "licences": {"MIT": 1}},
    }


@pytest.mark.parametrize("size", [1, 3])
def test_the_counts_do_not_depend_on_how_documents_are_divided(size: int) -> None:
    whole = SourceCounter()
    whole.add(table(*ROWS * 3))
    parts = []
    for first in range(0, len(ROWS) * 3, size):
        part = SourceCounter()
        part.add(table(*(ROWS * 3)[first : first + size]))
        parts.append(part.result())
    assert merged(parts) == whole.result()
    assert merged([]) == {}


def test_a_slice_of_a_table_counts_its_own_rows() -> None:
    counter = SourceCounter()
    counter.add(table(*ROWS).slice(2, 1))
    assert counter.result()["books"]["licences"] == {"CC BY-SA 4.0": 1} and list(counter.sources) == ["books"]


def test_further_values_of_documents_are_summed() -> None:
    import numpy as np

    counter = SourceCounter()
    counter.add(table(*ROWS).select(["source", "language", "text"]), tokens=np.array([5, 7, 11, 13]))
    assert counter.result()["books"]["languages"]["zh"]["tokens"] == 11
    assert counter.result()["web"]["licences"] == {}


def test_hostile_tags_and_licences_are_bounded_and_none_is_lost() -> None:
    counter = SourceCounter()
    for batch in range(4):
        rows = [document("文", "web", f"x{n}-{batch}", licence=f"licence {n} {batch}") for n in range(400)]
        counter.add(table(*rows, *[document("文", "web", "zh", licence="L" * 10_000)] * 5))
    (counts,) = counter.result().values()
    assert len(counts["languages"]) == MOST_LANGUAGES and len(counts["licences"]) == MOST_LICENCES
    assert sum(measures["documents"] for measures in counts["languages"].values()) == 4 * 405
    assert sum(counts["licences"].values()) == 4 * 405
    assert counts["languages"]["zh"]["documents"] == 20 and counts["licences"]["L" * 100] == 20
    assert OTHERS in counts["languages"]


def test_a_file_of_documents_is_counted_while_it_is_written(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, "parts", "a", DOCUMENTS) as shard:
        shard.write(table(*ROWS[:2]))
        shard.write(table(*ROWS[2:]))
    assert shard.entry is not None
    again = FileEntry.from_dict(shard.entry.to_dict())
    counter = SourceCounter()
    counter.add(table(*ROWS))
    assert documents_by_source([again]) == counter.result()


def test_a_file_of_an_earlier_version_makes_the_counts_unknown() -> None:
    assert documents_by_source([FileEntry("parts/a", 1, 1, "", "", {}), FileEntry("parts/b", 1, 1, "", "")]) is None
