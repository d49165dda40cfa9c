"""What every test of a data stage needs: a job in a folder of its own, documents to work on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.core.artifact import Artifact
from pipeline.core.draft import LocalDraft
from pipeline.core.job import Job, StageOutput, check_rows
from pipeline.core.manifest import Manifest, content_digest_of, digest_of
from pipeline.core.records import DOCUMENTS, document_id
from pipeline.core.shards import ShardWriter, number
from pipeline.core.stage import ArtifactKind


@pytest.fixture
def make_job(tmp_path: Path, job_in: Callable[..., Job]) -> Callable[..., Job]:
    """make_job(stage="ingest", params={…}, workers=2) → a Job whose folders lie under `name` and exist."""

    def make(name: str = "draft", **fields: Any) -> Job:
        return job_in(tmp_path / name, fields.pop("inputs", {}), **fields)

    return make


@pytest.fixture
def make_documents(tmp_path: Path) -> Callable[..., Artifact]:
    """make_documents([{"text": …, "language": …}, …], files=2) → a documents artifact; ids are made from the texts."""

    def make(records: Sequence[dict[str, Any]], *, files: int = 1, name: str = "documents") -> Artifact:
        folder, step = tmp_path / name, -(-len(records) // files) or 1
        entries = []
        for first in range(0, len(records), step):
            rows = [{**_document(record, first + at), **record} for at, record in enumerate(records[first:][:step])]
            with ShardWriter(folder, "parts", f"{first:06d}", DOCUMENTS) as shard:
                for begin in range(0, len(rows), 50):
                    shard.write(pa.Table.from_pylist(rows[begin:][:50], schema=DOCUMENTS))
            assert shard.entry is not None
            entries.append(shard.entry)
        counts = {"in": len(records), "out": len(records)}
        return artifact_of(folder, "documents", StageOutput(number(LocalDraft(folder), entries), counts))

    return make


@pytest.fixture
def publish() -> Callable[[Job, StageOutput], Artifact]:
    """publish(job, outcome) → the artifact that the job's folder holds, its bookkeeping checked."""

    def published(job: Job, outcome: StageOutput) -> Artifact:
        check_rows(job.stage, outcome.counts)
        return artifact_of(job.folder, job.identity.kind, outcome)

    return published


def artifact_of(folder: Path, kind: ArtifactKind, outcome: StageOutput) -> Artifact:
    files, digest = tuple(outcome.files), digest_of(outcome.files)
    values = content_digest_of(outcome.files)
    return Artifact(folder, Manifest("test", 1, digest, kind, {}, {}, files, outcome.counts, digest, values))


def _document(record: dict[str, Any], position: int) -> dict[str, Any]:
    sha256 = hashlib.sha256(record["text"].encode()).hexdigest()
    found = document_id("made", "made.jsonl", position, sha256)
    return {"id": found, "source_id": f"made-{position}", "source": "made", "metadata": []}
