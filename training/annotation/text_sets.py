"""Sets of texts that a user names for a model: sources in the form of `ingest.sources`, read in batches.

A string is short for {reader: auto, paths: that string}. The content of the files enters the fingerprint, their place
does not. Bad records are skipped and counted, as many as there are: a set is a sample, not the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import pyarrow as pa
from pydantic import BeforeValidator, Field, SerializeAsAny

from pipeline.core.errors import StageFailed, UserError
from pipeline.core.files import JsonObject, RawFile, sha256_file, sha256_of
from pipeline.core.job import SourceFile, SourceFiles
from pipeline.readers import READERS, create_reader
from pipeline.readers.section import LOCATION_KEYS, Source, validate_source

BATCH_BYTES = 16 << 20
MAX_RECORD_BYTES = 64 << 20  # the default of ingest
TEXTS = pa.schema([("text", pa.large_string()), ("language", pa.string())])


def _source(value: object) -> object:
    return validate_source({"paths": [value]} if isinstance(value, str) else value)


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


if TYPE_CHECKING:
    from typing import TypeAlias

    TextSet: TypeAlias = list[Source]
else:
    TextSet = Annotated[
        list[Annotated[SerializeAsAny[Source], BeforeValidator(_source)]],
        BeforeValidator(_as_list),
        Field(min_length=1),
    ]


def files_of(source: Source) -> list[SourceFile]:
    """The files of a source with the hashes of their content.

    Raises: UserError when there is none.
    """
    files = READERS.load(source.reader).match(source)
    return [
        {
            "path": file.path, "name": file.name, "size": file.size, "mtime": file.mtime,
            "sha256": sha256_of(file),
        }
        for file in files
    ]  # fmt: skip


def identity(texts: Sequence[Source]) -> list[JsonObject]:
    """What enters the fingerprint: how each source is read, and the names and hashes of its files."""
    return [
        {
            **{key: value for key, value in source.model_dump(mode="json").items() if key not in LOCATION_KEYS},
            "files": [[file["name"], file["sha256"]] for file in files_of(source)],
        }
        for source in texts
    ]


def sources(option: str, texts: Sequence[Source]) -> list[SourceFiles]:
    """Where the files lie: the `sources` of the job."""
    return [{"source": option, "reader": source.reader, "files": files_of(source)} for source in texts]


class TextReader:
    """Reads a set of texts; `bad` is the number of records that could not be read, after a pass."""

    def __init__(self, option: str, texts: Sequence[Source], files: Sequence[SourceFiles]) -> None:
        self.option, self.bad = option, 0
        self._texts = [(source, [*each["files"]]) for source, each in zip(texts, files, strict=True)]

    def batches(self) -> Iterator[pa.Table]:
        """Batches with the columns text and language, up to 16 MiB of text and a document each, in the order of
        sources, files and records. May be called again.

        Raises: UserError when the set has no text; StageFailed when a file changed since the plan was made.
        """
        self.bad = records = 0
        for source, files in self._texts:
            reader = create_reader(source.model_dump(mode="json"), max_record_bytes=MAX_RECORD_BYTES)
            for file in files:
                for batch in self._batches_of(reader.read(_unchanged(file)), source.language):
                    records += batch.num_rows
                    yield batch
        if not records:
            raise UserError(f"annotate: {self.option} has no text: {self.bad:,} records could not be read.")

    def _batches_of(self, records: Iterator[object], language: str | None) -> Iterator[pa.Table]:
        texts: list[bytes] = []
        languages: list[str | None] = []
        size = 0
        for record in records:
            if not hasattr(record, "text"):
                self.bad += hasattr(record, "raw")
                continue
            texts.append(record.text)
            languages.append(language or record.language)  # type: ignore[attr-defined]
            size += len(texts[-1])
            if size >= BATCH_BYTES:
                yield _table(texts, languages)
                texts, languages, size = [], [], 0
        if texts:
            yield _table(texts, languages)


def _table(texts: Sequence[bytes], languages: Sequence[str | None]) -> pa.Table:
    column = pa.array(texts, pa.large_binary()).cast(pa.large_string())
    return pa.table([column, pa.array(languages, pa.string())], schema=TEXTS)


def _unchanged(file: Mapping[str, object]) -> RawFile:
    path = str(file["path"])
    if sha256_file(path) != file["sha256"]:
        raise StageFailed(f"annotate: {path} changed after the run was planned. Run again.")
    return RawFile(path, str(file["name"]), int(str(file["size"])), float(str(file["mtime"])))
