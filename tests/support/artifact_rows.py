"""The rows of an artifact of documents, for assertions."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq

from pipeline.core.artifact import Artifact


def rows_of(artifact: Artifact, kind: str) -> list[dict[str, Any]]:
    """The rows of the files in a folder of the artifact, such as parts or removed."""
    return [row for path in artifact.files(f"{kind}/") for row in pq.read_table(path).to_pylist()]


def texts_of(artifact: Artifact) -> list[str]:
    """The texts of the documents that are left."""
    return [row["text"] for row in rows_of(artifact, "parts")]
