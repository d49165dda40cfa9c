"""The raw files of an `ingest` section, as planning needs them: listed, divided into parts, and looked up again.

Listing imports the readers, because a reader in a plug-in may list files in its own way.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterator, Sequence

import pyarrow.compute as pc

from pipeline.core.artifact import Artifact
from pipeline.core.errors import UserError
from pipeline.core.files import RawFile, read_json
from pipeline.core.hub import Commit, commit_of
from pipeline.core.raw import RawPosition, RawSource
from pipeline.core.records import document_id
from pipeline.core.shards import batches
from pipeline.readers import format_of, match, text_problem
from pipeline.readers.section import Ingest, Source

RAW_FILE = "raw.json"
MAX_SKIPPED_RECORDS = 1_000_000  # blank lines and bad records before a document of one file; 1 s


class IngestFiles:
    """Implements the protocol RawFiles (pipeline/core/raw.py) for the `ingest` stage."""

    def sources(self, section: Ingest) -> Iterator[RawSource]:
        """Yield every source with its files, or with the reason why they cannot be listed."""
        for index, source in enumerate(section.sources):
            yield _list_source(source, index)

    def problem(self, section: Ingest, source: RawSource) -> str | None:
        """Check that the first records of a source have its text field."""
        options = next(source_options for source_options in section.sources if source_options.name == source.name)
        try:
            return text_problem(options, list(source.files))
        except (UserError, OSError) as error:
            return str(error)

    def part(self, section: Ingest, sources: Collection[str]) -> Ingest:
        """The section with the sources that have files in the part."""
        return section.model_copy(update={"sources": [source for source in section.sources if source.name in sources]})

    def recorded(self, artifact: Artifact) -> dict[tuple[str, str], str]:
        """From raw.json, the artifact's list of the files that it read."""
        files = read_json(artifact.file(RAW_FILE)) if artifact.has(RAW_FILE) else []
        return {(file["source"], file["name"]): file["sha256"] for file in files}

    def locate(self, artifact: Artifact, document: str) -> RawPosition | None:
        """Find the raw file by the number of documents in each, then the position by the id, which hashes it."""
        row = _row_of(artifact, document)
        if row is None or not artifact.has(RAW_FILE):
            return None
        source, number, text, position = row
        for file in read_json(artifact.file(RAW_FILE)):
            if file["source"] != source:
                continue
            document_count = file["records"] - file["quarantined"] - file.get("skipped", 0)
            if number < document_count:
                position = _position(document, source, file["name"], number, text, position)
                return None if position is None else RawPosition(source, file["name"], position)
            number -= document_count
        return None


def _row_of(artifact: Artifact, document: str) -> tuple[str, int, str, int | None] | None:
    """The source of a document, its index among those of its source, its text, and the position in `metadata`."""
    documents_before: dict[str, int] = {}
    for file in artifact.files("parts/"):
        for batch in batches(file, ["id", "source", "text", "metadata"]):
            row = pc.index(batch["id"], document).as_py()
            if row >= 0:
                source = batch["source"][row].as_py()
                earlier = pc.sum(pc.equal(batch["source"].slice(0, row), source)).as_py() or 0
                fields = {item["key"]: item["value"] for item in batch["metadata"][row].as_py() or ()}
                position = int(fields["position"]) if fields.get("position", "").isdecimal() else None
                return source, documents_before.get(source, 0) + earlier, batch["text"][row].as_py(), position
            for count in batch["source"].value_counts().to_pylist():
                documents_before[count["values"]] = documents_before.get(count["values"], 0) + count["counts"]
    return None


def _position(document: str, source: str, name: str, number: int, text: str, recorded: int | None) -> int | None:
    """The position that gives the document's id: its index in the file plus the blank or bad records before it.

    `recorded`: what `metadata` says, where a reader knows no such index (web archives).
    """
    digest = hashlib.sha256(text.encode()).hexdigest()
    numbers = range(number, number + MAX_SKIPPED_RECORDS)
    positions = numbers if recorded is None else itertools.chain((recorded,), numbers)
    return next((position for position in positions if document_id(source, name, position, digest) == document), None)


def _list_source(source: Source, index: int) -> RawSource:
    option = ("sources", index)
    try:
        files = tuple(match(source))
        remarks = [f"{each.repository} is at commit {each.commit}" for each in _commits(files)]
        if source.recognized:
            remarks.append(f"its {_count(files)} {format_of(source)}, read by `reader: {source.reader}`")
        remark = f"{'; '.join(remarks)}." if remarks else ""
        return RawSource(source.name, source.reader, option, files, remark=remark)
    except UserError as error:
        return RawSource(source.name, source.reader, option, problem=str(error))
    except OSError as error:
        return RawSource(source.name, source.reader, option, problem=f"cannot be listed ({error}).")


def _commits(files: Sequence[RawFile]) -> list[Commit]:
    """The commits of a hub that the files are of, each once."""
    commits = (commit_of(file.path) for file in files)
    return sorted({commit for commit in commits if commit is not None})


def _count(files: Sequence[RawFile]) -> str:
    """1 file is, 3 files are"""
    return "file is" if len(files) == 1 else f"{len(files):,} files are"
