"""A few examples of what was dropped, and why: three for each reason, the same ones every time.

Ids are hashes, so the smallest ids of a reason are an even sample of it. At most MOST_ROWS rows are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.artifact import Artifact
from pipeline.core.shards import batches

EACH = 3
MOST_ROWS = 200_000  # of a kind of file: a second or two, whatever the size of the corpus
LONGEST = 600  # characters shown


def rejected(artifact: Artifact) -> dict[str, list[dict[str, Any]]]:
    """Rule → examples with id, value, threshold and the beginning of the text."""
    return {
        rule: [{**row, "text": shortened(row["text"])} for row in rows]
        for rule, rows in _smallest(artifact, "rejected/", by="rule", key="id").items()
    }


def quarantined(artifact: Artifact) -> dict[str, list[dict[str, Any]]]:
    """Reason → examples with file, position, detail and the first bytes as text."""
    found = _smallest(artifact, "quarantine/", by="reason", key="position")
    return {
        reason: [{**row, "text": shortened((row["raw"] or b"").decode("utf-8", "replace"))} for row in rows]
        for reason, rows in found.items()
    }


def duplicates(artifact: Artifact, source: Artifact | None) -> dict[str, list[dict[str, Any]]]:
    """Method → examples with both ids, the similarity, and both texts where `source` has them."""
    found = _smallest(artifact, "duplicates/", by="method", key="id")
    wanted = {row[key] for rows in found.values() for row in rows for key in ("id", "kept_id")}
    texts = _texts(source, wanted) if source is not None else {}
    return {
        method: [{**row, "text": texts.get(row["id"]), "kept_text": texts.get(row["kept_id"])} for row in rows]
        for method, rows in found.items()
    }


def shortened(text: str | None) -> str:
    """The beginning of a text."""
    if not text:
        return ""
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + " …"


def _smallest(artifact: Artifact, prefix: str, *, by: str, key: str) -> dict[str, list[dict[str, Any]]]:
    held: dict[str, list[dict[str, Any]]] = {}
    for batch in _tables(artifact.files(prefix), None):
        for value in pc.unique(batch[by]).to_pylist():
            rows = batch.filter(pc.equal(batch[by], value)).sort_by(key).slice(0, EACH).to_pylist()
            held[value] = sorted(held.get(value, []) + rows, key=lambda row: row[key])[:EACH]
    return dict(sorted(held.items()))


def _texts(artifact: Artifact, wanted: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for batch in _tables(artifact.files("parts/"), ["id", "text"]):
        hits = batch.filter(pc.is_in(batch["id"], pa.array(sorted(wanted), pa.string())))
        found.update((row["id"], shortened(row["text"])) for row in hits.to_pylist())
        if len(found) == len(wanted):
            break
    return found


def _tables(files: Iterable[Path], columns: list[str] | None) -> Iterator[pa.Table]:
    seen = 0
    for file in files:
        for batch in batches(file, columns):
            yield batch
            seen += batch.num_rows
            if seen >= MOST_ROWS:
                return
