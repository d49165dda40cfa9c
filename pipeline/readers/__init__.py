"""Readers turn a raw file into documents. `match` lists the raw files of a source, `create_reader` makes its reader.

To add a reader, write a file like `plain.py`, put its section into `section.py`, and add a line to `READERS`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.core import listing
from pipeline.core.errors import UserError
from pipeline.core.files import RawFile
from pipeline.core.registry import Entry, Registry, load

if TYPE_CHECKING:
    from pipeline.readers.base import Reader
    from pipeline.readers.section import Source, SourceParams

_OPTIONS, _CODE = "pipeline.readers.section", "pipeline.readers"

# `reader: auto` asks them in this order: formats with magic bytes first, plain text last
READERS: Registry[Reader] = Registry(
    "reader",
    (
        Entry("parquet", f"{_OPTIONS}:ParquetFiles", f"{_CODE}.parquet:Parquet"),
        Entry("arrow", f"{_OPTIONS}:ArrowFiles", f"{_CODE}.arrow:Arrow"),
        Entry("warc", "pipeline.readers.sections.web:Warc", f"{_CODE}.warc:Warc"),
        Entry("wikipedia", "pipeline.readers.sections.web:Wikipedia", f"{_CODE}.wikipedia:Wikipedia"),
        Entry("html", "pipeline.readers.sections.web:HtmlFiles", f"{_CODE}.html_files:HtmlFiles"),
        Entry("jsonl", f"{_OPTIONS}:Jsonl", f"{_CODE}.jsonl:Jsonl"),
        Entry("json", f"{_OPTIONS}:JsonArray", f"{_CODE}.json_array:JsonArray"),
        Entry("tsv", f"{_OPTIONS}:Delimited", f"{_CODE}.delimited:Tsv"),
        Entry("csv", f"{_OPTIONS}:Delimited", f"{_CODE}.delimited:Csv"),
        Entry("python_docs", f"{_OPTIONS}:PythonDocs", f"{_CODE}.python_docs:PythonDocs"),
        Entry("plain", f"{_OPTIONS}:PlainText", f"{_CODE}.plain:PlainText"),
    ),
    base="pipeline.readers.base:Reader",
    options=f"{_OPTIONS}:FileSource",
)


def match(source: Source) -> list[RawFile]:
    """List the raw files of a source, sorted by name. No file is opened.

    Raises: UserError when there is none, or when two have the same name: their documents would have the same ids.
    """
    files = READERS.load(source.reader).match(source)
    for file, next_file in itertools.pairwise(files):
        if file.name == next_file.name:
            raise UserError(
                f"ingest source '{source.name}': {file.path} and {next_file.path} are both called {file.name} within"
                " their paths. Match them with one pattern that starts at a parent folder, or make them two sources."
            )
    return files


def recognize(paths: Sequence[str]) -> str:
    """The name of the reader for the files of some paths, by their content: what `reader: auto` means.

    Raises: UserError where there is no file, no known format, or more than one.
    """
    name: str = load(f"{_CODE}.recognition:recognize")(listing.match(paths))
    return name


def text_problem(source: Source, files: Sequence[RawFile]) -> str | None:
    """Check a source against its first few records. Returns a message, or None if nothing is wrong.

    A file that another reader should read is found first. A reader of a plug-in may read any format.
    """
    reader = READERS.load(source.reader)
    wrong_reader = load(f"{_CODE}.recognition:wrong_reader") if source.reader in READERS else None
    problem: str | None = wrong_reader(reader, files) if wrong_reader else None
    return problem or reader.text_problem(source, files)


def format_of(source: Source) -> str:
    """What people call the format that the reader of a source reads."""
    return READERS.load(source.reader).format or source.reader


def create_reader(options: SourceParams, *, max_record_bytes: int) -> Reader:
    """Create the reader of a source from the options that the artifact's params hold."""
    return READERS.load(options["reader"])(options, max_record_bytes=max_record_bytes)
