"""From a document back to its raw file and its place there, by what an ingest artifact records."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa

from pipeline.core.artifact import Artifact
from pipeline.core.draft import LocalDraft
from pipeline.core.files import write_json
from pipeline.core.manifest import Manifest
from pipeline.core.raw import RawPosition
from pipeline.core.records import DOCUMENTS, document_id
from pipeline.core.shards import ShardWriter, entry_of, number
from pipeline.readers.raw import IngestFiles

# source, file, position, text: line 2 of a.jsonl is blank, line 3 is no record, b.jsonl counts from its own beginning
PLACES = [
    ("web", "a.jsonl", 1, "iron"), ("web", "a.jsonl", 4, "铁匠"), ("web", "b.jsonl", 1, "bloom"),
    ("books", "a.jsonl", 1, "iron"),
]  # fmt: skip


def identity(source: str, name: str, position: int, text: str) -> str:
    return document_id(source, name, position, hashlib.sha256(text.encode()).hexdigest())


def ingested(folder: Path) -> Artifact:
    columns = {"source_id": None, "url": None, "language": None, "metadata": []}
    rows = [{"id": identity(*place), "text": place[3], "source": place[0], **columns} for place in PLACES]
    with ShardWriter(folder, "parts", "x", DOCUMENTS) as shard:
        shard.write(pa.Table.from_pylist(rows, DOCUMENTS))
    assert shard.entry is not None
    files = [("web", "a.jsonl", 3, 1), ("web", "b.jsonl", 1, 0), ("books", "a.jsonl", 1, 0)]
    raw = [{"source": s, "name": n, "sha256": "0", "records": r, "quarantined": q} for s, n, r, q in files]
    write_json(folder / "raw.json", raw)
    entries = (*number(LocalDraft(folder), [shard.entry]), entry_of(folder, "raw.json"))
    return Artifact(folder, Manifest("ingest", 1, "f", "documents", {}, {}, entries, {}, "d", "c"))


def test_every_document_is_found_in_its_file_and_at_its_position(tmp_path: Path) -> None:
    artifact = ingested(tmp_path)
    for place in PLACES:
        assert IngestFiles().locate(artifact, identity(*place)) == RawPosition(*place[:3])


def test_a_document_of_another_artifact_is_not_found(tmp_path: Path) -> None:
    assert IngestFiles().locate(ingested(tmp_path), "f" * 32) is None


def test_the_raw_files_of_an_artifact_are_read_back(tmp_path: Path) -> None:
    assert set(IngestFiles().recorded(ingested(tmp_path))) == {
        ("web", "a.jsonl"),
        ("web", "b.jsonl"),
        ("books", "a.jsonl"),
    }
