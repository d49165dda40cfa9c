"""The raw files behind an `ingest` section, as planning asks for them: listed, put into parts, and read back.

Readers are imported where files are listed: one of a user's own may list them its own way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator

import pyarrow.compute as pc

from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.files import read_json
from pipeline.core.raw import RawPosition, RawSource
from pipeline.core.records import document_id
from pipeline.core.shards import batches
from pipeline.readers import match, text_problem
from pipeline.readers.section import Ingest, Source

RAW = "raw.json"
MOST_SKIPPED = 1_000_000  # blank lines and bad records before a document of one file; 1 s


class IngestFiles:
    """What the table of stages names (pipeline/core/raw.py: RawFiles)."""

    def sources(self, section: Ingest) -> Iterator[RawSource]:
        """Every source with its files, or why they cannot be listed."""
        for index, source in enumerate(section.sources):
            yield _listed(source, index)

    def problem(self, section: Ingest, source: RawSource) -> str | None:
        """The first records of a source should have its text."""
        options = next(one for one in section.sources if one.name == source.name)
        try:
            return text_problem(options, list(source.files))
        except (UserError, OSError) as error:
            return str(error)

    def part(self, section: Ingest, sources: Collection[str]) -> Ingest:
        """The section with the sources that have files in the part."""
        return section.model_copy(update={"sources": [one for one in section.sources if one.name in sources]})

    def recorded(self, artifact: Artifact) -> dict[tuple[str, str], str]:
        """By the artifact's own list of what it read."""
        files = read_json(artifact.file(RAW)) if artifact.has(RAW) else []
        return {(one["source"], one["name"]): one["sha256"] for one in files}

    def locate(self, artifact: Artifact, document: str) -> RawPosition | None:
        """By the number of documents in each raw file, then by the id, which is a hash over the position."""
        row = _row_of(artifact, document)
        if row is None or not artifact.has(RAW):
            return None
        source, number, text = row
        for file in read_json(artifact.file(RAW)):
            if file["source"] != source:
                continue
            held = file["records"] - file["quarantined"]
            if number < held:
                position = _position(document, source, file["name"], number, text)
                return None if position is None else RawPosition(source, file["name"], position)
            number -= held
        return None


def _row_of(artifact: Artifact, document: str) -> tuple[str, int, str] | None:
    """The source of a document, its number among the documents of that source, and its text."""
    before: dict[str, int] = {}
    for file in artifact.files("parts/"):
        for batch in batches(file, ["id", "source", "text"]):
            at = pc.index(batch["id"], document).as_py()
            if at >= 0:
                source = batch["source"][at].as_py()
                earlier = pc.sum(pc.equal(batch["source"].slice(0, at), source)).as_py() or 0
                return source, before.get(source, 0) + earlier, batch["text"][at].as_py()
            for one in batch["source"].value_counts().to_pylist():
                before[one["values"]] = before.get(one["values"], 0) + one["counts"]
    return None


def _position(document: str, source: str, name: str, number: int, text: str) -> int | None:
    """The position that gives the document's id: its number in the file, or later by as many records as are none."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    places = range(number, number + MOST_SKIPPED)
    return next((place for place in places if document_id(source, name, place, digest) == document), None)


def _listed(source: Source, index: int) -> RawSource:
    option = ("sources", index)
    try:
        return RawSource(source.name, source.reader, option, tuple(match(source)))
    except UserError as error:
        return RawSource(source.name, source.reader, option, problem=str(error))
    except OSError as error:
        return RawSource(source.name, source.reader, option, problem=f"cannot be listed ({error}).")
